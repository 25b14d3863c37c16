"""From the plan of a block to a posterior."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.engines.cache import use_compilation_cache
from ppl.engines.fitting import checked_options
from ppl.engines.precision import with_precision
from ppl.engines.vmp import Progress
from ppl.motion.mode import Mode, States, is_linear
from ppl.motion.plan import MotionPlan
from ppl.motion.report import MotionReport
from ppl.results.posterior import Posterior


def fit_motion(
    plan: MotionPlan,
    *,
    seed: int = 0,
    iterations: int | None = None,
    tolerance: float | None = None,
    restarts: int | None = None,
    dtype: Any = None,
    start: dict[str, np.ndarray] | None = None,
    progress: Progress | None = None,
) -> Posterior:
    """The posterior of a model with a generalized block. Raises AimError where nothing determines a state."""
    use_compilation_cache()
    precision = checked_options(dtype, iterations, tolerance, restarts)
    states, seconds = with_precision(precision, _states)(plan)
    report = MotionReport(plan, states.mean, states.covariance, plan.block.known, seed)
    bound = float(np.sum(states.bound))
    settled = bool(np.all(states.settled))
    return Posterior(
        model=plan.bound.model.name,
        doc=plan.bound.model.doc,
        engine=plan.engine,
        exact=False,
        status="not finite" if not np.isfinite(bound) else "converged" if settled else "iteration limit",
        iterations=1,
        elbo_trace=np.asarray([bound]),
        plan=plan,
        names=report.names,
        believe=with_precision(precision, report.believe),
        factor_energies=dict,
        joint_draws=with_precision(precision, report.joint_draws),
        seed=seed,
        seconds=seconds,
        warnings=tuple(d.message for d in plan.bound.warnings),
    )


def _states(plan: MotionPlan) -> tuple[States, dict[str, float]]:
    begun = time.perf_counter()
    outside = {n: jnp.asarray(v) for n, v in plan.block.known.items()}
    scheme = Mode(plan.block, is_linear(plan.block, plan.block.known))
    program = jax.jit(scheme).lower(outside).compile()
    compiled = time.perf_counter()
    found = jax.tree.map(np.asarray, program(outside))
    return found, {"compile": compiled - begun, "run": time.perf_counter() - compiled}
