"""Perception and planning of small agents by brute force, written from the definitions alone: loops over joint states, joint outcomes and
policies, in plain NumPy.

Nothing is shared, sparse or merged here: every table is written out over the joint states, every outcome of all modalities together is
visited, information is the expected divergence of the posterior, novelty the expected divergence of Dirichlet distributions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import digamma, gammaln

Sizes = dict[str, int]


@dataclass(frozen=True)
class Statement:
    """p(child | parents): an array over the parents, then the child. Where `rows` is 0 or more, that row of a learnt table stands."""

    parents: tuple[str, ...]
    array: np.ndarray
    learnt: str = ""
    rows: np.ndarray | None = None

    def row_at(self, place: Mapping[str, int]) -> int:
        """The learnt row that stands at a combination of states and actions, or -1."""
        return -1 if self.rows is None else int(self.rows[tuple(place[p] for p in self.parents)])

    def at(self, place: Mapping[str, int], counts: Mapping[str, np.ndarray]) -> np.ndarray:
        row = self.row_at(place)
        if row >= 0:
            return counts[self.learnt][row] / counts[self.learnt][row].sum()
        return self.array[tuple(place[p] for p in self.parents)]


@dataclass(frozen=True)
class Values:
    """Of each policy (of a sophisticated agent: each first action), discounted and not weighted; `G` has the weights."""

    pragmatic: np.ndarray
    epistemic: np.ndarray
    novelty: np.ndarray
    ambiguity: np.ndarray
    risk: np.ndarray
    G: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Pomdp:
    """An agent as its tables. Joint states, actions and outcomes are counted in the order of the names, the last fastest.

    `preferences` give for each outcome or state its preferred distribution at a time step. `independent` believes the states as a
    product of their marginals after every prediction.
    """

    states: Sizes
    actions: Sizes
    outcomes: Sizes
    initial: dict[str, Statement]
    transitions: dict[str, Statement]
    observations: dict[str, Statement]
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    preferences: dict[str, Callable[[int], np.ndarray]] = field(default_factory=dict)
    habits: dict[str, np.ndarray] = field(default_factory=dict)
    policies: list[tuple[int, ...]] | None = None
    habit: dict[tuple[int, ...], float] | None = None
    horizon: int = 1
    discount: float = 1.0
    precision: float = 16.0
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)  # pragmatic, epistemic, novelty
    independent: bool = False

    # ------------------------------------------------------------ joint tables
    def places(self, sizes: Sizes) -> list[dict[str, int]]:
        return [dict(zip(sizes, place, strict=True)) for place in itertools.product(*(range(n) for n in sizes.values()))]

    def beginning(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.array([np.prod([self.initial[n].at(s, counts)[s[n]] for n in self.states]) for s in self.places(self.states)])

    def moves(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Joint actions × present × next joint states."""
        found = []
        for u in self.places(self.actions):
            rows = []
            for s in self.places(self.states):
                own = [self.transitions[n].at({**s, **u}, counts) for n in self.states]
                rows.append([np.prod([p[after[n]] for p, n in zip(own, self.states, strict=True)]) for after in self.places(self.states)])
            found.append(rows)
        return np.array(found)

    def emissions(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Joint states × joint outcomes."""
        found = []
        for s in self.places(self.states):
            own = {n: self.observations[n].at(s, counts) for n in self.outcomes}
            found.append([np.prod([own[n][o[n]] for n in self.outcomes]) for o in self.places(self.outcomes)])
        return np.array(found)

    def likelihood(self, seen: Mapping[str, int], counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """p(what was seen | joint state): outcomes that were not seen are left out."""
        return np.array(
            [np.prod([self.observations[n].at(s, counts)[k] for n, k in seen.items()]) for s in self.places(self.states)], dtype=float
        )

    def marginal(self, joint: np.ndarray, name: str) -> np.ndarray:
        found = np.zeros(self.states[name])
        for p, s in zip(joint, self.places(self.states), strict=True):
            found[s[name]] += p
        return found

    def loosened(self, joint: np.ndarray) -> np.ndarray:
        """The product of the marginals."""
        own = {n: self.marginal(joint, n) for n in self.states}
        return np.array([np.prod([own[n][s[n]] for n in self.states]) for s in self.places(self.states)])

    def place_of(self, sizes: Sizes, place: Mapping[str, int]) -> int:
        return int(np.ravel_multi_index([place[n] for n in sizes], list(sizes.values()))) if sizes else 0

    # ------------------------------------------------------------ perception
    def paths(self, seen: Sequence[Mapping[str, int]], done: Sequence[Mapping[str, int]]) -> np.ndarray:
        """p(all joint states s_0 … s_T, everything that was seen): one axis a step. Nothing is learnt."""
        moves = self.moves(self.counts)
        joint = self.beginning(self.counts) * self.likelihood(seen[0], self.counts)
        for action, outcome in zip(done, seen[1:], strict=False):
            move = moves[self.place_of(self.actions, action)]
            joint = joint[..., :, None] * move * self.likelihood(outcome, self.counts)
        return joint

    def learned(self, seen: Sequence[Mapping[str, int]], done: Sequence[Mapping[str, int]], rate: float = 1.0, keep: float = 1.0):
        """Step by step with learning: for each the joint belief, -log p(o_t | o_<t), and the counts after it."""
        counts, steps, belief = dict(self.counts), [], np.zeros(0)
        for t, outcome in enumerate(seen):
            move = self.moves(counts)[self.place_of(self.actions, done[t - 1])] if t else None
            predicted = self.beginning(counts) if move is None else belief @ move
            likelihood = self.likelihood(outcome, counts)
            after = predicted * likelihood / (predicted @ likelihood)
            pairs = None if move is None else belief[:, None] * move * likelihood / (predicted @ likelihood)
            added = self._added(after, pairs, outcome, done[t - 1] if t else {})
            steps.append((after, -np.log(predicted @ likelihood)))
            counts = {n: self.counts[n] + keep * (counts[n] - self.counts[n]) + rate * added[n] for n in counts}
            belief = after
            steps[-1] = (*steps[-1], counts)
        return steps

    def _added(self, after: np.ndarray, pairs: np.ndarray | None, seen: Mapping[str, int], action: Mapping[str, int]):
        """How often each row is expected to have been read, and with what."""
        added = {n: np.zeros(np.shape(c)) for n, c in self.counts.items()}
        every = self.places(self.states)
        for k, s in enumerate(every):
            for n, value in seen.items():
                statement = self.observations[n]
                if statement.row_at(s) >= 0:
                    added[statement.learnt][statement.row_at(s), value] += after[k]
            for n, statement in self.initial.items():
                if pairs is None and statement.row_at(s) >= 0:
                    added[statement.learnt][statement.row_at(s), s[n]] += after[k]
            for j, later in enumerate(every if pairs is not None else []):
                for n, statement in self.transitions.items():
                    row = statement.row_at({**s, **action})
                    if row >= 0:
                        assert pairs is not None
                        added[statement.learnt][row, later[n]] += pairs[k, j]
        return added

    # ------------------------------------------------------------ expected free energy
    def values(self, belief: np.ndarray, t: int = 0, counts: Mapping[str, np.ndarray] | None = None) -> Values:
        """Of all policies from a belief at time step `t`, by brute force."""
        counts = self.counts if counts is None else counts
        tables = _Tables(self, counts)
        rows = []
        for policy in self.every_policy():
            total, q = np.zeros(5), belief
            for k, action in enumerate(policy):
                gained = tables.novelty_of_moves(q, action)
                q = self._predicted(q, tables.moves[action])
                step = tables.terms(q, t + 1 + k)
                step[2] += gained
                total = total + _times(self.discount**k, step)
            rows.append(total)
        terms = np.array(rows).T
        energy = np.array([self.energy(column) for column in terms.T])
        return Values(*terms, energy, self.choice(self.log_prior(), energy))

    def _predicted(self, belief: np.ndarray, move: np.ndarray) -> np.ndarray:
        return self.loosened(belief @ move) if self.independent else belief @ move

    def energy(self, terms: np.ndarray) -> float:
        return -sum(w * x for w, x in zip(self.weights, terms, strict=False) if w > 0)

    def choice(self, log_prior: np.ndarray, energy: np.ndarray) -> np.ndarray:
        possible = np.isfinite(energy) & np.isfinite(log_prior)
        if not possible.any():  # each leads where it must not: the habit alone is left
            weights = np.exp(log_prior)
        else:
            logits = np.where(possible, log_prior - self.precision * np.where(np.isfinite(energy), energy, 0), -np.inf)
            weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def every_policy(self) -> list[tuple[int, ...]]:
        """Each a tuple of joint actions."""
        count = len(self.places(self.actions))
        return self.policies if self.policies is not None else list(itertools.product(range(count), repeat=self.horizon))

    def log_habit(self) -> np.ndarray:
        """Of each joint action."""
        with np.errstate(divide="ignore"):
            each = [
                [np.log(self.habits.get(n, np.full(size, 1 / size))[u[n]]) for n, size in self.actions.items()]
                for u in self.places(self.actions)
            ]
        return np.array([sum(logs) for logs in each], float)

    def log_prior(self) -> np.ndarray:
        habit, policies = self.log_habit(), self.every_policy()
        with np.errstate(divide="ignore"):
            over = [0.0 if self.habit is None else np.log(self.habit.get(policy, 0.0)) for policy in policies]
        return np.array([sum(habit[a] for a in policy) + whole for policy, whole in zip(policies, over, strict=True)])

    def foresight(self, belief: np.ndarray, t: int = 0, counts: Mapping[str, np.ndarray] | None = None) -> Values:
        """Sophisticated: G(b, u) = G₁(b, u) + discount · Σ_o Q(o | u) Σ_u' q(u' | b_o) G(b_o, u'), over every joint outcome."""
        tables = _Tables(self, self.counts if counts is None else counts)
        terms, energy = self._foresee(tables, belief, t, self.horizon)
        return Values(*terms.T, energy, self.choice(self.log_habit(), energy))

    def _foresee(self, tables: _Tables, belief: np.ndarray, t: int, left: int) -> tuple[np.ndarray, np.ndarray]:
        rows, energies = [], []
        for action, move in enumerate(tables.moves):
            q = belief @ move
            total = tables.terms(q, t + 1)
            total[2] += tables.novelty_of_moves(belief, action)
            energy = self.energy(total)
            for column in tables.emissions.T if left > 1 else []:
                chance = q @ column
                if chance > 0:
                    later, G = self._foresee(tables, q * column / chance, t + 1, left - 1)
                    choice = self.choice(self.log_habit(), G)
                    total = total + self.discount * chance * sum(_times(c, x) for c, x in zip(choice, later, strict=True))
                    energy += self.discount * chance * sum(c * g for c, g in zip(choice, G, strict=True) if c > 0)
            rows.append(total)
            energies.append(energy)
        return np.array(rows), np.array(energies)


@dataclass(frozen=True)
class _Tables:
    """The joint tables of an agent under the expected probabilities of what is learnt, and the worth of a step."""

    pomdp: Pomdp
    counts: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        object.__setattr__(self, "moves", self.pomdp.moves(self.counts))
        object.__setattr__(self, "emissions", self.pomdp.emissions(self.counts))

    moves: np.ndarray = field(init=False)
    emissions: np.ndarray = field(init=False)

    def terms(self, q: np.ndarray, t: int) -> np.ndarray:
        """Pragmatic, epistemic, novelty (of outcomes), ambiguity and risk of a predicted belief at a time step."""
        p, preferred = self.pomdp, {n: c(t) for n, c in self.pomdp.preferences.items()}
        outcomes, states = p.places(p.outcomes), p.places(p.states)
        seen = q @ self.emissions
        log_preferred = sum(
            _wish(chance, [preferred[n][o[n]] for n in p.outcomes if n in preferred]) for chance, o in zip(seen, outcomes, strict=True)
        )
        log_preferred += sum(
            _wish(chance, [preferred[n][s[n]] for n in p.states if n in preferred]) for chance, s in zip(q, states, strict=True)
        )
        epistemic = sum(
            chance * _divergence(q * column / chance, q) for chance, column in zip(seen, self.emissions.T, strict=True) if chance > 0
        )
        ambiguity = sum(chance * _entropy(row) for chance, row in zip(q, self.emissions, strict=True))
        novelty = sum(chance * self._gain(p.observations, s) for chance, s in zip(q, states, strict=True))
        return np.array([log_preferred, epistemic, novelty, ambiguity, -_entropy(seen) - log_preferred])

    def novelty_of_moves(self, q: np.ndarray, action: int) -> float:
        p = self.pomdp
        u = p.places(p.actions)[action]
        return float(sum(chance * self._gain(p.transitions, {**s, **u}) for chance, s in zip(q, p.places(p.states), strict=True)))

    def _gain(self, statements: Mapping[str, Statement], place: Mapping[str, int]) -> float:
        found = [(one.learnt, one.row_at(place)) for one in statements.values()]
        return sum(expected_information(self.counts[name][row]) for name, row in found if row >= 0)


def expected_information(concentration: np.ndarray) -> float:
    """E KL[Dir(a + e_o) ‖ Dir(a)] where o is drawn from the mean of Dir(a)."""
    mean, unit = concentration / concentration.sum(), np.eye(len(concentration))
    return float(sum(p * dirichlet_divergence(concentration + e, concentration) for p, e in zip(mean, unit, strict=True)))


def dirichlet_divergence(a: np.ndarray, b: np.ndarray) -> float:
    """KL[Dir(a) ‖ Dir(b)]."""
    constant = gammaln(a.sum()) - gammaln(a).sum() - gammaln(b.sum()) + gammaln(b).sum()
    return float(constant + (a - b) @ (digamma(a) - digamma(a.sum())))


def _wish(chance: float, preferred: list[float]) -> float:
    """chance · log of the preferred probability, 0 where it cannot happen."""
    with np.errstate(divide="ignore"):
        return float(chance * sum(np.log(p) for p in preferred)) if chance > 0 and preferred else 0.0


def _times(factor: float, terms: np.ndarray) -> np.ndarray:
    return factor * terms if factor > 0 else np.zeros_like(terms)


def _divergence(p: np.ndarray, q: np.ndarray) -> float:
    inside = p > 0
    return float(np.sum(p[inside] * np.log(p[inside] / q[inside])))


def _entropy(p: np.ndarray) -> float:
    inside = p > 0
    return float(-np.sum(p[inside] * np.log(p[inside])))
