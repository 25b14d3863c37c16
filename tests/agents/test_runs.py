"""The loop as one program: the same as steps by hand, the same again from the same seed, and as probable as the model says."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from tests.agents.drawn import draw
from tests.agents.test_enumeration import happenings

FORAGER = """
agent forager:
    state s: {a, b, c} ~ {a: 0.2, b: 0.5, c: 0.3}
    state r: {x, y} ~ match s:
        a -> {x: 0.9, y: 0.1}
        _ -> {x: 0.3, y: 0.7}
    action go: {left, stay}
    next s ~ match go, s:
        left, a -> {a: 0.6, c: 0.4}
        left, _ -> {a: 0.7, b: 0.3}
        stay, _ -> s
    next r ~ match r:
        x -> {x: 0.8, y: 0.2}
        y -> y
    observe o: {low, high} ~ match s, r:
        a, x -> {low: 0.9, high: 0.1}
        b, _ -> {low: 0.2, high: 0.8}
        _, _ -> {low: 0.5, high: 0.5}
    prefer o ~ {low: 0.8, high: 0.2}
    plan go by efe(horizon = 2, precision = 2)
"""


@pytest.mark.parametrize("seed", [2, 4, 9])
def test_a_record_replayed_is_the_same_as_steps_by_hand(seed: int) -> None:
    drawn = draw(seed, horizon=1 + seed % 2)
    p, (seen, done) = drawn.pomdp, happenings(drawn, 3, seed)
    agent = ppl.parse(drawn.text)
    columns = {n: [drawn.words(p.outcomes, step)[n] for step in seen] for n in p.outcomes}
    columns |= {n: [drawn.words(p.actions, step)[n] for step in done] for n in p.actions}
    trace, mind = agent.replay(**columns, **drawn.inputs), agent.start(**drawn.inputs)
    for t, outcomes in enumerate(seen):
        mind = mind.perceive(**drawn.words(p.outcomes, outcomes))
        assert trace.free_energy[t] == pytest.approx(mind.free_energy, abs=1e-12)
        for name in p.states:
            assert np.allclose(trace.beliefs[name][t], mind.beliefs[name].params["p"], atol=1e-12)
        for name in p.counts:
            assert np.allclose(trace.learnt[name][t], mind.memory.learnt[name], atol=1e-12)
        plan = mind.plan()
        finite = np.isfinite(plan.G)
        assert np.allclose(trace.G[t][finite], plan.G[finite], atol=1e-12)
        assert {n: f"{n}_{trace.told.chosen[0, t, k]}" for k, n in enumerate(p.actions)} == plan.action
        mind = mind.did(**drawn.words(p.actions, done[t]))


def test_episodes_side_by_side_are_each_what_its_record_replays() -> None:
    agent = ppl.parse(FORAGER)
    trace = agent.run(steps=4, episodes=3, seed=5)
    for episode in range(3):
        alone = agent.replay(o=list(trace.observations["o"][episode]), go=list(trace.actions["go"][episode]))
        assert np.allclose(alone.free_energy, trace.free_energy[episode], atol=1e-12)
        assert np.allclose(alone.G, trace.G[episode], atol=1e-12)
        assert list(alone.actions["go"]) == list(trace.actions["go"][episode])


def test_the_seed_says_what_happens() -> None:
    agent = ppl.parse(FORAGER)
    one, same, other = (agent.run(steps=6, episodes=4, seed=s) for s in (3, 3, 4))
    for name in ("o",):
        assert np.array_equal(one.observations[name], same.observations[name])
        assert not np.array_equal(one.observations[name], other.observations[name])


def test_what_happens_is_as_probable_as_the_model_says() -> None:
    """All pairs of joint states and outcomes of two steps, of which the first says what is done: within four standard errors."""
    agent, episodes = ppl.parse(FORAGER), 4000
    trace = agent.run(steps=2, episodes=episodes, seed=1)
    s0 = np.array([[0.2 * 0.9, 0.2 * 0.1], [0.5 * 0.3, 0.5 * 0.7], [0.3 * 0.3, 0.3 * 0.7]])
    low = np.array([[0.9, 0.5], [0.2, 0.2], [0.5, 0.5]])
    sees = np.stack([low, 1 - low])
    left = np.array([[0.6, 0.0, 0.4], [0.7, 0.3, 0.0], [0.7, 0.3, 0.0]])
    drift = np.array([[0.8, 0.2], [0.0, 1.0]])
    words = {"a": 0, "b": 1, "c": 2, "x": 0, "y": 1, "low": 0, "high": 1}
    place = lambda values: np.vectorize(words.get)(values)  # noqa: E731
    found = np.zeros((2, 3, 2, 3, 2, 2))
    np.add.at(
        found,
        (
            place(trace.observations["o"][:, 0]),
            *(place(trace.states[n][:, t]) for t in (0, 1) for n in ("s", "r")),
            place(trace.observations["o"][:, 1]),
        ),
        1 / episodes,
    )
    wanted = np.zeros_like(found)
    for o, word in enumerate(("low", "high")):
        action = agent.start().perceive(o=word).act()["go"]
        move = left if action == "left" else np.eye(3)
        wanted[o] = np.einsum("sr,sr,st,rq,ptq->srtqp", s0, sees[o], move, drift, sees)
    assert wanted.sum() == pytest.approx(1.0)
    assert np.all(np.abs(found - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / episodes) + 1e-12)
    assert np.all(found[wanted == 0] == 0), "what has probability 0 never happens"


def test_where_fixes_states_and_true_tables() -> None:
    text = """
agent flipper:
    state s: {a, b} ~ {a: 0.5, b: 0.5}
    next s = s
    for k in {a, b}: A[k] ~ Dirichlet([1, 1])
    observe o: {h, t} ~ Categorical(A[s])
"""
    trace = ppl.parse(text).run(steps=40, episodes=2, where={"s": "b", "A": [[0.5, 0.5], [0, 1]]})
    assert np.all(trace.observations["o"] == "t") and np.all(trace.states["s"] == "b")


def test_preferences_by_time_in_a_run_are_those_of_each_step() -> None:
    text = FORAGER.replace("~ {low: 0.8, high: 0.2}", "~ softmax({low: 0.5 * t, high: 0.3 * t * t - 1})")
    agent = ppl.parse(text)
    trace = agent.run(steps=3, seed=2)
    mind = agent.start()
    for t in range(3):
        mind = mind.perceive(o=trace.observations["o"][t])
        assert np.allclose(mind.plan().G, trace.G[t], atol=1e-12)
        mind = mind.did(go=trace.actions["go"][t])
