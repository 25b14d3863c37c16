"""Student's t: the marginal of a location whose precision is a Gamma."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Parameters, Reported, draw_shape


class StudentT(Reported):
    """Density ∝ (1 + ((x - mean) / sd)² / df)^(-(df + 1) / 2); `sd` is the scale, as in the language."""

    name = "StudentT"
    parameters = ("df", "mean", "sd")

    def in_support(self, x: Any) -> Array:
        return jnp.isfinite(jnp.asarray(x))

    def mean(self, params: Parameters) -> np.ndarray:
        """NaN where `df` is at most 1."""
        df, mean, _ = self.values(params)
        return np.where(df > 1.0, mean, np.nan)

    def variance(self, params: Parameters) -> np.ndarray:
        """Infinite where `df` is at most 2."""
        df, _, sd = self.values(params)
        return np.where(df > 2.0, sd**2 * df / np.where(df > 2.0, df - 2.0, 1.0), np.inf)

    def mode(self, params: Parameters) -> np.ndarray:
        return self.values(params)[1]

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.special import stdtrit

        df, mean, sd = self.values(params)
        return mean + sd * stdtrit(df, q)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        df, mean, sd = self.values(params)
        return mean + sd * rng.standard_t(np.broadcast_to(df, draw_shape((), df, mean, sd)), draw_shape(size, df, mean, sd))

    def log_density(self, params: Parameters, x: Any) -> np.ndarray:
        from scipy.special import gammaln

        df, mean, sd = self.values(params)
        standard = (np.asarray(x, float) - mean) / sd
        normaliser = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(df * np.pi) - np.log(sd)
        return normaliser - 0.5 * (df + 1.0) * np.log1p(standard**2 / df)
