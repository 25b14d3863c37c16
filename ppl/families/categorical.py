"""The Categorical family: one member of an index set, by its ordinal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, draw_shape
from ppl.numerics.special import floats


@dataclass(frozen=True)
class Categorical(Family):
    """Probability ∝ exp(η_x): η are log-potentials, log p but for a constant, for the one-hot table of x.

    `states` is the size of the set, which no ordinal shows.
    """

    states: int = 0

    name = "Categorical"
    event_rank = 1
    parameters = ("p",)
    parameter_rank: ClassVar = {"p": 1}
    statistic_rank: ClassVar = {"one_hot": 1}

    def given(self, params: Parameters) -> Self:
        return replace(self, states=np.shape(params["p"])[-1])

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"one_hot": jax.nn.one_hot(jnp.asarray(x, int), self.states)}

    def log_partition(self, natural: Natural) -> Array:
        return jax.nn.logsumexp(natural["one_hot"], axis=-1)

    def natural_from(self, p: Any) -> dict[str, Array]:
        return {"one_hot": jnp.log(floats(p))}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"p": jax.nn.softmax(natural["one_hot"], axis=-1)}

    def in_domain(self, natural: Natural) -> Array:
        return jnp.isfinite(self.log_partition(natural))

    def in_support(self, x: Any) -> Array:
        x = jnp.asarray(x)
        return (x >= 0) & (x < self.states) & (x == jnp.floor(x))

    def mean(self, params: Parameters) -> np.ndarray:
        """Of the ordinal."""
        (p,) = self.values(params)
        return p @ np.arange(p.shape[-1])

    def variance(self, params: Parameters) -> np.ndarray:
        """Of the ordinal."""
        (p,) = self.values(params)
        ordinals = np.arange(p.shape[-1])
        return (p * (ordinals - self.mean(params)[..., None]) ** 2).sum(axis=-1)

    def mode(self, params: Parameters) -> np.ndarray:
        return self.values(params)[0].argmax(axis=-1)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        (p,) = self.values(params)
        return (np.cumsum(p, axis=-1)[..., :-1] < q).sum(axis=-1)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        (p,) = self.values(params)
        cumulative = np.cumsum(p, axis=-1)
        drawn = rng.random(draw_shape(size, p, event=1))[..., None] * cumulative[..., -1:]
        return (drawn >= cumulative[..., :-1]).sum(axis=-1)
