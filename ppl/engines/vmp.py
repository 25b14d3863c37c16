"""Variational message passing: sweeps of a program until its bound and its beliefs stand still.

One compiled loop; restarts side by side under `vmap`, of which the best bound wins. An exact plan needs one sweep.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.plan import Plan
from ppl.compiler.program import Data, Program, State, make_program
from ppl.engines.starts import starting_labels

TOLERANCE = 1e-10
STANDING_STILL = 1e-6  # movement of a block, in units of its sd
ITERATIONS = 1000
BETWEEN_REPORTS = 25

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Run:
    """What a fit left: the state of the best start, and how it went."""

    program: Program
    state: State
    messages: dict[int, Any]
    trace: np.ndarray
    converged: bool
    restarts: int
    compile_seconds: float
    run_seconds: float


def run_vmp(
    plan: Plan,
    *,
    seed: int = 0,
    iterations: int | None = None,
    tolerance: float | None = None,
    restarts: int | None = None,
    dtype: Any = np.float64,
    start: dict[str, np.ndarray] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Fits the plan. `start` gives states of discrete blocks to begin from, by name, instead of drawn ones."""
    options = plan.options
    limit = int(iterations or options.get("iterations", ITERATIONS))
    limit = 1 if plan.exact else limit
    small = float(tolerance if tolerance is not None else options.get("tolerance", TOLERANCE))
    if np.dtype(dtype) == np.float32:
        small = max(small, 1e-6)
    count = 1 if plan.exact or start else int(restarts or options.get("restarts", 1))
    program = make_program(plan.latents, plan.blocks, plan.factors, damping=float(options.get("damping", 0.0)), dtype=dtype)
    rng = np.random.default_rng(seed)
    labels = [{k: jnp.asarray(v) for k, v in (start or starting_labels(plan, rng)).items()} for _ in range(count)]
    clock = time.perf_counter()
    compiled = _compile(program, labels[0], limit, count)
    compile_seconds = time.perf_counter() - clock
    clock = time.perf_counter()
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *labels) if count > 1 else labels[0]
    carry = compiled["start"](program.data, stacked)
    still = STANDING_STILL if np.dtype(dtype) == np.float64 else 1e-3
    while not plan.exact:
        done = int(np.max(carry["iterations"]))
        stop = limit if progress is None else min(limit, done + BETWEEN_REPORTS)
        carry = compiled["sweeps"](program.data, carry, stop, small, still)
        done = int(np.max(carry["iterations"]))
        if progress is not None:
            progress(done, float(np.max(carry["bound"])))
        if bool(np.all(carry["converged"])) or done >= limit:
            break
    best = int(np.argmax(np.nan_to_num(np.asarray(carry["bound"]), nan=-np.inf))) if count > 1 else 0
    chosen = jax.tree.map(lambda a: a[best], carry) if count > 1 else carry
    swept = int(chosen["iterations"])
    trace = np.asarray(chosen["trace"])[:swept]
    run_seconds = time.perf_counter() - clock
    converged = bool(chosen["converged"]) or plan.exact
    return Run(program, chosen["state"], chosen["messages"], trace, converged, count, compile_seconds, run_seconds)


def _compile(program: Program, labels: dict[str, Any], limit: int, count: int) -> dict[str, Any]:
    """The compiled start and loop, for one start or for several side by side."""

    def begin(data: Data, given: dict[str, Any]) -> dict[str, Any]:
        messages = program.prepare(data)
        state = program.start(data, given)
        state = program.sweep(state, data, messages)
        bound = program.bound(state, data, messages)
        trace = jnp.full((limit,), jnp.nan, bound.dtype).at[0].set(bound)
        return {"state": state, "messages": messages, "bound": bound, "trace": trace, "iterations": jnp.asarray(1), "converged": jnp.asarray(False)}

    def once(data: Data, carry: dict[str, Any], small: Any, still: Any) -> dict[str, Any]:
        state = program.sweep(carry["state"], data, carry["messages"])
        bound = program.bound(state, data, carry["messages"])
        flat = jnp.abs(bound - carry["bound"]) <= small * (1.0 + jnp.abs(bound))
        moved = program.movement(state, carry["state"])
        return {
            **carry,
            "state": state,
            "bound": bound,
            "trace": carry["trace"].at[carry["iterations"]].set(bound),
            "iterations": carry["iterations"] + 1,
            "converged": flat & (moved <= still),
        }

    def sweeps(data: Data, carry: dict[str, Any], stop: Any, small: Any, still: Any) -> dict[str, Any]:
        def going(c: dict[str, Any]) -> Any:
            return (c["iterations"] < stop) & ~c["converged"] & jnp.isfinite(c["bound"])

        return jax.lax.while_loop(going, lambda c: once(data, c, small, still), carry)

    if count > 1:
        begin, sweeps = jax.vmap(begin, in_axes=(None, 0)), jax.vmap(sweeps, in_axes=(None, 0, None, None, None))
    return {"start": jax.jit(begin), "sweeps": jax.jit(sweeps)}

