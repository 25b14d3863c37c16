"""The Poisson family of counts."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, draw_shape, is_count
from ppl.numerics.special import floats, log_factorial


class Poisson(Family):
    """Probability ∝ exp(η x) / x!: η = log λ for x."""

    name = "Poisson"
    parameters = ("rate",)
    statistic_rank: ClassVar = {"mean": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x)}

    def log_partition(self, natural: Natural) -> Array:
        return jnp.exp(natural["mean"])

    def log_base_measure(self, x: Any) -> Array:
        return -log_factorial(x)

    def natural_from(self, rate: Any) -> dict[str, Array]:
        return {"mean": jnp.log(floats(rate))}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"rate": jnp.exp(natural["mean"])}

    def in_domain(self, natural: Natural) -> Array:
        return natural["mean"] < jnp.inf

    def in_support(self, x: Any) -> Array:
        return is_count(x)

    def mean(self, params: Parameters) -> np.ndarray:
        return self.values(params)[0]

    def variance(self, params: Parameters) -> np.ndarray:
        return self.values(params)[0]

    def mode(self, params: Parameters) -> np.ndarray:
        """The larger of two that are as probable."""
        return np.floor(self.values(params)[0])

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        """The inverse of the distribution function is not exact at its steps, so the count below is tried too."""
        from scipy.special import pdtr, pdtrik

        (rate,) = self.values(params)
        count = np.ceil(pdtrik(q, rate))
        below = np.maximum(count - 1.0, 0.0)
        return np.where(pdtr(below, rate) >= q, below, count)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        (rate,) = self.values(params)
        return rng.poisson(rate, draw_shape(size, rate)) * 1.0
