"""The inverse Gamma distribution with a known shape and a scale."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor
from ppl.numerics.special import lgamma


def energy(x: Any, shape: Any, scale: Any) -> Plated:
    """a E log b - log Γ(a) - (a + 1) E log x - E b · E 1/x."""
    a = shape.value
    return a * scale.log - a.map(lgamma) - (a + 1.0) * x.log - scale.mean * x.reciprocal


FACTOR = Factor(
    name="InverseGamma",
    family="InverseGamma",
    parameters=("shape", "scale"),
    slots={"x": ("reciprocal", "log"), "shape": ("value",), "scale": ("mean", "log")},
    energy=energy,
)
