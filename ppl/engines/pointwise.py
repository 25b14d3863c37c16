"""The log-likelihood of each observation under draws of a posterior.

Given its parameters a member of a mixture does not wait for its own class: discrete latent variables of the same members are
summed out, since likelihoods given drawn classes would reward each observation for the class that it chose itself. Statements that
share such a variable make one observation together. Other latent variables stay at their draws.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx
import numpy as np
from scipy.special import logsumexp

from ppl.arrays.plated import Plated, known, widen
from ppl.compiler.latents import DISCRETE, LatentVariable
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.quantities import NotConjugate
from ppl.compiler.statements import deterministic_definitions, random_statements
from ppl.engines.forward import settled_evaluator
from ppl.engines.members import DRAW, log_density_at
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import index_value, sizes_of
from ppl.graph.references import reached
from ppl.semantics import typed

LARGEST_CHUNK = 2_000_000  # numbers of one array
MOST_STATES = 4096


@dataclass(frozen=True)
class Observations:
    """Log-likelihoods, draws first and then the plates of `like`: the variable whose members the observations are."""

    like: str
    values: np.ndarray = field(repr=False)


def log_likelihoods(bound: BoundModel, draws: Mapping[str, np.ndarray], *, among: Collection[str] | None = None) -> dict[str, Observations]:
    """By observed variable (or those that are one observation together, `x, y`), or those `among` them; NaN where an entry is missing."""
    statements = [s for s in random_statements(bound.model) if s.variable in bound.observed and (among is None or s.variable in among)]
    found: dict[str, Observations] = {}
    for variables, summed in _together(bound, statements):
        mine = [s for s in statements if s.variable in variables]
        try:
            found[", ".join(variables)] = _in_chunks(bound, draws, mine, summed)
        except _NotOfOneMember:
            for name in variables:
                found[name] = _in_chunks(bound, draws, [s for s in mine if s.variable == name], {})
    return found


class _NotOfOneMember(Exception):
    """The discrete variables are not those of the observation's own member: their sum is no product over the members."""


Local = Mapping[str, LatentVariable]


def _in_chunks(bound: BoundModel, draws: Mapping[str, np.ndarray], mine: list[typed.RandomStatement], summed: Local) -> Observations:
    """The draws in parts, so that arrays stay small."""
    count = len(next(iter(draws.values()), np.zeros(1)))
    largest = max(int(np.prod(bound.shape(bound.model.variables[s.variable]), dtype=int)) for s in mine)
    states = int(np.prod([one.cardinality for one in summed.values()], dtype=int))
    size = max(1, min(count, LARGEST_CHUNK // max(1, largest * states)))
    parts = []
    for start in range(0, count, size):
        some = {name: value[start : start + size] for name, value in draws.items()}
        parts.append(_summed(bound, some, mine, summed) if summed else _plain(bound, some, mine, min(size, count - start)))
    return Observations(next(iter(summed), mine[0].variable), np.concatenate(parts))


def _plain(bound: BoundModel, draws: Mapping[str, np.ndarray], mine: list[typed.RandomStatement], count: int) -> np.ndarray:
    """Each observed entry by itself, given everything else."""
    name = mine[0].variable
    result = np.full((count, *bound.observed[name].shape), np.nan)
    evaluator = settled_evaluator(bound, draws)
    for statement in mine:
        loops = evaluator.loops_of(statement)
        value = log_density_at(statement, evaluator, loops, _child(statement, evaluator, loops, bound))
        result[(slice(None), *evaluator.place_of(statement, loops))] = value.arranged((DRAW, *sizes_of(loops)))
    return np.where(bound.observed[name], result, np.nan)


def _child(statement: typed.RandomStatement, evaluator: LatentEvaluator, loops: Mapping[str, Plated], bound: BoundModel) -> Plated:
    """The observed values; where one is missing some observed one stands, whose density is not used."""
    values, observed = bound.values[statement.variable], bound.observed[statement.variable]
    if not observed.all():
        example = values[observed][0] if observed.any() else np.zeros(values.shape[observed.ndim :])
        values = np.where(widen(observed, values.ndim), values, example)
    target = tuple(evaluator.index(i, None, loops) for i in statement.indices)
    return index_value(known(values), target)


# ------------------------------------------------------------------ discrete variables of single members
def _summed(bound: BoundModel, draws: Mapping[str, np.ndarray], mine: list[typed.RandomStatement], local: Local) -> np.ndarray:
    """log Σ_z p(x, z) for each member of the plates of z."""
    known_draws = {name: value for name, value in draws.items() if name not in local}
    plates = next(iter(local.values())).plates
    if any(one.plates != plates for one in local.values()):
        raise _NotOfOneMember
    dims = (DRAW, *(f"plate {k}" for k in range(len(plates))), *(f"{name}=" for name in local))
    joint, seen = Plated((), np.asarray(0.0)), np.zeros(plates, bool)
    for statement in (*mine, *(s for s in random_statements(bound.model) if s.variable in local)):
        evaluator = _with_states(bound, known_draws, local)
        loops = evaluator.loops_of(statement)
        try:
            if statement.variable in local:
                child = evaluator.latent(local[statement.variable], tuple(loops[i.name] for i in statement.indices))  # type: ignore[attr-defined]
            else:
                child = _child(statement, evaluator, loops, bound)
            value = log_density_at(statement, evaluator, loops, child)
        except NotConjugate:
            raise _NotOfOneMember from None
        names = _plates_of(evaluator, loops, plates)
        if statement.variable in bound.values:
            mask = Plated(tuple(sizes_of(loops)), bound.observed[statement.variable][evaluator.place_of(statement, loops)])
            value = Plated(value.dims, np.where(mask.arranged(value.dims), value.data, 0.0))
            seen |= mask.data.any(axis=tuple(k for k, d in enumerate(mask.dims) if d not in names)).transpose(_order(mask.dims, names))
        value = value.sum_dim(*(d for d in value.dims if d in sizes_of(loops) and d not in names))
        joint = joint + Plated(tuple(names.get(d, d) for d in value.dims), value.data)
    total: Any = logsumexp(joint.arranged(dims), axis=tuple(range(1 + len(plates), len(dims))))
    count = len(next(iter(draws.values()), (0,)))
    return np.where(seen, np.broadcast_to(total, (count, *plates)), np.nan)


def _with_states(bound: BoundModel, draws: Mapping[str, np.ndarray], local: Local) -> LatentEvaluator:
    """An evaluator in which a reference to one of the discrete variables is a plate over its states."""
    try:
        evaluator = settled_evaluator(bound, draws)
    except KeyError:  # what is computed from its own past depends on them
        raise _NotOfOneMember from None
    evaluator.latents = local
    return evaluator


def _plates_of(evaluator: LatentEvaluator, loops: Mapping[str, Plated], plates: tuple[int, ...]) -> dict[str, str]:
    """Which loop runs over which plate of the discrete variables: each must be at the statement's own member."""
    names: dict[str, str] = {}
    for one in evaluator.enumerations.values():
        whole = all(i.start == 0 and i.data.shape == (n,) and i.dims[0] in sizes_of(loops) for i, n in zip(one.index, plates, strict=True))
        found = {i.dims[0]: f"plate {k}" for k, i in enumerate(one.index)} if whole else {}
        if len(found) < len(plates) or (names and found != names):
            raise _NotOfOneMember
        names = found
    if not names:
        raise _NotOfOneMember
    return names


def _order(dims: tuple[str, ...], names: Mapping[str, str]) -> tuple[int, ...]:
    """The axes that are left of a mask, in the order of the plates."""
    left = [names[d] for d in dims if d in names]
    return tuple(left.index(name) for name in sorted(left))


def _local_variables(bound: BoundModel) -> dict[str, LatentVariable]:
    """Discrete variables in plates that are wholly latent, each with one statement over all its members."""
    found: dict[str, LatentVariable] = {}
    statements = random_statements(bound.model)
    for statement in statements:
        name, call = statement.variable, statement.distribution
        alone = sum(s.variable == name for s in statements) == 1 and name not in bound.values
        plain = statement.indices and all(isinstance(i, typed.IndexReference) for i in statement.indices)
        if isinstance(call, typed.DistributionCall) and call.name in DISCRETE and plain and alone:
            variable = bound.model.variables[name]
            member_of = variable.type.member_of
            states = 2 if member_of is None else bound.sizes[member_of.key]
            found[name] = LatentVariable(name, call.name, (), bound.shape(variable), (), states)
    return found


def _together(bound: BoundModel, statements: list[typed.RandomStatement]) -> Iterator[tuple[tuple[str, ...], dict[str, LatentVariable]]]:
    """Observed variables that are one observation together, with the discrete variables that are summed out of it."""
    local, definitions = _local_variables(bound), deterministic_definitions(bound.model)
    graph = networkx.Graph()
    graph.add_nodes_from(dict.fromkeys(s.variable for s in statements))
    for statement in random_statements(bound.model):
        if statement.variable in graph or statement.variable in local:
            graph.add_edges_from((statement.variable, name) for name in reached(statement, definitions) if name in local)
    for group in networkx.connected_components(graph):
        variables = tuple(dict.fromkeys(s.variable for s in statements if s.variable in group))
        summed = {name: one for name, one in local.items() if name in group}
        few = np.prod([float(one.cardinality) for one in summed.values()]) <= MOST_STATES
        if variables and (few or not summed):
            yield variables, summed
        else:
            yield from (((name,), {}) for name in variables)
