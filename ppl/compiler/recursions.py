"""Recursions: references to earlier entries of what a statement defines, at a fixed distance along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator
from ppl.graph.references import mentions_index, statement_uses
from ppl.semantics import typed


@dataclass(frozen=True)
class Recursion:
    """`name[…, t, …]` is read where `name[…, t + lag, …]` is defined: with one entry all those before it, lag by lag, are needed."""

    statement: typed.RandomStatement
    loop: typed.Loop
    axis: int
    lag: int

    def fill(self, needed: dict[str, np.ndarray], settled: dict[str, np.ndarray], bound: BoundModel) -> bool:
        """Marks them at once, where the fixed point would take a pass for each step. Whether anything is new."""
        evaluator, name = Evaluator(bound.sizes, bound.values), self.statement.variable
        axis = bound.model.variables[name].type.axes[self.axis]
        times = evaluator.index(self.statement.indices[self.axis], axis, {self.loop.name: evaluator.loop_index(self.loop, {})}).data
        mine, whole = np.moveaxis(settled[name], self.axis, 0), np.moveaxis(needed[name], self.axis, 0)
        new = False
        for first in range(min(self.lag, len(times))):
            ends = times[first :: self.lag]
            line = np.concatenate([ends[:1] - self.lag, ends])
            later = np.logical_or.accumulate(mine[line][::-1], axis=0)[::-1][1:]
            new |= bool((later & ~whole[line[:-1]]).any())
            mine[line[:-1]] |= later
            whole[line[:-1]] |= later
        return new


def recursions(statement: typed.RandomStatement) -> Iterator[Recursion]:
    """Those of a statement whose other indices are in place."""
    loops = {loop.name: loop for loop in statement.loops}
    for name, indices in statement_uses(statement):
        if name != statement.variable or len(indices) != len(statement.indices):
            continue
        differing = [k for k, (i, j) in enumerate(zip(indices, statement.indices, strict=True)) if i != j]
        if len(differing) == 1:
            (axis,) = differing
            (at, by), (own, ahead) = _shifted(indices[axis]), _shifted(statement.indices[axis])
            if at == own and at in loops and ahead - by > 0 and _alone(at, statement):
                yield Recursion(statement, loops[at], axis, ahead - by)


def _alone(loop: str, statement: typed.RandomStatement) -> bool:
    """Whether the loop's bounds are those of no other loop, and every other axis is a loop over all of it."""
    bounds = [e for one in statement.loops for e in (one.low, one.high) if e is not None]
    others = [i for i in statement.indices if _shifted(i)[0] != loop]
    free = {one.name for one in statement.loops if one.low is None and one.high is None}
    if any(mentions_index(e) for e in bounds):
        return False
    return all(isinstance(i, typed.IndexReference) and i.name in free for i in others)


def _shifted(e: typed.TypedExpression) -> tuple[str, int]:
    """The loop of an index `t`, `t + 1` or `t - 1`, and how far from it it is."""
    match e:
        case typed.IndexReference(name=name):
            return name, 0
        case typed.Apply(function="add" | "subtract" as sign, arguments=(typed.IndexReference(name=name), typed.Constant(value=by))):
            return name, int(by) if sign == "add" else -int(by)
    return "", 0
