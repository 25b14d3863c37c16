"""The flat prior of a real number: improper, it says nothing."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any) -> Plated:
    return 0.0 * x.mean


FACTOR = Factor(name="Flat", family="Normal", parameters=(), slots={"x": ("mean",)}, energy=energy)
