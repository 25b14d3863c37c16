"""The inverse Wishart distribution of a covariance matrix, with known degrees of freedom and scale (mean: scale / (df - D - 1))."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, elementwise
from ppl.factors.factor import Factor
from ppl.numerics.special import LOG_2, multivariate_lgamma


def energy(x: Any, df: Any, scale: Any) -> Plated:
    """ν/2 log|Ψ| - (ν + D + 1)/2 E log|X| - tr(Ψ E X⁻¹)/2 - ν D/2 log 2 - log Γ_D(ν/2)."""
    v, size = df.value, x.inverse.shape[-1]
    trace = elementwise(lambda a, b: a * b, scale.mean, x.inverse).sum_value(2)
    normaliser = (0.5 * size * LOG_2) * v - 0.5 * (v * scale.logdet) + v.map(lambda a: multivariate_lgamma(a / 2, size))
    return -0.5 * ((v + (size + 1.0)) * x.logdet) - 0.5 * trace - normaliser


def requires(df: Any, scale: Any) -> str:
    size = scale.shape[-1]
    return "" if np.all(df > size - 1) else f"`df` of an InverseWishart of {size} × {size} matrices must be above {size - 1}"


FACTOR = Factor(
    name="InverseWishart",
    family="InverseWishart",
    parameters=("df", "scale"),
    slots={"x": ("inverse", "logdet"), "df": ("value",), "scale": ("mean", "logdet")},
    energy=energy,
    requires=requires,
    event_rank=2,
    parameter_rank={"scale": 2},
)
