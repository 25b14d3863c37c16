"""Fitting an agent to behaviour: its parameters given a record of what it saw and did, as an ordinary posterior.

The random statements of the parameters are a model of its own, and the behaviour is one more factor of it: a log density beside that
of the statements. So every engine that works on log densities serves, and what comes back is what any other fit gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import jax
import numpy as np

from ppl.agents.behaviour import Behaviour, Told
from ppl.agents.network import AgentNetwork, build
from ppl.agents.parameters import behind, integrated_precision, may_be_learnt, random_names, readings
from ppl.agents.record import Record, read_record
from ppl.engines import numpyro_bridge as bridge
from ppl.engines.cache import use_compilation_cache
from ppl.engines.precision import with_precision
from ppl.engines.questions import ModelQuestions
from ppl.engines.routing import BridgePlan, fit_routed
from ppl.graph.bound import BoundModel
from ppl.graph.dataset import Dataset
from ppl.results.axes import Axis
from ppl.results.posterior import Posterior
from ppl.results.questions import Draws, NewData, Pointwise
from ppl.semantics import typed
from ppl.semantics.typed import Approximation
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic

ENGINES = ("nuts", "svi", "laplace")
TRIED = 4  # values of the parameters at which a record is looked at before it is fitted
BATCH = 250  # draws whose likelihoods are computed at once


@dataclass(frozen=True)
class Fittable:
    """An agent with what is given. `prior` is the model of its parameters alone, `tried` some possible values of them."""

    bound: BoundModel
    prior: BoundModel
    tried: tuple[Mapping[str, np.ndarray], ...] = field(repr=False)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The parameters that are not given."""
        return tuple(n for n in random_names(self.prior.model) if not np.all(self.prior.observed.get(n, False)))

    def behaviour(self, datasets: Sequence[Dataset], rates: tuple[float, float] = (1.0, 1.0)) -> Behaviour:
        """A record as a function of the parameters. Raises `AimError` where it holds nothing that tells of them."""
        _refuse_structural(self.bound.model, set(self.unknown))
        network = build(self.bound, self.tried[0])
        record = read_record(network, datasets)
        behaviour = Behaviour(self.bound, record, self.tried[0], rates)
        _refuse_untold(behaviour, datasets[0].name)
        behaviour, told = behaviour.followed_enough(self.tried)
        _refuse_impossible(behaviour, network, told)
        return behaviour


def fittable(bound: BoundModel) -> Fittable:
    """The parameters of an agent, told from the tables that it learns."""
    names = random_names(bound.model)
    tried = with_precision(np.float64, bridge.values_inside)(_alone(bound, names), TRIED, 0) if names else [{}]
    learnt = [n for n in names if n not in bound.values and may_be_learnt(bound.model, n) and _learns(bound, n, tried[0])]
    prior = _alone(bound, [n for n in names if n not in learnt])
    return Fittable(bound, prior, tuple({n: v[n] for n in random_names(prior.model)} for v in tried))


def unknown_of(bound: BoundModel) -> tuple[str, ...]:
    """The parameters of an agent that are not given; a precision that a run takes the expectation over is one."""
    try:
        build(bound)
    except AimError as error:
        if {d.code for d in error.diagnostics} <= {"AIM0411", "AIM0412"}:
            return fittable(bound).unknown
        raise
    latent = integrated_precision(bound.model)
    return (latent,) if latent is not None and latent not in bound.values else ()


def _learns(bound: BoundModel, name: str, values: Mapping[str, Any]) -> bool:
    """Whether a random table stands by itself wherever it is read, and is read by tables only."""
    try:
        network = build(bound, {n: values[n] for n in random_names(bound.model) if n != name})
    except AimError as error:
        if {d.code for d in error.diagnostics} <= {"AIM0411", "AIM0412"}:
            return False
        raise
    tables = (*network.initial.values(), *network.transitions.values(), *network.observations.values())
    return any(name in table.rows for table in tables)


def _alone(bound: BoundModel, names: Sequence[str]) -> BoundModel:
    """The model of these random variables, with what is computed from them alone."""
    model = bound.model
    random = {n for n, v in model.variables.items() if v.role == "random"}
    computed = {n for n, v in model.variables.items() if v.role == "deterministic" and behind({n}, model) & random <= set(names)}
    others = {n for n in random if n not in names} | {n for n, v in model.variables.items() if v.role == "deterministic"} - computed
    kept = {n: v for n, v in model.variables.items() if n not in others}
    statements = tuple(s for s in model.statements if s.variable in kept)
    for statement in statements:
        if isinstance(statement, typed.RandomStatement) and (lost := _read(statement, model) & others):
            name = sorted(lost)[0]
            text = f"`{statement.variable}` depends on `{name}`, which the agent learns by itself"
            raise AimError([Diagnostic("AIM0412", text, statement.span, f"give {name} = …")])
    alone = replace(model, variables=kept, statements=statements, agent=None)
    values = {n: v for n, v in bound.values.items() if n in kept}
    return BoundModel(alone, bound.sizes, values, {n: m for n, m in bound.observed.items() if n in kept}, bound.warnings)


def _read(statement: typed.RandomStatement, model: typed.TypedModel) -> set[str]:
    return behind(variables_in(statement.distribution), model)


# ------------------------------------------------------------------ what cannot be fitted
def _refuse_structural(model: typed.TypedModel, unknown: set[str]) -> None:
    for role, names, span in readings(model):
        if role in ("horizon", "sophisticated") and names & unknown:
            name = sorted(names & unknown)[0]
            text = f"`{role}` depends on `{name}`, which is not known: plans of different lengths have no common likelihood"
            raise AimError([Diagnostic("AIM0405", text, span, f"give {name} = …, and compare the fits of several")])


def _refuse_untold(behaviour: Behaviour, where: str) -> None:
    """Raises `AimError` where nothing is planned, or where the record does not say what was done."""
    program, record = behaviour.program(behaviour.stand_ins), behaviour.record
    model = program.network.model
    if program.options is None:
        names = ", ".join(f.name for f in program.network.actions) or "a"
        text = f"`{model.name}` has no plan: nothing says how its actions come about"
        raise AimError([Diagnostic("AIM0416", text, model.span, f"write plan {names} by efe(horizon = 1)")])
    if program.network.reals is not None:
        text = f"`{model.name}` has real states, actions or outcomes: its behaviour has no likelihood here"
        raise AimError([Diagnostic("AIM0510", text, model.span, "fit agents whose states, actions and outcomes are members of sets")])
    if program.budget is not None:
        text = f"the actions of `{model.name}` share a budget, and choices that depend on each other have no likelihood here"
        raise AimError([Diagnostic("AIM0510", text, model.span, "leave `subject to` out")])
    if any(kind.perception.layout.split for kind in program.kinds):
        text = f"`{model.name}` believes too many joint states to be exact, and through its approximation no derivatives go"
        raise AimError([Diagnostic("AIM0415", text, model.span, "make the sets of its states smaller")])
    actions = program.network.done.singles
    if not (record.done >= 0).any():
        text = f"the record holds no action of `{model.name}`, so it tells nothing of its parameters"
        names = ", ".join(f.name for f in actions)
        raise AimError([Diagnostic("AIM0414", text, None, f"it may hold {names}", where=where)])
    partly = (record.done >= 0).any(axis=-1, keepdims=True) & (record.done < 0)
    unsaid = record.unsaid | partly
    if unsaid.any():
        episode, step, k = (int(i) for i in np.argwhere(unsaid)[0])
        text = f"the record does not say what `{actions[k].name}` was at {_at(record, episode, step)}"
        raise AimError([Diagnostic("AIM0414", text, None, "give every action of every step but the last", where=where)])


def _refuse_impossible(behaviour: Behaviour, network: AgentNetwork, told: Sequence[Told]) -> None:
    """Raises `AimError` at the first step that is impossible whatever values were tried."""
    record = behaviour.record
    never_seen: np.ndarray = np.asarray(np.stack([~np.isfinite(np.asarray(t.free_energy)) for t in told]).all(axis=0))
    never_done = np.stack([np.isneginf(np.asarray(t.log_probability)) for t in told]).all(axis=0)
    wrong = never_seen | never_done
    if not wrong.any():
        return
    episode, step = (int(i) for i in np.argwhere(wrong)[0])
    seen = never_seen[episode, step]
    factors, places = (network.seen.singles, record.seen) if seen else (network.done.singles, record.done)
    what = ", ".join(f"{f.name} = {f.members[k]}" for f, k in zip(factors, places[episode, step], strict=True) if k >= 0)
    name, at = network.model.name, _at(record, episode, step)
    if seen:
        text, hint = f"{at}: {what} cannot happen under `{name}`", "give outcomes that should not rule anything out a small probability"
    else:
        text, hint = f"{at}: `{name}` never does {what}", "look at its policies, its habits, and at preferences that are 0"
    raise AimError([Diagnostic("AIM0805", text, None, hint)])


def _at(record: Record, episode: int, step: int) -> str:
    return f"step {step}" if record.episodes == 1 else f"step {step} of episode {episode}"


# ------------------------------------------------------------------ fitting
def fit(
    bound: BoundModel,
    datasets: Sequence[Dataset],
    *,
    engine: str | None,
    approximation: Approximation | None,
    rates: tuple[float, float],
    options: Mapping[str, Any],
) -> tuple[Posterior, Behaviour]:
    """The posterior of the parameters that are not given."""
    use_compilation_cache()
    model = bound.model
    chosen = engine or (approximation.engine if approximation else None) or "nuts"
    if chosen not in ENGINES:
        text = f"the engine `{chosen}` cannot fit an agent to behaviour: how an agent plans has no messages"
        raise AimError([Diagnostic("AIM0510", text, model.span, f"use one of {', '.join(ENGINES)}")])
    if approximation and chosen != approximation.engine:
        approximation = replace(approximation, options={})  # they are those of another engine
    agent = fittable(bound)
    if not agent.unknown:
        text = f"every parameter of `{model.name}` is known, so there is nothing to infer"
        hint = "give one a distribution (gain ~ Normal(0, 2)), or replay the record"
        raise AimError([Diagnostic("AIM0806", text, model.span, hint)])
    behaviour = with_precision(np.float64, agent.behaviour)(datasets, rates)
    plan = BridgePlan(agent.prior, chosen, approximation, (told_of(behaviour),))
    return fit_routed(plan, options, beside=behaviour), behaviour


def told_of(behaviour: Behaviour) -> str:
    """What was fitted, in words."""
    record = behaviour.record
    count, steps = int((record.done >= 0).sum()), record.episodes
    over = f"{steps} episodes" if steps > 1 else f"{record.steps} step{'s' * (record.steps != 1)}"
    return f"{count} recorded action{'s' * (count != 1)} over {over} are scored; what was seen is given, and not scored"


@dataclass(frozen=True)
class AgentQuestions(ModelQuestions):
    """What the posterior of an agent's parameters answers; without the record (`behaviour`) where it comes from a file."""

    behaviour: Behaviour | None = field(default=None, repr=False)

    def log_likelihood(self, draws: Draws, new: NewData, seed: int) -> dict[str, Pointwise]:
        if new or self.behaviour is None:
            what = "of another record" if new else "after it was read from a file, where the record is not kept"
            self._refuse("log_likelihood", what, "fit the agent to the record")
        assert self.behaviour is not None
        values = _by_draws(self.behaviour, draws)
        done = (self.behaviour.record.done >= 0).any(axis=-1)
        name = next(n for n, role in self._roles.items() if role == "action")
        return {name: Pointwise(np.where(done, values, np.nan), (Axis("episode"), Axis("step")))}

    def predict(self, draws: Draws, new: NewData, seed: int, name: str | None, count: int) -> dict[str, np.ndarray]:
        self._refuse("predict", "", "agent.run(…) with the parameters of a draw gives behaviour")

    def update(self, posterior: Posterior, new: NewData) -> Posterior:
        self._refuse("update", "", "fit the agent to all records together, as episodes")

    @cached_property
    def _roles(self) -> Mapping[str, str]:
        assert self.bound.model.agent is not None
        return self.bound.model.agent.roles

    def _refuse(self, what: str, when: str, hint: str) -> NoReturn:
        text = f"`{what}` of the posterior of an agent's parameters is not supported{' ' * bool(when)}{when}"
        raise AimError([Diagnostic("AIM0731", text, None, hint)])


def _by_draws(behaviour: Behaviour, draws: Draws) -> np.ndarray:
    """The log probability of each recorded action under each draw."""
    count = len(next(iter(draws.values())))
    known = {n: np.asarray(v) for n, v in behaviour.stand_ins.items()}
    whole = {n: draws[n] if n in draws else np.broadcast_to(v, (count, *v.shape)) for n, v in known.items()}

    def compute() -> np.ndarray:
        mapped = jax.jit(jax.vmap(lambda values: behaviour.told(values).log_probability))
        parts = [mapped({n: v[i : i + BATCH] for n, v in whole.items()}) for i in range(0, count, BATCH)]
        return np.concatenate([np.asarray(p) for p in parts])

    return with_precision(np.float64, compute)()


# ------------------------------------------------------------------ other questions
def log_density(bound: BoundModel, datasets: Sequence[Dataset]) -> float:
    """The log density of the parameters, which must all be given, and of the recorded actions, in nats."""
    from ppl.engines.sampling import log_joint

    agent = fittable(bound)
    prior = log_joint(agent.prior)
    if not datasets:
        return prior
    values = {n: bound.values[n] for n in random_names(agent.prior.model)}
    behaviour = with_precision(np.float64, replace(agent, tried=(values,)).behaviour)(datasets)
    return prior + float(with_precision(np.float64, jax.jit(behaviour))(values))


def to_numpyro(bound: BoundModel, datasets: Sequence[Dataset]) -> Any:
    """The parameters with the behaviour as a NumPyro callable without arguments."""
    agent = fittable(bound)
    return bridge.to_numpyro(agent.prior, with_precision(np.float64, agent.behaviour)(datasets) if datasets else None)
