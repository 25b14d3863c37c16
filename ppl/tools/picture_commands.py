"""`ppl graph` and `ppl explain`: a model as a picture, and in words at every stage of its way to a posterior."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppl.tools.inputs import Inputs, gather
from ppl.tools.messages import say
from ppl.tools.options import data_option, file_argument, set_option

if TYPE_CHECKING:
    from ppl.compiler.plan import Plan
    from ppl.engines.routing import BridgePlan
    from ppl.graph.factor_graph import FactorGraph
    from ppl.motion.plan import MotionPlan

STAGES = ("tree", "typed", "graph", "plan", "program")


@click.command()
@file_argument
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Draw it: a name in .svg, .png, .pdf, .dot or .html.")
@data_option
@set_option
def graph(file: str, name: str | None, out: Path | None, data: tuple[str, ...], values: tuple[tuple[str, Any], ...]) -> None:
    """Show the factor graph of a model; what the data give is shaded."""
    from ppl.graph.drawing import picture_format

    if out is not None:
        picture_format(out)
    inputs = gather(file, name, data, values)
    found = _graph(inputs)
    if out is None:
        click.echo(str(found))
        say("-o graph.svg draws it")
    else:
        say(f"wrote {found.render(out)}")


@click.command()
@file_argument
@data_option
@set_option
@click.option(
    "--engine", metavar="ENGINE", help="One of exact, vmp, gibbs, nuts, svi, laplace, instead of what the file or the compiler chooses."
)
@click.option("--approximation", metavar="LABEL", help="The `approximate` block with this label.")
@click.option("--stage", type=click.Choice(STAGES), default="plan", show_default=True, help="How far along the way.")
def explain(
    file: str,
    name: str | None,
    data: tuple[str, ...],
    values: tuple[tuple[str, Any], ...],
    engine: str | None,
    approximation: str | None,
    stage: str,
) -> None:
    """Say what the compiler makes of a model and its data, and why."""
    inputs = gather(file, name, data, values)
    match stage:
        case "tree":
            from ppl.syntax.dump import dump

            text = dump(inputs.file.parsed)
        case "typed":
            from ppl.semantics.dump import dump_model

            text = dump_model(inputs.model.typed)
        case "graph":
            text = str(_graph(inputs))
        case _ if inputs.model.typed.kind == "agent":
            account: Any = inputs.model.explain(inputs.mapping, datasets=inputs.given, **inputs.by_name)
            text = str(account) if stage == "plan" else account.program_text()
        case _:
            plan = inputs.model.explain(inputs.mapping, datasets=inputs.given, engine=engine, approximation=approximation, **inputs.by_name)
            text = str(plan) if stage == "plan" else program_text(plan)
    click.echo(text.rstrip("\n"))


def _graph(inputs: Inputs) -> FactorGraph:
    return inputs.model.graph(inputs.mapping, datasets=inputs.given, **inputs.by_name)


def program_text(plan: Plan | BridgePlan | MotionPlan) -> str:
    """What one sweep computes: the blocks in the order of their updates, and the array program that JAX makes of them."""
    from ppl.compiler.plan import Plan

    if not isinstance(plan, Plan):
        runs = "NumPyro runs the model" if plan.bound.model.motion is None else "a generalized block is least squares"
        return f"{plan}\nno program of messages: {runs}"
    import jax
    import numpy as np

    from ppl.compiler.program import make_program
    from ppl.engines.starts import starting_points

    with jax.enable_x64(True):
        program = make_program(plan.latents, plan.blocks, plan.factors)
        messages = program.prepare(program.data)
        state = program.start(program.data, starting_points(plan, np.random.default_rng(0)))
        sweep = jax.make_jaxpr(program.sweep)(state, program.data, messages)
    blocks = [f"update q({name})" for name in program.order]
    return "\n".join(["one sweep", *(f"  {line}" for line in blocks), "", str(sweep)])
