"""A given value as the array of its variable: numbers as float64, members as ordinals, of the shape that the sizes say.

What is missing is `nan`, or -1 where a member is missing: whoever forgets the mask of what is observed sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ppl.graph.given import Given
from ppl.semantics.typed import Axis, IndexSet, ValueType, Variable
from ppl.semantics.types import name_type
from ppl.source.diagnostics import Findings, did_you_mean

Report = Callable[[str, str, str], None]  # code, message, hint


def assemble(items: Sequence[Given], sizes: Mapping[str, int], findings: Findings) -> np.ndarray | None:
    """The value of one variable from all that was given for it, a whole first and entries over it; None where it is wrong."""
    variable = items[0].variable
    parts = [convert(item, sizes, findings) for item in items]
    if any(part is None for part in parts):
        return None
    if not items[0].indices:
        array = parts[0] if len(parts) == 1 else np.array(parts[0])
        parts, items = parts[1:], items[1:]
    else:
        shape = [length for length in lengths(variable.type.axes, sizes) if length is not None]
        if len(shape) < len(variable.type.axes):
            return None  # that a size is not known is said where sizes are settled
        array = np.full(shape, -1) if variable.type.kind == "member" else np.full(shape, np.nan)
    for item, part in zip(items, parts, strict=True):
        place = _entry(item, sizes, findings)
        if place is None:
            return None
        array[place] = part  # type: ignore[index]
    return array


def convert(item: Given, sizes: Mapping[str, int], findings: Findings) -> np.ndarray | None:
    """One given value in the shape and the representation of its variable, or None with what is wrong."""

    def report(code: str, message: str, hint: str = "") -> None:
        findings.error(code, message, None, hint, where=item.where)

    value = _shaped(item, sizes, report)
    if value is None:
        return None
    if item.variable.type.kind == "member":
        return _ordinals(item, value, sizes, report)
    if value.dtype == object:
        return _refuse_text(item, value, report)
    return np.ascontiguousarray(value, dtype=np.float64).reshape(value.shape)


def lengths(axes: Sequence[Axis], sizes: Mapping[str, int]) -> tuple[int | None, ...]:
    """The number of members along each axis; None along an anonymous one that may have any."""
    known = ((axis.size if axis.set is None else sizes.get(axis.set.key)) for axis in axes)
    return tuple(None if size is None else size + axis.extra for size, axis in zip(known, axes, strict=True))


def missing(value: np.ndarray) -> np.ndarray:
    """Which entries of a converted value are missing."""
    return np.isnan(value) if value.dtype.kind == "f" else value < 0


def place_text(variable: Variable, place: Sequence[int], indices: Sequence[str] = ()) -> str:
    """`x[3]`, as it would be written in the file: members by their names or numbers."""
    axes = variable.type.axes[len(indices) :]
    words = [*indices, *(member_text(axis.set, int(i)) for axis, i in zip(axes, place, strict=False))]
    return f"{variable.name}[{', '.join(words)}]" if words else variable.name


def member_text(index_set: IndexSet | None, ordinal: int) -> str:
    if index_set is not None and index_set.members is not None and 0 <= ordinal < len(index_set.members):
        return index_set.members[ordinal]
    return str(ordinal + (index_set.low if index_set is not None else 0))


def number_text(value: float) -> str:
    return "infinite" if np.isinf(value) else f"{value:.10g}"


def first(wrong: np.ndarray) -> tuple[int, ...]:
    """The place of the first true entry."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


# ------------------------------------------------------------------ shapes
def _shaped(item: Given, sizes: Mapping[str, int], report: Report) -> np.ndarray | None:
    """The value where its shape is that of the variable; nothing broadcasts."""
    axes = item.variable.type.axes[len(item.indices) :]
    wanted, value = lengths(axes, sizes), item.value
    if value.size == 0 and 0 < value.ndim < len(wanted):
        value = value.reshape((*value.shape, *(length or 0 for length in wanted[value.ndim :])))
    if value.ndim == len(wanted) and all(n is None or n == m for n, m in zip(wanted, value.shape, strict=True)):
        return value
    if value.ndim == len(wanted) and all(n is None or n == m or axis.set for n, m, axis in zip(wanted, value.shape, axes, strict=True)):
        return None  # two sizes of one set: both places are shown where sizes are settled
    type_here = name_type(ValueType(item.variable.type.kind, axes, item.variable.type.member_of))
    known = ", a single value" if not wanted else f", of shape {_shape_text(wanted)}" if None not in wanted else ""
    expected = f"{item.written} is {type_here}{known}"
    if value.ndim == 0:
        report("AIM0611", f"{item.written} was given as a single value, but {expected}", "give a list; nothing is repeated silently")
    else:
        hint = "give a single value" if not wanted else ""
        report("AIM0611", f"{item.written} was given with the shape {_shape_text(value.shape)}, but {expected}", hint)
    return None


def _shape_text(shape: Sequence[int | None]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _entry(item: Given, sizes: Mapping[str, int], findings: Findings) -> tuple[int, ...] | None:
    """The ordinals that the indices of `y[0]` name."""
    place = []
    for word, axis in zip(item.indices, item.variable.type.axes, strict=False):
        index_set, length = axis.set, lengths((axis,), sizes)[0] or 0
        ordinal = _ordinal_of(word, index_set)
        if ordinal is None or not 0 <= ordinal < length:
            message = f"{item.written} has no place in {item.variable.name}: `{word}` is not {members_text(index_set, length)}"
            findings.error("AIM0614", message, None, did_you_mean(word, (index_set.members if index_set else None) or ()), where=item.where)
            return None
        place.append(ordinal)
    return tuple(place)


def _ordinal_of(word: str, index_set: IndexSet | None) -> int | None:
    if index_set is not None and index_set.members is not None and word in index_set.members:
        return index_set.members.index(word)
    return int(word) - (index_set.low if index_set is not None else 0) if word.lstrip("-").isdigit() else None


# ------------------------------------------------------------------ numbers and members
def _refuse_text(item: Given, value: np.ndarray, report: Report) -> None:
    """The first text; in a column of a text table, where the numbers beside a text are texts too, the first that is no number."""
    texts = np.vectorize(lambda entry: isinstance(entry, str), otypes=[bool])(value)
    strange = texts & ~np.vectorize(_is_numeral, otypes=[bool])(value) if item.lines else texts
    place = first(strange)
    word, row = value[place], f" in row {item.lines[place[0]]}" if item.lines else ""
    if item.lines:
        hint = "leave the cell empty where the value is missing"
    else:
        hint = "a missing value is null, or an empty cell" if word.lower() in ("na", "n/a", "nan", "none", "null", "?", ".", "-") else ""
    report("AIM0613", f"{place_text(item.variable, place, item.indices)}{row} is the text `{word}`, but a number is expected", hint)


def _is_numeral(entry: object) -> bool:
    try:
        float(str(entry))
    except ValueError:
        return False
    return True


def _ordinals(item: Given, value: np.ndarray, sizes: Mapping[str, int], report: Report) -> np.ndarray | None:
    """Members by name or number as ordinals, -1 where missing."""
    index_set = item.variable.type.member_of
    size = None if index_set is None else sizes.get(index_set.key)
    ordinals, wrong = (_from_texts if value.dtype == object else _from_numbers)(value, index_set, size)
    if not wrong.any():
        return ordinals
    place = first(wrong)
    met, many = value[place], int(wrong.sum())
    shown = f"`{met}`" if isinstance(met, str) else number_text(met)
    more = f" (and {many - 1} more)" if many > 1 else ""
    hint = did_you_mean(met, (index_set.members if index_set else None) or ()) if isinstance(met, str) else ""
    report(
        "AIM0614", f"{place_text(item.variable, place, item.indices)} is {shown}, which is not {members_text(index_set, size)}{more}", hint
    )
    return None


def members_text(index_set: IndexSet | None, size: int | None) -> str:
    """`a member of Place: centre, left or right`, `a member of J: 0 to 5`."""
    if index_set is None or size is None:
        return "a whole number from 0"
    if index_set.members is not None:
        named = f" of {index_set.key}" if not index_set.key.startswith("{") else ""
        return f"a member{named}: {' or '.join(filter(None, [', '.join(index_set.members[:-1]), index_set.members[-1]]))}"
    span = f"{index_set.low} to {index_set.low + size - 1}" if size > 1 else f"{index_set.low} alone"
    return f"a member of {index_set.key}: {span}" if size else f"a member of {index_set.key}, which is empty"


def _from_numbers(value: np.ndarray, index_set: IndexSet | None, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    low = index_set.low if index_set is not None else 0
    if index_set is not None and index_set.members is not None and all(word.isdigit() for word in index_set.members):
        return _from_texts(np.vectorize(_numeral, otypes=[object])(value), index_set, size)
    absent = np.isnan(value) if value.dtype.kind == "f" else None
    if absent is not None and absent.any():
        value = np.where(absent, low - 1, value)
    finite = np.isfinite(value) if value.dtype.kind == "f" else True
    ordinals = np.asarray(np.where(finite, value, low - 1).astype(np.int64) - low)
    wrong = np.asarray(ordinals + low != value) | (ordinals < 0)
    if size is not None:
        wrong |= ordinals >= size
    return ordinals, wrong if absent is None else wrong & ~absent


def _numeral(number: float) -> str | None:
    return None if np.isnan(number) else f"{number:.10g}"


def _from_texts(value: np.ndarray, index_set: IndexSet | None, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """By name; a number among the names counts from the first member."""
    names: dict[object, int] = {name: i for i, name in enumerate(index_set.members or ())} if index_set is not None else {}
    low = index_set.low if index_set is not None else 0
    numbered = range(0 if names else size or 0)  # as traces and JSON write them
    table: dict[object, int] = {None: -1} | {low + i: i for i in range(size or 0)} | {str(low + i): i for i in numbered} | names
    found = np.array([table.get(entry, -2) for entry in value.flat], dtype=np.int64).reshape(value.shape)
    return found, found == -2
