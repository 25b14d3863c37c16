"""Whole-number expressions of loop indices and sizes as sums, so that ranges can be compared before any size is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ppl.semantics.typed import Apply, Constant, IndexReference, IndexSet, Loop, SizeOf, TypedExpression, VariableReference


@dataclass(frozen=True)
class Affine:
    """`constant` plus whole multiples of symbols: `index t`, `size T`, `value p`."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    def __add__(self, other: Affine) -> Affine:
        total = dict(self.terms)
        for symbol, factor in other.terms:
            total[symbol] = total.get(symbol, 0) + factor
        return Affine(tuple(sorted((s, f) for s, f in total.items() if f)), self.constant + other.constant)

    def __mul__(self, factor: int) -> Affine:
        return Affine(tuple((s, f * factor) for s, f in self.terms if factor), self.constant * factor)

    def __sub__(self, other: Affine) -> Affine:
        return self + other * -1

    def plus(self, number: int) -> Affine:
        return Affine(self.terms, self.constant + number)

    @property
    def index_names(self) -> tuple[str, ...]:
        return tuple(symbol.removeprefix("index ") for symbol, _ in self.terms if symbol.startswith("index "))

    def replaced(self, symbol: str, value: Affine) -> Affine:
        factor = dict(self.terms).get(symbol, 0)
        rest = Affine(tuple((s, f) for s, f in self.terms if s != symbol), self.constant)
        return rest + value * factor


@dataclass(frozen=True)
class Bounds:
    """The half-open range of the numbers of a loop's index."""

    low: Affine
    high: Affine


def number(value: int) -> Affine:
    return Affine((), value)


def size_of(index_set: IndexSet) -> Affine:
    return number(index_set.size) if index_set.size is not None else Affine(((f"size {index_set.key}", 1),))


def affine_of(expression: TypedExpression) -> Affine | None:
    """The expression as a sum, or None where it is none."""
    match expression:
        case Constant(value=value) if isinstance(value, int):
            return number(int(value))
        case IndexReference(name=name):
            return Affine(((f"index {name}", 1),))
        case SizeOf(set=index_set):
            return size_of(index_set)
        case VariableReference(name=name) if not expression.type.axes:
            return Affine(((f"value {name}", 1),))
        case Apply(function="negate", arguments=(operand,)):
            inner = affine_of(operand)
            return inner and inner * -1
        case Apply(function="add" | "subtract" | "multiply" as function, arguments=(left, right)):
            return _combined(function, affine_of(left), affine_of(right))
    return None


def _combined(function: str, left: Affine | None, right: Affine | None) -> Affine | None:
    if left is None or right is None:
        return None
    if function == "add":
        return left + right
    if function == "subtract":
        return left - right
    if not left.terms:
        return right * left.constant
    return left * right.constant if not right.terms else None


def loop_bounds(loop: Loop) -> Bounds | None:
    low = number(loop.set.low) if loop.low is None else affine_of(loop.low)
    high = size_of(loop.set).plus(loop.set.low) if loop.high is None else affine_of(loop.high)
    return None if low is None or high is None else Bounds(low, high)


def extreme(value: Affine, loops: Mapping[str, Bounds], *, largest: bool) -> Affine:
    """The least or largest value over the loops, given outermost first; inner ranges may depend on outer indices."""
    for name in reversed(list(loops)):
        factor = dict(value.terms).get(f"index {name}", 0)
        if factor:
            bounds = loops[name]
            at_top = (factor > 0) == largest
            value = value.replaced(f"index {name}", bounds.high.plus(-1) if at_top else bounds.low)
    return value


def surely_at_least(value: Affine, least: int) -> bool:
    """Whether the value is provably that large, every size being at least 1."""
    if any(not symbol.startswith("size ") or factor < 0 for symbol, factor in value.terms):
        return False
    return value.constant + sum(factor for _, factor in value.terms) >= least


def surely_at_most(value: Affine, most: int) -> bool:
    return surely_at_least(value * -1, -most)
