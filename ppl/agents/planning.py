"""Expected free energy over the tree of policies, with shared prefixes: every distinct beginning of a policy is computed once.

For each step ahead, with the belief predicted along the policy: `pragmatic` = E log preferred(o), `epistemic` = the mutual
information of states and all outcomes of the step together, `novelty` = that of learnt tables and outcomes (Parr, Pezzulo & Friston
2022). All but the information is linear in the belief, so that a level of the tree is two matrix products: one of beliefs with
transitions, one of beliefs with the joint likelihood beside the linear terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import Part
from ppl.agents.contraction import contract
from ppl.agents.outcomes import sensed
from ppl.agents.perception import Beliefs, Perception, Tables, next_name, tables_of
from ppl.arrays.plated import namespace

TERMS = ("pragmatic", "epistemic", "novelty", "ambiguity")
MOST_DENSE = 4096  # numbers in a table of joint states by actions and joint states
MOST_AT_ONCE = 2**22  # numbers in the beliefs of one level of the tree; beyond, the first actions are taken in turn


class Weights(NamedTuple):
    """What the options of `efe` say. The precision is a mixture of values: one where it is known, nodes of a quadrature where it is
    latent with a Gamma prior."""

    discount: Any
    pragmatic: Any
    epistemic: Any
    novelty: Any
    precision: Any
    precision_weights: Any

    def energy(self, terms: Any) -> Any:
        """G of terms in the order of TERMS; infinite where something that is never preferred can happen."""
        value = jnp.where(self.epistemic > 0, self.epistemic * terms[..., 1], 0.0) + self.novelty * terms[..., 2]
        pragmatic = terms[..., 0]
        return -(value + jnp.where(jnp.isneginf(pragmatic) & (self.pragmatic > 0), -jnp.inf, self.pragmatic * _finite(pragmatic)))

    def choice(self, log_prior: Any, energy: Any) -> Any:
        """q ∝ exp(log E - precision · G) along the last axis, in expectation over the precision."""
        logits, top = self._logits(log_prior, energy)
        weights = jnp.exp(logits - top)
        return jnp.tensordot(self.precision_weights, weights / weights.sum(axis=-1, keepdims=True), axes=1)

    def log_choice(self, log_prior: Any, energy: Any) -> Any:
        """The logarithm of the same, which keeps what is too improbable for a probability."""
        logs = jax.nn.log_softmax(self._logits(log_prior, energy)[0], axis=-1)
        return log_sum(jnp.moveaxis(logs, 0, -1) + jnp.log(self.precision_weights))

    def _logits(self, log_prior: Any, energy: Any) -> tuple[Any, Any]:
        """What the choice is proportional to the exponential of, and its largest; where each action leads where it must not, the habit
        alone is left."""
        possible = jnp.isfinite(energy) & jnp.isfinite(log_prior)
        gamma = self.precision[:, *[None] * energy.ndim]
        logits = jnp.where(possible, log_prior - gamma * jnp.where(possible, energy, 0.0), -jnp.inf)
        top = logits.max(axis=-1, keepdims=True)
        hopeless, habit = jnp.isneginf(top), jnp.max(log_prior, axis=-1, keepdims=True)
        return jnp.where(hopeless, log_prior, logits), jax.lax.stop_gradient(jnp.where(hopeless, habit, top))


class Scene(NamedTuple):
    """What is the same at every node of a tree: tables, likelihoods, linear terms. `linear` has for each step ahead (or once, where all
    are the same) and span of states the columns pragmatic, forbidden, ambiguity, information lost within, novelty."""

    tables: Any
    likelihoods: tuple[Any, ...]
    linear: tuple[tuple[Any, ...], ...]
    moving: dict[str, Any]  # novelty of learnt transitions, by the axes of their parents
    moves: dict[int, Any]  # by cluster whose joint table is small: its states × those after each joint action


class Planner:
    """Pure functions that value the policies of an agent."""

    def __init__(self, perception: Perception, horizon: int):
        self.perception, self.network, self.layout, self.horizon = perception, perception.network, perception.layout, horizon
        self.sensed = sensed(self.network, self.layout)
        self.sizes = {f.name: f.size for f in (*self.network.states, *self.network.actions)}
        self.spans = self._spans()
        # outcomes that tell of all the states of a span: their likelihood stands beside its linear terms, for one product of both
        self.beside = {one.clusters: i for i, one in enumerate(self.sensed) if self.spans[one.clusters] == one.states}

    # ------------------------------------------------------------ what does not change along a policy
    def _spans(self) -> dict[tuple[int, ...], tuple[str, ...]]:
        """The groups of clusters over which linear terms are taken, with the states that these terms mention."""
        names = {s.name: s.name for s in self.network.states}
        mentioned = (
            [self.network.observations[f.name].parents for f in self.network.outcomes]
            + [(name,) for name in self._preferred if name in names]
            + [one.states for one in self.sensed]
        )
        found: dict[tuple[int, ...], set[str]] = {}
        for parents in mentioned:
            found.setdefault(self.layout.touched(parents), set()).update(parents)
        return {span: tuple(s for s in names if s in states) for span, states in found.items()}

    @property
    def _preferred(self) -> list[str]:
        return [factor.name for _, factor, _ in self.network.said("prefer")]

    def scene(self, known: Tables, fixed: tuple[Any, ...], learnt: Mapping[str, Any], log_preferences: Mapping[str, Any]) -> Scene:
        """`fixed` are the known likelihoods of `sensed`; `log_preferences` hold steps ahead × members for each outcome or state with a
        preference: one step where it is the same at all."""
        tables = tables_of(self.network, known, learnt)
        likelihoods = tuple(one.likelihood(self.network, f, tables.observations) for one, f in zip(self.sensed, fixed, strict=True))
        gains = {name: _gain(counts) for name, counts in learnt.items()}
        linear = []
        for k in range(max((len(v) for v in log_preferences.values()), default=1)):
            columns: dict[Any, list[Any]] = {span: [np.zeros([self.sizes[s] for s in states])] * 5 for span, states in self.spans.items()}
            for outcome in self.network.outcomes:
                self._outcome_terms(columns, outcome.name, tables, {n: v[k] for n, v in log_preferences.items()}, gains)
            for name in (n for n in log_preferences if n in self.sizes):
                preferred, hot = log_preferences[name][k], np.eye(self.sizes[name])
                self._add(columns, (name,), 0, _expected(hot, preferred))
                self._add(columns, (name,), 1, _forbidden(hot, preferred))
            for one, likelihood in zip(self.sensed, likelihoods, strict=True):
                self._add(columns, one.states, 3, _entropy(likelihood).reshape(one.sizes))
            beside = {span: [likelihoods[i]] for span, i in self.beside.items()}
            linear.append(tuple(_beside(columns[span], beside.get(span, [])) for span in self.spans))
        moving = {name: _rows_of(table.rows, gains) for name, table in self.network.transitions.items() if table.rows}
        moves = {k: self._at_once(k, tables, part) for part in self.layout.parts for k in part.clusters if self._small(k, part)}
        return Scene(tables, likelihoods, tuple(linear), moving, moves)

    def _small(self, cluster: int, part: Part) -> bool:
        """Whether the states of a cluster move by one table of the joint state, and that is small."""
        states = self.layout.clusters[cluster]
        within = all({*self.network.transitions[s].parents} <= {*states, *part.actions} for s in states)
        return within and self.choices(part) * prod(self.sizes[s] for s in states) ** 2 <= MOST_DENSE

    def _at_once(self, cluster: int, tables: Tables, part: Part) -> Any:
        states, rest = self.layout.clusters[cluster], [self.sizes[s] for s in self.layout.clusters[cluster]]
        moving, reached = self._transitions(cluster, tables, part)
        array = contract(
            [*moving.values(), *((np.ones(self.sizes[s]), (s,)) for s in states)], (*states, *reached, *map(next_name, states))
        )
        return self._every(array.reshape(-1, *array.shape[len(states) :]), reached, part, rest).reshape(prod(rest), -1)

    def _transitions(self, cluster: int, tables: Tables, part: Part) -> tuple[dict[str, Any], list[str]]:
        """The transition table of each state of a cluster with the names of its axes, and the actions of the part among them."""
        states = self.layout.clusters[cluster]
        moving = {s: (tables.transitions[s], (*self.network.transitions[s].parents, next_name(s))) for s in states}
        return moving, [a for a in part.actions if any(a in names for _, names in moving.values())]

    def _outcome_terms(self, columns: dict, name: str, tables: Tables, preferred: Mapping[str, Any], gains: Mapping[str, Any]) -> None:
        table, array = self.network.observations[name], tables.observations[name]
        if name in preferred:
            self._add(columns, table.parents, 0, _expected(array, preferred[name]))
            self._add(columns, table.parents, 1, _forbidden(array, preferred[name]))
        self._add(columns, table.parents, 2, _entropy(array))
        if table.rows:
            self._add(columns, table.parents, 4, _rows_of(table.rows, gains))

    def _add(self, columns: dict, parents: tuple[str, ...], column: int, value: Any) -> None:
        """Adds a value with the axes of its parents to a column of its span."""
        span = self.layout.touched(parents)
        states = self.spans[span]
        order = [parents.index(s) for s in states if s in parents]
        value = value.transpose(order)[tuple(slice(None) if s in parents else None for s in states)]
        columns[span] = [c + value if k == column else c for k, c in enumerate(columns[span])]

    # ------------------------------------------------------------ one node
    def value(self, beliefs: Mapping[int, Any], gained: Any, scene: Scene, step: int) -> Any:
        """The terms of a step at beliefs with a leading axis of nodes: nodes × TERMS. `gained` is the novelty of what led there."""
        nodes = next(iter(beliefs.values())).shape[0]
        total, information = jnp.zeros((nodes, 5)), jnp.zeros(nodes)
        for (span, states), weights in zip(self.spans.items(), scene.linear[min(step, len(scene.linear) - 1)], strict=True):
            if set(span) <= set(beliefs) and (span or 0 in beliefs):
                product = self.over(beliefs, states, nodes) @ weights
                total, information = total + product[:, :5], information + _entropy(product[:, 5:])
        for i, (one, likelihood) in enumerate(zip(self.sensed, scene.likelihoods, strict=True)):
            if i not in self.beside.values() and set(one.clusters) <= set(beliefs):
                information = information + _entropy(self.over(beliefs, one.states, nodes) @ likelihood)
        information = information - total[:, 3]
        pragmatic = jnp.where(total[:, 1] > 0, -jnp.inf, total[:, 0])
        return jnp.stack([pragmatic, jnp.maximum(information, 0.0), total[:, 4] + gained, total[:, 2]], axis=-1)

    def over(self, beliefs: Mapping[int, Any], states: tuple[str, ...], nodes: int) -> Any:
        """The belief over some states at each node, flattened."""
        touched = self.layout.touched(states)
        if not touched:
            return jnp.ones((nodes, 1))
        joint = contract([(beliefs[k], ("#", *self.layout.clusters[k])) for k in touched], ("#", *states))
        return joint.reshape(nodes, -1)

    def children(self, part: Part, beliefs: Mapping[int, Any], scene: Scene) -> tuple[dict[int, Any], Any]:
        """The beliefs after each action, nodes × actions flattened, and the novelty of the transitions that led there, alike."""
        nodes = next(iter(beliefs.values())).shape[0]
        found, gained = {}, jnp.zeros(nodes * self.choices(part))
        for k in part.clusters:
            found[k] = self._moved(k, beliefs, scene, part)
            for s in self.layout.clusters[k]:
                if s in scene.moving:
                    gained = gained + self._novelty(s, beliefs, scene.moving[s], part, nodes)
        return found, gained

    def _moved(self, cluster: int, beliefs: Mapping[int, Any], scene: Scene, part: Part) -> Any:
        perception, states = self.perception, self.layout.clusters[cluster]
        sizes = [self.sizes[s] for s in states]
        if cluster in scene.moves:
            return (beliefs[cluster].reshape(-1, prod(sizes)) @ scene.moves[cluster]).reshape(-1, *sizes)
        moving, reached = self._transitions(cluster, scene.tables, part)
        needed: set[str] = set()
        for s in states:
            needed |= {s} if perception.stays(s) else set(self.network.transitions[s].parents)
        operands = [(beliefs[k], ("#", *self.layout.clusters[k])) for k in self.layout.touched(needed)]
        operands += [moving[s] for s in states if not perception.stays(s)]
        if not any("#" in names for _, names in operands):
            operands.append((jnp.ones(next(iter(beliefs.values())).shape[0]), ("#",)))
        array = contract(operands, ("#", *reached, *perception.arrived(cluster)))
        return self._every(array, reached, part, sizes)

    def _every(self, array: Any, reached: list[str], part: Part, rest: list[int]) -> Any:
        """Nodes and all actions of the part as one axis."""
        nodes = array.shape[0]
        index = tuple(slice(None) if a in reached else None for a in part.actions)
        wide = namespace(array).broadcast_to(array[(slice(None), *index)], (nodes, *(self.sizes[a] for a in part.actions), *rest))
        return wide.reshape(nodes * self.choices(part), *rest)

    def _novelty(self, state: str, beliefs: Mapping[int, Any], gains: Any, part: Part, nodes: int) -> Any:
        parents = self.network.transitions[state].parents
        reached = [a for a in part.actions if a in parents]
        held = [(beliefs[k], ("#", *self.layout.clusters[k])) for k in self.layout.touched(parents)] or [(jnp.ones(nodes), ("#",))]
        return self._every(contract([*held, (gains, parents)], ("#", *reached)), reached, part, [])

    def choices(self, part: Part) -> int:
        """The number of joint actions of a part."""
        return prod(self.sizes[a] for a in part.actions)

    # ------------------------------------------------------------ the tree
    def policies(self, part: Part, beliefs: Beliefs, scene: Scene, discount: Any, kept: tuple[np.ndarray, ...] | None = None) -> Any:
        """The discounted terms of every policy of a part, in the order of their actions: policies × TERMS.

        `kept` says for each level which nodes of the full level above go on, where not all policies are considered.
        """
        if not part.clusters:  # actions that change nothing
            policies = self.choices(part) ** self.horizon if kept is None else len(kept[-1])
            return jnp.broadcast_to(self.of_no_state(part, scene, discount), (policies, len(TERMS)))
        root = {k: beliefs[k][None] for k in part.clusters}
        return self._grow(part, root, scene, discount, 0, kept)

    def of_no_state(self, part: Part, scene: Scene, discount: Any) -> Any:
        """The terms of outcomes that depend on no state, where no cluster counts them: an agent without states."""
        total = jnp.zeros(len(TERMS))
        if self.layout.clusters or part != self.layout.parts[0]:
            return total
        for k in range(self.horizon):
            for weights in scene.linear[min(k, len(scene.linear) - 1)]:
                row = weights.sum(axis=0)
                pragmatic = jnp.where(row[1] > 0, -jnp.inf, row[0])
                total = total + discounted(discount**k, jnp.stack([pragmatic, jnp.zeros(()), row[4], row[2]]))
        return total

    def _grow(self, part: Part, beliefs: dict[int, Any], scene: Scene, discount: Any, step: int, kept: Any) -> Any:
        nodes, count = next(iter(beliefs.values())).shape[0], self.choices(part)
        states = sum(prod(self.sizes[s] for s in self.layout.clusters[k]) for k in part.clusters)
        totals = jnp.zeros((nodes, len(TERMS)))
        for k in range(step, self.horizon):
            if kept is None and nodes > 1 and nodes * count ** (self.horizon - k) * states > MOST_AT_ONCE:
                rest = jax.lax.map(lambda b, k=k: self._grow(part, {i: a[None] for i, a in b.items()}, scene, discount, k, None), beliefs)
                return (totals[:, None, :] + rest).reshape(-1, len(TERMS))
            spread = jnp.repeat(totals, count, axis=0)
            beliefs, gained = self.children(part, beliefs, scene)
            if kept is not None:
                beliefs = {i: a[kept[k]] for i, a in beliefs.items()}
                spread, gained = spread[kept[k]], gained[kept[k]]
            totals = spread + discounted(discount**k, self.value(beliefs, gained, scene, k))
            nodes = totals.shape[0]
        return totals


def discounted(factor: Any, terms: Any) -> Any:
    """The terms of a later step: nothing of them is left under a factor of 0, not even what is infinite."""
    return jnp.where(factor > 0, factor * terms, 0.0)


def log_sum(logs: Any) -> Any:
    """log Σ exp along the last axis; where nothing is left -inf, with a derivative of 0."""
    some = (logs > -jnp.inf).any(axis=-1)
    return jnp.where(some, jax.scipy.special.logsumexp(jnp.where(some[..., None], logs, 0.0), axis=-1), -jnp.inf)


# ------------------------------------------------------------------ sums over outcomes
def _beside(columns: list[Any], more: list[Any]) -> Any:
    """Columns over states, flattened, and further columns."""
    xp = namespace(*columns, *more)
    return xp.concatenate([xp.stack(columns, axis=-1).reshape(-1, len(columns)), *more], axis=-1)


def _finite(a: Any) -> Any:
    xp = namespace(a)
    return xp.where(xp.isfinite(a), a, 0.0)


def _expected(probabilities: Any, logs: Any) -> Any:
    """Σ p log c over those members that are preferred at all."""
    return probabilities @ _finite(logs)


def _forbidden(probabilities: Any, logs: Any) -> Any:
    """The probability of those members that are not."""
    return probabilities @ namespace(logs).isneginf(logs).astype(probabilities.dtype)


def _entropy(p: Any) -> Any:
    """-Σ p log p along the last axis."""
    xp = namespace(p)
    return -(p * xp.log(xp.maximum(p, xp.finfo(p.dtype).tiny))).sum(axis=-1)


def _gain(counts: Any) -> Any:
    """E KL[Dir(a + e_o) ‖ Dir(a)] of one more count of a row, by definition: Σ_o (a_o / a_0) (log a_0/a_o + ψ(a_o + 1) - ψ(a_0 + 1))."""
    total = counts.sum(axis=-1, keepdims=True)
    digamma = jax.scipy.special.digamma
    each = jnp.log(total / counts) + digamma(counts + 1) - digamma(total + 1)
    return (counts / total * each).sum(axis=-1)


def _rows_of(rows: Mapping[str, np.ndarray], gains: Mapping[str, Any]) -> Any:
    """What each row that stands in a table is worth, by the axes of its parents."""
    return sum(jnp.where(r >= 0, gains[name][np.maximum(r, 0)], 0.0) for name, r in rows.items())
