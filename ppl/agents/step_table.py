"""A run step by step, as a table that a person reads: what was seen, what was true, what was believed, and what was done about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.agents.rows import text
from ppl.agents.trace import Trace
from ppl.results.numbers import number

MOST_SHOWN = 4  # members of a belief
CERTAIN = 0.9995  # a belief that is shown by its member alone


def step_table(trace: Trace, episode: int = 0) -> list[list[str]]:
    """A header, and a row for each step of an episode."""
    one = trace.single(episode)
    hidden = _hidden(one)
    return [_header(one, hidden), *(_row(one, t, hidden) for t in range(one.steps))]


def _hidden(trace: Trace) -> list[int]:
    """The states whose truth is known here and was not clear to the agent at every step."""
    if not trace.told.states.shape[-1]:
        return []
    unclear = []
    for k, f in enumerate(trace.program.network.states):
        true = np.take_along_axis(trace.told.beliefs[f.name][0], trace.told.states[0, :, k, None].astype(int), axis=-1)
        if (true < CERTAIN).any():
            unclear.append(k)
    return unclear


def _header(trace: Trace, hidden: list[int]) -> list[str]:
    network = trace.program.network
    plans = ["expected free energy", "does"] if trace.program.options is not None else ["done"] if network.done.factors else []
    true = (f"true {network.states[k].name}" for k in hidden)
    believed = (f"believes {f.name}" for f in network.truth.factors)
    return ["step", *(f.name for f in network.seen.factors), *true, *believed, "free energy", *plans]


def _row(trace: Trace, t: int, hidden: list[int]) -> list[str]:
    network, told = trace.program.network, trace.told
    row = [str(t)]
    row += [text(value) for value in network.seen.told(told.seen[0, t]).values()]
    row += [network.states[k].members[int(told.states[0, t, k])] for k in hidden]
    row += [(real_cell if f.real else belief_cell)(f, told.beliefs[f.name][0, t]) for f in network.truth.factors]
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
    return sum(float(np.min(v.energy[0, t])) for v in planned.parts)


def _action(trace: Trace, t: int) -> str:
    """What the plan says, what is as good, and what was done where that is something else."""
    network, told = trace.program.network, trace.told
    chosen, done = ([text(v) for v in network.done.told(row[0, t]).values()] for row in (told.chosen, told.action))
    names = [f.name for f in network.done.factors]
    if trace.program.options is None:
        return _actions(names, done)
    told_action = _actions(names, chosen)
    if trace.whole_plans and trace.plan(t).ties:
        told_action += f" (as good: {', '.join(_actions(list(tie), list(map(text, tie.values()))) for tie in trace.plan(t).ties)})"
    return told_action if chosen == done else f"{told_action}; done: {_actions(names, done)}"


def _actions(names: list[str], members: list[str]) -> str:
    return members[0] if len(members) == 1 else ", ".join(f"{n} = {m}" for n, m in zip(names, members, strict=True))


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
