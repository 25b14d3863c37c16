"""The Bernoulli family: 0 or 1."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, draw_shape
from ppl.numerics.special import floats


class Bernoulli(Family):
    """Probability ∝ exp(η x): η = log(p / (1 - p)) for x."""

    name = "Bernoulli"
    parameters = ("p",)
    statistic_rank: ClassVar = {"mean": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x)}

    def log_partition(self, natural: Natural) -> Array:
        return jax.nn.softplus(natural["mean"])

    def natural_from(self, p: Any) -> dict[str, Array]:
        p = floats(p)
        return {"mean": jnp.log(p) - jnp.log1p(-p)}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"p": jax.nn.sigmoid(natural["mean"])}

    def in_domain(self, natural: Natural) -> Array:
        return ~jnp.isnan(natural["mean"])

    def in_support(self, x: Any) -> Array:
        x = jnp.asarray(x)
        return (x == 0) | (x == 1)

    def mean(self, params: Parameters) -> np.ndarray:
        return self.values(params)[0]

    def variance(self, params: Parameters) -> np.ndarray:
        (p,) = self.values(params)
        return p * (1.0 - p)

    def mode(self, params: Parameters) -> np.ndarray:
        """0 where both are as probable."""
        return (self.values(params)[0] > 0.5) * 1.0

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        return (q > 1.0 - self.values(params)[0]) * 1.0

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        (p,) = self.values(params)
        return (rng.random(draw_shape(size, p)) < p) * 1.0

    def log_density(self, params: Parameters, x: Any) -> np.ndarray:
        """By hand: η and A are both infinite where p is 1."""
        from scipy.special import xlog1py, xlogy

        (p,), x = self.values(params), np.asarray(x, float)
        return np.where(self.in_support(x), xlogy(x, p) + xlog1py(1.0 - x, -p), -np.inf)
