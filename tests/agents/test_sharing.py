"""Agents of one structure are compiled once, and what is compiled for one gives the numbers of the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import ppl
from ppl.agents import sharing
from ppl.agents.mind import Mind

LOOKING = """
type Place = {left, right}
type Sound = {low, high}

agent looking(stay = 0.7, reliable = 0.9, wish = 0.8, cost = 1, budget = 1):
    input habit_of_going: real[Place] = [0.5, 0.5]
    for i in N:
        state place[i]: Place ~ {left: 0.4, right: 0.6}
        action go[i]: Place
        observe sound[i]: Sound ~ if place[i] == left then {low: reliable, high: 1 - reliable} else {low: 1 - reliable, high: reliable}
        next place[i] ~ if go[i] == left then {left: stay, right: 1 - stay} else onehot(place[i], Place)
        prefer sound[i] ~ {low: wish, high: 1 - wish}
        habit go[i] ~ Categorical(habit_of_going)
    plan go by efe(horizon = 2, precision = 2)
    subject to sum(cost * (if go[i] == left then 1 else 0) for i in N) <= budget
"""
LEARNING = """
type Place = {left, right}
type Sound = {low, high}

agent learning(start = 1, wish = 0.8):
    for s in Place: A[s] ~ Dirichlet([start, 1])
    state place: Place ~ {left: 0.5, right: 0.5}
    action go: Place
    observe sound: Sound ~ Categorical(A[place])
    next place = go
    prefer sound ~ {low: wish, high: 1 - wish}
    plan go by efe(horizon = 1)
"""
VALUES = [
    {},
    {"stay": 1.0, "budget": 2.0},
    {"reliable": 0.5},
    {"reliable": 1.0, "wish": 0.3},
    {"habit_of_going": [1.0, 0.0], "budget": 3.0},
    {"stay": 0.6, "cost": 0.5, "budget": 0.7},
    {},
]


@pytest.fixture(autouse=True)
def nothing_is_compiled_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sharing, "_SHARED", {})
    yield


def told(mind: Mind, sound: str, name: str) -> list[np.ndarray]:
    """What a mind believes, and plans, after it heard a sound."""
    seen = mind.perceive(**{name: sound})
    plan = seen.plan()
    beliefs = [belief.mean if belief.family == "Dirichlet" else belief.params["p"] for belief in seen.beliefs.values()]
    return [np.asarray(seen.free_energy), *map(np.asarray, beliefs), *map(np.asarray, plan.first.values()), np.asarray(plan.price)]


def test_what_is_compiled_for_one_gives_the_numbers_of_the_other() -> None:
    agent = ppl.parse(LOOKING)
    for values in VALUES:
        given = {"N": 2, **values}
        fresh = told(ppl.parse(LOOKING).start(**given), "low", "sound[0]")  # type: ignore[attr-defined]
        for a, b in zip(told(agent.start(**given), "low", "sound[0]"), fresh, strict=True):  # type: ignore[attr-defined]
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_what_is_learnt_is_its_own() -> None:
    agent = ppl.parse(LEARNING)
    for values in ({}, {"start": 4.0}, {"wish": 0.1}, {}):
        found = told(agent.start(**values), "high", "sound")  # type: ignore[attr-defined]
        for a, b in zip(found, told(ppl.parse(LEARNING).start(**values), "high", "sound"), strict=True):  # type: ignore[attr-defined]
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("members", [4, 700])
def test_a_start_of_the_same_structure_compiles_nothing(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few numbers the first start has its own, the second is compiled for all that come after."""
    agent = ppl.load("models/arr_coc/allocation.aim")
    made: list[str] = []
    real = sharing.Shared.function

    def counted(self: sharing.Shared, key: object, make: object) -> object:
        made.extend([str(key)] if key not in self.functions else [])
        return real(self, key, make)  # type: ignore[arg-type]

    monkeypatch.setattr(sharing.Shared, "function", counted)
    rng, counts = np.random.default_rng(0), []
    for _ in range(4):
        given = {"relevance": rng.uniform(size=members), "variance": rng.uniform(size=members), "budget": 100.0 * members + len(counts)}
        agent.start(**given).perceive().plan()  # type: ignore[attr-defined]
        counts.append(len(made))
    assert counts[2] == counts[3]
    assert counts[1] > counts[0] if members == 4 else counts[1] == counts[0]
