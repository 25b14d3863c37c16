"""Evaluation of typed expressions over named plates: all members of the loops at once.

The rules are the same for known values (NumPy arrays here) and for what stands for latent variables in the compiler, which
derives from `Evaluator` and says only what a reference to a variable is; arithmetic on what is not known is asked of the value
itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, elementwise, known, namespace, running, shift, stack
from ppl.graph.functions import apply_known, reduce_plates
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic


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
        """The running index of a loop, over a plate of its own (`fresh`) or one that has the loop's name."""
        low = self.bound_of(loop.low, loop, loops) if loop.low is not None else 0
        high = self.bound_of(loop.high, loop, loops) if loop.high is not None else self.sizes[loop.set.key]
        return running(f"{loop.name} {next(self.plates)}" if fresh else loop.name, low, max(low, high))

    def summed_index(self, loop: typed.Loop, loops: Mapping[str, Plated], inside: list[Plated]) -> Plated:
        """The index of a sum; where its range changes with another index, the widest range, and a mask of what is inside."""
        ends = [self.evaluate(e, loops) if e is not None else None for e in (loop.low, loop.high)]
        if not any(isinstance(e, Plated) and e.dims and not e.rank for e in ends):
            return self.loop_index(loop, loops)
        if any(e is not None and (not isinstance(e, Plated) or e.rank) for e in ends):
            return self.loop_index(loop, loops)
        low, high = (known(default) if e is None else e for e, default in zip(ends, (0, self.sizes[loop.set.key]), strict=True))
        if not low.data.size or not high.data.size:
            return running(f"{loop.name} {next(self.plates)}", 0, 0)
        least, most = int(np.min(low.data)), int(np.max(high.data))
        index = running(f"{loop.name} {next(self.plates)}", least, max(least, most))
        inside.append(elementwise(lambda i, a, b: ((i >= a) & (i < b)) * 1.0, index, low, high))
        return index

    def bound_of(self, e: typed.TypedExpression, loop: typed.Loop, loops: Mapping[str, Plated]) -> int:
        value = self.evaluate(e, loops)
        if not isinstance(value, Plated) or value.data.ndim:
            text = "a range whose bound changes with another index or with what is latent is not supported yet"
            raise AimError([Diagnostic("AIM0726", text, loop.span or e.span)])
        return int(value.data)

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
                value = self.evaluate if function == "if" and e.type.kind == "member" else self.number
                return self.call(function, [value(a, loops) for a in arguments], e.span)
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
        indices = tuple(self.index(i, axes[k] if k < len(axes) else None, loops) for k, i in enumerate(e.indices))
        if isinstance(e.base, typed.VariableReference):
            return self.reference(e.base.name, indices, e.span)
        return index_value(self.evaluate(e.base, loops), indices)

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
        inner, inside = dict(loops), []
        for loop in e.loops:
            inner[loop.name] = self.summed_index(loop, inner, inside) if e.function == "sum" else self.loop_index(loop, inner)
        sizes = {inner[loop.name].dims[0]: inner[loop.name].data.shape[0] for loop in e.loops}
        body = self.evaluate(e.body, inner)
        for mask in inside:
            body = self.call("multiply", [mask, body], e.span)
        repeated = float(np.prod([n for d, n in sizes.items() if d not in body.dims], initial=1))
        if isinstance(body, Plated):
            value = reduce_plates(e.function, body, list(sizes))
            return value * repeated if e.function == "sum" and repeated != 1 else value
        return self.apply(f"{e.function} over plates", [body, sizes, repeated], e.span)

    def select(self, e: typed.Select, loops: Mapping[str, Plated]) -> Any:
        subjects = [self.evaluate(s, loops) for s in e.subjects]
        value_of = self.evaluate if e.type.kind == "member" else self.number
        values = [value_of(arm.value, loops) for arm in e.arms]
        result = values[-1]
        for arm, value in list(zip(e.arms, values, strict=True))[-2::-1]:
            result = self.call("if", [fits(subjects, arm.patterns), value, result], e.span)
        return result


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
