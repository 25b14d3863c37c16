"""Which numbers an expression can be: "unit", "positive" or "real", whatever the latent variables in it are; None where for some of
their values it is no number at all."""

from __future__ import annotations

from collections.abc import Callable

from ppl.compiler.parts import name_of
from ppl.graph.references import uses
from ppl.semantics import typed
from ppl.semantics.typed import TypedExpression

Range = str | None
WITHIN: dict[str, tuple[Range, ...]] = {"real": ("real", "positive", "unit"), "positive": ("positive", "unit"), "unit": ("unit",)}


def range_of(e: TypedExpression, known: Callable[[TypedExpression], Range], latent: Callable[[str], bool]) -> Range:
    """`known` tells it of an expression without anything latent in it; `latent` says which variables are."""

    def of(e: TypedExpression) -> Range:
        if not any(latent(name) for name, _ in uses(e)):
            return known(e)
        if name_of(e):
            kind = e.type.kind
            return kind if kind in WITHIN else "real"
        if not isinstance(e, typed.Apply):
            return None
        parts = [of(a) for a in e.arguments]
        return None if None in parts else _applied(e.function, parts)

    return of(e)


def _applied(function: str, parts: list[Range]) -> Range:
    above = all(p in WITHIN["positive"] for p in parts)
    match function:
        case "exp":
            return "positive"
        case "sigmoid":
            return "unit"
        case "log" if above:
            return "real"
        case "logit" if parts == ["unit"]:
            return "real"
        case "multiply" if parts == ["unit", "unit"]:
            return "unit"
        case "add" | "multiply" | "divide" if above:
            return "positive"
        case "add" | "subtract" | "multiply" | "negate":
            return "real"
    return None


def is_stepwise(e: TypedExpression, continuous: Callable[[str], bool]) -> bool:
    """Whether small changes of what is continuous leave it as it is: it stands below comparisons and roundings only."""
    if name_of(e):
        return not continuous(name_of(e))
    if isinstance(e, typed.Apply):
        return e.function in STEPS or all(is_stepwise(a, continuous) for a in e.arguments)
    return not any(continuous(name) for name, _ in uses(e))


STEPS = ("floor", "round", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "not", "and", "or")
