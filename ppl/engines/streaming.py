"""Streaming: a posterior becomes the prior of what comes next, written as statements of the model.

What is shared between old and new data gets its belief as its distribution, with known parameters; so do the last entries of a
series that goes on. What was observed and has no new value is a constant: its likelihood is in the prior already. Where the posterior
was exact, the result is that of all data together (Broderick et al. 2013 where it was not). Where no statement says it, old and new
data are fitted together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.compiler.needed import needed_entries
from ppl.compiler.statements import deterministic_definitions, random_statements
from ppl.engines.continuing import NoEnd, Series, continued
from ppl.engines.forward import recursive_axes
from ppl.engines.priors import NoPrior, Priors, no_form
from ppl.engines.rebinding import Moved, arrays_of, given_shapes, moved, plate_keys, rebind, written
from ppl.engines.together import joined, together
from ppl.graph.bound import BoundModel
from ppl.results.posterior import Posterior
from ppl.results.questions import NewData
from ppl.semantics import typed
from ppl.semantics.interventions import intervene

if TYPE_CHECKING:
    from ppl.engines.questions import ModelQuestions


def updated(posterior: Posterior, questions: ModelQuestions, new: NewData) -> Posterior:
    """The posterior given further data: with the old one as its prior, or of all data together where that is no prior.

    The bound is that of the new data given the old. Raises AimError where data do not fit each other.
    """
    old, found = questions.bound, moved(questions.bound, new, model=questions.shown)
    going = _going_on(old, new, found)
    try:
        bound = prior_from(posterior, questions, new, found, going)
    except NoPrior as reason:
        times = recursive_axes(old.model, deterministic_definitions(old.model)) - going
        joined_up = together(old, new, found.sizes, (found.fresh | found.longer) - times)
        return _since(questions.fit(joined_up), posterior, questions, str(reason))
    fitted = questions.fit(bound)
    if posterior.exact:
        return fitted
    status = "converged" if fitted.exact else fitted.status
    told = "the prior of this update is an approximate posterior, so that the result is not that of all data together"
    return replace(fitted, exact=False, status=status, warnings=(*fitted.warnings, told))


def _since(fitted: Posterior, before: Posterior, questions: ModelQuestions, why: str) -> Posterior:
    """The posterior of all data, with the bound of the new data given the old: the difference of both. A sampler has none."""
    known, energies = questions.known + before.elbo, fitted.factor_energies
    told = f"the old and the new data were fitted together, and beliefs are of all their members: {why}"

    def told_apart() -> dict[str, float]:
        return {**energies(), "the data before": -known} if energies() else {}

    fitted = replace(fitted, elbo_trace=fitted.elbo_trace - known, accuracy_trace=None, factor_energies=told_apart)
    fitted = replace(fitted, warnings=(*fitted.warnings, told))
    return _answering(fitted, known=known)


def _answering(posterior: Posterior, **changes: Any) -> Posterior:
    """The posterior whose questions know more of what was before."""
    assert is_dataclass(posterior.questions) and not isinstance(posterior.questions, type)
    return replace(posterior, questions=replace(posterior.questions, **changes))


def _going_on(old: BoundModel, new: NewData, found: Moved) -> frozenset[str]:
    """The time axes whose further steps the new data are: not those of other series, which begin anew."""
    times = recursive_axes(old.model, deterministic_definitions(old.model)) & (found.fresh | found.longer)
    given = [set(plate_keys(old.model.variables[n], whole=True)) for n in given_shapes(new) if n in old.model.variables]
    members = (found.fresh | found.longer) - times
    return frozenset(key for key in times if any(key in keys and not keys & members for keys in given))


def prior_from(posterior: Posterior, questions: ModelQuestions, new: NewData, found: Moved, going: frozenset[str]) -> BoundModel:
    """The model with the posterior as its prior, bound to the new data. Raises NoPrior where the posterior has no such form."""
    old, fresh = questions.bound, found.fresh | found.longer
    series, base, values = None, old.model, new
    if going:
        base, series = _continued(old, going, fresh)
        values = _in_front(old, base, new, series, found)
    shared = frozenset(n for n in posterior.names if _is_shared(n, old, fresh))
    constants = [n for n in old.observed if not fresh & set(plate_keys(old.model.variables[n]))]
    _refuse_half_observed(constants, given_shapes(new), old)
    priors = Priors(base.variables, posterior, shared, series)
    if posterior.joint_blocks is None:
        raise no_form(sorted(shared) or posterior.names, "is known by draws")
    for block in posterior.joint_blocks():
        priors.add(block)
    _refuse_untold(priors, old)
    cut = intervene(base, constants)
    model = replace(
        cut,
        variables={**cut.variables, **priors.inputs},
        statements=(*priors.statements, *(s for s in cut.statements if s.variable not in priors.named)),
        potentials=tuple(p for p in cut.potentials if fresh & {loop.set.key for loop in p.loops}),
    )
    latest = replace(
        old, model=model, values={**old.values, **priors.values}, observed={k: v for k, v in old.observed.items() if k not in constants}
    )
    return rebind(latest, replace(values, along=tuple(fresh)), model=model).bound


def _is_shared(name: str, old: BoundModel, fresh: frozenset[str]) -> bool:
    """Whether a variable is latent and stays: none of its plates gets new members."""
    random = {s.variable for s in random_statements(old.model)}
    return name in random and name not in old.observed and not fresh & set(plate_keys(old.model.variables[name]))


def _refuse_half_observed(constants: list[str], given: Collection[str], old: BoundModel) -> None:
    for name in constants:
        if name in given or not np.all(old.observed[name]):
            raise NoPrior(f"`{name}` was observed before" if name in given else f"`{name}` is observed in part")


def _refuse_untold(priors: Priors, old: BoundModel) -> None:
    """Raises NoPrior where something that was learnt, or that later steps need, has no statement."""
    needed = needed_entries(old, random_statements(old.model), deterministic_definitions(old.model))
    lost = [n for n in sorted(priors.shared - priors.named) if np.any(needed.get(n, False))]
    if lost:
        raise no_form(lost, "is one of quantities that stand for it")
    series = priors.series
    for name in series.axes if series else ():
        variable = old.model.variables[name]
        if series and variable.role == "random" and name not in old.observed:
            ends = {now for _, now in series.last(name, old.shape(variable)[: variable.plates])}
            if not ends <= {place for told, place in priors.told if told == name}:
                raise no_form([name], "at the end of the series is not known by itself")


# ------------------------------------------------------------------ a series that goes on
def _continued(old: BoundModel, going: frozenset[str], fresh: frozenset[str]) -> tuple[typed.TypedModel, Series]:
    if len(fresh) > 1:
        raise NoPrior("a series goes on while there are new members of other plates")
    try:
        return continued(old, *going)
    except NoEnd as reason:
        raise NoPrior(str(reason)) from None


def _in_front(old: BoundModel, model: typed.TypedModel, new: NewData, series: Series, found: Moved) -> NewData:
    """The new data with the last ones of before in front, where statements reach back to them."""
    given: dict[str, Any] = {n: v for n, v in arrays_of(new).items() if n in model.variables or n in new.values}
    for name, axis in series.axes.items():
        variable, before = model.variables[name], old.values.get(name)
        count = model.begun.get(name, (axis, 0))[1]
        if before is None or (not count and name in given):
            continue
        first = series.steps - series.front[name]
        kept = written(variable, before.take(np.arange(first, before.shape[axis]), axis=axis))
        length = found.sizes[series.key] + variable.type.axes[axis].extra
        end = np.full((*kept.shape[:axis], length - kept.shape[axis], *kept.shape[axis + 1 :]), None if kept.dtype == object else np.nan)
        parts = [(np.concatenate([kept, end], axis=axis), (0,) * kept.ndim)]
        if name in given:
            parts.append((given[name], tuple(count if k == axis else 0 for k in range(kept.ndim))))
        given[name] = joined(variable, parts)
    return NewData(given, along=new.along)
