"""What a program, a record or a call can say that others took in silence: each is an error that says where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl

AGENT = """
agent a:
    state s: {x, y} ~ Categorical([0.5, 0.5])
    action u: {go, halt}
    next s ~ match u:
        go -> {x: 0.2, y: 0.8}
        halt -> s
    observe o: {a, b} ~ match s:
        x -> {a: 0.9, b: 0.1}
        y -> {a: 0.3, b: 0.7}
    prefer o ~ {a: 0.9, b: 0.1}
    plan u by efe(horizon = 2, precision = 1)
"""
D, C = "Categorical([0.5, 0.5])", "prefer o ~ {a: 0.9, b: 0.1}"
A = AGENT[AGENT.index("~ match s:") : AGENT.index("    prefer")]
NEXT = AGENT[AGENT.index("    next") : AGENT.index("    observe")]


def changed(*edits: tuple[str, str]) -> str:
    text = AGENT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


def given(size: str, old: str, new: str) -> str:
    return changed(("agent a:", f"agent a:\n    input v: {size}"), (old, new))


def learnt(statement: str, *edits: tuple[str, str]) -> str:
    return changed(("agent a:", f"agent a:\n    {statement}"), *edits)


def numbered(following: str, seen: str) -> str:
    """The agent with two numbered states."""
    beginning = ("\nagent a:", "\ntype R = 0..2\n\nagent a:\n    input v: real[2, 2]")
    return changed(beginning, ("{x, y} ~ Categorical([0.5, 0.5])", "R = 0"), (NEXT, f"    next s = {following}\n"), (A, seen))


BELIEF = given("real[2]", D, "Categorical(v)")
PROGRAMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a belief that does not sum to 1": ("AIM0307", BELIEF, {"v": [5, 1]}),
    "a belief of zeros": ("AIM0409", BELIEF, {"v": [0, 0]}),
    "a negative belief": ("AIM0307", BELIEF, {"v": [1.5, -0.5]}),
    "a belief that is missing": ("AIM0612", BELIEF, {"v": [np.nan, 0.5]}),
    "a belief of another length": ("AIM0203", given("real[3]", D, "Categorical(v)"), {"v": [0.2, 0.3, 0.5]}),
    "a preference of length 1": ("AIM0203", given("real[K]", C, "prefer o ~ Categorical(logits = v)"), {"v": [0.2]}),
    "a preference of another length": ("AIM0203", given("real[K]", C, "prefer o ~ Categorical(v)"), {"v": [0.2, 0.3, 0.5]}),
    "a preference that does not sum to 1": ("AIM0307", given("real[2]", C, "prefer o ~ Categorical(v)"), {"v": [0.2, 0.3]}),
    "a preference for fewer steps than are planned": (
        "AIM0307",
        given("real[2, 2]", C, "prefer o ~ Categorical(v[t])"),
        {"v": np.full((2, 2), 0.5)},
    ),
    "an outcome table of other sizes": ("AIM0203", given("real[J, K]", A, "~ Categorical(v[s])\n"), {"v": np.full((2, 3), 1 / 3)}),
    "an index below its axis": ("AIM0307", numbered("s", "~ Categorical(v[s - 1])\n"), {"v": np.full((2, 2), 0.5)}),
    "an index beyond its axis": ("AIM0307", numbered("s", "~ Categorical(v[s + 1])\n"), {"v": np.full((2, 2), 0.5)}),
    "a habit that does not sum to 1": ("AIM0307", given("real[2]", "    plan", "    habit u ~ Categorical(v)\n    plan"), {"v": [2, 1]}),
    "a preference to be learnt": ("AIM0412", learnt("W ~ Dirichlet([1, 1])", (C, "prefer o ~ Categorical(W)")), {}),
    "a habit to be learnt": ("AIM0412", learnt("W ~ Dirichlet([1, 1])", ("    plan", "    habit u ~ Categorical(W)\n    plan")), {}),
    "a weight to be learnt": ("AIM0412", learnt("w ~ Beta(1, 1)", ("precision = 1", "discount = w")), {}),
    "a precision that is computed from a latent one": ("AIM0412", learnt("g ~ Gamma(1, 1)", ("precision = 1", "precision = 2 * g")), {}),
    "a transition to be learnt without a prior": ("AIM0104", changed((NEXT, "    next s ~ Categorical(W[s, u])\n")), {}),
    "counts that are 0": (
        "AIM0618",
        given("real[2]", f"state s: {{x, y}} ~ {D}", "W ~ Dirichlet(v)\n    state s: {x, y} ~ Categorical(W)"),
        {"v": [0, 1]},
    ),
    "a transition out of its set": ("AIM0409", numbered("s + 1", "~ {a: 0.9, b: 0.1}\n"), {"v": np.eye(2)}),
    "two preferences": ("AIM0410", changed(("    plan", "    prefer o ~ {a: 0.5, b: 0.5}\n    plan")), {}),
    "two habits": ("AIM0410", changed(("    plan", "    habit u ~ {go: 1}\n    habit u ~ {halt: 1}\n    plan")), {}),
    "an action that the plan leaves out": ("AIM0402", changed(("    next", "    action w: {l, r}\n    next")), {}),
    "policies of a sophisticated plan": ("AIM0405", changed(("precision = 1", "sophisticated = true, policies = [[go, go]]")), {}),
    "a horizon that is no whole number": ("AIM0405", changed(("agent a:", "agent a(h):"), ("horizon = 2", "horizon = h")), {"h": 2.5}),
    "a discount below 0": ("AIM0405", changed(("agent a:", "agent a(h):"), ("precision = 1", "discount = h")), {"h": -1}),
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_program_that_cannot_be_meant(what: str) -> None:
    code, text, values = PROGRAMS[what]
    with pytest.raises(ppl.AimError) as raised:
        ppl.parse(text).start(**values).perceive(o="a").plan()
    assert code in [d.code for d in raised.value.diagnostics], str(raised.value)


RECORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "an outcome beyond its members": ("AIM0614", {"o": ["a", 2], "u": ["go"]}),
    "an outcome before its members": ("AIM0614", {"o": ["a", -1], "u": ["go"]}),
    "an outcome that is no member": ("AIM0614", {"o": ["a", "c"], "u": ["go"]}),
    "an action that is no member": ("AIM0614", {"o": ["a", "b"], "u": ["stop"]}),
    "an action after the end": ("AIM0413", {"o": ["a"], "u": ["go", "go"]}),
    "a name that is not there": ("AIM0605", {"o": ["a"], "w": ["go"]}),
    "no outcome": ("AIM0413", {"u": ["go"]}),
    "no step": ("AIM0413", {"o": []}),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_that_does_not_fit(what: str) -> None:
    code, record = RECORDS[what]
    with pytest.raises(ppl.AimError) as raised:
        ppl.parse(AGENT).replay(**record)
    assert [d.code for d in raised.value.diagnostics] == [code], str(raised.value)


CERTAIN = AGENT.replace("{a: 0.9, b: 0.1}\n        y -> {a: 0.3, b: 0.7}", "a\n        y -> b")
CALLS: dict[str, tuple[str, Any]] = {
    "an action before anything was seen": ("AIM0414", lambda: ppl.parse(AGENT).start().did(u="go")),
    "the same beside the first outcome": ("AIM0414", lambda: ppl.parse(AGENT).start().perceive(u="go", o="a")),
    "an outcome that cannot happen": ("AIM0805", lambda: ppl.parse(CERTAIN.replace(D, "{x: 1}")).start().perceive(o="b")),
    "the same in a record": ("AIM0805", lambda: ppl.parse(CERTAIN.replace(D, "{x: 1}")).replay(o=["a", "b"], u=["halt"])),
    "acting without a plan": ("AIM0414", lambda: ppl.parse(AGENT[: AGENT.index("    plan")]).run(steps=2)),
    "unlearning": ("AIM0122", lambda: ppl.parse(AGENT).start(learning_rate=-1)),
    "forgetting more than all": ("AIM0122", lambda: ppl.parse(AGENT).run(steps=1, forgetting=1.5)),
    "a beginning that is no member": ("AIM0614", lambda: ppl.parse(AGENT).run(steps=1, where={"s": "z"})),
    "no steps": ("AIM0122", lambda: ppl.parse(AGENT).run(steps=0)),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_cannot_be_meant(what: str) -> None:
    code, call = CALLS[what]
    with pytest.raises(ppl.AimError) as raised:
        call()
    assert [d.code for d in raised.value.diagnostics] == [code], str(raised.value)


PLATES = """
agent a(K: size = 2):
    for k in K: state m[k]: {x, y} ~ {x: 0.5, y: 0.5}
    for k in K: next m[k] = m[k]
    for k in K: observe o[k]: {x, y} = m[k]
"""


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("for k in K: next m[k] = m[k]", "next m[0] = m[0]", "AIM0401"),
        ("    for k in K: observe", "    next m[1] = m[0]\n    for k in K: observe", "AIM0410"),
        (
            "    for k in K: observe",
            "    prefer m[0] ~ {x: 1}\n    for k in K: prefer m[k] ~ {y: 1}\n    action u: {l}\n    plan u by efe(horizon = 1)\n    for k in K: observe",
            "AIM0410",
        ),
    ],
)
def test_each_member_of_a_plate_is_spoken_of_once(old: str, new: str, code: str) -> None:
    with pytest.raises(ppl.AimError) as raised:
        ppl.parse(PLATES.replace(old, new)).start().perceive(o=["x", "y"]).plan()
    assert [d.code for d in raised.value.diagnostics] == [code], str(raised.value)
