"""The Beta distribution with known parameters."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor
from ppl.numerics.special import lgamma


def energy(x: Any, a: Any, b: Any) -> Plated:
    """(a - 1) E log x + (b - 1) E log(1 - x) - log B(a, b)."""
    a, b = a.value, b.value
    log_normaliser = a.map(lgamma) + b.map(lgamma) - (a + b).map(lgamma)
    return (a - 1.0) * x.log + (b - 1.0) * x.log1m - log_normaliser


FACTOR = Factor(
    name="Beta",
    family="Beta",
    parameters=("a", "b"),
    slots={"x": ("log", "log1m"), "a": ("value",), "b": ("value",)},
    energy=energy,
)
