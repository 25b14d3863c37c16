"""The Normal family of real numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape
from ppl.numerics.special import LOG_2PI, floats


class Normal(Family):
    """Density ∝ exp(-τ (x - m)² / 2): η = (τ m, -τ / 2) for (x, x²)."""

    name = "Normal"
    parameters = ("mean", "sd")
    statistic_rank: ClassVar = {"mean": 0, "square": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x), "square": jnp.square(floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        precision = -2.0 * natural["square"]
        return 0.5 * (natural["mean"] ** 2 / precision - jnp.log(precision) + LOG_2PI)

    def entropy(self, natural: Natural) -> Array:
        """By hand: A - ⟨η, E[T]⟩ cancels where the mean is far from 0."""
        return 0.5 * (1.0 + LOG_2PI - jnp.log(-2.0 * natural["square"]))

    def natural_from(self, mean: Any, sd: Any) -> dict[str, Array]:
        mean, sd = common_plates(mean, sd)
        precision = sd**-2.0
        return {"mean": precision * mean, "square": -0.5 * precision}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        precision = -2.0 * natural["square"]
        return {"mean": natural["mean"] / precision, "sd": precision**-0.5}

    def in_domain(self, natural: Natural) -> Array:
        return jnp.isfinite(natural["mean"]) & (natural["square"] < 0.0)

    def in_support(self, x: Any) -> Array:
        return jnp.isfinite(jnp.asarray(x))

    def mean(self, params: Parameters) -> np.ndarray:
        return np.broadcast_arrays(*self.values(params))[0]

    def variance(self, params: Parameters) -> np.ndarray:
        return np.broadcast_arrays(*self.values(params))[1] ** 2

    def mode(self, params: Parameters) -> np.ndarray:
        return self.mean(params)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.special import ndtri

        mean, sd = self.values(params)
        return mean + sd * ndtri(q)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        mean, sd = self.values(params)
        return rng.normal(mean, sd, draw_shape(size, mean, sd))
