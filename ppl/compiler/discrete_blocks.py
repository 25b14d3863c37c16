"""Which discrete variables share a block: as many of those that meet as can be summed exactly together.

A table for each member where they meet at the same members of their plates, a chain along one of them, or a small network. What
none of these can hold is taken apart; a variable whose own members meet in no such way has its members taken as independent.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ppl.compiler.discrete_chains import DiscreteChain, discrete_chain
from ppl.compiler.discrete_networks import DiscreteNetwork, discrete_network
from ppl.compiler.discrete_structure import Pattern, is_single_table, over_members, patterns_of, selects
from ppl.compiler.latents import DISCRETE, LatentVariable
from ppl.compiler.lowering import LoweredFactor

LARGEST_TABLE = 4096
SHORT = 6  # steps up to which a network that is as cheap is taken instead of a chain


@dataclass(frozen=True)
class Discrete:
    """The variables of a block, and its structure: None where it is a table, with `turns` where members are not independent."""

    variables: tuple[str, ...]
    structure: DiscreteChain | DiscreteNetwork | None = None
    turns: np.ndarray | None = None


def discrete_groups(
    latents: Mapping[str, LatentVariable],
    factors: Sequence[LoweredFactor],
    may_join: Callable[[str, str], bool],
    separate: Sequence[str] = (),
) -> list[Discrete]:
    """The discrete variables, block by block. `separate` are those whose members are kept apart because the user says so."""
    names = [n for n, v in latents.items() if v.family in DISCRETE]
    touching = [f for f in factors if f.enumerations]
    pairs, apart = _meetings(touching, may_join)

    def form(group: Sequence[str]) -> Discrete | None:
        if any(frozenset(pair) in apart for pair in itertools.combinations(group, 2)):
            return None
        variables = [latents[n] for n in group]
        if len(group) > 1 and set(separate) & set(group):
            return None
        return form_of(variables, [f for f in touching if set(f.variables) & set(group)], apart=bool(set(separate) & set(group)))

    groups = {n: [n] for n in names}
    found: dict[int, Discrete | None] = {}
    for together in _components(names, pairs):
        if len(together) > 1:
            whole = form(together)
            if whole is not None:
                groups |= dict.fromkeys(together, together)
                found[id(together)] = whole
    for a, b in pairs:
        if groups[a] is not groups[b]:
            union = [n for n in names if n in groups[a] or n in groups[b]]
            made = form(union)
            if made is not None:
                groups |= dict.fromkeys(union, union)
                found[id(union)] = made
    distinct = {id(g): g for g in groups.values()}
    return [found.get(k) or form(g) or _apart(latents[g[0]], touching) for k, g in distinct.items()]


def form_of(variables: Sequence[LatentVariable], factors: Sequence[LoweredFactor], *, apart: bool = False) -> Discrete | None:
    """A form that holds the joint posterior of these variables, or None."""
    names = tuple(v.name for v in variables)
    if is_single_table(variables, factors, LARGEST_TABLE):
        return Discrete(names)
    if apart:
        return None
    chain = discrete_chain(variables, factors)
    if chain is not None and chain.steps > SHORT:
        return Discrete(names, chain)
    network = discrete_network(variables, factors)
    structure = chain if network is None else network
    return Discrete(names, structure) if structure is not None else None


def _meetings(factors: Sequence[LoweredFactor], may_join: Callable[[str, str], bool]) -> tuple[list[tuple[str, str]], set[frozenset[str]]]:
    """Pairs of variables that meet in a factor, and those that no block can hold together."""
    pairs: dict[tuple[str, str], None] = {}
    apart: set[frozenset[str]] = set()
    for factor in factors:
        for a, b in itertools.combinations(factor.enumerations, 2):
            if a.variable == b.variable:
                continue
            if selects(a, b) or selects(b, a) or not may_join(a.variable, b.variable):
                apart.add(frozenset((a.variable, b.variable)))
            else:
                pairs[(a.variable, b.variable)] = None
    return list(pairs), apart


def _components(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    groups = {n: [n] for n in names}
    for a, b in pairs:
        if groups[a] is not groups[b]:
            union = [n for n in names if n in groups[a] or n in groups[b]]
            groups |= dict.fromkeys(union, union)
    return list({id(g): g for g in groups.values()}.values())


# ------------------------------------------------------------------ members taken as independent
def _apart(variable: LatentVariable, factors: Sequence[LoweredFactor]) -> Discrete:
    """One variable, its members independent: those that meet in a factor take turns."""
    patterns = patterns_of([f for f in factors if variable.name in f.variables], [variable.name])
    return Discrete((variable.name,), turns=_turns(variable, patterns))


def _turns(variable: LatentVariable, patterns: Sequence[Pattern]) -> np.ndarray:
    """For each member when it is updated: never together with one that it meets."""
    count = math.prod(variable.plates)
    meeting = []
    for pattern in patterns:
        flat = [_flat(index, variable, pattern) for index in pattern.index]
        meeting += [np.stack(pair) for pair in itertools.combinations(flat, 2)]
    edges = np.concatenate(meeting, axis=1) if meeting else np.zeros((2, 0), int)
    both = np.unique(np.concatenate([edges, edges[::-1]], axis=1), axis=1)
    starts = np.searchsorted(both[0], np.arange(count + 1))
    turns = np.full(count, -1)
    for member in range(count):
        taken = set(turns[both[1, starts[member] : starts[member + 1]]])
        turns[member] = next(k for k in itertools.count() if k not in taken)
    return turns.reshape(variable.plates)


def _flat(index: Sequence, variable: LatentVariable, pattern: Pattern) -> np.ndarray:
    total = np.zeros(math.prod(pattern.sizes), int)
    for i, length in zip(index, variable.plates, strict=True):
        total = total * length + over_members(i, pattern)
    return total
