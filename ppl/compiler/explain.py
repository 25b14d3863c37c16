"""The plan in prose: what the compiler chose for each block, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppl.compiler.blocks import Block
from ppl.compiler.kinds import kind_of
from ppl.compiler.steps import smooth_variables

if TYPE_CHECKING:
    from ppl.compiler.plan import Plan


def explain(plan: Plan) -> str:
    """A few lines a block, then the engine and whether the answer is exact."""
    model = plan.bound.model
    lines = [f"{model.kind} {model.name}"]
    asked = (plan.source or plan.bound).model.variables
    given = [n for n in plan.bound.values if n in asked and asked[n].role == "random"]
    lines.append("observed: " + (", ".join(given) if given else "nothing"))
    lines += [f"rewritten: {reason}" for reason in plan.rewrites]
    if not plan.blocks and not plan.branches:
        lines.append("latent: nothing that the data depend on")
    if plan.integrated:
        lines.append(f"integrated over: {', '.join(plan.branches)}, by quadrature, given each value of which the rest is exact")
    elif plan.branches:
        lines.append(f"summed over: the states of {', '.join(plan.branches)}, given each of which the rest is exact")
    for block in plan.blocks:
        lines.append(f"block q({block.name}): {form(block)}")
        lines.append(f"    {_reason(block, plan)}")
    lines += [f"parameter expansion: {e}, which no likelihood sees" for e in plan.expansions]
    if plan.predicted:
        lines.append(f"predicted from the posterior: {', '.join(plan.predicted)} (nothing observed depends on them)")
    lines.append(
        f"engine: {plan.engine}" + (", exact: no statement joins two blocks, so the bound is the log evidence" if plan.exact else "")
    )
    if not plan.exact:
        what = "drawn in turn given each other" if plan.engine == "gibbs" else "taken as independent where they meet"
        lines += [f"    blocks are {what}: {text}" for text in _joints(plan)]
    return "\n".join(lines)


def form(block: Block) -> str:
    """The family of a block, with how many independent ones there are of it."""
    plates = " × ".join(map(str, block.batch))
    several = f"{plates} independent " if plates else ""
    return several + kind_of(block).described(block)


def _reason(block: Block, plan: Plan) -> str:
    bent = [f.label for f in plan.factors if smooth_variables([f]) & set(block.variables)]
    if bent and plan.engine == "gibbs":
        return f"a joint Normal given Pólya–Gamma weights of {'; '.join(dict.fromkeys(bent))}"
    if bent:
        return f"natural-gradient steps: not conjugate in {'; '.join(dict.fromkeys(bent))}"
    if block.structure is not None:
        names = " and ".join(block.variables)
        whose = f"{names} meet" if len(block.variables) > 1 else f"members of {names} meet"
        return f"{whose} in {'; '.join(_meetings(block, plan))}: their joint posterior is summed exactly"
    if block.turns is not None:
        count = int(block.turns.max()) + 1
        met = "; ".join(_meetings(block, plan))
        return f"its members meet in {met} and are taken as independent: their joint posterior is not summed, {count} turns a sweep"
    if block.members is not None:
        return "its members meet, and are taken as independent because the approximation asks for it"
    if len(block.variables) > 1:
        what = "meet in one affine mean" if block.kind == "Gaussian" else "meet in a statement"
        return f"{' and '.join(block.variables)} {what}, so they stay together"
    if block.kind == "table":
        return "a discrete variable: its probabilities are summed over exactly"
    touching = [f for f in plan.factors if set(f.variables) & set(block.variables)]
    labels = list(dict.fromkeys(f.label for f in touching))
    return f"conjugate in every statement that touches it: {'; '.join(labels)}"


def _meetings(block: Block, plan: Plan) -> list[str]:
    """The statements that join several places of a discrete block."""
    return list(dict.fromkeys(f"`{f.label}`" for f in plan.factors if sum(e.variable in block.variables for e in f.enumerations) > 1))


def _joints(plan: Plan) -> list[str]:
    from ppl.compiler.plan import blocks_touched

    found = {}
    for one in plan.factors:
        touched = blocks_touched(one, plan.blocks)
        if len(touched) > 1:
            line = one.statement.span.line
            found[f"{' | '.join(b.name for b in touched)} in `{one.label}` (line {line})"] = None
    return list(found)
