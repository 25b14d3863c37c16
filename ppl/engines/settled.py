"""Statements that are known: a value that was observed, of a distribution without a message whose arguments are given, adds one
number to the log joint, so it needs no engine. Of its members some may be missing, where nothing depends on them: they are predicted.
What a rewrite brings a message is left to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ppl.arrays.plated import known
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.rewrites import rewriting
from ppl.compiler.spot_checks import filled
from ppl.compiler.statements import deterministic_definitions, has_factor
from ppl.engines.members import log_density_at
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import index_value
from ppl.graph.references import potential_uses, reached, statement_uses
from ppl.semantics import typed
from ppl.semantics.walking import inside

Definitions = Mapping[str, list[typed.DeterministicStatement]]


def settle(bound: BoundModel) -> BoundModel:
    """The model with a number in the place of each such statement, whatever a rewrite would bring."""
    return settled(bound, rewritable=True)[0]


def settled(bound: BoundModel, *, rewritable: bool = False) -> tuple[BoundModel, tuple[str, ...]]:
    """The model with a number in the place of each such statement, and the reasons."""
    definitions = deterministic_definitions(bound.model)
    statements, potentials, reasons, in_part = [], list(bound.model.potentials), [], set(bound.settled)
    for statement in bound.model.statements:
        if not isinstance(statement, typed.RandomStatement) or not _is_settled(statement, bound, definitions, rewritable):
            statements.append(statement)
            continue
        number = typed.Constant(known_log_density(statement, bound, definitions), span=statement.span, type=typed.ValueType())
        potentials.append(typed.Potential((), number, span=statement.span))
        if not np.all(bound.observed.get(statement.variable, True)):
            statements.append(statement)
            in_part.add(statement.variable)
        reasons.append(f"`{statement.variable}` and all that it depends on are known: its density is a number")
    if not reasons:
        return bound, ()
    left = {s.variable for s in statements}
    variables = {n: v if n in left or v.role != "random" else replace(v, role="parameter") for n, v in bound.model.variables.items()}
    model = replace(bound.model, variables=variables, statements=tuple(statements), potentials=tuple(potentials))
    observed = {n: o for n, o in bound.observed.items() if n in left}
    return replace(bound, model=model, observed=observed, settled=frozenset(in_part)), tuple(reasons)


def _is_settled(statement: typed.RandomStatement, bound: BoundModel, definitions: Definitions, rewritable: bool) -> bool:
    name, call = statement.variable, statement.distribution
    if name in bound.settled or any(True for _ in inside(call, typed.NetworkCall)):
        return False
    if has_factor(statement):
        return False
    if not rewritable and rewriting(statement, bound) is not None:
        return False
    behind = {n for s in (statement, *definitions.get(name, ())) for n in reached(s, definitions)}
    random = {n for n in behind if bound.model.variables[n].role == "random"} - set(definitions)
    in_part = name in definitions or (name in bound.values and _ends_there(name, bound))
    return all(n in bound.values and bool(np.all(bound.observed[n])) for n in (random if in_part else {name, *random}))


def _ends_there(name: str, bound: BoundModel) -> bool:
    """Whether the members of a variable, scalars, are read by nothing: each takes part alone."""
    model = bound.model
    read = {n for s in model.statements for n, _ in statement_uses(s)} | {n for p in model.potentials for n, _ in potential_uses(p)}
    scalars = len(bound.shape(model.variables[name])) == model.variables[name].plates
    return scalars and name not in read and sum(s.variable == name for s in model.statements) == 1


def known_log_density(statement: typed.RandomStatement, bound: BoundModel, definitions: Definitions) -> float:
    """The sum over the members that were observed, nats."""
    evaluator = LatentEvaluator(bound, {}, definitions)
    loops = evaluator.loops_of(statement)
    name = statement.variable
    place = tuple(evaluator.index(i, None, loops) for i in statement.indices)
    if name in definitions:
        child, told = evaluator.reference(name, place, statement.span), known(np.asarray(True))
    else:
        observed = bound.observed[name]
        child, told = (index_value(known(v), place) for v in (filled(bound.values[name], observed), observed))
    sizes = {d: n for index in loops.values() for d, n in index.sizes.items()}
    density, given = (v.arranged(tuple(sizes), sizes) for v in (log_density_at(statement, evaluator, loops, child), told))
    return float(np.sum(density, where=given))
