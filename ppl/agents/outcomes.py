"""What an outcome tells of the states: the joint likelihood of all outcomes of a step, brought to its smallest form.

Two joint outcomes whose likelihoods are proportional say the same, so they are one column here: mutual information and the
posteriors that outcomes lead to are unchanged (the likelihood function is sufficient), and a useless sensor costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ppl.agents.clusters import Layout
from ppl.agents.network import AgentNetwork
from ppl.arrays.plated import namespace

MOST_ENTRIES = 2**20  # of the joint likelihood of one group of outcomes
ROUNDED = 12  # decimals to which likelihoods count as proportional


@dataclass(frozen=True)
class Sensed:
    """Outcomes that tell of the same clusters: `fixed` is states × columns (of a kind, members × states × columns), and `learnt`
    outcomes multiply in when their tables are known. `apart` says that their information was not taken jointly with that of other groups
    on the same clusters."""

    clusters: tuple[int, ...]
    states: tuple[str, ...]
    sizes: tuple[int, ...]
    fixed: np.ndarray = field(repr=False)
    learnt: tuple[str, ...] = ()
    apart: bool = False

    def likelihood(self, network: AgentNetwork, fixed: Any, observations: Mapping[str, Any]) -> Any:
        """p(column | states), states flattened; a column is a set of joint outcomes that say the same."""
        joint = fixed
        for name in self.learnt:
            own = _over(network.observations[name].parents, observations[name], self.states, self.sizes)
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


class _Joint(NamedTuple):
    """Outcomes together: `fixed` is the likelihood of those whose tables are known, members × states flattened × columns."""

    states: tuple[str, ...] = ()
    fixed: np.ndarray = np.ones((1, 1, 1))
    learnt: tuple[str, ...] = ()


def _joined(group: list[str], network: AgentNetwork, layout: Layout, sizes: Mapping[str, int]) -> list[Sensed]:
    """The group as one likelihood; where that is too large, in as few as are small enough."""
    found: list[_Joint] = []
    for name in group:
        for place, before in enumerate(found):
            if _entries(before, name, network, sizes) <= MOST_ENTRIES:
                found[place] = _with(before, name, network, sizes)
                break
        else:
            found.append(_with(_Joint(), name, network, sizes))
    return [_sensed(one, network, layout, sizes, apart=len(found) > 1) for one in found]


def _sensed(one: _Joint, network: AgentNetwork, layout: Layout, sizes: Mapping[str, int], *, apart: bool) -> Sensed:
    lengths = tuple(sizes[s] for s in one.states)
    fixed = np.broadcast_to(one.fixed, (network.count, *one.fixed.shape[1:])) if network.shape else one.fixed[0]
    return Sensed(layout.touched(one.states), one.states, lengths, fixed, one.learnt, apart)


def _states(before: _Joint, name: str, network: AgentNetwork, sizes: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(s for s in sizes if s in (*before.states, *network.observations[name].parents))


def _entries(before: _Joint, name: str, network: AgentNetwork, sizes: Mapping[str, int]) -> int:
    """The size of the joint likelihood with one more outcome, before columns are merged."""
    states = _states(before, name, network, sizes)
    return prod(sizes[s] for s in states) * before.fixed.shape[-1] * prod(network.factor[n].size for n in (*before.learnt, name))


def _with(before: _Joint, name: str, network: AgentNetwork, sizes: Mapping[str, int]) -> _Joint:
    """The joint likelihood with one more outcome."""
    table, states = network.observations[name], _states(before, name, network, sizes)
    lengths = tuple(sizes[s] for s in states)
    joint = before.fixed.reshape(-1, *(sizes[s] for s in before.states), before.fixed.shape[-1])
    joint = _over(before.states, joint, states, lengths)
    if table.rows or not isinstance(table.known, np.ndarray):
        return _Joint(states, joint, (*before.learnt, name))
    own = _over(table.parents, table.known if table.shape else table.known[None], states, lengths)
    product = joint[:, :, :, None] * own[:, :, None, :]
    return _Joint(states, merged(product.reshape(*product.shape[:2], -1)), before.learnt)


def _over(parents: tuple[str, ...], array: Any, states: tuple[str, ...], sizes: tuple[int, ...]) -> Any:
    """An array over some states, then columns, over all combinations of more states, flattened, by the column; members stay in front."""
    xp, lead = namespace(array), array.ndim - len(parents) - 1
    order = [lead + parents.index(s) for s in states if s in parents]
    arranged = xp.transpose(array, [*range(lead), *order, array.ndim - 1])
    arranged = arranged[(slice(None),) * lead + tuple(slice(None) if s in parents else None for s in states) + (slice(None),)]
    front = array.shape[:lead]
    return xp.broadcast_to(arranged, (*front, *sizes, array.shape[-1])).reshape(*front, -1, array.shape[-1])


def merged(joint: np.ndarray) -> np.ndarray:
    """The columns that can happen, those that are proportional for every member added up: members × states × columns."""
    joint = joint[:, :, joint.max(axis=(0, 1)) > 0]
    total = joint.sum(axis=1, keepdims=True)
    shapes = np.round(joint / np.where(total > 0, total, 1.0), ROUNDED)
    _, group = np.unique(shapes.reshape(-1, joint.shape[-1]), axis=1, return_inverse=True)
    group = np.ravel(group)
    found = np.zeros((*joint.shape[:2], group.max() + 1))
    np.add.at(np.moveaxis(found, -1, 0), group, np.moveaxis(joint, -1, 0))
    return found
