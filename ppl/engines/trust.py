"""How far a variational posterior can be trusted: the tail of the importance weights p(x, data) / q(x) of draws from it (Yao et al. 2018).

The log joint at a draw is the program's own bound at the statistics of that point. What a block adds at its optimum is the integral
over it, so discrete blocks, and those that rewrites brought, are integrated out where no two of them meet: the weights are then those
of the variables that the user reads, and a discrete variable of a thousand members does not spoil them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.compiler.blocks import Block
from ppl.compiler.kinds import kind_of
from ppl.compiler.plan import Plan, blocks_touched
from ppl.compiler.program import Data, Program, State, parts_of, put
from ppl.compiler.rewrites import HIDDEN
from ppl.compiler.rows import probabilities
from ppl.compiler.sampled import drawn, excess
from ppl.compiler.steps import smooth_variables
from ppl.engines.draws import drawn_variable, evaluator_at
from ppl.engines.vmp import Run, compiler_options
from ppl.graph.references import statement_uses
from ppl.results.pareto import Tail, tail_of

DRAWS = 1000
AT_ONCE = 2_000_000  # numbers
CHEAP = 30_000  # numbers up to which nobody need be asked


def tail(plan: Plan, run: Run, seed: int) -> Tail | None:
    """Of the weights of the posterior; None where it is exact, has no density, or is not finite."""
    integrated = integrated_blocks(plan)
    if not weighable(plan, integrated) or not np.isfinite(run.trace).all():
        return None
    return tail_of(log_weights(plan, run, integrated, draws=DRAWS, seed=seed))


def is_cheap(plan: Plan, run: Run) -> bool:
    return _numbers(plan, run) <= CHEAP


def _numbers(plan: Plan, run: Run) -> int:
    """How many numbers a draw and the data are."""
    latent = sum(int(np.prod(v.plates + v.event, dtype=int)) for v in plan.latents.values())
    return latent + sum(np.size(leaf) for leaf in jax.tree.leaves(run.program.data))


def weighable(plan: Plan, integrated: Sequence[str]) -> bool:
    """Whether the posterior is an approximation whose density can be told at a draw."""
    left = [b for b in plan.blocks if b.name not in integrated]
    return not plan.exact and not plan.branches and bool(left) and not any(b.point or b.structure is not None for b in left)


def integrated_blocks(plan: Plan) -> tuple[str, ...]:
    """Discrete blocks, and hidden ones that nothing is computed of, as long as no statement joins two of them."""
    bent = smooth_variables(plan.factors)
    read = bent | {used for many in plan.definitions.values() for d in many for used, _ in statement_uses(d)}
    wanted = sorted((b for b in plan.blocks if _is_nuisance(b, read)), key=lambda b: b.structure is None)
    found: list[str] = []
    for block in wanted:
        meets = (b.name for f in plan.factors if set(f.variables) & set(block.variables) for b in blocks_touched(f, plan.blocks))
        if block.turns is None and not set(found) & set(meets):
            found.append(block.name)
    return tuple(found)


def _is_nuisance(block: Block, read: frozenset[str]) -> bool:
    hidden = all(HIDDEN in name for name in block.variables) and not read & set(block.variables)
    return block.kind == "table" or block.structure is not None or hidden


def log_weights(plan: Plan, run: Run, integrated: Sequence[str], *, draws: int, seed: int) -> np.ndarray:
    """log p(x, data) - log q(x) of independent draws x from the posterior; their mean is at least the bound."""
    return _weighed(plan, run, integrated, draws=draws, seed=seed)[0]


def weighed_draws(plan: Plan, run: Run, names: Sequence[str], draws: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joint draws from the posterior by name, and their log weights; what is integrated out is drawn given the others."""
    log_weights, values = _weighed(plan, run, integrated_blocks(plan), draws=draws, seed=seed, valued=True)
    evaluator = evaluator_at(plan, values, stream(seed, "posterior"), draws)
    return {name: drawn_variable(name, evaluator, draws) for name in names}, log_weights


def _weighed(
    plan: Plan, run: Run, integrated: Sequence[str], *, draws: int, seed: int, valued: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Log weights, and where they are asked for the values of all latent variables."""
    skeleton = run.program.skeleton
    program = replace(skeleton, damping=0.0, layout=replace(skeleton.layout, at_points=True))
    numbers = _numbers(plan, run)
    layout, order = program.layout, [name for name in program.order if name not in integrated]

    def one(data: Data, fitted: State, messages: dict[int, Any], key: Any) -> tuple[Any, dict[str, Any]]:
        log_q, values = jnp.zeros((), program.dtype), {}
        former = {name: fitted["natural"][name] for name in integrated if name in fitted["natural"]}
        state: State = {"moments": fitted["moments"], "natural": former, "entropy": {}, "sums": {}}
        for name, own in zip(order, jax.random.split(key, len(order)), strict=True):
            block, parts = layout.blocks[name], parts_of(fitted, name)
            found, point = drawn(kind_of(block), block, layout.latents, parts, own)
            log_q = log_q + excess(kind_of(block), block, parts, point) - parts["entropy"]
            state, values = put(state, name, moments=point), values | found
        for k, name in enumerate(integrated):
            state = program.update(name, state, data, messages)
            if valued:
                values |= _drawn_given(program, name, state, data, jax.random.fold_in(key, k))
        return program.bound(state, data, messages) - log_q, values if valued else {}

    def many(data: Data, fitted: State, messages: dict[int, Any], key: Any) -> Any:
        keys = jax.random.split(key, draws)
        return jax.lax.map(lambda key: one(data, fitted, messages, key), keys, batch_size=max(1, AT_ONCE // max(numbers, 1)))

    arguments = (run.program.data, jax.tree.map(jnp.asarray, run.state), run.messages, jax.random.key(seed))
    ready = jax.jit(many).lower(*arguments).compile(compiler_options=compiler_options(run.program.data))
    found, values = ready(*arguments)
    return np.asarray(found), {name: np.asarray(value) for name, value in values.items()}


def _drawn_given(program: Program, name: str, state: State, data: Data, key: Any) -> dict[str, Any]:
    """The values of a block at its conditional; the table of one that is taken in rows is made for it."""
    block = program.layout.blocks[name]
    if name in data.rows:
        parts = {"moments": {"table": probabilities(data.rows[name], state["moments"], program.layout)}}
    else:
        parts = parts_of(state, name)
    return drawn(kind_of(block), block, program.layout.latents, parts, key)[0]
