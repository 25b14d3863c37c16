"""The multivariate Normal with mean and precision matrix; `cov` and `scale_tril` are other names for the precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, elementwise
from ppl.factors.factor import Factor
from ppl.numerics.special import LOG_2PI


def energy(residual: Any, precision: Any) -> Plated:
    """E log N(x | m, P⁻¹) = (E log|P| - D log 2π - tr(E P · E rrᵀ)) / 2, with r = x - m."""
    size = residual.outer.shape[-1]
    quadratic = elementwise(lambda a, b: a * b, precision.mean, residual.outer).sum_value(2)
    return 0.5 * (precision.logdet - size * LOG_2PI) - 0.5 * quadratic


def reported(mean: Any, precision: Any) -> dict[str, Any]:
    return {"mean": mean, "cov": np.linalg.inv(precision)}


FACTOR = Factor(
    name="MvNormal",
    family="MvNormal",
    parameters=("mean", "precision"),
    slots={"residual": ("outer",), "precision": ("mean", "logdet")},
    differences={"residual": ("x", "mean")},
    conversions={"cov": ("precision", (("inverse",),)), "scale_tril": ("precision", (("gram",), ("inverse",)))},
    energy=energy,
    reported=reported,
    event_rank=1,
    parameter_rank={"mean": 1, "precision": 2},
)
