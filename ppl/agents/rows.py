"""One step of an agent as a row of numbers: places of members first, -1 where nothing is known, then real numbers, NaN where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppl.agents.evaluation import Factor
from ppl.arrays.plated import namespace

MOST_TOLD = 8  # entries of a list that are printed


@dataclass(frozen=True)
class Columns:
    """The columns of some factors: those that have members first, one column each; then the real ones, a column for each number. A
    stacked factor has as many for each of its members.

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
    def placed(self) -> dict[str, slice]:
        """Where each factor that has members stands among the places of a row."""
        return _slices({f.name: f.count for f in self.discrete})

    @cached_property
    def numbered(self) -> dict[str, slice]:
        """Where each real factor stands among the real numbers of a row."""
        return _slices({f.name: f.count * f.size for f in self.real})

    @cached_property
    def singles(self) -> tuple[Factor, ...]:
        """The factors that have members by their columns, each by itself."""
        return tuple(one for f in self.discrete for one in f.singles)

    @cached_property
    def counts(self) -> tuple[int, int]:
        """The number of places in a row, and of real numbers."""
        return sum(f.count for f in self.discrete), sum(f.count * f.size for f in self.real)

    @property
    def names(self) -> list[str]:
        """The factor of each column."""
        return [f.name for f in self.singles] + [one.name for f in self.real for one in f.singles for _ in range(f.size)]

    @property
    def blank(self) -> np.ndarray:
        """The row in which nothing is known."""
        return self.joined(np.full(self.counts[0], -1), np.full(self.counts[1], np.nan))

    @property
    def zero(self) -> np.ndarray:
        """A row of first members and zeros, where it is not read."""
        return self.joined(np.zeros(self.counts[0], int), np.zeros(self.counts[1]))

    def joined(self, places: Any, numbers: Any) -> Any:
        """The row of places and real numbers."""
        if not self.real:
            return places
        return namespace(places, numbers).concatenate([places * 1.0, numbers], axis=-1)

    def places(self, row: Any) -> Any:
        """The places of members."""
        return row[..., : self.counts[0]].astype(int) if self.real else row

    def numbers(self, row: Any) -> Any:
        """The real numbers."""
        return row[..., self.counts[0] :] if self.real else row[..., :0] * 1.0

    def known(self, row: Any) -> Any:
        """Which columns say something."""
        xp = namespace(row)
        if not self.real:
            return row >= 0
        return xp.concatenate([self.places(row) >= 0, ~xp.isnan(self.numbers(row))], axis=-1)

    # ------------------------------------------------------------ some of the factors
    def of_members(self, row: Any, own: Columns, shape: tuple[int, ...]) -> Any:
        """The rows of the members of a kind, whose columns are `own`: members × columns; of what stands by itself one row."""
        if not shape and len(own.factors) == len(self.factors):
            return row
        xp, front = namespace(row), row.shape[:-1] + ((int(np.prod(shape)),) if shape else ())
        places, numbers = self.places(row), self.numbers(row)
        taken = [places[..., self.placed[f.name]].reshape(*front, 1) for f in own.discrete]
        read = [numbers[..., self.numbered[f.name]].reshape(*front, f.size) for f in own.real]
        blank = xp.zeros((*front, 0))
        return own.joined(xp.concatenate([blank.astype(int), *taken], axis=-1), xp.concatenate([blank, *read], axis=-1))

    def from_parts(self, places: Mapping[str, Any], numbers: Mapping[str, Any], xp: Any = np) -> Any:
        """The row of the places of each factor, and of the numbers of each real one."""
        flat = [xp.reshape(xp.asarray(places[f.name]), -1) for f in self.discrete]
        read = [xp.reshape(xp.asarray(numbers[f.name]), -1) for f in self.real]
        return self.joined(xp.concatenate([xp.zeros(0, int), *flat]), xp.concatenate([xp.zeros(0), *read]))

    # ------------------------------------------------------------ by name
    @cached_property
    def _single(self) -> dict[str, slice]:
        """The columns of each factor by itself: those of the members of stacked ones too."""
        whole = dict(zip((f.name for f in self.singles), (slice(k, k + 1) for k in range(self.counts[0])), strict=True))
        return whole | _slices({one.name: one.size for f in self.real for one in f.singles}, self.counts[0])

    def column(self, name: str) -> slice | None:
        """Where a factor, or a member of a stacked one, stands in a row; None where it does not."""
        if name in self.placed:
            return self.placed[name]
        if name in self.numbered:
            at = self.numbered[name]
            return slice(at.start + self.counts[0], at.stop + self.counts[0])
        return self._single.get(name) if "[" in name else None

    def of(self, found: Mapping[str, Any]) -> np.ndarray:
        """The row of values by factor, or by member: places and numbers; what is left out is not known."""
        row = self.blank
        for name, value in found.items():
            at = self.column(name)
            if at is not None:
                row[at] = np.ravel(value)
        return row

    def series(self, f: Factor, rows: np.ndarray) -> np.ndarray:
        """What rows say of a factor: names of members, numbers, or vectors; None, or NaN, where nothing. The plates of a stacked one
        come after the axes of the rows."""
        front = (*rows.shape[:-1], *f.shape)
        if not f.real:
            return np.array([*f.members, None], dtype=object)[self.places(rows)[..., self.placed[f.name]].reshape(front)]
        numbers = self.numbers(rows)[..., self.numbered[f.name]]
        return numbers.reshape(front if f.scalar else (*front, f.size))

    def named(self, rows: np.ndarray) -> Named:
        """What rows say by variable, with its plates after the axes of the rows."""
        return by_variable(self.factors, {f.name: self.series(f, rows) for f in self.factors}, rows.ndim - 1)

    def told(self, row: np.ndarray) -> Named:
        """A row by variable, as it is given and printed: members, numbers, lists of these; None where nothing is known."""
        found = self.named(row)
        for name, value in found.items():
            real = any(f.real and f.variable.name == name for f in self.factors)
            found[name] = None if real and np.isnan(value).all() else value.tolist() if isinstance(value, np.ndarray) else value
        return found


class Named(dict):
    """Values by variable. A member of a plate may be asked for by its own name, `m[2]`; its plates stand after `before` axes."""

    def __init__(self, values: Mapping[str, Any], factors: Sequence[Factor], before: int = 0):
        super().__init__(values)
        self.factors, self.before = factors, before

    @cached_property
    def places(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {one.name: (one.variable.name, one.place) for f in self.factors if f.variable.plates for one in f.singles}

    def __missing__(self, name: str) -> Any:
        if name not in self.places:
            raise KeyError(name)
        variable, place = self.places[name]
        value = self[variable]
        if isinstance(value, list):
            for k in place:
                value = value[k]
            return value
        return value[(slice(None),) * self.before + place]


def by_variable(factors: Sequence[Factor], values: Mapping[str, Any], before: int = 0) -> Named:
    """The values of factors by variable: members of a plate that stand by themselves are put together."""
    found: dict[str, Any] = {}
    for f in factors:
        if not f.place:
            found[f.name] = values[f.name]
        elif f.variable.name not in found:
            own = [g for g in factors if g.variable.name == f.variable.name]
            arrays = [np.asarray(values[g.name]) for g in own]
            plates = tuple(1 + max(g.place[k] for g in own) for k in range(len(f.place)))
            whole = np.stack(arrays, axis=before)
            found[f.variable.name] = whole.reshape(*whole.shape[:before], *plates, *whole.shape[before + 1 :])
    return Named(found, factors, before)


def by_entry(factors: Sequence[Factor], values: Mapping[str, Any]) -> Named:
    """Values that are given for each member by itself, by variable: lists over plates."""
    found: dict[str, Any] = {}
    for f in (one for stacked in factors for one in stacked.singles if one.name in values):
        if not f.place:
            found[f.name] = values[f.name]
            continue
        into = found.setdefault(f.variable.name, [])
        for k in f.place[:-1]:
            into.extend([] for _ in range(k + 1 - len(into)))
            into = into[k]
        into.append(values[f.name])
    return Named(found, factors)


def _slices(counts: Mapping[str, int], start: int = 0) -> dict[str, slice]:
    found = {}
    for name, count in counts.items():
        found[name], start = slice(start, start + count), start + count
    return found


def said(value: Any) -> bool:
    """Whether a value by name says everything: no entry of a list is missing."""
    if isinstance(value, list):
        return all(map(said, value))
    return value is not None and (isinstance(value, str) or not bool(np.isnan(value)))


def text(value: Any) -> str:
    """A member, a number or a list as it is printed; of a long one the first entries."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        more = [f"… {len(value)} in all"] if len(value) > MOST_TOLD else []
        return "[" + ", ".join([*map(text, value[:MOST_TOLD]), *more]) + "]"
    return "–" if np.isnan(value) else f"{value:.4g}"
