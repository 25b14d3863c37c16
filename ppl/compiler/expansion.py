"""Parameter expansion: changes of variables that no likelihood sees, found in the graph.

Where an axis of a latent X is summed against an axis of another latent C, `C X = (C R⁻¹)(R X)` for every invertible R: only the priors
know R, and coordinate ascent finds it slowly. A group is such an axis wherever it stands: each variable has it with a sign, + where
it is turned by R and - where by R⁻ᵀ. It is kept where every statement either does not see R or is turned as a whole (Luttinen &
Ilin 2010; of dynamics, whose matrix turns on both its axes, Luttinen 2013). Values that are multiplied have a group too: a scale.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import Block
from ppl.compiler.forms import Atom, Form, Term
from ppl.compiler.latents import GAUSSIAN, LatentVariable
from ppl.compiler.lowering import LoweredFactor, SecondMoment, terms_of

LARGEST = 32  # size of an axis that is turned
LARGEST_INSIDE = 1024  # numbers of a block's member in which it is
WHOLE = -1  # instead of an axis: the value is scaled

Place = str | int  # of a residual: a plate, or an axis of its value
Roles = tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
Signs = dict[tuple[str, int], int]  # of axes of variables


@dataclass(frozen=True)
class Moved:
    """A factor whose residual is turned: the places of the residual that are, each with its sign; none where it is scaled by Rᵈ."""

    factor: int
    places: tuple[tuple[Place, int], ...]
    degree: int = 0


@dataclass(frozen=True)
class Expansion:
    """`roles` says of each variable which of its axes are turned by a matrix of this size, with their signs."""

    size: int
    roles: Roles
    moved: tuple[Moved, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.roles)

    def __str__(self) -> str:
        what = "scale" if self.roles[0][1][0][0] == WHOLE else f"{self.size} × {self.size} rotations"
        return f"{what} of {', '.join(self.variables)}"


class _Seen(Exception):
    """A statement sees the group."""


def find_expansions(
    latents: Mapping[str, LatentVariable], blocks: Sequence[Block], factors: Sequence[LoweredFactor]
) -> tuple[Expansion, ...]:
    """The groups of a model, none of whose axes is in two of them."""
    found: list[Expansion] = []
    seen: set[tuple[str, int]] = set()
    for seed in _seeds(latents, factors):
        if seen & set(seed):
            continue
        try:
            signs = _spread(seed, latents, factors)
            one = _expansion(signs, latents, blocks, factors)
        except _Seen:
            continue
        if seen.isdisjoint(signs):
            seen |= set(signs)
            found.append(one)
    for pair in _products(factors):
        if not any(set(pair) & set(e.variables) for e in found):
            try:
                found.append(_expansion({(pair[0], WHOLE): 1, (pair[1], WHOLE): -1}, latents, blocks, factors))
            except _Seen:
                continue
    return tuple(found)


def untied(blocks: Sequence[Block], expansions: Sequence[Expansion]) -> tuple[Block, ...]:
    """The blocks, those apart whose members a rotation mixes: their covariances are no longer alike."""
    mixed = {name: {axis for axis, _ in axes} for e in expansions for name, axes in e.roles}

    def one(block: Block) -> Block:
        names = [n for n in block.variables if n in mixed]
        tied = tuple(t and not any(block.batch_axes[n][k] in mixed[n] for n in names) for k, t in enumerate(block.tied))
        return replace(block, tied=tied)

    return tuple(one(b) for b in blocks)


# ------------------------------------------------------------------ where an index runs
def _run(index: Plated, shape: tuple[int, ...]) -> tuple[Place, int] | None:
    """The plate or the axis of the term along which an index runs over 0, 1, …, and how far."""
    data = index.data
    if index.dims:
        whole = len(index.dims) == 1 and data.size == data.shape[0] and np.array_equal(data.ravel(), np.arange(data.size))
        return (index.dims[0], data.size) if whole else None
    if data.ndim != len(shape):
        return None
    for axis, size in enumerate(shape):
        steps = np.arange(size).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        if size > 1 and np.array_equal(np.broadcast_to(data, shape), np.broadcast_to(steps, shape)):
            return axis, size
    return None


def _varies(value: Plated, place: Place, shape: tuple[int, ...]) -> bool:
    """Whether a coefficient or an index depends on a plate, or on an axis of its term."""
    if isinstance(place, str):
        return place in value.dims
    if not value.rank:
        return False
    data = value.data.reshape(value.data.shape[: len(value.dims)] + (1,) * (len(shape) - value.rank) + value.shape)
    axis = len(value.dims) + place
    return bool(data.shape[axis] > 1 and np.ptp(data, axis=axis).any())


def _along(term: Term, place: Place) -> list[tuple[str, int]]:
    """The axes of variables that run along a place of a term; raises where anything else depends on it."""
    shape, found = term.coefficient.shape, []
    if _varies(term.coefficient, place, shape):
        raise _Seen
    for atom in term.atoms:
        if not isinstance(atom, Atom):
            raise _Seen
        for axis, index in enumerate(atom.index):
            run = _run(index, shape)
            if run is not None and run[0] == place:
                found.append((atom.variable, axis))
            elif _varies(index, place, shape):
                raise _Seen
    return found


# ------------------------------------------------------------------ the group
def _residuals(factors: Sequence[LoweredFactor]) -> Iterator[tuple[int, LoweredFactor, SecondMoment]]:
    for k, factor in enumerate(factors):
        for feature in factor.slots.get("residual", {}).values():
            if isinstance(feature, SecondMoment):
                yield k, factor, feature


def _seeds(latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    """Pairs of axes that are summed against each other."""
    for _, _, feature in _residuals(factors):
        for term in feature.form.terms:
            if len(term.atoms) < 2 or term.coefficient.shape[-1] < 2:
                continue
            try:
                summed = _along(term, len(term.coefficient.shape) - 1)
            except _Seen:
                continue
            if len(summed) == 2 and summed[0][0] != summed[1][0]:
                yield summed[0], summed[1]


def _products(factors: Sequence[LoweredFactor]) -> list[tuple[str, str]]:
    """Pairs of variables that are multiplied."""
    pairs: dict[tuple[str, str], None] = {}
    for _, _, feature in _residuals(factors):
        for term in feature.form.terms:
            pairs |= dict.fromkeys(itertools.combinations(term.variables, 2))
    return list(pairs)


def _spread(
    seed: tuple[tuple[str, int], tuple[str, int]], latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]
) -> Signs:
    """The signs of all axes that turn together with two that are summed against each other."""
    signs: Signs = {seed[0]: 1, seed[1]: -1}
    before = 0
    while len(signs) > before:
        before = len(signs)
        for _, _, feature in _residuals(factors):
            _turned(feature.form, signs)
    return signs


def _turned(form: Form, signs: Signs) -> dict[Place, int]:
    """The places of a form that are turned, with their signs; axes that turn with them are added to `signs`. Raises where it sees R."""
    places: dict[Place, int] = {}
    for term in form.terms:
        shape = term.coefficient.shape
        for atom in term.atoms:
            own = [(axis, sign) for (name, axis), sign in signs.items() if name in atom.variables]
            for axis, sign in own:
                run = _run(atom.index[axis], shape) if isinstance(atom, Atom) else None
                if run is None:
                    raise _Seen
                if run[0] != len(shape) - 1:
                    _agree(places, run[0], sign)
                    continue
                summed = _along(term, run[0])
                if len(summed) != 2 or summed[0][0] == summed[1][0]:
                    raise _Seen
                (other,) = [s for s in summed if s != (atom.variables[0], axis)]
                _agree(signs, other, -sign)
    for place, sign in places.items():
        for term in form.terms:
            carrying = _along(term, place)
            if len(carrying) != 1:
                raise _Seen
            _agree(signs, carrying[0], sign)
    return places


def _agree(signs: dict, key: object, sign: int) -> None:
    if signs.setdefault(key, sign) != sign:
        raise _Seen


def _expansion(signs: Signs, latents: Mapping[str, LatentVariable], blocks: Sequence[Block], factors: Sequence[LoweredFactor]) -> Expansion:
    """The expansion of a group; raises where a statement sees it, or a block cannot hold what it makes of it."""
    names = {name for name, _ in signs}
    scaled = all(axis == WHOLE for _, axis in signs)
    moved = []
    for k, factor in enumerate(factors):
        if not names & set(factor.variables):
            continue
        feature = _only_residual(factor, names)
        places = {} if scaled else _turned(feature.form, dict(signs))
        degree = _degree(feature.form, signs) if scaled else 0
        if places or degree:
            if np.any(feature.form.offset.data) or any(not names & set(t.variables) for t in feature.form.terms):
                raise _Seen
            moved.append(Moved(k, tuple(places.items()), degree))
    sizes = {1 if scaled else (latents[n].plates + latents[n].event)[axis] for n, axis in signs}
    if len(sizes) > 1 or max(sizes) > LARGEST or not moved:
        raise _Seen
    roles = tuple((n, tuple((axis, s) for (m, axis), s in signs.items() if m == n)) for n in latents if n in names)
    for block in blocks:
        _check_block(block, {n: axes for n, axes in roles if n in block.variables}, latents, factors)
    return Expansion(sizes.pop(), roles, tuple(moved))


def _only_residual(factor: LoweredFactor, names: set[str]) -> SecondMoment:
    """The second moment of a factor's residual, the only place in it where these variables are."""
    touching = [s for s, fs in factor.slots.items() for f in fs.values() for t in terms_of(f) if names & set(t.variables)]
    features = list(factor.slots.get("residual", {}).values())
    if set(touching) != {"residual"} or factor.enumerations or len(features) != 1:
        raise _Seen
    (feature,) = features
    if not isinstance(feature, SecondMoment) or feature.spread is not None or feature.rows:
        raise _Seen
    return feature


def _degree(form: Form, signs: Signs) -> int:
    """The power of the scale by which a form is multiplied."""
    degrees = {sum(signs.get((v, WHOLE), 0) for v in term.variables) for term in form.terms}
    if np.any(form.offset.data):
        degrees.add(0)
    if len(degrees) != 1:
        raise _Seen
    return degrees.pop()


def _check_block(
    block: Block, roles: Mapping[str, Sequence[tuple[int, int]]], latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]
) -> None:
    """Raises where the block's posterior would have no form after the change."""
    if not roles:
        return
    inside = block.chain.lag * block.chain.width if block.chain is not None else block.size
    plain = (
        block.kind in ("Gaussian", "Gaussian chain")
        and not block.point
        and block.absent is None
        and block.members is None
        and inside <= LARGEST_INSIDE
    )
    whole = all(latents[n].family in GAUSSIAN and latents[n].lookup is None and latents[n].given is None for n in roles)
    if not plain or not whole or any(n not in block.chain.times for n in roles if block.chain is not None):
        raise _Seen
    for name, axes in roles.items():
        taken = (block.chain.times[name],) if block.chain is not None else ()
        mixed = [axis for axis, _ in axes if axis in block.batch_axes[name]]
        if any(axis in taken for axis, _ in axes) or (mixed and (len(block.variables) > 1 or len(mixed) > 1 or block.chain is not None)):
            raise _Seen
        if any((name, axis) in _summed_axes(factors) for axis in mixed):
            raise _Seen


def _summed_axes(factors: Sequence[LoweredFactor]) -> set[tuple[str, int]]:
    """Axes that run along the sum of a term: a member of a batch has no covariance with the next one there."""
    found = set()
    for _, _, feature in _residuals(factors):
        for term in feature.form.terms:
            last = len(term.coefficient.shape) - 1
            for atom in term.atoms:
                runs = [_run(i, term.coefficient.shape) for i in atom.index] if isinstance(atom, Atom) else []
                found |= {(atom.variables[0], axis) for axis, run in enumerate(runs) if run is not None and run[0] == last}
    return found
