"""The flat prior of a positive number: improper, it says nothing."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any) -> Plated:
    return 0.0 * x.log


FACTOR = Factor(name="HalfFlat", family="Positive", parameters=(), slots={"x": ("log",)}, energy=energy)
