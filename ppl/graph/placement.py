"""From left to right: the order of the contents of each box, and the places that keep lines short in that order.

The order is found by trying swaps. Given the order, columns are drawn together by their lines while contents of different boxes stay
apart (the layers of Sugiyama, Tagawa and Toda 1981, with the constraints solved by projection as in Müller et al. 2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from ppl.graph.scene import Path, Scene

GAP = 14.0
SEARCH_BUDGET = 30000  # of pairs of columns looked at while trying orders

Weighted = list[tuple[str, float]]  # other columns, each with a weight or a distance

Order = dict[Path, tuple[str | Path, ...]]  # the contents of each box from left to right: names, and paths of inner boxes


def _first_order(scene: Scene) -> Order:
    order: dict[Path, list[str | Path]] = {(): []}
    for name, column in scene.columns.items():
        for depth in range(1, len(column.box) + 1):
            if column.box[:depth] not in order:
                order[column.box[:depth]] = []
                order[column.box[: depth - 1]].append(column.box[:depth])
        order[column.box].append(name)
    return {path: tuple(items) for path, items in order.items()}


def best_order(scene: Scene) -> Order:
    """Tries to swap any two contents of a box as long as that makes the picture better and the budget lasts."""
    order = _first_order(scene)
    tries = max(20, SEARCH_BUDGET // max(1, len(scene.columns) ** 2))
    best = _cost(scene, order)
    improved = True
    while improved and tries > 0:
        improved = False
        for path, items in list(order.items()):
            for i, j in combinations(range(len(items)), 2):
                swapped = list(order[path])
                swapped[i], swapped[j] = swapped[j], swapped[i]
                candidate = {**order, path: tuple(swapped)}
                cost = _cost(scene, candidate)
                tries -= 1
                if cost < best - 1e-6:
                    order, best, improved = candidate, cost, True
                if tries <= 0:
                    return order
    return order


def _cost(scene: Scene, order: Order) -> float:
    """Lines' lengths, crossings, and the width of the whole."""
    xs = places(scene, order, rounds=20)
    lengths = sum(weight * abs(xs[scene.column[a]] - xs[scene.column[b]]) for a, b, weight in scene.segments)
    width = max(xs.values(), default=0.0) - min(xs.values(), default=0.0)
    return lengths + 0.5 * width + 150.0 * _crossings(scene, xs)


def _crossings(scene: Scene, xs: Mapping[str, float]) -> int:
    ends = [(scene.rows[a], scene.rows[b], xs[scene.column[a]], xs[scene.column[b]]) for a, b, _ in scene.segments]
    return sum(a[:2] == b[:2] and (a[2] - b[2]) * (a[3] - b[3]) < 0 for a, b in combinations(ends, 2))


def _leaves(order: Order, path: Path = ()) -> list[str]:
    found: list[str] = []
    for item in order[path]:
        found.extend([item] if isinstance(item, str) else _leaves(order, item))
    return found


# ------------------------------------------------------------------ places
def places(scene: Scene, order: Order, rounds: int) -> dict[str, float]:
    """Each column is drawn to its neighbours' mean, then those that must stand apart are pushed apart, in turns.

    A column weighs as much as its lines pull, in both steps, so that the whole stays where it is.
    """
    names = _leaves(order)
    apart = _separations(scene, names)
    near: dict[str, Weighted] = {name: [] for name in names}
    for a, b, weight in scene.segments:
        near[scene.column[a]].append((scene.column[b], weight))
        near[scene.column[b]].append((scene.column[a], weight))
    mass = {name: sum(weight for _, weight in near[name]) or 1.0 for name in names}
    xs = _pushed_right(names, apart, dict.fromkeys(names, 0.0))
    for _ in range(rounds):
        wanted = {n: sum(w * xs[m] for m, w in near[n]) / mass[n] if near[n] else xs[n] for n in names}
        xs = {n: 0.5 * xs[n] + 0.5 * wanted[n] for n in names}
        for a, b, distance in apart:
            short = xs[a] + distance - xs[b]
            if short > 0:
                xs[a] -= short * mass[b] / (mass[a] + mass[b])
                xs[b] += short * mass[a] / (mass[a] + mass[b])
    return _settled(names, near, apart, _pushed_right(names, apart, xs))


def _settled(names: list[str], near: Mapping[str, Weighted], apart: list[tuple[str, str, float]], xs: dict[str, float]) -> dict[str, float]:
    """Each column in turn goes to its neighbours' mean as far as the others let it."""
    before: dict[str, Weighted] = {name: [] for name in names}
    after: dict[str, Weighted] = {name: [] for name in names}
    for a, b, distance in apart:
        after[a].append((b, distance))
        before[b].append((a, distance))
    for _ in range(10):
        for name in (n for n in names if near[n]):
            wanted = sum(weight * xs[other] for other, weight in near[name]) / sum(weight for _, weight in near[name])
            low = max((xs[other] + distance for other, distance in before[name]), default=wanted)
            high = min((xs[other] - distance for other, distance in after[name]), default=wanted)
            xs[name] = min(max(wanted, low), high) if low <= high else xs[name]
    return xs


def _separations(scene: Scene, names: list[str]) -> list[tuple[str, str, float]]:
    """For columns that share rows, or whose boxes do, the least distance from the left one to the right one."""
    found = []
    for a, b in combinations(names, 2):
        box_a, box_b = scene.columns[a].box, scene.columns[b].box
        shared = 0
        while shared < min(len(box_a), len(box_b)) and box_a[shared] == box_b[shared]:
            shared += 1
        common = _rows_of(scene, a, shared) & _rows_of(scene, b, shared)
        if common:
            pads = sum(scene.pads[box[:depth]] for box in (box_a, box_b) for depth in range(shared + 1, len(box) + 1))
            right = max(e.right for row, e in scene.columns[a].cells.items() if row in common or len(box_a) > shared)
            left = max(e.left for row, e in scene.columns[b].cells.items() if row in common or len(box_b) > shared)
            found.append((a, b, right + left + pads + GAP))
    return found


def _rows_of(scene: Scene, name: str, depth: int) -> set[int]:
    """The rows that a column takes; where it is in a box deeper than `depth`, those of the box at that depth."""
    column = scene.columns[name]
    if len(column.box) > depth:
        first, last = scene.spans[column.box[: depth + 1]]
        return set(range(first, last + 1))
    return set(column.cells)


def _pushed_right(names: list[str], apart: Iterable[tuple[str, str, float]], xs: Mapping[str, float]) -> dict[str, float]:
    """The nearest places to the right that keep every distance: one pass, since the left of each pair comes first in `names`."""
    after: dict[str, Weighted] = {name: [] for name in names}
    for a, b, distance in apart:
        after[a].append((b, distance))
    placed = dict(xs)
    for a in names:
        for b, distance in after[a]:
            placed[b] = max(placed[b], placed[a] + distance)
    return placed
