"""A model meets its data: sizes settle, values take their places, and what does not fit is found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ppl.graph.bound import BoundModel
from ppl.graph.cells import absent_cells
from ppl.graph.dataset import Dataset, from_mapping
from ppl.graph.evaluate import Evaluator
from ppl.graph.given import AllGiven, Given, gather
from ppl.graph.sizes import Settled, refuse_undetermined, settle
from ppl.graph.supports import check_arguments, check_observed, check_type, computed, part_of
from ppl.graph.values import assemble, first, missing, place_text
from ppl.semantics.typed import DistributionCall, RandomStatement, TypedModel, Variable
from ppl.semantics.types import name_type
from ppl.source.diagnostics import Findings, Related


def bind(model: TypedModel, datasets: Sequence[Dataset], *, settings: Mapping[str, Any] | None = None) -> BoundModel:
    """The model with its data. `settings` are what was given by keyword or by `--set`: it wins over the data.

    Raises `AimError` with everything that does not fit: names, sizes, shapes, missing values, supports.
    """
    findings = Findings()
    given = gather(model, datasets, from_mapping(settings or {}, ""), findings)
    settled = settle(model, given, findings)
    _refuse_absent(model, given, findings)
    values, observed = _values(model, given, settled, findings)
    if not findings.errors:
        refuse_undetermined(model, settled.sizes, findings)
    if not findings.errors:
        _refuse_uncomputed(model, values, findings)
    findings.raise_errors()
    _check_statements(model, settled.sizes, values, observed, given, findings)
    findings.raise_errors()
    return BoundModel(model, settled.sizes, values, observed, findings.warnings)


def _values(
    model: TypedModel, given: AllGiven, settled: Settled, findings: Findings
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The values of all variables that have one, and for random ones which entries were observed."""
    values, observed = {}, {}
    for variable in model.variables.values():
        items = given.of(variable.name)
        if not items and variable.name in settled.defaults:
            items = (Given(variable.name, variable, settled.defaults[variable.name], ""),)
        value = assemble(items, settled.sizes, findings) if items else None
        if value is None:
            continue
        if variable.role == "random":
            mask = _observed(variable, value, items[-1].where, findings)
            if mask is not None and (not missing(value).all() or not mask.size):
                values[variable.name], observed[variable.name] = value, mask
        elif _complete(variable, value, items[-1].where, findings):
            check_type(variable, value, items[-1].where, findings)
            values[variable.name] = value
    return values, observed


def _refuse_absent(model: TypedModel, given: AllGiven, findings: Findings) -> None:
    """Parameters and inputs that have no default must be given."""
    for variable in model.variables.values():
        if variable.role in ("parameter", "input") and variable.default is None and not given.of(variable.name):
            _absent(variable, "", findings)


def _refuse_uncomputed(model: TypedModel, values: Mapping[str, np.ndarray], findings: Findings) -> None:
    """Where nothing else is wrong, every parameter and input has a value now."""
    for variable in model.variables.values():
        if variable.role in ("parameter", "input") and variable.name not in values:
            _absent(variable, ": its default cannot be computed from what is given", findings)


def _absent(variable: Variable, reason: str, findings: Findings) -> None:
    hint = f"give {variable.name} = …, of type {name_type(variable.type)}"
    findings.error("AIM0607", f"{variable.role} `{variable.name}` has no value{reason}", variable.span, hint)


def _complete(variable: Variable, value: np.ndarray, where: str, findings: Findings) -> bool:
    """Whether nothing of a parameter or an input is missing: it has no distribution to infer it from."""
    absent = missing(value)
    if not absent.any():
        return True
    more = f" (and {absent.sum() - 1} more)" if absent.sum() > 1 else ""
    place, role = place_text(variable, first(absent)), variable.role
    message = f"{place} is missing, but {role} `{variable.name}` has no distribution to infer it from{more}"
    hint = f"give it, or write `{variable.name} ~ …` in the model"
    declared = Related(variable.span, f"`{variable.name}` is declared here")
    findings.error("AIM0612", message, None, hint, where=where, related=(declared,))
    return False


def _observed(variable: Variable, value: np.ndarray, where: str, findings: Findings) -> np.ndarray | None:
    """Which entries of a random variable were observed, one for each entry of its plates: a vector that is given in part is not."""
    with np.errstate(all="ignore"):
        total = value.sum()  # finite only where every entry is: one pass, and no array for the mask of what is missing
    if value.dtype.kind == "f" and np.isfinite(total):
        return np.ones(value.shape[: variable.plates], dtype=bool)
    absent = missing(value)
    own = tuple(range(variable.plates, value.ndim))
    some, every = np.asarray(absent.any(axis=own)), np.asarray(absent.all(axis=own))
    partly = some & ~every
    if partly.any() and variable.type.kind != "real":
        place = first(partly)
        message = f"{place_text(variable, place)} is given in part: only vectors of real numbers may be"
        findings.error("AIM0790", message, None, "give the whole vector, or leave the whole of it out", where=where)
        return None
    return ~some


def _check_statements(
    model: TypedModel,
    sizes: Mapping[str, int],
    values: Mapping[str, np.ndarray],
    observed: Mapping[str, np.ndarray],
    given: AllGiven,
    findings: Findings,
) -> None:
    """Observed values and known arguments against the distributions of the model, statement by statement."""
    known = {name: value for name, value in values.items() if name not in observed}
    evaluator = Evaluator(sizes, computed(model, known, sizes))
    for name, absent in absent_cells(model, sizes, known).items():
        if name in observed and (absent & observed[name]).any():
            place = place_text(model.variables[name], first(absent & observed[name]))
            hint = "leave it out (null): the ranges of the loops do not reach it"
            findings.error("AIM0611", f"{place} is given, and no statement defines it", model.variables[name].span, hint)
    variables = {**model.variables, **(model.motion.happening if model.motion else {})}
    for statement in (*(s for s in model.statements if isinstance(s, RandomStatement)), *_of_motion(model)):
        variable, name = variables[statement.variable], statement.variable
        part = part_of(statement, variable, values.get(name) if name in observed else None, observed.get(name), evaluator)
        if part is not None:
            check_arguments(statement, part, variable, findings)
            if part.observed is not None:
                check_observed(statement, part, variable, given.of(name)[-1].where, findings)
        _need_total(statement, observed.get(name), findings)


def _of_motion(model: TypedModel) -> Iterator[RandomStatement]:
    """What a generalized block and its world say with a distribution, at each bin."""
    motion = model.motion
    if motion is None:
        return
    for part in (motion.part, *([motion.world.part] if motion.world else [])):
        for s in (*part.starts, *part.statements):
            if s.distribution is not None:
                yield motion.at_each_bin(s, s.distribution)


def _need_total(statement: RandomStatement, observed: np.ndarray | None, findings: Findings) -> None:
    """The `n` of a Multinomial that is left out is the sum of the counts, all of which must then be observed."""
    call = statement.distribution
    left_out = isinstance(call, DistributionCall) and call.name in ("Multinomial", "DirichletMultinomial") and "n" not in call.arguments
    if left_out and (observed is None or not observed.all()):
        message = f"`n` is left out, so all counts of `{statement.variable}` must be given: their sum is `n`"
        findings.error("AIM0619", message, statement.span, f"give `{statement.variable}`, or write `n`")
