"""Chains of discrete variables: one axis is time, and the places of a factor lie a few steps apart along it.

A state of the chain is the joint state of all the cells of a *window* of consecutive steps: of one step where the lag is 1. So a
factor is a potential of a window, or of a window and the next, which differ by one step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.discrete_structure import (
    Cell,
    Pattern,
    axes_of,
    batch_labels,
    cell_numbers,
    cells_of,
    common_labels,
    over_members,
    patterns_of,
    places,
    whole,
)
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.families.discrete_chain import Route, routes

LARGEST_JOINT = 64  # joint states of several cells or steps
LARGEST_PAIRS = 2**28  # numbers, where every step has a matrix of its own


@dataclass(frozen=True)
class Group:
    """Members of a pattern that stand in the chain alike. `slots`: the axis of a window's state (or two windows') of each place.

    `run` is the first window where the members are all batches at consecutive windows, `order` then the pattern's plates in the
    chain's order; elsewhere `members` and `windows` (flat, over batch and windows) name them one by one.
    """

    pair: bool
    slots: tuple[int, ...]
    run: int | None = None
    order: tuple[int, ...] = ()
    members: np.ndarray | None = field(default=None, repr=False)
    windows: np.ndarray | None = field(default=None, repr=False)

    @property
    def signature(self) -> tuple:
        named = () if self.members is None or self.windows is None else (self.members.tobytes(), self.windows.tobytes())
        return self.pair, self.slots, self.run, self.order, named


@dataclass(frozen=True)
class DiscreteChain:
    """`cells` are those of one step; `steps` along the time axis, `window` of them in a state."""

    batch: tuple[int, ...]
    batch_labels: tuple[str, ...]
    steps: int
    window: int
    cells: tuple[Cell, ...]
    cardinalities: tuple[int, ...]  # of the cells
    patterns: tuple[Pattern, ...]
    groups: tuple[tuple[Group, ...], ...] = field(repr=False)
    homogeneous: bool
    tied: bool  # whether the transition is that of all the batch
    times: dict[str, int]  # which axis of each variable is time
    route: Route | None = None  # the only one that its program holds; None where it holds all

    @property
    def signature(self) -> tuple:
        """Everything that a compiled program depends on."""
        patterns = tuple(p.signature for p in self.patterns)
        groups = tuple(g.signature for gs in self.groups for g in gs)
        own = self.batch, self.steps, self.window, self.cells, self.cardinalities, self.homogeneous, self.tied, self.route
        return *own, patterns, groups

    @property
    def routes(self) -> tuple[Route, ...]:
        """From the fastest to the one that is always right."""
        return routes(math.prod(self.batch), self.windows, self.states)

    @property
    def windows(self) -> int:
        return self.steps - self.window + 1

    @property
    def step_states(self) -> int:
        return math.prod(self.cardinalities)

    @property
    def states(self) -> int:
        return self.step_states**self.window

    @property
    def described(self) -> str:
        what = f"chain of {self.steps} steps with {self.step_states} states"
        lag = f", a joint state for {self.window} steps" if self.window > 1 else ""
        return what + lag + ("" if self.homogeneous else ", each step with a table of its own")


def discrete_chain(variables: Sequence[LatentVariable], factors: Sequence[LoweredFactor]) -> DiscreteChain | None:
    """The chain that these variables form along one of their plates: that of the fewest states, if any."""
    patterns = patterns_of(factors, [v.name for v in variables])
    batch = batch_labels(variables, patterns)
    candidates = [label for label in common_labels(variables) if label not in batch]
    found = [c for c in (_along(label, variables, patterns, batch) for label in candidates) if c is not None]
    return min(found, key=lambda c: c.states, default=None)


def _along(time: str, variables: Sequence[LatentVariable], patterns: tuple[Pattern, ...], batch: Sequence[str]) -> DiscreteChain | None:
    times = {name: axes[0] for name, axes in axes_of(variables, [time]).items()}
    steps = variables[0].plates[times[variables[0].name]]
    cells = cells_of(variables, [*batch, time]) if _count(variables, [*batch, time]) <= LARGEST_JOINT else ()
    sizes = {v.name: v.cardinality for v in variables}
    cardinalities = tuple(sizes[name] for name, _ in cells)
    moments = [_moments(p, times) for p in patterns]
    window = max([1, *(int(np.max(np.max(m, axis=0) - np.min(m, axis=0))) for m in moments)])
    states = math.prod(cardinalities) ** window
    if not cells or window >= steps or (states > LARGEST_JOINT and (window > 1 or len(cells) > 1)):
        return None
    batch_axes = axes_of(variables, batch)
    lengths = tuple(variables[0].plates[k] for k in batch_axes[variables[0].name])
    groups = []
    for pattern, at in zip(patterns, moments, strict=True):
        numbers = cell_numbers(pattern, variables, [*batch, time], cells)
        placed = places(pattern, batch_axes).axes[0]
        run = _run(pattern, times, placed, lengths, steps, window, len(cells), [int(n[0]) for n in numbers] if _same(numbers) else None)
        groups.append((run,) if run is not None else tuple(_scattered(pattern, at, numbers, placed, lengths, steps, window, len(cells))))
    pairs = [(p, g) for p, gs in zip(patterns, groups, strict=True) for g in gs if g.pair]
    homogeneous = all(g.run == 0 and _tied_in_time(p, g) and _covers(p, g, steps - window) for p, g in pairs)
    tied = homogeneous and all(not any(p.kept) for p, _ in pairs)
    made = DiscreteChain(lengths, tuple(batch), steps, window, cells, cardinalities, patterns, tuple(groups), homogeneous, tied, times)
    return made if homogeneous or math.prod(lengths) * steps * states**2 <= LARGEST_PAIRS else None


def _count(variables: Sequence[LatentVariable], gone: Sequence[str]) -> int:
    return sum(math.prod(n for label, n in zip(v.labels, v.plates, strict=True) if label not in gone) for v in variables)


def _moments(pattern: Pattern, times: dict[str, int]) -> list[np.ndarray]:
    """When each place is, at every member."""
    return [over_members(index[times[v]], pattern) for v, index in zip(pattern.variables, pattern.index, strict=True)]


def _same(numbers: Sequence[np.ndarray]) -> bool:
    return all((n == n[0]).all() for n in numbers)


def _run(
    pattern: Pattern,
    times: dict[str, int],
    batch: Sequence[Plated],
    lengths: Sequence[int],
    steps: int,
    window: int,
    cells: int,
    numbers: Sequence[int] | None,
) -> Group | None:
    """The one group of a pattern whose members are all batches at consecutive steps."""
    if numbers is None or any(not whole(i, n) for i, n in zip(batch, lengths, strict=True)):
        return None
    when = [index[times[v]] for v, index in zip(pattern.variables, pattern.index, strict=True)]
    if any(i.start is None or i.dims != when[0].dims for i in when):
        return None
    dims = [*(i.dims[0] for i in batch), when[0].dims[0]]
    if len(set(dims)) != len(dims) or len(dims) != len(pattern.sizes):
        return None
    starts = [i.start or 0 for i in when]
    first, count, span = min(starts), when[0].data.shape[0], max(starts) - min(starts)
    pair = span == window
    if first + count - 1 > steps - window - pair:
        return None
    slots = tuple((s - first) * cells + n for s, n in zip(starts, numbers, strict=True))
    return Group(pair, slots, run=first, order=tuple(int(d) for d in dims))


def _scattered(
    pattern: Pattern,
    when: Sequence[np.ndarray],
    numbers: Sequence[np.ndarray],
    batch: Sequence[Plated],
    lengths: Sequence[int],
    steps: int,
    window: int,
    cells: int,
) -> Iterator[Group]:
    """The members of a pattern by how they stand in a window."""
    first, last = np.min(when, axis=0), np.max(when, axis=0)
    pair = last - first == window
    at = np.minimum(first, steps - window - pair)
    slots = np.stack([(w - at) * cells + n for w, n in zip(when, numbers, strict=True)])
    flat = np.zeros(len(first), int)
    for index, length in zip(batch, lengths, strict=True):
        flat = flat * length + over_members(index, pattern)
    for kind in np.unique(np.vstack([pair, slots]), axis=1).T:
        members = np.nonzero((np.vstack([pair, slots]) == kind[:, None]).all(axis=0))[0]
        windows = flat[members] * (steps - window + 1 - kind[0]) + at[members]
        yield Group(bool(kind[0]), tuple(int(k) for k in kind[1:]), members=members, windows=windows)


def _tied_in_time(pattern: Pattern, group: Group) -> bool:
    return group.run is not None and not pattern.kept[group.order[-1]]


def _covers(pattern: Pattern, group: Group, pairs: int) -> bool:
    return group.run is not None and pattern.sizes[group.order[-1]] == pairs
