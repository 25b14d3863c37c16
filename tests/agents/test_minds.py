"""A mind as a user handles it: perceive, plan, act, and what each refuses."""

from __future__ import annotations

import numpy as np
import pytest

import ppl

TMAZE = """
type Place = {centre, left, right, cue}

agent tmaze(validity = 0.95, gain = 3):
    state place: Place = centre
    state side:  {left_good, right_good} ~ Categorical([0.5, 0.5])
    action go: Place

    next place = match place:
        left | right -> place
        _            -> go
    next side = side

    observe seen: Place = place
    observe hint: {none, says_left, says_right} ~ match place, side:
        cue, left_good  -> {says_left: validity, says_right: 1 - validity}
        cue, right_good -> {says_right: validity, says_left: 1 - validity}
        _, _            -> none
    observe outcome: {nothing, reward, shock} ~ match place, side:
        left,  left_good   -> {reward: 0.98, shock: 0.02}
        right, right_good  -> {reward: 0.98, shock: 0.02}
        left | right, _    -> {reward: 0.02, shock: 0.98}
        _, _               -> nothing

    prefer outcome ~ softmax({reward: gain, shock: -gain, nothing: 0})
    plan go by efe(horizon = 2, precision = 16, sophisticated = true)
"""
START = {"seen": "centre", "hint": "none", "outcome": "nothing"}


def test_a_mind_looks_at_the_cue_and_goes_where_it_points() -> None:
    mind = ppl.parse(TMAZE).start(validity=1)
    action, mind = mind.step(**START)
    assert action == {"go": "cue"}
    action, after = mind.step(seen="cue", hint="says_right", outcome="nothing")
    assert action == {"go": "right"}
    assert after.beliefs["side"].params["p"].tolist() == [0.0, 1.0]
    assert mind.t == 0, "a mind is a value: what came after does not change it"


def test_free_energy_sums_to_the_log_evidence_and_smoothing_looks_back() -> None:
    """By hand: the cue points left with 0.95, the reward then comes with 0.95 · 0.98 + 0.05 · 0.02."""
    mind = ppl.parse(TMAZE).start().perceive(**START).did(go="cue").perceive(seen="cue", hint="says_left", outcome="nothing")
    mind = mind.did(go="left").perceive(seen="left", hint="none", outcome="reward")
    right, wrong = 0.5 * 0.95 * 0.98, 0.5 * 0.05 * 0.02
    assert sum(step.free_energy for step in mind.past) == pytest.approx(-np.log(right + wrong), abs=1e-12)
    for beliefs in mind.smoothed():
        assert beliefs["side"].params["p"][0] == pytest.approx(right / (right + wrong), abs=1e-12)
    assert len(mind.smoothed(window=2)) == 2


def test_actions_may_be_given_with_what_was_seen_after_them() -> None:
    one = ppl.parse(TMAZE).start().perceive(**START).did(go="cue").perceive(seen="cue", hint="says_left", outcome="nothing")
    other = ppl.parse(TMAZE).start().perceive(**START).perceive(go="cue", seen="cue", hint="says_left", outcome="nothing")
    assert np.array_equal(one.beliefs["side"].params["p"], other.beliefs["side"].params["p"])


def test_an_outcome_that_was_not_seen_tells_nothing() -> None:
    mind = ppl.parse(TMAZE).start().perceive(**START).perceive(go="cue", seen="cue", outcome="nothing")
    assert mind.beliefs["side"].params["p"].tolist() == [0.5, 0.5]
    assert mind.free_energy == pytest.approx(0.0, abs=1e-15)


def test_what_was_done_must_be_said() -> None:
    mind = ppl.parse(TMAZE).start().perceive(**START)
    with pytest.raises(ppl.AimError, match=r"AIM0414\]: nothing says what was done"):
        mind.perceive(**START)


def test_what_cannot_happen_is_an_error_and_no_nan() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0805\]: step 0: seen = left"):
        ppl.parse(TMAZE).start().perceive(seen="left")


@pytest.mark.parametrize(
    ("said", "code"),
    [({"seen": "middle"}, "AIM0614"), ({"sene": "left"}, "AIM0605"), ({"seen": 7}, "AIM0614"), ({"seen": ["left", "left"]}, "AIM0611")],
)
def test_bad_outcomes_say_what_is_wrong(said: dict, code: str) -> None:
    with pytest.raises(ppl.AimError) as raised:
        ppl.parse(TMAZE).start().perceive(**said)
    assert [d.code for d in raised.value.diagnostics] == [code]


def test_an_agent_without_a_plan_says_so() -> None:
    agent = ppl.parse(TMAZE[: TMAZE.index("    prefer")])
    mind = agent.start().perceive(**START)
    with pytest.raises(ppl.AimError, match=r"AIM0416\]: `tmaze` has no plan"):
        mind.plan()


def test_a_drawn_action_follows_its_probability() -> None:
    agent = ppl.parse(TMAZE.replace("precision = 16, sophisticated = true", "precision = 0.2"))
    mind = agent.start().perceive(**START)
    plan = mind.plan()
    drawn = [mind.act(plan, seed=seed)["go"] for seed in range(2000)]
    share = [drawn.count(member) / 2000 for member in ("centre", "left", "right", "cue")]
    assert np.allclose(share, plan.first["go"], atol=0.04)
    assert mind.act(plan) == plan.action


def test_risk_and_ambiguity_are_the_other_way_to_write_the_same() -> None:
    plan = ppl.parse(TMAZE).start().perceive(**START).plan()
    assert np.allclose(plan.G, plan.risk + plan.ambiguity - plan.novelty, atol=1e-12)
    assert np.allclose(plan.G, -(plan.pragmatic + plan.epistemic + plan.novelty), atol=1e-12)


LIFT = """
type Floor = 1..4
agent lift:
    state floor: Floor ~ {1: 0.25, 2: 0.75}
    action move: {stay}
    next floor ~ match floor:
        3 -> {3: 1}
        _ -> floor
    observe shown: Floor ~ match floor:
        3 -> {3: 1}
        _ -> floor
    plan move by efe(horizon = 1)
"""
GEARS = """
type Gear = 1..4
agent car:
    state gear: Gear = 1
    action shift: Gear
    next gear = shift
    observe seen: Gear = gear
    prefer seen ~ softmax({2: 3, 1: 0, 3: 0})
    plan shift by efe(horizon = 1)
"""
LAMPS = """
agent lamps:
    for k in 0..3:
        state lamp[k]: {dark, lit} ~ {dark: 0.5, lit: 0.5}
        next lamp[k] = lamp[k]
        observe seen[k]: {dark, lit} = lamp[k]
"""


def test_a_member_that_is_certain_is_itself_whatever_its_number() -> None:
    trace = ppl.parse(LIFT).run(steps=3, where={"floor": 2})
    assert list(trace.observations["shown"]) == list(trace.states["floor"]) == ["2", "2", "2"]


def test_numbered_actions_go_round_as_they_are_told() -> None:
    agent = ppl.parse(GEARS)
    action, mind = agent.start().step(seen=1)
    assert action == {"shift": "2"} and mind.perceive(seen=2).beliefs["gear"].params["p"].tolist() == [0, 1, 0]
    trace = agent.run(steps=3)
    again = agent.replay({**trace.observations, **trace.actions})
    assert list(again.actions["shift"]) == list(trace.actions["shift"])


def test_a_plate_of_another_length_is_not_passed_over() -> None:
    agent = ppl.parse(LAMPS)
    for seen in (["lit"], ["lit"] * 4):
        with pytest.raises(ppl.AimError, match=r"AIM0611\]: `seen` has the shape .* at a step"):
            agent.start().perceive(seen=seen)
    trace = agent.run(steps=1, where={"lamp": ["lit", "dark", "lit"]})
    assert [trace.states[f"lamp[{k}]"][0] for k in range(3)] == ["lit", "dark", "lit"]


def test_a_record_holds_no_hidden_state() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0413\]: `gear` is a state"):
        ppl.parse(GEARS).replay(seen=[1, 2], gear=[1, 2], shift=[2, 2])


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_seed_is_a_whole_number(seed) -> None:
    agent = ppl.parse(TMAZE)
    for start in (agent.start, lambda seed: agent.run(steps=1, seed=seed)):
        with pytest.raises(ValueError, match="a seed is a whole number, 0 or more"):
            start(seed=seed)
