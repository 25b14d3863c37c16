"""What a layout has to place: columns of marks with their rows, the ways of long lines, and the boxes around them.

Causes stand above effects, each factor in the row above its child and in its column. A line that passes rows between its ends has a
waypoint in each of them, which is placed like a mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from ppl.graph.picture import Line, Mark, Picture

RADIUS = 21.0
FACTOR = 5.0  # half the side of a factor's square
DOT = 3.5
BOX_PAD = 12.0

Path = tuple[str, ...]


@dataclass(frozen=True)
class Extent:
    """How far a mark reaches from its point, its label among it."""

    left: float
    right: float
    height: float  # half of it


def text_width(text: str, size: float = 13.0) -> float:
    """About how wide a text is in a sans-serif face."""
    return 0.58 * size * len(text)


def extent(mark: Mark, label_left: bool = False) -> Extent:
    """How much room a mark takes."""
    if mark.shape == "factor":
        near, far = FACTOR + 2, FACTOR + 6 + text_width(mark.label, 11)
        return Extent(far, near, FACTOR) if label_left else Extent(near, far, FACTOR)
    if mark.shape == "parameter":
        return Extent(DOT + 2, DOT + 6 + text_width(mark.label), 9.0)
    half = max(RADIUS, text_width(mark.label) / 2 + 9)
    return Extent(half, half, 14.0 if mark.shape in ("input", "action") else RADIUS)


@dataclass(frozen=True)
class Column:
    """What stands in one vertical line: a variable with its factor above it, or a lone factor, or a waypoint."""

    box: Path
    cells: dict[int, Extent] = field(hash=False)  # by row


@dataclass(frozen=True)
class Scene:
    """All columns, and which one each mark and waypoint is in; the segments of lines between columns."""

    columns: dict[str, Column]
    column: dict[str, str]
    rows: dict[str, int]
    segments: tuple[tuple[str, str, float], ...]  # from the upper to the lower mark or waypoint, with a weight
    chains: dict[Line, tuple[str, ...]]  # the waypoints of each long line
    pads: dict[Path, float]
    spans: dict[Path, tuple[int, int]]  # first and last row of each box
    labels_left: frozenset[str]

    def extent(self, name: str) -> Extent:
        return self.columns[self.column[name]].cells[self.rows[name]]


def build_scene(picture: Picture, rows: dict[str, int], labels_left: frozenset[str]) -> Scene:
    """Lines that pass rows between their ends get a waypoint in each, which keeps marks out of their way."""
    rows, column = dict(rows), _columns(picture)
    columns = {name: Column(picture.marks[name].box, {}) for name in picture.marks if column[name] == name}
    for name, mark in picture.marks.items():
        columns[column[name]].cells[rows[name]] = extent(mark, name in labels_left)
    spans = _box_spans(rows, {name: mark.box for name, mark in picture.marks.items()})
    segments: list[tuple[str, str, float]] = []
    chains: dict[Line, tuple[str, ...]] = {}
    for line in picture.lines:
        if line.back:
            continue
        between = range(rows[line.source] + 1, rows[line.target])
        chains[line] = tuple(f"{line.source} > {line.target} @ {row}" for row in between)
        for name, row in zip(chains[line], between, strict=True):
            box = _waypoint_box(picture.marks[line.source].box, picture.marks[line.target].box, row, spans)
            columns[name], column[name], rows[name] = Column(box, {row: Extent(3.0, 3.0, 2.0)}), name, row
        weight = 3.0 if picture.marks[line.source].shape == "factor" else 1.0
        segments += [(a, b, weight) for a, b in pairwise((line.source, *chains[line], line.target)) if column[a] != column[b]]
    pads = {path: max(BOX_PAD, (text_width(label, 11) + 14) / 2 - RADIUS) for path, label in picture.boxes.items()}
    return Scene(columns, column, rows, tuple(segments), chains, pads, spans, labels_left)


def _columns(picture: Picture) -> dict[str, str]:
    """A factor stands in the column of its child where it is the only one of it and in the same box."""
    column = {name: name for name in picture.marks}
    defining = [line for line in picture.lines if picture.marks[line.source].shape == "factor"]
    for line in defining:
        alone = sum(other.target == line.target for other in defining) == 1
        if alone and picture.marks[line.source].box == picture.marks[line.target].box:
            column[line.source] = line.target
    return column


def _box_spans(rows: Mapping[str, int], boxes: Mapping[str, Path]) -> dict[Path, tuple[int, int]]:
    spans: dict[Path, tuple[int, int]] = {}
    for name, path in boxes.items():
        for depth in range(1, len(path) + 1):
            low, high = spans.get(path[:depth], (rows[name], rows[name]))
            spans[path[:depth]] = (min(low, rows[name]), max(high, rows[name]))
    return spans


def _waypoint_box(source: Path, target: Path, row: int, spans: Mapping[Path, tuple[int, int]]) -> Path:
    """The innermost box of the target that reaches to this row, else of the source, else what they share."""
    for path in (target, source):
        for depth in range(len(path), 0, -1):
            low, high = spans[path[:depth]]
            if low <= row <= high:
                return path[:depth]
    return ()


# ------------------------------------------------------------------ rows
def rows_of(picture: Picture) -> dict[str, int]:
    """Rows without gaps: variables by level, factors above their child, or below all that they touch where they have none."""
    levels = _levels(picture)
    child = {line.source: line.target for line in picture.lines if picture.marks[line.source].shape == "factor"}

    def row(name: str) -> int:
        if picture.marks[name].shape != "factor":
            return 2 * levels[name]
        below = max((levels[line.source] for line in picture.lines if line.target == name), default=0)
        return 2 * levels[child[name]] - 1 if name in child else 2 * below + 1

    raw = {name: row(name) for name in picture.marks}
    compact = {row: number for number, row in enumerate(sorted(set(raw.values())))}
    return {name: compact[row] for name, row in raw.items()}


def _levels(picture: Picture) -> dict[str, int]:
    """Levels of variables with short lines in all: first the longest path, then each is drawn to where most of its lines go."""
    marks = picture.marks
    child = {line.source: line.target for line in picture.lines if marks[line.source].shape == "factor"}
    forward = [line for line in picture.lines if marks[line.source].shape != "factor" and not line.back]
    edges = {(line.source, effect) for line in forward if marks[effect := child.get(line.target, line.target)].shape != "factor"}
    names = [name for name, mark in marks.items() if mark.shape != "factor"]
    parents = {name: [a for a, b in edges if b == name] for name in names}
    children = {name: [b for a, b in edges if a == name] for name in names}
    level: dict[str, int] = {}
    for name in names:  # the order of the file: parents first
        level[name] = max((level[p] + 1 for p in parents[name] if p in level), default=0)
    for _ in names:
        for name in reversed(names):
            if children[name] and len(children[name]) >= len(parents[name]):
                level[name] = min(level[c] for c in children[name]) - 1
            elif parents[name]:
                level[name] = max(level[p] for p in parents[name]) + 1
    for name in names:
        if not parents[name] and not children[name]:  # it only meets others at a factor without a child: it stands beside them
            met = {line.target for line in picture.lines if line.source == name}
            level[name] = max((level[line.source] for line in picture.lines if line.target in met and line.source in level), default=0)
    lowest = min(level.values(), default=0)
    return {name: value - lowest for name, value in level.items()}
