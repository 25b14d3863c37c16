"""The Gamma family of positive numbers; the Exponential is the one with shape 1."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape
from ppl.numerics.special import floats, lgamma


class Gamma(Family):
    """Density ∝ x^(a - 1) exp(-b x): η = (-b, a - 1) for (x, log x)."""

    name = "Gamma"
    parameters = ("shape", "rate")
    statistic_rank: ClassVar = {"mean": 0, "log": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x), "log": jnp.log(floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        shape = natural["log"] + 1.0
        return lgamma(shape) - shape * jnp.log(-natural["mean"])

    def natural_from(self, shape: Any, rate: Any) -> dict[str, Array]:
        shape, rate = common_plates(shape, rate)
        return {"mean": -rate, "log": shape - 1.0}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"shape": natural["log"] + 1.0, "rate": -natural["mean"]}

    def in_domain(self, natural: Natural) -> Array:
        return (natural["log"] > -1.0) & (natural["mean"] < 0.0)

    def in_support(self, x: Any) -> Array:
        return jnp.asarray(x) >= 0.0

    def mean(self, params: Parameters) -> np.ndarray:
        shape, rate = self.values(params)
        return shape / rate

    def variance(self, params: Parameters) -> np.ndarray:
        shape, rate = self.values(params)
        return shape / rate**2

    def mode(self, params: Parameters) -> np.ndarray:
        shape, rate = self.values(params)
        return np.maximum(shape - 1.0, 0.0) / rate

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.special import gammaincinv

        shape, rate = self.values(params)
        return gammaincinv(shape, q) / rate

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        shape, rate = self.values(params)
        return rng.gamma(shape, 1.0 / rate, draw_shape(size, shape, rate))
