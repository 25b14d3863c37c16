"""What was given, name by name: every value of every dataset is put to the variable or the size that it speaks of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ppl.graph.dataset import Dataset
from ppl.graph.readers import read
from ppl.semantics.typed import Apply, Text, TypedModel, Variable
from ppl.source.diagnostics import AimError, Findings, Related, did_you_mean

_ENTRY = re.compile(r"^(?P<name>[^\[\]]+)\[(?P<indices>[^\[\]]+)\]$")


@dataclass(frozen=True)
class Given:
    """A value as it was given, for a whole variable or for an entry of it: `written` is `y[0]`, `indices` then `("0",)`.

    `lines` has the line of the file for each entry of the first axis, where the value is a column of a text table.
    """

    written: str
    variable: Variable
    value: np.ndarray = field(repr=False)
    where: str
    indices: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class GivenSize:
    """A size that was given by the name of its set."""

    written: str
    value: np.ndarray
    where: str


@dataclass(frozen=True)
class AllGiven:
    values: tuple[Given, ...]  # by variable; a whole value stands before the entries that go over it
    sizes: dict[str, GivenSize]

    def of(self, name: str) -> tuple[Given, ...]:
        return tuple(given for given in self.values if given.variable.name == name)


def gather(model: TypedModel, datasets: Sequence[Dataset], settings: Dataset, findings: Findings) -> AllGiven:
    """Everything that was given. What the settings give wins over the data; names that nothing in the model has are found here."""
    taken: dict[tuple[str, tuple[str, ...]], Given | GivenSize] = {}
    for dataset in (settings, *datasets):
        _refuse_strange_table(model, dataset, findings)
        for written, value in dataset.values.items():
            item = _addressed(model, written, value, dataset, findings)
            if item is None or (value.ndim == 0 and value.item() is None):
                continue
            key = (item.variable.name, item.indices) if isinstance(item, Given) else (item.written, ())
            before = taken.setdefault(key, item)
            if before is not item and before.where != settings.name:
                _twice(written, before.where, item.where, findings)
    given = [item for item in taken.values() if isinstance(item, Given)]
    named = {item.variable.name for item in given}
    files = (_from_file(variable, findings) for name, variable in model.variables.items() if name not in named)
    values = tuple(sorted((*given, *filter(None, files)), key=lambda item: len(item.indices) > 0))
    return AllGiven(_without_hidden(values, settings.name, findings), {i.written: i for i in taken.values() if isinstance(i, GivenSize)})


def size_names(model: TypedModel) -> set[str]:
    """The names by which sizes may be given: sets that are not fixed, and parameters of type `size`."""
    free = {key if s.size_name is None else s.size_name for key, s in model.sets.items() if s.size is None}
    return free | set(model.sizes)


def _addressed(model: TypedModel, written: str, value: np.ndarray, dataset: Dataset, findings: Findings) -> Given | GivenSize | None:
    entry = None if written in model.variables else _ENTRY.match(written)
    name = entry["name"].strip() if entry else written
    variable = model.variables.get(name)
    if variable is None and (name in size_names(model) or name in model.sets):
        return GivenSize(name, value, dataset.name)
    if variable is None:
        if dataset.strict:
            _unknown(model, name, dataset.name, findings)
        return None
    if variable.role == "deterministic":
        message = f"`{name}` is deterministic, so it cannot be given: the model computes it"
        place = Related(variable.span, f"`{name}` is defined here")
        hint = "leave it out, or define it with `~` to observe it"
        findings.error("AIM0606", message, None, hint, where=dataset.name, related=(place,))
        return None
    indices = tuple(i.strip() for i in entry["indices"].split(",")) if entry else ()
    if len(indices) > len(variable.type.axes):
        axes = len(variable.type.axes)
        findings.error("AIM0611", f"`{written}` has {len(indices)} indices, but {name} has {axes}", None, where=dataset.name)
        return None
    dims = dataset.dims.get(written)
    return Given(written, variable, _in_order(value, variable, dims) if dims else value, dataset.name, indices, dataset.lines)


def _from_file(variable: Variable, findings: Findings) -> Given | None:
    """`= csv("rates.csv")`: the column of the variable's name in that file beside the model, or the whole table where none has it."""
    default = variable.default
    if not (isinstance(default, Apply) and default.function == "csv" and isinstance(default.arguments[0], Text)):
        return None
    path = Path(default.span.source.name).parent / default.arguments[0].value
    try:
        dataset = read(path)
    except AimError as error:
        for diagnostic in error.diagnostics:
            findings.add(replace(diagnostic, related=(Related(default.span, "it is read here"),)))
        return None
    columns = list(dataset.values.values())
    if variable.name in dataset.values:
        return Given(variable.name, variable, dataset.values[variable.name], dataset.name, lines=dataset.lines)
    if len({column.shape for column in columns}) != 1:
        return None
    alone = len(columns) == 1 and len(variable.type.axes) == 1
    return Given(variable.name, variable, columns[0] if alone else np.stack(columns, axis=-1), dataset.name, lines=dataset.lines)


def _in_order(value: np.ndarray, variable: Variable, dims: tuple[str, ...]) -> np.ndarray:
    """The axes as the model has them, where the source names them as the model does."""
    wanted = [axis.set.key if axis.set is not None else "" for axis in variable.type.axes]
    named_alike = sorted(wanted) == sorted(dims) and len(set(dims)) == len(dims)
    return value.transpose([dims.index(name) for name in wanted]) if named_alike else value


def _without_hidden(values: tuple[Given, ...], settings: str, findings: Findings) -> tuple[Given, ...]:
    """Entries over a whole value: those of settings go over the data's, a whole value of settings hides the data's entries."""
    whole = {given.variable.name: given for given in values if not given.indices}
    kept = []
    for given in values:
        under = whole.get(given.variable.name)
        if given.indices and under is not None and given.where != settings:
            if under.where != settings:
                _twice(given.written, under.where, given.where, findings)
            continue
        kept.append(given)
    return tuple(kept)


def _twice(name: str, first: str, second: str, findings: Findings) -> None:
    message = f"`{name}` is given twice" if first == second else f"`{name}` is given twice: in {first} and in {second}"
    findings.error("AIM0603", message, None, "leave one of them out", where=second)


def _unknown(model: TypedModel, name: str, where: str, findings: Findings) -> None:
    written = (n for n in model.variables if " " not in n)  # without the numbers of an update's priors
    known = [*(n for n in written if model.variables[n].role != "deterministic"), *sorted(size_names(model))]
    hint = did_you_mean(name, known) or (f"it has {_listed(known)}" if known else "it has none that can be given")
    findings.error("AIM0605", f"model `{model.name}` has no variable `{name}`", None, hint, where=where)


def _refuse_strange_table(model: TypedModel, dataset: Dataset, findings: Findings) -> None:
    """Further columns are passed over, but a table of which nothing is used was not meant so."""
    known = [*model.variables, *size_names(model), *model.sets]
    if dataset.strict or not dataset.values or any(name in known for name in dataset.values):
        return
    near = next(filter(None, (did_you_mean(column, known) for column in dataset.values)), "")
    hint = near or f"its columns are {_listed(list(dataset.values))}"
    findings.error("AIM0605", f"no column is a variable of model `{model.name}`", None, hint, where=dataset.name)


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(f"`{n}`" for n in names[:most])
    return f"{shown}, …" if len(names) > most else shown
