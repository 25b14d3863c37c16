"""An agent in an environment of the user's, by the interface of Gymnasium: `reset`, `step`, `observation_space`, `action_space`.

Outcomes and actions are numbers there: the place of a member in its set, from the `start` of its space (0). Several of them are a
mapping by name (Dict), a vector (MultiDiscrete) or a tuple (Tuple) in the order of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ppl.agents.evaluation import Factor
from ppl.agents.loop import Step
from ppl.agents.mind import Mind
from ppl.agents.network import AgentNetwork
from ppl.agents.policy_plan import PolicyPlan
from ppl.agents.program import AgentProgram
from ppl.agents.record import one_step
from ppl.agents.trace import Trace
from ppl.engines.precision import with_precision
from ppl.source.diagnostics import AimError, Diagnostic


def run_in(
    program: AgentProgram,
    environment: Any,
    *,
    steps: int,
    episodes: int,
    seed: int,
    drawn: bool = False,
    rates: Any = (1.0, 1.0),
    dtype: Any = np.float64,
) -> Trace:
    """Episodes one after another, each with a fresh mind; one that ends early is filled with steps in which nothing is seen.

    The environment is reset with `seed`, `seed + 1`, …. Raises `AimError` where its spaces do not fit the agent.
    """
    if not callable(getattr(environment, "reset", None)) or not callable(getattr(environment, "step", None)):
        text = f"an environment has `reset` and `step`, as those of Gymnasium have; this is of type {type(environment).__name__}"
        raise AimError([Diagnostic("AIM0413", text, None, "leave it out, and the agent acts in its own model")])
    _check_actions(program.network, getattr(environment, "action_space", None))
    told, paid = [], []
    for episode in range(episodes):
        rows, rewards = _episode(Mind(program, seed, rates, dtype), environment, steps, seed + episode, drawn=drawn)
        told.append(rows)
        paid.append(rewards)
    longest = max(map(len, told))
    padded = [[*rows, *([_nothing(program.network, rows[-1])] * (longest - len(rows)))] for rows in told]
    stacked = [jax.tree.map(lambda *x: np.stack(x), *rows) for rows in padded]
    rewards = np.array([[*one, *([0.0] * (longest - len(one)))] for one in paid])
    return Trace(program, jax.tree.map(lambda *x: np.stack(x), *stacked), True, seed, rewards)


def _episode(mind: Mind, environment: Any, steps: int, seed: int, *, drawn: bool) -> tuple[list[Step], list[float]]:
    """What each step left behind, and what was paid with its observation."""
    network, space = mind.program.network, getattr(environment, "observation_space", None)
    observed, _ = environment.reset(seed=seed)
    rows, rewards, over = [], [0.0], False
    for step in range(steps):
        mind = mind.saw(places_seen(network, observed, space))
        plan = mind.plan()
        action = mind.act(plan, seed=seed) if drawn else plan.action
        rows.append(_row(mind, plan, action, ended=over))
        if over or step + 1 == steps:
            break
        mind = mind.did(**action)
        observed, reward, terminated, truncated, _ = environment.step(_to_environment(environment, network, action))
        rewards.append(float(reward))
        over = bool(terminated or truncated)
    return rows, rewards


# ------------------------------------------------------------------ observations
def places_seen(network: AgentNetwork, observed: Any, space: Any = None) -> np.ndarray:
    """An observation as a row of outcomes. What a mapping leaves out was not seen."""
    if isinstance(observed, Mapping):
        return _by_name(network, observed, getattr(space, "spaces", None) or {})
    parts = getattr(space, "spaces", None)
    values = list(observed) if isinstance(observed, tuple) else list(np.ravel(np.asarray(observed)))
    if network.reals is not None:
        return _by_order(network, np.concatenate([np.ravel(v) for v in values]))
    outcomes = network.seen.singles
    if len(values) != len(outcomes):
        text = f"the environment's observation has {len(values)} parts; the outcomes of this agent are {len(outcomes)}"
        raise AimError([Diagnostic("AIM0413", text, None, "give a mapping from the names of outcomes to members or their places")])
    starts = [_start(one) for one in parts] if parts is not None else np.broadcast_to(_start(space), len(values))
    return np.array([_place(f, v, start) for f, v, start in zip(outcomes, values, starts, strict=True)], int)


def _by_order(network: AgentNetwork, values: np.ndarray) -> np.ndarray:
    """A vector of places and real numbers: the discrete outcomes first, as the columns of a row are."""
    if len(values) != len(network.seen.blank):
        text = f"the environment's observation has {len(values)} numbers; the outcomes of this agent are {len(network.seen.blank)}"
        raise AimError([Diagnostic("AIM0413", text, None, "give a mapping from the names of outcomes to members or numbers")])
    places = np.array([_place(f, int(v), 0) for f, v in zip(network.seen.singles, values, strict=False)], int)
    return network.seen.joined(places, np.asarray(values[len(places) :], float))


def _by_name(network: AgentNetwork, observed: Mapping[str, Any], spaces: Mapping[str, Any]) -> np.ndarray:
    found = np.full(network.seen.counts[0], -1)
    for k, f in enumerate(network.seen.singles):
        if f.name in observed:
            found[k] = _place(f, observed[f.name], _start(spaces.get(f.name)))
        elif f.variable.name in observed:  # a plate of outcomes
            found[k] = _place(f, np.asarray(observed[f.variable.name])[f.place], 0)
    known = {name for f in (*network.seen.singles, *network.seen.real) for name in (f.name, f.variable.name)}
    if not known & set(observed):
        listed = ", ".join(dict.fromkeys(f.variable.name for f in network.seen.factors))
        text = f"the environment's observation holds {', '.join(map(str, observed)) or 'nothing'}, and no outcome of this agent"
        raise AimError([Diagnostic("AIM0413", text, None, f"it may hold {listed}")])
    if network.reals is None:
        return found
    real = {n: v for n, v in observed.items() if any(n in (f.name, f.variable.name) for f in network.seen.real)}
    numbers, _ = one_step(network, real)
    return network.seen.joined(found, network.seen.numbers(numbers))


def _place(factor: Factor, value: Any, start: Any) -> int:
    """The place of a member that is given by its number, counted from the start of its space, or by its name."""
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(value, str):
        place = factor.members.index(value) if value in factor.members else -1
    else:
        place = value - int(start)
    if place != int(place) or not 0 <= place < factor.size:
        text = f"the environment gives {value} for `{factor.name}`, which has {factor.size} members, counted from {int(start)}"
        raise AimError([Diagnostic("AIM0614", text, None, "its members are " + ", ".join(factor.members))])
    return int(place)


def _start(space: Any) -> Any:
    """The number of the first member in a space."""
    start = getattr(space, "start", 0)
    return 0 if start is None else start


# ------------------------------------------------------------------ actions
def _check_actions(network: AgentNetwork, space: Any) -> None:
    """Spaces that say how many actions there are have as many as the agent."""
    sizes = {f.name: f.size for f in network.done.singles}
    wrong = ""
    if isinstance(getattr(space, "spaces", None), Mapping):
        own = {name: int(getattr(inner, "n", sizes.get(name, 0))) for name, inner in space.spaces.items()}
        wrong = "" if own == sizes else _listed(own)
    elif hasattr(space, "spaces"):
        own = [int(getattr(inner, "n", 0)) for inner in space.spaces]
        wrong = "" if own == list(sizes.values()) else ", ".join(map(str, own))
    elif hasattr(space, "nvec"):
        own = [int(n) for n in np.ravel(space.nvec)]
        wrong = "" if own == list(sizes.values()) else ", ".join(map(str, own))
    elif hasattr(space, "n"):
        wrong = "" if [int(space.n)] == list(sizes.values()) else str(int(space.n))
    if wrong:
        text = f"the environment takes {wrong} as numbers of actions; this agent has {_listed(sizes)}"
        raise AimError([Diagnostic("AIM0413", text, None, "declare the actions as the environment counts them")])


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {size}" for name, size in sizes.items()) or "none"


def _to_environment(environment: Any, network: AgentNetwork, action: Mapping[str, Any]) -> Any:
    """The action as the environment's space has it."""
    space = getattr(environment, "action_space", None)
    places = {f.name: f.members.index(action[f.name]) for f in network.done.singles}
    if network.done.real:
        return _with_numbers(network, places, action, getattr(space, "spaces", None))
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return {name: place + int(_start(parts[name])) for name, place in places.items()}
    if parts is not None:
        return tuple(place + int(_start(one)) for place, one in zip(places.values(), parts, strict=True))
    values = np.array(list(places.values())) + _start(space)
    return int(values[0]) if len(values) == 1 and not hasattr(space, "nvec") else values


def _with_numbers(network: AgentNetwork, places: Mapping[str, int], action: Mapping[str, Any], parts: Any) -> Any:
    """An action with real numbers: a mapping where the space is one, else one vector, discrete actions first."""
    if isinstance(parts, Mapping):
        return {**places, **{f.name: np.asarray(action[f.name]) for f in network.done.real}}
    return np.concatenate([[float(p)] for p in places.values()] + [np.ravel(action[f.name]) for f in network.done.real])


# ------------------------------------------------------------------ what is told
def _row(mind: Mind, plan: PolicyPlan, action: Mapping[str, Any], *, ended: bool) -> Step:
    program = mind.program
    (_, chosen), (_, done) = one_step(program.network, plan.action), one_step(program.network, action)
    done = program.network.done.blank if ended else done
    marginals = {n: np.asarray(v) for n, v in with_precision(mind.dtype, program.marginals)(mind.memory).items()}
    learnt = {n: np.asarray(v) for n, v in mind.memory.learnt.items()}
    return Step(np.zeros(0, int), mind.past[-1].seen, done, chosen, marginals, learnt, np.asarray(mind.free_energy), plan.planned)


def _nothing(network: AgentNetwork, row: Step) -> Step:
    """A step after the end of an episode: the last beliefs, and nothing seen or done."""
    done = network.done.blank
    return row._replace(seen=network.seen.blank, action=done, chosen=done, free_energy=np.zeros_like(row.free_energy))
