"""From the plan of a block to a posterior."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.engines.cache import use_compilation_cache
from ppl.engines.fitting import checked_options
from ppl.engines.precision import with_precision
from ppl.engines.vmp import Progress
from ppl.graph.bound import BoundModel
from ppl.motion import mode, smooth
from ppl.motion.acting import act
from ppl.motion.block import Outside, level
from ppl.motion.environments import act_in
from ppl.motion.flow import Flow
from ppl.motion.flow_learning import FlowLearning
from ppl.motion.learning import Learning
from ppl.motion.learnt import Learnt, Path, spread
from ppl.motion.linearised import Linearised
from ppl.motion.mode import Mode
from ppl.motion.parameters import Parameters
from ppl.motion.plan import MotionPlan
from ppl.motion.questions import MotionQuestions
from ppl.motion.report import MotionReport
from ppl.motion.smooth import Smooth
from ppl.motion.states import States
from ppl.numerics.compilation import lightly
from ppl.results.posterior import Posterior

FITS = 5  # of a record, that its states are worth passes of the compiler for


@dataclass(frozen=True)
class Limits:
    """Of the search for what is latent beside the states."""

    sweeps: int | None
    tolerance: float | None
    restarts: int | None
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a scheme left: the states, what is learnt beside them, and how it went."""

    states: States
    learnt: Learnt
    trace: np.ndarray = field(repr=False)
    converged: bool
    seconds: dict[str, float]
    exact: bool = False
    restarts: int = 1


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
    environment: Any = None,
) -> Posterior:
    """The posterior of a model with a generalized block; `iterations` limits the sweeps over parameters and precisions. In an `environment`
    the model acts."""
    use_compilation_cache()
    precision = checked_options(dtype, iterations, tolerance, restarts)
    acted: Mapping[str, np.ndarray] = {}
    if environment is not None:
        plan, acted = with_precision(precision, act_in)(plan, environment, seed)
    elif plan.process is not None:
        plan, acted = with_precision(precision, act)(plan, seed)
    outcome = with_precision(precision, _outcome)(plan, Limits(iterations, tolerance, restarts, seed))
    linearised = Linearised(plan.block, outcome.states.mean, outcome.states.covariance, outcome.learnt)
    report = MotionReport(plan, linearised, seed, acted)
    finite = bool(np.isfinite(outcome.trace).all())
    return Posterior(
        model=plan.bound.model.name,
        doc=plan.bound.model.doc,
        engine=plan.engine,
        exact=outcome.exact and finite,
        status="not finite" if not finite else "exact" if outcome.exact else "converged" if outcome.converged else "iteration limit",
        iterations=max(1, len(outcome.trace) - 1),
        elbo_trace=outcome.trace,
        plan=plan,
        names=report.names,
        believe=with_precision(precision, report.believe),
        factor_energies=dict,
        joint_draws=with_precision(precision, report.joint_draws),
        seed=seed,
        restarts=outcome.restarts,
        seconds=outcome.seconds,
        questions=MotionQuestions(plan.bound, _no_model, dict, report=report),
        warnings=(*(d.message for d in plan.bound.warnings), *_warnings(plan, outcome, finite)),
    )


def _no_model(bound: BoundModel) -> Posterior:
    raise AssertionError(f"`{bound.model.name}` is fitted again by whoever holds its model")


def _warnings(plan: MotionPlan, outcome: Outcome, finite: bool) -> list[str]:
    if not finite:
        names = ", ".join(f"`{x.name}`" for x in plan.block.unknowns)
        try_this = (
            "say where states begin, or shorten `dt` if they outrun it"
            if plan.engine == "smooth"
            else "observe more, or try scheme = smooth"
        )
        return [f"the free energy is not finite: nothing determines some of {names} at some bin; {try_this}"]
    found = [] if outcome.converged else ["not converged: give more `iterations`, or a larger `tolerance`"]
    if plan.latent and plan.engine != "smooth":
        names = ", ".join(f"`{n}`" for n in plan.latent)
        text = f"`{plan.engine}` counts a sample once for each window that it is in: what it learns of {names} may be far off, and surer"
        found.append(f"{text} than the record allows; scheme = smooth counts each sample once")
    return found


def _outcome(plan: MotionPlan, limits: Limits) -> Outcome:
    parameters = Parameters(plan, conjugate=plan.engine != "flow")
    if plan.latent:
        return _learnt(plan, parameters, limits)
    begun = time.perf_counter()
    outside = parameters.whole(jnp.zeros(0), {})
    scheme = scheme_of(plan, outside)
    program = jax.jit(scheme, compiler_options=lightly(level(plan.block, FITS))).lower(outside).compile()
    compiled = time.perf_counter()
    states = jax.tree.map(np.asarray, program(outside))
    seconds = {"compile": compiled - begun, "run": time.perf_counter() - compiled}
    trace, settled, learnt = np.asarray([states.bound.sum()]), bool(states.settled.all()), Learnt(parameters)
    exact = isinstance(scheme, Smooth) and scheme.linear
    return Outcome(*_by_bin(scheme, states, learnt), trace, settled, seconds, exact)


def scheme_of(plan: MotionPlan, outside: Outside) -> Mode | Flow | Smooth:
    """What infers the states, given values of what is outside of the block."""
    match plan.engine:
        case "flow":
            return Flow(plan.block, followed=plan.followed)
        case "smooth":
            return Smooth(plan.block, smooth.is_linear(plan.block, outside))
    return Mode(plan.block, mode.is_linear(plan.block, outside))


def _by_bin(scheme: Any, states: States, learnt: Learnt) -> tuple[States, Learnt]:
    """The belief in the unknowns at each bin, where the scheme has others: linear in these and in what is latent outside of the block."""
    if not isinstance(scheme, Smooth):
        return states, learnt

    def told(u: Any, at: Any) -> Any:
        return scheme.told(u, learnt.parameters.outside(at, learnt.precisions))

    def sloped(u: Any, at: Any) -> tuple[Any, Any, Any]:
        outside = learnt.parameters.outside(at, learnt.precisions)
        return told(u, at), scheme.told_slopes(u, outside), jax.jacfwd(told, 1)(u, at)

    given = jnp.asarray(states.mean), jnp.asarray(learnt.at)
    mean, slopes, direct = (np.asarray(a) for a in jax.jit(sloped, compiler_options=lightly())(*given))
    whole = states.covariance[:, 0]
    covariance = spread(slopes, whole)
    moves = None if learnt.moves is None else np.einsum("stip,spk->stik", slopes, learnt.moves[:, 0]) + direct
    return replace(states, mean=mean, covariance=covariance), replace(learnt, moves=moves, path=Path(slopes, whole))


def _learnt(plan: MotionPlan, parameters: Parameters, limits: Limits) -> Outcome:
    if plan.engine == "flow":
        return _learnt_by_flow(plan, parameters, limits.sweeps)
    begun = time.perf_counter()
    first = parameters.whole(parameters.start, {g.name: g.shape / g.rate for g in parameters.gammas})
    scheme = scheme_of(plan, first)
    assert not isinstance(scheme, Flow)  # the plan refuses it
    learning = Learning(scheme, parameters)
    learning.program(learning.start.at, learning.start.gammas)
    compiled = time.perf_counter()
    belief, last, trace, converged = learning.fit(limits.sweeps, limits.tolerance, restarts=limits.restarts, seed=limits.seed)
    last = jax.tree.map(np.asarray, last)
    gammas = {n: (float(a), float(b)) for n, (a, b) in belief.gammas.items()}
    learnt = Learnt(parameters, np.asarray(belief.at), last.covariance, last.moves, gammas)
    seconds = {"compile": compiled - begun, "run": time.perf_counter() - compiled}
    settled = converged and bool(last.states.settled.all())
    return Outcome(*_by_bin(scheme, last.states, learnt), trace, settled, seconds, restarts=limits.restarts or 1)


def _learnt_by_flow(plan: MotionPlan, parameters: Parameters, sweeps: int | None) -> Outcome:
    begun = time.perf_counter()
    first = parameters.whole(parameters.start, {})
    learning = FlowLearning(Flow(plan.block, frozenset(plan.latent)), parameters, mode.is_linear(plan.block, first))
    learning.program(parameters.start, jnp.zeros((len(learning.in_means),) * 2))
    compiled = time.perf_counter()
    states, at, covariance, trace, settled = learning.fit(sweeps)
    seconds = {"compile": compiled - begun, "run": time.perf_counter() - compiled}
    return Outcome(states, Learnt(parameters, at, covariance), trace, settled, seconds)
