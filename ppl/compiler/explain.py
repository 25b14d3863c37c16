"""The plan in prose: what the compiler chose for each block, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppl.compiler.blocks import Block
from ppl.compiler.kinds import kind_of

if TYPE_CHECKING:
    from ppl.compiler.plan import Plan


def explain(plan: Plan) -> str:
    """A few lines a block, then the engine and whether the answer is exact."""
    model = plan.bound.model
    lines = [f"{model.kind} {model.name}"]
    given = [n for n in plan.bound.values if model.variables[n].role == "random"]
    lines.append("observed: " + (", ".join(given) if given else "nothing"))
    if not plan.blocks:
        lines.append("latent: nothing that the data depend on")
    if plan.branches:
        lines.append(f"summed over: the states of {', '.join(plan.branches)}, given each of which the rest is exact")
    for block in plan.blocks:
        lines.append(f"block q({block.name}): {_form(block, plan)}")
        lines.append(f"    {_reason(block, plan)}")
    if plan.predicted:
        lines.append(f"predicted from the posterior: {', '.join(plan.predicted)} (nothing observed depends on them)")
    lines.append(
        f"engine: {plan.engine}" + (", exact: no statement joins two blocks, so the bound is the log evidence" if plan.exact else "")
    )
    if not plan.exact:
        lines += [f"    blocks are taken as independent where they meet: {text}" for text in _joints(plan)]
    return "\n".join(lines)


def _form(block: Block, plan: Plan) -> str:
    plates = " × ".join(map(str, block.batch))
    several = f"{plates} independent " if plates else ""
    return several + kind_of(block).described(block)


def _reason(block: Block, plan: Plan) -> str:
    if len(block.variables) > 1:
        what = "meet in one affine mean" if block.kind == "Gaussian" else "meet in a statement"
        return f"{' and '.join(block.variables)} {what}, so they stay together"
    if block.kind == "table":
        return "a discrete variable: its probabilities are summed over exactly"
    touching = [f for f in plan.factors if set(f.variables) & set(block.variables)]
    labels = list(dict.fromkeys(f.label for f in touching))
    return f"conjugate in every statement that touches it: {'; '.join(labels)}"


def _joints(plan: Plan) -> list[str]:
    from ppl.compiler.plan import blocks_touched

    found = {}
    for one in plan.factors:
        touched = blocks_touched(one, plan.blocks)
        if len(touched) > 1:
            line = one.statement.span.line
            found[f"{' | '.join(b.name for b in touched)} in `{one.label}` (line {line})"] = None
    return list(found)
