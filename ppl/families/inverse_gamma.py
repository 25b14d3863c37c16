"""The inverse Gamma family: of 1/x where x is a Gamma, so of variances."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape
from ppl.numerics.special import floats, lgamma


class InverseGamma(Family):
    """Density ∝ x^(-a - 1) exp(-b / x): η = (-b, -a - 1) for (1/x, log x)."""

    name = "InverseGamma"
    parameters = ("shape", "scale")
    statistic_rank: ClassVar = {"reciprocal": 0, "log": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"reciprocal": 1.0 / floats(x), "log": jnp.log(floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        shape = -natural["log"] - 1.0
        return lgamma(shape) - shape * jnp.log(-natural["reciprocal"])

    def natural_from(self, shape: Any, scale: Any) -> dict[str, Array]:
        shape, scale = common_plates(shape, scale)
        return {"reciprocal": -scale, "log": -shape - 1.0}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"shape": -natural["log"] - 1.0, "scale": -natural["reciprocal"]}

    def in_domain(self, natural: Natural) -> Array:
        return (natural["log"] < -1.0) & (natural["reciprocal"] < 0.0)

    def in_support(self, x: Any) -> Array:
        return jnp.asarray(x) > 0.0

    def mean(self, params: Parameters) -> np.ndarray:
        """Infinite where the shape is at most 1."""
        shape, scale = self.values(params)
        return np.where(shape > 1.0, scale / np.where(shape > 1.0, shape - 1.0, 1.0), np.inf)

    def variance(self, params: Parameters) -> np.ndarray:
        """Infinite where the shape is at most 2."""
        shape, scale = self.values(params)
        excess = np.where(shape > 2.0, shape, 3.0)
        return np.where(shape > 2.0, scale**2 / ((excess - 1.0) ** 2 * (excess - 2.0)), np.inf)

    def mode(self, params: Parameters) -> np.ndarray:
        shape, scale = self.values(params)
        return scale / (shape + 1.0)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.special import gammainccinv

        shape, scale = self.values(params)
        with np.errstate(divide="ignore"):
            return scale / gammainccinv(shape, q)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        shape, scale = self.values(params)
        return scale / rng.gamma(shape, 1.0, draw_shape(size, shape, scale))
