"""The Normal distribution with mean and precision; `sd` and `var` are other names for the precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.factors.factor import LOG_2PI, Factor


def energy(residual: Any, precision: Any) -> Plated:
    """E log N(x | m, 1/t), in the residual r = x - m so that nothing cancels: (E log t - log 2π - E t · E r²) / 2."""
    return 0.5 * (precision.log - LOG_2PI) - 0.5 * (precision.mean * residual.square)


def sample(rng: np.random.Generator, size: tuple[int, ...], mean: Any, precision: Any) -> Any:
    return rng.normal(mean, precision**-0.5, size)


FACTOR = Factor(
    name="Normal",
    family="Normal",
    parameters=("mean", "precision"),
    slots={"residual": ("square",), "precision": ("mean", "log")},
    differences={"residual": ("x", "mean")},
    conversions={"sd": ("precision", (("power", -2.0),)), "var": ("precision", (("power", -1.0),))},
    energy=energy,
    sample=sample,
)
