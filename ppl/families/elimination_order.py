"""In which order the variables of a discrete structure are summed out, and what that costs, from names and cardinalities alone.

The order is the better of min-fill and min-degree (networkx); no JAX here, so that a plan is told before anything computes
(Koller & Friedman 2009, chapter 9).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

Name = Hashable


@dataclass(frozen=True)
class EliminationCost:
    """`order` lists every variable once; `largest_table` and `operations` count table entries for one member of the plates."""

    order: tuple[Name, ...]
    largest_table: int
    operations: int


def elimination_cost(scopes: Iterable[Sequence[Name]], cardinality: Mapping[Name, int]) -> EliminationCost:
    """The cheapest known order for factors over these names: the smallest largest table, then the fewest operations."""
    scopes = [tuple(scope) for scope in scopes]
    orders = {_ordered(scopes, heuristic) for heuristic in ("min_fill", "min_degree")}
    return min((cost_of_order(scopes, cardinality, order) for order in orders), key=lambda c: (c.largest_table, c.operations))


def cost_of_order(scopes: Iterable[Sequence[Name]], cardinality: Mapping[Name, int], order: Sequence[Name]) -> EliminationCost:
    """What eliminating in this order costs: the entries of each table that is formed, once for each factor multiplied into it."""
    tables = [frozenset(scope) for scope in scopes]
    largest, operations = 1, 0
    for name in order:
        touched = [t for t in tables if name in t]
        joined = frozenset[Name]().union(*touched)
        entries = prod(cardinality[n] for n in joined)
        largest, operations = max(largest, entries), operations + entries * max(len(touched), 1)
        tables = [t for t in tables if name not in t] + [joined - {name}]
    return EliminationCost(tuple(order), largest, operations)


def _ordered(scopes: Sequence[tuple[Name, ...]], heuristic: str) -> tuple[Name, ...]:
    """Every variable, in the order of one of networkx's heuristics; on numbers, whose sets have the same order in every process."""
    from networkx import Graph
    from networkx.algorithms.approximation import treewidth

    names = list(dict.fromkeys(name for scope in scopes for name in scope))
    neighbours = _neighbours([[names.index(name) for name in scope] for scope in scopes], len(names))
    choose = treewidth.min_fill_in_heuristic
    if heuristic == "min_degree":
        choose = treewidth.MinDegreeHeuristic(Graph([(i, j) for i, around in neighbours.items() for j in around])).best_node
    order: list[int] = []
    while (chosen := choose(neighbours)) is not None:
        around = neighbours.pop(chosen)
        for other in around:
            neighbours[other] |= around
            neighbours[other] -= {chosen, other}
        order.append(chosen)
    return tuple(names[i] for i in (*order, *neighbours))  # what is left is a clique, in which every order costs the same


def _neighbours(scopes: Sequence[Sequence[int]], count: int) -> dict[int, set[int]]:
    neighbours: dict[int, set[int]] = {i: set() for i in range(count)}
    for scope in scopes:
        for i in scope:
            neighbours[i] |= set(scope) - {i}
    return neighbours
