"""Forward drawing: entries that are not settled are drawn from the model given those that are, time step by time step where a
variable depends on its own past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, known, running, widen
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.statements import deterministic_definitions, random_statements
from ppl.engines.members import DRAW, distribution_at
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import sizes_of
from ppl.graph.networks import feed_forward, weights_name
from ppl.graph.references import Statement, statement_uses, subexpressions
from ppl.semantics import typed

Masks = Mapping[str, np.ndarray]


class ForwardEvaluator(LatentEvaluator):
    """Networks have values too: their weights stand among those of the variables."""

    def evaluate(self, e: typed.TypedExpression, loops: Mapping[str, Plated]) -> Any:
        if isinstance(e, typed.NetworkCall):
            weights = known(self.values[weights_name(e.network)])
            return feed_forward(self.bound.model.networks[e.network], weights, self.number(e.argument, loops), self.sizes)
        return super().evaluate(e, loops)


def evaluator_of(bound: BoundModel, draws: Mapping[str, np.ndarray]) -> LatentEvaluator:
    """An evaluator of the model whose latent variables have draws, those first."""
    evaluator = ForwardEvaluator(bound, {}, deterministic_definitions(bound.model))
    evaluator.values = dict(bound.values) | {name: Plated((DRAW,), value) for name, value in draws.items()}  # type: ignore[assignment]
    return evaluator


def knowing(bound: BoundModel, weights: Mapping[str, Any]) -> BoundModel:
    """The model with the weights of networks that were learnt, by the networks' names, among what is known."""
    return replace(bound, values={**bound.values, **{weights_name(n): np.asarray(w) for n, w in weights.items()}})


def settled_evaluator(bound: BoundModel, draws: Mapping[str, np.ndarray]) -> LatentEvaluator:
    """The same where nothing is left to draw; what is computed from its own past is computed."""
    evaluator = evaluator_of(bound, draws)
    draw_fresh(evaluator, {}, np.random.default_rng(0), len(next(iter(draws.values()), (0,))))
    return evaluator


def draw_fresh(evaluator: LatentEvaluator, fresh: Masks, rng: np.random.Generator, draws: int) -> None:
    """Draws the entries that `fresh` marks (over each variable's plates) and puts them among the evaluator's values."""
    if not fresh and not evaluator.definitions:
        return
    for name, mask in fresh.items():
        evaluator.values[name] = Plated((DRAW,), _begun(name, mask, evaluator, draws))  # type: ignore[index]
    for group, axis in groups(evaluator.bound.model, evaluator.definitions):
        statements = [s for s in _statements(evaluator) if s.variable in group]
        if axis is None:
            for statement in statements:
                if statement.variable in fresh:
                    _draw(statement, evaluator, evaluator.loops_of(statement), fresh[statement.variable], rng, draws)
        elif any(name in fresh or name in evaluator.definitions for name in group):
            _step(statements, axis, evaluator, fresh, rng, draws)


def _begun(name: str, fresh: np.ndarray, evaluator: LatentEvaluator, draws: int) -> np.ndarray:
    """The settled entries in place, the others to be drawn."""
    variable = evaluator.bound.model.variables[name]
    array = np.full((draws, *evaluator.bound.shape(variable)), np.nan)
    current = evaluator.values.get(name)
    if current is not None:
        before = current.data if isinstance(current, Plated) else np.asarray(current)[None]
        array[:] = np.where(widen(fresh, array.ndim - 1), np.nan, before)
    return array


def _statements(evaluator: LatentEvaluator) -> list[Statement]:
    defined = [d for many in evaluator.definitions.values() for d in many]
    order = {id(s): k for k, s in enumerate(evaluator.bound.model.statements)}
    random = [s for s in random_statements(evaluator.bound.model) if s.variable not in evaluator.definitions]
    return sorted([*random, *defined], key=lambda s: order.get(id(s), s.span.start))


# ------------------------------------------------------------------ one statement
def _draw(
    statement: Statement, evaluator: LatentEvaluator, loops: dict[str, Plated], fresh: np.ndarray, rng: np.random.Generator, draws: int
) -> None:
    """Draws the fresh members of a random statement."""
    if not isinstance(statement, typed.RandomStatement):
        return
    place = evaluator.place_of(statement, loops)
    if not fresh[place].any():
        return
    sizes = {DRAW: draws, **sizes_of(loops)}
    distribution = distribution_at(statement, evaluator, loops, None)
    drawn = distribution.draw(rng, tuple(sizes), sizes)
    array = evaluator.values[statement.variable].data
    target = (slice(None), *place)
    array[target] = np.where(widen(fresh[place], drawn.ndim - 1), drawn, array[target])


# ------------------------------------------------------------------ recursions
def _step(statements: list[Statement], axis: str, evaluator: LatentEvaluator, fresh: Masks, rng: np.random.Generator, draws: int) -> None:
    """Statements that refer to each other's past, one step of the axis after the other; those without it begin."""
    for name in dict.fromkeys(s.variable for s in statements if isinstance(s, typed.DeterministicStatement)):
        shape = evaluator.bound.shape(evaluator.bound.model.variables[name])
        evaluator.definitions = {n: d for n, d in evaluator.definitions.items() if n != name}  # computed step by step instead
        evaluator.values[name] = Plated((DRAW,), np.full((draws, *shape), np.nan))  # type: ignore[index]
    ranges = [(s, _stepped(s, axis), evaluator.loops_of(s)) for s in statements]
    for statement, loop, loops in ranges:
        if loop is None:
            _one(statement, evaluator, loops, fresh, rng, draws)
    steps = sorted({int(t) for _, loop, loops in ranges if loop is not None for t in loops[loop].data})
    for t in steps:
        for statement, loop, loops in ranges:
            if loop is not None and t in loops[loop].data:
                _one(statement, evaluator, _at(loops, loop, t), fresh, rng, draws)


def _at(loops: Mapping[str, Plated], loop: str, t: int) -> dict[str, Plated]:
    """One step of a loop; of the loops that stand in rows with it, the rows of that step."""
    own = loops[loop]
    if own.start is not None:
        return {**loops, loop: running(loop, t, t + 1)}
    rows = np.nonzero(own.data == t)[0]
    return {n: Plated(i.dims, i.data[rows]) if i.dims == own.dims else i for n, i in loops.items()}


def _one(
    statement: Statement, evaluator: LatentEvaluator, loops: dict[str, Plated], fresh: Masks, rng: np.random.Generator, draws: int
) -> None:
    if isinstance(statement, typed.RandomStatement):
        if statement.variable in fresh:
            _draw(statement, evaluator, loops, fresh[statement.variable], rng, draws)
        return
    sizes = {DRAW: draws, **sizes_of(loops)}
    value = evaluator.evaluate(statement.value, loops)
    evaluator.values[statement.variable].data[(slice(None), *evaluator.place_of(statement, loops))] = value.arranged(tuple(sizes), sizes)


def _stepped(statement: Statement, axis: str) -> str | None:
    """The loop of the statement that runs over the axis of the recursion."""
    return next((loop.name for loop in statement.loops if loop.set.key == axis), None)


def groups(model: typed.TypedModel, definitions: Mapping[str, list[typed.DeterministicStatement]]) -> Iterator[tuple[set[str], str | None]]:
    """The variables in an order in which they can be drawn; those that depend on each other's past together, with the key of the set
    that they step along."""
    import networkx

    statements: list[Statement] = [s for s in model.statements if s.variable not in definitions]
    statements += [d for many in definitions.values() for d in many]
    graph = networkx.DiGraph()
    graph.add_nodes_from(dict.fromkeys(s.variable for s in statements))
    graph.add_edges_from((used, s.variable) for s in statements for used, _ in statement_uses(s) if used in graph)
    joined = networkx.condensation(graph)
    for node in networkx.lexicographical_topological_sort(joined):
        group = set(joined.nodes[node]["members"])
        recursive = len(group) > 1 or any(graph.has_edge(name, name) for name in group)
        yield group, _axis_of([s for s in statements if s.variable in group], group) if recursive else None


def recursive_axes(model: typed.TypedModel, definitions: Mapping[str, list[typed.DeterministicStatement]]) -> set[str]:
    """The keys of the sets along which something depends on its past."""
    return {axis for _, axis in groups(model, definitions) if axis}


def _axis_of(statements: list[Statement], group: set[str]) -> str:
    """The key of the set whose index is shifted in a reference inside the group, or on the left; empty where members are written out."""
    for statement in statements:
        loops = {loop.name: loop.set.key for loop in statement.loops}
        mentioned = [i for name, indices in statement_uses(statement) if name in group for i in indices]
        for index in (*mentioned, *statement.indices):
            if not isinstance(index, typed.IndexReference):
                found = next((loops[name] for name in _index_names(index) if name in loops), None)
                if found is not None:
                    return found
    return ""


def _index_names(e: typed.TypedExpression) -> Iterator[str]:
    if isinstance(e, typed.IndexReference):
        yield e.name
    for inner in subexpressions(e):
        yield from _index_names(inner)
