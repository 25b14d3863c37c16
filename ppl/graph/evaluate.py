"""Evaluation of typed expressions over named plates: all members of the loops at once.

The rules are the same for known values (NumPy arrays here) and for what stands for latent variables in the compiler, which
derives from `Evaluator` and says only what a reference to a variable is; arithmetic on what is not known is asked of the value
itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, indices, known, namespace, running, shift, stack
from ppl.graph.functions import apply_known, reduce_plates
from ppl.graph.references import loop_bounds, mentions_index
from ppl.semantics import typed

NEUTRAL = {"prod": 1.0, "max": -1e30, "min": 1e30, "logsumexp": -1e30}
"""What changes nothing in a reduction; finite, so that no gradient through it is lost."""


@dataclass(frozen=True)
class Scope:
    """What names mean: values of variables (whole, or already with plates), sizes by set, the indices of loops."""

    values: Mapping[str, Any]
    sizes: Mapping[str, int]
    loops: Mapping[str, Plated] = field(default_factory=dict)


def evaluate(expression: typed.TypedExpression, scope: Scope) -> Plated:
    """The known value of an expression."""
    return Evaluator(scope.sizes, scope.values).evaluate(expression, scope.loops)


@dataclass
class Evaluator:
    """`plates` numbers the plates of definitions and sums, so that none is taken for another of the same name."""

    sizes: Mapping[str, int]
    values: Mapping[str, Any]
    plates: Iterator[int] = field(default_factory=itertools.count)

    def loop_index(self, loop: typed.Loop, loops: Mapping[str, Plated], *, fresh: bool = True) -> Plated:
        """The running index of a loop, over a plate of its own (`fresh`) or one that has the loop's name.

        Where its range changes with another index, or with what is latent, this is the widest range, and `inside` says which of its
        members there are.
        """
        low, high = (self._known_end(end, loops) for end in (loop.low, loop.high))
        least = 0 if low is None else int(np.min(low, initial=self.sizes[loop.set.key]))
        most = self.sizes[loop.set.key] if high is None else int(np.max(high, initial=0))
        return running(f"{loop.name} {next(self.plates)}" if fresh else loop.name, min(least, most), most)

    def _known_end(self, e: typed.TypedExpression | None, loops: Mapping[str, Plated]) -> np.ndarray | None:
        value = self.evaluate(e, loops) if e is not None else None
        return np.asarray(value.data) if isinstance(value, Plated) and isinstance(value.data, np.ndarray | np.generic) else None

    def loops_of(
        self, statement: typed.TypedStatement | typed.Potential | typed.AgentStatement, *, fresh: bool = False
    ) -> dict[str, Plated]:
        """The running indices of a statement's loops, over plates that have their names (or names of their own: `fresh`).

        Where a range changes with another index, the members that there are stand one after the other along one plate.
        """
        loops: dict[str, Plated] = {}
        for loop in statement.loops:
            loops[loop.name] = self.loop_index(loop, loops, fresh=fresh)
        mask = self.inside(statement.loops, loops)
        if mask is None:
            return loops
        place = dict(zip(mask.dims, np.nonzero(mask.data), strict=True))
        rows = "·".join(mask.dims)
        return {n: indices(rows, i.data[place[i.dims[0]]]) if i.dims[0] in place else i for n, i in loops.items()}

    def inside(self, own: Iterable[typed.Loop], loops: Mapping[str, Plated]) -> Plated | None:
        """1 where the ranges of the loops hold these members of theirs; None where no range changes."""
        mask: Plated | None = None
        for loop in own:
            for end, comparison in ((loop.low, "greater_equal"), (loop.high, "less")):
                limit = self.evaluate(end, loops) if end is not None else None
                if limit is None or (isinstance(limit, Plated) and not limit.dims and isinstance(limit.data, np.ndarray | np.generic)):
                    continue
                holds = self.call(comparison, [loops[loop.name], limit], loop.span)
                mask = holds if mask is None else mask * holds
        return mask

    # ------------------------------------------------------------ what a derived evaluator changes
    def reference(self, name: str, indices: tuple[Plated, ...], span: Any) -> Any:
        """The variable, indexed along its first axes."""
        return index_value(known(self.values[name]), indices)

    def apply(self, function: str, arguments: list[Any], span: Any) -> Any:
        """A function of arguments that are not all known."""
        raise TypeError(f"{function} of a value that is not known")

    # ------------------------------------------------------------ the rules
    def evaluate(self, e: typed.TypedExpression, loops: Mapping[str, Plated]) -> Any:
        match e:
            case typed.Constant(value=value):
                return Plated((), np.asarray(value))
            case typed.Member(ordinal=ordinal):
                return Plated((), np.asarray(ordinal))
            case typed.SizeOf(set=index_set):
                return Plated((), np.asarray(self.sizes[index_set.key]))
            case typed.IndexReference(name=name):
                return loops[name]
            case typed.VariableReference(name=name):
                return self.reference(name, (), e.span)
            case typed.Indexed():
                return self.indexed(e, loops)
            case typed.Stack(items=items):
                return self.stacked([self.evaluate(item, loops) for item in items], e.span)
            case typed.Comprehension():
                return self.comprehension(e, loops)
            case typed.Select():
                return self.select(e, loops)
            case typed.Apply(function=function, arguments=arguments):
                if function == "if" and e.type.kind == "member":
                    return self.call(function, [self.evaluate(a, loops) for a in arguments], e.span)
                if function == "onehot":  # a member by its place in its set, whatever its number is
                    return self.call(function, [self.evaluate(arguments[0], loops), self.number(arguments[1], loops)], e.span)
                return self.call(function, [self.number(a, loops) for a in arguments], e.span)
            case _:
                raise TypeError(f"an expression of kind {type(e).__name__} has no value")

    def call(self, function: str, arguments: list[Any], span: Any) -> Any:
        if function in ("add", "subtract") and isinstance(arguments[0], Plated):
            shifted = _shifted(function, *arguments)
            if shifted is not None:
                return shifted
        if all(isinstance(a, Plated) for a in arguments):
            return apply_known(function, arguments)
        return self.apply(function, arguments, span)

    def number(self, e: typed.TypedExpression, loops: Mapping[str, Plated]) -> Any:
        """The value as a number: members of a numbered set count from the number of its first."""
        value = self.evaluate(e, loops)
        low = e.type.member_of.low if e.type.kind == "member" and e.type.member_of is not None else 0
        return shift(value, low) if low and isinstance(value, Plated) else value

    def indexed(self, e: typed.Indexed, loops: Mapping[str, Plated]) -> Any:
        axes = e.base.type.axes
        places = tuple(self._held(self.index(i, axes[k] if k < len(axes) else None, loops), axes, k) for k, i in enumerate(e.indices))
        if isinstance(e.base, typed.VariableReference):
            return self.reference(e.base.name, places, e.span)
        return index_value(self.evaluate(e.base, loops), places)

    def _held(self, index: Any, axes: tuple[typed.Axis, ...], k: int) -> Any:
        """An index of several loops within its axis: only where one's range ends with another's does it go beyond."""
        if not isinstance(index, Plated) or len(index.dims) < 2 or index.rank or k >= len(axes) or not isinstance(index.data, np.ndarray):
            return index
        axis = axes[k]
        size = self.sizes[axis.set.key] + axis.extra if axis.set is not None else axis.size
        return index if size is None or index.start is not None else index.map(lambda a: np.clip(a, 0, size - 1))

    def index(self, e: typed.TypedExpression, axis: typed.Axis | None, loops: Mapping[str, Plated]) -> Plated:
        """The ordinals that an index names."""
        if isinstance(e, typed.Slice):
            low, high = self.index(e.low, axis, loops), self.index(e.high, axis, loops)
            length = int(np.max(high.data - low.data)) if low.dims != high.dims else int(np.unique(high.data - low.data)[0])
            return Plated(low.dims, low.data[..., None] + np.arange(length))
        value = self.evaluate(e, loops)
        if not isinstance(value, Plated):
            return value
        low = axis.set.low if axis is not None and axis.set is not None and e.type.kind != "member" else 0
        value = shift(value, -low) if low else value
        return value if value.data.dtype.kind in "iu" else Plated(value.dims, value.data.astype(int))

    def stacked(self, items: list[Any], span: Any) -> Any:
        if all(isinstance(i, Plated) for i in items):
            return stack(items)
        return self.apply("stack", items, span)

    def comprehension(self, e: typed.Comprehension, loops: Mapping[str, Plated]) -> Any:
        if e.function == "mean" and changing(e.loops):
            total, one = replace(e, function="sum"), typed.Constant(1.0, span=e.span, type=typed.ValueType())
            count = self.comprehension(replace(total, body=one), loops)
            return self.call("divide", [self.comprehension(total, loops), count.map(lambda n: np.maximum(n, 1.0))], e.span)
        inner = dict(loops)
        for loop in e.loops:
            inner[loop.name] = self.loop_index(loop, inner)
        sizes = {inner[loop.name].dims[0]: inner[loop.name].data.shape[0] for loop in e.loops}
        body = self.body_of(e, inner)
        repeated = float(np.prod([n for d, n in sizes.items() if d not in body.dims], initial=1))
        if isinstance(body, Plated):
            value = reduce_plates(e.function, body, list(sizes))
            return value * repeated if e.function == "sum" and repeated != 1 else value
        return self.apply(f"{e.function} over plates", [body, sizes, repeated], e.span)

    def body_of(self, e: typed.Comprehension, inner: Mapping[str, Plated]) -> Any:
        """What is reduced; beyond the ends of ranges that change with another index stands what changes nothing."""
        body, mask = self.evaluate(e.body, inner), self.inside(e.loops, inner)
        if mask is None:
            return body
        if e.function == "sum":
            return self.call("multiply", [mask, body], e.span)
        return self.call("if", [mask, body, Plated((), np.asarray(NEUTRAL[e.function]))], e.span)

    def select(self, e: typed.Select, loops: Mapping[str, Plated]) -> Any:
        subjects = [self.evaluate(s, loops) for s in e.subjects]
        value_of = self.evaluate if e.type.kind == "member" else self.number
        values = [value_of(arm.value, loops) for arm in e.arms]
        result = values[-1]
        for arm, value in list(zip(e.arms, values, strict=True))[-2::-1]:
            result = self.call("if", [fits(subjects, arm.patterns), value, result], e.span)
        return result


def sizes_of(loops: Mapping[str, Plated]) -> dict[str, int]:
    """The lengths of the plates that loops run over."""
    return {d: n for index in loops.values() for d, n in index.sizes.items()}


def changing(loops: Iterable[typed.Loop]) -> bool:
    """Whether the range of a loop changes with another index."""
    return any(mentions_index(bound) for bound in loop_bounds(tuple(loops)))


def _shifted(function: str, a: Plated, b: Any) -> Plated | None:
    """A running index plus a whole number stays a running index."""
    if isinstance(b, Plated) and a.start is not None and not b.dims and b.rank == 0 and b.data.dtype.kind in "iu":
        return shift(a, int(b.data) if function == "add" else -int(b.data))
    return None


def fits(subjects: list[Plated], patterns: tuple[tuple[int | float, ...] | None, ...]) -> Plated:
    """1 where every subject is among its pattern's values."""
    fits = Plated((), np.asarray(1.0))
    for subject, pattern in zip(subjects, patterns, strict=True):
        if pattern is not None:
            fits = fits * subject.map(lambda a, p=pattern: namespace(a).isin(a, np.asarray(p)) * 1.0)
    return fits


def index_value(value: Any, indices: tuple[Plated, ...]) -> Any:
    """The value indexed along its first axes; an index with axes of its own leaves them in place."""
    axis = 0
    for index in indices:
        value = value.take(axis, index)
        axis += index.rank
    return value
