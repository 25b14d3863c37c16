"""`ppl run`: from a file and data to a posterior that a person, or a program, reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppl.source.diagnostics import AimError
from ppl.source.writing import unwritable, write_atomically
from ppl.tools.inputs import Inputs, fits_agent, gather
from ppl.tools.messages import say
from ppl.tools.options import data_option, file_argument, format_option, set_option
from ppl.tools.posterior_text import draws_text, posterior_text
from ppl.tools.progress import progress_line
from ppl.tools.settings import Setting, settings_of

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior

PRIOR_DRAWS = 1000


@click.command(short_help="Fit a model, or run an agent, and print what comes out.")
@file_argument
@data_option
@set_option
@click.option(
    "--engine", metavar="ENGINE", help="One of exact, vmp, gibbs, nuts, svi, laplace, instead of what the file or the compiler chooses."
)
@click.option("--approximation", metavar="LABEL", help="The `approximate` block with this label.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For random starts and draws.")
@click.option("--iterations", type=click.IntRange(min=1), help="At most so many sweeps.")
@click.option("--tolerance", type=click.FloatRange(min=0), help="Relative change of the bound at which it has converged.")
@click.option("--restarts", type=click.IntRange(min=1), help="So many starts, of which the best is kept.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write posterior.json, summary.txt and graph.svg there; of an agent that acts trace.json and summary.txt.",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Of an agent: act for N steps.")
@click.option("--where", multiple=True, type=Setting(), help="Of an agent's world: the value of a state.")
@format_option
def run(
    file: str,
    name: str | None,
    data: tuple[str, ...],
    values: tuple[tuple[str, Any], ...],
    seed: int,
    out: Path | None,
    steps: int | None,
    where: tuple[tuple[str, Any], ...],
    form: str,
    **options: Any,
) -> int:
    """Fit a model and print the posterior, or run an agent and print what it believed and did.

    Without data it is what the file's `fit` or `run` line says; where there is none, draws from the prior, or some steps of the agent
    in its own model. An agent whose parameters are known goes through the data as a record of what it saw and did; unknown parameters
    are inferred from such a record, as always with --engine.
    """
    inputs = gather(file, name, data, values)
    model = inputs.model
    if out is not None:
        _make_folder(out)
    if model.typed.kind == "agent":
        chosen = settings_of(where, "--where")
        if inputs.picture is not None:
            return _allot(inputs, steps, chosen, form, out)
        if fits_agent(inputs, options["engine"], steps, chosen):
            return _fit(inputs, seed, form, out, options)
        _run_agent(inputs, seed, steps, chosen, form, out)
        return 0
    if steps is not None or where:
        raise click.UsageError(f"--steps and --where are for agents; `{model.name}` is a model")
    if not inputs.observes:
        _show_prior(inputs, seed, form)
        return 0
    return _fit(inputs, seed, form, out, options)


def _fit(inputs: Inputs, seed: int, form: str, out: Path | None, options: dict[str, Any]) -> int:
    model = inputs.model
    with progress_line() as progress:
        posterior = model.fit(inputs.mapping, datasets=inputs.given, seed=seed, progress=progress, **options, **inputs.by_name)
    if inputs.line is not None and form == "text":
        but = ", but for what --set gives" if inputs.overridden else ""
        say(f"the data are those of the `fit` line in {inputs.file.source.name}{but}\n")
    if model.typed.kind == "agent" and form == "text":
        say(f"the parameters of the agent are inferred from its behaviour: {posterior.plan.reasons[0]}\n")
    click.echo(json_text(posterior.to_json()) if form == "json" else posterior_text(posterior))
    if out is not None:
        _write(out, posterior, inputs)
    return 0 if posterior.converged else 3


def _run_agent(inputs: Inputs, seed: int, steps: int | None, where: dict[str, Any], form: str, out: Path | None) -> None:
    from ppl.agents.report import trace_json
    from ppl.tools.agent_run import run_agent, show, write_out

    trace, told = run_agent(inputs, seed=seed, steps=steps, where=where)
    text = show(trace, told, inputs.model.doc) if form == "text" or out is not None else ""
    told_json = json_text(trace_json(trace)) if form == "json" or out is not None else ""
    click.echo(told_json if form == "json" else text)
    if out is not None:
        write_out(out, trace, text, told_json)


def _allot(inputs: Inputs, steps: int | None, where: dict[str, Any], form: str, out: Path | None) -> int:
    """An agent that is given an image allots something to its patches."""
    from ppl.arr_coc.planning import allocate

    if steps is not None or where:
        raise click.UsageError("an agent that is given an image plans once: --steps and --where are for one that acts in its own model")
    agent: Any = inputs.model
    allocation = allocate(inputs.picture, agent=agent, **inputs.by_name)
    click.echo(json_text(allocation.to_json()) if form == "json" else allocation.summary())
    if out is not None:
        say(f"wrote {', '.join(allocation.write(out))} to {out}")
    return 0 if allocation.posterior is None or allocation.posterior.converged else 3


def _show_prior(inputs: Inputs, seed: int, form: str) -> None:
    why = f"no data are given and {inputs.file.source.name} has no `fit` line"
    draws = inputs.model.sample(PRIOR_DRAWS, seed=seed, datasets=inputs.datasets, **inputs.by_name)
    if form == "text":
        click.echo(draws_text(inputs.model.typed, draws, why))
        return
    moments = {name: {"mean": drawn.mean(axis=0).tolist(), "sd": drawn.std(axis=0).tolist()} for name, drawn in draws.items()}
    beliefs = {name: {"family": "Draws", **both} for name, both in moments.items()}
    told = {"model": inputs.model.name, "engine": "prior", "draws": PRIOR_DRAWS, "seed": seed, "beliefs": beliefs}
    click.echo(json_text({**told, "warnings": [f"{why}: these are draws from the prior"]}))


def json_text(value: dict[str, Any]) -> str:
    """One JSON object; arrays stay on one line, so that the text can be read."""
    inner = ",\n".join(f" {json.dumps(key)}: {json.dumps(part, ensure_ascii=False)}" for key, part in value.items())
    return f"{{\n{inner}\n}}"


def _make_folder(folder: Path) -> None:
    """Before anything is computed, so that no work is lost on a place that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AimError([unwritable(folder, error)]) from error


def _write(folder: Path, posterior: Posterior, inputs: Inputs) -> None:
    write_atomically(folder / "posterior.json", json_text(posterior.to_json()) + "\n")
    write_atomically(folder / "summary.txt", click.unstyle(posterior_text(posterior)) + "\n")
    if inputs.model.typed.kind == "agent":
        say(f"wrote posterior.json and summary.txt to {folder}")
        return
    inputs.model.graph(inputs.mapping, datasets=inputs.given, **inputs.by_name).render(folder / "graph.svg")
    say(f"wrote posterior.json, summary.txt and graph.svg to {folder}")
