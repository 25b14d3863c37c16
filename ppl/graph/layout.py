"""Where the marks of a picture stand when there is no Graphviz: a small layered layout that knows about nested boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ppl.graph.picture import Line, Picture
from ppl.graph.placement import best_order, places
from ppl.graph.scene import Path, Scene, build_scene, rows_of

BOX_TOP, BOX_BOTTOM = 11.0, 23.0
ROW_GAP = 25.0
MARGIN = 12.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Layout:
    """Points of marks by name, rectangles of boxes by path, the points that each line passes between its ends."""

    width: float
    height: float
    points: dict[str, Point] = field(hash=False)
    boxes: dict[Path, Rectangle] = field(hash=False)
    waypoints: dict[Line, tuple[Point, ...]] = field(hash=False)
    labels_left: frozenset[str | Path] = frozenset()  # factors, and boxes, with their label on the left


def layout(picture: Picture) -> Layout:
    """Points for all marks and rectangles for all boxes."""
    rows = rows_of(picture)
    scene = build_scene(picture, rows, frozenset())
    order = best_order(scene)
    xs = places(scene, order, rounds=100)
    scene = build_scene(picture, rows, _labels_left(picture, scene, xs))
    return _finish(picture, scene, places(scene, order, rounds=800))


def _labels_left(picture: Picture, scene: Scene, xs: Mapping[str, float]) -> frozenset[str]:
    """The factors whose lines come more from the right: their label stands on the left, out of the way."""
    lean: dict[str, float] = {}
    for line in picture.lines:
        if picture.marks[line.target].shape == "factor" and not line.back:
            offset = xs[scene.column[line.source]] - xs[scene.column[line.target]]
            lean[line.target] = lean.get(line.target, 0.0) + (offset > 15) - (offset < -15)
    return frozenset(name for name, value in lean.items() if value > 0)


# ------------------------------------------------------------------ rectangles
def _finish(picture: Picture, scene: Scene, xs: dict[str, float]) -> Layout:
    """Rows get their heights, boxes their rectangles, and everything is moved to start at the margin."""
    ys = _row_heights(scene)
    points = {name: (xs[column], ys[scene.rows[name]]) for name, column in scene.column.items()}
    taken = {name: _rectangle(scene, name, at) for name, at in points.items()}
    boxes: dict[Path, Rectangle] = {}
    for path in sorted(picture.boxes, key=len, reverse=True):  # inner boxes first
        inside = [taken[name] for name, column in scene.column.items() if scene.columns[column].box == path]
        inside += [boxes[inner] for inner in boxes if inner[:-1] == path]
        boxes[path] = _around(inside, scene.pads[path], BOX_TOP, BOX_BOTTOM)
    whole = _around([*boxes.values(), *taken.values()], MARGIN, MARGIN, MARGIN)
    dx, dy = -whole.left, -whole.top

    def moved(name: str) -> Point:
        return points[name][0] + dx, points[name][1] + dy

    return Layout(
        width=whole.right - whole.left,
        height=whole.bottom - whole.top,
        points={name: moved(name) for name in picture.marks},
        boxes={p: Rectangle(r.left + dx, r.top + dy, r.right + dx, r.bottom + dy) for p, r in ((p, boxes[p]) for p in picture.boxes)},
        waypoints={line: () if _is_clear(line, chain, points, taken) else tuple(map(moved, chain)) for line, chain in scene.chains.items()},
        labels_left=scene.labels_left | _boxes_left(picture, points),
    )


def _boxes_left(picture: Picture, points: Mapping[str, Point]) -> frozenset[Path]:
    """The boxes that lines leave more to the right: their label stands in the left corner."""
    lean = dict.fromkeys(picture.boxes, 0)
    for line in picture.lines:
        source, target = picture.marks[line.source].box, picture.marks[line.target].box
        for path in (source[:depth] for depth in range(1, len(source) + 1)):
            if target[: len(path)] != path:
                lean[path] += 1 if points[line.target][0] > points[line.source][0] + 15 else -1
    return frozenset(path for path, value in lean.items() if value > 0)


def _is_clear(line: Line, chain: tuple[str, ...], points: Mapping[str, Point], taken: Mapping[str, Rectangle]) -> bool:
    """Whether the straight line meets no mark on its way, so that no waypoint is needed."""
    (ax, ay), (bx, by) = points[line.source], points[line.target]
    for name in chain:
        y = points[name][1]
        for other, r in taken.items():
            if " > " not in other and other not in (line.source, line.target) and r.top - 4 <= y <= r.bottom + 4:
                crossing = [ax + (bx - ax) * (edge - ay) / (by - ay) for edge in (r.top, r.bottom)]
                if min(crossing) < r.right + 4 and max(crossing) > r.left - 4:
                    return False
    return True


def _row_heights(scene: Scene) -> list[float]:
    """The y of each row, with room for the edges of boxes that end or begin between two rows."""
    count = max(scene.rows.values(), default=0) + 1
    boxes = [column.box for column in scene.columns.values()]
    tall = [max((scene.extent(name).height for name, r in scene.rows.items() if r == row), default=0.0) for row in range(count)]
    ys = [0.0]
    for row in range(count - 1):
        ends = max((_touching(scene, path, row, 1) for path in boxes), default=0)
        starts = max((_touching(scene, path, row + 1, 0) for path in boxes), default=0)
        ys.append(ys[-1] + tall[row] + ROW_GAP + ends * BOX_BOTTOM + starts * BOX_TOP + tall[row + 1])
    return ys


def _touching(scene: Scene, path: Path, row: int, end: int) -> int:
    """How many of the nested boxes along a path begin (0) or end (1) in this row."""
    return sum(scene.spans[path[:depth]][end] == row for depth in range(1, len(path) + 1))


def _rectangle(scene: Scene, name: str, at: Point) -> Rectangle:
    size = scene.extent(name)
    return Rectangle(at[0] - size.left, at[1] - size.height, at[0] + size.right, at[1] + size.height)


def _around(inside: list[Rectangle], side: float, top: float, bottom: float) -> Rectangle:
    if not inside:
        return Rectangle(0.0, 0.0, 0.0, 0.0)
    return Rectangle(
        min(r.left for r in inside) - side,
        min(r.top for r in inside) - top,
        max(r.right for r in inside) + side,
        max(r.bottom for r in inside) + bottom,
    )
