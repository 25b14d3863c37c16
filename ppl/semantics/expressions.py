"""Expressions: from what was written to resolved names, functions of the catalogue, and a type for every value."""

from __future__ import annotations

from dataclasses import replace

from ppl.catalogue.functions import COMPREHENSIONS, NAMED_FUNCTIONS, OPERATORS
from ppl.semantics import references
from ppl.semantics.affine import extreme, loop_bounds, surely_at_least
from ppl.semantics.calls import applied, is_number
from ppl.semantics.indexing import indexed
from ppl.semantics.matching import select
from ppl.semantics.scope import ActiveLoop, Scope, backticked
from ppl.semantics.sets import loop_of
from ppl.semantics.tables import stack_of_list, table
from ppl.semantics.typed import Apply, Comprehension, Constant, IndexSet, Loop, Member, Text, TypedExpression, ValueType
from ppl.semantics.types import is_numbered
from ppl.source.diagnostics import did_you_mean
from ppl.syntax import tree

_DEEPEST_CALL = 20  # functions are written out where they are called: beyond this depth,
_MOST_CALLS = 5_000  # or this often in one statement, that is a mistake


def elaborate(written: tree.Expression, scope: Scope, expected: IndexSet | None = None) -> TypedExpression | None:
    """The typed form, or None where something in it is wrong and has been reported.

    `expected` is the set whose member would fit the place; it decides between members of the same name.
    """
    match written:
        case tree.Number():
            return constant(written)
        case tree.Truth(value=value):
            return Constant(value, span=written.span, type=ValueType("bool"))
        case tree.Text():
            scope.findings.error("AIM0314", "a text stands only in `csv(…)`", written.span, "write a number, a name or a member")
            return None
        case tree.Name():
            return references.name(written, scope, expected)
        case tree.Unary():
            return _unary(written, scope)
        case tree.Binary():
            return _binary(written, scope)
        case tree.Conditional():
            return _conditional(written, scope, expected)
        case tree.Call():
            return _call(written, scope, expected)
        case tree.Attribute():
            return references.attribute(written, scope)
        case tree.Index():
            return _index(written, scope, expected)
        case tree.ListLiteral(items=items):
            return stack_of_list(written, [elaborate(item, scope, expected) for item in items], scope)
        case tree.TableLiteral():
            return table(written, scope, expected, elaborate)
        case tree.Comprehension():
            return _comprehension(written, scope)
        case tree.Match():
            return select(written, scope, expected, elaborate)
    what = "a range stands in an index or after `in`" if isinstance(written, tree.Range) else "a set stands after `in` or as a type"
    scope.findings.error("AIM0311", f"this is no value: {what}", written.span)
    return None


def constant(written: tree.Number, sign: int = 1) -> Constant:
    value = sign * written.value
    kind = "int" if isinstance(value, int) else "positive" if value > 0 else "real"
    return Constant(value, span=written.span, type=ValueType(kind))


def as_member(value: TypedExpression, members: IndexSet, scope: Scope) -> TypedExpression | None:
    """A value where a member of the set is expected: a whole number is the member of that number."""
    kind = value.type
    if kind.kind == "member" and kind.member_of is not None and references.fits(kind.member_of, members):
        return value
    if isinstance(value, Constant) and isinstance(value.value, int) and is_numbered(members):
        ordinal = value.value - members.low
        if ordinal >= 0 and (members.size is None or ordinal < members.size):
            return Member(members, ordinal, span=value.span, type=ValueType("member", (), members))
        scope.findings.error("AIM0110", f"`{members.key}` has no member {value.value}", value.span)
        return None
    if kind.kind in ("bool", "int") and (is_numbered(members) or (kind.kind == "bool" and members.size == 2)):
        return value
    what = f"a member of `{kind.member_of.key}`" if kind.member_of else "a number"
    scope.findings.error("AIM0203", f"a member of `{members.key}` is expected, this is {what}", value.span)
    return None


# ------------------------------------------------------------------ operators
def _unary(written: tree.Unary, scope: Scope) -> TypedExpression | None:
    if written.operator == "-" and isinstance(written.operand, tree.Number):
        return replace(constant(written.operand, -1), span=written.span)
    operand = elaborate(written.operand, scope)
    return operand and applied("negate" if written.operator == "-" else "not", (operand,), written.span, scope)


def _binary(written: tree.Binary, scope: Scope) -> TypedExpression | None:
    function = OPERATORS[written.operator]
    if function in ("equal", "not_equal"):
        left, right = _compared(written, scope)
    else:
        left, right = elaborate(written.left, scope), elaborate(written.right, scope)
    if left is None or right is None:
        return None
    return applied(function, (left, right), written.span, scope)


def _compared(written: tree.Binary, scope: Scope) -> tuple[TypedExpression | None, TypedExpression | None]:
    """Both sides of `==`; the side that is not a bare name says of which set the other is a member."""
    if isinstance(written.left, tree.Name) and not references.is_value(written.left, scope):
        right = elaborate(written.right, scope)
        return elaborate(written.left, scope, right.type.member_of if right else None), right
    left = elaborate(written.left, scope)
    return left, elaborate(written.right, scope, left.type.member_of if left else None)


def _conditional(written: tree.Conditional, scope: Scope, expected: IndexSet | None) -> TypedExpression | None:
    condition = elaborate(written.condition, scope)
    then, otherwise = elaborate(written.then, scope, expected), elaborate(written.otherwise, scope, expected)
    if condition is None or then is None or otherwise is None:
        return None
    return applied("if", (condition, then, otherwise), written.span, scope)


# ------------------------------------------------------------------ calls
def _call(written: tree.Call, scope: Scope, expected: IndexSet | None) -> TypedExpression | None:
    name = written.function.name
    if name in scope.file.functions:
        return _inlined(written, scope)
    if name in scope.model.networks and scope.bindings is None:
        return references.network_call(written, scope, elaborate)
    if name in NAMED_FUNCTIONS:
        return _catalogue_call(written, scope, expected)
    for argument in written.arguments:
        elaborate(argument.value, scope)
    references.unknown_function(written, scope)
    return None


def _catalogue_call(written: tree.Call, scope: Scope, expected: IndexSet | None) -> TypedExpression | None:
    name = written.function.name
    inner = expected if name in ("softmax", "normalize") else None
    if name == "onehot" and len(written.arguments) == 2:
        return _onehot(written, scope)
    if name == "csv":
        return _csv(written, scope)
    arguments = [elaborate(argument.value, scope, inner) for argument in written.arguments]
    for argument in written.arguments:
        if argument.name is not None:
            place = argument.name_span or argument.span
            scope.findings.error(
                "AIM0312", f"`{name}` takes its arguments by position, not by name", place, f"leave out `{argument.name} =`"
            )
            return None
    known = tuple(argument for argument in arguments if argument is not None)
    return applied(name, known, written.span, scope) if len(known) == len(arguments) else None


def _onehot(written: tree.Call, scope: Scope) -> TypedExpression | None:
    size = elaborate(written.arguments[1].value, scope)
    members = getattr(size, "set", None)
    member = elaborate(written.arguments[0].value, scope, members)
    if size is None or member is None:
        return None
    checked = as_member(member, members, scope) if members is not None else member
    if checked is not None and members is not None and members.low:  # a member's value is its number, and its place is wanted
        low = Constant(members.low, span=checked.span, type=ValueType("int"))
        checked = Apply("subtract", (checked, low), span=checked.span, type=ValueType("int"))
    return checked and applied("onehot", (checked, size), written.span, scope)


def _csv(written: tree.Call, scope: Scope) -> TypedExpression | None:
    """`csv("file.csv")`, `csv("file.csv", "column")`."""
    texts: list[TypedExpression] = []
    for argument in written.arguments:
        if not isinstance(argument.value, tree.Text):
            scope.findings.error("AIM0314", "`csv` takes the name of a file in double quotes", argument.span)
            return None
        texts.append(Text(argument.value.value, span=argument.span, type=ValueType("real")))
    return applied("csv", tuple(texts), written.span, scope)


def _inlined(written: tree.Call, scope: Scope) -> TypedExpression | None:
    """The body of a function of the file, with the arguments in the place of its parameters."""
    entry = scope.file.functions[written.function.name]
    declaration = entry.declaration
    arguments = [elaborate(argument.value, scope) for argument in written.arguments]
    named = [argument.name for argument in written.arguments]
    parameters = declaration.parameters
    unknown = next((a for a in written.arguments if a.name is not None and a.name not in parameters), None)
    if unknown is not None:
        hint = did_you_mean(unknown.name or "", parameters) or f"it has {backticked(parameters)}"
        scope.findings.error("AIM0302", f"`{declaration.name}` has no parameter `{unknown.name}`", unknown.name_span or unknown.span, hint)
        return None
    names = [name or (parameters[i] if i < len(parameters) else "") for i, name in enumerate(named)]
    if sorted(names) != sorted(parameters):
        expected = f"{len(parameters)} argument{'s' if len(parameters) != 1 else ''}"
        message = f"`{declaration.name}` takes {expected} ({', '.join(parameters)}), here are {len(arguments)}"
        scope.findings.error("AIM0309", message, written.span)
        return None
    if declaration.name in scope.calling:
        scope.findings.error("AIM0115", f"the function `{declaration.name}` calls itself", written.span)
        return None
    scope.notes.inlined += 1
    if len(scope.calling) >= _DEEPEST_CALL or scope.notes.inlined > _MOST_CALLS:
        scope.findings.error("AIM0115", f"functions call each other too often to write `{declaration.name}` out here", written.span)
        return None
    bindings = dict(zip(names, arguments, strict=True))
    inner = replace(scope, bindings=bindings, functions=entry.home, loops=(), calling=(*scope.calling, declaration.name))
    return elaborate(declaration.value, inner)


# ------------------------------------------------------------------ indices and sums
def _index(written: tree.Index, scope: Scope, expected: IndexSet | None) -> TypedExpression | None:
    base = references.base_of_index(written.base, scope, elaborate)
    if base is None:
        for index in written.indices:
            if not isinstance(index, tree.Range):
                elaborate(index, scope)
        return None
    result = indexed(base, written, scope, elaborate)
    if result is None or not references.is_ready(written.base, result, scope):
        return None
    return result


NOT_OF_NOTHING = ("max", "min", "mean", "logsumexp")


def _may_be_empty(loop: Loop, scope: Scope) -> bool:
    """Whether a range that changes with another index may have no members."""
    bounds = loop_bounds(loop)
    length = bounds.high - bounds.low if bounds is not None else None
    return length is not None and bool(length.index_names) and not surely_at_least(extreme(length, scope.bounds, largest=False), 1)


def _comprehension(written: tree.Comprehension, scope: Scope) -> TypedExpression | None:
    name = written.function.name
    if name not in COMPREHENSIONS:
        hint = f"these can: {', '.join(sorted(COMPREHENSIONS))}"
        scope.findings.error("AIM0308", f"`{name}` cannot run over an index", written.function.span, hint)
        return None
    inner = scope
    for binder in written.binders:
        loop = loop_of(binder, inner, elaborate)
        if loop is None:
            return None
        inner = inner.inside((ActiveLoop(binder.name, loop),))
        if name in NOT_OF_NOTHING and _may_be_empty(loop, inner):
            hint = "let the range begin one earlier, or end one later; a `sum` and a `prod` may be empty"
            scope.findings.error(
                "AIM0202", f"the range {binder.set.span.text} may be empty, and {name} of nothing is no number", binder.set.span, hint
            )
            return None
    body = elaborate(written.body, inner)
    if body is None or not is_number(body, inner):
        return None
    loops = tuple(active.loop for active in inner.loops[len(scope.loops) :])
    kind = body.type.kind if name in ("min", "max") else "real" if body.type.kind in ("posdef", "member") else body.type.kind
    widened = "int" if kind == "bool" else "positive" if kind in ("unit", "simplex") and name == "sum" else kind
    return Comprehension(name, loops, body, span=written.span, type=ValueType(widened, body.type.axes))
