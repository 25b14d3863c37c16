"""What a plan is, for a person: policies by name, their expected free energy by term, their probabilities, the action that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ppl.agents.evaluation import Factor
from ppl.agents.kinds import Valued
from ppl.agents.network import AgentNetwork
from ppl.agents.policies import Policies
from ppl.agents.program import Planned, best
from ppl.agents.rows import by_entry, by_variable
from ppl.agents.rows import text as shown
from ppl.results.numbers import number
from ppl.source import html
from ppl.source.diagnostics import AimError, Diagnostic

MOST_COMBINED = 1_000_000  # policies of several parts
MOST_LISTED = 200_000
MOST_TIED = 64  # parts that choose
ROWS = 20  # of policies in a notebook
COLUMNS = ("probabilities", "G", "risk", "ambiguity", "pragmatic", "epistemic", "novelty")

Entry = str | float | list[Any]
Action = Entry | dict[str, Entry]


@dataclass(frozen=True)
class PolicyPlan:
    """Arrays have one entry for each of `policies`; all are in nats and discounted, none is weighted.

    `G = -(pragmatic + epistemic + novelty)` under weights of 1, and `risk = G - ambiguity + novelty`. Actions that reach nothing in
    common are planned apart: `parts` are then several, and the policies here their combinations, as long as these are few enough.
    Real actions are numbers: a policy holds those at which it is best.
    """

    network: AgentNetwork = field(repr=False)
    parts: tuple[Policies, ...] = field(repr=False)
    planned: Planned = field(repr=False)
    sophisticated: bool = False

    @cached_property
    def _units(self) -> list[tuple[int, int | None]]:
        """The parts one by one: that of each member of a kind, by its place."""
        return [(k, n) for k, one in enumerate(self.parts) for n in (range(one.part.count) if one.part.shape else (None,))]

    @cached_property
    def sets(self) -> tuple[Policies, ...]:
        """The policies of each part."""
        return tuple(self.parts[k] for k, _ in self._units)

    @cached_property
    def valued(self) -> tuple[Valued, ...]:
        """The values of the policies of each part."""
        return tuple(jax.tree.map(lambda x, n=n: x if n is None else x[n], self.planned.parts[k]) for k, n in self._units)

    def _names(self, k: int) -> dict[str, str]:
        """The actions of a part, each with its own name where it is a member of a stacked plate."""
        place, n = self._units[k]
        part = self.parts[place].part
        return {a: a if n is None else self._members[a][n] for a in (*part.actions, *part.real_actions)}

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        return {f.name: [one.name for one in f.singles] for f in self.network.done.factors}

    @cached_property
    def _order(self) -> dict[str, Factor]:
        return {one.name: one for f in self.network.done.factors for one in f.singles}

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
        self._refuse_many()
        steps = [self._steps(k) for k in self.acting]
        counts, horizon = [len(s) for s in steps], steps[0].shape[1] if steps else 0
        found = []
        for place in np.ndindex(*counts):
            own = dict(zip(self.acting, place, strict=True))
            rows = {k: s[i] for (k, i), s in zip(own.items(), steps, strict=True)}
            found.append([self._named({k: int(row[t]) for k, row in rows.items()}, own, t) for t in range(horizon)])
        return found

    @property
    def too_many(self) -> bool:
        """Whether the policies of all parts together are too many to list."""
        return len(self.acting) > 1 and self.count > MOST_COMBINED

    def _refuse_many(self) -> None:
        if self.too_many:
            text = f"the policies of {len(self.acting)} parts have {self.count:.3g} combinations: too many to list"
            raise AimError(
                [Diagnostic("AIM0422", text, None, "look at `first`, the probabilities of each action, or at `valued`, part by part")]
            )

    def _steps(self, k: int) -> np.ndarray:
        one = self.sets[k]
        return np.arange(one.choices)[:, None] if self.sophisticated else one.steps()

    def _named(self, joint: dict[int, int], policies: dict[int, int], step: int) -> Action:
        """Joint actions of the parts by name, with the real ones of these policies at a step."""
        found: dict[str, Entry] = {}
        for k, place in joint.items():
            one, names = self.sets[k], self._names(k)
            for name, at in zip(one.part.actions, np.unravel_index(place, one.sizes) if one.sizes else (), strict=True):
                found[names[name]] = self._order[names[name]].members[int(at)]
            for name in one.part.real_actions:
                value = np.asarray(self.valued[k].actions[name], float)[policies[k], step]
                found[names[name]] = float(value[0]) if self._order[names[name]].scalar else value.tolist()
        ordered = {name: found[name] for name in self._order if name in found}
        return next(iter(ordered.values())) if len(self._order) == 1 else ordered

    # ------------------------------------------------------------ values
    def _combined(self, arrays: list[Any], passive: float = 0.0) -> np.ndarray:
        self._refuse_many()
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
    def G_of_best(self) -> float:
        """Expected free energy of the most probable policy of every part together."""

        def own(v: Valued) -> float:
            energy, p = np.asarray(v.energy, float), np.asarray(v.probabilities, float)
            return float(np.take_along_axis(energy, p.argmax(axis=-1)[..., None], axis=-1).sum())

        return sum(own(v) for v in self.planned.parts)

    @cached_property
    def risk(self) -> np.ndarray:
        """KL of predicted from preferred outcomes: G - ambiguity + novelty under weights of 1."""
        return -(self.pragmatic + self.epistemic + self.ambiguity)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """q(π) ∝ exp(log E - precision · G)."""
        self._refuse_many()
        total = np.ones(1)
        for k in self.acting:
            total = (total[:, None] * np.asarray(self.valued[k].probabilities, float)).reshape(-1)
        return total

    # ------------------------------------------------------------ choice
    @cached_property
    def first(self) -> Mapping[str, np.ndarray]:
        """The probability of each first action that has members, by action, after the plates of its variable."""
        found = {}
        for one, valued in zip(self.parts, self.planned.parts, strict=True):
            front = len(one.part.shape)
            joint = np.asarray(valued.first, float).reshape(*one.part.shape, *one.sizes) if one.part.actions else np.ones(1)
            for axis, name in enumerate(one.part.actions):
                found[name] = joint.sum(axis=tuple(i for i in range(front, joint.ndim) if i != front + axis))
        return by_variable(self.network.actions, found)

    @cached_property
    def action(self) -> Mapping[str, Entry]:
        """The first action that is taken, by name: the most probable one; under a budget the best that keeps it."""
        return self.network.done.told(np.asarray(self.planned.action))

    def members(self, joint: dict[int, int]) -> Mapping[str, Entry]:
        """Joint first actions of the parts by action: real ones are those of the best policy that begins so."""
        policies = {k: self._best(k, place) for k, place in joint.items() if self.sets[k].part.real_actions}
        named = self._named(joint, policies, 0)
        return by_entry(self.network.done.factors, named if isinstance(named, dict) else {next(iter(self._order)): named})

    def _best(self, k: int, first: int) -> int:
        probabilities = np.asarray(self.valued[k].probabilities, float)
        return int(np.argmax(np.where(self._steps(k)[:, 0] == first, probabilities, -1.0)))

    @property
    def least_taken(self) -> float:
        """The least G of the policies that begin with the actions that are taken."""
        done, total = self.network.done, 0.0
        taken = done.places(np.asarray(self.planned.action))
        for one, valued in zip(self.parts, self.planned.parts, strict=True):
            energy = np.asarray(valued.energy, float).reshape(one.part.count, -1)
            if one.part.actions:
                joint = np.ravel_multi_index([taken[done.placed[a]] for a in one.part.actions], one.sizes)
                first = np.arange(one.choices) if self.sophisticated else one.steps()[:, 0]
                energy = np.where(first == np.asarray(joint)[:, None], energy, np.inf)
            total += float(energy.min(axis=-1).sum())
        return total

    @cached_property
    def ties(self) -> list[Mapping[str, Entry]]:
        """Further first actions that are as probable as the one that is taken; under a budget, or where too many parts choose, none is
        told."""
        if len(self.price) or len(self.acting) > MOST_TIED:
            return []
        equal = {k: np.flatnonzero(best(self.valued[k].first)) for k in self.acting}
        taken = {k: int(places[0]) for k, places in equal.items()}
        return [self.members({**taken, k: int(place)}) for k, places in equal.items() for place in places[1:]]

    def draw(self, rng: np.random.Generator) -> Mapping[str, Entry]:
        """A first action by its probability."""
        joint = {}
        for k in self.acting:
            first = np.asarray(self.valued[k].first, float)
            joint[k] = int(rng.choice(len(first), p=first / first.sum()))
        return self.members(joint)

    @cached_property
    def loss(self) -> float:
        """How much G may be off: because improbable outcomes were passed over, or because real actions are not yet the best."""
        return float(sum(np.max(np.atleast_1d(v.loss), axis=-1).sum() for v in self.planned.parts))

    @property
    def count(self) -> float:
        """The number of policies."""
        acting = [(one.part.count, v) for one, v in zip(self.parts, self.planned.parts, strict=True) if one.part.acts]
        with np.errstate(over="ignore"):
            return float(np.prod([np.float64(np.shape(v.probabilities)[-1]) ** count for count, v in acting]))

    def _repr_html_(self) -> str:
        """The most probable policies with the terms of their expected free energy."""
        taken = ", ".join(f"{k} = {shown(v)}" for k, v in self.action.items())
        if self.count > MOST_LISTED:
            return html.section("plan", f"of {self.count:.6g} policies: {taken}")
        order = np.argsort(-self.probabilities, kind="stable")[:ROWS]
        rows = [[policy_text(self.policies[k]), *(number(getattr(self, column)[k]) for column in COLUMNS)] for k in order]
        rows += [[f"… {self.count - ROWS:.6g} more", *("" for _ in COLUMNS)]] if self.count > ROWS else []
        return html.section("plan", f"of {self.count:.6g} policies: {taken}", html.table(("", *COLUMNS), rows))

    def __repr__(self) -> str:
        return f"<plan of {self.count:.6g} policies: {', '.join(f'{k} = {shown(v)}' for k, v in self.action.items())}>"


def policy_text(policy: list[Action]) -> str:
    """The actions of a policy in a line."""
    return " ".join(",".join(f"{k}={shown(v)}" for k, v in one.items()) if isinstance(one, dict) else shown(one) for one in policy)
