"""A series goes on: the model of the steps that follow, with the last entries of before in front.

In `for t in T: x[t] ~ Normal(x[t - 1], …)` the steps after the old ones are counted from 0 again, and `x` gets as many entries in
front as statements reach back: `x[t + 1] ~ Normal(x[t], …)`. Time as a number goes on to count from where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.statements import deterministic_definitions
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator
from ppl.semantics import typed
from ppl.semantics.walking import inside, variables_in
from ppl.source.diagnostics import AimError

TIME = "step"  # the plate of the first new steps
Loops = Mapping[str, Plated]


class NoEnd(Exception):
    """The series cannot be gone on with in the model's own statements; the message is why."""


@dataclass(frozen=True)
class Series:
    """The set that goes on, how many steps it had, and the variables along it: which axis, and how many entries are in front."""

    key: str
    steps: int
    axes: dict[str, int]
    front: dict[str, int]

    def place(self, name: str, place: tuple[int, ...]) -> tuple[int, ...] | None:
        """Where an entry of before stands now; None where it is left behind."""
        axis = self.axes[name]
        now = place[axis] - self.steps + self.front[name]
        return (*place[:axis], now, *place[axis + 1 :]) if now >= 0 else None

    def last(self, name: str, lengths: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The entries of before that are now in front, over plates of these lengths, and where."""
        axis = self.axes[name]
        first = self.steps - self.front[name]
        for inner in np.ndindex(*(n - first if k == axis else n for k, n in enumerate(lengths))):
            yield (*inner[:axis], inner[axis] + first, *inner[axis + 1 :]), inner


def continued(old: BoundModel, key: str) -> tuple[typed.TypedModel, Series]:
    """The model of what follows after the steps of this set. Raises NoEnd where a statement has no such form."""
    model = old.model
    axes = {n: v.type.axes.index(a) for n, v in model.variables.items() for a in v.type.axes if a.set is not None and a.set.key == key}
    if model.sets[key].low or model.sets[key].size is not None:
        raise NoEnd(f"`{key}` has members of its own")
    if any(_touches(p, key, axes) for p in model.potentials):
        raise NoEnd(f"a `factor` is along `{key}`")
    going = [(s, lag) for s in model.statements if (lag := _lag(s, old, key, axes)) is not None]
    reach = _Reach(old, key, axes)
    for statement, lag in going:
        reach.read(statement, lag)
    series = Series(key, old.sizes[key], axes, {name: reach.front.get(name, 0) for name in axes})
    for name in deterministic_definitions(model):
        if name in axes and series.front[name] + model.variables[name].type.axes[axes[name]].extra:
            raise NoEnd(f"`{name}` is computed from its own past")
    variables = {n: _longer(v, series) if n in axes else v for n, v in model.variables.items()}
    moved = {id(s): _Moved(old, series, variables, lag).statement(s) for s, lag in going}
    kept = (moved.get(id(s), s) for s in model.statements if id(s) in moved or s.variable not in axes)
    begun = {n: (axis, model.begun.get(n, (axis, 0))[1] + series.front[n]) for n, axis in axes.items()}
    begun = model.begun | {n: (axis, count) for n, (axis, count) in begun.items() if count}
    return replace(model, variables=variables, statements=tuple(kept), begun=begun), series


def _longer(variable: typed.Variable, series: Series) -> typed.Variable:
    axes = list(variable.type.axes)
    at = series.axes[variable.name]
    axes[at] = replace(axes[at], extra=axes[at].extra + series.front[variable.name])
    return replace(variable, type=replace(variable.type, axes=tuple(axes)))


def _touches(value: Any, key: str, axes: Mapping[str, int]) -> bool:
    """Whether something mentions the set or a variable along it."""
    return bool(variables_in(value) & axes.keys()) or any(s.key == key for s in inside(value, typed.IndexSet))


# ------------------------------------------------------------------ which statements go on
def _lag(statement: Any, old: BoundModel, key: str, axes: Mapping[str, int]) -> int | None:
    """By how many steps the end of a statement's loop is after that of the set; None where it does not go on: it is of the beginning,
    or of no series."""
    mine = [loop for loop in statement.loops if loop.set.key == key]
    name = statement.variable
    if not mine:
        if name not in axes:
            if _touches(statement, key, axes):
                raise NoEnd(f"`{name}` depends on the whole series")
            return None
        if not isinstance(statement.indices[axes[name]], typed.Constant | typed.Member):
            raise NoEnd(f"`{name}` has a statement of its own at the end of the series")
        return None
    if len(mine) > 1 or name not in axes:
        raise NoEnd(f"`{name}` is of several steps")
    (loop,) = mine
    evaluator, steps = Evaluator(old.sizes, old.values), old.sizes[key]
    low, high = (0 if loop.low is None else _known(loop.low, evaluator)), (steps if loop.high is None else _known(loop.high, evaluator))
    at_end = loop.high is None or any(True for _ in _sizes(loop.high, key))
    if not at_end and high <= steps:
        return None
    if not at_end or low > high or statement_end(statement, axes[name], loop.name) + high - steps != _extra(old, name, axes):
        raise NoEnd(f"the series of `{name}` has hardly begun")
    return high - steps


def _known(e: typed.TypedExpression, evaluator: Evaluator) -> int:
    try:
        return int(evaluator.number(e, {}).data)
    except KeyError:
        raise NoEnd("the range of a loop depends on another index") from None


def _sizes(e: Any, key: str) -> Any:
    return (s for s in inside(e, typed.SizeOf) if s.set.key == key)


def _extra(old: BoundModel, name: str, axes: Mapping[str, int]) -> int:
    return old.model.variables[name].type.axes[axes[name]].extra


def statement_end(statement: Any, axis: int, loop: str) -> int:
    """How far from its loop's index a statement defines: 1 for `x[t + 1]`."""
    match statement.indices[axis]:
        case typed.IndexReference(name=name) if name == loop:
            return 0
        case typed.Apply(function="add" | "subtract" as sign, arguments=(typed.IndexReference(name=name), typed.Constant(value=by))):
            if name == loop:
                return int(by) if sign == "add" else -int(by)
    raise NoEnd(f"`{statement.variable}` is not defined step by step")


# ------------------------------------------------------------------ how far they reach back
@dataclass
class _Reach:
    """How many entries before the first new step each variable is read at."""

    old: BoundModel
    key: str
    axes: Mapping[str, int]
    front: dict[str, int] = field(default_factory=dict)

    def read(self, statement: Any, lag: int) -> None:
        evaluator = Evaluator(self.old.sizes, self.old.values)
        loops: dict[str, Plated] = {}
        for loop in statement.loops:
            loops[loop.name] = self._steps(lag) if loop.set.key == self.key else _range(loop, loops, evaluator)
        body = statement.distribution if isinstance(statement, typed.RandomStatement) else statement.value
        self._visit(body, loops, evaluator)

    def _steps(self, lag: int) -> Plated:
        first = self.old.sizes[self.key] + lag
        return Plated((TIME,), np.arange(first, first + 2))

    def _visit(self, value: Any, loops: Loops, evaluator: Evaluator) -> None:
        match value:
            case typed.VariableReference(name=name) if name in self.axes:
                raise NoEnd(f"the whole of `{name}` is read at once")
            case typed.Indexed(base=typed.VariableReference(name=name), indices=indices) if name in self.axes:
                if len(indices) <= self.axes[name]:
                    raise NoEnd(f"the whole of `{name}` is read at once")
                index = indices[self.axes[name]]
                low = index.low if isinstance(index, typed.Slice) else index
                self.front[name] = max(self.front.get(name, 0), self._before(low, name, loops, evaluator))
                for inner in indices:
                    self._visit(inner, loops, evaluator)
            case typed.Comprehension(loops=own, body=body):
                if any(loop.set.key == self.key for loop in own):
                    raise NoEnd(f"a sum runs over all of `{self.key}`")
                within = dict(loops)
                for loop in own:
                    within[loop.name] = _range(loop, within, evaluator)
                self._visit(body, within, evaluator)
            case typed.IndexSet() | typed.ValueType():
                return
            case _:
                for part in _parts(value):
                    self._visit(part, loops, evaluator)

    def _before(self, index: typed.TypedExpression, name: str, loops: Loops, evaluator: Evaluator) -> int:
        """How far before the first new step an index lies; it must move on with the steps."""
        try:
            value = evaluator.index(index, self.old.model.variables[name].type.axes[self.axes[name]], loops)
        except (KeyError, TypeError):
            raise NoEnd(f"`{name}` is read at an index that is not known") from None
        along = np.moveaxis(value.data, value.dims.index(TIME), 0) if TIME in value.dims else None
        if along is None or not np.all(along[1] - along[0] == 1):
            raise NoEnd(f"`{name}` is read at a step that does not move on")
        return int(self.old.sizes[self.key] - along[0].min())


def _range(loop: typed.Loop, loops: Loops, evaluator: Evaluator) -> Plated:
    try:
        return evaluator.loop_index(loop, loops)
    except (AimError, KeyError):
        raise NoEnd("the range of a loop depends on another index") from None


def _parts(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    if is_dataclass(value):
        return [getattr(value, f.name) for f in fields(value) if "span" not in f.name and f.name != "type"]
    return []


# ------------------------------------------------------------------ the statements of what follows
@dataclass(frozen=True)
class _Moved:
    """A statement whose loop starts at the first new step: `lag` steps after the set's end its own one is."""

    old: BoundModel
    series: Series
    variables: Mapping[str, typed.Variable]
    lag: int

    def statement(self, statement: Any) -> Any:
        loops = tuple(replace(one, low=None, high=None) if self._is_time(one) else one for one in statement.loops)
        times = {one.name for one in statement.loops if self._is_time(one)}
        changes = {f.name: self.value(getattr(statement, f.name), times) for f in fields(statement) if f.name in ("distribution", "value")}
        axis = self.series.axes[statement.variable]
        indices = list(statement.indices)
        indices[axis] = self._shifted(indices[axis], self.lag + self.series.front[statement.variable])
        return replace(statement, loops=loops, indices=tuple(indices), **changes)

    def _is_time(self, loop: typed.Loop) -> bool:
        return loop.set.key == self.series.key

    def value(self, value: Any, times: set[str]) -> Any:
        """An expression, a distribution, or whatever holds them."""
        match value:
            case typed.Indexed(base=typed.VariableReference(name=name), indices=indices) if name in self.series.axes:
                axis, ahead = self.series.axes[name], self.lag + self.series.front[name]
                found = [self._shifted(i, ahead) if k == axis else self.value(i, times) for k, i in enumerate(indices)]
                base = replace(value.base, type=self.variables[name].type)
                return replace(value, base=base, indices=tuple(found))
            case typed.IndexReference(name=name) if name in times:
                return _plus(value, self.lag + self.series.steps)
            case typed.SizeOf(set=index_set) if index_set.key == self.series.key:
                return _plus(value, self.series.steps)
            case tuple():
                return tuple(self.value(one, times) for one in value)
            case dict():
                return {name: self.value(one, times) for name, one in value.items()}
            case _ if is_dataclass(value) and not isinstance(value, type) and not isinstance(value, typed.IndexSet):
                own = {f.name: getattr(value, f.name) for f in fields(value) if "span" not in f.name and f.name != "type"}
                return replace(value, **{name: self.value(one, times) for name, one in own.items()})
        return value

    def _shifted(self, index: Any, by: int) -> Any:
        """An index along the series, which moves on with the steps."""
        if isinstance(index, typed.Slice):
            return replace(index, low=_plus(index.low, by), high=_plus(index.high, by))
        return _plus(index, by)


def _plus(e: Any, by: int) -> Any:
    """`t - 1` and 1 are `t`."""
    match e:
        case typed.Apply(function="add" | "subtract" as sign, arguments=(inner, typed.Constant(value=there))) if isinstance(there, int):
            return _plus(inner, by + (there if sign == "add" else -there))
    if not by:
        return e
    kind = typed.ValueType("int")
    constant = typed.Constant(abs(by), span=e.span, type=kind)
    return typed.Apply("add" if by > 0 else "subtract", (e, constant), span=e.span, type=kind)
