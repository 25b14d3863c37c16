"""Axes of what is reported: their names and what their members are called, so that arrays can be exchanged with labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Axis:
    """`members` are the names of an index set's members, where they have any; otherwise they are numbered from `low`."""

    name: str
    members: tuple[str, ...] | None = None
    low: int = 0

    @property
    def set(self) -> str:
        """The name of the set, of which an axis `T+1` has one place more."""
        return self.name.partition("+")[0]

    @property
    def extra(self) -> int:
        """How many places it has beyond its set."""
        return int(self.name.partition("+")[2] or 0)

    def coordinates(self, length: int) -> np.ndarray:
        """The label of each place along the axis."""
        if self.members is not None and len(self.members) == length:
            return np.array(self.members)
        return np.arange(self.low, self.low + length)

    def label(self, place: int) -> int | str:
        """What one place is called."""
        if self.members is not None and place < len(self.members):
            return self.members[place]
        return place + self.low


def distinct(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The axes with names that differ: a matrix over one set twice has the axes `K` and `K 2`."""
    found: list[Axis] = []
    for axis in axes:
        count = sum(1 for other in found if other.name.partition(" ")[0] == axis.name)
        found.append(replace(axis, name=f"{axis.name} {count + 1}") if count else axis)
    return tuple(found)
