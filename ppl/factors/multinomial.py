"""The Multinomial distribution: counts of a known total over the members of a set."""

from __future__ import annotations

from typing import Any

from ppl.arrays.plated import Plated, inner
from ppl.factors.factor import Factor


def energy(x: Any, n: Any, p: Any) -> Plated:
    """Σ_k E x_k · E log p_k; the coefficient n! / Π x_k! is the base measure."""
    return inner(x.mean, p.log) + 0.0 * n.value


def base_measure(x: Any, n: Any) -> Any:
    from scipy.special import gammaln

    return gammaln(x.sum(axis=-1) + 1) - gammaln(x + 1).sum(axis=-1)


FACTOR = Factor(
    name="Multinomial",
    family="Multinomial",
    parameters=("n", "p"),
    slots={"x": ("mean",), "n": ("value",), "p": ("log",)},
    energy=energy,
    base_measure=base_measure,
    event_rank=1,
    parameter_rank={"p": 1},
)
