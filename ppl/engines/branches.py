"""Branches: few states of discrete variables, given each of which the rest is exact. The sum over them is exact too.

log p(x) = log Σ_z p(x, z); every state is a model with z observed, all of one compiled program, and beliefs are mixtures over
the states.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ppl.arrays.streams import stream
from ppl.compiler.plan import Plan, conditioned, states_of
from ppl.compiler.rewrites import HIDDEN
from ppl.engines.reports import Reporter, with_observed
from ppl.engines.vmp import Run
from ppl.results.belief import Belief
from ppl.results.joint import JointBlock
from ppl.results.mixture import mixed

IMPOSSIBLE = -1e29  # a bound below this holds the logarithm of a probability 0


@dataclass(frozen=True)
class Branches:
    """The fits of all states, each with the log of the joint probability of the data and the state, and that of the state's volume."""

    plan: Plan
    reporters: tuple[Reporter, ...]
    assignments: tuple[dict[str, np.ndarray], ...]
    log_joint: np.ndarray
    log_volume: np.ndarray

    @cached_property
    def log_evidence(self) -> float:
        top = self.log_joint.max()
        return float(top + np.log(np.exp(self.log_joint - top).sum()))

    @cached_property
    def weights(self) -> np.ndarray:
        """The posterior probability of each state."""
        return np.exp(self.log_joint - self.log_evidence)

    @property
    def names(self) -> tuple[str, ...]:
        inner = {*self.plan.branches, *(n for r in self.reporters for n in r.names)}
        return tuple(n for n in self.plan.bound.model.variables if n in inner and HIDDEN not in n)

    def believe(self, name: str) -> Belief:
        if name in self.plan.branches:
            return self.summed(name)
        return mixed(name, [r.believe(name) for r in self.reporters], self.weights)

    def summed(self, name: str) -> Belief:
        """The table of a variable that was summed over."""
        variable = self.plan.bound.model.variables[name]
        values = np.stack([a[name] for a in self.assignments])
        if variable.type.kind == "member" and variable.type.member_of is not None:
            size = self.plan.bound.sizes[variable.type.member_of.key]
            p = np.tensordot(self.weights, (values[..., None] == np.arange(size)) * 1.0, axes=1)
            belief = Belief(name, "Categorical", {"p": p}, members=self.plan.bound.member_names(name))
        else:
            belief = Belief(name, "Bernoulli", {"p": np.tensordot(self.weights, values * 1.0, axes=1)})
        return with_observed(belief, self.plan.bound)

    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of the states, and of everything else given them."""
        rng = stream(seed, "branches")
        counts = rng.multinomial(count, self.weights)
        seeds = rng.integers(2**31, size=len(self.reporters))
        parts = []
        for k, (reporter, states) in enumerate(zip(self.reporters, self.assignments, strict=True)):
            if counts[k]:
                enough = 1 << int(counts[k] - 1).bit_length()  # so that draws are of few shapes, for each of which something is compiled
                drawn = {n: v[: counts[k]] for n, v in reporter.joint_draws(enough, int(seeds[k])).items()}
                parts.append({n: np.broadcast_to(v, (counts[k], *v.shape)) for n, v in states.items()} | drawn)
        order = rng.permutation(count)
        return {name: np.concatenate([part[name] for part in parts])[order] for name in self.names}

    def joint_blocks(self) -> tuple[JointBlock, ...]:
        return (JointBlock(self.names, independent=False),)

    def factor_energies(self) -> dict[str, float]:
        """Expected over the states, with the entropy of the choice among them."""
        told: dict[str, float] = {}
        for weight, reporter in zip(self.weights, self.reporters, strict=True):
            for label, value in reporter.factor_energies().items():
                told[label] = told.get(label, 0.0) + float(weight) * value
        positive = self.weights > 0
        weights, volume = self.weights[positive], self.log_volume[positive]
        told[f"entropy of q({', '.join(self.plan.branches)})"] = float((weights * (volume - np.log(weights))).sum())
        return told


def assignments(plan: Plan) -> Iterator[dict[str, np.ndarray]]:
    """Every joint state of the variables that are summed over; entries that were observed keep their values."""
    sizes = [states_of(name, plan.bound) for name in plan.branches]
    free = [_missing(name, plan) for name in plan.branches]
    ranges = [range(size) for size, mask in zip(sizes, free, strict=True) for _ in range(int(mask.sum()))]
    for states in itertools.product(*ranges):
        values, at = {}, 0
        for name, mask in zip(plan.branches, free, strict=True):
            count = int(mask.sum())
            kind = np.int64 if plan.bound.model.variables[name].type.kind == "member" else np.float64
            array = np.zeros(mask.shape, kind) if name not in plan.bound.values else plan.bound.values[name].astype(kind)
            array[mask] = states[at : at + count]
            values[name], at = array, at + count
        yield values


def _missing(name: str, plan: Plan) -> np.ndarray:
    shape = plan.bound.shape(plan.bound.model.variables[name])
    return ~plan.bound.observed[name] if name in plan.bound.values else np.ones(shape, bool)


def fit_branches(plan: Plan, run: Callable[[Plan], Run], seed: int) -> tuple[Branches, list[Run]]:
    """Fits every state. `run` fits an exact plan."""
    chosen, runs, reporters = [], [], []
    for values in assignments(plan):
        inner = conditioned(plan, values)
        one = run(inner)
        chosen.append(values)
        runs.append(one)
        reporters.append(Reporter(inner, one, seed))
    log_joint = np.array([one.trace[-1] for one in runs])
    return Branches(plan, tuple(reporters), tuple(chosen), log_joint, np.zeros(len(runs))), runs


def total_run(runs: list[Run], log_evidence: float) -> Run:
    """The runs told as one."""
    return replace(
        runs[0],
        trace=np.array([log_evidence]),
        compile_seconds=sum(r.compile_seconds for r in runs),
        run_seconds=sum(r.run_seconds for r in runs),
    )
