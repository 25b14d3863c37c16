"""The Binomial distribution: successes in a known number of trials."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated
from ppl.factors.factor import Factor


def energy(x: Any, n: Any, p: Any) -> Plated:
    """E x · E log p + (n - E x) · E log(1 - p); the coefficient C(n, x) is the base measure."""
    return x.mean * p.log + (n.value - x.mean) * p.log1m


def base_measure(x: Any, n: Any) -> Any:
    from scipy.special import gammaln

    return gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)


FACTOR = Factor(
    name="Binomial",
    family="Binomial",
    parameters=("n", "p"),
    slots={"x": ("mean",), "n": ("value",), "p": ("log", "log1m")},
    conversions={"logit": ("p", (("sigmoid",),))},
    energy=energy,
    base_measure=base_measure,
)
