"""Beliefs that are taken apart: a bound on the evidence that sweeps never loosen, exact where the posterior factorises, and planning
with products of beliefs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import ppl
from ppl.agents import clusters, perception
from tests.agents.drawn import draw
from tests.agents.test_enumeration import assert_equal, check_plan, happenings


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every state by itself."""
    monkeypatch.setattr(clusters.lay_out, "__kwdefaults__", {"most": 1, "whole_parts": False})
    yield


SEVERAL = [seed for seed in range(40) if len(draw(seed, horizon=1, learnt=False).pomdp.states) > 1]


@pytest.mark.parametrize("seed", SEVERAL[:5])
def test_the_free_energy_bounds_the_evidence_and_never_rises(seed: int, apart: None, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw(seed, horizon=1, learnt=False)
    p = drawn.pomdp
    (seen, *_), _ = happenings(drawn, 1, seed)
    start = p.loosened(p.beginning(p.counts))
    evidence = start @ p.likelihood(seen, p.counts)
    values = []
    for sweeps in (1, 2, 3, 200):
        monkeypatch.setattr(perception, "MOST_SWEEPS", sweeps)
        mind = ppl.parse(drawn.text).start(**drawn.inputs).perceive(**drawn.words(p.outcomes, seen))
        values.append(mind.free_energy)
        q = np.array([np.prod([mind.beliefs[n].params["p"][s[n]] for n in p.states]) for s in p.places(p.states)])
        joint, inside = start * p.likelihood(seen, p.counts), q > 1e-12
        assert values[-1] == pytest.approx(np.sum(q[inside] * np.log(q[inside] / np.maximum(joint[inside], 1e-300))), abs=1e-6)
    assert all(later <= before + 1e-9 for before, later in pairwise(values))
    assert values[-1] >= -np.log(evidence) - 1e-9


@pytest.mark.parametrize("seed", SEVERAL[5:8])
def test_planning_with_products_of_beliefs(seed: int, apart: None) -> None:
    drawn = draw(seed, horizon=2, learnt=False)
    p = replace(drawn.pomdp, independent=True)
    mind = ppl.parse(drawn.text).start(**drawn.inputs).perceive()
    belief = p.loosened(p.beginning(p.counts))
    for name in p.states:
        assert_equal(mind.beliefs[name].params["p"], p.marginal(belief, name), name)
    check_plan(mind.plan(), p.values(belief), p, p.every_policy())


SENSORS = """
agent sensors:
    state s: {a, b} ~ {a: 0.3, b: 0.7}
    state r: {c, d, e} ~ {c: 0.2, d: 0.5, e: 0.3}
    next s ~ match r:
        c -> s
        _ -> {a: 0.4, b: 0.6}
    next r = r
    observe x: {yes, no} ~ match s:
        a -> {yes: 0.9, no: 0.1}
        b -> {yes: 0.2, no: 0.8}
    observe y: {yes, no} ~ match r:
        c -> {yes: 0.6, no: 0.4}
        _ -> no
"""


def test_it_is_exact_where_the_posterior_factorises(apart: None, monkeypatch: pytest.MonkeyPatch) -> None:
    loose = ppl.parse(SENSORS).start().perceive(x="yes", y="no")
    monkeypatch.undo()
    exact = ppl.parse(SENSORS).start().perceive(x="yes", y="no")
    assert len(loose.memory.beliefs[0]) == 2 and len(exact.memory.beliefs[0]) == 1
    assert loose.free_energy == pytest.approx(exact.free_energy, abs=1e-10)
    for name in ("s", "r"):
        assert np.allclose(loose.beliefs[name].params["p"], exact.beliefs[name].params["p"], atol=1e-10)


IMPOSSIBLE = """
agent pair:
    state s: {a, b} ~ {a: 0.5, b: 0.5}
    state r: {c, d} ~ {c: 0.5, d: 0.5}
    next s = s
    next r = r
    observe same: {yes, no, never} ~ match s, r:
        a, c -> yes
        b, d -> yes
        _, _ -> no
"""


def test_what_cannot_happen_is_an_error_here_too(apart: None) -> None:
    with pytest.raises(ppl.AimError, match="AIM0805"):
        ppl.parse(IMPOSSIBLE).start().perceive(same="never")


def test_a_tie_between_two_answers_is_broken(apart: None) -> None:
    """Both are the same, whichever: half of the prior in two ways. Between them the likelihood would be 0."""
    mind = ppl.parse(IMPOSSIBLE).start().perceive(same="yes")
    s, r = (mind.beliefs[n].params["p"] for n in ("s", "r"))
    assert np.allclose(s, r, atol=1e-9) and np.allclose(np.sort(s), [0, 1], atol=1e-9)
    assert mind.free_energy == pytest.approx(np.log(4), abs=1e-9)
