"""Discrete variables summed out: tables over their states are put together, and eliminated group by group.

Members of plates are side by side (plates are axes), variables along time are chains, and what has neither form is taken member by
member. Marginals are the gradient of the log-partition by tables that are added to the states' logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge.alignment import Factor, aligned, plates_of
from ppl.engines.numpyro_bridge.memberwise import Memberwise
from ppl.engines.numpyro_bridge.platewise import Platewise
from ppl.engines.numpyro_bridge.structure import Structure
from ppl.engines.numpyro_bridge.terms import Term

IMPOSSIBLE = -1e30


def log_partition(terms: Sequence[Term], structure: Structure, tilts: Mapping[str, Any]) -> Any:
    """The log of the sum over all states of the terms' product."""
    return sum((part.log_partition() for part in parts(terms, structure, tilts)), jnp.zeros(()))


def sample_states(terms: Sequence[Term], structure: Structure, key: Any) -> dict[str, Any]:
    """One joint draw of all states, each variable over its plates."""
    found: dict[str, Any] = {}
    for k, part in enumerate(parts(terms, structure, {})):
        found.update(part.sample(jax.random.fold_in(key, k)))
    return found


def marginals(terms: Sequence[Term], structure: Structure) -> dict[str, Any]:
    """The probabilities of the states of each variable, over its plates."""
    shapes = {n: structure.bound.shape(structure.bound.model.variables[n]) for n in structure.enumerated}
    tilts = {n: jnp.zeros((*shapes[n], size)) for n, size in structure.enumerated.items()}
    return jax.grad(lambda t: log_partition(terms, structure, t))(tilts)


def parts(terms: Sequence[Term], structure: Structure, tilts: Mapping[str, Any]) -> list[Platewise | Memberwise]:
    """The variables in groups that no term joins, each with its tables in a form that can be eliminated."""
    unary = {name: evidence(name, structure, tilts.get(name)) for name in structure.enumerated}
    joint: list[Term] = []
    for term in terms:
        term, states = possible(term), list(term.states.values())
        if len(states) > 1:
            joint.append(term)
        else:
            unary[states[0].variable] = scattered(unary[states[0].variable], term)
    found: list[Platewise | Memberwise] = []
    for group in groups(list(structure.enumerated), joint):
        mine = [t for t in joint if next(iter(t.states.values())).variable in group]
        own = {name: unary[name] for name in group}
        found.append(platewise(own, mine, structure) or Memberwise(own, mine, structure))
    return found


def possible(term: Term) -> Term:
    """The term with the logarithm of 0 as a number, whose products with 0 are 0."""
    return replace(term, table=term.table.map(lambda a: jnp.maximum(a, IMPOSSIBLE)))


def groups(names: list[str], terms: Sequence[Term]) -> list[list[str]]:
    """The variables that terms join, directly or not."""
    together = {name: {name} for name in names}
    for term in terms:
        joined = set().union(*(together[s.variable] for s in term.states.values()))
        for name in joined:
            together[name] = joined
    unique = {id(group): group for group in together.values()}
    return [[n for n in names if n in group] for group in unique.values()]


def evidence(name: str, structure: Structure, tilt: Any) -> Any:
    """The table of a variable's states (last axis) over its plates: what was observed, and one state for what takes no part."""
    bound = structure.bound
    shape, size = bound.shape(bound.model.variables[name]), structure.enumerated[name]
    table = np.zeros((*shape, size))
    settled = np.zeros(shape, int)
    if name in bound.values:
        settled = np.where(bound.observed[name], np.nan_to_num(bound.values[name]), 0).astype(int)
    fixed = ~structure.latent[name]
    table[fixed[..., None] & (np.arange(size) != settled[..., None])] = IMPOSSIBLE
    return jnp.asarray(table) if tilt is None else table + tilt


def scattered(table: Any, term: Term) -> Any:
    """The table of a variable with what a term says of its members alone."""
    (state,) = term.states.values()
    carried = tuple(dict.fromkeys(d for i in state.indices for d in i.dims))
    value = term.expanded().sum_dim(*(d for d in term.table.dims if d != state.dim and d not in carried))
    lengths = {d: n for i in state.indices for d, n in i.sizes.items()}
    data = value.arranged((*carried, state.dim), {**lengths, state.dim: table.shape[-1]})
    place = tuple(i.arranged(carried) for i in state.indices)
    return table.at[place].add(data) if place else table + data


def platewise(unary: Mapping[str, Any], terms: Sequence[Term], structure: Structure) -> Platewise | None:
    """The tables over common plates; None where members meet in no such form."""
    found = aligned(terms, structure)
    if found is None:
        return None
    factors, classes = found
    for name, table in unary.items():
        factors.append(Factor(Plated((*plates_of(name, structure, classes), name), table)))
    return Platewise.of(tuple(unary), factors, {n: plates_of(n, structure, classes) for n in unary}, structure)
