"""Stacked plates: the numbers of members each by itself, whatever their order; a budget over thousands; and what refuses to be stacked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pytest

import ppl
from ppl.agents import network
from ppl.agents.policy_plan import PolicyPlan
from ppl.agents.report import cautions

ALLOCATION = """
type Level = 0..5

agent allocation(B = 600, sig2 = 64, gamma = 20):
    "How many tokens does each patch get?"
    input r: real[N]
    input V: real[N]
    k = [0, 64, 128, 256, 400]
    for i in N:
        for l in Level: gain[i, l] = r[i] * log(1 + k[l] * V[i] / sig2) / 2
        state got[i]: Level = 0
        action tokens[i]: Level
        next got[i] = tokens[i]
        prefer got[i] ~ softmax(gain[i])
    plan tokens by efe(precision = gamma)
    subject to sum(k[tokens[i]] for i in N) <= B
"""
LEVELS = np.array([0, 64, 128, 256, 400])

WATCHERS = """
type Side = {left, right}

agent watchers(sees = 2):
    input care: real[N]
    input noise: real[N]
    for i in N:
        state side[i]: Side ~ Categorical([0.3 + noise[i], 0.7 - noise[i]])
        state eye[i]: {open, shut} = open
        action look[i]: {watch, rest, flip}
        next side[i] ~ match look[i], side[i]:
            flip, left -> right
            flip, right -> left
            _, left -> {left: 1 - noise[i] / 2, right: noise[i] / 2}
            _, right -> right
        next eye[i] = match look[i]:
            rest -> shut
            _ -> open
        observe seen[i]: {none, at_left, at_right} ~ match eye[i], side[i]:
            open, left -> {at_left: 1 - noise[i], at_right: noise[i]}
            open, right -> {at_right: 1 - noise[i], at_left: noise[i]}
            shut, _ -> none
        prefer seen[i] ~ softmax({none: 1, at_left: sees * care[i] + t / 10, at_right: 0})
        habit look[i] ~ normalize({watch: 1, rest: 1 + care[i], flip: 0.5})
    plan look by efe(horizon = 2, precision = 3, epistemic = care)
"""
BESIDE = """
    state mood: {good, bad} = good
    state place: {here, there} = here
    action go: {here, there}
    next mood = mood
    next place = go
    observe place_seen: {here, there} = place
    prefer place_seen ~ {here: 0.2, there: 0.8}
"""
NOTHING: dict[str, Any] = {}
CARE = {"care": [0.5, 1.0, 2.0, 0.0], "noise": [0.1, 0.2, 0.05, 0.3]}


@pytest.fixture
def by_member(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs something with every member of a plate by itself."""

    def run(function: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(network, "stacked_plates", lambda *_: {})
            return function()

    return run


def planned(text: str, seen: Mapping[str, Any] = NOTHING, **values: Any) -> PolicyPlan:
    return ppl.parse(text).start(**values).perceive(**seen).plan()


def with_action_beside(text: str) -> str:
    """The same with an action, states and an outcome that belong to no member."""
    head, rest = text.split("    for i in N:", 1)
    return head + BESIDE.lstrip("\n") + "    for i in N:" + rest.replace("plan look by", "plan look, go by")


PLANS = {
    "watchers": WATCHERS,
    "sophisticated": WATCHERS.replace("precision = 3", "precision = 3, sophisticated = true"),
    "with another beside": with_action_beside(WATCHERS),
    "latent precision": WATCHERS.replace("precision = 3", "precision = p").replace("    input care", "    p ~ Gamma(3, 1)\n    input care"),
    "with a budget": WATCHERS + "    subject to sum(if look[i] == watch then 1 + care[i] else 0 for i in N) <= 1.5\n",
}


@pytest.mark.parametrize("name", PLANS)
def test_a_stacked_plate_has_the_numbers_of_its_members_alone(name: str, by_member: Any) -> None:
    text, values = PLANS[name], CARE
    seen = {"seen": ["at_left", "at_right", None, "at_right"]}
    stacked, single = planned(text, seen, **values), by_member(lambda: planned(text, seen, **values))
    assert {one.part.count for one in stacked.parts} == ({1, 4} if name == "with another beside" else {4})
    assert {one.part.count for one in single.parts} == {1}
    assert np.allclose(stacked.price, single.price, rtol=1e-9)
    assert stacked.first.keys() == single.first.keys()
    for action in stacked.first:
        assert np.allclose(stacked.first[action], single.first[action], atol=1e-12)
    assert stacked.action == single.action
    assert len(stacked.valued) == len(single.valued)
    assert sorted(float(np.sum(v.energy)) for v in stacked.valued) == pytest.approx(
        sorted(float(np.sum(v.energy)) for v in single.valued), abs=1e-10
    )


@pytest.mark.parametrize("name", ["watchers", "with another beside"])
def test_a_run_is_that_of_its_members_alone(name: str, by_member: Any) -> None:
    def run() -> Any:
        return ppl.parse(PLANS[name]).run(steps=4, episodes=2, seed=3, choose="drawn", **CARE)

    stacked, single = run(), by_member(run)
    for what in ("observations", "actions", "states", "beliefs"):
        found, wanted = getattr(stacked, what), getattr(single, what)
        assert found.keys() == wanted.keys()
        for variable in found:
            own = wanted[variable]
            assert np.allclose(found[variable], own, atol=1e-12) if what == "beliefs" else (found[variable] == own).all()
    assert np.allclose(stacked.free_energy, single.free_energy, atol=1e-12)
    assert stacked.actions["look"].shape == (2, 4, 4)
    assert (stacked.actions["look[2]"] == stacked.actions["look"][:, :, 2]).all()


def test_smoothing_and_records_are_those_of_members_alone(by_member: Any) -> None:
    seen = [["at_left", "at_left", None, "at_right"], ["at_right", "none", "at_left", "at_left"], ["at_left", "none", "none", "at_right"]]
    look = [["watch", "rest", "watch", "flip"], ["flip", "rest", "rest", "watch"]]

    def run() -> Any:
        mind = ppl.parse(WATCHERS).start(**CARE).perceive(seen=seen[0])
        for outcomes, actions in zip(seen[1:], look, strict=True):
            mind = mind.did(look=actions).perceive(seen=outcomes)
        record = ppl.parse(WATCHERS).replay({"seen": seen, "look": look}, **CARE)
        behaviour = ppl.parse(WATCHERS.replace("(sees = 2):", ":\n    sees ~ Normal(0, 2)"))
        return mind.smoothed(), record, behaviour.log_density({"seen": seen, "look": look}, sees=1.5, **CARE)

    (stacked, record, density), (single, other, wanted) = run(), by_member(run)
    for a, b in zip(stacked, single, strict=True):
        assert np.allclose(a["side"].params["p"], b["side"].params["p"], atol=1e-12)
    assert np.allclose(record.free_energy, other.free_energy, atol=1e-12)
    assert record.actions["look[1]"].tolist() == other.actions["look[1]"].tolist()
    assert density == pytest.approx(wanted, abs=1e-9)


# ------------------------------------------------------------------ a budget over many
def patches(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"r": random.uniform(0, 1, n), "V": random.gamma(1.0, 1.0, n)}


def test_expected_and_whole_tokens_keep_the_budget() -> None:
    values = patches(2048)
    plan = planned(ALLOCATION, B=150 * 2048, **values)
    spent, whole = (plan.first["tokens"] @ LEVELS).sum(), LEVELS[[int(k) for k in plan.action["tokens"]]].sum()
    assert spent == pytest.approx(150 * 2048, rel=1e-9)
    assert 0 <= 150 * 2048 - whole <= 144
    assert len(plan.parts) == 1 and plan.parts[0].part.count == 2048


def test_the_order_of_members_does_not_matter() -> None:
    values, order = patches(300), np.random.default_rng(1).permutation(300)
    plan = planned(ALLOCATION, B=40_000, **values)
    other = planned(ALLOCATION, B=40_000, **{name: value[order] for name, value in values.items()})
    assert np.allclose(plan.first["tokens"][order], other.first["tokens"], atol=1e-9)
    assert [plan.action["tokens"][k] for k in order] == other.action["tokens"]


def test_a_budget_and_levels_of_one_unit_take_the_top() -> None:
    """Levels {0, 1}, B = 200: exactly those 200 whose score is largest."""
    text = ALLOCATION.replace("0..5", "0..2").replace("k = [0, 64, 128, 256, 400]", "k = [0, 1]")
    values = patches(1024)
    plan = planned(text, B=200, **values)
    score = values["r"] * np.log1p(values["V"] / 64) / 2
    chosen = np.flatnonzero(np.array(plan.action["tokens"]) == "1")
    assert set(chosen) == set(np.argsort(score)[-200:])


def test_more_to_spend_never_costs_more_and_more_relevance_never_gets_less() -> None:
    values = patches(64)
    prices = [planned(ALLOCATION, B=b, **values).price[0] for b in (2000, 6000, 12_000, 25_000)]
    assert all(a >= b for a, b in itertools.pairwise(prices))
    before = planned(ALLOCATION, B=6000, **values).first["tokens"] @ LEVELS
    for name in values:
        more = {**values, name: values[name] * np.where(np.arange(64) == 5, 2, 1)}
        assert (planned(ALLOCATION, B=6000, **more).first["tokens"] @ LEVELS)[5] >= before[5] - 1e-9


def exact_shares(scores: np.ndarray, levels: np.ndarray, budget: int) -> np.ndarray:
    """The marginals of Π exp(score) given that the levels sum to the budget, by forward-backward over the running sum."""
    n, most = len(scores), budget + 1

    def along(order: Any) -> list[np.ndarray]:
        start = np.full(most, -np.inf)
        start[0] = 0.0
        found = [start]
        for i in order:
            steps = [np.concatenate([np.full(k, -np.inf), found[-1]])[:most] + scores[i, c] for c, k in enumerate(levels)]
            found.append(np.logaddexp.reduce(steps))
        return found

    forward, backward = along(range(n)), along(range(n)[::-1])
    shares = np.zeros_like(scores)
    for i in range(n):
        after = backward[n - 1 - i]
        for c, k in enumerate(levels):
            rest = np.arange(0, most - k)
            shares[i, c] = scores[i, c] + np.logaddexp.reduce(forward[i][rest] + after[budget - k - rest])
    return np.exp(shares - np.logaddexp.reduce(shares, axis=1, keepdims=True))


def test_the_price_is_near_the_exact_choice_of_a_given_sum() -> None:
    text = ALLOCATION.replace("0..5", "0..4").replace("k = [0, 64, 128, 256, 400]", "k = [64, 128, 256, 400]")
    values, levels = patches(200), np.array([64, 128, 256, 400])
    plan = planned(text, B=25_600, **values)
    scores = 20 * values["r"][:, None] * np.log1p(levels * values["V"][:, None] / 64) / 2
    exact = exact_shares(scores, levels // 16, 25_600 // 16)
    assert np.abs(exact - plan.first["tokens"]).max() < 0.01


def test_a_budget_below_all_the_least_is_refused_and_one_above_all_the_most_is_free() -> None:
    text = ALLOCATION.replace("0..5", "0..4").replace("k = [0, 64, 128, 256, 400]", "k = [64, 128, 256, 400]")
    with pytest.raises(ppl.AimError, match="the cheapest actions cost 640 together"):
        planned(text, B=639, **patches(10))
    assert planned(text, B=4000, **patches(10)).price[0] == 0
    trace = ppl.parse(text).run(steps=1, B=4001, **patches(10))
    assert any("more than" in warning and "price is 0" in warning for warning in cautions(trace))


# ------------------------------------------------------------------ size
def test_the_program_of_a_plate_does_not_grow_with_its_members() -> None:
    def length(n: int) -> int:
        program = ppl.parse(ALLOCATION).program(B=150 * n, **patches(n))
        with jax.enable_x64(True):
            now = (program.numbers, program.blank, program.network.done.zero, program.network.seen.blank)
            step = lambda *a: program.step(*a, program.log_preferences(np.arange(1)), first=False, rates=(1.0, 1.0))  # noqa: E731
            return len(jax.make_jaxpr(step)(*now).jaxpr.eqns)

    assert length(8) == length(512)


def test_policies_that_are_too_many_to_list_say_where_to_look() -> None:
    plan = planned(ALLOCATION, **patches(30))
    with pytest.raises(ppl.AimError, match=r"AIM0422.*the policies of 30 parts have 9\.31e\+20 combinations"):
        _ = plan.policies
    assert np.isfinite(plan.G_of_best)


# ------------------------------------------------------------------ what is not stacked
APART = {
    "reads another member": ("next side[i] ~ match look[i], side[i]:", "next side[i] ~ match look[0], side[i]:"),
    "reads a sum over members": ("shut, _ -> none", "shut, _ -> {none: 1 - sum(side[j] == left for j in N) / 8, at_left: sum(side[j] == left for j in N) / 8}"),
    "is read by one of its own": ("    for i in N:", "    observe any: {no, yes} = if side[1] == left then yes else no\n    for i in N:"),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_members_that_read_each_other_stand_by_themselves(name: str) -> None:
    old, new = APART[name]
    program = ppl.parse(WATCHERS.replace(old, new, 1).replace(", epistemic = care", "").replace("horizon = 2", "horizon = 1")).program(
        **CARE
    )
    factors = {f.variable.name: f.shape for f in program.network.states}
    assert factors["side"] == ()


def test_computed_variables_of_one_member_do_not_keep_it_from_being_stacked() -> None:
    text = WATCHERS.replace("next eye[i] = match", "awake[i] = if look[i] == rest then shut else open\n        next eye[i] = match")
    text = text.replace("match look[i]:\n            rest -> shut\n            _ -> open", "awake[i]")
    if "awake[i]\n" not in text:
        raise AssertionError(text)
    a, b = planned(text, **CARE), planned(WATCHERS, **CARE)
    assert a.parts[0].part.count == 4 and np.allclose(a.first["look"], b.first["look"], atol=1e-12)


# ------------------------------------------------------------------ weights by member
def test_a_weight_by_member_is_that_weight_of_each() -> None:
    text = WATCHERS.replace("epistemic = care", "epistemic = w, pragmatic = care").replace(
        "    input care", "    input w: real[N]\n    input care"
    )
    together = planned(text, w=[2.0, 0.0, 1.0, 0.5], **CARE)
    for k in range(4):
        one = {name: [value[k]] for name, value in {"w": [2.0, 0.0, 1.0, 0.5], **CARE}.items()}
        assert np.allclose(planned(text, **one).G, together.valued[k].energy, atol=1e-12)
    with pytest.raises(ppl.AimError, match="`epistemic` of member 1 must be 0 or positive, and is -1"):
        planned(text, w=[2.0, -1.0, 1.0, 0.5], **CARE)


# ------------------------------------------------------------------ real states
LOOKER = """
type Level = 0..5

agent looker(B = 900, sig2 = 64):
    "Where is it worth to look closely, if what is there drifts?"
    input r: real[N]
    input V: real[N]
    k = [1e-9, 64, 128, 256, 400]
    for i in N:
        state content[i]: real ~ Normal(0, var = V[i])
        state got[i]: Level = 1
        action tokens[i]: Level
        next content[i] ~ Normal(0.9 * content[i], sd = 0.3)
        next got[i] = tokens[i]
        observe look[i]: real ~ Normal(content[i], var = sig2 / k[got[i]])
        prefer content[i] ~ Normal(r[i], 1 + r[i])
    plan tokens by efe(horizon = 2, precision = 5, epistemic = r)
    subject to sum(k[tokens[i]] for i in N) <= B
"""


def test_real_members_have_the_numbers_of_each_alone(by_member: Any) -> None:
    values, seen = patches(4), {"look": [0.5, None, -1.0, 2.0]}

    def run() -> Any:
        mind = ppl.parse(LOOKER).start(**values).perceive(**seen)
        trace = ppl.parse(LOOKER).run(steps=3, episodes=2, seed=1, where={"content": [0.1, 0.2, 0.3, 0.4]}, **values)
        return mind.plan(), mind.did(tokens=[0, 3, 2, 4]).perceive(look=[1.0, 0.0, 0.5, None]).smoothed(), trace

    (plan, smoothed, trace), (single, other, wanted) = run(), by_member(run)
    assert {one.part.count for one in plan.parts} == {4}
    assert np.allclose(plan.price, single.price, rtol=1e-8)
    assert np.allclose(plan.first["tokens"], single.first["tokens"], atol=1e-10)
    for a, b in zip(smoothed, other, strict=True):
        assert np.allclose(a["content"].mean, b["content"].mean, atol=1e-12) and np.allclose(a["content"].sd, b["content"].sd, atol=1e-12)
    for what in ("observations", "states", "beliefs"):
        found, own = getattr(trace, what), getattr(wanted, what)
        name = "look" if what == "observations" else "content"
        assert np.allclose(found[name], own[name], atol=1e-10)
    assert trace.states["content"][0, 0].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert (trace.actions["tokens"] == wanted.actions["tokens"]).all()


def test_a_state_that_an_action_sets_chooses_how_well_is_seen() -> None:
    """The information of k readings of a Gaussian, ½ log(1 + k V / sig2), two steps ahead; the readings themselves by Bayes' rule."""
    text = LOOKER.replace("~ Normal(0.9 * content[i], sd = 0.3)", "= content[i]").replace(
        "        prefer content[i] ~ Normal(r[i], 1 + r[i])\n", ""
    )
    values, k = patches(3), np.array([1e-9, 64, 128, 256, 400])
    mind = ppl.parse(text).start(**values).perceive(look=[1.0, None, 3.0])
    precision = 1 / values["V"] + np.array([64, 0, 64]) / 64
    assert np.allclose(mind.beliefs["content"].sd ** -2, precision)
    assert np.allclose(mind.beliefs["content"].mean, np.array([1.0, 0, 3.0]) / precision)
    for one, valued in enumerate(mind.plan().valued):
        information = np.log1p(k / 64 / precision[one]) / 2
        assert np.allclose(valued.terms[:, 1], (information[:, None] + information).ravel(), atol=1e-12)
    after = mind.did(tokens=[4, 0, 2]).perceive(look=[1.0, 1.0, 1.0])
    assert np.allclose(after.beliefs["content"].sd ** -2, precision + np.array([400, 1e-9, 128]) / 64)


def test_relevance_and_information_make_the_price_of_the_gain_itself() -> None:
    """The weighted information of a look is the gain that the other program prefers outright."""
    text = LOOKER.replace("~ Normal(0.9 * content[i], sd = 0.3)", "= content[i]").replace(
        "        prefer content[i] ~ Normal(r[i], 1 + r[i])\n", ""
    )
    text = text.replace("horizon = 2, precision = 5", "precision = 20")
    values = patches(50)
    found, wanted = planned(text, B=5000, **values), planned(ALLOCATION, B=5000, **values)
    assert found.price == pytest.approx(wanted.price, rel=1e-8)
    assert np.allclose(found.first["tokens"], wanted.first["tokens"], atol=1e-8)


def test_members_whose_means_bend_stand_by_themselves() -> None:
    text = LOOKER.replace("0.9 * content[i]", "sin(content[i])")
    program = ppl.parse(text).program(**patches(3))
    assert [f.shape for f in program.network.truth.factors] == [()] * 6


def test_a_state_that_is_not_known_cannot_choose_how_well_is_seen() -> None:
    with pytest.raises(ppl.AimError, match="`look` is real, and changes with the discrete state `got`"):
        ppl.parse(LOOKER.replace("= 1\n", "~ Categorical([0.2, 0.2, 0.2, 0.2, 0.2])\n")).program(**patches(3))
