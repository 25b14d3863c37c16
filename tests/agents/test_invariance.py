"""What must not matter: names, orders, sensors that tell nothing; and what one step learns."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import binom, entropy

import ppl
from ppl.agents.report import cautions
from tests.agents.drawn import draw
from tests.agents.test_enumeration import assert_equal, happenings
from tests.agents.test_minds import START, TMAZE

FLAT = TMAZE.replace("precision = 16, sophisticated = true", "precision = 1")
CUED = {"seen": "cue", "hint": "says_left", "outcome": "nothing"}


def energies(text: str, start: dict[str, str], cued: dict[str, str], names: dict[str, str], go: str = "go") -> dict:
    """G, information and probability by policy, before and after the cue, by the names of the original."""
    mind, found = ppl.parse(text).start().perceive(**start), {}
    for t in range(2):
        plan = mind.plan()
        for policy, *values in zip(plan.policies, plan.G, plan.epistemic, plan.probabilities, strict=True):
            found[t, *(names.get(a, a) for a in policy)] = np.array([*values, mind.free_energy])
        mind = mind.perceive(**{go: next(k for k in (*names, "cue") if names.get(k, k) == "cue")}, **cued)
    return found


def test_renaming_and_reordering_change_nothing() -> None:
    original = energies(FLAT, START, CUED, {})
    names = {"centre": "hall", "cue": "sign", "place": "spot", "go": "walk", "says_left": "points_left"}
    other = re.sub(r"\b(centre|cue|place|go|says_left)\b", lambda found: names[found.group()], FLAT)
    other = other.replace("{hall, left, right, sign}", "{sign, right, left, hall}").replace(
        "{none, points_left, says_right}", "{says_right, none, points_left}"
    )
    state, side = (line for line in other.splitlines() if line.strip().startswith("state"))
    other = other.replace(state, "#").replace(side, f"{side}\n{state}")
    lines = other.splitlines()
    seen = next(k for k, line in enumerate(lines) if "observe seen" in line)
    lines.append(lines.pop(seen).replace("\n", ""))  # the outcome that was first is last
    back = {new: old for old, new in names.items()}
    found = energies(
        "\n".join(lines) + "\n", START | {"seen": "hall"}, {"seen": "sign", "hint": "points_left", "outcome": "nothing"}, back, "walk"
    )
    assert found.keys() == original.keys()
    for key, values in original.items():
        assert np.allclose(found[key], values, atol=1e-12), key


def test_a_sensor_that_tells_nothing_adds_no_information() -> None:
    useless = FLAT.replace("    prefer", "    observe coin: {heads, tails} ~ {heads: 0.3, tails: 0.7}\n    prefer")
    one, other = (ppl.parse(text).start().perceive(**START).plan() for text in (FLAT, useless))
    assert np.allclose(one.epistemic, other.epistemic, atol=1e-12) and np.allclose(one.G, other.G, atol=1e-12)
    entropy = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert np.allclose(other.ambiguity - one.ambiguity, 2 * entropy, atol=1e-12)
    assert np.allclose(other.risk - one.risk, -2 * entropy, atol=1e-12)


def test_a_second_look_of_the_same_sensor_tells_less_than_the_first() -> None:
    """Joint information: two copies of a sensor tell less than twice one, and two of a perfect one as much as one."""
    copy = FLAT.replace(
        "    prefer", FLAT[FLAT.index("    observe hint") : FLAT.index("    observe outcome")].replace("hint", "again") + "    prefer"
    )
    gains = [ppl.parse(text).start(validity=v).perceive(**START).plan().epistemic for text in (FLAT, copy) for v in (0.9, 1)]
    noisy, perfect, noisy_twice, perfect_twice = gains
    assert np.allclose(perfect, perfect_twice, atol=1e-12)
    cue = noisy_twice > noisy + 1e-9
    assert cue.any() and np.all(noisy_twice <= 2 * noisy + 1e-12)


LEARNERS = [seed for seed in range(40) if draw(seed, horizon=1).pomdp.counts][:4]


@pytest.mark.parametrize("seed", LEARNERS)
def test_counts_grow_by_what_was_read_and_fade_by_the_forgetting(seed: int) -> None:
    drawn = draw(seed, horizon=1)
    p, (seen, done) = drawn.pomdp, happenings(drawn, 3, seed)
    mind = ppl.parse(drawn.text).start(learning_rate=0.7, forgetting=0.9, **drawn.inputs)
    for t, (_, free_energy, counts) in enumerate(p.learned(seen, done, rate=0.7, keep=0.9)):
        mind = mind.perceive(**drawn.words(p.outcomes, seen[t]))
        assert mind.free_energy == pytest.approx(free_energy, abs=1e-9)
        for name, wanted in counts.items():
            assert_equal(np.asarray(mind.memory.learnt[name]), wanted, name)
        mind = mind.did(**drawn.words(p.actions, done[t]))


MANY = """
agent crowd(K: size = 30):
    state s: {x, y} ~ {x: 0.5, y: 0.5}
    action u: {l}
    next s = s
    input p: real[K]
    for k in K: observe o[k]: {no, yes} ~ match s:
        x -> {yes: p[k], no: 1 - p[k]}
        y -> {yes: 0.5, no: 0.5}
    plan u by efe(horizon = 1)
"""


def test_of_many_equal_sensors_the_number_that_says_yes_tells_all() -> None:
    plan = ppl.parse(MANY).start(p=np.full(30, 0.6)).plan()
    counts = np.stack([binom.pmf(np.arange(31), 30, p) for p in (0.6, 0.5)])
    information = entropy(counts.mean(axis=0)) - entropy(counts, axis=1).mean()
    assert plan.epistemic == pytest.approx([information], abs=1e-9)


def test_many_different_sensors_are_taken_in_groups_with_a_caution() -> None:
    trace = ppl.parse(MANY).run(steps=1, p=np.linspace(0.3, 0.7, 30))
    assert any("too many joint outcomes" in text for text in cautions(trace))
