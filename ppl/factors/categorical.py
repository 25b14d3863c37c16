"""The Categorical distribution: a member of an index set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any, p: Any) -> Plated:
    """Σ_k q(x = k) E log p_k."""
    return (x.one_hot * p.log).sum_value()


def sample(rng: np.random.Generator, size: tuple[int, ...], p: Any) -> Any:
    cumulative = np.cumsum(p, axis=-1)
    draws = rng.random(size)[..., None] * cumulative[..., -1:]
    return np.minimum((draws > cumulative).sum(axis=-1), p.shape[-1] - 1)


FACTOR = Factor(
    name="Categorical",
    family="Categorical",
    parameters=("p",),
    slots={"x": ("one_hot",), "p": ("log",)},
    energy=energy,
    sample=sample,
    parameter_rank={"p": 1},
)
