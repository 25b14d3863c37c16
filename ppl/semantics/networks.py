"""Networks: learned functions from one vector to another, declared in a model or beside an approximation."""

from __future__ import annotations

from ppl.semantics.distributions import distribution
from ppl.semantics.expressions import elaborate
from ppl.semantics.scope import Scope
from ppl.semantics.sets import axis_of_size
from ppl.semantics.typed import DistributionCall, Network, TypedExpression
from ppl.source.diagnostics import did_you_mean
from ppl.syntax import tree

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "softplus", "elu", "sin", "identity")
OPTIONS = ("activation", "prior")


def declare(statement: tree.Network, scope: Scope) -> None:
    """Enter `network f = mlp(L, 64, D)` into the model."""
    model = scope.model
    if statement.name in model.networks or statement.name in model.variables:
        scope.findings.error("AIM0101", f"`{statement.name}` is already defined", statement.span)
        return
    found = network(statement.name, statement.value, scope)
    if found is not None:
        model.networks[statement.name] = found


def network(name: str, call: tree.Call, scope: Scope) -> Network | None:
    """The network that `mlp(IN, HIDDEN, …, OUT)` describes."""
    if call.function.name != "mlp":
        hint = did_you_mean(call.function.name, ["mlp"]) or "networks are written mlp(IN, HIDDEN, OUT)"
        scope.findings.error("AIM0313", f"unknown network `{call.function.name}`", call.function.span, hint)
        return None
    widths: list[TypedExpression] = []
    activation, prior, fits = "relu", None, True
    for argument in call.arguments:
        if argument.name == "activation":
            activation = _activation(argument.value, scope)
        elif argument.name == "prior":
            prior = _prior(argument.value, scope)
            fits &= prior is not None
        elif argument.name is not None:
            place, hint = argument.name_span or argument.span, did_you_mean(argument.name, OPTIONS)
            scope.findings.error("AIM0313", f"`mlp` has no option `{argument.name}`", place, hint)
        elif (width := _width(argument.value, scope)) is not None:
            widths.append(width)
        else:
            fits = False
    if fits and len(widths) < 2:
        scope.findings.error("AIM0313", "`mlp` needs at least the sizes of its input and of its output", call.span, "write mlp(L, 64, D)")
    return Network(name, tuple(widths), activation, prior, span=call.span) if fits and len(widths) > 1 else None


def _width(written: tree.Expression, scope: Scope) -> TypedExpression | None:
    size = elaborate(written, scope)
    if size is None or axis_of_size(size) is not None:
        return size
    scope.findings.error("AIM0313", "a layer's width is an index set or a whole number above 0", written.span)
    return None


def _activation(written: tree.Expression, scope: Scope) -> str:
    if isinstance(written, tree.Name) and written.name in ACTIVATIONS:
        return written.name
    hint = did_you_mean(written.span.text, ACTIVATIONS) or f"these are known: {', '.join(ACTIVATIONS)}"
    scope.findings.error("AIM0313", f"unknown activation `{written.span.text}`", written.span, hint)
    return ""


def _prior(written: tree.Expression, scope: Scope) -> DistributionCall | None:
    """The distribution of every weight and bias: of one real number."""
    found = distribution(written, scope)
    if found is None:
        return None
    call, kind = found
    if isinstance(call, DistributionCall) and not kind.axes and kind.kind not in ("member", "bool", "int"):
        return call
    scope.findings.error("AIM0313", "the prior of a network's weights is a distribution of a number", written.span, "write Normal(0, 1)")
    return None
