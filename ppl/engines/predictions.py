"""Predictions: variables that took no part in inference, from the posterior of those that they depend on.

In closed form where there is one: known parameters, an affine mean with a known precision, a probability that is itself a
latent variable. None means that draws have to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.expectations import Layout, Moments, form_value, ready_form, variance_value
from ppl.compiler.forms import Form
from ppl.compiler.lowering import LatentEvaluator, Mixed, canonical_arguments
from ppl.compiler.plan import Plan, random_statements
from ppl.compiler.quantities import Featured, Gaussian, NotConjugate
from ppl.factors.registry import factor
from ppl.graph.references import statement_uses
from ppl.semantics import typed

Full = Callable[[Plated], np.ndarray]


def affine_moments(form: Form, moments: Moments, layout: Layout) -> tuple[Plated, Plated]:
    """Mean and variance of a scalar affine form of Normals, over its plates."""
    ready = ready_form(form, layout)
    return form_value(ready, moments, layout), variance_value(ready, moments, layout)


def closed_prediction(
    name: str, plan: Plan, moments: Moments, layout: Layout, mean_of: Callable[[str], np.ndarray]
) -> tuple[str, dict[str, np.ndarray]] | None:
    """Family and parameters of the prediction of a variable over all its plates.

    `mean_of` gives posterior means of latent variables, over their latent members.
    """
    statement = _plain_statement(name, plan)
    if statement is None:
        return None
    call = statement.distribution
    assert isinstance(call, typed.DistributionCall)
    kind = factor(DISTRIBUTIONS[call.name].implementation or "")
    evaluator = LatentEvaluator(plan.bound, plan.latents, plan.definitions)
    loops = evaluator.loops_of(statement)
    try:
        arguments = canonical_arguments(call, kind, evaluator, loops)
    except (NotConjugate, Mixed):
        return None
    if evaluator.enumerations:
        return None
    order = tuple(i.name for i in statement.indices if isinstance(i, typed.IndexReference))
    sizes = {d: loops[d].data.shape[0] for d in order}

    def full(value: Plated) -> np.ndarray:
        return np.asarray(value.arranged(order, sizes), float)

    if all(isinstance(v, Plated) for v in arguments.values()):
        return kind.family, kind.reported(**{k: full(v) for k, v in arguments.items()})
    precision, mean, p = arguments.get("precision"), arguments.get("mean"), arguments.get("p")
    if kind.name == "Normal" and isinstance(precision, Plated) and isinstance(mean, Gaussian):
        centre, variance = affine_moments(mean.affine, moments, layout)
        return "Normal", {"mean": full(centre), "sd": np.sqrt(full(variance) + 1.0 / full(precision))}
    if kind.name in ("Bernoulli", "Categorical") and isinstance(p, Featured):
        expected = _mean_probability(p, full, mean_of)
        return None if expected is None else (kind.family, {"p": expected})
    return None


def _plain_statement(name: str, plan: Plan) -> typed.RandomStatement | None:
    """The only statement of a variable, where it runs over whole plates and needs no other prediction."""
    statements = [s for s in random_statements(plan.bound.model) if s.variable == name]
    first = statements[0]
    plain = all(isinstance(i, typed.IndexReference) for i in first.indices) and all(s.low is None and s.high is None for s in first.loops)
    free = not any(used in plan.predicted or used in plan.definitions for used, _ in statement_uses(first))
    return first if len(statements) == 1 and plain and free else None


def _mean_probability(p: Featured, full: Full, mean_of: Callable[[str], np.ndarray]) -> np.ndarray | None:
    """E[p] where p is a Beta or Dirichlet variable itself, not a function of one."""
    form = p.form("log")
    if p.derived or len(form.terms) != 1:
        return None
    (term,) = form.terms
    value: Any = Plated((), np.asarray(mean_of(term.variable)))
    for index in term.index:
        if index.rank == 0:
            value = value.take(0, index)
    return full(value)
