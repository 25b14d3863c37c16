"""A small discrete structure is a family: its log-partition sums one variable out after the other.

A factor is the names of its axes and a table of log-potentials: plates first, which broadcast among the factors, then one axis
for each name. A table entry of the logarithm of 0 may be -inf or anything under -1e30; inside it is -1e30, so that nothing is
NaN and what is impossible everywhere has a log-partition near -1e30 (Koller & Friedman 2009, chapters 9 and 13).

    log_partition(factors, order=None) -> Array[plates]
    marginals(factors, order=None) -> (log-partition, [the marginal table of each factor, plates + names])
    sample(key, factors, order=None) -> {name: int Array[plates]}
    mode(factors, order=None) -> {name: int Array[plates]}

`order` is that of `elimination_cost(scopes, cardinality)`, which is asked where none is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ppl.families.elimination_order import Name, elimination_cost
from ppl.numerics.special import floats

IMPOSSIBLE = -1e30

Factors = Sequence[tuple[Sequence[Name], Array]]


class Table(NamedTuple):
    names: tuple[Name, ...]
    values: Array


class Step(NamedTuple):
    """A variable and the table of it (last axis) and of those that were left when it was summed out."""

    name: Name
    table: Table


def log_partition(factors: Factors, order: Sequence[Name] | None = None) -> Array:
    """log Σ exp Σ_f table_f, over the plates; its gradient by a table is the marginal of the table's names."""
    return _eliminated(_tables(factors), order, _log_sum_exp)[0]


def marginals(factors: Factors, order: Sequence[Name] | None = None) -> tuple[Array, list[Array]]:
    """The log-partition and, for each factor, the joint probabilities of its names, with all the plates."""
    tables = _tables(factors)
    plates = _plates(tables)
    full = [jnp.broadcast_to(t.values, plates + t.values.shape[t.values.ndim - len(t.names) :]) for t in tables]

    def total(values: list[Array]) -> tuple[Array, Array]:
        value = _eliminated([Table(t.names, v) for t, v in zip(tables, values, strict=True)], order, _log_sum_exp)[0]
        return value.sum(), value

    probabilities, value = jax.grad(total, has_aux=True)(full)
    return value, probabilities


def sample(key: Array, factors: Factors, order: Sequence[Name] | None = None) -> dict[Name, Array]:
    """One draw of all the variables for each member of the plates: the last eliminated first, the others given it."""
    steps = _eliminated(_tables(factors), order, _log_sum_exp)[1]
    keys = dict(zip((step.name for step in steps), jax.random.split(key, max(len(steps), 1)), strict=False))
    return _back(steps, lambda name, conditional: jax.random.categorical(keys[name], conditional), _plates(_tables(factors)))


def mode(factors: Factors, order: Sequence[Name] | None = None) -> dict[Name, Array]:
    """The most probable joint state for each member of the plates."""
    steps = _eliminated(_tables(factors), order, jnp.max)[1]
    return _back(steps, lambda name, conditional: jnp.argmax(conditional, axis=-1), _plates(_tables(factors)))


def _log_sum_exp(values: Array, axis: int) -> Array:
    """Of finite values, so that it needs none of the cases of the general one, whose tracing would be most of the cost."""
    top = jax.lax.stop_gradient(values.max(axis=axis, keepdims=True))
    return jnp.log(jnp.exp(values - top).sum(axis=axis)) + jnp.squeeze(top, axis)


def _tables(factors: Factors) -> list[Table]:
    return [Table(tuple(names), jnp.maximum(floats(values), IMPOSSIBLE)) for names, values in factors]


def _plates(tables: Sequence[Table]) -> tuple[int, ...]:
    return jnp.broadcast_shapes(*(t.values.shape[: t.values.ndim - len(t.names)] for t in tables))


def _eliminated(tables: list[Table], order: Sequence[Name] | None, sum_out: Callable[..., Array]) -> tuple[Array, list[Step]]:
    """What is left when every variable is summed (or maximised) out, and the table that each one was summed out of."""
    plates, steps = _plates(tables), []
    if order is None:
        sizes = {n: t.values.shape[i - len(t.names)] for t in tables for i, n in enumerate(t.names)}
        order = elimination_cost([t.names for t in tables], sizes).order
    for name in order:
        joined = _joined([t for t in tables if name in t.names], last=name)
        left = Table(joined.names[:-1], sum_out(joined.values, axis=-1))
        tables = [t for t in tables if name not in t.names] + [left]
        steps.append(Step(name, joined))
    total = sum((t.values for t in tables), start=jnp.zeros(()))
    return jnp.broadcast_to(total, plates), steps


def _joined(tables: Sequence[Table], last: Name) -> Table:
    """The sum of the tables over the union of their names, with `last` as the last axis."""
    names = (*dict.fromkeys(n for t in tables for n in t.names if n != last), last)
    total = _aligned(tables[0], names)
    for table in tables[1:]:
        total = total + _aligned(table, names)
    return Table(names, total)


def _aligned(table: Table, names: tuple[Name, ...]) -> Array:
    """The table with one axis for each of the names, of length 1 where it does not have the name."""
    plates = table.values.ndim - len(table.names)
    own = [n for n in names if n in table.names]
    axes = [plates + table.names.index(n) for n in own]
    values = jax.lax.transpose(table.values, (*range(plates), *axes))
    return jnp.expand_dims(values, tuple(plates + i for i, n in enumerate(names) if n not in table.names))


def _back(steps: Sequence[Step], choose: Callable[[Name, Array], Array], plates: tuple[int, ...]) -> dict[Name, Array]:
    """The states from the last eliminated variable to the first, each chosen from its table given those chosen before."""
    states: dict[Name, Array] = {}
    for name, table in reversed(steps):
        values = jnp.broadcast_to(table.values, plates + table.values.shape[table.values.ndim - len(table.names) :])
        for other in table.names[:-1]:
            index = states[other].reshape(plates + (1,) * (values.ndim - len(plates)))
            values = jnp.squeeze(jnp.take_along_axis(values, index, axis=len(plates)), axis=len(plates))
        states[name] = choose(name, values)
    return states
