"""The Bernoulli distribution: 0 or 1."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any, p: Any) -> Plated:
    """E x · E log p + (1 - E x) · E log(1 - p)."""
    return x.mean * p.log + (1.0 - x.mean) * p.log1m


FACTOR = Factor(
    name="Bernoulli",
    family="Bernoulli",
    parameters=("p",),
    slots={"x": ("mean",), "p": ("log", "log1m")},
    conversions={"logit": ("p", (("sigmoid",),)), "probit": ("p", (("normal_cdf",),))},
    energy=energy,
)
