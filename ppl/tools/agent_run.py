"""`ppl run` for an agent: a record replayed, or the agent acting in its own model, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ppl.source.writing import write_atomically
from ppl.tools.belief_rows import number
from ppl.tools.inputs import Inputs
from ppl.tools.messages import say
from ppl.tools.posterior_text import heading

if TYPE_CHECKING:
    from ppl.agents.trace import Trace
    from ppl.api import Agent

DEFAULT_STEPS = 10
MOST_SHOWN = 4  # members of a belief


def run_agent(inputs: Inputs, *, seed: int, steps: int | None, where: dict[str, Any]) -> tuple[Trace, str]:
    """The trace, and what was done in words."""
    agent: Any = inputs.model
    if inputs.datasets and steps is None:
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


def _acting(agent: Agent, inputs: Inputs, steps: int, seed: int, where: dict[str, Any]) -> Trace:
    return agent.run(steps=steps, seed=seed, where=where, datasets=inputs.datasets, **inputs.by_name)


def show(trace: Trace, told: str, doc: str | None) -> str:
    """The whole report: one line a step, then what was learnt, then what to beware of."""
    from ppl.agents.report import cautions

    network = trace.program.network
    lines = [heading(network.model.name, doc), told, ""]
    lines += _table([_header(trace), *(_row(trace, t) for t in range(trace.steps))])
    learnt = trace.beliefs_at(trace.steps - 1)
    for name, table in network.learnt.items():
        counts = next(iter(learnt[name].params.values())) if not table.pair else np.stack(list(learnt[name].params.values()), axis=-1)
        lines += ["", f"{name}: {learnt[name].family} with {np.array2string(np.asarray(counts), precision=4, threshold=40)}"]
    total = float(np.sum(trace.told.free_energy[0]))
    lines += ["", f"free energy {number(total, digits=7)} nats in all; seed {trace.seed}"]
    lines += [f"{click.style('warning:', fg='yellow')} {text}" for text in cautions(trace)]
    return "\n".join(lines)


def _header(trace: Trace) -> list[str]:
    network = trace.program.network
    plans = ["expected free energy", "does"] if trace.program.options is not None else ["done"] if network.actions else []
    return ["step", *(f.name for f in network.outcomes), *(f"believes {f.name}" for f in network.states), "free energy", *plans]


def _row(trace: Trace, t: int) -> list[str]:
    network, told = trace.program.network, trace.told
    row = [str(t)]
    row += [f.members[k] if k >= 0 else "–" for f, k in zip(network.outcomes, told.seen[0, t], strict=True)]
    row += [_belief(f.members, told.beliefs[f.name][0, t]) for f in network.states]
    row.append(number(float(told.free_energy[0, t])))
    if trace.program.options is not None:
        row.append(number(sum(float(np.min(v.energy[0, t])) for v in told.planned.parts)))
    if network.actions:
        row.append(_action(trace, t))
    return row


def _action(trace: Trace, t: int) -> str:
    """What the plan says, what is as good, and what was done where that is something else."""
    network, told = trace.program.network, trace.told
    chosen, done = ([_member(f, k) for f, k in zip(network.actions, row[0, t], strict=True)] for row in (told.chosen, told.action))
    names = [f.name for f in network.actions]
    if trace.program.options is None:
        return _actions(names, done)
    text = _actions(names, chosen)
    if trace.whole_plans and trace.plan(t).ties:
        text += f" (as good: {', '.join(_actions(list(tie), list(tie.values())) for tie in trace.plan(t).ties)})"
    return text if chosen == done else f"{text}; done: {_actions(names, done)}"


def _member(factor: Any, place: int) -> str:
    return factor.members[place] if place >= 0 else "–"


def _actions(names: list[str], members: list[str]) -> str:
    return members[0] if len(members) == 1 else ", ".join(f"{n} = {m}" for n, m in zip(names, members, strict=True))


def _belief(members: tuple[str, ...], p: np.ndarray) -> str:
    """The most probable members with their probabilities; one that is certain by its name alone."""
    order = [k for k in np.argsort(-p, kind="stable")[:MOST_SHOWN] if p[k] >= 0.005]
    if p[order[0]] > 0.9995:
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
