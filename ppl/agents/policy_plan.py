"""What a plan is, for a person: policies by name, their expected free energy by term, their probabilities, the action that follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ppl.agents.network import AgentNetwork
from ppl.agents.policies import Policies
from ppl.agents.program import Planned, Valued, best
from ppl.agents.rows import text as shown
from ppl.results.numbers import number
from ppl.source import html

MOST_LISTED = 200_000
ROWS = 20  # of policies in a notebook
COLUMNS = ("probabilities", "G", "risk", "ambiguity", "pragmatic", "epistemic", "novelty")

Entry = str | float | list[float]
Action = Entry | dict[str, Entry]


@dataclass(frozen=True)
class PolicyPlan:
    """Arrays have one entry for each of `policies`; all are in nats and discounted, none is weighted.

    `G = -(pragmatic + epistemic + novelty)` under weights of 1, and `risk = G - ambiguity + novelty`. Actions that reach nothing in
    common are planned apart: `parts` are then several, and the policies here their combinations, as long as these are few enough.
    Real actions are numbers: a policy holds those at which it is best.
    """

    network: AgentNetwork = field(repr=False)
    sets: tuple[Policies, ...] = field(repr=False)
    planned: Planned = field(repr=False)
    sophisticated: bool = False

    @property
    def valued(self) -> tuple[Valued, ...]:
        return self.planned.parts

    @property
    def price(self) -> np.ndarray:
        """Under a budget, the price of each step ahead in nats a unit of cost: 0 where the budget is not reached."""
        return np.asarray(self.planned.price, float)

    # ------------------------------------------------------------ policies
    @cached_property
    def acting(self) -> tuple[int, ...]:
        """The parts that hold actions."""
        return tuple(k for k, one in enumerate(self.sets) if one.part.acts)

    @cached_property
    def policies(self) -> list[list[Action]]:
        """Each a list of actions, the first first: a member's name or a number, or with several actions an object of these."""
        steps = [self._steps(k) for k in self.acting]
        counts, horizon = [len(s) for s in steps], steps[0].shape[1] if steps else 0
        found = []
        for place in np.ndindex(*counts):
            own = dict(zip(self.acting, place, strict=True))
            rows = {k: s[i] for (k, i), s in zip(own.items(), steps, strict=True)}
            found.append([self._named({k: int(row[t]) for k, row in rows.items()}, own, t) for t in range(horizon)])
        return found

    def _steps(self, k: int) -> np.ndarray:
        one = self.sets[k]
        return np.arange(one.choices)[:, None] if self.sophisticated else one.steps()

    def _named(self, joint: dict[int, int], policies: dict[int, int], step: int) -> Action:
        """Joint actions of the parts by name, with the real ones of these policies at a step."""
        factors, found = self.network.factor, {}
        for k, place in joint.items():
            one = self.sets[k]
            for name, at in zip(one.part.actions, np.unravel_index(place, one.sizes) if one.sizes else (), strict=True):
                found[name] = factors[name].members[int(at)]
            for name in one.part.real_actions:
                value = np.asarray(self.valued[k].actions[name], float)[policies[k], step]
                found[name] = float(value[0]) if factors[name].scalar else value.tolist()
        ordered = {f.name: found[f.name] for f in self.network.done.factors if f.name in found}
        return next(iter(ordered.values())) if len(self.network.done.factors) == 1 else ordered

    # ------------------------------------------------------------ values
    def _combined(self, arrays: list[Any], passive: float = 0.0) -> np.ndarray:
        total = np.zeros(1)
        for k in self.acting:
            total = (total[:, None] + np.asarray(arrays[k], float)).reshape(-1)
        return total + passive

    def _term(self, place: int) -> np.ndarray:
        columns = [np.asarray(v.terms, float)[..., place] for v in self.valued]
        return self._combined(columns, sum(float(c[0]) for k, c in enumerate(columns) if k not in self.acting))

    @cached_property
    def pragmatic(self) -> np.ndarray:
        """Expected log preference of what will be seen."""
        return self._term(0)

    @cached_property
    def epistemic(self) -> np.ndarray:
        """Mutual information of the states and all outcomes of each step together."""
        return self._term(1)

    @cached_property
    def novelty(self) -> np.ndarray:
        """Mutual information of what is learnt and what will be seen."""
        return self._term(2)

    @cached_property
    def ambiguity(self) -> np.ndarray:
        """Expected entropy of the outcomes given the states."""
        return self._term(3)

    @cached_property
    def G(self) -> np.ndarray:
        """Expected free energy, with the weights of `efe`: smaller is better."""
        passive = sum(float(np.asarray(v.energy).reshape(-1)[0]) for k, v in enumerate(self.valued) if k not in self.acting)
        return self._combined([v.energy for v in self.valued], passive)

    @cached_property
    def risk(self) -> np.ndarray:
        """KL of predicted from preferred outcomes: G - ambiguity + novelty under weights of 1."""
        return -(self.pragmatic + self.epistemic + self.ambiguity)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """q(π) ∝ exp(log E - precision · G)."""
        total = np.ones(1)
        for k in self.acting:
            total = (total[:, None] * np.asarray(self.valued[k].probabilities, float)).reshape(-1)
        return total

    # ------------------------------------------------------------ choice
    @cached_property
    def first(self) -> dict[str, np.ndarray]:
        """The probability of each first action that has members, by action."""
        found = {}
        for k in self.acting:
            one = self.sets[k]
            joint = np.asarray(self.valued[k].first, float).reshape(one.sizes or 1)
            for axis, name in enumerate(one.part.actions):
                found[name] = joint.sum(axis=tuple(i for i in range(joint.ndim) if i != axis))
        return {f.name: found[f.name] for f in self.network.actions if f.name in found}

    @cached_property
    def action(self) -> dict[str, Entry]:
        """The first action that is taken, by name: the most probable one; under a budget the best that keeps it."""
        return self.network.done.told(np.asarray(self.planned.action))

    def members(self, joint: dict[int, int]) -> dict[str, Entry]:
        """Joint first actions of the parts by action: real ones are those of the best policy that begins so."""
        policies = {k: self._best(k, place) for k, place in joint.items() if self.sets[k].part.real_actions}
        named = self._named(joint, policies, 0)
        return named if isinstance(named, dict) else {self.network.done.factors[0].name: named}

    def _best(self, k: int, first: int) -> int:
        probabilities = np.asarray(self.valued[k].probabilities, float)
        return int(np.argmax(np.where(self._steps(k)[:, 0] == first, probabilities, -1.0)))

    @property
    def least_taken(self) -> float:
        """The least G of the policies that begin with the actions that are taken."""
        total = 0.0
        for k, (one, valued) in enumerate(zip(self.sets, self.valued, strict=True)):
            energy = np.asarray(valued.energy, float).reshape(-1)
            if one.part.actions:
                members = [self.network.factor[a].members.index(self.action[a]) for a in one.part.actions]
                energy = energy[self._steps(k)[:, 0] == np.ravel_multi_index(members, one.sizes)]
            total += float(energy.min())
        return total

    @cached_property
    def ties(self) -> list[dict[str, Entry]]:
        """Further first actions that are as probable as the one that is taken; under a budget none is told."""
        if len(self.price):
            return []
        equal = {k: np.flatnonzero(best(self.valued[k].first)) for k in self.acting}
        taken = {k: int(places[0]) for k, places in equal.items()}
        return [self.members({**taken, k: int(place)}) for k, places in equal.items() for place in places[1:]]

    def draw(self, rng: np.random.Generator) -> dict[str, Entry]:
        """A first action by its probability."""
        joint = {}
        for k in self.acting:
            first = np.asarray(self.valued[k].first, float)
            joint[k] = int(rng.choice(len(first), p=first / first.sum()))
        return self.members(joint)

    @cached_property
    def loss(self) -> float:
        """How much G may be off: because improbable outcomes were passed over, or because real actions are not yet the best."""
        return float(sum(np.max(np.asarray(v.loss)) for v in self.valued))

    @property
    def count(self) -> int:
        """The number of policies."""
        return int(np.prod([len(np.asarray(self.valued[k].probabilities)) for k in self.acting], dtype=float))

    def _repr_html_(self) -> str:
        """The most probable policies with the terms of their expected free energy."""
        taken = ", ".join(f"{k} = {shown(v)}" for k, v in self.action.items())
        if self.count > MOST_LISTED:
            return html.section("plan", f"of {self.count} policies: {taken}")
        order = np.argsort(-self.probabilities, kind="stable")[:ROWS]
        rows = [[policy_text(self.policies[k]), *(number(getattr(self, column)[k]) for column in COLUMNS)] for k in order]
        rows += [[f"… {self.count - ROWS} more", *("" for _ in COLUMNS)]] if self.count > ROWS else []
        return html.section("plan", f"of {self.count} policies: {taken}", html.table(("", *COLUMNS), rows))

    def __repr__(self) -> str:
        return f"<plan of {self.count} policies: {', '.join(f'{k} = {shown(v)}' for k, v in self.action.items())}>"


def policy_text(policy: list[Action]) -> str:
    """The actions of a policy in a line."""
    return " ".join(",".join(f"{k}={shown(v)}" for k, v in one.items()) if isinstance(one, dict) else shown(one) for one in policy)
