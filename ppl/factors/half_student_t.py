"""The half-t distribution in its own unit, where its density is ∝ (1 + x²)^(-(df + 1) / 2).

A rewrite brings others to it: `scale * sqrt(df)` times such a value has any scale, which may then be latent.
"""

from __future__ import annotations

import math
from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor
from ppl.numerics.special import lgamma


def energy(x: Any, df: Any) -> Plated:
    """log 2 + log Γ((d + 1) / 2) - log Γ(d / 2) - ½ log π - (d + 1) / 2 · E log(1 + x²)."""
    half = 0.5 * (df.value + 1.0)
    return half.map(lgamma) - (0.5 * df.value).map(lgamma) + math.log(2.0 / math.sqrt(math.pi)) - half * x.log1p_squared


FACTOR = Factor(
    name="HalfStudentT",
    family="Positive",
    parameters=("df", "scale"),
    slots={"x": ("log1p_squared",), "df": ("value",)},
    energy=energy,
)
