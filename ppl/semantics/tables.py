"""Written-out vectors, and tables over an index set with zeros filled in."""

from __future__ import annotations

from ppl.semantics.scope import Elaborate, Scope
from ppl.semantics.typed import Axis, Constant, IndexSet, Stack, TypedExpression, ValueType
from ppl.semantics.types import anonymous_set, is_numbered, joined, name_type
from ppl.source.diagnostics import did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

MOST_IN_A_TABLE = 100_000


def stack_of_list(written: tree.ListLiteral, items: list[TypedExpression | None], scope: Scope) -> TypedExpression | None:
    """`[1 - p, p]`, `[[1, 0], [0, 1]]`: the items have one shape."""
    known = tuple(item for item in items if item is not None)
    if len(known) < len(items):
        return None
    if not known:
        scope.findings.error("AIM0209", "a written-out vector needs at least one item", written.span)
        return None
    found = known[0].type
    for item in known[1:]:
        together = joined(found, item.type)
        if together is None:
            message = (
                f"the items of a written-out vector have one shape: this is {name_type(item.type)}, the first is {name_type(known[0].type)}"
            )
            scope.findings.error("AIM0209", message, item.span)
            return None
        found = together
    kind = "positive" if all(_positive(item) for item in known) else found.kind
    return Stack(known, span=written.span, type=ValueType(kind, (Axis(size=len(known)), *found.axes), found.member_of))


def _positive(item: TypedExpression) -> bool:
    return item.value > 0 if isinstance(item, Constant) else item.type.kind in ("positive",)


def table(written: tree.TableLiteral, scope: Scope, expected: IndexSet | None, elaborate: Elaborate) -> TypedExpression | None:
    """`{reward: 0.98, shock: 0.02}` as a vector over the set; members left out are 0."""
    values = [elaborate(entry.value, scope) for entry in written.entries]
    members = expected or set_of_keys(written, scope)
    if members is None:
        return None
    if members.size is None:
        hint = "give the set its members or its size in the file"
        scope.findings.error("AIM0217", f"a table needs the members of `{members.key}`, and its size is not known here", written.span, hint)
        return None
    if members.size > MOST_IN_A_TABLE:
        hint = "a vector of so many probabilities is an input"
        scope.findings.error("AIM0217", f"a table over `{members.key}` has {members.size} entries: too many", written.span, hint)
        return None
    places = [place_of_key(entry.key, members, scope) for entry in written.entries]
    filled: dict[int, TypedExpression] = {}
    failed = None in values or None in places
    for entry, place, value in zip(written.entries, places, values, strict=True):
        if place in filled:
            scope.findings.error("AIM0315", f"`{entry.key.span.text}` stands twice in this table", entry.key.span, "remove one of the two")
            failed = True
        elif place is not None and value is not None:
            failed |= not _is_number(value, scope)
            filled[place] = value
    if failed:
        return None
    zero = Constant(0, span=written.span, type=ValueType("int"))
    items = tuple(filled.get(place, zero) for place in range(members.size))
    return Stack(items, span=written.span, type=ValueType("real", (Axis(members),)))


def _is_number(value: TypedExpression, scope: Scope) -> bool:
    if not value.type.axes and value.type.kind != "member":
        return True
    scope.findings.error("AIM0209", f"a table holds numbers, this is {name_type(value.type)}", value.span)
    return False


def set_of_keys(written: tree.TableLiteral, scope: Scope) -> IndexSet | None:
    """The only set that has all the keys as members; whole numbers make a set of their own."""
    keys = [entry.key for entry in written.entries]
    if keys and all(isinstance(key, tree.Number) and isinstance(key.value, int) for key in keys):
        return anonymous_set(1 + max(int(key.value) for key in keys if isinstance(key, tree.Number)))
    names = [key.name for key in keys if isinstance(key, tree.Name)]
    sets = {s.key: s for name in names for s in scope.sets_with(name)}
    fitting = [s for s in sets.values() if all(name in (s.members or ()) for name in names)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        named = " and of ".join(f"`{s.key}`" for s in fitting)
        scope.findings.error("AIM0111", f"these are members of {named}, and nothing here says which are meant", written.span)
        return None
    best = max(sets.values(), key=lambda s: sum(name in (s.members or ()) for name in names), default=None)
    for key in keys:
        if best is None or not isinstance(key, tree.Name) or key.name not in (best.members or ()):
            unknown_member(key, best, scope)
    return None


def place_of_key(key: tree.Expression, members: IndexSet, scope: Scope) -> int | None:
    """The ordinal of a member as written, or an error that lists the members."""
    written = key.name if isinstance(key, tree.Name) else key.text if isinstance(key, tree.Number) else ""
    if written in (members.members or ()):
        return (members.members or ()).index(written)
    if isinstance(key, tree.Number) and isinstance(key.value, int) and is_numbered(members):
        ordinal = key.value - members.low
        if ordinal >= 0 and (members.size is None or ordinal < members.size):
            return ordinal
    unknown_member(key, members, scope)
    return None


def unknown_member(key: tree.Expression, members: IndexSet | None, scope: Scope) -> None:
    shown = key.span.text
    if members is None:
        every = list(scope.model.members)
        scope.findings.error("AIM0110", f"no index set has a member `{shown}`", key.span, did_you_mean(shown, every))
        return
    names = members.members or ()
    listed = f"its members are {', '.join(names)}" if names else f"its members are the numbers from {members.low}"
    hint = did_you_mean(shown, names) or listed
    scope.findings.error("AIM0110", f"`{members.key}` has no member `{shown}`", key.span, hint)


def certain(member_ordinal: int, members: IndexSet, span: Span) -> Stack:
    """The table of a member that is certain."""
    size = members.size or member_ordinal + 1
    items = tuple(Constant(int(place == member_ordinal), span=span, type=ValueType("int")) for place in range(size))
    return Stack(items, span=span, type=ValueType("simplex", (Axis(members),)))
