"""What a program may say, against the tables that it means: plates, numbered members, computed values, inputs, learnt probabilities."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from tests.reference.active_inference import Pomdp, Statement

WALKERS = """
type Cell = 1..4
type Move = {back, stay, on}

agent walkers(far: real, N: size = 2):
    input reach: real[N, 3]
    input sharp: real[N]
    for k in N: state m[k]: Cell ~ Categorical(normalize(reach[k]))
    for k in N: action go[k]: Move
    for k in N: ahead[k] = min(m[k] + 1, 3)
    for k in N: next m[k] = match go[k]:
        back -> max(m[k] - 1, 1)
        stay -> m[k]
        on   -> ahead[k]
    for k in N: observe seen[k]: {low, high} ~ match m[k]:
        1     -> {low: sharp[k], high: 1 - sharp[k]}
        2 | 3 -> {low: far, high: 1 - far}
    observe same: {no, yes} = if m[0] == m[1] then yes else no
    for k in N: prefer seen[k] ~ softmax({low: 0, high: 0.5 * t})
    plan go by efe(horizon = 2, precision = 1)
"""


def walkers(reach: np.ndarray, sharp: np.ndarray, far: float) -> Pomdp:
    move = np.array([[[max(m - 1, 0), m, min(m + 1, 2)][u] == np.arange(3) for u in range(3)] for m in range(3)]) * 1.0
    sees = [np.array([[s, 1 - s], [far, 1 - far], [far, 1 - far]]) for s in sharp]
    names = ["m[0]", "m[1]"]
    observations = {f"seen[{k}]": Statement((names[k],), sees[k]) for k in range(2)}
    observations["same"] = Statement(tuple(names), np.stack([1 - np.eye(3), np.eye(3)], axis=-1))
    wish = lambda t: np.array([1, np.exp(0.5 * t)]) / (1 + np.exp(0.5 * t))  # noqa: E731
    return Pomdp(
        dict.fromkeys(names, 3),
        {"go[0]": 3, "go[1]": 3},
        {"seen[0]": 2, "seen[1]": 2, "same": 2},
        {n: Statement((), r / r.sum()) for n, r in zip(names, reach, strict=True)},
        {n: Statement((n, f"go[{k}]"), move) for k, n in enumerate(names)},
        observations,
        preferences={"seen[0]": wish, "seen[1]": wish},
        horizon=2,
        precision=1.0,
    )


def test_plates_numbered_members_and_computed_values() -> None:
    reach, sharp, far = np.array([[1.0, 2, 3], [2, 2, 1]]), np.array([0.8, 0.6]), 0.3
    p = walkers(reach, sharp, far)
    mind = ppl.parse(WALKERS).start(reach=reach, sharp=sharp, far=far).perceive(seen=["low", "high"], same="no")
    seen = {"seen[0]": 0, "seen[1]": 1, "same": 0}
    ((belief, free_energy, _),) = p.learned([seen], [])
    assert mind.free_energy == pytest.approx(free_energy, abs=1e-12)
    assert np.allclose(mind.beliefs["m"].params["p"], [p.marginal(belief, n) for n in p.states], atol=1e-12)
    plan, values = mind.plan(), p.values(belief)
    place = lambda step: p.place_of(p.actions, {n: ("back", "stay", "on").index(step[n]) for n in p.actions})  # noqa: E731
    order = [p.every_policy().index(tuple(map(place, policy))) for policy in plan.policies]
    for name in ("pragmatic", "epistemic", "ambiguity", "risk", "G", "probabilities"):
        assert np.allclose(getattr(plan, name), getattr(values, name)[order], atol=1e-10), name
    moved = mind.did(**{"go[0]": "on", "go[1]": "back"}).perceive(**{"seen[0]": "high", "same": "no"})
    (_, _, _), (belief, free_energy, _) = p.learned([seen, {"seen[0]": 1, "same": 0}], [{"go[0]": 2, "go[1]": 0}])
    assert moved.free_energy == pytest.approx(free_energy, abs=1e-12)
    assert np.allclose(moved.beliefs["m"].params["p"], [p.marginal(belief, n) for n in p.states], atol=1e-12)
    whole = mind.did(go=["on", "back"]).perceive(seen=["high", None], same="no")
    assert whole.free_energy == pytest.approx(free_energy, abs=1e-12)


COINS = """
type Coin = {left, right}

agent tosser:
    state coin: Coin ~ {left: 0.5, right: 0.5}
    action pick: Coin
    next coin = pick
    for c in Coin: p[c] ~ Beta(a[c], 2)
    input a: real[Coin]
    observe face: {tails, heads} ~ Bernoulli(p[coin])
    prefer face ~ {tails: 0.2, heads: 0.8}
    plan pick by efe(horizon = 1, precision = 1)
"""


def test_probabilities_that_are_learnt_are_rows_of_two() -> None:
    counts = np.array([[2.0, 0.5], [2.0, 3.0]])  # of tails and heads
    p = Pomdp(
        {"coin": 2},
        {"pick": 2},
        {"face": 2},
        {"coin": Statement((), np.array([0.5, 0.5]))},
        {"coin": Statement(("pick",), np.eye(2))},
        {"face": Statement(("coin",), np.zeros((2, 2)), "p", np.arange(2))},
        {"p": counts},
        {"face": lambda t: np.array([0.2, 0.8])},
        precision=1.0,
    )
    mind = ppl.parse(COINS).start(a=[0.5, 3.0])
    (_, first, _), (belief, second, after) = p.learned([{"face": 1}, {"face": 0}], [{"pick": 0}])
    mind = mind.perceive(face="heads")
    assert mind.free_energy == pytest.approx(first, abs=1e-12)
    mind = mind.did(pick="left").perceive(face="tails")
    assert mind.free_energy == pytest.approx(second, abs=1e-12)
    assert np.allclose(mind.beliefs["p"].params["a"], after["p"][:, 1]) and np.allclose(mind.beliefs["p"].params["b"], after["p"][:, 0])
    plan, values = mind.plan(), p.values(belief, 1, after)
    for name in ("pragmatic", "epistemic", "novelty", "ambiguity", "G", "probabilities"):
        assert np.allclose(getattr(plan, name), getattr(values, name), atol=1e-12), name


MIXED = """
agent doubter:
    state s: {a, b, c} ~ {a: 0.2, b: 0.3, c: 0.5}
    action u: {x, y}
    next s = s
    A ~ Dirichlet([1, 2])
    for k in {x, y}: B[k] ~ Dirichlet([0.5, 0.5])
    observe o: {h, t} ~ match s:
        a -> Categorical(A)
        b -> {h: 0.9, t: 0.1}
        c -> Categorical(A)
    plan u by efe(horizon = 1)
"""


def test_a_row_that_stands_in_several_places_is_learnt_from_all_of_them() -> None:
    mind = ppl.parse(MIXED.replace("    for k in {x, y}: B[k] ~ Dirichlet([0.5, 0.5])\n", "")).start().perceive(o="h")
    chances = np.array([0.2 / 3, 0.3 * 0.9, 0.5 / 3])
    posterior = chances / chances.sum()
    assert np.allclose(mind.beliefs["s"].params["p"], posterior)
    assert np.allclose(mind.beliefs["A"].params["concentration"], [1 + posterior[0] + posterior[2], 2])


NOTHING_SEEN = """
agent blind:
    state s: {x, y} ~ {x: 0.3, y: 0.7}
    action u: {l, r}
    next s ~ match u:
        l -> {x: 0.9, y: 0.1}
        r -> s
    prefer s ~ {x: 0.9, y: 0.1}
    plan u by efe(horizon = 3, precision = 1)
"""


def test_an_agent_that_sees_nothing_plans_by_what_it_prefers_of_states() -> None:
    plan = ppl.parse(NOTHING_SEEN).start().perceive().plan()
    worth = lambda p: p * np.log(0.9) + (1 - p) * np.log(0.1)  # noqa: E731
    for policy, energy in zip(plan.policies, plan.G, strict=True):
        moved = [0.9 if "l" in policy[: k + 1] else 0.3 for k in range(3)]
        assert energy == pytest.approx(-sum(map(worth, moved)), abs=1e-12)
    assert np.all(plan.epistemic == 0) and np.all(plan.ambiguity == 0)


NO_STATES = """
agent sleeper:
    action u: {l, r}
    observe o: {a, b} ~ {a: 0.9, b: 0.1}
    prefer o ~ {a: 0.5, b: 0.5}
    habit u ~ {l: 0.25, r: 0.75}
    plan u by efe(horizon = 2, sophisticated = false)
"""


@pytest.mark.parametrize("sophisticated", ["true", "false"])
def test_what_an_action_does_not_reach_is_left_to_the_habit(sophisticated: str) -> None:
    text = NO_STATES.replace("false", sophisticated)
    for program in (text, text.replace("    action", "    state s: {p} = p\n    next s = s\n    action")):
        plan = ppl.parse(program).start().perceive(o="a").plan()
        assert np.allclose(plan.G, 2 * np.log(2), atol=1e-12)
        assert np.allclose(plan.risk + plan.ambiguity, plan.G, atol=1e-12)
        assert plan.action == {"u": "r"} and len(plan.policies) == len(plan.G)
        assert np.allclose(plan.first["u"], [0.25, 0.75], atol=1e-12)
        assert ppl.parse(program).run(steps=2).G.shape == (2, len(plan.G))


def test_nothing_of_a_later_step_is_left_without_a_discount() -> None:
    text = NOTHING_SEEN.replace("{x: 0.9, y: 0.1}\n    plan", "{x: 1}\n    plan").replace("precision = 1", "precision = 1, discount = 0")
    text = text.replace("l -> {x: 0.9, y: 0.1}", "l -> x")
    plan = ppl.parse(text).start().perceive().plan()
    assert [np.isinf(energy) for energy in plan.G] == [policy[0] == "r" for policy in plan.policies]
    assert all(energy == 0 for energy, policy in zip(plan.G, plan.policies, strict=True) if policy[0] == "l")
    assert plan.probabilities[4:].sum() == 0
