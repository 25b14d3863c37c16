"""Time as an axis: a Gaussian block whose numbers meet only within a few steps of one axis is block-tridiagonal.

Where statements reach back further than one step, so many steps stand together as one. What has no such axis (coefficients, a
common mean) and is small is the border, which every step may meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ppl.compiler.joining import joining_forms, own_atoms
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor

SMALL = 48  # numbers: up to here a dense block is as quick
LONGEST_LAG = 64
WIDEST = 128  # numbers that stand together
LARGEST_BORDER = 256


@dataclass(frozen=True)
class Chain:
    """Time as an axis of a Gaussian block: `length` steps of `width` numbers, of which `lag` steps stand together, so that only
    neighbours meet. Variables without a place in `times` are the border: `border` numbers that every step may meet.
    """

    times: dict[str, int]  # which axis of a variable's plates is time
    length: int
    lag: int
    width: int
    border: int

    @property
    def signature(self) -> tuple:
        return tuple(self.times.items()), self.length, self.lag, self.width, self.border


def chain_of(
    variables: Sequence[LatentVariable], batch_axes: Mapping[str, tuple[int, ...]], factors: Sequence[LoweredFactor]
) -> Chain | None:
    """The chain that a block's variables form, or None where they form none, or are few enough to stand dense."""
    total = sum(_numbers(v, batch_axes[v.name]) for v in variables)
    if total <= SMALL:
        return None
    labels = dict.fromkeys(label for v in variables for k, label in enumerate(v.labels) if k not in batch_axes[v.name])
    chains = [c for label in labels if (c := _along(label, variables, batch_axes, factors)) is not None]
    return min(chains, key=lambda c: (c.lag * c.width, c.border), default=None)


def _numbers(variable: LatentVariable, without: Sequence[int]) -> int:
    return int(np.prod([n for k, n in enumerate(variable.plates) if k not in without] + list(variable.event), dtype=int))


def _along(
    label: str, variables: Sequence[LatentVariable], batch_axes: Mapping[str, tuple[int, ...]], factors: Sequence[LoweredFactor]
) -> Chain | None:
    """The chain along one axis."""
    times = {v.name: v.labels.index(label) for v in variables if v.labels.count(label) == 1}
    if not times:
        return None
    border = sum(_numbers(v, batch_axes[v.name]) for v in variables if v.name not in times)
    moving = [v for v in variables if v.name in times]
    width = sum(_numbers(v, (*batch_axes[v.name], times[v.name])) for v in moving)
    lag = _reach(times, factors)
    lengths = [v.plates[times[v.name]] for v in moving]
    if border > LARGEST_BORDER or lag > LONGEST_LAG or lag * width > WIDEST or max(lengths) < 2 * lag:
        return None
    length = -(-max(lengths) // lag) * lag
    return Chain(times, length, lag, width, border)


def _reach(times: Mapping[str, int], factors: Sequence[LoweredFactor]) -> int:
    """How many steps apart numbers meet at most, one at least."""
    furthest = 1
    for factor in factors:
        for form in joining_forms(factor):
            places = [a.index[times[a.variable]] for a in own_atoms(form, times)]
            if len(places) + sum(p.rank for p in places) < 2:
                continue
            dims = tuple(dict.fromkeys(d for p in places for d in p.dims))
            arrays = [p.arranged(dims) for p in places]
            ends = [(a.min(axis=tuple(range(len(dims), a.ndim))), a.max(axis=tuple(range(len(dims), a.ndim)))) for a in arrays]
            low, high = ends[0]
            for least, most in ends[1:]:
                low, high = np.minimum(low, least), np.maximum(high, most)
            furthest = max(furthest, int((high - low).max(initial=0)))
    return furthest
