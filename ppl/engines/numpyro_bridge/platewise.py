"""Elimination over plates: variables with the most plates first, all their members side by side; variables along time as chains.

What a group leaves is a table over the variables that stay, summed over the plates that these lack (Obermeyer et al. 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge.alignment import BEFORE, Factor
from ppl.engines.numpyro_bridge.structure import Structure
from ppl.families import discrete_chain, elimination

LARGEST_STATE = 4096  # of a chain: the joint states of the variables that go along it together


@dataclass(frozen=True)
class Stage:
    """One group: its variables, the tables that touch them, the variables that stay, and the plate that it steps along, if any."""

    names: tuple[str, ...]
    tables: tuple[Plated, ...]
    outside: tuple[str, ...]
    plates: tuple[str, ...]
    time: str | None


@dataclass(frozen=True)
class Platewise:
    """`plates` are those of each variable. `steps` says along which plate a variable is a chain."""

    names: tuple[str, ...]
    factors: tuple[Factor, ...]
    plates: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    steps: Mapping[str, str]

    @classmethod
    def of(
        cls, names: tuple[str, ...], factors: Sequence[Factor], plates: Mapping[str, tuple[str, ...]], structure: Structure
    ) -> Platewise | None:
        """None where the tables have no order of elimination over plates."""
        sizes = {n: structure.enumerated[n] for n in names}
        for factor in factors:
            sizes |= {d: max(n, sizes.get(d, 1)) for d, n in factor.table.sizes.items() if d not in structure.enumerated}
        steps = _steps(names, factors, plates)
        if steps is None:
            return None
        made = cls(names, tuple(factors), plates, {d.removesuffix(BEFORE): n for d, n in sizes.items()}, steps)
        return made if made._order() is not None else None

    # ------------------------------------------------------------ the order
    def _order(self) -> list[tuple[str, ...]] | None:
        """Groups in the order in which they are eliminated; None where a group would touch plates that are not its own."""
        scopes = [{d.removesuffix(BEFORE) for d in f.table.dims} & set(self.names) for f in self.factors]
        left, order = set(self.names), []
        while left:
            first = max(sorted(left), key=lambda n: (len(self.plates[n]), n not in self.steps))
            group = self._group(first, scopes)
            touched = [s for s in scopes if s & group]
            outside = set().union(*touched) - group
            own = set(self.plates[first])
            time = self.steps.get(first)
            if any(not set(self.plates[n]) <= own or time in self.plates[n] for n in outside):
                return None
            if time is not None and _joint(group, self.sizes) > LARGEST_STATE:
                return None
            scopes = [s for s in scopes if not s & group] + ([outside] if outside else [])
            left -= group
            order.append(tuple(n for n in self.names if n in group))
        return order

    def _group(self, first: str, scopes: Sequence[set[str]]) -> set[str]:
        """The variables of the same plates that tables join; those of chains apart from those that are not."""
        alike = {n for n in self.names if set(self.plates[n]) == set(self.plates[first]) and self.steps.get(n) == self.steps.get(first)}
        group, queue = {first}, [first]
        while queue:
            one = queue.pop()
            for scope in scopes:
                if one in scope:
                    new = (scope & alike) - group
                    group |= new
                    queue += sorted(new)
        return group

    def _stages(self) -> tuple[list[Stage], Any]:
        """Every group with what it touched, and the log-partition."""
        tables = [f.table for f in self.factors]
        total, stages = jnp.zeros(()), []
        for names in self._order() or []:
            mine = [t for t in tables if {d.removesuffix(BEFORE) for d in t.dims} & set(names)]
            present = {d.removesuffix(BEFORE) for t in mine for d in t.dims} & set(self.names)
            outside = tuple(n for n in self.names if n in present and n not in names)
            stage = Stage(names, tuple(mine), outside, self.plates[names[0]], self.steps.get(names[0]))
            stages.append(stage)
            tables = [t for t in tables if not any(t is m for m in mine)]
            rest = self._left(stage)
            kept = {p for n in outside for p in self.plates[n]}
            rest = rest.sum_dim(*(p for p in stage.plates if p in rest.dims and p not in kept))
            if outside:
                tables.append(rest)
            else:
                total = total + rest.total()
        return stages, total

    def log_partition(self) -> Any:
        return self._stages()[1]

    def sample(self, key: Any) -> dict[str, Any]:
        """A draw of all states: the group that was eliminated last is drawn first, the others given it."""
        stages, _ = self._stages()
        states: dict[str, Plated] = {}
        for k, stage in enumerate(reversed(stages)):
            tables = tuple(_given(t, {n: states[n] for n in stage.outside}, self.sizes) for t in stage.tables)
            drawn = self._drawn(Stage(stage.names, tables, (), stage.plates, stage.time), jax.random.fold_in(key, k))
            states.update({n: Plated(stage.plates, value) for n, value in drawn.items()})
        return {n: states[n].arranged(self.plates[n]) for n in self.names}

    # ------------------------------------------------------------ one group
    def _left(self, stage: Stage) -> Plated:
        """The log-partition of a group, over its plates and the states of what stays."""
        lead = (*stage.plates, *stage.outside)
        if stage.time is None:
            return Plated(lead, elimination.log_partition(_tables(stage, lead)))
        lead = tuple(d for d in lead if d != stage.time)
        value = discrete_chain.log_partition(**self._chain(stage, lead))
        return Plated(lead, value)

    def _drawn(self, stage: Stage, key: Any) -> dict[str, Any]:
        if stage.time is None:
            found = elimination.sample(key, _tables(stage, stage.plates))
            return {str(n): value for n, value in found.items()}
        lead = tuple(d for d in stage.plates if d != stage.time)
        path = discrete_chain.sample(key, **self._chain(stage, lead))
        found = {}
        for name in reversed(stage.names):
            path, state = jnp.divmod(path, self.sizes[name])
            found[name] = Plated((*lead, stage.time), state).arranged(stage.plates)
        return found

    def _chain(self, stage: Stage, lead: tuple[str, ...]) -> dict[str, Any]:
        """Initial, transition and emission of the joint states of the group's variables; one transition where all steps are alike."""
        time = stage.time
        assert time is not None
        before = tuple(n + BEFORE for n in stage.names)
        here: Any = jnp.zeros((1,) * (len(lead) + 2))
        across: Any = jnp.zeros((1,) * (len(lead) + 3))
        length, joint = self.sizes[time], _joint(set(stage.names), self.sizes)
        for table in stage.tables:
            if any(n in table.dims for n in before):
                across = across + _flat(table, (*lead, time), (before, stage.names), self.sizes)
            else:
                here = here + _flat(table, (*lead, time), (stage.names,), self.sizes)
        here = jnp.broadcast_to(here, (*here.shape[:-2], length, joint))
        steps = across.shape[-3]
        across = jnp.broadcast_to(across, (*across.shape[:-3], steps, joint, joint))
        transition = across[..., 0, :, :] if steps == 1 else across[..., 1:, :, :]
        return {"initial": here[..., 0, :] * 0.0, "transition": transition, "emission": here, "homogeneous": steps == 1}


def _flat(table: Plated, lead: tuple[str, ...], names: tuple[tuple[str, ...], ...], sizes: Mapping[str, int]) -> Any:
    """The table with one axis for the joint states of each tuple of names."""
    flat = [n for group in names for n in group]
    array = table.arranged((*lead, *flat))
    shape = array.shape[: len(lead)]
    full = jnp.broadcast_to(array, shape + tuple(sizes[n.removesuffix(BEFORE)] for n in flat))
    return full.reshape(shape + tuple(int(np.prod([sizes[n.removesuffix(BEFORE)] for n in group])) for group in names))


def _tables(stage: Stage, lead: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    """The tables as elimination takes them: plates and what stays first, then the group's names that each has."""
    own = [tuple(n for n in stage.names if n in t.dims) for t in stage.tables]
    return [(names, t.arranged((*lead, *names))) for names, t in zip(own, stage.tables, strict=True)]


def _given(table: Plated, states: Mapping[str, Plated], sizes: Mapping[str, int]) -> Plated:
    """The table at these states of some of its variables."""
    for name, state in states.items():
        if name in table.dims:
            indicator = Plated((*state.dims, name), jax.nn.one_hot(state.data, sizes[name]))
            table = (table * indicator).sum_dim(name)
    return table


def _joint(names: set[str], sizes: Mapping[str, int]) -> int:
    return int(np.prod([sizes[n] for n in names]))


def _steps(names: Sequence[str], factors: Sequence[Factor], plates: Mapping[str, tuple[str, ...]]) -> dict[str, str] | None:
    """The plate along which each chain goes. A step is along the first plate of a variable that its table shares with its past."""
    steps: dict[str, str] = {}
    for factor in factors:
        for name in names:
            along = factor.along if name + BEFORE in factor.table.dims else None
            if along is not None and steps.setdefault(name, along) != along:
                return None
    along = set(steps.values())
    if len(along) > 1:
        return None
    changed = True
    while changed:  # what a chain's past meets at the next step goes along with it
        changed = False
        for factor in factors:
            if any(d.endswith(BEFORE) for d in factor.table.dims):
                for d in factor.table.dims:
                    if d in names and d not in steps and set(along) <= set(plates[d]):
                        steps[d] = next(iter(along))
                        changed = True
    return steps
