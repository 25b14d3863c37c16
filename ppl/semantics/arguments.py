"""The arguments of a distribution: which parameter each is for, its shape, and whether a constant is in the support."""

from __future__ import annotations

from ppl.catalogue.distributions import Distribution, ParameterSignature
from ppl.semantics.constants import broken_rule, fold, numbers, shown, sums_to_one
from ppl.semantics.scope import Scope
from ppl.semantics.sets import axis_of_size
from ppl.semantics.typed import Apply, Axis, Indexed, IndexSet, Kind, Select, Stack, TypedExpression, ValueType
from ppl.semantics.types import anonymous_set, axis_size, merged_axis, name_axis, name_shape, same_axis
from ppl.source.diagnostics import Related, did_you_mean
from ppl.syntax import tree

Given = tuple[ParameterSignature, tree.Expression]


def given_arguments(written: tree.Call, known: Distribution, scope: Scope) -> list[Given] | None:
    """Each argument with its parameter, or None where one is unknown, given twice, missing or too many."""
    by_slot: dict[int, tuple[ParameterSignature, tree.Argument]] = {}
    failed = False
    for place, argument in enumerate(written.arguments):
        slot = _slot(argument, place, known, len(written.arguments))
        if slot is None:
            _report_unplaced(argument, known, len(written.arguments), scope)
            failed = True
            continue
        number, signature = slot
        if number in by_slot:
            _report_twice(by_slot[number], (signature, argument), known, scope)
            failed = True
            continue
        by_slot[number] = (signature, argument)
    if not failed:
        missing = [slot for number, slot in enumerate(known.slots) if number not in by_slot and not slot[0].optional]
        failed = bool(missing)
        if missing:
            names = ", and ".join(" or ".join(f"`{signature.name}`" for signature in slot) for slot in missing)
            scope.findings.error("AIM0305", f"`{known.name}` needs {names}", written.span, f"it takes {signature_text(known)}")
    return None if failed else [(signature, argument.value) for _, (signature, argument) in sorted(by_slot.items())]


def _slot(argument: tree.Argument, place: int, known: Distribution, count: int) -> tuple[int, ParameterSignature] | None:
    if argument.name is None:
        leading = 1 if count == 1 and len(known.slots) > 1 and known.slots[0][0].optional else 0
        number = place + leading
        return (number, known.slots[number][0]) if number < len(known.slots) else None
    for number, slot in enumerate(known.slots):
        for signature in slot:
            if signature.name == argument.name:
                return number, signature
    return None


def signature_text(known: Distribution) -> str:
    """The parameters as the reference shows them: `mean, sd / var / precision`."""
    return ", ".join(" / ".join(signature.name for signature in slot) for slot in known.slots)


def _report_unplaced(argument: tree.Argument, known: Distribution, count: int, scope: Scope) -> None:
    if argument.name is None:
        expected = f"{len(known.slots) or 'no'} argument{'s' if len(known.slots) != 1 else ''}"
        takes = f"it takes {signature_text(known)}" if known.slots else ""
        scope.findings.error(
            "AIM0303", f"`{known.name}` takes {expected}, here {'is' if count == 1 else 'are'} {count}", argument.span, takes
        )
        return
    hint = did_you_mean(argument.name, known.parameters)
    hint = f"{hint} it takes {signature_text(known)}" if hint else f"it takes {signature_text(known)}"
    place = argument.name_span or argument.span
    scope.findings.error("AIM0302", f"`{known.name}` has no parameter `{argument.name}`", place, hint)


def _report_twice(
    first: tuple[ParameterSignature, tree.Argument], second: tuple[ParameterSignature, tree.Argument], known: Distribution, scope: Scope
) -> None:
    names = first[0].name, second[0].name
    if names[0] == names[1]:
        message = f"`{names[0]}` of `{known.name}` is given twice"
    else:
        message = f"`{names[0]}` and `{names[1]}` of `{known.name}` say the same thing: give one of them"
    scope.findings.error("AIM0304", message, second[1].span, related=(Related(first[1].span, f"`{names[0]}` is given here"),))


# ------------------------------------------------------------------ shapes
def has_axes(known: Distribution, arguments: dict[str, TypedExpression], scope: Scope) -> dict[str, Axis] | None:
    """The axes that the symbols of the signature stand for, or None where a shape does not fit."""
    axes: dict[str, Axis] = {}
    fits = True
    for name, value in arguments.items():
        signature = known.parameters[name]
        if signature.support != "any":
            fits &= _argument_fits(signature, value, known, axes, scope)
    return axes if fits else None


def _argument_fits(signature: ParameterSignature, value: TypedExpression, known: Distribution, axes: dict[str, Axis], scope: Scope) -> bool:
    own = value.type.axes
    if len(own) != len(signature.axes):
        expected = ("a number", "a vector", "a matrix")[len(signature.axes)]
        message = f"`{signature.name}` of `{known.name}` is {expected}, this has the shape {name_shape(own)}"
        if not own:
            message = f"`{signature.name}` of `{known.name}` is {expected}, this is a number"
        hint = "use a plate: one statement for each member" if len(own) > len(signature.axes) and not known.axes else ""
        scope.findings.error("AIM0219", message, value.span, hint)
        return False
    for symbol, axis in zip(signature.axes, own, strict=True):
        before = axes.get(symbol)
        if before is not None and not same_axis(before, axis):
            message = f"`{signature.name}` of `{known.name}` has the axis {name_axis(axis)} where {name_axis(before)} is expected"
            scope.findings.error("AIM0219", message, value.span)
            return False
        axes[symbol] = axis if before is None else merged_axis(before, axis)
    return True


# ------------------------------------------------------------------ supports
def check_support(signature: ParameterSignature, value: TypedExpression, known: Distribution, scope: Scope) -> None:
    """Report what is constant in an argument and may not stand there, at the smallest place that shows it."""
    parts = _parts(value, signature)
    for part in parts:
        check_support(signature, part, known, scope)
    if parts:
        return
    folded = fold(value, scope.model.constants)
    if folded is None:
        _check_rows(signature, value, scope)
        return
    rule = broken_rule(signature.support, folded)
    if rule is not None:
        met = f", {shown(numbers(folded)[0])} is not" if not isinstance(folded, tuple) else ""
        scope.findings.error("AIM0306", f"`{signature.name}` of `{known.name}` must be {rule}{met}", value.span)
    elif signature.support == "simplex":
        check_table(value, scope)


def _parts(value: TypedExpression, signature: ParameterSignature) -> tuple[TypedExpression, ...]:
    """The branches of a choice, the items of a vector that are judged one by one."""
    match value:
        case Select(arms=arms):
            return tuple(arm.value for arm in arms)
        case Apply(function="if", arguments=(_, then, otherwise)):
            return then, otherwise
        case Stack(items=items) if signature.support in ("positive", "nonnegative", "unit"):
            return items
    return ()


def _check_rows(signature: ParameterSignature, value: TypedExpression, scope: Scope) -> None:
    """A row of a constant matrix, chosen when the model runs: every row must do."""
    if not isinstance(value, Indexed) or signature.support != "simplex" or len(value.indices) != 1:
        return
    folded = fold(value.base, scope.model.constants)
    for number, row in enumerate(folded if isinstance(folded, tuple) else ()):
        if any(v < 0 for v in numbers(row)) or not sums_to_one(row):
            total = shown(sum(numbers(row)))
            message = f"row {number} of `{value.base.span.text}` is no table of probabilities: it sums to {total}"
            scope.findings.error("AIM0307", message, value.span, "write the row as normalize(…)")
            return


def check_table(value: TypedExpression, scope: Scope) -> None:
    """Report a table of constants that does not sum to 1 or holds a negative one."""
    folded = fold(value, scope.model.constants)
    if folded is None or not isinstance(folded, tuple):
        return
    if any(v < 0 for v in numbers(folded)):
        scope.findings.error("AIM0306", "a probability must be 0 or positive", value.span)
    elif not sums_to_one(folded):
        text = value.span.text
        hint = f"write normalize({text}) for weights" if len(text) < 60 and "\n" not in text else "write normalize(…) for weights"
        scope.findings.error("AIM0307", f"these probabilities sum to {shown(sum(numbers(folded)))}, not to 1", value.span, hint)


# ------------------------------------------------------------------ the value
_KINDS: dict[str, Kind] = {"binary": "bool", "count": "int", "nonnegative": "positive", "increasing": "real", "lower_triangular": "real"}


def value_type(
    known: Distribution,
    arguments: dict[str, TypedExpression],
    axes: dict[str, Axis],
    components: tuple[ValueType, ...],
    expected: IndexSet | None,
) -> ValueType:
    """The type of a value of the distribution."""
    if components:
        return components[0]
    if known.support == "any":
        return arguments["value"].type
    if known.support == "member":
        return ValueType("member", (), _members(known, axes, expected))
    own = tuple(axes.get(symbol) or _axis_of_dimension(arguments) for symbol in known.axes)
    return ValueType(number_kind(known), own)


def number_kind(known: Distribution) -> Kind:
    return _KINDS.get(known.support, known.support)  # type: ignore[return-value]


def _members(known: Distribution, axes: dict[str, Axis], expected: IndexSet | None) -> IndexSet:
    if "K" in axes:
        return member_set(axes["K"], expected)
    cutpoints = axis_size(axes["C"]) if "C" in axes else None
    return member_set(Axis(size=None if cutpoints is None else cutpoints + 1), expected)


def member_set(axis: Axis, expected: IndexSet | None) -> IndexSet:
    """The set that a probability vector over an axis gives probabilities to."""
    if axis.set is not None and not axis.extra:
        return axis.set
    if expected is not None and same_axis(axis, Axis(expected)):
        return expected
    return anonymous_set(axis_size(axis))


def _axis_of_dimension(arguments: dict[str, TypedExpression]) -> Axis:
    """LKJ gives the dimension as a number or a set."""
    return (axis_of_size(arguments["dim"]) if "dim" in arguments else None) or Axis()
