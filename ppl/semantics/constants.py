"""What is known before anything runs: constant expressions folded to numbers, and what their supports say about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ppl.catalogue.distributions import Support
from ppl.semantics.typed import Apply, Constant, Indexed, SizeOf, Stack, TypedExpression, VariableReference

Folded = float | int | tuple["Folded", ...]  # numbers and nested tuples of numbers

SUM_TOLERANCE = 1e-6
MOST_FOLDED = 10_000  # entries of an array that is computed before anything runs

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "remainder": lambda a, b: a % b,
    "power": lambda a, b: a**b if abs(b) < 64 else float(a) ** b,  # whole numbers have no end
    "negate": lambda a: -a,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "if": lambda condition, then, otherwise: then if condition else otherwise,
}


def fold(expression: TypedExpression, known: Mapping[str, Folded]) -> Folded | None:
    """The value of an expression of constants and of the variables whose values are `known`; None where it has none yet."""
    match expression:
        case Constant(value=value):
            return value
        case VariableReference(name=name):
            return known.get(name)
        case SizeOf(set=index_set):
            return index_set.size
        case Stack(items=items):
            return _all_known([fold(item, known) for item in items])
        case Indexed(base=base, indices=indices):
            return _folded_index(fold(base, known), [fold(index, known) for index in indices])
        case Apply(function=function, arguments=arguments):
            return _applied(function, expression, _all_known([fold(argument, known) for argument in arguments]))
    return None


def _all_known(values: list[Folded | None]) -> tuple[Folded, ...] | None:
    return None if any(value is None for value in values) else tuple(value for value in values if value is not None)


def _folded_index(base: Folded | None, indices: list[Folded | None]) -> Folded | None:
    for index in indices:
        if not isinstance(base, tuple) or not isinstance(index, int) or not 0 <= index < len(base):
            return None
        base = base[index]
    return base


def _applied(function: str, expression: TypedExpression, arguments: tuple[Folded, ...] | None) -> Folded | None:
    if arguments is None:
        return None
    if function in ("ones", "zeros", "eye"):
        return _filled(function, [size for size in arguments if isinstance(size, int)])
    if function == "normalize" and isinstance(arguments[0], tuple):
        total = sum(numbers(arguments[0]))
        return _elementwise(lambda a: a / total, arguments) if total else None
    operation = _ELEMENTWISE.get(function)
    try:
        return _elementwise(operation, arguments) if operation else None
    except (ArithmeticError, ValueError, TypeError):
        return None


def _filled(function: str, sizes: list[int]) -> Folded | None:
    """An array of ones, zeros, or an identity; None where it is too large to be looked at entry by entry."""
    if math.prod(sizes) ** (2 if function == "eye" else 1) > MOST_FOLDED:
        return None
    if function == "eye":
        return tuple(tuple(float(i == j) for j in range(sizes[0])) for i in range(sizes[0]))
    value: Folded = 1.0 if function == "ones" else 0.0
    for size in reversed(sizes):
        value = (value,) * size
    return value


def _elementwise(operation: Callable[..., float], arguments: tuple[Folded, ...]) -> Folded:
    lengths = {len(argument) for argument in arguments if isinstance(argument, tuple)}
    if not lengths:
        value = operation(*arguments)
        if isinstance(value, complex):
            raise ValueError("not a real number")
        return value
    (length,) = lengths
    rows = [argument if isinstance(argument, tuple) else (argument,) * length for argument in arguments]
    return tuple(_elementwise(operation, row) for row in zip(*rows, strict=True))


def numbers(value: Folded) -> list[float]:
    """All numbers of a folded value in order."""
    return [value] if not isinstance(value, tuple) else [n for item in value for n in numbers(item)]


_NUMBER_RULES: dict[Support, tuple[Callable[[float], bool], str]] = {
    "positive": (lambda v: v > 0, "positive"),
    "nonnegative": (lambda v: v >= 0, "0 or positive"),
    "unit": (lambda v: 0 <= v <= 1, "between 0 and 1"),
    "count": (lambda v: v >= 0 and float(v).is_integer(), "a whole number, 0 or more"),
    "binary": (lambda v: v in (0, 1), "0 or 1"),
}


SUPPORT_OF_KIND: dict[str, Support] = {"positive": "positive", "unit": "unit", "bool": "binary"}
"""Of the types of parameters and inputs that say more than their shape."""

_FINITE: tuple[Support, ...] = ("real", "positive", "nonnegative", "posdef", "lower_triangular", "increasing")


def broken_rule(support: Support, value: Folded) -> str | None:
    """What a value of this support must be, where this one is not; None where it is."""
    if support in _FINITE and not all(map(math.isfinite, numbers(value))):
        return "finite"
    if support in _NUMBER_RULES:
        fits, rule = _NUMBER_RULES[support]
        return None if all(map(fits, numbers(value))) else rule
    if support == "simplex" and any(v < 0 for v in numbers(value)):
        return "0 or positive in every place"
    if support == "posdef" and isinstance(value, tuple) and not _is_positive_definite(value):
        return "symmetric and positive definite"
    if support == "increasing" and any(a >= b for a, b in zip(numbers(value), numbers(value)[1:], strict=False)):
        return "increasing"
    return None


def _is_positive_definite(matrix: tuple[Folded, ...]) -> bool:
    """By Cholesky's algorithm, which fails at the first pivot that is not positive."""
    rows = [numbers(row) for row in matrix]
    size = len(rows)
    if any(len(row) != size for row in rows):
        return True
    if any(abs(rows[i][j] - rows[j][i]) > 1e-9 * (1 + abs(rows[i][j])) for i in range(size) for j in range(i)):
        return False
    factor = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = rows[i][j] - sum(factor[i][k] * factor[j][k] for k in range(j))
            if i == j and rest <= 0:
                return False
            factor[i][j] = math.sqrt(rest) if i == j else rest / factor[j][j]
    return True


def sums_to_one(value: Folded) -> bool:
    return abs(sum(numbers(value)) - 1) <= SUM_TOLERANCE


def shown(number: float) -> str:
    """A number as the user would write it: sums are rounded where binary digits would show."""
    return f"{number:.10g}"
