"""The summary table of a posterior: one row an entry, with how well a sampler's chains agree where there are chains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from ppl.results.axes import Axis
from ppl.results.belief import Belief
from ppl.source import html

NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One entry of a belief. `low` and `high` bound the central 95 % interval; a member's row has its probability as mean."""

    name: str
    index: tuple[int | str, ...]
    family: str
    mean: float
    sd: float
    low: float
    high: float
    ess: float = NAN
    rhat: float = NAN
    member: str = field(default="", kw_only=True)  # whose probability this is

    @property
    def label(self) -> str:
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return f"{self.name}{place} = {self.member}" if self.member else f"{self.name}{place}"


@dataclass(frozen=True, repr=False)
class Table(html.Shown):
    """`hidden` counts the entries of each belief that are not among the rows."""

    rows: tuple[Row, ...]
    hidden: dict[str, int]

    def cells(self) -> list[tuple[str, ...]]:
        """The header, and the rows as they are written."""
        sampled = any(row.ess == row.ess for row in self.rows)
        head = ("", "mean", "sd", "2.5 %", "97.5 %", *(("ESS", "R-hat") if sampled else ()))
        lines: list[tuple[str, ...]] = [head]
        last = None
        for row in self.rows:
            if last is not None and row.name != last and self.hidden.get(last):
                lines.append((f"  … {self.hidden[last]} more of {last}", *("" for _ in head[1:])))
            told = (row.ess, row.rhat) if sampled else ()
            lines.append((row.label, *(_short(v) for v in (row.mean, row.sd, row.low, row.high, *told))))
            last = row.name
        if last is not None and self.hidden.get(last):
            lines.append((f"  … {self.hidden[last]} more of {last}", *("" for _ in head[1:])))
        return lines

    def __str__(self) -> str:
        lines = self.cells()
        width = max(len(line[0]) for line in lines)
        return "\n".join(f"{line[0]:<{width}}" + "".join(f"{cell:>12}" for cell in line[1:]) for line in lines)

    def _repr_html_(self) -> str:
        head, *rows = self.cells()
        return html.table(head, rows)


def _short(value: float) -> str:
    return "" if value != value else f"{value:.5g}"


def summarise(beliefs: Mapping[str, Belief], *, axes: Mapping[str, tuple[Axis, ...]] | None = None, rows: int | None = None) -> Table:
    """The rows of all beliefs, at most `rows` entries of each; indices by the names of members where `axes` knows them."""
    found: list[Row] = []
    hidden: dict[str, int] = {}
    for name, belief in beliefs.items():
        every = _member_rows if belief.family == "Categorical" else _rows
        made = list(islice(every(name, belief, (axes or {}).get(name, ())), rows))
        found += made
        hidden[name] = _entries(belief) - len(made)
    return Table(tuple(found), {k: v for k, v in hidden.items() if v})


def _entries(belief: Belief) -> int:
    return sum(1 for _ in _places(belief, np.shape(belief.params["p"])[:-1] if belief.family == "Categorical" else np.shape(belief.mean)))


def _places(belief: Belief, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The entries that exist."""
    absent = belief.absent
    return (place for place in np.ndindex(shape) if absent is None or not absent[place[: absent.ndim]])


def _labels(place: tuple[int, ...], axes: tuple[Axis, ...]) -> tuple[int | str, ...]:
    return tuple(axes[k].label(i) if k < len(axes) else i for k, i in enumerate(place))


def _rows(name: str, belief: Belief, axes: tuple[Axis, ...]) -> Iterator[Row]:
    mean, sd = np.asarray(belief.mean), np.asarray(belief.sd)
    columns = [mean, sd, *belief.interval()]
    columns += [] if belief.ess is None or belief.rhat is None else [belief.ess, belief.rhat]
    columns = [np.broadcast_to(np.asarray(c), mean.shape) for c in columns]
    for place in _places(belief, mean.shape):
        yield Row(name, _labels(place, axes), belief.family, *(float(c[place]) for c in columns))


def _member_rows(name: str, belief: Belief, axes: tuple[Axis, ...]) -> Iterator[Row]:
    """For each entry the most probable member, with its probability."""
    p = np.asarray(belief.params["p"])
    for place in _places(belief, p.shape[:-1]):
        best = int(p[place].argmax())
        member = belief.members[best] if belief.members else str(best)
        yield Row(name, _labels(place, axes), "Categorical", float(p[place][best]), NAN, NAN, NAN, member=member)
