"""The same model with other data: what was given before stands for all that the new data do not replace.

New data make new members of the plates that they have in common with what was observed, unless these plates are a time axis that
became longer: then the series goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.compiler.statements import deterministic_definitions, random_statements
from ppl.engines.forward import recursive_axes
from ppl.graph.binding import bind
from ppl.graph.bound import BoundModel
from ppl.graph.dataset import Dataset, from_mapping
from ppl.graph.given import size_names
from ppl.graph.readers import as_dataset
from ppl.graph.sizes import root
from ppl.results.questions import NewData
from ppl.semantics.typed import TypedModel, Variable
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class Rebound:
    """`fresh` are the keys of the sets whose members are new, `longer` those that have further members after the old ones."""

    bound: BoundModel
    fresh: frozenset[str]
    longer: frozenset[str]


@dataclass(frozen=True)
class Moved:
    """What new data do to the sets: `sizes` are those that they show, `fresh` and `longer` as above."""

    sizes: dict[str, int]
    fresh: frozenset[str]
    longer: frozenset[str]


def moved(old: BoundModel, new: NewData, *, model: TypedModel | None = None) -> Moved:
    """Which sets the new data change. Raises AimError where that may be meant in several ways."""
    model = model or old.model
    given = given_shapes(new)
    sizes = sizes_of(model, given, new.values)
    changed = {key for key, size in sizes.items() if size != old.sizes.get(key)}
    recursive = recursive_axes(model, deterministic_definitions(model))
    longer = {key for key in changed & recursive if sizes[key] > old.sizes.get(key, 0) and key not in new.along}
    fresh = (set(new.along) or changed or _first_plates(model, old, given)) - longer
    return Moved(sizes, frozenset(fresh), frozenset(longer))


def rebind(old: BoundModel, new: NewData, *, model: TypedModel | None = None) -> Rebound:
    """The model (or a rewritten one) with new data. Raises AimError where they do not fit, as binding does."""
    model = model or old.model
    found = moved(old, new, model=model)
    kept = _kept(old, model, set(given_shapes(new)), set(found.fresh), {key: found.sizes[key] for key in found.longer})
    return Rebound(bind(model, datasets_of(new), settings={**kept, **new.values}), found.fresh, found.longer)


def datasets_of(new: NewData) -> list[Dataset]:
    return [] if new.table is None else [as_dataset(new.table)]


def arrays_of(new: NewData) -> dict[str, np.ndarray]:
    """What is given, by name, as arrays of numbers or names."""
    return {n: v for one in (*datasets_of(new), from_mapping(new.values, "")) for n, v in one.values.items()}


def given_shapes(new: NewData) -> dict[str, tuple[int, ...]]:
    """The shapes of what is given, by name."""
    tables = {name: np.shape(value) for one in datasets_of(new) for name, value in one.values.items()}
    return tables | {name: np.shape(value) for name, value in new.values.items()}


def _first_plates(model: TypedModel, old: BoundModel, given: Mapping[str, tuple[int, ...]]) -> set[str]:
    """The plates of which data of unchanged sizes bring new members: their first axes, as in a table's rows, or those named.

    Raises AimError where that may be meant otherwise: a first axis has latent variables of its own, and another has none.
    """
    observed = {key for name in old.observed for key in plate_keys(model.variables[name])}
    named = {key for key, s in model.sets.items() if root(s)[0] in given or key in given}
    variables = [model.variables[name] for name in given if name in model.variables]
    met = [[key for key in plate_keys(v, whole=True) if key in observed] for v in variables]
    first = {keys[0] for keys in met if keys}
    carried = {
        key
        for statement in random_statements(model)
        for key in plate_keys(model.variables[statement.variable])
        if statement.variable not in old.observed and model.variables[statement.variable].type.kind not in ("member", "bool")
    }
    others = {key for keys in met for key in keys} - first - carried
    if first & carried and others:
        one, other = min(first & carried), min(others)
        text = f"the new data may be of new members of `{one}` or of `{other}`: their sizes are those of the old data"
        raise AimError([Diagnostic("AIM0813", text, None, f"say which: along = {one!r}")])
    return first | named


def plate_keys(variable: Variable, *, whole: bool = False) -> list[str]:
    """The keys of the sets that a variable is repeated over; `whole`: of all its axes."""
    axes = variable.type.axes if whole else variable.type.axes[: variable.plates]
    return [axis.set.key for axis in axes if axis.set is not None]


def sizes_of(model: TypedModel, given: Mapping[str, tuple[int, ...]], values: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that new values show: by their shapes, or by the name of a size."""
    sizes = {}
    for name, shape in given.items():
        if name in model.variables:
            axes = zip(model.variables[name].type.axes, shape, strict=False)
            sizes |= {axis.set.key: length - axis.extra for axis, length in axes if axis.set is not None}
        elif name in size_names(model) and name in values and np.ndim(values[name]) == 0:
            wanted = root(model.sets[name])[0] if name in model.sets else name
            sizes |= {key: int(values[name]) - (s.low if s.size_name else 0) for key, s in model.sets.items() if root(s)[0] == wanted}
    return sizes


def _kept(old: BoundModel, model: TypedModel, given: set[str], fresh: set[str], longer: Mapping[str, int]) -> dict[str, Any]:
    """What was given before and still stands: sizes by their names, and values that do not run over new members."""
    settings: dict[str, Any] = {}
    for key, index_set in model.sets.items():
        name = root(index_set)[0]
        if index_set.size is None and name in size_names(model) and key not in fresh and key in old.sizes:
            size = longer.get(key, old.sizes[key])
            settings[name] = size + (index_set.low if index_set.size_name else 0)
    for name, value in old.values.items():
        variable = model.variables[name]
        axes = set(plate_keys(variable, whole=True))
        if name in given or axes & fresh or (axes & longer.keys() and name not in old.observed):
            continue
        settings[name] = written(variable, lengthened(value, variable, longer))
    return {name: value for name, value in settings.items() if name not in given}


def lengthened(value: np.ndarray, variable: Variable, longer: Mapping[str, int], *, before: int = 0) -> np.ndarray:
    """The array with further members along the axes that became longer: which are missing."""
    lengths = [longer.get(a.set.key, -1) + a.extra if a.set is not None and a.set.key in longer else -1 for a in variable.type.axes]
    wider = [(0, 0)] * before + [(0, max(0, n - have)) for n, have in zip(lengths, value.shape[before:], strict=True)]
    absent = -1 if value.dtype.kind in "iu" else np.nan
    return np.pad(value, wider, constant_values=absent) if any(after for _, after in wider) else value


def written(variable: Variable, value: np.ndarray) -> np.ndarray:
    """A bound value as it would be given: members by their names or numbers."""
    member_of = variable.type.member_of
    if variable.type.kind != "member" or member_of is None:
        return value
    if member_of.members is not None:
        names = np.array([*member_of.members, None], dtype=object)
        return names[value]
    return np.where(value < 0, np.nan, value + float(member_of.low))
