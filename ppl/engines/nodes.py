"""Nodes: one number is integrated over, given each value of which the rest is exact; the integral is exact to rounding.

log p(x) = log ∫ p(x, v) dv by the trapezoid rule in log v (logit v between 0 and 1, arsinh v of a real number), whose error falls
exponentially for such integrands (Trefethen & Weideman 2014). The step is halved, where the integrand is not negligible, until the
integral stands still. Beliefs are mixtures over the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.arrays.streams import stream
from ppl.compiler.plan import Plan, conditioned
from ppl.engines.branches import Branches
from ppl.engines.reports import DRAWS, Reporter
from ppl.engines.vmp import Run
from ppl.results.belief import Belief
from ppl.source.diagnostics import AimError

FARTHEST = 16  # steps of 2, of the coordinate
DEPTH = 45.0  # nats below the top
FEWEST = 40  # nodes
RESOLVED = 8.0  # nats to the neighbours of a top that is seen
HALVINGS = 24
STILL = 1e-11


@dataclass(frozen=True)
class Nodes(Branches):
    """`coordinates` are those of the nodes; a draw of the number is anywhere between a node's neighbours."""

    coordinates: np.ndarray

    def summed(self, name: str) -> Belief:
        values = np.array([float(a[name]) for a in self.assignments])
        mean = self.weights @ values
        drawn = self.joint_draws(DRAWS, 0)[name]
        return Belief(name, "Draws", {}, draws=drawn, moments=(np.asarray(mean), np.asarray(self.weights @ (values - mean) ** 2)))

    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        (name,) = self.plan.branches
        found = super().joint_draws(count, seed)
        if name in found:
            step = np.diff(self.coordinates).min()
            moved = coordinate(found[name], self.plan) + step * (stream(seed, "nodes").random(count) - 0.5)
            found[name] = value_at(moved, self.plan)[0]
        return found


def value_at(u: Any, plan: Plan) -> tuple[Any, Any]:
    """The number at a coordinate, and the log of its derivative."""
    match plan.integrated:
        case "unit":
            return 1.0 / (1.0 + np.exp(-u)), -np.logaddexp(0.0, u) - np.logaddexp(0.0, -u)
        case "positive":
            return np.exp(u), u
    return np.sinh(u), np.logaddexp(u, -u) - np.log(2.0)


def coordinate(value: np.ndarray, plan: Plan) -> np.ndarray:
    match plan.integrated:
        case "unit":
            return np.log(value) - np.log1p(-value)
        case "positive":
            return np.log(value)
    return np.arcsinh(value)


def fit_nodes(plan: Plan, run: Callable[[Plan], Run], seed: int) -> tuple[Nodes, list[Run]]:
    """Fits the plan at every node."""
    (name,) = plan.branches
    found: dict[float, tuple[Plan, Run, dict[str, np.ndarray]]] = {}
    heights: dict[float, float] = {}

    def fitted(u: float) -> float:
        if u not in heights:
            value, change = value_at(np.asarray(u), plan)
            try:
                inner = conditioned(plan, {name: value})
            except AimError:  # so far out that a parameter is no number any more
                heights[u] = -np.inf
                return -np.inf
            one = run(inner)
            found[u] = inner, one, {name: value}
            height = float(one.trace[-1]) + float(change)
            heights[u] = height if np.isfinite(height) else -np.inf
        return heights[u]

    step, u, log_joint = grid(fitted)
    kept = [found[float(k)] for k in u]
    reporters = tuple(Reporter(inner, one, seed) for inner, one, _ in kept)
    changes = np.array([value_at(k, plan)[1] for k in u])
    nodes = Nodes(plan, reporters, tuple(values for _, _, values in kept), log_joint, np.log(step) + changes, u)
    return nodes, [one for _, one, _ in kept]


def grid(height: Callable[[float], float]) -> tuple[float, np.ndarray, np.ndarray]:
    """Step, nodes and the logs of their shares of the integral of e^height.

    Where the integrand is negligible nodes are left out, but not beside a top that the step does not resolve yet.
    """
    step, places, former = 2.0, np.arange(-FARTHEST, FARTHEST + 1), np.inf  # places are in units of the step
    for halved in range(HALVINGS):
        heights = np.array([height(float(k * step)) for k in places])
        beside = np.stack([_shifted(places, heights, by) for by in (-1, 1)])
        sharp = (heights >= beside.max(axis=0)) & (heights > beside.min(axis=0) + RESOLVED)
        inside = heights > heights.max() - DEPTH
        total = float(heights.max() + np.log(np.exp(heights - heights.max()).sum()) + np.log(step))
        still = inside.sum() >= FEWEST and abs(total - former) <= STILL * (1.0 + abs(total))
        if still or halved == HALVINGS - 1:
            break
        kept = places[inside | sharp]
        step, former = step / 2, total
        places = np.unique((2 * kept[:, None] + np.arange(-2, 3)).ravel())
    return step, places[inside] * step, heights[inside] + np.log(step)


def _shifted(places: np.ndarray, heights: np.ndarray, by: int) -> np.ndarray:
    """The height at each next place; far below where that is left out."""
    at = np.searchsorted(places, places + by).clip(0, len(places) - 1)
    return np.where(places[at] == places + by, heights[at], -np.inf)
