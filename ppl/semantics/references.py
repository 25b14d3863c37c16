"""Names in expressions: what each refers to, and whether it is defined by then."""

from __future__ import annotations

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.semantics.affine import Affine, affine_of, extreme, loop_bounds, surely_at_least, surely_at_most
from ppl.semantics.scope import Elaborate, Piece, Scope
from ppl.semantics.sets import axis_of_size
from ppl.semantics.typed import (
    Axis,
    Indexed,
    IndexReference,
    IndexSet,
    Member,
    NetworkCall,
    SizeOf,
    Slice,
    TypedExpression,
    ValueType,
    VariableReference,
)
from ppl.semantics.types import compatible_sets, name_shape, same_axes
from ppl.source.diagnostics import Related, did_you_mean
from ppl.syntax import tree


def fits(actual: IndexSet, expected: IndexSet) -> bool:
    return compatible_sets(actual, expected)


def is_value(written: tree.Name, scope: Scope) -> bool:
    """Whether the name is a variable or an index here, and not the member of a set."""
    if scope.bindings is not None:
        return written.name in scope.bindings
    known = scope.model.pieces.keys() | scope.model.variables.keys() | scope.model.broken
    return scope.loop_named(written.name) is not None or written.name in known


def name(written: tree.Name, scope: Scope, expected: IndexSet | None) -> TypedExpression | None:
    """A bare name: an argument, an index, a variable, the size of a set, or a member, in this order."""
    found = base_name(written, scope, expected)
    if isinstance(found, VariableReference) and not is_ready(written, found, scope):
        return None
    return found


def base_name(written: tree.Name, scope: Scope, expected: IndexSet | None = None) -> TypedExpression | None:
    """The same, where an index follows that may say that the variable is defined already."""
    if scope.bindings is not None and written.name in scope.bindings:
        return scope.bindings[written.name]
    active = scope.loop_named(written.name)
    if active is not None and not written.primes:
        members = active.loop.set
        return IndexReference(active.loop.name, span=written.span, type=ValueType("member", (), members))
    if scope.bindings is None and is_value(written, scope):
        return variable(written, scope)
    known_sets = scope.model.sets if scope.bindings is None else scope.file.types
    if written.name in known_sets and not (expected and written.name in (expected.members or ())):
        return SizeOf(known_sets[written.name], span=written.span, type=ValueType("int"))
    return member(written, scope, expected)


def variable(written: tree.Name, scope: Scope) -> TypedExpression | None:
    model = scope.model
    if written.name in model.hidden:
        scope.findings.error("AIM0117", f"`{written.name}` {model.hidden[written.name]}", written.span)
        return None
    if written.name in model.broken:
        return None
    if written.primes > model.primes.get(written.name, 0):
        _unknown_derivative(written, scope)
        return None
    known = model.variables.get(written.name)
    value = known.type if known is not None else scope.notes.expected.get(written.name)
    if value is None:
        _used_too_early(written, model.pieces[written.name][0], scope)
        return None
    return VariableReference(written.name + "'" * written.primes, span=written.span, type=value)


def _unknown_derivative(written: tree.Name, scope: Scope) -> None:
    if written.name in scope.model.primes:
        message = f"`{written.name}` has {scope.model.primes[written.name]} derivatives here"
        scope.findings.error("AIM0113", message, written.span, "raise `order` of the block")
    else:
        hint = "a `generalized` block gives its variables derivatives"
        scope.findings.error("AIM0113", f"`{written.name}` has no derivatives here", written.span, hint)


def member(written: tree.Name, scope: Scope, expected: IndexSet | None) -> TypedExpression | None:
    """A member of the expected set, or of the only set that has one of this name."""
    sets = scope.sets_with(written.name)
    if expected is not None and expected.members and written.name in expected.members:
        sets = [expected]
    if not sets or written.primes:
        _unknown(written, scope, expected)
        return None
    if len(sets) > 1:
        named = " and of ".join(f"`{s.key}`" for s in sets)
        scope.findings.error("AIM0111", f"`{written.name}` is a member of {named}, and nothing here says which is meant", written.span)
        return None
    members = sets[0]
    assert members.members is not None
    return Member(members, members.members.index(written.name), span=written.span, type=ValueType("member", (), members))


def _unknown(written: tree.Name, scope: Scope, expected: IndexSet | None) -> None:
    kinds = (
        (NAMED_FUNCTIONS, "a function", f"call it: {written.name}(…)"),
        (scope.file.functions, "a function", f"call it: {written.name}(…)"),
        (scope.model.networks, "a network", f"call it: {written.name}(…)"),
        (DISTRIBUTIONS, "a distribution", f"after `~` it takes brackets: {written.name}(…)"),
        (scope.file.model_names, "a model", f"after `~` it takes brackets: {written.name}(…)"),
    )
    for names, what, hint in kinds:
        if written.name in names:
            scope.findings.error("AIM0114", f"`{written.name}` is {what}, not a value", written.span, hint)
            return
    if expected is not None and expected.members:
        hint = did_you_mean(written.name, [*expected.members, *scope.known_names()])
        scope.unknown(written.name, written.span, hint or f"`{expected.key}` has {', '.join(expected.members)}")
    else:
        looks_like_size = written.name[:1].isupper() and scope.bindings is None
        scope.unknown(written.name, written.span, f"a size is declared as a parameter: `{written.name}: size`" if looks_like_size else "")


# ------------------------------------------------------------------ submodels and networks
def attribute(written: tree.Attribute, scope: Scope) -> TypedExpression | None:
    """`first.bias`: a variable of a submodel."""
    found = attribute_base(written, scope)
    if found is not None and not is_ready(written, found, scope):
        return None
    return found


def attribute_base(written: tree.Attribute, scope: Scope) -> TypedExpression | None:
    root = root_of(written)
    if root is None:
        scope.findings.error("AIM0112", "only a variable of a submodel has parts", written.span, "write the index last: first.bias[n]")
        return None
    if (variable(root, scope) if is_value(root, scope) else base_name(root, scope)) is None:
        return None
    base = dotted_name(written.base)
    whole = f"{base}.{written.name}"
    known = scope.model.variables.get(whole)
    value = known.type if known is not None else scope.notes.expected.get(whole)
    if value is None:
        parts = [v.removeprefix(f"{base}.") for v in scope.model.variables if v.startswith(f"{base}.")]
        hint = did_you_mean(written.name, parts) or (f"it has {', '.join(parts)}" if parts else "it is no submodel")
        scope.findings.error("AIM0112", f"`{base}` has no variable `{written.name}`", written.span, hint)
        return None
    return VariableReference(whole, span=written.span, type=value)


def root_of(written: tree.Expression) -> tree.Name | None:
    """The `first` of `first.bias` and of `first.inner.bias`."""
    while isinstance(written, tree.Attribute):
        written = written.base
    return written if isinstance(written, tree.Name) else None


def dotted_name(written: tree.Expression) -> str:
    """`x`, `x.bias`; of `y[0]` the `y`."""
    match written:
        case tree.Name(name=name):
            return name
        case tree.Attribute(base=base, name=name):
            return f"{dotted_name(base)}.{name}"
        case tree.Index(base=base):
            return dotted_name(base)
    return written.span.text


def network_call(written: tree.Call, scope: Scope, elaborate: Elaborate) -> TypedExpression | None:
    network = scope.model.networks[written.function.name]
    inward, outward = (axis_of_size(network.widths[place]) or Axis() for place in (0, -1))
    arguments = [elaborate(argument.value, scope) for argument in written.arguments]
    if len(arguments) != 1:
        scope.findings.error("AIM0309", f"the network `{written.function.name}` takes 1 argument, here are {len(arguments)}", written.span)
        return None
    (argument,) = arguments
    if argument is None:
        return None
    if not same_axes(argument.type.axes, (inward,)):
        message = f"the network `{written.function.name}` takes {name_shape((inward,))}, this is {name_shape(argument.type.axes)}"
        scope.findings.error("AIM0310", message, argument.span)
        return None
    return NetworkCall(network.name, argument, span=written.span, type=ValueType("real", (outward,)))


def unknown_function(written: tree.Call, scope: Scope) -> None:
    name, span = written.function.name, written.function.span
    if name in DISTRIBUTIONS or name in scope.file.model_names:
        what = "distribution" if name in DISTRIBUTIONS else "model"
        hint = f"give it a name of its own: `y ~ {name}(…)`"
        scope.findings.error("AIM0311", f"the {what} `{name}` stands only after `~`", span, hint)
        return
    known = [*scope.file.functions, *scope.model.networks, *NAMED_FUNCTIONS]
    scope.findings.error("AIM0308", f"unknown function `{name}`", span, did_you_mean(name, known))


# ------------------------------------------------------------------ the order of definitions
def base_of_index(base: tree.Expression, scope: Scope, elaborate: Elaborate) -> TypedExpression | None:
    """What is indexed; whether a variable is defined by then is asked when the indices are known."""
    if isinstance(base, tree.Name):
        found = base_name(base, scope)
        if isinstance(found, SizeOf | Member):
            scope.findings.error("AIM0206", f"`{base.name}` is no array: it cannot be indexed", base.span)
            return None
        return found
    if isinstance(base, tree.Attribute):
        return attribute_base(base, scope)
    return elaborate(base, scope)


def is_ready(written: tree.Expression, found: TypedExpression, scope: Scope) -> bool:
    """Whether what a reference needs is defined above, or at an earlier index of a recursion around it."""
    root = root_of(written)
    if root is not None:
        written = root
    if not isinstance(written, tree.Name) or scope.order is None or (scope.bindings is not None and written.name in scope.bindings):
        return True
    if scope.loop_named(written.name) is not None:
        return True
    indices = found.indices if isinstance(found, Indexed) else ()
    for piece in scope.model.pieces.get(written.name, ()):
        if piece.order < scope.order or _is_apart(piece, indices, scope):
            continue
        if _is_earlier(piece, indices, scope):
            continue
        _used_too_early(written, piece, scope)
        return False
    return True


def _used_too_early(written: tree.Name, piece: Piece, scope: Scope) -> None:
    place = (Related(piece.span, f"`{written.name}` is defined here"),)
    if scope.piece is not None and scope.piece.name == written.name:
        hint = "an earlier index, such as [t - 1] for t in 1..T, makes a recursion" if piece.places else ""
        scope.findings.error(
            "AIM0106", f"`{written.name}` depends on itself", written.span, hint, related=place if piece is not scope.piece else ()
        )
        return
    if scope.piece is not None and _needs(written.name, scope.piece.name, scope):
        message = f"`{scope.piece.name}` and `{written.name}` depend on each other: `{written.name}` is used before it is defined"
        scope.findings.error("AIM0106", message, written.span, "one of them must come first", related=place)
        return
    hint = "move its definition above this line"
    scope.findings.error("AIM0105", f"`{written.name}` is used before it is defined", written.span, hint, related=place)


def _needs(start: str, goal: str, scope: Scope) -> bool:
    """Whether the definition of one variable mentions the other, directly or through others."""
    waiting, seen = [start], {start}
    while waiting:
        mentioned = scope.model.mentions.get(waiting.pop(), set())
        if goal in mentioned:
            return True
        waiting += mentioned - seen
        seen |= mentioned
    return False


def _last_place(index: TypedExpression) -> Affine | None:
    """The largest number an index may be, as a sum; a slice ends before its upper bound."""
    if isinstance(index, Slice):
        high = affine_of(index.high)
        return high and high.plus(-1)
    return affine_of(index)


def _is_earlier(piece: Piece, indices: tuple[TypedExpression, ...], scope: Scope) -> bool:
    """Whether, in a loop around both, the reference is to an index before the one being defined."""
    shared = {active.loop.name for active in scope.loops if any(active.loop is other.loop for other in piece.loops)}
    inner = {name: bounds for name, bounds in scope.bounds.items() if name not in shared}
    for place, index in zip(piece.places, indices, strict=False):
        last = _last_place(index)
        if last is None or not set(place.index_names) & shared:
            continue
        if surely_at_most(extreme(last - place, inner, largest=True), -1):
            return True
    return False


def _is_apart(piece: Piece, indices: tuple[TypedExpression, ...], scope: Scope) -> bool:
    """Whether the piece defines none of the indices that the reference needs."""
    loops = {active.loop.name: bounds for active in piece.loops if (bounds := loop_bounds(active.loop)) is not None}
    for place, index in zip(piece.places, indices, strict=False):
        last = _last_place(index)
        first = affine_of(index.low) if isinstance(index, Slice) else last
        if last is None or first is None:
            continue
        before = extreme(place, loops, largest=False) - extreme(last, scope.bounds, largest=True)
        after = extreme(first, scope.bounds, largest=False) - extreme(place, loops, largest=True)
        if surely_at_least(before, 1) or surely_at_least(after, 1):
            return True
    return False
