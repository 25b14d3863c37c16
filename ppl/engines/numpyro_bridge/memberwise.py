"""Elimination member by member: every entry of a discrete variable is a name of its own. For small structures of any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.engines.numpyro_bridge.structure import Structure
from ppl.engines.numpyro_bridge.terms import Term
from ppl.engines.numpyro_bridge.tracing import IN_TURN
from ppl.families import elimination
from ppl.families.elimination_order import EliminationCost, elimination_cost
from ppl.source.diagnostics import AimError, Diagnostic

MOST_ENTRIES = 1_000_000  # of a table that elimination forms
MOST_TABLES = 3000


@dataclass(frozen=True)
class Memberwise:
    unary: Mapping[str, Any]
    terms: Sequence[Term]
    structure: Structure

    @cached_property
    def factors(self) -> list[tuple[tuple[tuple[Any, ...], ...], Any]]:
        """Tables by the names of their members: the variable and its indices."""
        found: dict[tuple[tuple[Any, ...], ...], Any] = {}
        for name, table in self.unary.items():
            for place in np.ndindex(table.shape[:-1]):
                found[((name, *place),)] = table[place]
        for term in self.terms:
            for scope, table in _members(term, self.structure):
                found[scope] = found[scope] + table if scope in found else table
        if len(found) > MOST_TABLES:
            self._refuse(f"{len(found)} tables that meet in no regular form")
        return list(found.items())

    @cached_property
    def cost(self) -> EliminationCost:
        names = {n for scope, _ in self.factors for n in scope}
        cost = elimination_cost([scope for scope, _ in self.factors], {n: self.structure.enumerated[n[0]] for n in names})
        if cost.largest_table > MOST_ENTRIES:
            self._refuse(f"a table of {cost.largest_table:.2g} entries")
        return cost

    def _refuse(self, why: str) -> None:
        names = ", ".join(f"`{n}`" for n in self.unary)
        text = f"the states of {names} cannot be summed out: this would need {why}"
        span = self.terms[0].statement.span if self.terms else None
        raise AimError([Diagnostic("AIM0742", text, span, f"{IN_TURN}, or `use vmp`, which takes them as independent")])

    def log_partition(self) -> Any:
        factors = self.factors
        return elimination.log_partition(factors, self.cost.order)

    def sample(self, key: Any) -> dict[str, Any]:
        factors = self.factors
        drawn = elimination.sample(key, factors, self.cost.order)
        found = {}
        for name, table in self.unary.items():
            shape = table.shape[:-1]
            found[name] = jnp.stack([drawn[(name, *place)] for place in np.ndindex(shape)]).reshape(shape)
        return found


def _members(term: Term, structure: Structure) -> list[tuple[tuple[tuple[Any, ...], ...], Any]]:
    """The table of each member of a term's loops; states of one and the same member are one axis."""
    states = list(term.states.values())
    table = term.expanded()
    loops = [d for d in table.dims if d not in term.states]
    lengths = [table.sizes[d] for d in loops]
    data = table.arranged((*loops, *(s.dim for s in states)))
    data = jnp.broadcast_to(data, (*lengths, *(structure.enumerated[s.variable] for s in states)))
    if int(np.prod(lengths)) > MOST_TABLES:
        text = f"{int(np.prod(lengths))} members of this statement join discrete variables in no regular form"
        raise AimError(
            [
                Diagnostic(
                    "AIM0742",
                    text,
                    term.statement.span,
                    IN_TURN,
                )
            ]
        )
    found = []
    for place in np.ndindex(*lengths):
        at = dict(zip(loops, place, strict=True))
        scope = tuple((s.variable, *(int(i.data[tuple(at[d] for d in i.dims)]) for i in s.indices)) for s in states)
        table = data[place]
        while len(set(scope)) < len(scope):
            scope, table = _merged(scope, table)
        found.append((scope, table))
    return found


def _merged(scope: tuple[tuple[Any, ...], ...], table: Any) -> tuple[tuple[tuple[Any, ...], ...], Any]:
    """Two axes of the same member become one: the diagonal."""
    second = next(k for k, name in enumerate(scope) if name in scope[:k])
    first = scope.index(scope[second])
    table = jnp.moveaxis(jnp.diagonal(table, axis1=first, axis2=second), -1, first)
    return scope[:second] + scope[second + 1 :], table
