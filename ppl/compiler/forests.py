"""Nested plates as a forest: a Gaussian block whose numbers meet only a parent each, and a few numbers that all may meet.

Variables over the same plates are a tier, their numbers at one member a node. A tier hangs on another where every member of it meets one
member of the other alone (pupils in classes in schools, the levels of a pyramid). What is small and meets everything (a common mean,
coefficients, offsets) is the border. Such blocks are eliminated from the leaves in linear time, whatever their size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.chains import LARGEST_BORDER, SMALL
from ppl.compiler.forms import Atom, SmoothAtom
from ppl.compiler.joining import joining_forms, own_atoms
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.families.gaussian_forest import Waves

WIDEST = 64  # numbers at one node

Parents = dict[int, tuple[int, np.ndarray]]  # of each tier that hangs on another: which, and pairs of members and their parents


@dataclass(frozen=True)
class Forest:
    """`first` is the first node of each variable that has nodes, `axes` are the axes of its plates that run over them; variables
    without are the border, of `border` numbers."""

    first: dict[str, int]
    axes: dict[str, tuple[int, ...]]
    lengths: dict[str, tuple[int, ...]]  # of these axes
    width: int
    border: int
    ends: tuple[int, ...]  # of the waves of nodes, the deepest first
    parents: np.ndarray = field(repr=False)

    @property
    def nodes(self) -> int:
        return self.ends[-1]

    @property
    def waves(self) -> Waves:
        return Waves(self.ends, self.parents)

    @property
    def signature(self) -> tuple:
        return tuple(self.first.items()), tuple(self.axes.items()), self.width, self.border, self.ends, self.parents.tobytes()

    def node(self, name: str, index: Sequence[Plated]) -> Plated:
        """The node of a variable's entries, running where the entries do."""
        return _node(self.first[name], [index[k] for k in self.axes[name]], self.lengths[name])


@dataclass(frozen=True)
class _Tier:
    """Variables over the same plates."""

    variables: tuple[LatentVariable, ...]
    axes: dict[str, tuple[int, ...]]
    lengths: tuple[int, ...]

    @property
    def members(self) -> int:
        return prod(self.lengths)

    @property
    def width(self) -> int:
        return sum(prod(v.event) for v in self.variables)


def forest_of(
    variables: Sequence[LatentVariable], batch_axes: Mapping[str, tuple[int, ...]], factors: Sequence[LoweredFactor]
) -> Forest | None:
    """The forest that a block's variables form, or None where they form none, or are few enough to stand dense."""
    tiers = sorted(_tiers(variables, batch_axes), key=lambda t: (t.members * t.width, -t.members))
    if sum(t.members * t.width for t in tiers) <= SMALL:
        return None
    pairs, clashing = _meetings(tiers, factors)
    found: list[Forest] = []
    for count in range(len(tiers)):
        border, inside = tiers[:count], range(count, len(tiers))
        numbers = sum(t.members * t.width for t in border)
        if numbers > LARGEST_BORDER or any(v.given is not None for t in border for v in t.variables):
            break
        parents = None if clashing & set(inside) else _rooted(inside, pairs)
        if parents is not None and max(tiers[k].width for k in inside) <= WIDEST:
            found.append(_laid_out(tiers, inside, parents, numbers))
    return min(found, key=lambda f: f.nodes * f.width * (f.width + f.border), default=None)


def _tiers(variables: Sequence[LatentVariable], batch_axes: Mapping[str, tuple[int, ...]]) -> list[_Tier]:
    found: dict[tuple, list[LatentVariable]] = {}
    axes = {v.name: tuple(k for k in range(len(v.plates)) if k not in batch_axes[v.name]) for v in variables}
    for v in variables:
        found.setdefault(tuple((v.labels[k], v.plates[k]) for k in axes[v.name]), []).append(v)
    return [_Tier(tuple(own), {v.name: axes[v.name] for v in own}, tuple(n for _, n in key)) for key, own in found.items()]


def _node(first: int, index: Sequence[Plated], lengths: Sequence[int]) -> Plated:
    dims = tuple(dict.fromkeys(d for i in index for d in i.dims))
    total = np.full((1,) * len(dims), first)
    for i, stride in zip(index, [prod(lengths[k + 1 :]) for k in range(len(lengths))], strict=True):
        total = total + i.arranged(dims) * stride
    flat = total.ravel()
    runs = bool(dims) and flat.size > 0 and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size))
    return Plated(dims, total, start=int(flat[0]) if runs else None)


# ------------------------------------------------------------------ what meets
def _meetings(tiers: Sequence[_Tier], factors: Sequence[LoweredFactor]) -> tuple[dict[tuple[int, int], list[np.ndarray]], set[int]]:
    """For each pair of tiers the pairs of members that meet; and the tiers of which different members meet."""
    found: dict[tuple[int, int], list[np.ndarray]] = {}
    where = {v.name: k for k, tier in enumerate(tiers) for v in tier.variables}
    clashing: set[int] = set()
    for factor in factors:
        terms = [*factor.terms(), *(t for form in joining_forms(factor) for t in form.terms)]
        clashing |= {where[n] for t in terms for a in t.atoms for n in a.variables if n in where and _spread(tiers[where[n]], n, a)}
        for form in joining_forms(factor):
            placed = sorted(((where[a.variable], a) for a in own_atoms(form, where)), key=lambda p: p[0])
            for (k, a), (m, b) in itertools.combinations([p for p in placed if p[0] not in clashing], 2):
                both = _side_by_side(tiers[k], a, tiers[m], b)
                if k != m:
                    found.setdefault((k, m), []).append(both)
                elif np.any(both[0] != both[1]):
                    clashing.add(k)
    return found, clashing


def _spread(tier: _Tier, name: str, atom: Atom | SmoothAtom) -> bool:
    """Whether one value takes entries of several members."""
    return isinstance(atom, Atom) and any(atom.index[k].rank for k in tier.axes[name])


def _side_by_side(one: _Tier, a: Atom, other: _Tier, b: Atom) -> np.ndarray:
    """The members that two atoms of a form are at, (2, meetings), each pair once."""
    first, second = (_node(0, [x.index[k] for k in t.axes[x.variable]], t.lengths) for t, x in ((one, a), (other, b)))
    dims = tuple(dict.fromkeys((*first.dims, *second.dims)))
    flat = np.stack([x.ravel() for x in np.broadcast_arrays(first.arranged(dims), second.arranged(dims))])
    return np.stack(np.divmod(np.unique(flat[0] * other.members + flat[1]), other.members))


# ------------------------------------------------------------------ who hangs on whom
def _rooted(inside: Sequence[int], pairs: Mapping[tuple[int, int], list[np.ndarray]]) -> Parents | None:
    """For each tier that is no root the tier that it hangs on, and which member of that each of its members does; None
    if they form no forest."""
    meets = {(a, b): np.concatenate(found, axis=1) for (a, b), found in pairs.items() if a in inside and b in inside}
    meets |= {(b, a): found[::-1] for (a, b), found in meets.items()}
    parents: Parents = {}
    left = list(inside)
    while left:
        trees = ((root, _grown(root, left, meets)) for root in reversed(left))
        root, below = next(((root, below) for root, below in trees if below is not None), (None, {}))
        if root is None:
            return None
        parents |= below
        left = [k for k in left if k != root and k not in below]
    return parents


def _grown(root: int, tiers: Sequence[int], meets: Mapping[tuple[int, int], np.ndarray]) -> Parents | None:
    """The tree of tiers that hangs on this root, or None where some tier of it would have two parents or a member of it two."""
    below: Parents = {}
    queue = [(root, -1)]
    while queue:
        tier, above = queue.pop()
        for other in (k for k in tiers if (k, tier) in meets and k != above):
            members, parents = meets[other, tier]
            if other == root or other in below or (np.unique(members).size != members.size and _several(members, parents)):
                return None
            below[other] = (tier, np.stack([members, parents]))
            queue.append((other, tier))
    return below


def _several(members: np.ndarray, parents: np.ndarray) -> bool:
    """Whether some member has several parents."""
    order = np.lexsort((parents, members))
    members, parents = members[order], parents[order]
    return bool(np.any((members[1:] == members[:-1]) & (parents[1:] != parents[:-1])))


def _laid_out(tiers: Sequence[_Tier], inside: Sequence[int], parents: Parents, border: int) -> Forest:
    """Nodes side by side, the deepest tiers first."""

    def depth(tier: int) -> int:
        return 1 + depth(parents[tier][0]) if tier in parents else 0

    order = sorted(inside, key=lambda k: -depth(k))
    starts = dict(zip(order, itertools.accumulate((tiers[k].members for k in order), initial=0), strict=False))
    ends = tuple(starts[last] + tiers[last].members for last in _lasts(order, depth))
    above = np.zeros(ends[-1], int)
    for tier in order:
        if tier in parents:
            of, (members, places) = parents[tier][0], parents[tier][1]
            own = np.full(tiers[tier].members, starts[of])  # one that meets nothing hangs on any
            own[members] = starts[of] + places
            above[starts[tier] : starts[tier] + tiers[tier].members] = own
    chosen = [(k, v) for k in order for v in tiers[k].variables]
    return Forest(
        {v.name: starts[k] for k, v in chosen},
        {v.name: tiers[k].axes[v.name] for k, v in chosen},
        {v.name: tiers[k].lengths for k, v in chosen},
        max(tiers[k].width for k in order),
        border,
        ends,
        above,
    )


def _lasts(order: Sequence[int], depth: Callable[[int], int]) -> Iterator[int]:
    """The last tier of each depth."""
    for _, group in itertools.groupby(order, key=depth):
        yield list(group)[-1]
