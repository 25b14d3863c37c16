"""`ppl run` for an agent: a record replayed, or the agent acting in its own model, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ppl.results.numbers import number
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.writing import write_atomically
from ppl.tools.inputs import Inputs
from ppl.tools.messages import say
from ppl.tools.posterior_text import heading

if TYPE_CHECKING:
    from ppl.agents.trace import Trace

DEFAULT_STEPS = 10
MOST_ROWS = 40  # of a learnt table


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
    if line is not None:
        given = {"seed": seed, "datasets": inputs.datasets, **inputs.by_name}
        but = ", but for what is given" if steps or where or inputs.by_name else ""
        told = f"what the `run` line of {inputs.file.source.name} says{but}"
        return inputs.file.run_line(line, steps=steps, where=where, **given), told
    count = steps or DEFAULT_STEPS
    told = f"{count} steps in its own model" + ("" if steps else ": --steps says how many")
    return agent.run(steps=count, seed=seed, where=where, datasets=inputs.datasets, **inputs.by_name), told


def replayed(agent: Any, dataset: Any) -> bool:
    """Whether data hold anything that was seen, done or hidden."""
    return any(name.partition("[")[0] in agent.typed.agent.roles for name in dataset.values)


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
    from ppl.agents.step_table import step_table

    network = trace.program.network
    lines = _table(step_table(trace))
    learnt = trace.beliefs_at(trace.steps - 1)
    for name in network.learnt:
        lines += ["", f"{name}, {learnt[name].family}: what was learnt, as counts", *_table(_counts(trace, name, learnt[name]))]
    total = float(np.sum(trace.told.free_energy[0]))
    lines += ["", f"free energy {number(total, digits=7)} nats in all; seed {trace.seed}"]
    return [*lines, *(f"{click.style('warning:', fg='yellow')} {text}" for text in cautions(trace))]


def _counts(trace: Trace, name: str, belief: Any) -> list[list[str]]:
    """A row for each distribution that is learnt, a column for each member that it tells of."""
    network = trace.program.network
    table, variable = network.learnt[name], network.model.variables[name]
    if table.pair:
        columns, rows = list(belief.params), np.stack([np.ravel(p) for p in belief.params.values()], axis=-1)
    else:
        rows = np.asarray(belief.params["concentration"]).reshape(-1, np.shape(belief.params["concentration"])[-1])
        columns = list(network.told_of(name) or map(str, range(rows.shape[-1])))
    plates = [axis.set.members if axis.set is not None else None for axis in variable.type.axes[: variable.plates]]
    places = list(np.ndindex(*table.shape))
    labels = [", ".join(m[i] if m else str(i) for m, i in zip(plates, place, strict=True)) for place in places]
    shown = [[label, *(number(float(x)) for x in row)] for label, row in zip(labels[:MOST_ROWS], rows, strict=False)]
    left = [[f"… {len(labels) - MOST_ROWS} more", *("" for _ in columns)]] if len(labels) > MOST_ROWS else []
    return [["", *columns], *shown, *left]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write_out(folder: Path, trace: Trace, text: str, json_text: str) -> None:
    write_atomically(folder / "trace.json", json_text + "\n")
    write_atomically(folder / "summary.txt", click.unstyle(text) + "\n")
    say(f"wrote trace.json and summary.txt to {folder}")
