"""Axes and value types: when they are the same, what two of them have in common, and how they are named to the user."""

from __future__ import annotations

from ppl.semantics.typed import Axis, IndexSet, Kind, ValueType

NUMBER = ValueType("real")


def is_anonymous(index_set: IndexSet) -> bool:
    """Whether the set is a bare range of numbers, which fits any set of its size."""
    return index_set.members is None and ".." in index_set.key


def is_numbered(index_set: IndexSet) -> bool:
    return index_set.members is None


def anonymous_set(size: int | None, low: int = 0) -> IndexSet:
    return IndexSet(key=f"{low}..{'?' if size is None else low + size}", size=size, low=low)


def compatible_sets(a: IndexSet, b: IndexSet) -> bool:
    """Whether a member of one may stand where one of the other is expected."""
    if a.key == b.key:
        return True
    if not (is_anonymous(a) or is_anonymous(b)):
        return False
    return a.size is None or b.size is None or a.size == b.size


def axis_size(axis: Axis) -> int | None:
    if axis.set is None:
        return axis.size
    return None if axis.set.size is None else axis.set.size + axis.extra


def same_axis(a: Axis, b: Axis) -> bool:
    if a.set is not None and b.set is not None and a.set.key == b.set.key:
        return a.extra == b.extra
    if a.set is not None and b.set is not None and not compatible_sets(a.set, b.set):
        return False
    left, right = axis_size(a), axis_size(b)
    return left is None or right is None or left == right


def merged_axis(a: Axis, b: Axis) -> Axis:
    """The one of two fitting axes that says more: a named set before a range, a range before an anonymous length."""
    return min(a, b, key=_vagueness)


def _vagueness(axis: Axis) -> int:
    if axis.set is None:
        return 2 if axis.size is not None else 3
    return 1 if is_anonymous(axis.set) else 0


def same_axes(a: tuple[Axis, ...], b: tuple[Axis, ...]) -> bool:
    return len(a) == len(b) and all(map(same_axis, a, b))


def merged_axes(a: tuple[Axis, ...], b: tuple[Axis, ...]) -> tuple[Axis, ...]:
    return tuple(map(merged_axis, a, b))


def joined(a: ValueType, b: ValueType) -> ValueType | None:
    """The type of a value that is one or the other; None where they have nothing in common."""
    if not same_axes(a.axes, b.axes):
        return None
    axes = merged_axes(a.axes, b.axes)
    if a.kind == "member" and b.kind == "member":
        return _joined_members(a, b, axes)
    if a.kind == "member" or b.kind == "member":
        member, other = (a, b) if a.kind == "member" else (b, a)
        return _member_or_number(member, other, axes)
    return ValueType(joined_kind(a.kind, b.kind), axes)


def _joined_members(a: ValueType, b: ValueType, axes: tuple[Axis, ...]) -> ValueType | None:
    if a.member_of is None or b.member_of is None or not compatible_sets(a.member_of, b.member_of):
        return None
    return ValueType("member", axes, b.member_of if is_anonymous(a.member_of) else a.member_of)


def _member_or_number(member: ValueType, other: ValueType, axes: tuple[Axis, ...]) -> ValueType | None:
    assert member.member_of is not None
    if other.kind == "bool" and member.member_of.size in (None, 2):
        return ValueType("member", axes, member.member_of)
    return ValueType(joined_kind("int", other.kind), axes) if is_numbered(member.member_of) else None


_WIDER: dict[frozenset[Kind], Kind] = {
    frozenset({"bool", "int"}): "int",
    frozenset({"bool", "unit"}): "unit",
    frozenset({"unit", "positive"}): "positive",
    frozenset({"simplex", "positive"}): "positive",
    frozenset({"simplex", "unit"}): "unit",
}


def joined_kind(a: Kind, b: Kind) -> Kind:
    return a if a == b else _WIDER.get(frozenset({a, b}), "real")


def name_axis(axis: Axis) -> str:
    if axis.set is None:
        return "?" if axis.size is None else str(axis.size)
    more = f" {'+' if axis.extra > 0 else '-'} {abs(axis.extra)}" if axis.extra else ""
    return axis.set.key + more


def name_type(value: ValueType) -> str:
    """The type as the user would write it: `real[N, D]`, `Place[T]`."""
    kind = value.member_of.key if value.kind == "member" and value.member_of else value.kind
    axes = f"[{', '.join(map(name_axis, value.axes))}]" if value.axes else ""
    return kind + axes


def name_shape(axes: tuple[Axis, ...]) -> str:
    return f"[{', '.join(map(name_axis, axes))}]" if axes else "a number"
