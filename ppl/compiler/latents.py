"""Latent variables: what of a random variable is not observed, and what a reference to it stands for.

Where only some entries of a variable are latent (others are observed, or predicted afterwards), these stand side by side on one
axis; `lookup` says where each is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.forms import Form, Term
from ppl.compiler.quantities import Featured, Gaussian, NotConjugate, Quantity
from ppl.families.registry import FAMILIES
from ppl.source.text import Span

GAUSSIAN = ("Normal", "MvNormal")
OBSERVED, PREDICTED = -1, -2  # what `lookup` says of entries that are not latent
DISCRETE = ("Bernoulli", "Categorical")


@dataclass(frozen=True)
class LatentVariable:
    """`labels` names the sets of the plates (one label, the variable's own, where it is observed in part)."""

    name: str
    family: str
    labels: tuple[str, ...]
    plates: tuple[int, ...]
    event: tuple[int, ...]
    cardinality: int = 0
    lookup: np.ndarray | None = field(default=None, repr=False)
    span: Span | None = field(default=None, compare=False, repr=False)

    def statistic_shape(self, statistic: str) -> tuple[int, ...]:
        return self.plates + self.event[: FAMILIES[self.family].statistic_rank[statistic]]


def latent_reference(variable: LatentVariable, indices: tuple[Plated, ...]) -> Quantity:
    """The quantity that `variable[indices]` is; the plates that are not indexed become axes of its value."""
    if variable.family in GAUSSIAN:
        return Gaussian(_statistic_form(variable, "mean", indices))
    statistics = FAMILIES[variable.family].statistic_rank
    if len(indices) > len(variable.plates) and len(set(statistics.values())) > 1:
        raise NotConjugate(f"an entry of a {variable.family} variable")
    return Featured({s: _statistic_form(variable, s, indices) for s in statistics}, f"a {variable.family} variable")


def _statistic_form(variable: LatentVariable, statistic: str, indices: tuple[Plated, ...]) -> Form:
    lengths = variable.statistic_shape(statistic)
    full = [*indices, *(Plated((), np.arange(n)) for n in lengths[len(indices) :])]
    shape = tuple(s for i in full for s in i.shape)
    placed, before = [], 0
    for index in full:
        if index.rank:
            after = len(shape) - before - index.rank
            data = index.data.reshape(index.data.shape[: len(index.dims)] + (1,) * before + index.shape + (1,) * (after + 1))
            placed.append(Plated(index.dims, np.broadcast_to(data, data.shape[: len(index.dims)] + (*shape, 1))))
            before += index.rank
        else:
            placed.append(index)
    term = Term(variable.name, statistic, tuple(placed), Plated((), np.ones((*shape, 1))))
    return Form(Plated((), np.zeros(shape)), (term,))
