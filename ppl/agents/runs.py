"""Running an agent: in its own model, in an environment of the user's, or on a record of what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ppl.agents.loop import Step, run_loop
from ppl.agents.mind import Mind
from ppl.agents.program import AgentProgram
from ppl.agents.record import one_step, read_record
from ppl.agents.trace import Trace
from ppl.agents.worlds import RecordWorld, model_world
from ppl.engines.precision import with_precision
from ppl.graph.dataset import Dataset
from ppl.source.diagnostics import AimError, Diagnostic


def run(
    program: AgentProgram, environment: Any, *, where: Mapping[str, Any], steps: int, episodes: int, seed: int, choose: str, **options: Any
) -> Trace:
    """A trace of so many steps. Raises `AimError` where something happens that the agent holds impossible."""
    if choose not in ("best", "drawn"):
        raise AimError([Diagnostic("AIM0122", f"an action is chosen as the best one or drawn, not as {choose!r}", None, 'write "drawn"')])
    options["drawn"] = choose == "drawn"
    if options["drawn"] and program.options is not None and program.budget is not None:
        text = f"the actions of `{program.network.model.name}` share a budget, which drawing them one by one would not keep"
        raise AimError([Diagnostic("AIM0122", text, program.network.model.span, 'leave choose = "drawn" out')])
    if steps < 1 or episodes < 1:
        raise AimError([Diagnostic("AIM0122", f"an agent runs for 1 step or more, not {min(steps, episodes)}", None)])
    if environment is not None:
        return _in_environment(program, environment, steps=steps, episodes=episodes, seed=seed, **options)
    if program.options is None and program.network.actions:
        text = f"nothing says what `{program.network.actions[0].name}` is: `{program.network.model.name}` has no plan to choose it"
        names = ", ".join(f.variable.name for f in program.network.actions)
        raise AimError([Diagnostic("AIM0414", text, program.network.model.span, f"write plan {names} by efe(horizon = 1)")])
    world = model_world(program, where)
    told, whole = run_loop(program, world, steps=steps, episodes=episodes, seed=seed, **options)
    return _checked(Trace(program, told, whole, seed))


def replay(program: AgentProgram, datasets: Sequence[Dataset], *, seed: int = 0) -> Trace:
    """The agent on a record; where it holds no action, the agent's own choice happens."""
    record = read_record(program.network, datasets)
    if program.options is None and record.unsaid.any():
        k = int(np.argmax(record.unsaid.any(axis=(0, 1))))
        text = f"the record does not say what `{program.network.actions[k].name}` was at every step, and the agent has no plan to choose it"
        raise AimError([Diagnostic("AIM0414", text, None, "give it at every step but the last", where=datasets[0].name)])
    told, whole = run_loop(program, RecordWorld(record), steps=record.steps, episodes=record.episodes, seed=seed)
    return _checked(Trace(program, told, whole, seed))


def _checked(trace: Trace) -> Trace:
    """The trace, where everything in it could happen."""
    wrong = ~np.isfinite(trace.told.free_energy)
    if not wrong.any():
        return trace
    episode, step = (int(i) for i in np.argwhere(wrong)[0])
    network = trace.program.network
    seen = zip(network.outcomes, trace.told.seen[episode, step], strict=True)
    told = ", ".join(f"{f.name} = {f.members[k]}" for f, k in seen if k >= 0)
    text = f"step {step}: {told} cannot happen under `{network.model.name}` after what was seen and done before"
    raise AimError([Diagnostic("AIM0805", text, None, "give outcomes that should not rule anything out a small probability")])


# ------------------------------------------------------------------ environments
def _in_environment(
    program: AgentProgram,
    environment: Any,
    *,
    steps: int,
    episodes: int,
    seed: int,
    drawn: bool,
    rates: Any = (1.0, 1.0),
    dtype: Any = np.float64,
) -> Trace:
    """Episodes one after another in a Gymnasium environment; one that ends early is filled with steps in which nothing is seen."""
    network = program.network
    told = []
    for episode in range(episodes):
        mind, rows = Mind(program, seed, rates, dtype), []
        observed, _ = environment.reset(seed=seed + episode)
        for step in range(steps):
            mind = mind.perceive(**_outcomes(network, observed))
            plan = mind.plan()
            action = mind.act(plan, seed=seed * 7919 + episode) if drawn else plan.action
            rows.append(_row(program, mind, plan, action))
            mind = mind.did(**action)
            if step + 1 == steps:
                break
            observed, _, terminated, truncated, _ = environment.step(_to_environment(environment, network, action))
            if terminated or truncated:
                mind = mind.perceive(**_outcomes(network, observed))
                plan = mind.plan()
                rows.append(_row(program, mind, plan, plan.action))
                break
        told.append(rows)
    longest = max(map(len, told))
    padded = [[*rows, *([_nothing(rows[-1])] * (longest - len(rows)))] for rows in told]
    stacked = [jax.tree.map(lambda *x: np.stack(x), *rows) for rows in padded]
    return Trace(program, jax.tree.map(lambda *x: np.stack(x), *stacked), True, seed)


def _outcomes(network: Any, observed: Any) -> dict[str, Any]:
    """An observation by outcome: a mapping by name, one number for one outcome, or a sequence in the order of the file."""
    if isinstance(observed, Mapping):
        known = {f.name for f in network.outcomes} | {f.variable.name for f in network.outcomes}
        return {str(name): _plain(value) for name, value in observed.items() if name in known}
    values = np.atleast_1d(np.asarray(observed))
    if values.ndim != 1 or len(values) != len(network.outcomes):
        text = f"the environment gives {values.shape} as an observation; this agent has {len(network.outcomes)} outcomes"
        hint = "give a mapping from the names of outcomes to members or their places"
        raise AimError([Diagnostic("AIM0413", text, None, hint)])
    return {f.name: _member(f, value) for f, value in zip(network.outcomes, values, strict=True)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0) else value


def _member(factor: Any, value: Any) -> Any:
    """A place as a member: environments count from 0."""
    value = _plain(value)
    if isinstance(value, str):
        return value
    if not 0 <= int(value) < factor.size:
        text = f"the environment gives {value} for `{factor.name}`, which has {factor.size} members, counted from 0"
        raise AimError([Diagnostic("AIM0614", text, None)])
    return factor.members[int(value)]


def _to_environment(environment: Any, network: Any, action: dict[str, str]) -> Any:
    """The action as the environment takes it: places of members, by name where its action space is a mapping."""
    places = {f.name: f.members.index(action[f.name]) for f in network.actions}
    if hasattr(getattr(environment, "action_space", None), "spaces") and isinstance(environment.action_space.spaces, Mapping):
        return places
    values = list(places.values())
    return values[0] if len(values) == 1 else np.array(values)


def _row(program: AgentProgram, mind: Mind, plan: Any, action: Mapping[str, str]) -> Step:
    (_, chosen), (_, done) = one_step(program.network, plan.action), one_step(program.network, action)
    marginals = {n: np.asarray(v) for n, v in with_precision(mind.dtype, program.marginals)(mind.memory).items()}
    learnt = {n: np.asarray(v) for n, v in mind.memory.learnt.items()}
    return Step(np.zeros(0, int), mind.past[-1].seen, done, chosen, marginals, learnt, np.asarray(mind.free_energy), plan.planned)


def _nothing(row: Step) -> Step:
    """A step after the end of an episode: the last beliefs, and nothing seen or done."""
    return row._replace(seen=np.full_like(row.seen, -1), action=np.full_like(row.action, -1), chosen=np.full_like(row.chosen, -1))
