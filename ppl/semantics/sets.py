"""Index sets: what a type or a range names, and which names of a model are sets at all."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from ppl.semantics.affine import affine_of
from ppl.semantics.scope import Elaborate, ModelNames, Scope, backticked, walk
from ppl.semantics.typed import Axis, Constant, IndexSet, Loop, SizeOf, TypedExpression, ValueType
from ppl.semantics.types import anonymous_set
from ppl.source.diagnostics import Findings, did_you_mean
from ppl.syntax import tree

NUMBER_TYPES = ("real", "int", "bool", "positive", "unit", "simplex")
SIZE_TYPE = "size"


# ------------------------------------------------------------------ written-out sets
def set_from_literal(literal: tree.SetLiteral, findings: Findings, key: str | None = None) -> IndexSet | None:
    """`{left, right}`, or `{0, 1, 2}`, which is a range of numbers."""
    if not literal.members:
        findings.error("AIM0217", "a set needs at least one member", literal.span)
        return None
    names = [
        member.name if isinstance(member, tree.Name) else member.text
        for member in literal.members
        if isinstance(member, tree.Name | tree.Number)
    ]
    if len(names) < len(literal.members):
        findings.error("AIM0217", "the members of a set are names or whole numbers", literal.span)
        return None
    for place, member in enumerate(literal.members):
        if names[place] in names[:place]:
            findings.error("AIM0217", f"the member `{names[place]}` stands twice in this set", member.span, "remove it")
            return None
    if all(isinstance(member, tree.Number) for member in literal.members):
        return _set_of_numbers(literal, names, findings, key)
    if any(isinstance(member, tree.Number) for member in literal.members):
        findings.error("AIM0217", "a set holds names or numbers, not both", literal.span)
        return None
    return IndexSet(key or "{" + ", ".join(names) + "}", len(names), tuple(names), span=literal.span)


def _set_of_numbers(literal: tree.SetLiteral, names: list[str], findings: Findings, key: str | None) -> IndexSet | None:
    """Numbers that follow each other are a range; others are the names of members."""
    if not all(name.isdigit() for name in names):
        findings.error("AIM0217", "numbered members are whole numbers", literal.span)
        return None
    low, high = int(names[0]), int(names[0]) + len(names)
    if [int(name) for name in names] == list(range(low, high)):
        return IndexSet(key or f"{low}..{high}", len(names), low=low, span=literal.span)
    return IndexSet(key or "{" + ", ".join(names) + "}", len(names), tuple(names), span=literal.span)


def set_from_type(declaration: tree.TypeDeclaration, findings: Findings) -> IndexSet | None:
    """`type Place = {…}`, `type Cell = 0..25`, `type Cell = 0..M`."""
    value = declaration.value
    if isinstance(value, tree.SetLiteral):
        return set_from_literal(value, findings, declaration.name)
    if isinstance(value, tree.Range) and isinstance(value.low, tree.Number) and isinstance(value.low.value, int):
        low, high = value.low.value, value.high
        if isinstance(high, tree.Name):
            return IndexSet(declaration.name, low=low, size_name=high.name, span=declaration.span)
        if isinstance(high, tree.Number) and isinstance(high.value, int):
            if high.value > low:
                return IndexSet(declaration.name, high.value - low, low=low, span=declaration.span)
            findings.error("AIM0202", f"the range {value.span.text} is empty", value.span, "the upper bound is not a member itself")
            return None
    findings.error(
        "AIM0202", "the bounds are a whole number, and a whole number or the name of a size", value.span, "write {a, b} or 0..25"
    )
    return None


# ------------------------------------------------------------------ names that are sets
def declare_sets(model: ModelNames, declaration: tree.ModelDeclaration) -> None:
    """Fill in the sets of a model: the types of the file, parameters of type `size`, written-out sets, and open sets."""
    for name, index_set in model.file.types.items():
        model.sets[name] = index_set
        model.add_members(index_set)
    for parameter in declaration.parameters:
        if is_size(parameter):
            model.sizes_and_loops.add(parameter.name)
            model.sets[parameter.name] = IndexSet(parameter.name, span=parameter.span)
    taken = {parameter.name for parameter in declaration.parameters} | set(_defined_names(declaration.body))
    for node in walk(declaration):
        if isinstance(node, tree.Binder):
            model.index_names.add(node.name)
        if isinstance(node, tree.SetLiteral):
            written = set_from_literal(node, Findings())
            if written is not None:
                model.add_members(written)
        if not isinstance(node, tree.TypeExpression):
            model.sizes_and_loops.update(name.name for name in _set_positions(node))
        for name in _set_positions(node):
            if name.name not in taken and name.name not in model.sets:
                model.sets[name.name] = IndexSet(name.name, span=name.span)


def is_size(parameter: tree.Parameter) -> bool:
    return parameter.type is not None and isinstance(parameter.type.base, tree.Name) and parameter.type.base.name == SIZE_TYPE


def _defined_names(body: tuple[tree.Statement, ...]) -> Iterator[str]:
    """The names that statements define, and those of indices: none of these is an open set."""
    for statement in body:
        for node in walk(statement):
            if isinstance(node, tree.Target | tree.Binder | tree.Input | tree.Network):
                yield node.name


def _set_positions(node: tree.Node) -> Iterator[tree.Name]:
    """The names in a node that stand where only a set may stand."""
    match node:
        case tree.Binder(set=tree.Name() as name):
            yield name
        case tree.Binder(set=tree.Range(low=low, high=high)):
            yield from (name for bound in (low, high) for name in walk(bound) if isinstance(name, tree.Name))
        case tree.TypeExpression(base=base, axes=axes):
            if isinstance(base, tree.Name) and base.name not in (*NUMBER_TYPES, SIZE_TYPE):
                yield base
            yield from (name for axis in axes for name in walk(axis) if isinstance(name, tree.Name))
        case tree.Network(value=call):
            yield from (argument.value for argument in call.arguments if argument.name is None and isinstance(argument.value, tree.Name))


def named_set(name: tree.Name, scope: Scope) -> IndexSet | None:
    """The set of that name, or an error that says what the name is instead."""
    found = scope.model.sets.get(name.name)
    if found is not None:
        return found
    findings = scope.findings
    if name.name in scope.model.pieces or name.name in scope.model.variables:
        hint = f"declare it as a parameter: {name.name}: size"
        findings.error("AIM0201", f"`{name.name}` is a value, not an index set", name.span, hint)
    else:
        findings.error("AIM0104", f"unknown index set `{name.name}`", name.span, did_you_mean(name.name, scope.model.sets))
    return None


def set_of(expression: tree.Expression, scope: Scope) -> IndexSet | None:
    """The set that a name or braces stand for."""
    if isinstance(expression, tree.Name):
        return named_set(expression, scope)
    if isinstance(expression, tree.SetLiteral):
        return set_from_literal(expression, scope.findings)
    scope.findings.error("AIM0201", "an index set is a name, a range or written out in braces", expression.span)
    return None


# ------------------------------------------------------------------ types and axes
def axis_of_size(size: TypedExpression) -> Axis | None:
    """The axis with that many members: `K`, `T + 1`, `4`; None where it is no whole number of members."""
    match size:
        case SizeOf(set=index_set):
            return Axis(index_set)
        case Constant(value=value) if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return Axis(size=value)
        case Constant():
            return None
    affine = affine_of(size)
    if affine is not None and not affine.terms:
        return Axis(size=affine.constant) if affine.constant > 0 else None
    if affine is not None and len(affine.terms) == 1 and affine.constant >= 0:
        (symbol, factor), index_set = affine.terms[0], _set_inside(size)
        if factor == 1 and index_set is not None and symbol == f"size {index_set.key}":
            return Axis(index_set, extra=affine.constant)
    return Axis() if size.type.kind != "member" and not size.type.axes else None


def _set_inside(size: TypedExpression) -> IndexSet | None:
    if isinstance(size, SizeOf):
        return size.set
    return next((found for argument in getattr(size, "arguments", ()) if (found := _set_inside(argument))), None)


def type_of(written: tree.TypeExpression, scope: Scope, elaborate: Elaborate) -> ValueType | None:
    """The value type that a type expression means; `elaborate` reads the sizes among its axes."""
    axes = [_type_axis(axis, scope, elaborate) for axis in written.axes]
    if any(axis is None for axis in axes):
        return None
    known = tuple(axis for axis in axes if axis is not None)
    if isinstance(written.base, tree.SetLiteral) or written.base.name not in (*NUMBER_TYPES, SIZE_TYPE):
        if isinstance(written.base, tree.Name) and _is_misspelt_type(written.base, scope):
            return None
        members = set_of(written.base, scope)
        return members and ValueType("member", known, members)
    kind = written.base.name
    if kind == SIZE_TYPE:
        scope.findings.error(
            "AIM0216", "only a parameter of a model is a size", written.span, f"types are {backticked(NUMBER_TYPES)} and index sets"
        )
        return None
    if kind == "simplex" and not known:
        scope.findings.error("AIM0216", "a simplex needs its axis", written.span, "write simplex[K]")
        return None
    return ValueType(kind, known)  # type: ignore[arg-type]


def _is_misspelt_type(name: tree.Name, scope: Scope) -> bool:
    """A set that nothing else names, in lower case and all but a word for a type: `input x: reel[N]`."""
    if name.name in scope.model.sizes_and_loops or name.name in scope.model.file.types or not name.name.islower():
        return False
    near = get_close_matches(name.name, NUMBER_TYPES, n=1, cutoff=0.75)
    if near:
        scope.findings.error("AIM0216", f"unknown type `{name.name}`", name.span, f"did you mean `{near[0]}`?")
    return bool(near)


def _type_axis(axis: tree.Expression, scope: Scope, elaborate: Elaborate) -> Axis | None:
    if isinstance(axis, tree.SetLiteral):
        literal = set_from_literal(axis, scope.findings)
        return literal and Axis(literal)
    if isinstance(axis, tree.Name):
        index_set = named_set(axis, scope)
        return index_set and Axis(index_set)
    size = elaborate(axis, scope)
    found = size and axis_of_size(size)
    if size is not None and found is None:
        scope.findings.error("AIM0216", "an axis is an index set or a whole number above 0", axis.span)
    return found


# ------------------------------------------------------------------ loops
def loop_of(binder: tree.Binder, scope: Scope, elaborate: Elaborate) -> Loop | None:
    """The loop of `n in N`, `t in 1..T`, `s in {left, right}`; its index gets a name of its own."""
    if isinstance(binder.set, tree.Range):
        return _range_loop(binder, binder.set, scope, elaborate)
    index_set = set_of(binder.set, scope)
    return index_set and Loop(scope.fresh_index(binder.name), index_set, span=binder.span)


def _range_loop(binder: tree.Binder, written: tree.Range, scope: Scope, elaborate: Elaborate) -> Loop | None:
    low, high = elaborate(written.low, scope), elaborate(written.high, scope)
    if low is None or high is None:
        return None
    low_place, high_place = affine_of(low), affine_of(high)
    if low_place is None or high_place is None or low.type.axes or high.type.axes:
        hint = "bounds are whole numbers, sizes, indices, and their sums"
        scope.findings.error("AIM0202", f"the range {written.span.text} has no bounds in whole numbers", written.span, hint)
        return None
    length = high_place - low_place
    if not length.terms and length.constant <= 0:
        scope.findings.error("AIM0202", f"the range {written.span.text} is empty", written.span, "the upper bound is not a member itself")
        return None
    if not low_place.terms and low_place.constant < 0:
        scope.findings.error("AIM0205", "indices start at 0", written.low.span)
        return None
    index_set = _set_of_bounds(low, high, scope)
    if index_set is None:
        scope.findings.error(
            "AIM0202",
            f"nothing says which set the range {written.span.text} runs over",
            written.span,
            f"declare its end as a size: `{written.high.name if isinstance(written.high, tree.Name) else 'K'}: size`",
        )
        return None
    whole = high_place.constant == 0 and isinstance(high, SizeOf) and high.set.low == 0
    constant_end = not high_place.terms and index_set.size == high_place.constant
    start = None if not low_place.terms and low_place.constant == index_set.low else low
    return Loop(scope.fresh_index(binder.name), index_set, start, None if whole or constant_end else high, span=binder.span)


def _set_of_bounds(low: TypedExpression, high: TypedExpression, scope: Scope) -> IndexSet | None:
    """The set whose size stands in the bounds, or over which an index in them runs; bare numbers make an anonymous one."""
    place = affine_of(high)
    if place is not None and not place.terms:
        return anonymous_set(place.constant)
    for bound in (high, low):
        found = _set_inside(bound)
        if found is not None:
            return found
        affine = affine_of(bound)
        for name in affine.index_names if affine else ():
            return next(active.loop.set for active in scope.loops if active.loop.name == name)
    return None
