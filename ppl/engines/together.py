"""Old and new data as one: what a set that grows holds is put end to end, everything else stays.

The posterior of all data together is what an update means; where no statement can say the old posterior, it is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ppl.engines.rebinding import arrays_of, plate_keys, written
from ppl.graph.binding import bind
from ppl.graph.bound import BoundModel
from ppl.graph.given import size_names
from ppl.graph.sizes import root
from ppl.results.questions import NewData
from ppl.semantics.typed import Variable
from ppl.source.diagnostics import AimError, Diagnostic


def together(old: BoundModel, new: NewData, shown: Mapping[str, int], grown: Collection[str]) -> BoundModel:
    """The model with all data; `grown` are the sets with new members, `shown` the sizes that the new data have.

    Raises AimError where data contradict each other.
    """
    model = old.model
    arrays = arrays_of(new)
    sizes = {key: size + shown.get(key, size) if key in grown else max(size, shown.get(key, 0)) for key, size in old.sizes.items()}
    settings: dict[str, Any] = {}
    for key, index_set in model.sets.items():
        name = root(index_set)[0]
        if index_set.size is None and name in size_names(model) and key in sizes:
            settings[name] = sizes[key] + (index_set.low if index_set.size_name else 0)
    for name, variable in model.variables.items():
        before, after = old.values.get(name), arrays.get(name)
        grows = set(grown) & set(plate_keys(variable, whole=True))
        if after is None and (before is None or (grows and variable.default is not None)):
            continue
        parts = [] if before is None else [(written(variable, before), (0,) * before.ndim)]
        if after is not None:
            starts = [old.sizes[a.set.key] if a.set is not None and a.set.key in grows else 0 for a in variable.type.axes]
            axis, count = model.begun.get(name, (0, 0))
            parts.append((after, tuple(start + count if k == axis else start for k, start in enumerate(starts))))
        settings[name] = joined(variable, parts)
    return bind(model, [], settings=settings)


def joined(variable: Variable, parts: list[tuple[np.ndarray, tuple[int, ...]]]) -> np.ndarray:
    """The arrays at their places in one; missing where none has a value."""
    if len({part.ndim for part, _ in parts}) > 1:
        return parts[-1][0]  # of the wrong shape: binding says so
    shape = tuple(max(n + at for n, at in zip(sizes, starts, strict=True)) for sizes, starts in (_by_axis(parts)))
    texts = any(part.dtype.kind == "O" for part, _ in parts)
    whole = np.full(shape, None, object) if texts else np.full(shape, np.nan)
    for part, starts in parts:
        place = tuple(slice(at, at + n) for n, at in zip(part.shape, starts, strict=True))
        there, given = ~_absent(whole[place]), ~_absent(part)
        if np.any(there & given & (whole[place] != part)):
            text = f"`{variable.name}` had another value before, so that old and new data do not belong together"
            raise AimError([Diagnostic("AIM0812", text, None, "leave it out, or fit the new data alone")])
        whole[place] = np.where(given, part, whole[place])
    return whole


def _by_axis(parts: list[tuple[np.ndarray, tuple[int, ...]]]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    axes = range(parts[0][0].ndim)
    return [(tuple(part.shape[k] for part, _ in parts), tuple(at[k] for _, at in parts)) for k in axes]


def _absent(array: np.ndarray) -> np.ndarray:
    return np.asarray(array == np.array(None, object), bool) | (array != array)
