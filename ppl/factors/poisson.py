"""The Poisson distribution of counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any, rate: Any) -> Plated:
    """E x · E log λ - E λ; 1 / x! is the base measure."""
    return x.mean * rate.log - rate.mean


def base_measure(x: Any) -> Any:
    from scipy.special import gammaln

    return -gammaln(x + 1)


def sample(rng: np.random.Generator, size: tuple[int, ...], rate: Any) -> Any:
    return rng.poisson(rate, size) * 1.0


FACTOR = Factor(
    name="Poisson",
    family="Poisson",
    parameters=("rate",),
    slots={"x": ("mean",), "rate": ("mean", "log")},
    energy=energy,
    sample=sample,
    base_measure=base_measure,
)
