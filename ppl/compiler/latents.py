"""Latent variables: what of a random variable is not observed, and what a reference to it stands for.

Where only some entries of a variable are latent (others are observed, or predicted afterwards), these stand side by side on one
axis; `lookup` says where each is. A discrete variable of a structure keeps its axes: a box of its entries, observed ones among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ppl.arrays.plated import Plated, known
from ppl.compiler.forms import Atom, Form, Term
from ppl.compiler.quantities import Featured, Gaussian, NotConjugate, Quantity
from ppl.families.registry import FAMILIES, NUMERIC
from ppl.graph.evaluate import index_value
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
    corner: tuple[int, ...] | None = None  # where the latent entries are a box of the plates: its first entry
    evidence: np.ndarray | None = field(default=None, repr=False)  # of a discrete one: the states of observed entries, else -1
    given: np.ndarray | None = field(default=None, repr=False)  # of vectors that are observed in part: their numbers, else NaN
    prior: str = ""  # of one without a named family: that of its prior, where it has a name
    statistics: tuple[str, ...] = ()  # and those that statements ask for
    span: Span | None = field(default=None, compare=False, repr=False)

    def statistic_shape(self, statistic: str) -> tuple[int, ...]:
        return self.plates + self.event[: statistics_of(self.family)[statistic]]


def latent_reference(variable: LatentVariable, indices: tuple[Plated, ...]) -> Quantity:
    """The quantity that `variable[indices]` is; the plates that are not indexed become axes of its value."""
    if variable.family in GAUSSIAN:
        form = _statistic_form(variable, "mean", indices)
        return Gaussian(form if variable.given is None else _with_given(form, index_value(known(variable.given), indices)))
    statistics = statistics_of(variable.family)
    if len(indices) > len(variable.plates) and len(set(statistics.values())) > 1:
        raise NotConjugate(f"an entry of a {variable.family} variable")
    return Featured({s: _statistic_form(variable, s, indices) for s in statistics}, f"a {variable.prior or variable.family} variable")


def statistics_of(family: str) -> Mapping[str, int]:
    """The statistics of a family, each with its axes."""
    return (NUMERIC | FAMILIES)[family].statistic_rank


def _with_given(form: Form, given: Plated) -> Form:
    """The form of vectors some of whose numbers are known."""
    return form.scale(given.map(lambda a: np.isnan(a) * 1.0)) + given.map(np.nan_to_num)


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
    term = Term((Atom(variable.name, statistic, tuple(placed)),), Plated((), np.ones((*shape, 1))))
    return Form(Plated((), np.zeros(shape)), (term,))
