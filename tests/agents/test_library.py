"""The agents of the library value actions as the definition says: each world is written out here once more, by hand, and every case of
states and outcomes is summed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import digamma

import ppl
from ppl.agent import Agent

MODELS = Path(__file__).parents[2] / "models" / "agents"
Chances = Mapping[Any, float]


def agent(name: str) -> Agent:
    found = ppl.load(MODELS / f"{name}.aim")
    assert isinstance(found, Agent)
    return found


@dataclass(frozen=True)
class World:
    """What happens, in functions of single states: `see` gives all outcomes of a step together, `like` the log preference of them."""

    actions: tuple[str, ...]
    move: Callable[[Any, str], Chances]
    see: Callable[[Any], Chances]
    like: Callable[[Any], float]

    def moved(self, belief: Chances, action: str) -> dict[Any, float]:
        found: dict[Any, float] = {}
        for state, p in belief.items():
            for after, q in self.move(state, action).items():
                found[after] = found.get(after, 0.0) + p * q
        return found

    def outcomes(self, belief: Chances) -> dict[Any, tuple[float, dict[Any, float]]]:
        """For each outcome its probability and the belief after it."""
        joint: dict[Any, dict[Any, float]] = {}
        for state, p in belief.items():
            for seen, q in self.see(state).items():
                if p * q > 0:
                    joint.setdefault(seen, {})[state] = p * q
        totals = {seen: sum(states.values()) for seen, states in joint.items()}
        return {seen: (total, {s: p / total for s, p in joint[seen].items()}) for seen, total in totals.items()}

    def one_step(self, belief: Chances) -> float:
        """Minus the expected log preference and the information, both summed over all outcomes."""
        value = 0.0
        for seen, (p, after) in self.outcomes(belief).items():
            value += p * self.like(seen) + p * sum(q * log(q / belief[s]) for s, q in after.items())
        return -value

    def policy(self, belief: Chances, policy: tuple[str, ...]) -> float:
        """G of a policy: beliefs are predicted and not updated."""
        total = 0.0
        for action in policy:
            belief = self.moved(belief, action)
            total += self.one_step(belief)
        return total

    def foreseen(self, belief: Chances, action: str, horizon: int, precision: float = 16) -> float:
        """G of an action: the later ones are chosen for each outcome that may be seen."""
        predicted = self.moved(belief, action)
        total = self.one_step(predicted)
        if horizon == 1:
            return total
        for p, after in self.outcomes(predicted).values():
            later = np.array([self.foreseen(after, a, horizon - 1, precision) for a in self.actions])
            weights = np.exp(-precision * (later - later.min()))
            total += p * float(weights @ later / weights.sum())
        return total


def log_softmax(weights: Mapping[str, float]) -> dict[str, float]:
    total = log(sum(exp(w) for w in weights.values()))
    return {name: w - total for name, w in weights.items()}


def times(*chances: Chances) -> dict[tuple, float]:
    """Outcomes that are independent given the state, together."""
    return {tuple(k for k, _ in one): float(np.prod([p for _, p in one])) for one in product(*(c.items() for c in chances))}


def either(good: str, bad: str, p: float) -> Chances:
    return {good: p, bad: 1 - p}


# ------------------------------------------------------------------ worlds
def tmaze(validity: float, gain: float) -> World:
    def see(state: tuple[str, str]) -> Chances:
        place, side = state
        hint = either(side, {"left": "right", "right": "left"}[side], validity) if place == "cue" else {"none": 1.0}
        outcome = either("reward", "shock", 0.98 if place == side else 0.02) if place in ("left", "right") else {"nothing": 1.0}
        return times({place: 1.0}, hint, outcome)

    liked = log_softmax({"reward": gain, "shock": -gain, "nothing": 0})
    move = lambda s, a: {(s[0] if s[0] in ("left", "right") else a, s[1]): 1.0}  # noqa: E731
    return World(("centre", "left", "right", "cue"), move, see, lambda o: liked[o[2]])


def bandit(hint_right: float, pays: float, gain: float, loss: float) -> World:
    def see(state: tuple[str, str]) -> Chances:
        better, choice = state
        hint = either(better, {"left": "right", "right": "left"}[better], hint_right) if choice == "ask" else {"none": 1.0}
        result = either("win", "lose", pays if choice == better else 1 - pays) if choice in ("left", "right") else {"nothing": 1.0}
        return times({choice: 1.0}, hint, result)

    liked = log_softmax({"nothing": 0, "win": gain, "lose": -loss})
    return World(("begin", "ask", "left", "right"), lambda s, a: {(s[0], a): 1.0}, see, lambda o: liked[o[2]])


def tiger() -> World:
    def move(state: tuple[str, str], action: str) -> Chances:
        behind, _ = state
        if action == "listen":
            return {(behind, "listened"): 1.0}
        found = "mauled" if action == f"open_{behind}" else "gold"
        return {("left", found): 0.5, ("right", found): 0.5}

    def see(state: tuple[str, str]) -> Chances:
        behind, did = state
        roar = either(behind, {"left": "right", "right": "left"}[behind], 0.85) if did == "listened" else {"silence": 1.0}
        return times(roar, {did if did in ("gold", "mauled") else "nothing": 1.0})

    liked = log_softmax({"nothing": -0.1, "gold": 1, "mauled": -10})
    return World(("listen", "open_left", "open_right"), move, see, lambda o: liked[o[1]])


def corridor() -> World:
    def move(room: int, action: str) -> Chances:
        aim = min(max(room + {"west": -1, "stay": 0, "east": 1}[action], 0), 3)
        return {room: 1.0} if aim == room else {aim: 0.9, room: 0.1}

    def see(room: int) -> Chances:
        found: dict[int, float] = {}
        for step, p in ((0, 0.8), (-1, 0.1), (1, 0.1)):
            seen = min(max(room + step, 0), 3)
            found[seen] = found.get(seen, 0.0) + p
        return found

    liked = log_softmax({str(room): 2.0 * (room == 3) for room in range(4)})
    return World(("west", "stay", "east"), move, see, lambda room: liked[str(room)])


STEPS = {"stay": (0, 0), "up": (-1, 0), "north": (-1, 0), "down": (1, 0), "south": (1, 0)}
STEPS |= {"right": (0, 1), "east": (0, 1), "left": (0, -1), "west": (0, -1)}


def stepped(row: int, column: int, action: str, rows: int, columns: int) -> tuple[int, int]:
    down, along = STEPS[action]
    return min(max(row + down, 0), rows - 1), min(max(column + along, 0), columns - 1)


def grid_world() -> World:
    liked = [log_softmax({str(k): -abs(k - 6) for k in range(7)})[str(k)] for k in range(7)]
    move = lambda s, a: {stepped(*s, a, 7, 7): 1.0}  # noqa: E731
    return World(("stay", "north", "east", "south", "west"), move, lambda s: {s: 1.0}, lambda o: liked[o[0]] + liked[o[1]])


def chain_of_cues() -> World:
    spots = {"north": (0, 3), "south": (4, 3), "centre": (2, 2), "east": (2, 4)}

    def see(state: tuple) -> Chances:
        place, spot, food = state
        bite = "none" if place not in ((1, 4), (3, 4)) else "cheese" if (place == (1, 4)) == (food == "above") else "shock"
        return {(place, spot if place == (2, 1) else "", food if place == spots[spot] else "", bite): 1.0}

    liked = log_softmax({"none": 0, "cheese": 2, "shock": -4})
    move = lambda s, a: {(stepped(*s[0], a, 5, 5), *s[1:]): 1.0}  # noqa: E731
    return World(("stay", "up", "right", "down", "left"), move, see, lambda o: liked[o[3]])


# ------------------------------------------------------------------ laws
FORESEEN = {
    "tmaze": (tmaze(0.95, 3), {("centre", "left"): 0.5, ("centre", "right"): 0.5}, 2, {"seen": "centre"}),
    "bandit_with_hint": (bandit(0.8, 0.9, 2, 4), {("left", "begin"): 0.5, ("right", "begin"): 0.5}, 2, {"at": "begin"}),
    "tiger": (tiger(), {("left", "rested"): 0.5, ("right", "rested"): 0.5}, 3, {"roar": "silence"}),
}


@pytest.mark.parametrize("name", FORESEEN)
def test_actions_are_valued_by_all_that_may_be_seen(name: str) -> None:
    world, belief, horizon, seen = FORESEEN[name]
    plan = agent(name).start().perceive(**seen).plan()
    assert [policy[0] for policy in plan.policies] == list(world.actions)
    np.testing.assert_allclose(plan.G, [world.foreseen(belief, a, horizon) for a in world.actions], atol=1e-9)


def test_how_many_roars_it_takes() -> None:
    """One roar leaves too much to fear, a second one on the same side does not."""
    world, mind = tiger(), agent("tiger").start().perceive(roar="silence")
    for p, action in ((0.5, "listen"), (0.85, "listen"), (0.85**2 / (0.85**2 + 0.15**2), "open_right")):
        belief = {("left", "listened"): p, ("right", "listened"): 1 - p}
        plan = mind.plan()
        np.testing.assert_allclose(plan.G, [world.foreseen(belief, a, 3) for a in world.actions], atol=1e-9)
        assert plan.action == {"act": action}
        if action == "listen":
            mind = mind.did(act="listen").perceive(roar="from_left", found="nothing")


def test_a_hint_is_worth_a_step_where_a_loss_is_feared() -> None:
    for loss, asks in ((4, True), (0, False)):
        plan = agent("bandit_with_hint").start(loss=loss).perceive(at="begin").plan()
        world, belief = bandit(0.8, 0.9, 2, loss), {("left", "begin"): 0.5, ("right", "begin"): 0.5}
        np.testing.assert_allclose(plan.G, [world.foreseen(belief, a, 2) for a in world.actions], atol=1e-9)
        assert (plan.action == {"next_choice": "ask"}) == asks


CUES = {((0, 0), spot, food): 1 / 8 for spot in ("north", "south", "centre", "east") for food in ("above", "below")}
LISTED = {
    "tmaze": (tmaze(0.95, 3), {("centre", "left"): 0.5, ("centre", "right"): 0.5}, 2, {"seen": "centre"}, {"foresight": False}),
    "corridor": (corridor(), {0: 0.1, 1: 0.8, 2: 0.1}, 3, {"seen": 1}, {}),
    "grid_world": (grid_world(), {(0, 0): 1.0}, 3, {"latitude": 0, "longitude": 0}, {}),
    "epistemic_chaining": (chain_of_cues(), CUES, 4, {"latitude": 0, "longitude": 0}, {}),
}


@pytest.mark.parametrize("name", LISTED)
def test_policies_are_valued_by_what_is_predicted(name: str) -> None:
    world, belief, horizon, seen, parameters = LISTED[name]
    plan = agent(name).start(**parameters).perceive(**seen).plan()
    policies = list(product(world.actions, repeat=horizon))
    assert [tuple(policy) for policy in plan.policies] == policies
    np.testing.assert_allclose(plan.G, [world.policy(belief, policy) for policy in policies], atol=1e-9)


def test_a_forager_weighs_what_it_likes_and_what_it_may_learn() -> None:
    """Where it is, is known, so that counts are all it believes: G is minus the expected log preference, minus the novelty of a row."""
    yields = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
    trace = agent("foraging").run(steps=15, where={"yields": yields}, hunger=0.7)
    liked = np.array(list(log_softmax({"none": -0.7, "little": 0, "much": 0.7}).values()))
    counts, patch = np.ones((3, 3)), 0
    for t in range(15):
        counts[patch] += yields[patch]
        mean, total = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
        novelty = (mean * (np.log(1 / mean) + digamma(counts + 1) - digamma(total + 1))).sum(axis=1)
        expected = -(mean @ liked + novelty)
        np.testing.assert_allclose(trace.G[t], expected, atol=1e-12)
        patch = int(np.argmin(np.round(expected, 12)))
        assert trace.actions["go"][t] == ("meadow", "brook", "wood")[patch]
    np.testing.assert_array_equal(trace.learnt["yields"][-1], counts)
