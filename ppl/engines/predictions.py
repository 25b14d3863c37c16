"""Predictions: variables that took no part in inference, from the posterior of those that they depend on.

In closed form where there is one: known parameters, an affine mean with a known precision, a probability that is an affine
function of latent variables, counts whose chance is a Beta or whose rate is a Gamma. None means that draws have to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.energies import probabilities_of, ready_factor
from ppl.compiler.enumerations import Mixed
from ppl.compiler.expectations import form_value, variance_value
from ppl.compiler.forms import Form
from ppl.compiler.lowering import LatentEvaluator, LoweredFactor, SecondMoment, canonical_arguments
from ppl.compiler.plan import Plan
from ppl.compiler.quantities import Gaussian, NotConjugate
from ppl.compiler.ready import Layout, Moments, ready_second
from ppl.compiler.statements import has_factor, random_statements
from ppl.factors.registry import factor
from ppl.families.registry import FAMILIES
from ppl.graph.evaluate import Evaluator, sizes_of
from ppl.graph.references import reached, uses
from ppl.results.belief import Belief
from ppl.semantics import typed

COUNTS = {"Binomial": "p", "Poisson": "rate"}  # of what their chance or rate is


def affine_moments(form: Form, moments: Moments, layout: Layout) -> tuple[Plated, Plated]:
    """Mean and variance of an affine form of Normals, over its plates; of a vector the covariance matrix."""
    ready = ready_second(SecondMoment(form, bool(form.shape)), layout)
    return form_value(ready.form, moments, layout), variance_value(ready, moments, layout)


def closed_prediction(
    name: str, plan: Plan, moments: Moments, layout: Layout, belief_of: Callable[[str], Belief]
) -> tuple[str, dict[str, np.ndarray]] | None:
    """Family and parameters of the prediction of a variable over all its plates. `belief_of` tells of latent variables."""
    variable = plan.bound.model.variables[name]
    plates = plan.bound.shape(variable)[: variable.plates]
    family, params = "", {}
    for statement in random_statements(plan.bound.model):
        if statement.variable != name:
            continue
        part = _closed_part(statement, plan, moments, layout, belief_of)
        if part is None or part.family != (family or part.family):
            return None
        family = part.family
        for key, value in part.params.items():
            whole = params.setdefault(key, np.full(plates + value.shape[part.loops :], np.nan))
            whole[part.place] = value
    return family, params


@dataclass(frozen=True)
class _Part:
    """What one statement predicts: parameters over its loops, and where its members stand."""

    family: str
    params: dict[str, np.ndarray]
    loops: int
    place: tuple[np.ndarray, ...]


def _closed_part(
    statement: typed.RandomStatement, plan: Plan, moments: Moments, layout: Layout, belief_of: Callable[[str], Belief]
) -> _Part | None:
    read = reached(statement, plan.definitions)
    if read & set(plan.predicted):
        return None
    call = statement.distribution
    if not has_factor(statement):
        return None
    assert isinstance(call, typed.DistributionCall)
    kind = factor(DISTRIBUTIONS[call.name].implementation or "")
    if kind.family not in FAMILIES:
        return None
    evaluator = LatentEvaluator(plan.bound, plan.latents, plan.definitions)
    loops = evaluator.loops_of(statement)
    try:
        arguments = canonical_arguments(call, kind, evaluator, loops)
    except (NotConjugate, Mixed):
        return None
    sizes = sizes_of(loops)

    def full(value: Plated) -> np.ndarray:
        return np.asarray(value.arranged(tuple(sizes), sizes), float)

    def part(family: str, params: dict[str, np.ndarray]) -> _Part:
        return _Part(family, params, len(sizes), evaluator.place_of(statement, loops))

    if evaluator.enumerations:
        p = _over_states(statement, arguments, evaluator, sizes, moments, layout)
        return None if p is None else part(kind.family, {"p": full(p)})
    if all(isinstance(v, Plated) for v in arguments.values()):
        return part(kind.family, kind.reported(**{k: full(v) for k, v in arguments.items()}))
    precision, mean = arguments.get("precision"), arguments.get("mean")
    if kind.name in ("Normal", "MvNormal") and isinstance(precision, Plated) and isinstance(mean, Gaussian):
        try:
            centre, spread = (full(v) for v in affine_moments(mean.affine, moments, layout))
        except NotConjugate:
            return None
        if kind.name == "MvNormal":
            return part("MvNormal", {"mean": centre, "cov": spread + np.linalg.inv(full(precision))})
        return part("Normal", {"mean": centre, "sd": np.sqrt(spread + 1.0 / full(precision))})
    if kind.name in ("Bernoulli", "Categorical") and not read & set(plan.definitions) and _is_affine(call.arguments["p"], plan):
        means = {n: np.asarray(belief_of(n).mean) for n, _ in uses(call.arguments["p"]) if n in plan.latents}
        return part(kind.family, {"p": full(_at(means, call.arguments["p"], plan, loops))})
    if kind.name in COUNTS and not read & set(plan.definitions):
        told = _counts(kind.name, call, plan, loops, belief_of)
        return None if told is None else part(told[0], {k: full(v) for k, v in told[1].items()})
    return None


def _at(values: Mapping[str, np.ndarray], e: typed.TypedExpression, plan: Plan, loops: Mapping[str, Plated]) -> Plated:
    """An expression where latent variables have these values."""
    return Evaluator(plan.bound.sizes, {**plan.bound.values, **values}).number(e, loops)


def _counts(
    name: str, call: typed.DistributionCall, plan: Plan, loops: Mapping[str, Plated], belief_of: Callable[[str], Belief]
) -> tuple[str, dict[str, Plated]] | None:
    """Family and parameters of a Binomial whose chance is an entry of a Beta, or a Poisson whose rate is a multiple of one of a Gamma."""
    e, others = call.arguments.get(COUNTS[name]), [a for k, a in call.arguments.items() if k != COUNTS[name]]
    used = [] if e is None else [n for n, _ in uses(e) if n in plan.latents]
    if e is None or len(used) != 1 or not _is_affine(e, plan) or not all(_is_known(a, plan) for a in others):
        return None
    belief = belief_of(used[0])

    def at(value: Any) -> Plated:
        return _at({used[0]: np.broadcast_to(np.asarray(value, float), belief.plates)}, e, plan, loops)

    if name == "Poisson" and belief.family == "Gamma" and not np.any(at(0.0).data):
        shape, rate = belief.params["shape"], belief.params["rate"]
        many = at(1.0)
        return "NegativeBinomial", {"mean": at(shape / rate), "concentration": at(shape) / many}
    if name == "Binomial" and belief.family == "Beta" and isinstance(e, typed.VariableReference | typed.Indexed):
        n = _at({}, call.arguments["n"], plan, loops)
        return "BetaBinomial", {"n": n, "a": at(belief.params["a"]), "b": at(belief.params["b"])}
    return None


def _over_states(
    statement: typed.RandomStatement,
    arguments: Mapping[str, Any],
    evaluator: LatentEvaluator,
    sizes: Mapping[str, int],
    moments: Moments,
    layout: Layout,
) -> Plated | None:
    """A known table of probabilities, averaged over the states of the discrete latent variables that it is looked up by."""
    call, enumerations = statement.distribution, tuple(evaluator.enumerations.values())
    p = arguments.get("p")
    if not isinstance(call, typed.DistributionCall) or call.name not in ("Bernoulli", "Categorical") or not isinstance(p, Plated):
        return None
    kind, states = factor(DISTRIBUTIONS[call.name].implementation or ""), {e.dim: e.size for e in enumerations}
    each = Plated(tuple(sizes), np.ones(tuple(sizes.values())))  # so that no average over members is taken
    lowered = LoweredFactor(call.name, statement, kind, {"p": {"value": p}}, enumerations, {**sizes, **states}, weight=each)
    ready = ready_factor(lowered, layout)
    blocks = [layout.block_of(e.variable) for e in enumerations]
    if any(b.structure is not None and b.name not in {s.block for s in ready.patterns} for b in blocks):
        return None  # the structure has no array of these states together
    for table in probabilities_of(ready, moments, layout):
        p = p * table
    return p.sum_dim(*states)


def _is_affine(e: typed.TypedExpression, plan: Plan) -> bool:
    """Whether the expected value of an expression is its value at the means of the latent variables: sums and known multiples."""
    match e:
        case typed.VariableReference() | typed.Constant():
            return True
        case typed.Indexed(base=base, indices=indices):
            return _is_affine(base, plan) and all(_is_known(i, plan) for i in indices)
        case typed.Stack(items=items):
            return all(_is_affine(i, plan) for i in items)
        case typed.Apply(function="add" | "subtract" | "negate", arguments=arguments):
            return all(_is_affine(a, plan) for a in arguments)
        case typed.Apply(function="multiply", arguments=(a, b)):
            return (_is_known(a, plan) and _is_affine(b, plan)) or (_is_known(b, plan) and _is_affine(a, plan))
        case typed.Apply(function="divide", arguments=(a, b)):
            return _is_affine(a, plan) and _is_known(b, plan)
    return _is_known(e, plan)


def _is_known(e: typed.TypedExpression, plan: Plan) -> bool:
    return not any(name in plan.latents for name, _ in uses(e))
