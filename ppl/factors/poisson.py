"""The Poisson distribution of counts."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any, rate: Any) -> Plated:
    """E x · E log λ - E λ; 1 / x! is the base measure."""
    return x.mean * rate.log - rate.mean


def base_measure(x: Any) -> Any:
    from scipy.special import gammaln

    return -gammaln(x + 1)


FACTOR = Factor(
    name="Poisson",
    family="Poisson",
    parameters=("rate",),
    slots={"x": ("mean",), "rate": ("mean", "log")},
    conversions={"log_rate": ("rate", (("exp",),))},
    energy=energy,
    base_measure=base_measure,
)
