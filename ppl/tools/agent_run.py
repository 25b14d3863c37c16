"""`ppl run` for an agent: a record replayed, or the agent acting in its own model, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ppl.agents.rows import text
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.writing import write_atomically
from ppl.tools.belief_rows import number
from ppl.tools.inputs import Inputs
from ppl.tools.messages import say
from ppl.tools.posterior_text import heading

if TYPE_CHECKING:
    from ppl.agent import Agent
    from ppl.agents.trace import Trace

DEFAULT_STEPS = 10
MOST_SHOWN = 4  # members of a belief
MOST_ROWS = 40  # of a learnt table
CERTAIN = 0.9995  # a belief that is shown by its member alone


def run_agent(inputs: Inputs, *, seed: int, steps: int | None, where: dict[str, Any]) -> tuple[Trace, str]:
    """The trace, and what was done in words."""
    agent: Any = inputs.model
    spoken = set(agent.typed.agent.roles) & {name.partition("[")[0] for name in inputs.settings}
    if spoken:
        hint = "write them into a record: --data record.json"
        raise AimError([Diagnostic("AIM0413", f"`{min(spoken)}` is given by --set, which is for parameters and inputs", None, hint)])
    if inputs.datasets and any(replayed(agent, d) for d in inputs.datasets):
        if steps is not None or where:
            raise click.UsageError("a record is replayed: --steps and --where are for an agent that acts in its own model")
        told = "the record, step by step"
        if latent := agent.unknown(datasets=inputs.datasets, **inputs.by_name):
            told += f", in expectation over {', '.join(latent)}: --engine nuts infers it from the actions"
        return agent.replay(datasets=inputs.datasets, seed=seed, **inputs.by_name), told
    line = inputs.run_line
    if line is not None and steps is None and not where:
        return inputs.file.run_line(line, seed=seed, **inputs.by_name), f"what the `run` line of {inputs.file.source.name} says"
    count = steps or DEFAULT_STEPS
    told = f"{count} steps in its own model" + ("" if steps else ": --steps says how many")
    return _acting(agent, inputs, count, seed, where), told


def replayed(agent: Any, dataset: Any) -> bool:
    """Whether data hold anything that was seen, done or hidden."""
    return any(name.partition("[")[0] in agent.typed.agent.roles for name in dataset.values)


def _acting(agent: Agent, inputs: Inputs, steps: int, seed: int, where: dict[str, Any]) -> Trace:
    return agent.run(steps=steps, seed=seed, where=where, datasets=inputs.datasets, **inputs.by_name)


def show(trace: Trace, told: str, doc: str | None) -> str:
    """The whole report, episode by episode."""
    lines = [heading(trace.program.network.model.name, doc), told, ""]
    if trace.episodes == 1:
        return "\n".join([*lines, *_episode(trace)])
    for k in range(trace.episodes):
        lines += [click.style(f"episode {k}", bold=True), *_episode(trace.single(k)), ""]
    return "\n".join(lines[:-1])


def _episode(trace: Trace) -> list[str]:
    """One line a step, then what was learnt, then what to beware of."""
    from ppl.agents.report import cautions

    network = trace.program.network
    hidden = _hidden(trace)
    lines = _table([_header(trace, hidden), *(_row(trace, t, hidden) for t in range(trace.steps))])
    learnt = trace.beliefs_at(trace.steps - 1)
    for name in network.learnt:
        lines += ["", f"{name}, {learnt[name].family}: what was learnt, as counts", *_table(_counts(trace, name, learnt[name]))]
    total = float(np.sum(trace.told.free_energy[0]))
    lines += ["", f"free energy {number(total, digits=7)} nats in all; seed {trace.seed}"]
    return [*lines, *(f"{click.style('warning:', fg='yellow')} {text}" for text in cautions(trace))]


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


def _counts(trace: Trace, name: str, belief: Any) -> list[list[str]]:
    """A row for each distribution that is learnt, a column for each member that it tells of."""
    network = trace.program.network
    table, variable = network.learnt[name], network.model.variables[name]
    if table.pair:
        columns, rows = list(belief.params), np.stack([np.ravel(p) for p in belief.params.values()], axis=-1)
    else:
        rows = np.asarray(belief.params["concentration"]).reshape(-1, np.shape(belief.params["concentration"])[-1])
        columns = list(_told_of(network, name) or map(str, range(rows.shape[-1])))
    plates = [axis.set.members if axis.set is not None else None for axis in variable.type.axes[: variable.plates]]
    places = list(np.ndindex(*table.shape))
    labels = [", ".join(m[i] if m else str(i) for m, i in zip(plates, place, strict=True)) for place in places]
    shown = [[label, *(number(float(x)) for x in row)] for label, row in zip(labels[:MOST_ROWS], rows, strict=False)]
    left = [[f"… {len(labels) - MOST_ROWS} more", *("" for _ in columns)]] if len(labels) > MOST_ROWS else []
    return [["", *columns], *shown, *left]


def _told_of(network: Any, name: str) -> tuple[str, ...]:
    """The members that a learnt table is about: those of a state or an outcome whose statement reads it."""
    tables = (*network.initial.values(), *network.transitions.values(), *network.observations.values())
    return next((network.factor[t.child].members for t in tables if name in t.rows), ())


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
    row += [(_real if f.real else _belief)(f, told.beliefs[f.name][0, t]) for f in network.truth.factors]
    row.append(number(float(told.free_energy[0, t])))
    if trace.program.options is not None:
        row.append(number(sum(float(np.min(v.energy[0, t])) for v in told.planned.parts)))
    if network.done.factors:
        row.append(_action(trace, t))
    return row


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


def _real(factor: Any, both: np.ndarray) -> str:
    """The mean and the standard deviation of each number."""
    spread = np.sqrt(np.maximum(np.diagonal(both[:, 1:]), 0.0))
    return ", ".join(f"{mean:.4g} ± {sd:.2g}" for mean, sd in zip(both[:, 0], spread, strict=True))


def _belief(factor: Any, p: np.ndarray) -> str:
    """The most probable members with their probabilities; one that is certain by its name alone."""
    members = factor.members
    order = [k for k in np.argsort(-p, kind="stable")[:MOST_SHOWN] if p[k] >= 0.005]
    if p[order[0]] > CERTAIN:
        return members[order[0]]
    more = " …" if p[order].sum() < 0.985 else ""
    return ", ".join(f"{members[k]} {p[k]:.2f}" for k in order) + more


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write_out(folder: Path, trace: Trace, text: str, json_text: str) -> None:
    write_atomically(folder / "trace.json", json_text + "\n")
    write_atomically(folder / "summary.txt", click.unstyle(text) + "\n")
    say(f"wrote trace.json and summary.txt to {folder}")
