"""The allocation against sorting, an exact sum over all plans, and what must hold of any price."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import ppl
from ppl.arr_coc.planning import allocation_agent, checked_levels, usual_noise

LEVELS = np.array([64.0, 128.0, 256.0, 400.0])
N = 200
RNG = np.random.default_rng(0)
RELEVANCE, VARIANCE = RNG.uniform(size=N), RNG.gamma(1.0, 1.0, N)


def planned(budget: float, *, levels: Any = LEVELS, relevance: Any = RELEVANCE, variance: Any = VARIANCE, **more: Any) -> Any:
    """The probabilities of the levels, the levels of the whole plan, and the price."""
    given = {"tokens": levels, "relevance": relevance, "variance": variance, "noise": 64.0, "budget": budget} | more
    plan = allocation_agent().start(**given).perceive().plan()
    chosen = np.concatenate([np.atleast_1d(level) for level in plan.action.values()]).astype(int)
    return np.concatenate([np.atleast_2d(p) for p in plan.first.values()]), chosen, float(plan.price[0])


@cache
def usual() -> Any:
    return planned(25_600.0)


def log_weights(levels: np.ndarray, relevance: np.ndarray, variance: np.ndarray, precision: float = 20.0) -> np.ndarray:
    return precision * np.maximum(relevance, 0)[:, None] * 0.5 * np.log1p(levels * variance[:, None] / 64.0)


def exact(budget: float) -> np.ndarray:
    """The probabilities of the levels where all plans that cost exactly the budget are summed over: forward and backward sums."""
    costs, room = (LEVELS / 16).astype(int), int(budget / 16)
    logs = log_weights(LEVELS, RELEVANCE, VARIANCE)

    def sums(order: range) -> np.ndarray:
        table = np.full((N + 1, room + 1), -np.inf)
        table[0, 0] = 0.0
        for k, i in enumerate(order):
            for cost, log in zip(costs, logs[i], strict=True):
                table[k + 1, cost:] = np.logaddexp(table[k + 1, cost:], table[k, : room + 1 - cost] + log)
        return table

    forward, backward = sums(range(N)), sums(range(N - 1, -1, -1))
    found = np.zeros((N, len(costs)))
    for i in range(N):
        for level, cost in enumerate(costs):
            both = forward[i, : room + 1 - cost] + backward[N - 1 - i, room - cost :: -1][: room + 1 - cost]
            found[i, level] = np.logaddexp.reduce(both) + logs[i, level]
    found = np.exp(found - found.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def test_the_price_is_near_the_sum_over_all_plans() -> None:
    probabilities, chosen, price = usual()
    assert np.abs(probabilities - exact(25_600.0)).max() < 0.01
    assert (probabilities @ LEVELS).sum() == pytest.approx(25_600, abs=1e-3 * 25_600)
    assert 25_600 - 144 <= LEVELS[chosen].sum() <= 25_600
    assert price > 0


def test_one_token_for_each_of_the_best_is_sorting() -> None:
    """The levels 0 and 1 with a budget of K are the K patches with the highest scores."""
    score = RNG.uniform(size=N)
    _, chosen, _ = planned(50.0, levels=np.array([0.0, 1.0]), relevance=score, variance=np.ones(N))
    assert set(np.flatnonzero(chosen)) == set(np.argsort(score)[-50:])


def test_many_levels_are_water_filling() -> None:
    """With fine levels the plan is clip(γ r / (2 ν) - noise / V, lowest, highest), affine in relevance."""
    levels = np.arange(0.0, 404.0, 4.0)
    _, chosen, _ = planned(20_000.0, levels=levels)
    inside = (chosen > 1) & (chosen < len(levels) - 2)
    slope = (levels[chosen] + 64.0 / VARIANCE)[inside] / RELEVANCE[inside]
    weight = np.median(slope)
    expected = np.clip(weight * RELEVANCE - 64.0 / VARIANCE, 0, 400)
    assert np.abs(levels[chosen] - expected).max() < 12.0


def test_more_relevance_or_content_never_gets_less() -> None:
    before = usual()[0] @ LEVELS
    for name, values, patch in (("relevance", RELEVANCE, 3), ("variance", VARIANCE, 77)):
        changed = values.copy()
        changed[patch] *= 2
        after = planned(25_600.0, **{name: changed})[0] @ LEVELS
        assert after[patch] >= before[patch] - 1e-9


def test_a_larger_budget_never_raises_the_price() -> None:
    prices = [planned(15_000.0)[2], usual()[2], planned(40_000.0)[2], planned(90_000.0)[2]]
    assert prices == sorted(prices, reverse=True)
    assert prices[-1] == 0.0


def test_the_order_of_patches_does_not_matter() -> None:
    order = RNG.permutation(N)
    first, second = usual(), planned(25_600.0, relevance=RELEVANCE[order], variance=VARIANCE[order])
    np.testing.assert_allclose(second[0], first[0][order], atol=1e-9)


def test_a_budget_below_the_lowest_level_is_refused() -> None:
    with pytest.raises(ppl.AimError, match="12800"):
        planned(12_000.0)


def test_levels_rise_from_zero_on() -> None:
    for wrong in ([64], [64, 64], [128, 64], [-1, 4], [0, np.nan], "ab"):
        with pytest.raises(ppl.AimError, match="levels"):
            checked_levels(wrong)


def test_the_noise_of_a_token_is_that_of_the_median_patch() -> None:
    assert usual_noise(np.array([0.0, 2.0, 4.0])) == 128.0
    assert usual_noise(np.zeros(3)) > 0
