"""Enumerations: a discrete latent variable in a statement is a plate over its states, one for each place of it.

Where two references are to the same member for some members of the plates and not for others, these are split: a place is never
counted twice. What reads many members at once (a sum over them, a whole vector) has a plate for each.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, elementwise, indices, running, stack
from ppl.compiler.latents import LatentVariable
from ppl.compiler.quantities import NotConjugate
from ppl.graph.evaluate import Evaluator
from ppl.graph.functions import reduce_plates
from ppl.semantics import typed

LARGEST_SUM = 2**16  # joint states of the discrete variables in one factor

Loops = dict[str, Plated]


class Mixed(Exception):
    """A reference that is known for some members of a plate and latent for others."""

    def __init__(self, known_entries: Plated):
        self.known_entries = known_entries


@dataclass(frozen=True)
class Enumeration:
    """A plate that runs over the states of a discrete latent variable, at this place of its plates."""

    dim: str
    variable: str
    index: tuple[Plated, ...]
    size: int


class EnumeratingEvaluator(Evaluator):
    """Evaluation in which discrete latent variables are enumerated; `enumerations` holds those so far, by their plates."""

    enumerations: dict[str, Enumeration]

    def enumerate(self, variable: LatentVariable, index: tuple[Plated, ...]) -> Plated:
        """The plate over the states of a discrete variable at this place."""
        own = [e for e in self.enumerations.values() if e.variable == variable.name]
        for found in own:
            same = coincide(found.index, index)
            if same is True:
                return running(found.dim, 0, found.size)
            if isinstance(same, Plated):
                raise Mixed(same)
        states = math.prod(e.size for e in self.enumerations.values()) * variable.cardinality
        if states > LARGEST_SUM:
            raise NotConjugate(f"a sum over {states} joint states")
        made = Enumeration(f"{variable.name}={len(own) or ''}", variable.name, index, variable.cardinality)
        self.enumerations[made.dim] = made
        return running(made.dim, 0, made.size)

    def enumerate_all(self, variable: LatentVariable, index: tuple[Plated, ...]) -> Plated:
        """Many members of a discrete variable as the axes of one value: each is a place of its own."""
        full = [*index, *(Plated((), np.arange(n)) for n in variable.plates[len(index) :])]
        shape = tuple(n for i in full for n in i.shape)
        if variable.cardinality ** math.prod(shape) > LARGEST_SUM:
            raise NotConjugate(f"`{variable.name}` over a whole plate at once, where its members are latent")
        members = []
        for place in np.ndindex(shape):
            own, rest = [], place
            for one in full:
                own.append(Plated(one.dims, one.data[(..., *rest[: one.rank])]) if one.rank else one)
                rest = rest[one.rank :]
            members.append(self.enumerate(variable, tuple(own)))
        flat = stack(members)
        return flat.map(lambda a: a.reshape(a.shape[: len(flat.dims)] + shape))

    def comprehension(self, e: typed.Comprehension, loops: Mapping[str, Plated]) -> Any:
        """One member after the other, where each reads a discrete latent variable at a place of its own."""

        def at_once() -> Any:
            return super(EnumeratingEvaluator, self).comprehension(e, loops)

        def combined(values: list[Any]) -> Any:
            if all(isinstance(v, Plated) for v in values):
                return reduce_plates(e.function, stack(values).axis_to_dim(0, "member"), ["member"])
            if e.function not in ("sum", "prod"):
                raise NotConjugate(f"`{e.function}` of values that are latent")
            return functools.reduce(lambda a, b: self.call("add" if e.function == "sum" else "multiply", [a, b], e.span), values)

        def one_by_one() -> Any:
            inner = dict(loops)
            for loop in e.loops:
                inner[loop.name] = self.loop_index(loop, inner)
            own = {loop.name: inner[loop.name] for loop in e.loops}
            return combined([self.body_of(e, {**loops, **constants}) for constants in members_of(own)])

        return self.apart(at_once, one_by_one, {d for i in loops.values() for d in i.dims})

    def apart(self, at_once: Callable[[], Any], one_by_one: Callable[[], Any], outer: set[str]) -> Any:
        """A value computed over plates of its own; member by member where a place of a discrete latent variable depends on them."""
        before = dict(self.enumerations)
        try:
            value = at_once()
        except Mixed as mixed:
            if set(mixed.known_entries.dims) <= outer:
                raise
        else:
            made = [m for dim, m in self.enumerations.items() if dim not in before]
            if all(d in outer or d in self.enumerations for m in made for i in m.index for d in i.dims):
                return value
        self.enumerations = before
        return one_by_one()


def members_of(loops: Mapping[str, Plated]) -> list[Loops]:
    """Each combination of the loops' members, as constants."""
    places = itertools.product(*(index.data for index in loops.values()))
    return [{name: Plated((), np.asarray(k)) for name, k in zip(loops, place, strict=True)} for place in places]


def coincide(a: Sequence[Plated], b: Sequence[Plated]) -> bool | Plated:
    """Whether two references to members are to the same one: for all members of the plates, for none, or for which."""
    if same_place(a, b):
        return True
    same = Plated((), np.asarray(True))
    for i, j in zip(a, b, strict=True):
        if i.start is not None and j.start is not None and i.dims == j.dims and i.start != j.start:
            return False
        same = elementwise(np.logical_and, same, elementwise(np.equal, i, j))
    return True if same.data.all() else same if same.data.any() else False


def same_index(a: Plated, b: Plated) -> bool:
    return a.dims == b.dims and a.data.shape == b.data.shape and bool(np.array_equal(a.data, b.data))


def same_place(a: Sequence[Plated], b: Sequence[Plated]) -> bool:
    """Whether two references to members of plates are to the same ones."""
    return len(a) == len(b) and all(same_index(i, j) for i, j in zip(a, b, strict=True))


def indices_of(index: Plated) -> Plated:
    """The index again, known as running where it is."""
    return indices(index.dims[0], index.data) if len(index.dims) == 1 else index


# ------------------------------------------------------------------ parts of a plate
def split_until_plain(loops: Loops, lower: Callable[[Loops], Any]) -> list[Any]:
    """What the members of the loops are lowered to, in as many parts as it takes until none is mixed; None is left out."""
    pending, lowered = [loops], []
    while pending:
        part = pending.pop()
        if any(index.data.size == 0 for index in part.values()):
            continue
        try:
            one = lower(part)
        except Mixed as mixed:
            if not set(mixed.known_entries.dims) <= {d for index in part.values() for d in index.dims}:
                raise NotConjugate("a sum over members of which some are latent") from None
            pending.extend(_split(part, mixed.known_entries))
            continue
        if one is not None:
            lowered.append(one)
    return lowered[::-1]


def _split(loops: Loops, known_entries: Plated) -> list[Loops]:
    """Both parts of the loops' members: where the reference is latent, and where it is known."""
    dims = tuple(dict.fromkeys(d for index in loops.values() for d in index.dims))
    sizes = {d: n for index in loops.values() for d, n in index.sizes.items()}
    mask = known_entries.arranged(dims, sizes)
    varying = [d for k, d in enumerate(dims) if (mask.max(axis=k) != mask.min(axis=k)).any()]
    if len(varying) == 1:  # the other plates stay whole
        dims, mask = (varying[0],), np.moveaxis(mask, dims.index(varying[0]), 0).reshape(sizes[varying[0]], -1)[:, 0]
    parts = []
    for value in (False, True):
        rows = np.nonzero(mask == value)
        place = dict(zip(dims, rows, strict=True))
        parts.append({key: _taken(index, place, "·".join(dims)) for key, index in loops.items()})
    return parts


def _taken(index: Plated, place: Mapping[str, np.ndarray], name: str) -> Plated:
    if not set(index.dims) & set(place):
        return index
    return indices(name, index.data[tuple(place[d] for d in index.dims)])
