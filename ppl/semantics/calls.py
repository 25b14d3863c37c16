"""Functions and operators of the catalogue applied to typed arguments: how many, of which shapes, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ppl.catalogue.functions import FUNCTIONS, Function
from ppl.semantics.scope import Scope
from ppl.semantics.sets import axis_of_size
from ppl.semantics.typed import Apply, Axis, Constant, IndexReference, Kind, SizeOf, TypedExpression, ValueType, VariableReference
from ppl.semantics.types import (
    axis_size,
    compatible_sets,
    is_numbered,
    joined,
    joined_kind,
    merged_axes,
    merged_axis,
    name_shape,
    name_type,
    same_axes,
    same_axis,
)
from ppl.source.text import Span

Arguments = tuple[TypedExpression, ...]


def applied(name: str, arguments: Arguments, span: Span, scope: Scope) -> TypedExpression | None:
    """The function applied, or None where number, shapes or kinds of its arguments do not fit."""
    function = FUNCTIONS[name]
    if not _right_number(function, arguments, span, scope):
        return None
    if name in ("equal", "not_equal"):
        found = _compared(function, arguments, span, scope)
    elif name == "if":
        found = _conditional(arguments, span, scope)
    elif name == "onehot" or function.shape in ("file", "length") or _are_numbers(arguments, scope):
        found = _SHAPES[function.shape](function, arguments, span, scope)
    else:
        return None
    if found is None:
        return None
    if name == "len":
        return _length(arguments[0], span, found)
    return Apply(name, arguments, span=span, type=found)


def _are_numbers(arguments: Arguments, scope: Scope) -> bool:
    """Whether all are; each that is not gets its own error."""
    answers = [is_number(argument, scope) for argument in arguments]
    return all(answers)


def is_number(value: TypedExpression, scope: Scope) -> bool:
    """Whether the value may stand where a number is expected; members of named sets may not."""
    members = value.type.member_of
    if value.type.kind != "member" or members is None or is_numbered(members) or isinstance(value, IndexReference):
        return True
    message = f"`{value.span.text}` is a member of `{members.key}`, not a number"
    scope.findings.error("AIM0210", message, value.span, "compare it, index with it, or use match")
    return False


def _right_number(function: Function, arguments: Arguments, span: Span, scope: Scope) -> bool:
    count = len(arguments)
    if count >= function.least and (function.most is None or count <= function.most):
        return True
    if function.most is None:
        expected = f"at least {function.least}"
    else:
        expected = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
    plural = "" if expected == "1" else "s"
    scope.findings.error("AIM0309", f"`{function.name}` takes {expected} argument{plural}, here are {count}", span)
    return False


def _wrong_shape(code: str, message: str, span: Span, scope: Scope, hint: str = "") -> None:
    scope.findings.error(code, message, span, hint)


# ------------------------------------------------------------------ shapes
def _elementwise(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axes: tuple[Axis, ...] = ()
    for argument in arguments:
        own = argument.type.axes
        if not own:
            continue
        if axes and not same_axes(axes, own):
            what = f"`{function.operator}`" if function.operator else f"`{function.name}`"
            message = f"{what} of {name_shape(axes)} and {name_shape(own)}: the shapes differ"
            _wrong_shape("AIM0207", message, span, scope, "only equal shapes and numbers combine")
            return None
        axes = merged_axes(axes, own) if axes else own
    return ValueType(_kind(function, arguments), axes)


def _reduce(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    if len(arguments) > 1:
        return _elementwise(function, arguments, span, scope)
    kind: Kind = _kind(function, arguments)
    if function.name in ("sum", "mean", "prod"):
        kind = _summed_kind(function.name, kind)
    return ValueType(kind if kind != "posdef" else "real")


def _summed_kind(name: str, kind: Kind) -> Kind:
    if kind in ("unit", "simplex"):
        return "positive"
    if kind in ("int", "bool"):
        return "real" if name == "mean" else "int"
    return kind


def _vector(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    if not arguments[0].type.axes:
        _wrong_shape("AIM0310", f"`{function.name}` takes a vector, this is a number", arguments[0].span, scope)
        return None
    return ValueType(_kind(function, arguments), arguments[0].type.axes)


def _fill(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axes = [_size_axis(function, argument, scope) for argument in arguments]
    known = tuple(axis for axis in axes if axis is not None)
    return ValueType(_kind(function, ()), known) if len(known) == len(axes) else None


def _size_axis(function: Function, argument: TypedExpression, scope: Scope) -> Axis | None:
    axis = axis_of_size(argument)
    if axis is None:
        hint = "write an index set or a whole number above 0"
        _wrong_shape("AIM0310", f"`{function.name}` takes a size", argument.span, scope, hint)
    return axis


def _eye(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axis = _size_axis(function, arguments[0], scope)
    return axis and ValueType("posdef", (axis, axis))


def _onehot(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axis = _size_axis(function, arguments[1], scope)
    return axis and ValueType("simplex", (axis,))


def _dot(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    left, right = (argument.type.axes for argument in arguments)
    if len(left) == 1 and same_axes(left, right):
        return ValueType("real")
    message = f"`dot` takes two vectors of one length, these are {name_shape(left)} and {name_shape(right)}"
    _wrong_shape("AIM0208", message, span, scope, "matrices multiply by @" if len(left) + len(right) > 2 else "")
    return None


def _outer(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    left, right = (argument.type.axes for argument in arguments)
    if len(left) == len(right) == 1:
        return ValueType("real", (*left, *right))
    _wrong_shape("AIM0310", f"`outer` takes two vectors, these are {name_shape(left)} and {name_shape(right)}", span, scope)
    return None


def _matmul(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    left, right = (argument.type.axes for argument in arguments)
    if len(left) in (1, 2) and len(right) in (1, 2) and len(left) + len(right) > 2:
        if same_axis(left[-1], right[0]):
            return ValueType("real", (*left[:-1], *right[1:]))
        message = f"`@` of {name_shape(left)} and {name_shape(right)}: the inner axes differ"
        _wrong_shape("AIM0208", message, span, scope)
        return None
    hint = "the inner product of vectors is dot(a, b)" if len(left) == len(right) == 1 else "numbers multiply by *"
    _wrong_shape("AIM0208", f"`@` multiplies matrices, these are {name_shape(left)} and {name_shape(right)}", span, scope, hint)
    return None


def _diag(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axes = arguments[0].type.axes
    if len(axes) == 1:
        return ValueType("posdef" if is_positive(arguments[0]) else "real", (axes[0], axes[0]))
    if len(axes) == 2 and same_axis(*axes):
        return ValueType("real", (merged_axis(*axes),))
    _wrong_shape("AIM0310", f"`diag` takes a vector or a square matrix, this is {name_shape(axes)}", arguments[0].span, scope)
    return None


def _transpose(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axes = arguments[0].type.axes
    if len(axes) == 2:
        return ValueType(arguments[0].type.kind if arguments[0].type.kind != "simplex" else "unit", (axes[1], axes[0]))
    _wrong_shape("AIM0310", f"`transpose` takes a matrix, this is {name_shape(axes)}", arguments[0].span, scope)
    return None


def _square(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    axes = arguments[0].type.axes
    if len(axes) == 2 and same_axis(*axes):
        return ValueType(_kind(function, arguments), axes if function.shape == "square" else ())
    _wrong_shape("AIM0310", f"`{function.name}` takes a square matrix, this is {name_shape(axes)}", arguments[0].span, scope)
    return None


def _stack(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    kind: ValueType | None = arguments[0].type
    for argument in arguments[1:]:
        kind = kind and joined(kind, argument.type)
    if kind is None:
        shapes = ", ".join(name_shape(argument.type.axes) for argument in arguments)
        _wrong_shape("AIM0209", f"`stack` takes values of one shape, these are {shapes}", span, scope)
        return None
    return ValueType(kind.kind, (Axis(size=len(arguments)), *kind.axes), kind.member_of)


def _concat(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    for argument in arguments:
        if len(argument.type.axes) != 1:
            _wrong_shape("AIM0310", f"`concat` takes vectors, this is {name_shape(argument.type.axes)}", argument.span, scope)
            return None
    sizes = [axis_size(argument.type.axes[0]) for argument in arguments]
    total = sum(size for size in sizes if size is not None) if None not in sizes else None
    return ValueType("real", (Axis(size=total),))


def _measured(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    if arguments[0].type.axes:
        return ValueType("int")
    _wrong_shape("AIM0310", "`len` takes a vector or a matrix, this is a number", arguments[0].span, scope)
    return None


def _length(argument: TypedExpression, span: Span, number: ValueType) -> TypedExpression:
    axis = argument.type.axes[0]
    if axis.set is not None and not axis.extra:
        return SizeOf(axis.set, span=span, type=number)
    size = axis_size(axis)
    return Constant(size, span=span, type=number) if size is not None else Apply("len", (argument,), span=span, type=number)


def _file(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    return ValueType("real", (Axis(), Axis()))


_SHAPES: dict[str, Callable[[Function, Arguments, Span, Scope], ValueType | None]] = {
    "elementwise": _elementwise,
    "reduce": _reduce,
    "vector": _vector,
    "fill": _fill,
    "eye": _eye,
    "onehot": _onehot,
    "dot": _dot,
    "outer": _outer,
    "matmul": _matmul,
    "diag": _diag,
    "transpose": _transpose,
    "square": _square,
    "square_to_number": _square,
    "stack": _stack,
    "concat": _concat,
    "length": _measured,
    "file": _file,
}


# ------------------------------------------------------------------ comparisons and choices
def _compared(function: Function, arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    left, right = arguments
    sets = [argument.type.member_of for argument in arguments]
    if sets[0] is not None and sets[1] is not None:
        if not compatible_sets(sets[0], sets[1]):
            message = f"a member of `{sets[0].key}` is compared with one of `{sets[1].key}`: they are never equal"
            scope.findings.error("AIM0218", message, span)
            return None
        return _elementwise(function, arguments, span, scope)
    for one, other in ((left, right), (right, left)):
        members = one.type.member_of
        if members is not None and not is_numbered(members) and not (other.type.kind == "bool" and members.size == 2):
            message = f"a member of `{members.key}` is compared with a number"
            scope.findings.error("AIM0218", message, span, f"its members are {', '.join(members.members or ())}")
            return None
    return _elementwise(function, arguments, span, scope)


def _conditional(arguments: Arguments, span: Span, scope: Scope) -> ValueType | None:
    condition, then, otherwise = arguments
    if condition.type.axes:
        scope.findings.error("AIM0207", f"a condition is a number, this is {name_shape(condition.type.axes)}", condition.span)
        return None
    found = joined(then.type, otherwise.type)
    if found is None:
        message = f"the branches differ: {name_type(then.type)} and {name_type(otherwise.type)}"
        scope.findings.error("AIM0214", message, span, "both need the same shape and kind")
    return found


# ------------------------------------------------------------------ kinds
def is_positive(value: TypedExpression) -> bool:
    if isinstance(value, Constant):
        return value.value > 0
    return value.type.kind in ("positive", "unit", "simplex") or isinstance(value, SizeOf)


def _kind(function: Function, arguments: Arguments) -> Kind:
    rule = function.kind
    if rule == "same":
        return _together([argument.type.kind for argument in arguments])
    if rule == "sum":
        return "positive" if all(map(is_positive, arguments)) else _whole_or_real(arguments)
    if rule == "difference":
        return "unit" if _is_complement(arguments) else _whole_or_real(arguments)
    if rule == "product":
        return _product_kind(arguments)
    if rule == "quotient":
        left, right = arguments
        return "posdef" if left.type.kind == "posdef" and is_positive(right) else "positive" if all(map(is_positive, arguments)) else "real"
    if rule == "power":
        return "positive" if is_positive(arguments[0]) else _whole_or_real(arguments)
    return rule


def _together(kinds: Sequence[Kind]) -> Kind:
    kind = kinds[0]
    for other in kinds[1:]:
        kind = joined_kind(kind, other)
    return "int" if kind == "member" else kind


def _whole_or_real(arguments: Arguments) -> Kind:
    whole = all(argument.type.kind in ("int", "bool", "member") for argument in arguments)
    return "int" if whole else "real"


def _is_complement(arguments: Arguments) -> bool:
    """Whether this is `1 - p` of a probability."""
    return len(arguments) == 2 and isinstance(arguments[0], Constant) and arguments[0].value == 1 and arguments[1].type.kind == "unit"


def _product_kind(arguments: Arguments) -> Kind:
    left, right = arguments
    for one, other in ((left, right), (right, left)):
        if one.type.kind == "posdef":
            return "posdef" if is_positive(other) and not other.type.axes else "real"
    if left.type.kind == right.type.kind == "unit":
        return "unit"
    whole = _whole_or_real(arguments)
    return whole if whole == "int" else "positive" if all(map(is_positive, arguments)) else "real"


_WHOLE_IF_ARGUMENTS_ARE = ("add", "subtract", "multiply", "negate", "remainder", "min", "max", "abs")


def is_whole(value: TypedExpression, scope: Scope) -> bool:
    """Whether the value is a whole number as far as can be known: made of indices, sizes, counts and parameters."""
    if value.type.kind in ("int", "bool", "member"):
        return True
    if isinstance(value, VariableReference):
        variable = scope.model.variables.get(value.name)
        return variable is not None and variable.role == "parameter" and value.type.kind == "real"
    if not isinstance(value, Apply):
        return False
    if value.function == "if":
        return all(is_whole(branch, scope) for branch in value.arguments[1:])
    return value.function in _WHOLE_IF_ARGUMENTS_ARE and all(is_whole(argument, scope) for argument in value.arguments)
