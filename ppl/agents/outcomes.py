"""What an outcome tells of the states: the joint likelihood of all outcomes of a step, brought to its smallest form.

Two joint outcomes whose likelihoods are proportional say the same, so they are one column here: mutual information and the
posteriors that outcomes lead to are unchanged (the likelihood function is sufficient), and a useless sensor costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import Layout
from ppl.agents.network import AgentNetwork, Table

MOST_ENTRIES = 2**22  # of the joint likelihood of one group of outcomes
ROUNDED = 12  # decimals to which likelihoods count as proportional


@dataclass(frozen=True)
class Sensed:
    """Outcomes that tell of the same clusters: `fixed` is states × columns, and `learnt` outcomes multiply in when their tables are
    known. `apart` says that their information was not taken jointly with that of other groups on the same clusters."""

    clusters: tuple[int, ...]
    states: tuple[str, ...]
    sizes: tuple[int, ...]
    fixed: np.ndarray = field(repr=False)
    learnt: tuple[str, ...] = ()
    apart: bool = False

    def likelihood(self, network: AgentNetwork, fixed: Any, observations: Mapping[str, Any]) -> Any:
        """p(column | states), states flattened; a column is a set of joint outcomes that say the same."""
        joint = jnp.asarray(fixed)
        for name in self.learnt:
            own = _over(network.observations[name], observations[name], self.states, self.sizes, jnp)
            joint = (joint[:, :, None] * own[:, None, :]).reshape(joint.shape[0], -1)
        return joint


def sensed(network: AgentNetwork, layout: Layout) -> tuple[Sensed, ...]:
    """The outcomes of an agent in groups that meet in a cluster."""
    sizes = {f.name: f.size for f in network.states}
    groups: list[list[str]] = []
    for f in network.outcomes:
        touched = set(layout.touched(network.observations[f.name].parents))
        if not touched:
            continue  # it tells nothing
        met = [g for g in groups if touched & {k for n in g for k in layout.touched(network.observations[n].parents)}]
        groups = [g for g in groups if g not in met] + [[n for g in met for n in g] + [f.name]]
    return tuple(one for group in groups for one in _joined(group, network, layout, sizes))


def _joined(group: list[str], network: AgentNetwork, layout: Layout, sizes: Mapping[str, int]) -> list[Sensed]:
    """The group as one likelihood; where that is too large, in as few as are small enough."""
    found: list[list[str]] = []
    for name in group:
        for together in found:
            if _entries([*together, name], network, sizes) <= MOST_ENTRIES:
                together.append(name)
                break
        else:
            found.append([name])
    return [_sensed(together, network, layout, sizes, apart=len(found) > 1) for together in found]


def _entries(names: list[str], network: AgentNetwork, sizes: Mapping[str, int]) -> int:
    states = _states(names, network, sizes)
    fixed, learnt = _fixed(names, network, states, sizes)
    return fixed.shape[0] * fixed.shape[1] * prod(network.factor[n].size for n in learnt)


def _states(names: list[str], network: AgentNetwork, sizes: Mapping[str, int]) -> tuple[str, ...]:
    mentioned = {p for n in names for p in network.observations[n].parents}
    return tuple(s for s in sizes if s in mentioned)


def _fixed(names: list[str], network: AgentNetwork, states: tuple[str, ...], sizes: Mapping[str, int]) -> tuple[np.ndarray, list[str]]:
    lengths = tuple(sizes[s] for s in states)
    joint, learnt = np.ones((prod(lengths), 1)), []
    for name in names:
        table = network.observations[name]
        if table.rows or not isinstance(table.known, np.ndarray):
            learnt.append(name)
            continue
        own = _over(table, table.known, states, lengths, np)
        if joint.shape[0] * joint.shape[1] * own.shape[1] > 4 * MOST_ENTRIES:
            return np.ones((joint.shape[0], 4 * MOST_ENTRIES // joint.shape[0] + 1)), learnt
        joint = merged((joint[:, :, None] * own[:, None, :]).reshape(joint.shape[0], -1))
    return joint, learnt


def _sensed(names: list[str], network: AgentNetwork, layout: Layout, sizes: Mapping[str, int], *, apart: bool) -> Sensed:
    states = _states(names, network, sizes)
    fixed, learnt = _fixed(names, network, states, sizes)
    lengths = tuple(sizes[s] for s in states)
    return Sensed(layout.touched(states), states, lengths, fixed, tuple(learnt), apart)


def _over(table: Table, array: Any, states: tuple[str, ...], sizes: tuple[int, ...], xp: Any) -> Any:
    """The table over all combinations of the states, flattened, by the outcome."""
    order = [table.parents.index(s) for s in states if s in table.parents]
    arranged = xp.transpose(array, [*order, array.ndim - 1])
    arranged = arranged[tuple(slice(None) if s in table.parents else None for s in states) + (slice(None),)]
    return xp.broadcast_to(arranged, (*sizes, array.shape[-1])).reshape(-1, array.shape[-1])


def merged(joint: np.ndarray) -> np.ndarray:
    """The columns that can happen, those that are proportional added up."""
    joint = joint[:, joint.max(axis=0) > 0]
    shapes = np.round(joint / joint.sum(axis=0), ROUNDED)
    _, group = np.unique(shapes, axis=1, return_inverse=True)
    group = np.ravel(group)
    found = np.zeros((joint.shape[0], group.max() + 1))
    np.add.at(found.T, group, joint.T)
    return found
