"""A run step by step, as a table that a person reads: what was seen, what was true, what was believed, and what was done about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.agents.rows import by_variable, text
from ppl.agents.trace import Trace
from ppl.results.numbers import number

MOST_SHOWN = 4  # members of a belief, or of a plate of beliefs
CERTAIN = 0.9995  # a belief that is shown by its member alone


def step_table(trace: Trace, episode: int = 0) -> list[list[str]]:
    """A header, and a row for each step of an episode."""
    one = trace.single(episode)
    hidden = _hidden(one)
    return [_header(one, hidden), *(_row(one, t, hidden) for t in range(one.steps))]


def _hidden(trace: Trace) -> list[str]:
    """The states whose truth is known here and was not clear to the agent at every step."""
    if not trace.told.states.shape[-1]:
        return []
    unclear, truth = [], trace.program.network.truth
    for f in truth.discrete:
        places = truth.places(trace.told.states[0])[:, truth.placed[f.name]].reshape(-1, *f.shape, 1)
        true = np.take_along_axis(trace.told.beliefs[f.name][0].reshape(len(places), *f.shape, -1), places, axis=-1)
        if (true < CERTAIN).any():
            unclear.append(f.variable.name)
    return list(dict.fromkeys(unclear))


def _header(trace: Trace, hidden: list[str]) -> list[str]:
    network = trace.program.network
    plans = ["expected free energy", "does"] if trace.program.options is not None else ["done"] if network.done.factors else []
    true = (f"true {name}" for name in hidden)
    believed = (f"believes {name}" for name in _variables(network.truth.factors))
    return ["step", *_variables(network.seen.factors), *true, *believed, "free energy", *plans]


def _variables(factors: Any) -> list[str]:
    return list(dict.fromkeys(f.variable.name for f in factors))


def _row(trace: Trace, t: int, hidden: list[str]) -> list[str]:
    network, told = trace.program.network, trace.told
    row = [str(t)]
    row += [text(value) for value in network.seen.told(told.seen[0, t]).values()]
    row += [text(network.truth.told(told.states[0, t])[name]) for name in hidden]
    believed = by_variable(network.truth.factors, {name: value[0, t] for name, value in told.beliefs.items()})
    row += [_believed(next(f for f in network.truth.factors if f.variable.name == name), value) for name, value in believed.items()]
    row.append(number(float(told.free_energy[0, t])))
    if trace.program.options is not None:
        row.append(number(_expected(trace, t)))
    if network.done.factors:
        row.append(_action(trace, t))
    return row


def _expected(trace: Trace, t: int) -> float:
    """The least expected free energy of a policy; under a budget of those that begin with the actions that keep it."""
    planned = trace.told.planned
    if planned.price.shape[-1] and trace.whole_plans:
        return trace.plan(t).least_taken
    return sum(float(np.min(v.energy[0, t], axis=-1).sum()) for v in planned.parts)


def _action(trace: Trace, t: int) -> str:
    """What the plan says, what is as good, and what was done where that is something else."""
    network, told = trace.program.network, trace.told
    chosen, done = ([text(v) for v in network.done.told(row[0, t]).values()] for row in (told.chosen, told.action))
    names = _variables(network.done.factors)
    if trace.program.options is None:
        return _actions(names, done)
    told_action = _actions(names, chosen)
    if trace.whole_plans and trace.plan(t).ties:
        told_action += f" (as good: {', '.join(_actions(list(tie), list(map(text, tie.values()))) for tie in trace.plan(t).ties)})"
    return told_action if chosen == done else f"{told_action}; done: {_actions(names, done)}"


def _actions(names: list[str], members: list[str]) -> str:
    return members[0] if len(members) == 1 else ", ".join(f"{n} = {m}" for n, m in zip(names, members, strict=True))


def _believed(factor: Any, belief: np.ndarray) -> str:
    """The belief over a state; of a plate those over its first members."""
    own = belief.reshape(-1, *belief.shape[factor.variable.plates :])
    told = [(real_cell if factor.real else belief_cell)(factor, one) for one in own[:MOST_SHOWN]]
    more = [f"… {len(own)} in all"] if len(own) > MOST_SHOWN else []
    return "; ".join([*told, *more])


def real_cell(factor: Any, both: np.ndarray) -> str:
    """The mean and the standard deviation of each number."""
    spread = np.sqrt(np.maximum(np.diagonal(both[:, 1:]), 0.0))
    return ", ".join(f"{mean:.4g} ± {sd:.2g}" for mean, sd in zip(both[:, 0], spread, strict=True))


def belief_cell(factor: Any, p: np.ndarray) -> str:
    """The most probable members with their probabilities; one that is certain by its name alone."""
    members = factor.members
    order = [k for k in np.argsort(-p, kind="stable")[:MOST_SHOWN] if p[k] >= 0.005]
    if p[order[0]] > CERTAIN:
        return members[order[0]]
    more = " …" if p[order].sum() < 0.985 else ""
    return ", ".join(f"{members[k]} {p[k]:.2f}" for k in order) + more
