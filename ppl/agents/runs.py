"""Running an agent: in its own model, in an environment of the user's, or on a record of what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppl.agents.environments import run_in
from ppl.agents.loop import run_loop
from ppl.agents.program import AgentProgram
from ppl.agents.record import read_record
from ppl.agents.rows import text
from ppl.agents.trace import Trace
from ppl.agents.worlds import RecordWorld, model_world
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
    for what, count in (("steps", steps), ("episodes", episodes)):
        if not isinstance(count, int | np.integer) or count < 1:
            raise AimError([Diagnostic("AIM0122", f"the number of {what} is a whole number, 1 or more, and not {count!r}", None)])
    if environment is not None:
        if where:
            text = f"`where` speaks of the agent's own world; here `{next(iter(where))}` is what the environment makes it"
            raise AimError([Diagnostic("AIM0605", text, None, "set it in the environment")])
        return run_in(program, environment, steps=steps, episodes=episodes, seed=seed, **options)
    if program.options is None and program.network.done.factors:
        text = f"nothing says what `{program.network.done.factors[0].name}` is: `{program.network.model.name}` has no plan to choose it"
        names = ", ".join(f.variable.name for f in program.network.done.factors)
        raise AimError([Diagnostic("AIM0414", text, program.network.model.span, f"write plan {names} by efe(horizon = 1)")])
    world = model_world(program, where)
    told, whole = run_loop(program, world, steps=steps, episodes=episodes, seed=seed, **options)
    return _checked(Trace(program, told, whole, seed))


def replay(program: AgentProgram, datasets: Sequence[Dataset], *, seed: int = 0) -> Trace:
    """The agent on a record; where it holds no action, the agent's own choice happens."""
    record = read_record(program.network, datasets)
    if program.options is None and record.unsaid.any():
        k = int(np.argmax(record.unsaid.any(axis=(0, 1))))
        name = program.network.done.names[k]
        text = f"the record does not say what `{name}` was at every step, and the agent has no plan to choose it"
        raise AimError([Diagnostic("AIM0414", text, None, "give it at every step but the last", where=datasets[0].name)])
    told, whole = run_loop(program, RecordWorld(record), steps=record.steps, episodes=record.episodes, seed=seed)
    return _checked(Trace(program, told, whole, seed))


def _checked(trace: Trace) -> Trace:
    """The trace, where everything in it could happen, and could be valued."""
    parts = trace.told.planned.parts
    if trace.program.network.reals is not None:
        trace.program.refuse_unvalued(parts)
    wrong = ~np.isfinite(trace.told.free_energy)
    if not wrong.any():  # what is impossible leaves beliefs, and then plans, that are no numbers
        trace.program.refuse_unvalued(parts)
        return trace
    episode, step = (int(i) for i in np.argwhere(wrong)[0])
    network = trace.program.network
    seen = network.seen.told(trace.told.seen[episode, step])
    told = ", ".join(f"{name} = {text(value)}" for name, value in seen.items() if value is not None)
    message = f"step {step}: {told} cannot happen under `{network.model.name}` after what was seen and done before"
    raise AimError([Diagnostic("AIM0805", message, None, "give outcomes that should not rule anything out a small probability")])
