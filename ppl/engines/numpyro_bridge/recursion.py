"""Deterministic recursions, `x[t] = f(x[t - 1])`: one scan over time, however long it is.

What does not depend on the recursion is evaluated for all times at once before the scan, and handed to each step; a step reads the
last few values, which it carries. Gradients then cost as much as values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from ppl.arrays.plated import Plated, running, stack
from ppl.engines.numpyro_bridge.tracing import TracingEvaluator, base_and_offset
from ppl.graph.evaluate import index_value
from ppl.graph.references import statement_uses
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class Stepped:
    """A statement of a recursion: the loop that steps, the axis of its variable that this is, and its offset on the left."""

    statement: typed.DeterministicStatement
    loop: typed.Loop
    axis: int
    offset: int
    start: int  # of the places on the axis that it defines
    stop: int


def run_recursion(group: Sequence[str], evaluator: TracingEvaluator) -> dict[str, Any]:
    """The whole arrays of variables that are computed from earlier members of each other."""
    structure = evaluator.structure
    statements = [s for name in group for s in structure.definitions[name]]
    statements.sort(key=lambda s: s.span.start)
    key = _stepping_set(statements, group)
    steps = [_stepped(s, key, evaluator) for s in statements]
    axes = {s.statement.variable: s.axis for s in steps if s is not None}
    shapes = {n: structure.bound.shape(structure.bound.model.variables[n]) for n in group}
    begun = _begun([s for s, step in zip(statements, steps, strict=True) if step is None], shapes, evaluator)
    moving = [s for s in steps if s is not None]
    return _scanned(moving, axes, shapes, begun, evaluator)


def _begun(
    statements: Sequence[typed.DeterministicStatement], shapes: Mapping[str, tuple[int, ...]], evaluator: TracingEvaluator
) -> dict[str, Any]:
    """The arrays with what statements outside of the recursion define: `x[0] = …`."""
    arrays: dict[str, Any] = {n: jnp.zeros(shape) for n, shape in shapes.items()}
    for statement in statements:
        inner = evaluator.fresh()
        inner.computed = {**evaluator.computed, **arrays}
        loops = inner.loops_of(statement)
        value = inner.number(statement.value, loops)
        arrays[statement.variable] = inner.placed(arrays[statement.variable], shapes[statement.variable], statement.indices, loops, value)
    return arrays


# ------------------------------------------------------------------ which way it steps
def _stepping_set(statements: Sequence[typed.DeterministicStatement], group: Sequence[str]) -> str:
    """The key of the set whose index is further back on the right than on the left."""
    for statement in statements:
        own = dict(base_and_offset(i) for i in statement.indices)
        keys = {loop.name: loop.set.key for loop in statement.loops}
        for name, indices in statement_uses(statement):
            if name in group:
                for index in indices:
                    for base, offset in _offsets(index):
                        if base in own and offset != own[base] and base in keys:
                            return keys[base]
    text = f"`{statements[0].variable}` is computed from itself, and not along one of its axes"
    raise AimError([Diagnostic("AIM0746", text, statements[-1].span, "write the recursion as `x[t] = …` of `x[t - 1]`")])


def _offsets(index: typed.TypedExpression) -> list[tuple[str | None, int]]:
    if isinstance(index, typed.Slice):
        return [base_and_offset(index.low), base_and_offset(index.high)]
    return [base_and_offset(index)]


def _stepped(statement: typed.DeterministicStatement, key: str, evaluator: TracingEvaluator) -> Stepped | None:
    loop = next((one for one in statement.loops if one.set.key == key), None)
    if loop is None:
        return None
    axis = next(k for k, i in enumerate(statement.indices) if base_and_offset(i)[0] == loop.name)
    offset = base_and_offset(statement.indices[axis])[1]
    places = evaluator.loops_of(statement)[loop.name].data + offset
    first, last = (int(places.min()), int(places.max()) + 1) if places.size else (0, 0)
    return Stepped(statement, loop, axis, offset, first, last)


# ------------------------------------------------------------------ the scan
def _scanned(
    steps: Sequence[Stepped],
    axes: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
    begun: Mapping[str, Any],
    evaluator: TracingEvaluator,
) -> dict[str, Any]:
    first, last = min(s.start for s in steps), max(s.stop for s in steps)
    if last <= first:
        return dict(begun)
    rest = {n: tuple(x for k, x in enumerate(shapes[n]) if k != axes[n]) for n in axes}
    recorded = []
    for step in steps:
        ahead = StepEvaluator.before(evaluator, step, axes, {n: jnp.zeros(r) for n, r in rest.items()})
        ahead.value({step.loop.name: running("step", first - step.offset, last - step.offset)})
        recorded.append(ahead)
    depth = max([1, *(a.deepest for a in recorded)])
    moved = {n: jnp.moveaxis(begun[n], axes[n], 0) for n in axes}
    past = {n: [moved[n][max(first - lag, 0)] for lag in range(1, depth + 1)] for n in axes}
    inputs = ([_by_step(a.seen) for a in recorded], {n: m[first:last] for n, m in moved.items()}, jnp.arange(first, last))

    def body(carry: dict[str, list[Any]], given: Any) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        values, start, place = given
        now = dict(start)
        for step, ahead, told in zip(steps, recorded, values, strict=True):
            inside = (place >= step.start) & (place < step.stop)
            value = ahead.again(told, carry, now).value({step.loop.name: Plated((), place - step.offset)})
            name = step.statement.variable
            now[name] = jnp.where(inside, _placed(value, step, now[name], ahead), now[name])
        return {n: [now[n], *carry[n][:-1]] for n in carry}, now

    _, told = jax.lax.scan(body, past, inputs)
    return {n: jnp.moveaxis(moved[n].at[first:last].set(told[n]), 0, axes[n]) for n in axes}


def _placed(value: Plated, step: Stepped, before: Any, evaluator: StepEvaluator) -> Any:
    """The members that a statement defines at one step, among those of the others."""
    loops = {n: i for n, i in evaluator.loops.items() if n != step.loop.name}
    indices = tuple(i for k, i in enumerate(step.statement.indices) if k != step.axis)
    return evaluator.placed(before, before.shape, indices, loops, value)


def _by_step(seen: Sequence[Plated]) -> list[Any]:
    """What changes along the steps, those first; None for what does not."""
    return [jnp.moveaxis(jnp.asarray(v.data), v.dims.index("step"), 0) if "step" in v.dims else None for v in seen]


@dataclass
class StepEvaluator(TracingEvaluator):
    """Evaluates one statement, first for all steps at once with zeros for the recursion's own values, noting what else it reads
    (`seen`); then inside of a step with these notes."""

    step: Stepped = field(kw_only=True)
    axes: Mapping[str, int] = field(kw_only=True)
    own: Mapping[str, Any] = field(kw_only=True)
    past: Mapping[str, list[Any]] | None = field(default=None, kw_only=True)
    seen: list[Plated] = field(default_factory=list, kw_only=True)
    told: list[Any] | None = field(default=None, kw_only=True)
    loops: dict[str, Plated] = field(default_factory=dict, kw_only=True)
    deepest: int = field(default=0, kw_only=True)
    at: int = field(default=0, kw_only=True)

    @classmethod
    def before(cls, base: TracingEvaluator, step: Stepped, axes: Mapping[str, int], own: Mapping[str, Any]) -> StepEvaluator:
        return cls(
            base.sizes, base.values, base.plates, structure=base.structure, networks=base.networks, computed=base.computed,
            step=step, axes=axes, own=own,
        )  # fmt: skip

    def again(self, told: list[Any], past: Mapping[str, list[Any]], own: Mapping[str, Any]) -> StepEvaluator:
        """The same evaluation inside of a step."""
        made = StepEvaluator.before(self, self.step, self.axes, own)
        made.seen, made.told, made.past, made.loops = self.seen, told, past, self.loops
        return made

    def value(self, time: Mapping[str, Plated]) -> Plated:
        loops = dict(time)
        for loop in self.step.statement.loops:
            if loop.name not in loops:
                loops[loop.name] = self.loops.get(loop.name) or self.loop_index(loop, loops)
        self.loops = loops
        return self.number(self.step.statement.value, loops)

    def reference(self, name: str, indices: tuple[Plated, ...], span: Any) -> Plated:
        if self.told is None:
            self.seen.append(super().reference(name, indices, span))
            return self.seen[-1]
        value, changing = self.seen[self.at], self.told[self.at]
        self.at += 1
        return value if changing is None else Plated(tuple(d for d in value.dims if d != "step"), changing)

    def indexed(self, e: typed.Indexed, loops: Mapping[str, Plated]) -> Any:
        if not (isinstance(e.base, typed.VariableReference) and e.base.name in self.axes):
            return super().indexed(e, loops)
        name, axis = e.base.name, self.axes[e.base.name]
        if axis >= len(e.indices):
            self.refuse(e)
        lags = self.lags(e.indices[axis], e)
        others = tuple(self.index(i, e.base.type.axes[k], loops) for k, i in enumerate(e.indices) if k != axis)
        found = [index_value(Plated((), self.earlier(name, lag)), others) for lag in lags]
        return stack(found) if isinstance(e.indices[axis], typed.Slice) else found[0]

    def lags(self, index: typed.TypedExpression, e: typed.Indexed) -> list[int]:
        """How far back an index is: of a slice all of its members, oldest first."""
        ends = _offsets(index)
        if any(base != self.step.loop.name for base, _ in ends):
            self.refuse(e)
        offsets = range(ends[0][1], ends[1][1]) if isinstance(index, typed.Slice) else [ends[0][1]]
        lags = [self.step.offset - o for o in offsets]
        if min(lags) < 0:
            self.refuse(e)
        self.deepest = max(self.deepest, *lags)
        return lags

    def earlier(self, name: str, lag: int) -> Any:
        return self.own[name] if lag == 0 or self.past is None else self.past[name][lag - 1]

    def refuse(self, e: typed.Indexed) -> None:
        text = "a recursion reads its own past at a fixed distance; this reads another part of it"
        raise AimError([Diagnostic("AIM0746", text, e.span, "write `x[t - 1]`, `x[t - 2]`, or a slice `x[t - p..t]`")])
