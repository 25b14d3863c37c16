"""Draws: statements run forwards, from the prior or from a posterior.

A draw is one more plate, named `draw`, so the evaluator computes all of them at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, known, widen
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.kinds import kind_of
from ppl.compiler.latents import PREDICTED
from ppl.compiler.lowering import LatentEvaluator, canonical_arguments
from ppl.compiler.plan import Plan, random_statements
from ppl.factors.registry import factor
from ppl.families.registry import FAMILIES
from ppl.graph.bound import BoundModel
from ppl.semantics import typed

DRAW = "draw"


def draw_statement(
    statement: typed.RandomStatement, evaluator: LatentEvaluator, rng: np.random.Generator, draws: int, settled: np.ndarray | None
) -> None:
    """Draws the members that a statement defines, given the evaluator's values, and puts them there; settled ones stay."""
    call = statement.distribution
    assert isinstance(call, typed.DistributionCall)
    kind = factor(DISTRIBUTIONS[call.name].implementation or "")
    loops = evaluator.loops_of(statement)
    sizes = {DRAW: draws, **{name: index.data.shape[0] for name, index in loops.items()}}
    arguments = canonical_arguments(call, kind, evaluator, loops)
    plain = {k: np.asarray(v.arranged(tuple(sizes), sizes), float) for k, v in arguments.items()}
    drawn = np.asarray(FAMILIES[kind.family].sample(kind.reported(**plain), rng, ()), float)
    array = _array_of(statement.variable, evaluator, draws)
    place = evaluator.place_of(statement, loops)
    target = (slice(None), *place)
    if settled is not None:
        drawn = np.where(widen(settled[place], drawn.ndim - 1), array[target], drawn)
    array[target] = drawn.reshape(array[target].shape)


def _array_of(name: str, evaluator: LatentEvaluator, draws: int) -> np.ndarray:
    """The draws of a variable, begun from what is observed of it."""
    bound: BoundModel = evaluator.bound
    current = evaluator.values.get(name)
    if isinstance(current, Plated):
        return current.data
    array = np.full((draws, *bound.shape(bound.model.variables[name])), np.nan)
    if current is not None:
        array[:] = current
    evaluator.values[name] = Plated((DRAW,), array)  # type: ignore[index]
    return array


def drawn_variable(name: str, evaluator: LatentEvaluator, draws: int) -> np.ndarray:
    """The draws of a random or deterministic variable, those first."""
    value = evaluator.assembled(name) if name in evaluator.definitions else known(evaluator.values[name])
    shape = evaluator.bound.shape(evaluator.bound.model.variables[name])
    return np.broadcast_to(value.arranged((DRAW,)), (draws, *shape)) * 1.0


# ------------------------------------------------------------------ from the blocks of a posterior
def posterior_evaluator(plan: Plan, state: Any, tables: dict[str, np.ndarray], *, draws: int, seed: int) -> LatentEvaluator:
    """An evaluator whose values are joint draws from the posterior of all that is latent or predicted."""
    rng = np.random.default_rng(seed)
    evaluator = LatentEvaluator(plan.bound, {}, plan.definitions)
    evaluator.values = dict(plan.bound.values)
    for block in plan.blocks:
        moments = {"table": tables[block.name]} if block.name in tables else state["moments"][block.name]
        natural = {k: np.asarray(v) for k, v in state["natural"].get(block.name, {}).items()}
        for name, drawn in kind_of(block).draws(block, plan.latents, moments, natural, rng, draws).items():
            evaluator.values[name] = Plated((DRAW,), _laid_out(name, drawn, plan))
    for statement in random_statements(plan.bound.model):
        if statement.variable in plan.predicted:
            draw_statement(statement, evaluator, rng, draws, _settled(statement.variable, plan))
    return evaluator


def _settled(name: str, plan: Plan) -> np.ndarray | None:
    """The entries of a predicted variable that are observed or latent."""
    if name in plan.latents:
        lookup = plan.latents[name].lookup
        return None if lookup is None else lookup != PREDICTED
    return plan.bound.observed.get(name)


def _laid_out(name: str, drawn: np.ndarray, plan: Plan) -> np.ndarray:
    """Draws of latent entries among those that are observed."""
    lookup = plan.latents[name].lookup
    if lookup is None:
        return drawn
    full = drawn[:, np.maximum(lookup, 0)] * 1.0
    values = plan.bound.values.get(name, np.nan)
    return np.where(widen(lookup < 0, full.ndim - 1), values, full)
