"""From a plan to a posterior: the engine runs, and what it left is told as beliefs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ppl.compiler.plan import Plan
from ppl.engines.again import Kept
from ppl.engines.branches import IMPOSSIBLE, fit_branches, total_run
from ppl.engines.cache import use_compilation_cache
from ppl.engines.nodes import fit_nodes
from ppl.engines.precision import with_precision
from ppl.engines.reports import Reporter
from ppl.engines.routing import BridgePlan, fit_routed
from ppl.engines.vmp import Beginning, Progress, Run, run_vmp
from ppl.results.pareto import Tail
from ppl.results.posterior import Posterior
from ppl.source.diagnostics import AimError, Diagnostic

ROUNDING = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-4}  # what a bound may fall by, relative to itself


def fit_plan(
    plan: Plan | BridgePlan,
    *,
    seed: int = 0,
    iterations: int | None = None,
    tolerance: float | None = None,
    restarts: int | None = None,
    dtype: Any = None,
    start: dict[str, np.ndarray] | Beginning | None = None,
    progress: Progress | None = None,
) -> Posterior:
    """The posterior of a plan. Raises AimError where the data are impossible under the model."""
    use_compilation_cache()
    if isinstance(start, Beginning) and (isinstance(plan, BridgePlan) or plan.engine == "gibbs" or plan.branches):
        text = f"a fit of `{plan.bound.model.name}` by `{plan.engine}` does not begin at beliefs"
        raise AimError([Diagnostic("AIM0505", text, None, "leave `start` out")])
    if isinstance(plan, BridgePlan):
        return fit_routed(plan, {"seed": seed, "iterations": iterations, "tolerance": tolerance, "restarts": restarts, "dtype": dtype})
    precision = checked_options(dtype, iterations, tolerance, restarts)
    if plan.engine == "gibbs":
        return _fit_gibbs(plan, seed, iterations, precision)

    def run_one(one: Plan) -> Run:
        run = with_precision(precision, run_vmp)
        return run(
            one, seed=seed, iterations=iterations, tolerance=tolerance, restarts=restarts, dtype=precision, start=start, progress=progress
        )

    tail, cheap, weighed = None, False, None
    if plan.branches:
        reporter, runs = (fit_nodes if plan.integrated else fit_branches)(plan, run_one, seed)
        run = total_run(runs, reporter.log_evidence)
    else:
        run = run_one(plan)
        reporter = Reporter(plan, run, seed)
        with_precision(precision, _check_fall)(plan, run, precision)
        tail, cheap = _tail(plan, run, seed, precision)
        weighed = _weighed(plan, run, reporter.names, precision)
    check_possible(run.trace)
    status, warnings = _status(plan, run)
    if plan.improper:
        warnings.append(f"the prior of {', '.join(f'`{n}`' for n in plan.improper)} is improper: the bound holds no evidence")
    return Posterior(
        model=plan.bound.model.name,
        doc=plan.bound.model.doc,
        engine=plan.engine,
        exact=status == "exact",
        status=status,
        iterations=len(run.trace),
        elbo_trace=run.trace,
        accuracy_trace=None if plan.branches or run.accuracy is None or np.isnan(run.accuracy).any() else run.accuracy,
        plan=plan,
        names=reporter.names,
        believe=with_precision(precision, reporter.believe),
        factor_energies=with_precision(precision, reporter.factor_energies),
        joint_draws=with_precision(precision, reporter.joint_draws),
        joint_blocks=with_precision(precision, reporter.joint_blocks),
        tail=tail,
        tail_is_cheap=cheap,
        weighed_draws=weighed,
        kept=None if plan.branches else Kept(plan, run),
        seed=seed,
        restarts=run.restarts,
        seconds={"compile": run.compile_seconds, "run": run.run_seconds},
        warnings=(*(d.message for d in plan.bound.warnings), *warnings),
    )


def _tail(plan: Plan, run: Run, seed: int, precision: np.dtype) -> tuple[Callable[[], Tail | None] | None, bool]:
    """What computes the tail of the weights when it is asked for, and whether that is cheap; exact posteriors have none."""
    if plan.exact:
        return None, False
    from ppl.engines import trust

    return with_precision(precision, lambda: trust.tail(plan, run, seed)), trust.is_cheap(plan, run)


def _weighed(
    plan: Plan, run: Run, names: Sequence[str], precision: np.dtype
) -> Callable[[int, int], tuple[dict[str, np.ndarray], np.ndarray]] | None:
    """What draws with importance weights, of a posterior that has such."""
    if plan.exact or not np.isfinite(run.trace).all():
        return None
    from ppl.engines import trust

    if not trust.weighable(plan, trust.integrated_blocks(plan)):
        return None
    return with_precision(precision, lambda n, seed: trust.weighed_draws(plan, run, names, n, seed))


def _fit_gibbs(plan: Plan, seed: int, draws: int | None, precision: np.dtype) -> Posterior:
    """The posterior by chains of draws."""
    from ppl.engines.gibbs import ChainsReporter, run_gibbs, settings

    chains = with_precision(precision, run_gibbs)(plan, settings(plan, draws), seed=seed, dtype=precision)
    reporter = ChainsReporter(plan, chains, seed)
    finite = all(np.isfinite(values).all() for values in chains.draws.values())
    apart = reporter.disagreements() if finite else ["the draws are not finite: a conditional is improper; try other priors"]
    return Posterior(
        model=plan.bound.model.name,
        doc=plan.bound.model.doc,
        engine="gibbs",
        exact=False,
        status="not finite" if not finite else "not converged" if apart else "converged",
        iterations=chains.length.chains * chains.length.draws,
        elbo_trace=np.zeros(0),
        plan=plan,
        names=reporter.names,
        believe=reporter.believe,
        factor_energies=lambda: {},
        joint_draws=reporter.joint_draws,
        seed=seed,
        chains=chains.length.chains,
        seconds={"compile": chains.compile_seconds, "run": chains.run_seconds},
        warnings=(*(d.message for d in plan.bound.warnings), *([chains.told] if chains.told else []), *apart),
    )


def checked_options(dtype: Any, iterations: int | None, tolerance: float | None, restarts: int | None) -> np.dtype:
    """The precision that is asked for. Raises AimError where an option makes no sense."""
    wrong = []
    for name, value in (("iterations", iterations), ("restarts", restarts)):
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            wrong.append(Diagnostic("AIM0505", f"`{name}` is a whole number, 1 or more; {value!r} is not"))
    if tolerance is not None and not tolerance >= 0:
        wrong.append(Diagnostic("AIM0505", f"`tolerance` is a number, 0 or more; {tolerance!r} is not"))
    try:
        precision = np.dtype(dtype or np.float64)
    except TypeError:
        precision = np.dtype(object)
    if precision not in ROUNDING:
        wrong.append(Diagnostic("AIM0505", f"`dtype` is float64 or float32; {dtype!r} is not"))
    if wrong:
        raise AimError(wrong)
    return precision


def _status(plan: Plan, run: Run) -> tuple[str, list[str]]:
    if not np.isfinite(run.trace).all():
        return "not finite", ["the bound is not finite: the fit stopped at a belief that is improper; try other priors or `restarts`"]
    if plan.exact:
        return "exact", []
    if run.converged:
        return "converged", []
    return "iteration limit", [f"not converged in {len(run.trace)} sweeps: give more `iterations`, or a larger `tolerance`"]


def check_possible(trace: np.ndarray) -> None:
    """Raises AimError where the data cannot be under the model."""
    if len(trace) and trace[-1] < IMPOSSIBLE:
        text = "the data are impossible under this model: their probability is 0"
        raise AimError([Diagnostic("AIM0805", text, None, "look for a probability 0 that an observation meets")])


def _check_fall(plan: Plan, run: Run, precision: np.dtype) -> None:
    """A bound that falls would be a mistake of the engine: told with the block and the statements.

    In single precision it may also be rounding, which grows with the condition of the problem, so nothing is said there.
    """
    finite = run.trace[np.isfinite(run.trace)]
    falls = finite[:-1] - finite[1:]
    allowed = ROUNDING[precision] * (1.0 + np.abs(finite[:-1]))
    if precision == np.float64 and plan.options.get("damping", 0.0) == 0.0 and (falls > allowed).any():
        from ppl.engines.falling import blame

        sweep = int(np.argmax(falls - allowed)) + 1
        text = f"the bound fell by {falls.max():.3g} nats at sweep {sweep + 1}, {blame(plan, run)}: a mistake of ppl's, not of the model's"
        raise AimError([Diagnostic("AIM0902", text, None, "please report it with the model; `use vmp(damping = 0.5)` may help meanwhile")])
