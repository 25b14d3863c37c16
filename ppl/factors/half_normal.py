"""The half-Normal distribution: the absolute value of a Normal around 0."""

from __future__ import annotations

import math
from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor

LOG_2_OVER_PI = math.log(2.0 / math.pi)


def energy(x: Any, precision: Any) -> Plated:
    """(log 2/π + E log t - E t · E x²) / 2."""
    return 0.5 * (precision.log + LOG_2_OVER_PI) - 0.5 * (precision.mean * x.squared)


FACTOR = Factor(
    name="HalfNormal",
    family="Positive",
    parameters=("precision",),
    slots={"x": ("squared",), "precision": ("mean", "log")},
    conversions={"sd": ("precision", (("power", -2.0),))},
    energy=energy,
)
