"""One step of an agent as a row of numbers: places of members first, -1 where nothing is known, then real numbers, NaN where not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppl.agents.evaluation import Factor
from ppl.arrays.plated import namespace


@dataclass(frozen=True)
class Columns:
    """The columns of some factors: those that have members first, one column each; then the real ones, a column for each number.

    A row without real numbers is whole numbers, so that agents without them are computed as if there were none.
    """

    factors: tuple[Factor, ...]

    @cached_property
    def discrete(self) -> tuple[Factor, ...]:
        return tuple(f for f in self.factors if not f.real)

    @cached_property
    def real(self) -> tuple[Factor, ...]:
        return tuple(f for f in self.factors if f.real)

    @cached_property
    def numbered(self) -> dict[str, slice]:
        """Where each real factor stands among the real numbers of a row."""
        found, start = {}, 0
        for f in self.real:
            found[f.name] = slice(start, start + f.size)
            start += f.size
        return found

    @property
    def names(self) -> list[str]:
        """The factor of each column."""
        return [f.name for f in self.discrete] + [f.name for f in self.real for _ in range(f.size)]

    @property
    def blank(self) -> np.ndarray:
        """The row in which nothing is known."""
        return self.joined(np.full(len(self.discrete), -1), np.full(sum(f.size for f in self.real), np.nan))

    @property
    def zero(self) -> np.ndarray:
        """A row of first members and zeros, where it is not read."""
        return self.joined(np.zeros(len(self.discrete), int), np.zeros(sum(f.size for f in self.real)))

    def joined(self, places: Any, numbers: Any) -> Any:
        """The row of places and real numbers."""
        if not self.real:
            return places
        return namespace(places, numbers).concatenate([places * 1.0, numbers], axis=-1)

    def places(self, row: Any) -> Any:
        """The places of members."""
        return row[..., : len(self.discrete)].astype(int) if self.real else row

    def numbers(self, row: Any) -> Any:
        """The real numbers."""
        return row[..., len(self.discrete) :] if self.real else row[..., :0] * 1.0

    def known(self, row: Any) -> Any:
        """Which columns say something."""
        xp = namespace(row)
        if not self.real:
            return row >= 0
        return xp.concatenate([self.places(row) >= 0, ~xp.isnan(self.numbers(row))], axis=-1)

    def of(self, found: Mapping[str, Any]) -> np.ndarray:
        """The row of values by factor: places and numbers; what is left out is not known."""
        row = self.blank
        for place, f in enumerate(self.discrete):
            row[place] = found.get(f.name, -1)
        for f in self.real:
            if f.name in found:
                self.numbers(row)[self.numbered[f.name]] = np.ravel(found[f.name])
        return row

    def series(self, f: Factor, rows: np.ndarray) -> np.ndarray:
        """What rows say of a factor: names of members, numbers, or vectors; None, or NaN, where nothing."""
        if not f.real:
            return np.array([*f.members, None], dtype=object)[self.places(rows)[..., self.discrete.index(f)]]
        numbers = self.numbers(rows)[..., self.numbered[f.name]]
        return numbers[..., 0] if f.scalar else numbers

    def told(self, row: np.ndarray) -> dict[str, Any]:
        """A row by name, as it is given and printed: members, numbers, lists of numbers; None where nothing is known."""
        found: dict[str, Any] = {}
        for f in self.factors:
            value = self.series(f, row)
            if f.real:
                value = None if np.isnan(value).all() else np.asarray(value, float).tolist()
            found[f.name] = value
        return found


def said(value: Any) -> bool:
    """Whether a value by name says everything: no entry of a vector is missing."""
    return value is not None and (isinstance(value, str) or not bool(np.isnan(value).any()))


def text(value: Any) -> str:
    """A member, a number or a vector as it is printed."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return "–" if np.isnan(value) else f"{value:.4g}"
