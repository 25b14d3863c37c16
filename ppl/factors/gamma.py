"""The Gamma distribution with a known shape and a rate."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor
from ppl.numerics.special import lgamma


def energy(x: Any, shape: Any, rate: Any) -> Plated:
    """a E log b - log Γ(a) + (a - 1) E log x - E b · E x."""
    a = shape.value
    return a * rate.log - a.map(lgamma) + (a - 1.0) * x.log - rate.mean * x.mean


FACTOR = Factor(
    name="Gamma",
    family="Gamma",
    parameters=("shape", "rate"),
    slots={"x": ("mean", "log"), "shape": ("value",), "rate": ("mean", "log")},
    conversions={"scale": ("rate", (("power", -1.0),))},
    energy=energy,
)
