"""The log density of each statement as a table: an axis for each of its plates, and one for the states of what is summed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge.distributions import Valued, build
from ppl.engines.numpyro_bridge.tracing import State, TracingEvaluator
from ppl.graph.evaluate import sizes_of
from ppl.semantics import typed

ROWS = "rows"


@dataclass(frozen=True)
class Term:
    """What a statement or a potential adds to the log joint. An axis of its table has length 1 where nothing varies along that plate;
    `lengths` are those of the plates."""

    statement: typed.RandomStatement | typed.Potential
    table: Plated
    lengths: Mapping[str, int]
    states: Mapping[str, State] = field(default_factory=dict)

    def expanded(self, *still: str) -> Plated:
        """The table with all its plates at their lengths, but those that may keep theirs."""
        shape = tuple(n if d in still else self.lengths.get(d, n) for d, n in self.table.sizes.items())
        return Plated(self.table.dims, jnp.broadcast_to(self.table.data, shape))


def statement_term(statement: typed.RandomStatement, evaluator: TracingEvaluator) -> Term | None:
    """The term of a statement; None where nothing that it defines takes part."""
    structure, name = evaluator.structure, statement.variable
    loops = evaluator.loops_of(statement)
    sizes = sizes_of(loops)
    place = tuple(evaluator.index(i, None, loops) for i in statement.indices)
    takes_part = structure.needed[name][tuple(p.arranged(tuple(sizes)) for p in place)]
    takes_part = np.broadcast_to(takes_part, tuple(sizes.values()))
    if not takes_part.any():
        return None
    if not takes_part.all() and not on_states(statement, evaluator):
        loops = rows_of(loops, takes_part)
        sizes = {ROWS: int(takes_part.sum())}
        takes_part = np.ones(tuple(sizes.values()), bool)
        place = tuple(evaluator.index(i, None, loops) for i in statement.indices)
    evaluator = evaluator.fresh()
    child = evaluator.reference(name, place, statement.span)
    valued = evaluator.distribution(statement.distribution, loops, child)
    table = log_table(valued, child, sizes)
    if not takes_part.all():
        mask = Plated(tuple(sizes), takes_part)
        table = Plated(table.dims, jnp.where(mask.arranged(table.dims), table.data, 0.0))
    return Term(statement, table, sizes, evaluator.states)


def on_states(statement: typed.RandomStatement, evaluator: TracingEvaluator) -> bool:
    """Whether a statement refers to what is summed over."""
    from ppl.graph.references import statement_uses

    structure = evaluator.structure
    used = {statement.variable, *(name for name, _ in statement_uses(statement))}
    return bool(used & (set(structure.enumerated) | structure.on_states))


def rows_of(loops: Mapping[str, Plated], mask: np.ndarray) -> dict[str, Plated]:
    """The loops' members at which a mask over them holds, one after the other along one plate."""
    where = dict(zip(sizes_of(loops), np.nonzero(mask), strict=True))
    return {name: Plated((ROWS,), index.data[where[index.dims[0]]]) for name, index in loops.items()}


def log_table(valued: Valued, child: Plated, sizes: Mapping[str, int]) -> Plated:
    """log p(child) for all members of the plates."""
    dims = tuple(dict.fromkeys((*sizes, *valued.dims, *child.dims)))
    distribution = build(valued, dims)
    value = child.arranged(dims)
    if distribution.support.is_discrete:
        value = jnp.asarray(value, int)
    data = distribution.log_prob(value)
    if valued.name == "Ordered":  # of all orders one, told in equal parts by its members
        count = list(sizes.values())[-1] if sizes else 1
        data = data + gammaln(count + 1.0) / count
    return Plated(dims, data)


def potential_term(potential: typed.Potential, evaluator: TracingEvaluator) -> Term:
    evaluator = evaluator.fresh()
    loops = evaluator.loops_of(potential)
    sizes = sizes_of(loops)
    value = evaluator.number(potential.value, loops)
    dims = tuple(dict.fromkeys((*sizes, *value.dims)))
    return Term(potential, Plated(dims, jnp.asarray(value.arranged(dims))), sizes, evaluator.states)
