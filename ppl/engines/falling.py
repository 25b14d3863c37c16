"""Blame: which statement's energy fell when the bound did. Only ever run on a mistake of the engine's own."""

from __future__ import annotations

import numpy as np

from ppl.compiler.plan import Plan
from ppl.engines.vmp import Run


def blame(plan: Plan, run: Run) -> str:
    """The blocks of the program, updated one by one from the last state: the one whose update lowers the bound, and its statements."""
    program, state, data = run.program, run.state, run.program.data
    before = float(program.bound(state, data, run.messages))
    worst, name = 0.0, ""
    for block in program.order:
        after = float(program.bound(program.update(block, state, data, run.messages), data, run.messages))
        if np.isfinite(after) and before - after > worst:
            worst, name = before - after, block
    if not name:
        return "at no block in particular"
    labels = [f.label for f in plan.factors if set(f.variables) & set(program.layout.blocks[name].variables)]
    return f"at the block q({name}), which is touched by {'; '.join(dict.fromkeys(labels))}"
