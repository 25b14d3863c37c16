"""What an agent believes: prediction by its transitions, Bayes' rule on its outcomes, and counts of what it learns.

A belief is one array for each cluster, an axis a state. Within a cluster everything is exact; a cluster that was taken apart is
updated state by state in turn, which never raises the free energy (Beal 2003). The free energy of a step is -log p(o_t | o_<t)
where the belief is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import Layout, stays
from ppl.agents.contraction import contract
from ppl.agents.network import AgentNetwork, Table

FLOOR = 1e-16  # of a likelihood, where states are taken as independent: a zero would hold them where they are
MOST_SWEEPS = 200
SETTLED = 1e-10

Beliefs = tuple[Any, ...]


class Memory(NamedTuple):
    """What an agent carries from step to step: its belief over states, the counts of each table that it learns, and its belief over
    real states."""

    beliefs: Beliefs
    learnt: dict[str, Any]
    reals: tuple[Any, ...] = ()


class Tables(NamedTuple):
    """The probabilities of every statement, by what it tells of."""

    initial: dict[str, Any]
    transitions: dict[str, Any]
    observations: dict[str, Any]


def known_tables(network: AgentNetwork) -> Tables:
    """What is known of the tables: 0 where a learnt row stands."""
    return Tables(*({n: t.known for n, t in getattr(network, part).items()} for part in Tables._fields))


def tables_of(network: AgentNetwork, known: Tables, learnt: Mapping[str, Any]) -> Tables:
    """The tables under the expected probabilities of what is learnt."""
    means = {name: counts / counts.sum(axis=-1, keepdims=True) for name, counts in learnt.items()}
    parts = ((getattr(network, part), getattr(known, part)) for part in Tables._fields)
    return Tables(*({n: table.probabilities(array[n], means) for n, table in tables.items()} for tables, array in parts))


def next_name(name: str) -> str:
    return name + "'"


class Perception:
    """The pure functions of an agent's perception; each may be compiled and mapped over many agents."""

    def __init__(self, network: AgentNetwork, layout: Layout):
        self.network, self.layout = network, layout
        self.actions = [f.name for f in network.actions]
        self.outcomes = [f.name for f in network.outcomes]

    # ------------------------------------------------------------ prediction
    def prior(self, tables: Tables) -> Beliefs:
        """The belief before anything is seen."""
        return tuple(contract(self._beginnings(states, tables), states) for states in self.layout.clusters)

    def _beginnings(self, states: tuple[str, ...], tables: Tables) -> list[Any]:
        needed, found = list(states), []
        for name in needed:
            table = self.network.initial[name]
            found.append((tables.initial[name], (*table.parents, name)))
            needed += [p for p in table.parents if p not in needed]
        return found

    def predict(self, beliefs: Beliefs, action: Any, tables: Tables) -> Beliefs:
        """The belief at the next step; `action` holds the place of each action's member."""
        return tuple(self.carried(k, beliefs, self.taken(k, action, tables)) for k in range(len(self.layout.clusters)))

    def taken(self, cluster: int, action: Any, tables: Tables) -> dict[str, Any]:
        """The transition tables of a cluster under an action, with the names of their axes."""
        found = {}
        for state in self.layout.clusters[cluster]:
            table, array = self.network.transitions[state], tables.transitions[state]
            names = list(table.parents)
            for name in table.parents:
                if name in self.actions:
                    array = jnp.take(array, action[self.actions.index(name)], axis=names.index(name))
                    names.remove(name)
            found[state] = (array, (*names, next_name(state)))
        return found

    def carried(
        self, cluster: int, beliefs: Beliefs, moving: Mapping[str, Any], extra: Sequence[Any] = (), kept: Sequence[str] | None = None
    ) -> Any:
        """The sum over present states of beliefs and transitions, an axis for each next state of the cluster (or what is `kept`)."""
        states = self.layout.clusters[cluster]
        needed = {p for s in states for p in self.network.transitions[s].parents} | {s for s in states if self.stays(s)} | set(kept or ())
        operands = [(beliefs[k], self.layout.clusters[k]) for k in self.layout.touched(needed)]
        operands += [(array, names) for s, (array, names) in moving.items() if not self.stays(s)]
        return contract([*operands, *extra], self.arrived(cluster) if kept is None else kept)

    def stays(self, state: str) -> bool:
        return stays(self.network.transitions[state])

    def arrived(self, cluster: int) -> tuple[str, ...]:
        """The names of a cluster's axes at the next step: of a state that stays as it is, its own."""
        return tuple(s if self.stays(s) else next_name(s) for s in self.layout.clusters[cluster])

    # ------------------------------------------------------------ Bayes' rule
    def likelihood(self, outcome: int, seen: Any, tables: Tables) -> tuple[Any, tuple[str, ...]]:
        """p(o | parents) of what was seen; 1 where nothing was (-1)."""
        name = self.outcomes[outcome]
        chosen = jnp.take(tables.observations[name], jnp.maximum(seen[outcome], 0), axis=-1)
        return jnp.where(seen[outcome] >= 0, chosen, 1.0), self.network.observations[name].parents

    def update(self, predicted: Beliefs, seen: Any, tables: Tables) -> tuple[Beliefs, Any]:
        """The beliefs after what was seen, and the free energy in nats."""
        likelihoods = [self.likelihood(m, seen, tables) for m in range(len(self.outcomes))]
        if self.layout.split:
            return self._mean_field(predicted, likelihoods)
        found, free_energy = [], jnp.zeros(())
        for states, belief in zip(self.layout.clusters, predicted, strict=True):
            own = [(array, names) for array, names in likelihoods if names and names[0] in states]
            joint = contract([(belief, states), *own], states)
            total = joint.sum()
            found.append(joint / total)
            free_energy -= jnp.log(total)
        for array, names in likelihoods:
            free_energy -= jnp.log(array) if not names else 0.0
        return tuple(found), free_energy

    def _mean_field(self, predicted: Beliefs, likelihoods: list[Any]) -> tuple[Beliefs, Any]:
        """Each cluster in turn at its optimum, the others held, until the free energy rests: from what was predicted, which may be a
        saddle between two answers, and from one answer; the better is kept."""
        logs = [(jnp.log(jnp.maximum(array, FLOOR)), names) for array, names in likelihoods]

        def expected(k: int | None, q: Beliefs) -> list[tuple[Any, tuple[str, ...]]]:
            """E log p(o | ·) of each outcome over all clusters but k."""
            found = []
            for array, names in logs:
                touched = self.layout.touched(names)
                if k is None or k in touched:
                    others = [(q[j], self.layout.clusters[j]) for j in touched if j != k]
                    own = tuple(n for n in names if k is not None and n in self.layout.clusters[k])
                    found.append((contract([(array, names), *others], own), own))
            return found

        def optimum(k: int, q: Beliefs) -> Any:
            states, total = self.layout.clusters[k], jnp.log(predicted[k])
            for array, names in expected(k, q):
                total = total + _spread(array, names, states)
            return jax.nn.softmax(total, axis=tuple(range(len(states))))

        def free_energy(q: Beliefs) -> Any:
            complexity = sum(jnp.sum(_xlogy(a, a) - _xlogy(a, b)) for a, b in zip(q, predicted, strict=True))
            return complexity - sum(array for array, _ in expected(None, q))

        def sweep(state: Any) -> Any:
            q, value, _, count = state
            for k in range(len(q)):
                q = (*q[:k], optimum(k, q), *q[k + 1 :])
            new = free_energy(q)
            return q, new, value - new, count + 1

        def settled(start: Beliefs) -> tuple[Beliefs, Any]:
            begun = free_energy(start)
            going = lambda s: (s[2] > SETTLED * jnp.maximum(1.0, jnp.abs(s[1]))) & (s[3] < MOST_SWEEPS)  # noqa: E731
            return jax.lax.while_loop(going, sweep, (start, begun, jnp.full_like(begun, jnp.inf), 0))[:2]

        first, one = settled(predicted), settled(self._one_answer(predicted, likelihoods))
        q, value = jax.tree.map(lambda a, b: jnp.where(one[1] < first[1] - SETTLED, b, a), first, one)
        chances = [contract([(a, names), *self._held(predicted, names)], ()) for a, names in likelihoods]
        possible = jnp.all(jnp.stack([c > 0 for c in chances])) if chances else True
        return q, jnp.where(possible, value, jnp.inf)

    def _held(self, beliefs: Beliefs, names: tuple[str, ...]) -> list[Any]:
        return [(beliefs[k], self.layout.clusters[k]) for k in self.layout.touched(names)]

    def _one_answer(self, predicted: Beliefs, likelihoods: list[Any]) -> Beliefs:
        """A joint state that is probable after what was seen: cluster by cluster, given those that are chosen already."""
        found = predicted
        for k, states in enumerate(self.layout.clusters):
            own = [(a, names) for a, names in likelihoods if k in self.layout.touched(names)]
            weight = predicted[k]
            for a, names in own:
                others = [(found[j], self.layout.clusters[j]) for j in self.layout.touched(names) if j != k]
                mine = tuple(n for n in names if n in states)
                weight = weight * _spread(contract([(a, names), *others], mine), mine, states)
            best = jax.nn.one_hot(jnp.argmax(weight), weight.size, dtype=weight.dtype).reshape(weight.shape)
            found = (*found[:k], best, *found[k + 1 :])
        return found

    # ------------------------------------------------------------ learning
    def learn(
        self, before: Beliefs, action: Any, predicted: Beliefs, after: Beliefs, seen: Any, first: Any, tables: Tables
    ) -> dict[str, Any]:
        """What one step adds to the counts: each row by the probability that it was read, with the outcome or next state."""
        added = {name: jnp.zeros(jnp.shape(table.concentration)) for name, table in self.network.learnt.items()}
        for m, name in enumerate(self.outcomes):
            table = self.network.observations[name]
            if table.rows:
                weight = self.marginal(after, table.parents) * (seen[m] >= 0)
                hot = jax.nn.one_hot(jnp.maximum(seen[m], 0), self.network.factor[name].size)
                _count(added, table.rows, weight[..., None] * hot)
        for name, table in self.network.initial.items():
            if table.rows:
                _count(added, table.rows, self.marginal(after, (*table.parents, name)) * first)
        for name, table in self.network.transitions.items():
            if table.rows:
                pairs = self._pairs(name, before, action, predicted, after, tables)
                _count(added, action_rows(table, self.actions, action), jnp.where(first, 0.0, pairs))
        return added

    def marginal(self, beliefs: Beliefs, names: tuple[str, ...]) -> Any:
        """The belief over some states: a product over clusters."""
        return contract([(beliefs[k], self.layout.clusters[k]) for k in self.layout.touched(names)], names) if names else jnp.ones(())

    def _pairs(self, state: str, before: Beliefs, action: Any, predicted: Beliefs, after: Beliefs, tables: Tables) -> Any:
        """The belief over the parents of a transition and the state it led to, given what was seen after it."""
        k = self.layout.of(state)
        ratio = (_ratio(after[k], predicted[k]), self.arrived(k))
        parents = tuple(p for p in self.network.transitions[state].parents if p not in self.actions)
        return self.carried(k, before, self.taken(k, action, tables), [ratio], (*parents, next_name(state)))

    # ------------------------------------------------------------ one step
    def advance(
        self, known: Tables, prior: dict[str, Any], memory: Memory, action: Any, seen: Any, first: Any, rates: Any = (1.0, 1.0)
    ) -> tuple[Memory, Any]:
        """The memory after an action and what was seen then, and the free energy.

        `first` says that this is the first step, where the belief is that of the beginning and no action came before. `prior` are the
        counts before anything was learnt. `rates` are the learning rate and the forgetting: counts above those of the prior fade by
        that factor a step.
        """
        counts = memory.learnt
        tables = tables_of(self.network, known, counts)
        predicted = self._predicted(memory, action, tables, first)
        after, free_energy = self.update(predicted, seen, tables)
        if counts:
            added = self.learn(memory.beliefs, action, predicted, after, seen, first, tables)
            rate, keep = rates
            counts = {n: prior[n] + keep * (counts[n] - prior[n]) + rate * added[n] for n in counts}
        return Memory(after, counts), free_energy

    def _predicted(self, memory: Memory, action: Any, tables: Tables, first: Any) -> Beliefs:
        """The belief before the outcomes of a step; where `first` is known beforehand, only one of the two is computed."""
        if first is True:
            return self.prior(tables)
        moved = self.predict(memory.beliefs, action, tables)
        if first is False:
            return moved
        return tuple(jnp.where(first, a, b) for a, b in zip(self.prior(tables), moved, strict=True))

    def blank(self, counts: dict[str, Any]) -> Memory:
        """The memory before the first step: its belief is not read."""
        sizes = {f.name: f.size for f in self.network.states}
        beliefs = tuple(np.full([sizes[s] for s in states], 1 / prod(sizes[s] for s in states)) for states in self.layout.clusters)
        return Memory(beliefs, counts)

    def smoothed(self, before: Beliefs, action: Any, predicted: Beliefs, later: Beliefs, tables: Tables) -> Beliefs:
        """The belief at a step given what was seen up to a later one, from the belief at the next step given the same."""
        found = []
        for k, states in enumerate(self.layout.clusters):
            ratio = (_ratio(later[k], predicted[k]), self.arrived(k))
            found.append(self.carried(k, before, self.taken(k, action, tables), [ratio], states))
        return tuple(found)


def action_rows(table: Table, actions: list[str], action: Any) -> dict[str, Any]:
    """The learnt rows of a transition under the action that was done."""
    found = {}
    for name, rows in table.rows.items():
        array, names = jnp.asarray(rows), list(table.parents)
        for parent in table.parents:
            if parent in actions:
                array = jnp.take(array, action[actions.index(parent)], axis=names.index(parent))
                names.remove(parent)
        found[name] = array
    return found


def _count(added: dict[str, Any], rows_by_name: Mapping[str, Any], weight: Any) -> None:
    """Adds the weights of parents and child to the rows that stand there."""
    size = weight.shape[-1]
    for name, rows in rows_by_name.items():
        flat = jnp.asarray(rows).reshape(-1)
        used = weight.reshape(-1, size) * (flat >= 0)[:, None]
        added[name] = added[name].at[jnp.maximum(flat, 0)].add(used)


def _spread(array: Any, names: tuple[str, ...], states: tuple[str, ...]) -> Any:
    """The array with an axis for each state: of length 1 where it has none."""
    order = [names.index(s) for s in states if s in names]
    return jnp.transpose(array, order).reshape([array.shape[names.index(s)] if s in names else 1 for s in states])


def _ratio(a: Any, b: Any) -> Any:
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), 0.0)


def _xlogy(x: Any, y: Any) -> Any:
    return jax.scipy.special.xlogy(x, y)
