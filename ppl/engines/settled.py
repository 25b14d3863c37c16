"""Statements that are wholly known: a value that was observed, of a distribution without a message whose arguments are given, adds one
number to the log joint, so it needs no engine. What a rewrite brings a message is left to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ppl.arrays.plated import known
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.plan import deterministic_definitions
from ppl.compiler.rewrites import left_over, rewriting
from ppl.engines.forward import reached
from ppl.engines.members import log_density_at
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import index_value
from ppl.semantics import typed
from ppl.semantics.walking import inside

Definitions = Mapping[str, list[typed.DeterministicStatement]]


def settle(bound: BoundModel) -> BoundModel:
    """The model with a number in the place of each such statement, whatever a rewrite would bring."""
    return settled(bound, rewritable=True)[0]


def settled(bound: BoundModel, *, rewritable: bool = False) -> tuple[BoundModel, tuple[str, ...]]:
    """The model with a number in the place of each such statement, and the reasons."""
    definitions = deterministic_definitions(bound.model)
    statements, potentials, reasons = [], list(bound.model.potentials), []
    for statement in bound.model.statements:
        if not isinstance(statement, typed.RandomStatement) or not _is_settled(statement, bound, definitions, rewritable):
            statements.append(statement)
            continue
        number = typed.Constant(known_log_density(statement, bound, definitions), span=statement.span, type=typed.ValueType())
        potentials.append(typed.Potential((), number, span=statement.span))
        reasons.append(f"`{statement.variable}` and all that it depends on are known: its density is a number")
    if not reasons:
        return bound, ()
    left = {s.variable for s in statements}
    variables = {n: v if n in left or v.role != "random" else replace(v, role="parameter") for n, v in bound.model.variables.items()}
    model = replace(bound.model, variables=variables, statements=tuple(statements), potentials=tuple(potentials))
    return replace(bound, model=model, observed={n: o for n, o in bound.observed.items() if n in left}), tuple(reasons)


def _is_settled(statement: typed.RandomStatement, bound: BoundModel, definitions: Definitions, rewritable: bool) -> bool:
    call = statement.distribution
    if any(True for _ in inside(call, typed.NetworkCall)):
        return False
    if has_factor(statement):
        return False
    if not rewritable and rewriting(statement, bound) is not None:
        return False
    random = {n for n in (statement.variable, *reached(statement, definitions)) if bound.model.variables[n].role == "random"}
    return all(n in bound.values and bool(np.all(bound.observed[n])) for n in random - set(definitions))


def has_factor(statement: typed.RandomStatement) -> bool:
    """Whether a statement has a factor as it stands."""
    call = statement.distribution
    return isinstance(call, typed.DistributionCall) and DISTRIBUTIONS[call.name].implementation is not None and not left_over(statement)


def known_log_density(statement: typed.RandomStatement, bound: BoundModel, definitions: Definitions) -> float:
    """The sum over the members, nats."""
    evaluator = LatentEvaluator(bound, {}, definitions)
    loops = evaluator.loops_of(statement)
    child = index_value(known(bound.values[statement.variable]), tuple(evaluator.index(i, None, loops) for i in statement.indices))
    sizes = {d: n for index in loops.values() for d, n in index.sizes.items()}
    return float(np.sum(log_density_at(statement, evaluator, loops, child).arranged(tuple(sizes), sizes)))
