"""Models used as distributions, and networks: what they take and what they give."""

from __future__ import annotations

from dataclasses import replace

from ppl.semantics.expressions import elaborate
from ppl.semantics.scope import Piece, Scope, backticked
from ppl.semantics.sets import axis_of_size
from ppl.semantics.typed import Axis, DistributionCall, DistributionChoice, SubmodelCall, TypedExpression, TypedModel, ValueType, Variable
from ppl.semantics.types import joined, name_type
from ppl.source.diagnostics import did_you_mean
from ppl.syntax import tree

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "softplus", "elu", "sin")


# ------------------------------------------------------------------ submodels
def submodel_call(written: tree.Call, scope: Scope) -> tuple[SubmodelCall, ValueType] | None:
    """`first ~ noisy_reading(temperature)`: the type is that of the exported variable."""
    name = written.function.name
    known = scope.file.imported.get(name) or scope.file.typed_model(name)
    values = [elaborate(argument.value, scope) for argument in written.arguments]
    if known is None or None in values:
        return None
    if known.kind == "agent":
        scope.findings.error("AIM0311", f"`{name}` is an agent, only a model stands after `~`", written.function.span)
        return None
    arguments = _arguments(written, known, values, scope)
    exported = known.variables.get(exported_name(known, scope))
    if arguments is None or exported is None:
        return None
    return SubmodelCall(name, arguments, span=written.span), substituted(exported.type, arguments)


def _arguments(
    written: tree.Call, known: TypedModel, values: list[TypedExpression | None], scope: Scope
) -> dict[str, TypedExpression] | None:
    order = parameter_order(known)
    given: dict[str, TypedExpression] = {}
    for place, (argument, value) in enumerate(zip(written.arguments, values, strict=True)):
        name = argument.name or (order[place] if place < len(order) else None)
        if name is None:
            message = f"`{known.name}` takes {len(order)} argument{'s' if len(order) != 1 else ''}, here are {len(values)}"
            scope.findings.error("AIM0303", message, argument.span, f"it takes {', '.join(order)}" if order else "")
            return None
        inputs = [v.name for v in known.variables.values() if v.role == "input"]
        if name not in (*order, *inputs):
            hint = did_you_mean(name, [*order, *inputs]) or (
                f"it takes {', '.join([*order, *inputs])}" if order or inputs else "it takes none"
            )
            scope.findings.error("AIM0302", f"`{known.name}` has no parameter `{name}`", argument.name_span or argument.span, hint)
            return None
        if name in given:
            scope.findings.error("AIM0304", f"`{name}` of `{known.name}` is given twice", argument.span)
            return None
        if value is not None:
            given[name] = value
    missing = [name for name in order if name not in given and not has_default(known, name)]
    if missing:
        scope.findings.error("AIM0305", f"`{known.name}` needs {backticked(missing)}", written.span)
        return None
    answers = [_fits(known, name, value, given, scope) for name, value in given.items()]
    return given if all(answers) else None


def _fits(known: TypedModel, name: str, value: TypedExpression, given: dict[str, TypedExpression], scope: Scope) -> bool:
    variable = known.variables.get(name)
    if variable is None:
        if axis_of_size(value) is not None:
            return True
        scope.findings.error("AIM0219", f"`{name}` of `{known.name}` is a size", value.span, "write an index set or a whole number")
        return False
    expected = substituted(variable.type, given)
    if joined(expected, value.type) is not None or (variable.default is None and not value.type.axes and not expected.axes):
        return True
    message = f"`{name}` of `{known.name}` is {name_type(expected)}, this is {name_type(value.type)}"
    scope.findings.error("AIM0219", message, value.span)
    return False


def parameter_order(known: TypedModel) -> list[str]:
    """The parameters in the order in which they were written, sizes among them."""
    spans = {name: known.sets[name].span for name in known.sizes if name in known.sets}
    places = {name: span.start for name, span in spans.items() if span is not None}
    places |= {name: variable.span.start for name, variable in known.parameters.items()}
    return sorted(places, key=lambda name: places[name])


def has_default(known: TypedModel, name: str) -> bool:
    return known.sizes[name] is not None if name in known.sizes else known.variables[name].default is not None


def substituted(value: ValueType, given: dict[str, TypedExpression]) -> ValueType:
    """A type of the submodel with the sizes that were given in the place of its own."""
    return replace(value, axes=tuple(_substituted_axis(axis, given) for axis in value.axes))


def _substituted_axis(axis: Axis, given: dict[str, TypedExpression]) -> Axis:
    size = given.get(axis.set.key) if axis.set is not None else None
    found = axis_of_size(size) if size is not None else None
    if found is None:
        return axis
    return replace(found, extra=found.extra + axis.extra) if found.set is not None else Axis(size=found.size and found.size + axis.extra)


def exported_name(known: TypedModel, scope: Scope) -> str:
    """The variable that the model is as a distribution: the one it exports, or the last one defined."""
    declaration = scope.file.models.get(known.name)
    for statement in declaration.body if declaration is not None else ():
        if isinstance(statement, tree.Export):
            return statement.name
    defined = [name for name, variable in known.variables.items() if variable.role in ("random", "deterministic") and "." not in name]
    return defined[-1] if defined else ""


def add_variables(call: DistributionCall | DistributionChoice | SubmodelCall, piece: Piece | None, scope: Scope) -> None:
    """The submodel's other variables as `first.bias`, with the plates of the statement in front."""
    if not isinstance(call, SubmodelCall) or piece is None:
        return
    known = scope.file.imported.get(call.model) or scope.file.typed_model(call.model)
    plates = scope.model.plates.get(piece.name, ())
    for name, variable in known.variables.items() if known else ():
        if variable.role in ("random", "deterministic") and known is not None and name != exported_name(known, scope):
            own = substituted(variable.type, call.arguments)
            whole = f"{piece.name}.{name}"
            value = ValueType(own.kind, (*plates, *own.axes), own.member_of)
            scope.model.variables[whole] = Variable(whole, variable.role, value, len(plates), span=piece.span)
            scope.model.random.add(whole)


# ------------------------------------------------------------------ networks
def network(statement: tree.Network, scope: Scope) -> None:
    """`network f = mlp(L, 64, D)`: a function from one vector to another."""
    model = scope.model
    if statement.name in model.networks or statement.name in model.variables:
        scope.findings.error("AIM0101", f"`{statement.name}` is already defined", statement.span)
        return
    axes = mlp_axes(statement.value, scope)
    if axes is not None:
        model.networks[statement.name] = axes


def mlp_axes(call: tree.Call, scope: Scope) -> tuple[Axis, Axis] | None:
    """The axes of the argument and of the result of `mlp(IN, HIDDEN, …, OUT)`."""
    if call.function.name != "mlp":
        hint = did_you_mean(call.function.name, ["mlp"]) or "networks are written mlp(IN, HIDDEN, OUT)"
        scope.findings.error("AIM0313", f"unknown network `{call.function.name}`", call.function.span, hint)
        return None
    axes: list[Axis] = []
    for argument in call.arguments:
        if argument.name is not None:
            _network_option(argument, scope)
            continue
        size = elaborate(argument.value, scope)
        axis = axis_of_size(size) if size is not None else None
        if axis is None:
            if size is not None:
                scope.findings.error("AIM0313", "a layer's width is an index set or a whole number above 0", argument.span)
            return None
        axes.append(axis)
    if len(axes) < 2:
        scope.findings.error("AIM0313", "`mlp` needs at least the sizes of its input and of its output", call.span, "write mlp(L, 64, D)")
        return None
    return axes[0], axes[-1]


def _network_option(argument: tree.Argument, scope: Scope) -> None:
    place = argument.name_span or argument.span
    if argument.name == "activation":
        written = argument.value
        if not isinstance(written, tree.Name) or written.name not in ACTIVATIONS:
            hint = did_you_mean(written.span.text, ACTIVATIONS) or f"these are known: {', '.join(ACTIVATIONS)}"
            scope.findings.error("AIM0313", f"unknown activation `{written.span.text}`", written.span, hint)
    elif argument.name == "prior":
        from ppl.semantics.distributions import distribution

        distribution(argument.value, scope)
    else:
        scope.findings.error(
            "AIM0313", f"`mlp` has no option `{argument.name}`", place, did_you_mean(argument.name or "", ("activation", "prior"))
        )
