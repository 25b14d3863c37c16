"""Random small agents against brute force: beliefs, free energies, expected free energies by term, foresight."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
import pytest

import ppl
from ppl.agents.mind import Mind
from ppl.agents.policy_plan import PolicyPlan
from tests.agents.drawn import Drawn, draw
from tests.reference.active_inference import Pomdp, Values

TERMS = ("pragmatic", "epistemic", "novelty", "ambiguity", "G", "probabilities")
FORESEEN = [4, 12, 15, 18, 19, 21, 33, 37]  # seeds with several outcomes and a tree that brute force can grow
PRUNED = [1, 13, 15, 19, 21, 29, 33, 37]


def happenings(drawn: Drawn, steps: int, seed: int) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """What is seen and done when the agent acts at random in its own model."""
    p, random = drawn.pomdp, np.random.default_rng(seed)
    emissions, moves = p.emissions(p.counts), p.moves(p.counts)
    pick = lambda chances: random.choice(len(chances), p=chances / chances.sum())  # noqa: E731
    state, seen, done = pick(p.beginning(p.counts)), [], []
    for _ in range(steps):
        seen.append(p.places(p.outcomes)[pick(emissions[state])])
        action = random.integers(len(moves))
        done.append(p.places(p.actions)[action])
        state = pick(moves[action, state])
    return seen, done


def assert_equal(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    assert np.array_equal(np.isinf(got), np.isinf(wanted)), what
    finite = np.isfinite(wanted)
    assert np.allclose(np.asarray(got)[finite], np.asarray(wanted)[finite], rtol=1e-9, atol=1e-9), what


def check_plan(plan: PolicyPlan, values: Values, p: Pomdp, listed: Sequence[tuple[int, ...]]) -> None:
    """The same policies, in whatever order, with the same values."""
    (first, *_), place = p.actions, lambda word: int(word.split("_")[1])
    steps = [[{n: place(w) for n, w in (a if isinstance(a, dict) else {first: a}).items()} for a in policy] for policy in plan.policies]
    order = [tuple(p.place_of(p.actions, step) for step in policy) for policy in steps]
    assert sorted(order) == sorted(listed)
    places = [list(listed).index(policy) for policy in order]
    for name in TERMS:
        assert_equal(getattr(plan, name), getattr(values, name)[places], name)
    assert_equal(plan.risk, values.risk[places], "risk")
    if p.weights == (1.0, 1.0, 1.0):
        assert_equal(plan.G, plan.risk + plan.ambiguity - plan.novelty, "the other decomposition")


def walk(drawn: Drawn, steps: int, seed: int, *, foresees: bool = False) -> Mind:
    """Perceives and plans step by step beside the reference."""
    p, mind = drawn.pomdp, ppl.parse(drawn.text).start(**drawn.inputs)
    seen, done = happenings(drawn, steps, seed)
    listed = [(k,) for k in range(len(p.places(p.actions)))] if foresees else p.every_policy()
    for t, (belief, free_energy, counts) in enumerate(p.learned(seen, done)):
        mind = mind.perceive(**drawn.words(p.outcomes, seen[t]))
        assert mind.free_energy == pytest.approx(free_energy, abs=1e-9)
        for name in p.states:
            assert_equal(mind.beliefs[name].params["p"], p.marginal(belief, name), name)
        for name in counts:
            assert_equal(np.asarray(mind.memory.learnt[name]), counts[name], name)
        values = (p.foresight if foresees else p.values)(belief, t, counts)
        check_plan(mind.plan(), values, p, listed)
        mind = mind.did(**drawn.words(p.actions, done[t]))
    return mind


@pytest.mark.parametrize("seed", range(12))
def test_beliefs_and_every_term_of_every_policy(seed: int) -> None:
    walk(draw(seed, horizon=1 + seed % 3), 2, seed)


@pytest.mark.parametrize("seed", range(100, 104))
def test_policies_that_are_written_out_and_habits_over_them(seed: int) -> None:
    walk(draw(seed, horizon=2 + seed % 2, written=True), 1, seed)


@pytest.mark.parametrize("seed", FORESEEN)
def test_foresight_over_every_joint_outcome(seed: int) -> None:
    walk(draw(seed, horizon=2 + seed % 2, sophisticated=True, most=2), 1, seed, foresees=True)


@pytest.mark.parametrize("seed", [3, 5, 6])
def test_beliefs_are_those_of_all_paths_of_joint_states(seed: int) -> None:
    """Filtered and smoothed beliefs and the evidence are sums over paths."""
    drawn = draw(seed, horizon=1, learnt=False, most=2)
    p, mind = drawn.pomdp, ppl.parse(drawn.text).start(**drawn.inputs)
    seen, done = happenings(drawn, 4, seed)
    for t, outcomes in enumerate(seen):
        mind = mind.perceive(**drawn.words(p.outcomes, outcomes))
        mind = mind if t == len(seen) - 1 else mind.did(**drawn.words(p.actions, done[t]))
    paths = p.paths(seen, done)
    assert sum(step.free_energy for step in mind.past) == pytest.approx(-np.log(paths.sum()), abs=1e-9)
    for t, beliefs in enumerate(mind.smoothed()):
        joint = paths.sum(axis=tuple(k for k in range(paths.ndim) if k != t)) / paths.sum()
        for name in p.states:
            assert_equal(beliefs[name].params["p"], p.marginal(joint, name), f"{name} at {t}")


def test_what_is_passed_over_in_planning_is_within_the_reported_loss() -> None:
    """A bound that is never passed, and that says something: it is 0 where every outcome is followed."""
    worst = 0.0
    for seed in PRUNED:
        drawn = draw(seed, horizon=3, sophisticated=True, most=2)
        program = ppl.parse(drawn.text).program(**drawn.inputs)
        mind = Mind(program).perceive()
        arguments = (mind.memory, program.log_preferences(np.arange(1, 4)))
        plan = lambda followed, arguments=arguments, program=program: program.compiled("plan", followed=followed)(*arguments)  # noqa: E731
        with jax.enable_x64(True):
            few, all_ = plan(1).parts, plan(64).parts
        for one, whole in zip(few, all_, strict=True):
            assert np.all(np.asarray(whole.loss) == 0)
            off = np.abs(np.asarray(one.energy) - np.asarray(whole.energy))
            assert np.all(off <= np.asarray(one.loss) + 1e-9), seed
            worst = max(worst, float(np.max(off)))
    assert worst > 0.01
