"""Agents and generalized blocks go through names, sets and tables."""

from __future__ import annotations

import pytest
from checking import codes, typed

AGENT = """
type Place = {centre, left, right}

agent rat(gain = 3):
    state place: Place = centre
    state side: {left_good, right_good} ~ Categorical([0.5, 0.5])
    action go: Place
    for s in {left_good, right_good}: A[s] ~ Dirichlet(ones(2))

    next place = match place:
        left | right -> place
        _ -> go
    next side = side

    observe seen: Place = place
    observe food: {none, some} ~ match place, side:
        left, left_good -> {some: 0.9, none: 0.1}
        right, right_good -> {some: 0.9, none: 0.1}
        _, _ -> none
    observe smell: {weak, strong} ~ Categorical(A[side])

    prefer food ~ softmax({some: gain, none: -gain * t})
    habit policy ~ {[left, left]: 0.5, [centre, right]: 0.5}
    plan go by efe(horizon = 2, precision = 16, sophisticated = true)
"""

CHANGES = [
    ("gain * t})", "gain * side})", "AIM0117"),
    ("[left, left]: 0.5", "left: 0.5", "AIM0404"),
    ("    plan go", "    plan go by efe(horizon = 1)\n    plan go", "AIM0402"),
    ("horizon = 2", "horizon = 2, policies = 3", "AIM0405"),
    ("horizon = 2", "horizon = 2, policies = [[left, rihgt]]", "AIM0110"),
    ("left | right -> place", "left | rihgt -> place", "AIM0110"),
    ("_ -> go", "centre -> hop", "AIM0104"),
    ("        _ -> go\n", "", "AIM0212"),
    ("next side = side", "next side = place", "AIM0203"),
    ("next side = side", "next sides = side", "AIM0407"),
    ("    next side = side\n", "", "AIM0401"),
    ("{some: 0.9, none: 0.1}\n        right,", "{some: 0.9}\n        right,", "AIM0307"),
    ("state place: Place = centre", "state place: Place = left_good", "AIM0203"),
    ("state place: Place = centre", "state place: Place ~ Categorical([0.5, 0.5])", "AIM0203"),
    ("observe seen: Place = place", "observe seen: Place = go", "AIM0117"),
    ("observe seen: Place = place", "observe seen: Plaec = place", "AIM0203"),
    ("Categorical(A[side])", "Categorical(A[place])", "AIM0203"),
    ("prefer food ~ softmax({some:", "prefer food ~ softmax({most:", "AIM0110"),
    ("prefer food", "prefer go", "AIM0403"),
    ("[left, left]: 0.5", "[left, left]: 0.6", "AIM0307"),
    ("[left, left]", "[left, laft]", "AIM0110"),
    ("habit policy", "habit place", "AIM0404"),
    ("plan go by efe", "plan place by efe", "AIM0402"),
    ("plan go by efe", "plan go by eef", "AIM0405"),
    ("horizon = 2", "horizon = 0", "AIM0405"),
    ("horizon = 2", "horizn = 2", "AIM0405"),
    ("sophisticated = true", "sophisticated = 2", "AIM0405"),
]


def test_a_whole_agent_is_typed() -> None:
    model = typed(AGENT).models["rat"]
    assert model.agent is not None and model.agent.planning is not None and model.agent.habit is not None
    assert model.agent.roles == {
        "place": "state", "side": "state", "go": "action", "seen": "outcome", "food": "outcome", "smell": "outcome",
    }  # fmt: skip
    said = [(s.role, s.variable) for s in model.agent.statements]
    assert said == [
        ("initial", "place"), ("initial", "side"), ("next", "place"), ("next", "side"),
        ("observe", "seen"), ("observe", "food"), ("observe", "smell"), ("prefer", "food"),
    ]  # fmt: skip
    assert model.agent.planning.actions == ("go",)
    assert [entry.actions for entry in model.agent.habit] == [(1, 1), (0, 2)]


@pytest.mark.parametrize(("old", "new", "code"), CHANGES)
def test_a_mistake_in_an_agent(old: str, new: str, code: str) -> None:
    assert old in AGENT
    assert code in codes(AGENT.replace(old, new))


def test_states_may_be_real_and_plated() -> None:
    text = """
agent reach(B = 2):
    Q = 0.1 * eye(2)
    state x: real[2] ~ MvNormal(zeros(2), cov = eye(2))
    action a: real[2]
    next x ~ MvNormal(x + a, cov = Q)
    observe y: real ~ Normal(x[0], 1)
    prefer y ~ Normal(1, 0.1)
    for k in K:
        state m[k]: real = 0
        action spend[k]: real
        next m[k] = m[k] - spend[k]
    plan a, spend by efe(horizon = 3)
    subject to sum(spend) <= B
"""
    assert codes(text) == []


MOTION = """
model m:
    k ~ Gamma(2, 1)
    input u: real[T]
    generalized t in T (dt = 0.1, order = 3, smoothness = 0.5):
        state x: real = 1
        state v: real[2]
        action a: real
        x'' ~ Normal(-k * x - 0.2 * x' + u[t], precision = 16)
        v' ~ MvNormal([v[1], -v[0]], precision = eye(2))
        y ~ Normal(x, precision = 64)
        world:
            state p: real = 0
            p' = a - p
            y ~ Normal(p, precision = 64)
    late = y[0] - x[1]
"""


def test_a_generalized_block_is_kept_with_its_statements() -> None:
    model = typed(MOTION).models["m"]
    motion = model.motion
    assert motion is not None and motion.world is not None
    assert motion.part.states == ("x", "v") and motion.actions == ("a",) and motion.scheme == "mode"
    assert [(s.variable, s.order) for s in motion.part.statements] == [("x", 2), ("v", 1), ("y", 0)]
    assert [s.variable for s in motion.part.starts] == ["x"] and set(motion.world.variables) == {"p", "y"}
    assert {name: len(v.type.axes) for name, v in model.variables.items()} == {"k": 0, "u": 1, "x": 1, "v": 2, "a": 1, "y": 1, "late": 0}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("order = 3", "order = 1", "AIM0113"),
        ("order = 3", "ordre = 3", "AIM0221"),
        ("dt = 0.1", "dt = 0", "AIM0221"),
        ("0.2 * x'", "0.2 * y'", "AIM0104"),
        ("v' ~ MvNormal([v[1], -v[0]], precision = eye(2))", "v' ~ Normal(0, 1)", "AIM0215"),
        ("x'' ~", "z'' ~", "AIM0104"),
        ("v' ~ MvNormal([v[1], -v[0]], precision = eye(2))", "", "AIM0223"),
        ("order = 3", "order = 3, order_causes = 4", "AIM0224"),
        ("order = 3", "order = 3, order_observed = 4", "AIM0224"),
        ("y ~ Normal(x, precision = 64)\n        world", "y ~ StudentT(4, x, 1)\n        world", "AIM0225"),
        ("y ~ Normal(x, precision = 64)\n        world", "y ~ Normal(x, precision = exp(x))\n        world", "AIM0225"),
        ("u[t]", "u[T - 1 - t]", "AIM0225"),
        ("x'' ~ Normal(-k * x - 0.2 * x' + u[t], precision = 16)", "x'' = -k * x", "AIM0225"),
        ("t in T (", "t in 1..T (", "AIM0226"),
        ("model m:", "agent m:", "AIM0226"),
        ("y ~ Normal(x, precision = 64)\n        world", "y ~ Normal(z, precision = 64)\n        world", "AIM0104"),
        ("p' = a - p", "p' = a - v[0]", "AIM0117"),
        ("late = y[0] - x[1]", "late = x'", "AIM0113"),
        ("+ u[t]", "+ u[t] + a", "AIM0240"),
        ("            y ~ Normal(p, precision = 64)\n", "", "AIM0241"),
        ("p: real = 0", "p: real", "AIM0242"),
        ("state p: real = 0\n            p' = a - p", "state v: real = 0\n            v' = a", "AIM0243"),
    ],
)
def test_a_mistake_in_a_generalized_block(old: str, new: str, code: str) -> None:
    assert old in MOTION
    assert code in codes(MOTION.replace(old, new))
