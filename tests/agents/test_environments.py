"""Agents in environments of the user's: the interface of Gymnasium, in small worlds that are written out here.

The agent's own model, with the same truth, is the second route to the same numbers.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ppl

MODELS = Path(__file__).parents[2] / "models" / "agents"
PLACES = ("centre", "left", "right", "cue")


def discrete(n: int, start: int = 0) -> SimpleNamespace:
    return SimpleNamespace(n=n, start=start)


class Maze:
    """The T-maze whose cue never errs and whose food is certain: an observation is a mapping by the names of outcomes."""

    action_space = discrete(4)

    def __init__(self, side: str):
        self.side, self.seeds = side, []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict]:
        self.place = "centre"
        self.seeds.append(seed)
        return self.seen(), {}

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict]:
        assert isinstance(action, int)
        if self.place not in ("left", "right"):
            self.place = PLACES[action]
        seen = self.seen()
        paid = {"nothing": 0.0, "reward": 1.0, "shock": -1.0}[seen["outcome"]]
        return seen, paid, self.place in ("left", "right"), False, {}

    def seen(self) -> dict[str, Any]:
        hint = f"says_{self.side}" if self.place == "cue" else "none"
        outcome = "nothing" if self.place in ("centre", "cue") else "reward" if self.place == self.side else "shock"
        return {"seen": np.int64(PLACES.index(self.place)), "hint": hint, "outcome": outcome, "temperature": 21.0}


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_agent_finds_the_food_and_the_episode_ends(side: str) -> None:
    trace = ppl.load(MODELS / "tmaze.aim").run(Maze(side), steps=10, validity=1)
    assert trace.steps == 3
    assert trace.actions["go"].tolist() == ["cue", side, None]
    assert trace.observations["outcome"].tolist() == ["nothing", "nothing", "reward"]
    assert trace.rewards is not None
    assert trace.rewards.tolist() == [0.0, 0.0, 1.0]
    assert trace.beliefs["side"][1].tolist() == ([1, 0] if side == "left" else [0, 1])
    np.testing.assert_allclose(trace.free_energy, [0, np.log(2), -np.log(0.98)], atol=1e-12)


def test_what_it_believes_and_plans_is_what_it_does_in_its_own_model() -> None:
    agent = ppl.load(MODELS / "tmaze.aim")
    own = agent.run(steps=2, where={"side": "right_good"}, validity=1)
    there = agent.run(Maze("right"), steps=2, validity=1)
    assert own.actions["go"].tolist() == there.actions["go"].tolist()
    np.testing.assert_allclose(there.G, own.G, atol=1e-12)
    np.testing.assert_allclose(there.free_energy, own.free_energy, atol=1e-12)
    np.testing.assert_allclose(there.beliefs["side"], own.beliefs["side"], atol=1e-12)


class Corridor:
    """Four rooms in a row, without noise: an observation is one number, and there is an end."""

    observation_space, action_space = discrete(4, start=1), discrete(3)

    def __init__(self, first: int = 0, last: int = 9):
        self.first, self.last = first, last

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict]:
        self.room = self.first + (seed or 0) % 2
        return np.array(self.room + 1), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self.room = min(max(self.room + action - 1, 0), 3)
        return self.room + 1, float(self.room), False, self.room == self.last, {}


def test_one_outcome_is_one_number_counted_from_the_start_of_its_space() -> None:
    trace = ppl.load(MODELS / "corridor.aim").run(Corridor(), steps=5, slip=0, blur=0)
    assert trace.observations["seen"].tolist() == ["0", "1", "2", "3", "3"]
    assert trace.actions["move"].tolist() == ["east", "east", "east", "stay", "stay"]


def test_episodes_that_end_at_other_steps_are_filled_with_nothing() -> None:
    """The second one begins a room further and ends a step earlier; its free energy does not go on."""
    trace = ppl.load(MODELS / "corridor.aim").run(Corridor(last=3), steps=9, episodes=2, slip=0, blur=0)
    assert trace.observations["seen"].tolist() == [["0", "1", "2", "3"], ["1", "2", "3", None]]
    assert trace.actions["move"].tolist() == [["east", "east", "east", None], ["east", "east", None, None]]
    np.testing.assert_allclose(trace.free_energy.sum(axis=1), np.log(4), atol=1e-12)
    assert trace.rewards is not None
    assert trace.rewards.tolist() == [[0, 1, 2, 3], [0, 2, 3, 0]]
    from ppl.agents.report import trace_json

    last = trace_json(trace.single(1))["steps"][-1]
    assert last["observations"] == {"seen": None}
    assert last["action"] == {"move": None}


GRID = """
agent grid:
    state row: {top, bottom} = top
    state column: {left, right} = left
    action down: {no, yes}
    action along: {west, stay, east}
    next row = match down:
        yes -> bottom
        no -> row
    next column = match along:
        west -> left
        east -> right
        stay -> column
    observe row_seen: {top, bottom} = row
    observe column_seen: {left, right} = column
    prefer row_seen ~ softmax({bottom: 3, top: 0})
    prefer column_seen ~ softmax({right: 3, left: 0})
    plan down, along by efe(horizon = 1)
"""


class Grid:
    """Two actions at once; how they and what is seen are written is given."""

    def __init__(self, action_space: Any, observation_space: Any, show: Any, read: Any):
        self.action_space, self.observation_space, self.show, self.read = action_space, observation_space, show, read

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict]:
        self.at = [0, 0]
        return self.show(*self.at), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        down, along = self.read(action)
        self.at = [max(self.at[0], down), {0: 0, 1: self.at[1], 2: 1}[along]]
        return self.show(*self.at), 0.0, False, False, {}


SPACES = {
    "vectors": (SimpleNamespace(nvec=np.array([2, 3])), SimpleNamespace(nvec=np.array([2, 2])), lambda r, c: np.array([r, c]), list),
    "tuples": (
        SimpleNamespace(spaces=(discrete(2), discrete(3, start=5))),
        SimpleNamespace(spaces=(discrete(2), discrete(2, start=-1))),
        lambda r, c: (r, c - 1),
        lambda a: (a[0], a[1] - 5),
    ),
    "mappings": (
        SimpleNamespace(spaces={"down": discrete(2), "along": discrete(3, start=1)}),
        SimpleNamespace(spaces={"row_seen": discrete(2), "column_seen": discrete(2, start=7)}),
        lambda r, c: {"row_seen": r, "column_seen": c + 7},
        lambda a: (a["down"], a["along"] - 1),
    ),
}


@pytest.mark.parametrize("how", SPACES)
def test_several_outcomes_and_actions_go_as_vectors_tuples_or_mappings(how: str) -> None:
    trace = ppl.parse(GRID).run(Grid(*SPACES[how]), steps=2)
    assert trace.observations["row_seen"].tolist() == ["top", "bottom"]
    assert trace.observations["column_seen"].tolist() == ["left", "right"]
    assert {name: done[0] for name, done in trace.actions.items()} == {"down": "yes", "along": "east"}


def test_what_does_not_fit_says_so() -> None:
    agent = ppl.load(MODELS / "corridor.aim")
    too_few, odd, nameless = Corridor(), Corridor(), Corridor()
    too_few.action_space = discrete(2)
    odd.step = lambda _: (0.5, 0.0, False, False, {})
    nameless.step = lambda _: ({"sean": 1}, 0.0, False, False, {})
    for environment, said in (
        (too_few, "AIM0413]: the environment takes 2 as numbers of actions; this agent has move: 3"),
        (odd, "AIM0614]: the environment gives 0.5 for `seen`"),
        (nameless, "AIM0413]: the environment's observation holds sean"),
    ):
        with pytest.raises(ppl.AimError) as raised:
            agent.run(environment, steps=3)
        assert said in str(raised.value)
    with pytest.raises(ppl.AimError, match=r"AIM0605\]: `where` speaks of the agent's own world"):
        agent.run(Corridor(), steps=3, where={"room": 0})


# ------------------------------------------------------------------ traces
def test_a_trace_goes_to_xarray_with_its_labels() -> None:
    trace = ppl.load(MODELS / "tmaze.aim").run(steps=3, episodes=2, where={"side": "left_good"}, validity=1)
    data = trace.to_xarray()
    assert dict(data.sizes) == {"episode": 2, "step": 3, "member of place": 4, "member of side": 2, "policy": 4}
    assert data["go"].sel(step=0).values.tolist() == ["cue", "cue"]
    assert (data["side (true)"] == "left_good").all()
    assert (data["belief side"].sel({"member of side": "left_good", "step": 1}) == 1).all()
    np.testing.assert_allclose(data["free_energy"].sel(step=1), np.log(2))
    assert "reward" not in data
    assert "reward" in ppl.load(MODELS / "tmaze.aim").run(Maze("left"), steps=2).to_xarray()


def test_plans_and_what_was_learnt_go_to_xarray_too() -> None:
    trace = ppl.load(MODELS / "bandit.aim").run(steps=3, episodes=2, like=2, precision=4)
    data = trace.to_xarray()
    assert data["G"].dims == data["probability"].dims == ("episode", "step", "policy")
    np.testing.assert_allclose(data["G"], trace.G)
    np.testing.assert_allclose(data["probability"].sum("policy"), 1)
    best = data["policy"].values[np.argmax(data["probability"].sel(step=0, episode=0).values)]
    assert best.split()[0] == trace.actions["pull"][0, 0]
    beliefs = trace.beliefs_at(2, 1)["p"].params
    last = data["counts p"].sel(step=2, episode=1)
    assert last.sizes["axis 0 of p"] == 2 and last["axis 0 of p"].values.tolist() == ["a", "b"]
    for name in ("a", "b"):
        np.testing.assert_allclose(last.sel({"count of p": name}), beliefs[name])


def test_an_episode_that_there_is_not_is_not_drawn() -> None:
    trace = ppl.load(MODELS / "tmaze.aim").run(steps=1, episodes=2)
    for episode in (2, -1):
        with pytest.raises(ValueError, match=f"no episode {episode}: the trace has 2"):
            trace.plot(episode=episode)


def test_a_trace_is_drawn() -> None:
    import matplotlib

    matplotlib.use("Agg")
    trace = ppl.load(MODELS / "tmaze.aim").run(steps=2, where={"side": "left_good"}, foresight=False)
    beliefs = trace.plot("beliefs")
    assert [ax.get_ylabel() for ax in beliefs] == ["place", "side"]
    np.testing.assert_allclose(beliefs[1].images[0].get_array(), trace.beliefs["side"].T)
    lines = {line.get_label(): line.get_ydata() for line in trace.plot("policies").lines}
    plan = trace.plan(0)
    for policy, p in zip(plan.policies, plan.probabilities, strict=True):
        if " ".join(policy) in lines:
            assert lines[" ".join(policy)][0] == pytest.approx(p)
    assert len(lines) == 12, "of 16 policies the most probable ones"
    energies = {line.get_label(): line.get_ydata() for line in trace.plot("G").lines}
    assert energies["left left"][0] == pytest.approx(plan.G[plan.policies.index(["left", "left"])])
    with pytest.raises(ppl.AimError, match="there is no plot `belief`"):
        trace.plot("belief")
