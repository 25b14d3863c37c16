"""Discrete structure: which places of discrete variables meet in factors, and by what their joint posterior is summed exactly.

A factor asks a structured block for one array of probabilities, over the states of all the places that it holds: a *pattern*.
Factors that hold the same places share it. Along a plate whose member no table knows, a pattern holds the average alone, so
that a transition that is the same at every step is one matrix, however many steps there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.enumerations import Enumeration, same_index
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor

Cell = tuple[str, tuple[int, ...]]
"""A variable, and where it stands along the axes that are neither plates kept apart nor time."""


@dataclass(frozen=True)
class Pattern:
    """Joint probabilities of these places over plates of the lengths `sizes`; `kept` are those whose members are told apart."""

    variables: tuple[str, ...]
    index: tuple[tuple[Plated, ...], ...] = field(repr=False)
    sizes: tuple[int, ...]
    kept: tuple[bool, ...]
    cardinalities: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*(n for n, kept in zip(self.sizes, self.kept, strict=True) if kept), *self.cardinalities)

    @property
    def average_of(self) -> int:
        """How many members one entry is the average of."""
        return math.prod(n for n, kept in zip(self.sizes, self.kept, strict=True) if not kept)

    @property
    def signature(self) -> tuple:
        return self.variables, self.sizes, self.kept, self.cardinalities

    def like(self, other: Pattern) -> bool:
        if self.signature != other.signature:
            return False
        return all(same_index(i, j) for a, b in zip(self.index, other.index, strict=True) for i, j in zip(a, b, strict=True))


@dataclass(frozen=True)
class Asked:
    """A factor's pattern, with the factor's own names: of the plates that are kept, and of those over states."""

    pattern: Pattern
    plates: tuple[str, ...]
    states: tuple[str, ...]


def asked_of(factor: LoweredFactor, variables: Sequence[str]) -> Asked | None:
    """What a factor asks of a block of these variables."""
    own = [e for e in factor.enumerations if e.variable in variables]
    if not own:
        return None
    sizes = {d: n for e in own for i in e.index for d, n in i.sizes.items()}
    others = [e for e in factor.enumerations if e.variable not in variables]
    telling = {d for f in (*factor.features(), factor.weight, *(i for e in others for i in e.index)) for d in f.dims}
    telling |= {e.dim for e in others}
    names = {d: str(k) for k, d in enumerate(sizes)}
    index = tuple(tuple(replace(i, dims=tuple(names[d] for d in i.dims)) for i in e.index) for e in own)
    kept = tuple(d in telling for d in sizes)
    pattern = Pattern(tuple(e.variable for e in own), index, tuple(sizes.values()), kept, tuple(e.size for e in own))
    return Asked(pattern, tuple(d for d in sizes if d in telling), tuple(e.dim for e in own))


def patterns_of(factors: Sequence[LoweredFactor], variables: Sequence[str]) -> tuple[Pattern, ...]:
    """The different patterns that the factors ask for."""
    found: list[Pattern] = []
    for factor in factors:
        asked = asked_of(factor, variables)
        if asked is not None and not any(asked.pattern.like(p) for p in found):
            found.append(asked.pattern)
    return tuple(found)


@dataclass(frozen=True)
class Places:
    """Where the members of a pattern stand: for each of its places the position along some axes, over the pattern's plates."""

    axes: tuple[tuple[Plated, ...], ...]  # by place, then axis

    @property
    def alike(self) -> bool:
        return all(same_index(i, j) for place in self.axes[1:] for i, j in zip(self.axes[0], place, strict=True))


def places(pattern: Pattern, axes: dict[str, tuple[int, ...]]) -> Places:
    return Places(tuple(tuple(index[k] for k in axes[v]) for v, index in zip(pattern.variables, pattern.index, strict=True)))


def over_members(index: Plated, pattern: Pattern) -> np.ndarray:
    """An index at every member of the pattern's plates, in their order."""
    names = tuple(str(k) for k in range(len(pattern.sizes)))
    return index.arranged(names, dict(zip(names, pattern.sizes, strict=True))).ravel()


def whole(index: Plated, length: int) -> bool:
    """Whether an index runs over all of an axis, in order, with a plate of its own."""
    return index.start == 0 and index.data.shape == (length,)


def common_labels(variables: Sequence[LatentVariable]) -> list[str]:
    """Names of plates that every one of the variables has, once and of one length."""
    found = []
    for label in variables[0].labels:
        at = [[n for one, n in zip(v.labels, v.plates, strict=True) if one == label] for v in variables]
        if all(len(lengths) == 1 for lengths in at) and len({lengths[0] for lengths in at}) == 1:
            found.append(label)
    return found


def axes_of(variables: Sequence[LatentVariable], labels: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {v.name: tuple(v.labels.index(label) for label in labels) for v in variables}


def batch_labels(variables: Sequence[LatentVariable], patterns: Sequence[Pattern]) -> list[str]:
    """The plates whose members never meet."""
    return [label for label in common_labels(variables) if all(places(p, axes_of(variables, [label])).alike for p in patterns)]


def cells_of(variables: Sequence[LatentVariable], gone: Sequence[str]) -> tuple[Cell, ...]:
    """One cell for each entry of the variables along the axes that are left."""
    found: list[Cell] = []
    for v in variables:
        lengths = [n for label, n in zip(v.labels, v.plates, strict=True) if label not in gone]
        found += [(v.name, place) for place in np.ndindex(*lengths)]
    return tuple(found)


def cell_numbers(pattern: Pattern, variables: Sequence[LatentVariable], gone: Sequence[str], cells: Sequence[Cell]) -> list[np.ndarray]:
    """For each place of the pattern which cell it is, at every member."""
    number = {}
    for k, (name, _) in enumerate(cells):
        number.setdefault(name, k)  # a variable's cells follow each other, the last axis fastest
    named, found = {v.name: v for v in variables}, []
    for name, index in zip(pattern.variables, pattern.index, strict=True):
        v, total = named[name], np.zeros(math.prod(pattern.sizes), int)
        for k, (label, length) in enumerate(zip(v.labels, v.plates, strict=True)):
            if label not in gone:
                total = total * length + over_members(index[k], pattern)
        found.append(total + number[name])
    return found


def selects(one: Enumeration, other: Enumeration) -> bool:
    """Whether the state of one discrete variable says which member of the other is meant: no structure holds both."""
    return any(one.dim in i.dims for i in other.index)


def is_single_table(variables: Sequence[LatentVariable], factors: Sequence[LoweredFactor], largest: int) -> bool:
    """Whether the variables meet at the same members of equal plates only: then they are one table for each member."""
    names = [v.name for v in variables]
    if any((v.labels, v.plates) != (variables[0].labels, variables[0].plates) for v in variables):
        return False
    if math.prod(v.cardinality for v in variables) > largest:
        return False
    axes = {v.name: tuple(range(len(v.plates))) for v in variables}
    return all(places(p, axes).alike for p in patterns_of(factors, names))
