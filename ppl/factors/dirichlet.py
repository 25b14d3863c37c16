"""The Dirichlet distribution with a known concentration."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor
from ppl.numerics.special import lgamma


def energy(x: Any, concentration: Any) -> Plated:
    """Σ (c - 1) E log x + log Γ(Σ c) - Σ log Γ(c)."""
    c = concentration.value
    return ((c - 1.0) * x.log).sum_value() + c.sum_value().map(lgamma) - c.map(lgamma).sum_value()


FACTOR = Factor(
    name="Dirichlet",
    family="Dirichlet",
    parameters=("concentration",),
    slots={"x": ("log",), "concentration": ("value",)},
    energy=energy,
    event_rank=1,
    parameter_rank={"concentration": 1},
)
