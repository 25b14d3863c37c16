"""The Beta family of numbers between 0 and 1."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape
from ppl.numerics.special import floats, lbeta


class Beta(Family):
    """Density ∝ x^(a - 1) (1 - x)^(b - 1): η = (a - 1, b - 1) for (log x, log(1 - x))."""

    name = "Beta"
    parameters = ("a", "b")
    statistic_rank: ClassVar = {"log": 0, "log1m": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"log": jnp.log(floats(x)), "log1m": jnp.log1p(-floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        return lbeta(natural["log"] + 1.0, natural["log1m"] + 1.0)

    def natural_from(self, a: Any, b: Any) -> dict[str, Array]:
        a, b = common_plates(a, b)
        return {"log": a - 1.0, "log1m": b - 1.0}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"a": natural["log"] + 1.0, "b": natural["log1m"] + 1.0}

    def in_domain(self, natural: Natural) -> Array:
        return (natural["log"] > -1.0) & (natural["log1m"] > -1.0)

    def in_support(self, x: Any) -> Array:
        x = jnp.asarray(x)
        return (x >= 0.0) & (x <= 1.0)

    def mean(self, params: Parameters) -> np.ndarray:
        a, b = self.values(params)
        return a / (a + b)

    def variance(self, params: Parameters) -> np.ndarray:
        a, b = self.values(params)
        return a * b / ((a + b) ** 2 * (a + b + 1.0))

    def mode(self, params: Parameters) -> np.ndarray:
        """NaN where neither parameter is above 1: flat, or highest at both ends."""
        a, b = (np.maximum(value - 1.0, 0.0) for value in self.values(params))
        with np.errstate(invalid="ignore"):
            return a / (a + b)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.special import betaincinv

        return betaincinv(*self.values(params), q)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        a, b = self.values(params)
        return rng.beta(a, b, draw_shape(size, a, b))
