"""The Dirichlet family of probability vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, draw_shape
from ppl.numerics.special import floats, lgamma

SUM_TOLERANCE = 1e-6  # how far from 1 the sum of a probability vector may be, as in the language


class Dirichlet(Family):
    """Density ∝ Π x_k^(c_k - 1): η = c - 1 for log x."""

    name = "Dirichlet"
    event_rank = 1
    parameters = ("concentration",)
    parameter_rank: ClassVar = {"concentration": 1}
    statistic_rank: ClassVar = {"log": 1}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"log": jnp.log(floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        concentration = natural["log"] + 1.0
        return lgamma(concentration).sum(axis=-1) - lgamma(concentration.sum(axis=-1))

    def natural_from(self, concentration: Any) -> dict[str, Array]:
        return {"log": floats(concentration) - 1.0}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"concentration": natural["log"] + 1.0}

    def in_domain(self, natural: Natural) -> Array:
        return (natural["log"] > -1.0).all(axis=-1)

    def in_support(self, x: Any) -> Array:
        x = jnp.asarray(x)
        return (x >= 0.0).all(axis=-1) & (jnp.abs(x.sum(axis=-1) - 1.0) <= SUM_TOLERANCE)

    def mean(self, params: Parameters) -> np.ndarray:
        (concentration,) = self.values(params)
        return concentration / concentration.sum(axis=-1, keepdims=True)

    def variance(self, params: Parameters) -> np.ndarray:
        (concentration,) = self.values(params)
        total = concentration.sum(axis=-1, keepdims=True)
        return concentration * (total - concentration) / (total**2 * (total + 1.0))

    def mode(self, params: Parameters) -> np.ndarray:
        """NaN where no concentration is above 1: flat, or highest in more than one corner."""
        (concentration,) = self.values(params)
        excess = np.maximum(concentration - 1.0, 0.0)
        with np.errstate(invalid="ignore"):
            return excess / excess.sum(axis=-1, keepdims=True)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        """Of each entry, which alone is a Beta."""
        from scipy.special import betaincinv

        (concentration,) = self.values(params)
        return betaincinv(concentration, concentration.sum(axis=-1, keepdims=True) - concentration, q)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        """Gamma draws over their sum, in logarithms: those of a small concentration are below the smallest float."""
        (concentration,) = self.values(params)
        shape = draw_shape(size, concentration)
        log_draws = np.log(rng.gamma(concentration + 1.0, 1.0, shape)) + np.log1p(-rng.random(shape)) / concentration
        weights = np.exp(log_draws - log_draws.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)
