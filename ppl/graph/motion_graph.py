"""A generalized block in the factor graph: equations of motion, priors of causes, sensors, and values at the start, over its time.

A state stands for its whole motion: derivatives are no nodes of their own.
"""

from __future__ import annotations

from ppl.graph.nodes import FactorNode, numbered
from ppl.graph.references import distribution_name, motion_uses
from ppl.semantics import typed


def motion_statements(model: typed.TypedModel) -> tuple[FactorNode, ...]:
    """None of a model without such a block."""
    motion = model.motion
    if motion is None:
        return ()
    taken: dict[str, int] = {}
    starts = [_statement(s, motion, model, taken, start=True) for s in motion.part.starts]
    return (*starts, *(_statement(s, motion, model, taken) for s in motion.part.statements))


def _statement(
    s: typed.MotionStatement, motion: typed.TypedMotion, model: typed.TypedModel, taken: dict[str, int], *, start: bool = False
) -> FactorNode:
    distribution = distribution_name(s.distribution) if s.distribution is not None else ""
    subject = f"{s.variable} at 0" if start else s.variable + "'" * s.order
    kind = "initial" if start else "random" if s.distribution is not None else "deterministic"
    inner = tuple(loop.set.key for loop in s.loops if loop not in motion.plates)
    own = () if start else (motion.loop.set.key,)
    return FactorNode(
        name=numbered(f"{subject} ~ {distribution}" if distribution else f"{subject} =", taken),
        kind=kind,
        distribution=distribution,
        child=s.variable,
        parents=tuple(dict.fromkeys(name for name, _ in motion_uses(s) if name in model.variables)),
        plates=(*(loop.set.key for loop in motion.plates), *own, *inner),
        span=s.span,
    )
