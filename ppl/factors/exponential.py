"""The Exponential distribution: a Gamma with shape 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any, rate: Any) -> Plated:
    """E log b - E b · E x; a latent x is a Gamma, whose statistic log x has the coefficient 0 here."""
    return rate.log - rate.mean * x.mean + 0.0 * x.log


def reported(rate: Any) -> dict[str, Any]:
    return {"shape": np.ones_like(rate), "rate": rate}


FACTOR = Factor(
    name="Exponential",
    family="Gamma",
    parameters=("rate",),
    slots={"x": ("mean", "log"), "rate": ("mean", "log")},
    energy=energy,
    reported=reported,
)
