"""The summary table of a posterior: one row an entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ppl.results.belief import Belief


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

    @property
    def label(self) -> str:
        return self.name + (f"[{', '.join(map(str, self.index))}]" if self.index else "")


@dataclass(frozen=True)
class Table:
    """`hidden` counts the entries of each belief that are not among the rows."""

    rows: tuple[Row, ...]
    hidden: dict[str, int]

    def __str__(self) -> str:
        lines: list[tuple[str, ...]] = [("", "mean", "sd", "2.5 %", "97.5 %")]
        last = None
        for row in self.rows:
            if last is not None and row.name != last and self.hidden.get(last):
                lines.append((f"  … {self.hidden[last]} more of {last}", "", "", "", ""))
            lines.append((row.label, *(_short(v) for v in (row.mean, row.sd, row.low, row.high))))
            last = row.name
        if last is not None and self.hidden.get(last):
            lines.append((f"  … {self.hidden[last]} more of {last}", "", "", "", ""))
        width = max(len(line[0]) for line in lines)
        return "\n".join(f"{line[0]:<{width}}" + "".join(f"{cell:>12}" for cell in line[1:]) for line in lines)


def _short(value: float) -> str:
    return "" if value != value else f"{value:.5g}"


def summarise(beliefs: Mapping[str, Belief], *, rows: int | None = None) -> Table:
    """The rows of all beliefs, at most `rows` entries of each."""
    found: list[Row] = []
    hidden: dict[str, int] = {}
    for name, belief in beliefs.items():
        made, left = _categorical_rows(name, belief, rows) if belief.family == "Categorical" else _rows(name, belief, rows)
        found += made
        hidden[name] = left
    return Table(tuple(found), {k: v for k, v in hidden.items() if v})


def _rows(name: str, belief: Belief, limit: int | None) -> tuple[list[Row], int]:
    mean, sd = np.asarray(belief.mean), np.asarray(belief.sd)
    low, high = (np.broadcast_to(np.asarray(b), mean.shape) for b in belief.interval())
    places = (
        list(np.ndindex(mean.shape))[: limit if limit is not None else None]
        if mean.size < 10**6 or limit is None
        else _first(mean.shape, limit)
    )
    made = [Row(name, p, belief.family, float(mean[p]), float(sd[p]), float(low[p]), float(high[p])) for p in places]
    return made, mean.size - len(made)


def _first(shape: tuple[int, ...], limit: int) -> list[tuple[int, ...]]:
    return [tuple(int(i) for i in np.unravel_index(k, shape)) for k in range(limit)]


def _categorical_rows(name: str, belief: Belief, limit: int | None) -> tuple[list[Row], int]:
    """For each entry the most probable member, with its probability."""
    p = np.asarray(belief.params["p"])
    plates = p.shape[:-1]
    count = int(np.prod(plates, dtype=int))
    made = []
    for place in _first(plates, min(count, limit if limit is not None else count)):
        probabilities = p[place]
        best = int(probabilities.argmax())
        member = belief.members[best] if belief.members else str(best)
        made.append(
            Row(
                name,
                (*place, f"= {member}") if place else (f"= {member}",),
                "Categorical",
                float(probabilities[best]),
                float("nan"),
                float("nan"),
                float("nan"),
            )
        )
    return made, count - len(made)
