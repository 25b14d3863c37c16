"""Nodes: one number is integrated over, given each value of which the rest is exact; the integral is exact to rounding.

log p(x) = log ∫ p(x, v) dv by the trapezoid rule in a coordinate of v (`Line`), whose error falls exponentially for such integrands
(Trefethen & Weideman 2014). The step is halved, where the integrand is not negligible, until the integral stands still. Where it
jumps it never does: then it is cut there (`panels.py`). Beliefs are mixtures over the nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.arrays.streams import stream
from ppl.compiler.plan import Plan, conditioned
from ppl.engines.branches import IMPOSSIBLE, Branches
from ppl.engines.panels import Rule, in_panels
from ppl.engines.reports import DRAWS, Reporter
from ppl.engines.settled import settle
from ppl.engines.vmp import Run
from ppl.results.belief import Belief
from ppl.source.diagnostics import AimError

FARTHEST = 16  # steps of 2, of the coordinate
DEPTH = 36.0  # nats below the top
NEAR = 15.0  # nats below the top, beside which an impossible value is an end
FINE = 0.5
FINEST = 1 / 8  # at which something possible is looked for
FEWEST = 40  # nodes
MOST = 600  # after which the integrand is taken to jump
RESOLVED = 8.0  # nats to the neighbours of a top that is seen
STILL = 1e-8  # of the halving before: each squares the error


@dataclass(frozen=True)
class Line:
    """The numbers between two ends, and their coordinate: a logarithm towards each end, arsinh where there is none."""

    low: float
    high: float

    def value_at(self, u: Any) -> tuple[Any, Any]:
        """The number at a coordinate, and the log of its derivative."""
        below, above = np.logaddexp(0.0, -u), np.logaddexp(0.0, u)
        if math.isfinite(self.low) and math.isfinite(self.high):
            width = self.high - self.low
            return self.low + width * np.exp(-below), math.log(width) - below - above
        if math.isfinite(self.low):
            return self.low + np.exp(u), u
        if math.isfinite(self.high):
            return self.high - np.exp(-u), -u
        return np.sinh(u), np.logaddexp(u, -u) - np.log(2.0)

    def coordinate(self, value: np.ndarray) -> np.ndarray:
        if math.isfinite(self.low) and math.isfinite(self.high):
            return np.log(value - self.low) - np.log(self.high - value)
        if math.isfinite(self.low):
            return np.log(value - self.low)
        return -np.log(self.high - value) if math.isfinite(self.high) else np.arcsinh(value)


@dataclass(frozen=True)
class Nodes(Branches):
    """A draw of the number is anywhere in its node's cell of the coordinate."""

    line: Line
    rule: Rule

    def summed(self, name: str) -> Belief:
        values = np.array([float(a[name]) for a in self.assignments])
        mean = self.weights @ values
        drawn = self.joint_draws(DRAWS, 0)[name]
        return Belief(name, "Draws", {}, draws=drawn, moments=(np.asarray(mean), np.asarray(self.weights @ (values - mean) ** 2)))

    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        (name,) = self.plan.branches
        found = super().joint_draws(count, seed)
        if name in found:
            drawn = self.line.coordinate(found[name])
            node = np.abs(self.rule.places - drawn[:, None]).argmin(axis=1)
            moved = self.rule.cells[node] + self.rule.widths[node] * stream(seed, "nodes").random(count)
            found[name] = self.line.value_at(moved)[0]
        return found


def fit_nodes(plan: Plan, run: Callable[[Plan], Run], seed: int) -> tuple[Nodes, list[Run]]:
    """Fits the plan at every node."""
    (name,) = plan.branches
    assert plan.integrated is not None
    line = Line(*plan.integrated)
    found: dict[float, tuple[Plan, Run, dict[str, np.ndarray]]] = {}
    heights: dict[float, float] = {}

    def fitted(u: float) -> float:
        if u not in heights:
            value, change = line.value_at(np.asarray(u))
            try:
                with np.errstate(all="ignore"):
                    inner = conditioned(plan, {name: value}, settle)
            except AimError:  # so far out that a parameter is no number any more, or beyond an end
                heights[u] = -np.inf
                return -np.inf
            one = run(inner)
            found[u] = inner, one, {name: value}
            height = float(one.trace[-1]) + float(change)
            heights[u] = height if np.isfinite(height) and height > IMPOSSIBLE else -np.inf
        return heights[u]

    rule = integral(fitted)
    kept = [found[float(k)] for k in rule.places]
    reporters = tuple(Reporter(inner, one, seed) for inner, one, _ in kept)
    changes = np.array([line.value_at(k)[1] for k in rule.places])
    widths = np.log(rule.widths)
    log_joint = np.array([heights[float(k)] for k in rule.places]) + widths
    nodes = Nodes(plan, reporters, tuple(values for _, _, values in kept), log_joint, widths + changes, line, rule)
    return nodes, [one for _, one, _ in kept]


def integral(height: Callable[[float], float]) -> Rule:
    """Nodes and widths by which e^height is integrated.

    Where the integrand is negligible nodes are left out, but not beside a top that the step does not resolve yet.
    """
    step, places, former = 2.0, np.arange(-FARTHEST, FARTHEST + 1), np.inf  # places are in units of the step
    while True:
        heights = np.array([height(float(k * step)) for k in places])
        if not np.isfinite(heights).any() and step > FINEST:  # what is possible may lie between
            step, places = step / 2, np.arange(2 * places[0], 2 * places[-1] + 1)
            continue
        beside = np.stack([_shifted(places, heights, by) for by in (-1, 1)])
        sharp = (heights >= beside.max(axis=0)) & (heights > beside.min(axis=0) + RESOLVED)
        inside = heights > heights.max() - DEPTH
        total = float(heights.max() + np.log(np.exp(heights - heights.max()).sum()) + np.log(step))
        if not np.isfinite(heights).any() or (inside.sum() >= FEWEST and abs(total - former) <= STILL * (1.0 + abs(total))):
            nodes = places[inside] * step
            return Rule(nodes, nodes - step / 2, np.full(nodes.shape, step))
        ends = bool((np.isneginf(beside).any(axis=0) & (heights > heights.max() - NEAR)).any())
        if inside.sum() > MOST or (ends and step <= FINE):
            return in_panels(height, places * step, heights, total)
        kept = places[inside | sharp]
        step, former = step / 2, total
        places = np.unique((2 * kept[:, None] + np.arange(-2, 3)).ravel())


def _shifted(places: np.ndarray, heights: np.ndarray, by: int) -> np.ndarray:
    """The height at each next place; far below where that is left out."""
    at = np.searchsorted(places, places + by).clip(0, len(places) - 1)
    return np.where(places[at] == places + by, heights[at], -np.inf)
