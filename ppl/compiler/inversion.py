"""`e = b` solved for a part of `e` that stands in it once, below steps that can be undone."""

from __future__ import annotations

from dataclasses import dataclass

from ppl.compiler.parts import applied, references_in
from ppl.semantics.typed import Apply, TypedExpression

UNDONE = {"exp": "log", "log": "exp", "sigmoid": "logit", "logit": "sigmoid"}


@dataclass(frozen=True)
class Solution:
    """The part as an expression of `b` and the rest, the log of its derivative by `b`, and its coefficient where `e` is affine in it."""

    value: TypedExpression
    log_derivative: TypedExpression
    coefficient: TypedExpression | None

    def then(
        self, value: TypedExpression, log_derivative: TypedExpression | None = None, factor: TypedExpression | float | None = 1.0
    ) -> Solution:
        """One step further; `factor` is None where the step is not affine."""
        span = self.value.span
        slope = self.log_derivative if log_derivative is None else applied(span, "add", self.log_derivative, log_derivative)
        if self.coefficient is None or factor is None:
            return Solution(value, slope, None)
        same = isinstance(factor, float) and factor == 1.0
        return Solution(value, slope, self.coefficient if same else applied(span, "multiply", self.coefficient, factor))


def solve(e: TypedExpression, part: TypedExpression, b: TypedExpression) -> Solution | None:
    """None where a step cannot be undone."""
    zero, one = applied(e.span, "subtract", 1.0, 1.0), applied(e.span, "divide", 1.0, 1.0)
    found: Solution | None = Solution(b, zero, one)
    while e is not part and found is not None:
        if not isinstance(e, Apply):
            return None
        inner = next(a for a in e.arguments if any(r is part for r in references_in(a)))
        found = _undone(e, inner, found)
        e = inner
    return found


def _undone(e: Apply, inner: TypedExpression, found: Solution) -> Solution | None:
    """The equation for one of the arguments of a function, where there is one for its value."""
    value, span = found.value, e.span
    if e.function == "negate":
        return found.then(applied(span, "negate", value), factor=-1.0)
    if e.function in UNDONE:
        return found.then(applied(span, UNDONE[e.function], value), _log_slope(UNDONE[e.function], value), None)
    if e.function not in ("add", "subtract", "multiply", "divide"):
        return None
    at_left = e.arguments[0] is inner
    other = e.arguments[1] if at_left else e.arguments[0]
    match e.function:
        case "add":
            return found.then(applied(span, "subtract", value, other))
        case "subtract" if at_left:
            return found.then(applied(span, "add", value, other))
        case "subtract":
            return found.then(applied(span, "subtract", other, value), factor=-1.0)
        case "multiply":
            return found.then(applied(span, "divide", value, other), applied(span, "negate", _log(other)), other)
        case "divide" if at_left:
            return found.then(applied(span, "multiply", value, other), _log(other), applied(span, "divide", 1.0, other))
    return None


def _log(e: TypedExpression) -> TypedExpression:
    return applied(e.span, "log", applied(e.span, "abs", e))


def _log_slope(function: str, at: TypedExpression) -> TypedExpression:
    """The log of the derivative of a function."""
    span = at.span
    if function == "exp":
        return at
    if function == "log":
        return applied(span, "negate", _log(at))
    s = at if function == "logit" else applied(span, "sigmoid", at)
    product = _log(applied(span, "multiply", s, applied(span, "subtract", 1.0, s)))
    return applied(span, "negate", product) if function == "logit" else product
