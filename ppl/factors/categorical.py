"""The Categorical distribution: a member of an index set."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated, inner
from ppl.factors.factor import Factor


def energy(x: Any, p: Any) -> Plated:
    """Σ_k q(x = k) E log p_k."""
    return inner(x.one_hot, p.log)


FACTOR = Factor(
    name="Categorical",
    family="Categorical",
    parameters=("p",),
    slots={"x": ("one_hot",), "p": ("log",)},
    conversions={"logits": ("p", (("softmax",),))},
    energy=energy,
    parameter_rank={"p": 1},
)
