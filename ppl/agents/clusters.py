"""Which states are believed jointly, and which actions are planned together.

States that meet in a table - of a transition, of an outcome, of the belief at time 0 - form a cluster, whose joint belief is exact;
clusters are independent given the actions. A cluster with too many joint states is taken apart into its states, which are then
independent in the belief: mean field. Actions that reach one cluster, and clusters that one action reaches, form a part: expected
free energy is a sum over parts, so each plans by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ppl.agents.network import AgentNetwork, Table

MOST_JOINT_STATES = 2**15


@dataclass(frozen=True)
class Part:
    """Clusters, by their places, and the actions that reach them: those of states with members, and those of real ones. Of a kind of
    members, whose plates have this `shape`, each has a part like this one."""

    clusters: tuple[int, ...]
    actions: tuple[str, ...]
    reals: tuple[int, ...] = ()
    real_actions: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many members have a part like this one."""
        return prod(self.shape)

    @property
    def acts(self) -> bool:
        return bool(self.actions or self.real_actions)


@dataclass(frozen=True)
class Layout:
    """`clusters` are the names of the states in each; `split` are those that mean field took apart, as they would be exact."""

    clusters: tuple[tuple[str, ...], ...]
    parts: tuple[Part, ...]
    split: tuple[tuple[str, ...], ...] = ()

    def of(self, state: str) -> int:
        """The cluster of a state."""
        return next(k for k, states in enumerate(self.clusters) if state in states)

    def touched(self, names: Iterable[str]) -> tuple[int, ...]:
        """The clusters of those of these names that are states."""
        return tuple(k for k, states in enumerate(self.clusters) if any(name in states for name in names))


def lay_out(network: AgentNetwork, *, most: int = MOST_JOINT_STATES, whole_parts: bool = False) -> Layout:
    """The clusters and parts of an agent; up to `most` joint states are believed jointly.

    `whole_parts` makes one cluster of each part, as planning over what will be seen needs it.
    """
    layout = _separate(network, most)
    if not whole_parts:
        return layout
    order = [f.name for f in network.states]
    clusters, parts = [], []
    for part in layout.parts:
        names = {s for k in part.clusters for s in layout.clusters[k]}
        parts.append(replace(part, clusters=(len(clusters),) if names else ()))
        if names:
            clusters.append(tuple(s for s in order if s in names))
    return Layout(tuple(clusters), tuple(parts), layout.split)


def _separate(network: AgentNetwork, most: int) -> Layout:
    states = [f.name for f in network.states]
    sizes = {f.name: f.size for f in network.states}
    links = [_states_of(table, states) for table in _tables(network)]
    clusters: list[tuple[str, ...]] = []
    split: list[tuple[str, ...]] = []
    for together in _components(states, links):
        if prod(sizes[s] for s in together) <= most:
            clusters.append(together)
        else:
            clusters += [(s,) for s in together]
            split.append(together)
    return Layout(tuple(clusters), _parts(network, clusters, split), tuple(split))


def _tables(network: AgentNetwork) -> list[Table]:
    return [*network.initial.values(), *network.transitions.values(), *network.observations.values()]


def _states_of(table: Table, states: list[str]) -> tuple[str, ...]:
    return tuple(name for name in (*table.parents, table.child) if name in states)


def _parts(network: AgentNetwork, clusters: list[tuple[str, ...]], split: list[tuple[str, ...]]) -> tuple[Part, ...]:
    actions = [f.name for f in network.actions]
    links = [tuple(name for name in (*table.parents, table.child) if name in (*actions, *network.factor)) for table in _tables(network)]
    names = [s for states in clusters for s in states]
    reals = network.reals.clusters if network.reals is not None else ()
    members = [(*(f.name for f in (*c.states, *c.outcomes)), *c.actions, *(f.name for f in c.choosing), *c.sensing) for c in reals]
    numbers = [f.name for f in network.reals.actions] if network.reals is not None else []
    reach = [tuple(n for n in link if n in actions or n in names) for link in links] + [states for states in clusters] + split
    found = []
    every = dict.fromkeys([*names, *actions, *(n for own in members for n in own), *numbers])
    for together in _components(list(every), [*reach, *members]):
        places = tuple(k for k, states in enumerate(clusters) if states[0] in together)
        own = tuple(k for k, group in enumerate(members) if group[0] in together)
        found.append(Part(places, _those(actions, together), own, _those(numbers, together), network.shape))
    if not found and network.outcomes:
        found.append(Part((), (), shape=network.shape))  # outcomes of no state
    return tuple(found)


def _those(names: list[str], together: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name in together)


def _components(names: list[str], links: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The names in groups that the links connect, each in the order of the names."""
    group = {name: {name} for name in names}
    for link in links:
        merged = set().union(*(group[name] for name in link))
        group.update(dict.fromkeys(merged, merged))
    return list(dict.fromkeys(tuple(n for n in names if n in group[first]) for first in names))


def stays(table: Table) -> bool:
    """Whether a state stays as it is: no sum is needed to predict it."""
    known = table.known
    return (
        table.parents == (table.child,)
        and not table.rows
        and isinstance(known, np.ndarray)
        and bool((known == np.eye(known.shape[-1])).all())
    )
