"""The options of a block in generalized coordinates: which there are, what each must be, and whether they fit together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppl.semantics.constants import fold
from ppl.semantics.distributions import is_random
from ppl.semantics.expressions import elaborate
from ppl.semantics.scope import Scope
from ppl.semantics.typed import TypedExpression
from ppl.source.diagnostics import did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

DEFAULTS: dict[str, int | float] = {"dt": 1, "order": 6, "order_causes": 2, "smoothness": 0.5}  # `order_observed` is `order`
OPTIONS = ("dt", "order", "order_causes", "order_observed", "smoothness", "scheme")
SCHEMES = {
    "mode": "the most probable trajectory at each bin given the samples around it (Laplace)",
    "flow": "one step of the gradient flow for each bin, as in DEM; the belief at a bin is that before its sample is followed",
    "smooth": "the path over the whole record as one block",
}


@dataclass
class Options:
    """The options as they are written, and the values of those that are constants of the file."""

    values: dict[str, TypedExpression] = field(default_factory=dict)
    folded: dict[str, int | float] = field(default_factory=dict)
    scheme: Literal["mode", "flow", "smooth"] = "mode"


def options_of(arguments: tuple[tree.Argument, ...], scope: Scope) -> Options:
    found = Options()
    seen: dict[str, Span] = {}
    for argument in arguments:
        place = argument.name_span or argument.span
        if argument.name is None or argument.name not in OPTIONS or argument.name in seen:
            twice = argument.name in seen
            shown = argument.name or argument.span.text
            message = f"the option `{shown}` is given twice" if twice else f"`generalized` has no option `{shown}`"
            hint = "" if twice else did_you_mean(shown, OPTIONS) or f"its options are {', '.join(OPTIONS)}"
            scope.findings.error("AIM0221", message, place, hint)
            continue
        seen[argument.name] = argument.span
        if argument.name == "scheme":
            _scheme(argument.value, found, scope)
        else:
            _option(argument.name, argument.value, found, scope)
    _orders(found, seen, scope)
    return found


def _option(name: str, written: tree.Expression, found: Options, scope: Scope) -> None:
    value = elaborate(written, scope)
    if value is None:
        return
    found.values[name] = value
    if is_random(value, scope):
        scope.findings.error("AIM0221", f"`{name}` is an option of the block, so it cannot be random", written.span)
        return
    folded = fold(value, scope.model.constants)
    rule = broken_option(name, folded) if folded is not None else ""
    if rule:
        scope.findings.error("AIM0221", f"`{name}` must be {rule}", written.span)
    elif isinstance(folded, int | float):
        found.folded[name] = folded


def broken_option(name: str, value: object) -> str:
    """What a value of an option must be and is not; empty where it is."""
    if name.startswith("order"):
        return "" if isinstance(value, int) and value >= 0 else "a whole number, 0 or more"
    least_is_in = name == "smoothness"
    if isinstance(value, int | float) and (value > 0 or (least_is_in and value == 0)):
        return ""
    return "0 or more" if least_is_in else "positive"


def _orders(found: Options, seen: dict[str, Span], scope: Scope) -> None:
    """Causes and data have no more derivatives than states."""
    order: int | float = found.folded.get("order", DEFAULTS["order"])
    if "order" in found.values and "order" not in found.folded:
        return
    for name in ("order_causes", "order_observed"):
        if found.folded.get(name, 0) > order:
            hint = f"raise `order`, or lower `{name}`"
            scope.findings.error("AIM0224", f"`{name}` is {found.folded[name]}, above `order`, which is {order}", seen[name], hint)


def _scheme(written: tree.Expression, found: Options, scope: Scope) -> None:
    name = written.name if isinstance(written, tree.Name) else written.span.text
    match name:
        case "mode" | "flow" | "smooth":
            found.scheme = name
        case _:
            hint = did_you_mean(name, SCHEMES) or f"schemes are {', '.join(SCHEMES)}"
            scope.findings.error("AIM0221", f"unknown scheme `{name}`", written.span, hint)
