"""The Binomial family: successes among a known number of trials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape, is_count
from ppl.numerics.special import floats, log_binomial


@dataclass(frozen=True, eq=False)
class Binomial(Family):
    """Probability ∝ C(n, x) exp(η x): η = log(p / (1 - p)) for x. `n` is known for each member of the plates."""

    n: Any = None

    name = "Binomial"
    parameters = ("n", "p")
    statistic_rank: ClassVar = {"mean": 0}

    def given(self, params: Parameters) -> Self:
        return replace(self, n=params["n"])

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x)}

    def log_partition(self, natural: Natural) -> Array:
        return self._trials(natural) * jax.nn.softplus(natural["mean"])

    def log_base_measure(self, x: Any) -> Array:
        return log_binomial(self.n, x)

    def natural_from(self, n: Any, p: Any) -> dict[str, Array]:
        _, p = common_plates(n, p)
        return {"mean": jnp.log(p) - jnp.log1p(-p)}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        n, p = common_plates(self._trials(natural), jax.nn.sigmoid(natural["mean"]))
        return {"n": n, "p": p}

    def in_domain(self, natural: Natural) -> Array:
        return ~jnp.isnan(natural["mean"])

    def in_support(self, x: Any) -> Array:
        return is_count(x) & (jnp.asarray(x) <= jnp.asarray(self.n))

    def mean(self, params: Parameters) -> np.ndarray:
        n, p = self.values(params)
        return n * p

    def variance(self, params: Parameters) -> np.ndarray:
        n, p = self.values(params)
        return n * p * (1.0 - p)

    def mode(self, params: Parameters) -> np.ndarray:
        """The larger of two that are as probable."""
        n, p = self.values(params)
        return np.minimum(np.floor((n + 1.0) * p), n)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        """The inverse of the distribution function is not exact at its steps, so the count below is tried too."""
        from scipy.special import bdtr, bdtrik

        n, p = self.values(params)
        count = np.ceil(bdtrik(q, n, p))
        below = np.maximum(count - 1.0, 0.0)
        return np.where(bdtr(below, n.astype(int), p) >= q, below, count)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        n, p = self.values(params)
        return rng.binomial(n.astype(int), p, draw_shape(size, n, p)) * 1.0

    def log_density(self, params: Parameters, x: Any) -> np.ndarray:
        """By hand: η and A are both infinite where p is 1."""
        from scipy.special import xlog1py, xlogy

        (n, p), x = self.values(params), np.asarray(x, float)
        family = self.given(params)
        value = xlogy(x, p) + xlog1py(n - x, -p) + np.asarray(family.log_base_measure(x))
        return np.where(family.in_support(x), value, -np.inf)

    def _trials(self, natural: Natural) -> Array:
        return jnp.asarray(self.n, jnp.asarray(natural["mean"]).dtype)
