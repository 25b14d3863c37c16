"""Given values by name, as regular arrays: what every source of data comes to before it meets a model.

An array here holds numbers (`nan` where one is missing) or objects: texts, which name members, numbers, and None where an
entry is missing. An array without axes that holds None says that nothing is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppl.source.diagnostics import Findings


@dataclass(frozen=True)
class Dataset:
    """Values with the name that messages show (`data.json`); `strict` where a name that the model lacks is an error.

    `dims` names the axes of those arrays whose source does so; they are then put in the order of the model's. `lines` has the
    line of the file for each row of a table that was read from text.
    """

    name: str
    values: dict[str, np.ndarray] = field(repr=False)
    strict: bool = True
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    lines: tuple[int, ...] = field(default=(), repr=False)


class Irregular(ValueError):
    """The value is no array; the message says where: `x[1] has 2 entries, the others have 3`."""


def from_mapping(values: Mapping[str, Any], name: str, *, strict: bool = True) -> Dataset:
    """The values as arrays. Raises `AimError` with every value that is none."""
    findings, arrays = Findings(), {}
    for key, value in values.items():
        try:
            arrays[str(key)] = regular_array(value, str(key))
        except Irregular as problem:
            findings.error("AIM0602", str(problem), None, "give a number, or lists of equal length inside each other", where=name)
    findings.raise_errors()
    return Dataset(name, arrays, strict)


def regular_array(value: Any, name: str) -> np.ndarray:
    """Numbers as they are, everything else as objects; raises `Irregular`."""
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        array = np.asarray(value)
    except ValueError:
        return _from_nested(value, name)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "U" and isinstance(value, np.ndarray):
        return array.astype(object)
    array = np.asarray(value, dtype=object)
    kinds = set(map(type, array.flat))
    if kinds & {list, tuple, np.ndarray}:
        return _from_nested(value, name)
    return _tidy(array, kinds, name)


def _tidy(array: np.ndarray, kinds: set[type], name: str) -> np.ndarray:
    """Numbers where all entries are numbers or missing; texts stay, and with them all that stands beside them."""
    texts = any(issubclass(kind, str) for kind in kinds)
    absent = {kind for kind in kinds if kind.__name__ in ("NAType", "NaTType")}
    if absent or (texts and float in kinds):
        missing = (type(entry) in absent or (isinstance(entry, float) and math.isnan(entry)) for entry in array.flat)
        array = np.where(np.fromiter(missing, bool, array.size).reshape(array.shape), np.array(None), array)
    unknown = [k for k in kinds - absent if not issubclass(k, str | int | float | np.number | np.bool_ | type(None))]
    if unknown:
        place = next(i for i, entry in enumerate(array.flat) if type(entry) is unknown[0])
        what = {"dict": "an object"}.get(unknown[0].__name__, f"of type {unknown[0].__name__}")
        raise Irregular(f"{name}{_index(np.unravel_index(place, array.shape))} is {what}, which is neither a number nor a member's name")
    nothing = array.ndim == 0 and array.item() is None
    return array if texts or nothing else array.astype(np.float64)


def _from_nested(value: Any, name: str) -> np.ndarray:
    """Lists inside lists, in which a whole list may be missing (null)."""
    array = np.full(_lengths(value), None, dtype=object)
    _fill(array, value, (), name)
    return regular_array(array, name)


def _lengths(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple | np.ndarray):
        return ()
    return (len(value), *max((_lengths(v) for v in value if v is not None), key=len, default=()))


def _fill(target: np.ndarray, value: Any, place: tuple[int, ...], name: str) -> None:
    for i, entry in enumerate(value):
        here = (*place, i)
        if entry is None:
            continue
        if not isinstance(entry, list | tuple | np.ndarray):
            if target.ndim > 1:
                raise Irregular(f"{name}{_index(here)} is a single value, but other places at that depth hold lists")
            target[i] = entry
        elif len(entry) != target.shape[1]:
            length = "1 entry" if len(entry) == 1 else f"{len(entry)} entries"
            raise Irregular(f"{name}{_index(here)} has {length}, the others have {target.shape[1]}")
        else:
            _fill(target[i], entry, here, name)


def _index(place: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(str, place))}]" if place else ""
