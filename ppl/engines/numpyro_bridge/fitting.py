"""The engines of this package: each gives draws of the coordinates, and these one kind of posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import word
from ppl.engines.cache import use_compilation_cache
from ppl.engines.fitting import check_possible
from ppl.engines.numpyro_bridge import laplace, nuts, svi
from ppl.engines.numpyro_bridge.counts import counted, left_out, still_longer, taken_further
from ppl.engines.numpyro_bridge.joint import Beside, LogJoint, log_joint_of
from ppl.engines.numpyro_bridge.networks import told_networks
from ppl.engines.numpyro_bridge.options import Options, options_of
from ppl.engines.numpyro_bridge.report import DrawsReporter
from ppl.engines.numpyro_bridge.states import run_states
from ppl.engines.numpyro_bridge.structure import Drawn
from ppl.engines.numpyro_bridge.surface import run_surface
from ppl.engines.precision import with_precision
from ppl.engines.routing import BridgePlan
from ppl.graph.bound import BoundModel
from ppl.results.pareto import GOOD, Tail, tail_of
from ppl.results.posterior import Posterior
from ppl.semantics.typed import Approximation, Network
from ppl.source.diagnostics import AimError, Diagnostic

LARGEST_RHAT = 1.01


@dataclass(frozen=True)
class Outcome:
    """What an engine left: draws of the coordinates (runs × draws × coordinates), and how it went."""

    draws: np.ndarray = field(repr=False)
    status: str
    iterations: int
    trace: np.ndarray = field(repr=False)
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    weights: Mapping[str, Any] = field(default_factory=dict, repr=False)
    chains: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    tail: Tail | None = None
    encoders: tuple[Network, ...] = ()  # of the approximation


def fit_bound(
    bound: BoundModel,
    engine: str,
    *,
    seed: int,
    dtype: Any,
    options: Mapping[str, Any] | None,
    approximation: Approximation | None,
    reasons: tuple[str, ...],
    beside: Beside | None = None,
) -> Posterior:
    """The posterior by one of the engines."""
    use_compilation_cache()
    precision = np.dtype(dtype or np.float64)
    given = {**(approximation.options if approximation else {}), **(options or {})}
    span = approximation.engine_span if approximation else None
    settings = {"nuts": nuts.SETTINGS, "svi": svi.SETTINGS, "laplace": laplace.SETTINGS}[engine]
    chosen = options_of(engine, settings, given, span)
    joint, outcome, reporter, extra = with_precision(precision, _run)(bound, engine, chosen, seed, approximation, beside)
    return Posterior(
        model=bound.model.name,
        doc=bound.model.doc,
        engine=engine,
        exact=outcome.status == "exact",
        status=outcome.status,
        iterations=outcome.iterations,
        elbo_trace=outcome.trace,
        plan=BridgePlan(bound, engine, approximation, (*reasons, *_coordinates(joint), *outcome.reasons)),
        names=reporter.names,
        believe=with_precision(precision, reporter.believe),
        factor_energies=lambda: {},
        seed=seed,
        chains=outcome.chains,
        seconds=outcome.seconds,
        warnings=(*(d.message for d in bound.warnings), *outcome.warnings, *extra),
        joint_draws=with_precision(precision, reporter.joint_draws),
        tail=lambda: outcome.tail,
        tail_is_cheap=outcome.tail is not None,
        networks=told_networks((*bound.model.networks.values(), *outcome.encoders), bound),
    )


def _run(
    bound: BoundModel, engine: str, options: Options, seed: int, approximation: Approximation | None, beside: Beside | None
) -> tuple[LogJoint, Outcome, DrawsReporter, list[str]]:
    joint, told = _joint(bound, engine) if beside is None else (log_joint_of(bound, beside=beside), ())
    _refuse_forms(joint, engine, approximation)
    while True:
        outcome = _outcome(joint, engine, options, seed, approximation)
        reporter = DrawsReporter(joint, outcome.draws, outcome.weights, seed, chains=outcome.chains)
        longer = still_longer(joint, reporter.probabilities) if joint.structure.endless else taken_further(joint, outcome.draws)
        if longer is None:
            break
        joint = longer
    apart = _disagreements(joint, reporter) if outcome.chains else []
    cut = left_out(joint, reporter.probabilities) if joint.structure.endless else []
    outcome = replace(outcome, status="not converged" if apart else outcome.status, reasons=(*told, *outcome.reasons))
    return joint, outcome, reporter, [*apart, *cut]


def _joint(bound: BoundModel, engine: str) -> tuple[LogJoint, tuple[str, ...]]:
    """The log joint, with states summed over; where they are too many for that and a sampler asks, with states that it can draw: those of
    counts without an end only where nothing else will do."""
    ways: tuple[Drawn, ...] = ("nothing", "finite", "all")
    told: list[str] = []
    for drawn in ways:
        try:
            joint = counted(bound, drawn=drawn)
            if (joint.structure.enumerated or joint.structure.drawn) and not joint.weights:
                jax.eval_shape(joint, jnp.zeros(joint.size))
            return joint, tuple(dict.fromkeys(told))
        except AimError as error:
            if any(d.code != "AIM0742" for d in error.diagnostics) or drawn == ways[-1]:
                raise
            if engine != "nuts":
                raise _without_states(error, engine) from None
            told += [d.message for d in error.diagnostics]
    raise AssertionError("the last way returns or raises")


def _without_states(error: AimError, engine: str) -> AimError:
    """Why an engine whose posterior is a Gaussian cannot serve states that are too many to be summed over."""
    text = f"the engine `{engine}` cannot serve this model: its Gaussian holds no discrete states, and they cannot be summed out"
    return AimError(
        [Diagnostic("AIM0510", f"{text}: {d.message}", d.span, "write `use nuts`, which draws them in turn") for d in error.diagnostics]
    )


def _outcome(joint: LogJoint, engine: str, options: Options, seed: int, approximation: Approximation | None) -> Outcome:
    if joint.bound.equalities:
        return _sampled(joint, run_surface(joint, options, seed))
    if joint.size == 0 and not joint.weights:
        return _summed(joint, options)
    if engine == "nuts":
        return _sampled(joint, (run_states if joint.structure.drawn else nuts.run_nuts)(joint, options, seed))
    if engine == "svi":
        return _svi(joint, options, seed, approximation)
    return _laplace(joint, options, seed)


def _refuse_forms(joint: LogJoint, engine: str, approximation: Approximation | None) -> None:
    """Raises AimError where the engine cannot serve the networks or the forms of the approximation."""
    if engine == "svi":
        return
    network = next((joint.bound.model.networks[n] for n in joint.weights), None)
    if network is not None:
        text = f"the engine `{engine}` cannot serve this model: the weights of `{network.name}` are learnt, and have no prior"
        raise AimError([Diagnostic("AIM0510", text, network.span, "write `use svi`, or give it a prior: `prior = Normal(0, 1)`")])
    if approximation and (approximation.forms or approximation.amortised):
        text = f"the engine `{engine}` makes no use of forms of a posterior, which this approximation asks for"
        raise AimError([Diagnostic("AIM0510", text, approximation.span, "write `use svi`")])


def _coordinates(joint: LogJoint) -> tuple[str, ...]:
    """What a reader should know of the coordinates."""
    found = [
        f"{s.name} is standardised: its coordinates are (value - mean) / sd, whose spread is latent" for s in joint.sites if s.standardised
    ]
    found += [f"each state of {name} is drawn in turn, given everything else" for name in joint.structure.drawn]
    for name, size in joint.structure.enumerated.items():
        told = f"the counts 0 to {size - 1}" if name in joint.structure.endless else f"its {size} states"
        found.append(f"{name} is summed over {told}")
    return tuple(found)


# ------------------------------------------------------------------ the engines
def _summed(joint: LogJoint, options: Options) -> Outcome:
    """Where nothing is continuous: all states are summed over, and their draws are independent."""
    evidence = np.array([float(jax.jit(lambda u: joint(u))(jnp.zeros(0)))])
    check_possible(evidence)
    told = "nothing latent is continuous: the sum over all states is exact, and nothing is left for a sampler"
    return Outcome(np.zeros((1, options.whole("draws"), 0)), "exact", 1, evidence, (), (told,))


def _sampled(joint: LogJoint, chains: nuts.Chains) -> Outcome:
    warnings = []
    if chains.divergences:
        told = "1 transition" if chains.divergences == 1 else f"{chains.divergences} transitions"
        warnings.append(f"{told} diverged: part of the posterior may be missed; try `target_accept = 0.95`")
    if chains.longest:
        warnings.append(f"{chains.longest} draws used the deepest tree: mixing is slow, though the draws are valid")
    return Outcome(
        chains.draws,
        "converged",
        chains.draws.shape[0] * chains.draws.shape[1],
        np.zeros(0),
        tuple(warnings),
        chains=len(chains.draws),
        seconds={"compile": chains.compile_seconds, "run": chains.run_seconds},
    )


def _disagreements(joint: LogJoint, reporter: DrawsReporter) -> list[str]:
    """The variables whose chains do not agree."""
    found = []
    for site in joint.sites:
        rhat = np.asarray(reporter.rhat(site))
        if np.nanmax(rhat, initial=1.0) > LARGEST_RHAT:
            found.append(f"R-hat of `{site.name}` is {np.nanmax(rhat):.3f}: the chains do not agree yet, give more `draws`")
    return found


def _svi(joint: LogJoint, options: Options, seed: int, approximation: Approximation | None) -> Outcome:
    fitted = svi.run_svi(joint, options, seed, approximation)
    points = frozenset(n for n, form in (approximation.forms if approximation else {}).items() if form == "point")

    def one(key: Any) -> tuple[Any, Any]:
        u, log_density = fitted.guide.draw(fitted.parameters, key)
        return u, joint(u, fitted.weights, points) - log_density

    count = options.whole("draws")
    if joint.size:
        u, log_weights = _many(one, count, seed)
        reasons = [f"the guide is a Gaussian of {len(fitted.guide.free)} coordinates with a {fitted.guide.covariance} covariance"]
        tail = tail_of(log_weights)
        warnings, told = _trust(tail, "svi")
    else:
        u, log_weights = np.zeros((count, 0)), np.array([float(jax.jit(one)(jax.random.PRNGKey(0))[1])])
        reasons, tail, warnings, told = [], None, [], "only weights of networks are learnt: they are a point of largest likelihood"
    reasons += [f"the posterior of {a.name} is told by the network {a.network.name}" for a in fitted.guide.amortised]
    if fitted.batch is not None:
        reasons.append(f"each step sees {fitted.batch.size} of the {fitted.batch.whole} members of {fitted.batch.key}")
    if not fitted.converged:
        warnings.append(f"the bound still rose after {fitted.steps} steps: give more `steps`")
    return Outcome(
        u[None],
        "converged" if fitted.converged else "iteration limit",
        fitted.steps,
        np.append(fitted.trace, log_weights.mean()),
        tuple(warnings),
        (*reasons, told),
        {**fitted.weights, **{a.network.name: fitted.parameters[f"encoder {a.name}"] for a in fitted.guide.amortised}},
        tail=tail,
        encoders=tuple(a.network for a in fitted.guide.amortised),
    )


def _laplace(joint: LogJoint, options: Options, seed: int) -> Outcome:
    mode = laplace.find_mode(joint, seed, options.whole("restarts"), options.whole("steps"))
    if mode.root is None:
        raise laplace.refuse_flat(joint.bound.model.name)
    root = jnp.asarray(mode.root)
    volume = float(np.sum(np.log(np.diag(mode.root))) + 0.5 * joint.size * np.log(2 * np.pi))

    def one(key: Any) -> tuple[Any, Any]:
        noise = jax.random.normal(key, (joint.size,))
        u = mode.at + root @ noise
        return u, joint(u) + 0.5 * noise @ noise + volume

    u, log_weights = _many(one, options.whole("draws"), seed)
    tail = tail_of(log_weights)
    warnings, told = _trust(tail, "laplace")
    estimate = f"Laplace's estimate of the log evidence is {mode.log_evidence:.6g} nats"
    found = mode.gradient < 1e-3
    if not found:
        warnings.append("the ascent ended before a mode: give more `steps`")
    return Outcome(
        u[None],
        "converged" if found else "iteration limit",
        1,
        np.array([log_weights.mean()]),
        tuple(warnings),
        (estimate, told),
        tail=tail,
    )


def _many(one: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws with the logs of their importance weights."""
    draws = jax.jit(lambda key: jax.lax.map(one, jax.random.split(key, count), batch_size=100))
    u, log_weights = draws(jax.random.PRNGKey(word(seed, "weighed")))
    return np.asarray(u), np.asarray(log_weights)


def _trust(tail: Tail, engine: str) -> tuple[list[str], str]:
    """k-hat of the approximation: what to warn of, and what to say."""
    told = f"k-hat of the approximation is {tail.khat:.2f}, and importance weights keep {tail.share:.0%} of the draws"
    if tail.good:
        return [], told
    warning = f"k-hat is {tail.khat:.2f}, above {GOOD}: the posterior by `{engine}` may be far from the true one; `use nuts` to be sure"
    return [warning], told
