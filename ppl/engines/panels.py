"""Panels: an integral over one number whose integrand jumps, as the density of the end of a uniform distribution does.

The jumps are found by bisection, to rounding, and the line is cut there. Between them Gauss's rule is exact to rounding on panels
that are halved until it stands still.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(12)
BISECTIONS = 52
STEEP = 0.1  # nats between neighbours, from which a jump is looked for
JUMP = 1e-3  # nats that are left when the neighbours coincide
JUMPS = 4
CLOSE = 1e-9  # of a panel to its halves, which are closer by far, as a share of the integral
HALVINGS = 30
NOTHING = -1e3  # nats: what stands for a density of 0
DEPTH = 60.0  # nats below the integral, where a jump moves nothing any more


@dataclass(frozen=True)
class Rule:
    """Nodes of an integral: where they are, and the cells that they stand for, by the lower end and the width."""

    places: np.ndarray
    cells: np.ndarray
    widths: np.ndarray


Height = Callable[[float], float]


def in_panels(height: Height, places: np.ndarray, heights: np.ndarray, total: float) -> Rule:
    """The rule for e^height, of which these are some heights and this is the logarithm of the integral, roughly."""
    ends = [places[0], *sorted(jumps(height, places, heights, total)), places[-1]]
    pieces = [(a, b) for a, b in itertools.pairwise(ends) if np.isfinite(heights[(a <= places) & (places <= b)]).any()]
    found = [p for a, b in pieces for p in _panels(height, a, b, total, HALVINGS)]
    nodes = np.concatenate([_nodes(a, b) for a, b in found])
    widths = np.concatenate([(b - a) / 2 * WEIGHTS for a, b in found])
    cells = np.concatenate([a + (b - a) / 2 * (np.cumsum(WEIGHTS) - WEIGHTS) for a, b in found])
    possible = np.array([height(float(u)) > -np.inf for u in nodes])
    return Rule(nodes[possible], cells[possible], widths[possible])


def jumps(height: Height, places: np.ndarray, heights: np.ndarray, total: float) -> list[float]:
    """Where the height jumps, among the steepest neighbours."""
    finite = np.where(np.isfinite(heights), heights, total + NOTHING)
    rises = np.abs(np.diff(finite)) * (np.maximum(finite[1:], finite[:-1]) > total - DEPTH)
    least = -NOTHING / 2 if rises.max() > -NOTHING / 2 else STEEP  # where the density ends it need not jump elsewhere
    steepest = [k for k in np.argsort(rises)[::-1][:JUMPS] if rises[k] > least]
    found = (_bisected(height, float(places[k]), float(places[k + 1])) for k in steepest)
    return [u for u in found if u is not None]


def _bisected(height: Height, low: float, high: float) -> float | None:
    """The place of a jump between two, or None where there is none."""
    at_low, at_high = (max(height(float(u)), NOTHING) for u in (low, high))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        at_middle = max(height(float(middle)), NOTHING)
        if abs(at_middle - at_low) > abs(at_high - at_middle):
            high, at_high = middle, at_middle
        else:
            low, at_low = middle, at_middle
    return (low + high) / 2 if abs(at_high - at_low) > JUMP else None


def _panels(height: Height, a: float, b: float, total: float, halvings: int) -> Iterator[tuple[float, float]]:
    middle = (a + b) / 2
    whole, halves = _integral(height, a, b, total), _integral(height, a, middle, total) + _integral(height, middle, b, total)
    if abs(whole - halves) <= CLOSE or not halvings:
        yield from ((a, middle), (middle, b))
        return
    yield from _panels(height, a, middle, total, halvings - 1)
    yield from _panels(height, middle, b, total, halvings - 1)


def _integral(height: Height, a: float, b: float, total: float) -> float:
    """As a share of all."""
    return float((b - a) / 2 * WEIGHTS @ np.exp([height(float(u)) - total for u in _nodes(a, b)]))


def _nodes(a: float, b: float) -> np.ndarray:
    return (a + b) / 2 + (b - a) / 2 * POINTS
