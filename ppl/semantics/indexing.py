"""Indices: each must be a member of its axis's set, or a whole number that stays within it."""

from __future__ import annotations

from ppl.semantics.affine import Affine, affine_of, extreme, number, size_of, surely_at_least, surely_at_most
from ppl.semantics.calls import is_whole
from ppl.semantics.scope import Elaborate, Scope
from ppl.semantics.typed import Axis, Constant, Indexed, IndexReference, IndexSet, Member, Slice, TypedExpression, ValueType
from ppl.semantics.types import compatible_sets, is_anonymous, is_numbered, name_axis, name_shape
from ppl.source.text import Span
from ppl.syntax import tree


def indexed(base: TypedExpression, written: tree.Index, scope: Scope, elaborate: Elaborate) -> TypedExpression | None:
    """`base[i, j]`: fewer indices than axes keep the rest, a slice keeps its own."""
    axes = base.type.axes
    if len(written.indices) > len(axes):
        what = f"{len(axes)} ax{'i' if len(axes) == 1 else 'e'}s ({name_shape(axes)})" if axes else "no axes"
        count = "is 1 index" if len(written.indices) == 1 else f"are {len(written.indices)} indices"
        scope.findings.error("AIM0206", f"`{written.base.span.text}` has {what}, here {count}", written.span)
        return None
    indices: list[TypedExpression | None] = []
    kept: list[Axis] = []
    for index, axis in zip(written.indices, axes, strict=False):
        if isinstance(index, tree.Range):
            part = _slice(index, axis, scope, elaborate)
            kept.extend(part.type.axes if part else ())
        else:
            value = elaborate(index, scope, axis.set)
            part = _as_place(value, axis) if value is not None and index_fits(value, axis, written.base.span, scope) else None
        indices.append(part)
    known = tuple(index for index in indices if index is not None)
    if len(known) < len(indices):
        return None
    remaining = (*kept, *axes[len(indices) :])
    found = ValueType(_kind_of_part(base.type, len(indices)), remaining, base.type.member_of)
    return Indexed(base, known, span=written.span, type=found)


def _as_place(index: TypedExpression, axis: Axis) -> TypedExpression:
    """A number that names a member of a set that does not begin at 0, as that member."""
    if axis.set is not None and axis.set.low and isinstance(index, Constant):
        return Member(axis.set, int(index.value) - axis.set.low, span=index.span, type=ValueType("member", (), axis.set))
    return index


def _kind_of_part(whole: ValueType, indices: int):
    """A row of a matrix is not positive definite, an entry of a simplex is a probability."""
    left = len(whole.axes) - indices
    if whole.kind == "simplex" and left == 0:
        return "unit"
    return "real" if whole.kind == "posdef" and left < 2 else whole.kind


def _slice(written: tree.Range, axis: Axis, scope: Scope, elaborate: Elaborate) -> Slice | None:
    low, high = elaborate(written.low, scope, axis.set), elaborate(written.high, scope, axis.set)
    if low is None or high is None:
        return None
    for bound in (low, high):
        if not is_whole(bound, scope) or bound.type.axes:
            scope.findings.error("AIM0204", "the bounds of a slice are whole numbers", bound.span)
            return None
    first, last = affine_of(low), affine_of(high)
    if first is not None and not _within(first, axis, scope, low.span, written.span.text):
        return None
    if last is not None and not _within(last.plus(-1), axis, scope, high.span, written.span.text):
        return None
    length = None if first is None or last is None else last - first
    size = length.constant if length is not None and not length.terms else None
    return Slice(low, high, span=written.span, type=ValueType("int", (Axis(size=size),)))


def index_fits(index: TypedExpression, axis: Axis, base: Span, scope: Scope) -> bool:
    if index.type.axes:
        message = f"an index is a single member, this is {name_shape(index.type.axes)}"
        scope.findings.error("AIM0204", message, index.span, "index it too, in a plate")
        return False
    if index.type.kind == "member":
        return _member_fits(index, axis, base, scope)
    return _number_fits(index, axis, base, scope)


def _member_fits(index: TypedExpression, axis: Axis, base: Span, scope: Scope) -> bool:
    members = index.type.member_of
    assert members is not None
    if axis.set is None:
        fits = axis.size is None or members.size is None or members.size == axis.size
    else:
        fits = compatible_sets(members, axis.set)
    is_range = isinstance(index, IndexReference) and is_anonymous(members) and (axis.set is None or is_numbered(axis.set))
    if fits or is_range:
        return not isinstance(index, IndexReference) or _index_within(index, axis, scope)
    message = f"`{index.span.text}` is a member of `{members.key}`, but this axis of `{base.text}` is over `{name_axis(axis)}`"
    scope.findings.error("AIM0203", message, index.span)
    return False


def _number_fits(index: TypedExpression, axis: Axis, base: Span, scope: Scope) -> bool:
    if not is_whole(index, scope):
        scope.findings.error("AIM0204", f"an index is a member or a whole number, this is {index.type.kind}", index.span)
        return False
    if index.type.kind == "bool" and not isinstance(index, Constant):
        return _of_two(axis.set, axis, index, base, scope)
    if axis.set is not None and not is_numbered(axis.set):
        message = f"`{base.text}` is indexed by members of `{axis.set.key}`, not by numbers"
        scope.findings.error("AIM0204", message, index.span, f"its members are {', '.join(axis.set.members or ())}")
        return False
    return _index_within(index, axis, scope)


def _of_two(members: IndexSet | None, axis: Axis, index: TypedExpression, base: Span, scope: Scope) -> bool:
    """A 0/1 value is a member of any set of two."""
    size = axis.size if members is None else members.size
    if size in (None, 2):
        return True
    message = f"`{index.span.text}` is 0 or 1, but this axis of `{base.text}` has {size} members"
    scope.findings.error("AIM0203", message, index.span)
    return False


def _index_within(index: TypedExpression, axis: Axis, scope: Scope) -> bool:
    place = affine_of(index)
    return place is None or _within(place, axis, scope, index.span, index.span.text)


def _within(place: Affine, axis: Axis, scope: Scope, span: Span, shown: str) -> bool:
    """Whether the number stays inside the axis, as far as that can be known before the data."""
    first = number(axis.set.low if axis.set else 0)
    least = extreme(place, scope.bounds, largest=False)
    if surely_at_most(least - first, -1):
        at = f"`{shown}`" + (f" reaches {least.constant}" if not least.terms and place.terms else "")
        last = f"the last is [{axis.set.key} - 1]" if axis.set is not None and not axis.extra and not is_anonymous(axis.set) else ""
        hint = "start the range later" if place.index_names else last
        scope.findings.error("AIM0205", f"{at}: indices start at {first.constant}", span, hint)
        return False
    length = _length(axis)
    if length is not None and surely_at_least(extreme(place, scope.bounds, largest=True) - first - length, 0):
        scope.findings.error("AIM0205", f"`{shown}` reaches beyond the end: this axis has {name_length(axis)} members", span)
        return False
    return True


def _length(axis: Axis) -> Affine | None:
    if axis.set is not None:
        return size_of(axis.set).plus(axis.extra)
    return None if axis.size is None else number(axis.size)


def name_length(axis: Axis) -> str:
    if axis.set is None:
        return str(axis.size)
    return str(axis.set.size + axis.extra) if axis.set.size is not None else name_axis(axis)
