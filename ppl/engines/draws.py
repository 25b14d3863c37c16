"""Draws: statements run forwards, from the prior or from a posterior.

A draw is one more plate, named `draw`, so the evaluator computes all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ppl.arrays.plated import Plated, known, widen
from ppl.arrays.streams import stream
from ppl.compiler.kinds import kind_of
from ppl.compiler.latents import PREDICTED
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.plan import Plan
from ppl.engines.forward import draw_fresh
from ppl.engines.members import DRAW


def drawn_variable(name: str, evaluator: LatentEvaluator, draws: int) -> np.ndarray:
    """The draws of a random or deterministic variable, those first."""
    value = evaluator.assembled(name) if name in evaluator.definitions else known(evaluator.values[name])
    shape = evaluator.bound.shape(evaluator.bound.model.variables[name])
    return np.broadcast_to(value.arranged((DRAW,)), (draws, *shape)) * 1.0


# ------------------------------------------------------------------ from the blocks of a posterior
def posterior_evaluator(plan: Plan, state: Any, tables: dict[str, np.ndarray], *, draws: int, seed: int) -> LatentEvaluator:
    """An evaluator whose values are joint draws from the posterior of all that is latent or predicted."""
    rng = stream(seed, "posterior")
    drawn: dict[str, np.ndarray] = {}
    for block in plan.blocks:
        moments = {"table": tables[block.name]} if block.name in tables else state["moments"][block.name]
        natural = jax.tree.map(np.asarray, state["natural"].get(block.name, {}))
        drawn |= kind_of(block).draws(block, plan.latents, moments, natural, rng, draws)
    return evaluator_at(plan, drawn, rng, draws)


def evaluator_at(plan: Plan, drawn: Mapping[str, np.ndarray], rng: np.random.Generator, draws: int) -> LatentEvaluator:
    """An evaluator at joint draws of all that is latent; what is predicted is drawn given them."""
    evaluator = LatentEvaluator(plan.bound, {}, dict(plan.definitions))
    evaluator.values = dict(plan.bound.values)
    for name, values in drawn.items():
        evaluator.values[name] = Plated((DRAW,), _laid_out(name, values, plan))
    draw_fresh(evaluator, {name: _open(name, plan) for name in plan.predicted}, rng, draws)
    return evaluator


def _open(name: str, plan: Plan) -> np.ndarray:
    """The entries of a predicted variable that are neither observed nor latent."""
    variable, lookup = plan.bound.model.variables[name], plan.latents[name].lookup if name in plan.latents else None
    if lookup is not None:
        return lookup == PREDICTED
    return ~plan.bound.observed.get(name, np.zeros(plan.bound.shape(variable)[: variable.plates], bool))


def _laid_out(name: str, drawn: np.ndarray, plan: Plan) -> np.ndarray:
    """Draws of latent entries among those that are observed."""
    variable = plan.latents[name]
    lookup = variable.lookup
    if variable.given is not None:
        drawn = np.where(np.isnan(variable.given), drawn, variable.given)
    if lookup is None:
        return drawn
    flat = drawn.reshape(len(drawn), -1, *drawn.shape[1 + len(variable.plates) :])
    full = flat[:, np.maximum(lookup, 0)] * 1.0
    values = plan.bound.values.get(name, np.nan)
    return np.where(widen(lookup < 0, full.ndim - 1), values, full)
