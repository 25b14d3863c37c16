"""The Normal distribution with mean and precision; `sd` and `var` are other names for the precision."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor
from ppl.numerics.special import LOG_2PI


def energy(residual: Any, precision: Any) -> Plated:
    """E log N(x | m, 1/t), in the residual r = x - m so that nothing cancels: (E log t - log 2π - E t · E r²) / 2."""
    return 0.5 * (precision.log - LOG_2PI) - 0.5 * (precision.mean * residual.square)


def reported(mean: Any, precision: Any) -> dict[str, Any]:
    return {"mean": mean, "sd": precision**-0.5}


FACTOR = Factor(
    name="Normal",
    family="Normal",
    parameters=("mean", "precision"),
    slots={"residual": ("square",), "precision": ("mean", "log")},
    differences={"residual": ("x", "mean")},
    conversions={"sd": ("precision", (("power", -2.0),)), "var": ("precision", (("power", -1.0),))},
    energy=energy,
    reported=reported,
)
