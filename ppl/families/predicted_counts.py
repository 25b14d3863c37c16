"""Counts whose chance or rate has a conjugate belief: a Binomial over a Beta, a Poisson over a Gamma."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax import Array

from ppl.families.family import Parameters, Reported, draw_shape, is_count


class BetaBinomial(Reported):
    """Probability C(n, x) B(x + a, n - x + b) / B(a, b)."""

    name = "BetaBinomial"
    parameters = ("n", "a", "b")

    def in_support(self, x: Any) -> Array:
        return is_count(x)

    def mean(self, params: Parameters) -> np.ndarray:
        n, a, b = self.values(params)
        return n * a / (a + b)

    def variance(self, params: Parameters) -> np.ndarray:
        n, a, b = self.values(params)
        return n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1.0))

    def mode(self, params: Parameters) -> np.ndarray:
        """The smallest of those that are as probable: where the ratio of neighbours, ((x + a)(n - x)) / ((x + 1)(n - x - 1 + b)), falls
        below 1, or the more probable end."""
        n, a, b = self.values(params)
        bent = a + b - 2.0
        inside = np.clip(np.ceil((n * (a - 1.0) - (b - 1.0)) / np.where(bent > 0.0, bent, 1.0)), 0.0, n)
        return np.where(bent > 0.0, inside, np.where(a > b, n, 0.0))

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.stats import betabinom

        n, a, b = self.values(params)
        return np.asarray(betabinom.ppf(q, n, a, b), float)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        n, a, b = self.values(params)
        shape = draw_shape(size, n, a, b)
        return rng.binomial(np.broadcast_to(n, shape).astype(int), rng.beta(a, b, shape)) * 1.0

    def log_density(self, params: Parameters, x: Any) -> np.ndarray:
        from scipy.special import betaln, gammaln

        (n, a, b), x = self.values(params), np.asarray(x, float)
        inside = np.asarray(self.in_support(x)) & (x <= n)
        k = np.where(inside, x, 0.0)
        ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
        return np.where(inside, ways + betaln(k + a, n - k + b) - betaln(a, b), -np.inf)


class NegativeBinomial(Reported):
    """Counts with this mean and the variance mean + mean² / concentration."""

    name = "NegativeBinomial"
    parameters = ("mean", "concentration")

    def in_support(self, x: Any) -> Array:
        return is_count(x)

    def mean(self, params: Parameters) -> np.ndarray:
        return self.values(params)[0]

    def variance(self, params: Parameters) -> np.ndarray:
        mean, concentration = self.values(params)
        return mean + mean**2 / concentration

    def mode(self, params: Parameters) -> np.ndarray:
        """The larger of two that are as probable."""
        mean, concentration = self.values(params)
        return np.floor(np.maximum(mean * (concentration - 1.0) / concentration, 0.0))

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        from scipy.stats import nbinom

        mean, concentration = self.values(params)
        return np.asarray(nbinom.ppf(q, concentration, concentration / (concentration + mean)), float)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        mean, concentration = self.values(params)
        return rng.poisson(rng.gamma(concentration, mean / concentration, draw_shape(size, mean, concentration))) * 1.0

    def log_density(self, params: Parameters, x: Any) -> np.ndarray:
        from scipy.special import betaln, xlogy

        (mean, concentration), x = self.values(params), np.asarray(x, float)
        inside = np.asarray(self.in_support(x))
        k = np.where(inside, x, 0.0)
        chance = mean / (mean + concentration)
        ways = -betaln(concentration, k + 1.0) - np.log(concentration + k)
        return np.where(inside, ways + concentration * np.log1p(-chance) + xlogy(k, chance), -np.inf)
