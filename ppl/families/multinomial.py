"""The Multinomial family: counts of a known total over the members of a set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape, is_count
from ppl.numerics.special import floats, log_factorial


@dataclass(frozen=True, eq=False)
class Multinomial(Family):
    """Probability ∝ n! / Π x_k! exp(⟨η, x⟩): η are log-potentials, log p but for a constant. `n` is known for each member of the plates."""

    n: Any = None

    name = "Multinomial"
    event_rank = 1
    parameters = ("n", "p")
    parameter_rank: ClassVar = {"p": 1}
    statistic_rank: ClassVar = {"mean": 1}

    def given(self, params: Parameters) -> Self:
        return replace(self, n=params["n"])

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x)}

    def log_partition(self, natural: Natural) -> Array:
        return self._total(natural) * jax.nn.logsumexp(natural["mean"], axis=-1)

    def log_base_measure(self, x: Any) -> Array:
        x = floats(x)
        return log_factorial(x.sum(axis=-1)) - log_factorial(x).sum(axis=-1)

    def natural_from(self, n: Any, p: Any) -> dict[str, Array]:
        _, p = common_plates(n, p, ranks=(0, 1))
        return {"mean": jnp.log(p)}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        n, p = common_plates(self._total(natural), jax.nn.softmax(natural["mean"], axis=-1), ranks=(0, 1))
        return {"n": n, "p": p}

    def in_domain(self, natural: Natural) -> Array:
        return jnp.isfinite(jax.nn.logsumexp(natural["mean"], axis=-1))

    def in_support(self, x: Any) -> Array:
        return is_count(x).all(axis=-1) & (jnp.asarray(x).sum(axis=-1) == jnp.asarray(self.n))

    def mean(self, params: Parameters) -> np.ndarray:
        n, p = self.values(params)
        return n[..., None] * p

    def variance(self, params: Parameters) -> np.ndarray:
        n, p = self.values(params)
        return n[..., None] * p * (1.0 - p)

    def mode(self, params: Parameters) -> np.ndarray:
        """Trials are given one by one to the member whose count then loses least probability (Finucane 1964)."""
        n, p = self.values(params)
        counts = np.floor(n[..., None] * p)
        while (left := n > counts.sum(axis=-1)).any():
            best = (p / (counts + 1.0)).argmax(axis=-1)
            counts += left[..., None] * (best[..., None] == np.arange(p.shape[-1]))
        return counts

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        n, p = self.values(params)
        shape = draw_shape(size, n, p[..., 0])
        p = np.broadcast_to(p / p.sum(axis=-1, keepdims=True), (*shape, p.shape[-1]))
        return rng.multinomial(np.broadcast_to(n.astype(int), shape), p) * 1.0

    def _total(self, natural: Natural) -> Array:
        return jnp.asarray(self.n, jnp.asarray(natural["mean"]).dtype)
