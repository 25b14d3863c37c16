"""Forward drawing against closed forms: recursions step by step, and distributions that no message serves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.engines.forward import draw_fresh, evaluator_of, groups
from ppl.engines.questions import ModelQuestions
from ppl.graph.bound import BoundModel
from ppl.results.questions import NewData

DRAWS = 20_000
RIVER = """\
model river:
    level[0] ~ Normal(10, sd = 1)
    for t in 1..T: level[t] ~ Normal(0.9 * level[t - 1], var = 0.5)
    for t in T: flow[t] ~ Normal(level[t], var = 1.5)
"""


def bound(text: str, **data: Any) -> BoundModel:
    """A model with its data."""
    return ppl.parse(text).bind(**data)


def predict(where: BoundModel, draws: dict[str, np.ndarray], **values: Any) -> dict[str, np.ndarray]:
    def unused(*_: Any) -> Any:
        raise AssertionError

    return ModelQuestions(where, unused, unused).predict(draws, NewData(values), 0, None, DRAWS)


def prior(where: BoundModel, count: int) -> dict[str, np.ndarray]:
    evaluator = evaluator_of(where, {})
    random = [s.variable for s in where.model.statements if s.variable not in evaluator.definitions]
    fresh = {n: np.ones(where.shape(where.model.variables[n])[: where.model.variables[n].plates], bool) for n in random}
    draw_fresh(evaluator, fresh, np.random.default_rng(1), count)
    return {name: evaluator.values[name].data for name in fresh}


def test_a_longer_series_goes_on_from_its_last_state() -> None:
    states = np.random.default_rng(0).normal(5.0, 1.0, size=(DRAWS, 3))
    drawn = predict(bound(RIVER, flow=[10.0, 9.0, 8.0]), {"level": states}, T=6)
    np.testing.assert_array_equal(drawn["level"][:, :3], states)
    np.testing.assert_array_equal(drawn["flow"][0, :3], [10.0, 9.0, 8.0])
    mean, variance = states[:, 2].mean(), states[:, 2].var()
    for t in range(3, 6):
        mean, variance = 0.9 * mean, 0.81 * variance + 0.5
        np.testing.assert_allclose(drawn["level"][:, t].mean(), mean, atol=0.05)
        np.testing.assert_allclose(drawn["level"][:, t].var(), variance, rtol=0.05)
        np.testing.assert_allclose(drawn["flow"][:, t].var(), variance + 1.5, rtol=0.05)


def test_a_recursion_is_drawn_step_by_step() -> None:
    """The covariance of an autoregression begun at its own spread."""
    text = "model r:\n    x[0] ~ Normal(0, var = 1 / 0.75)\n    for t in T: x[t + 1] ~ Normal(0.5 * x[t], sd = 1)\n"
    drawn = prior(bound(text, T=4), DRAWS)["x"]
    wanted = 0.5 ** np.abs(np.subtract.outer(range(5), range(5))) / 0.75
    np.testing.assert_allclose(np.cov(drawn.T), wanted, atol=0.06)


def test_variables_that_meet_in_a_recursion_are_drawn_together() -> None:
    text = """\
model r:
    x[0] ~ Normal(1, sd = 0.001)
    y[0] ~ Normal(2 * x[0], sd = 0.001)
    for t in 1..T:
        x[t] ~ Normal(y[t - 1] + 1, sd = 0.001)
        y[t] ~ Normal(2 * x[t], sd = 0.001)
"""
    drawn = prior(bound(text, T=4), 5)
    np.testing.assert_allclose(drawn["x"], np.broadcast_to([1, 3, 7, 15], (5, 4)), atol=0.1)
    np.testing.assert_allclose(drawn["y"], np.broadcast_to([2, 6, 14, 30], (5, 4)), atol=0.1)


def test_what_is_computed_from_its_own_past_is_computed() -> None:
    text = "model r:\n    a ~ Normal(0, 1)\n    m[0] = a\n    for t in 1..T: m[t] = 0.5 * m[t - 1] + 1\n    for t in T: y[t] ~ Normal(m[t], sd = 1)\n"
    drawn = predict(bound(text, y=[1.0, 2.0, 3.0]), {"a": np.zeros(DRAWS)}, T=5)
    np.testing.assert_allclose(drawn["m"], np.broadcast_to([0, 1, 1.5, 1.75, 1.875], (DRAWS, 5)))
    np.testing.assert_allclose(drawn["y"][:, 3:].mean(axis=0), [1.75, 1.875], atol=0.04)


def test_a_chain_of_members_is_drawn_from_its_rows() -> None:
    text = "model h(K: size = 2):\n    input P: real[K, K]\n    z[0] ~ Categorical([1, 0])\n    for t in 1..T: z[t] ~ Categorical(P[z[t - 1]])\n"
    P = np.array([[0.9, 0.1], [0.4, 0.6]])
    drawn = prior(bound(text, P=P, T=4), DRAWS)["z"]
    at = np.array([1.0, 0.0])
    for t in range(4):
        np.testing.assert_allclose((drawn[:, t] == 1).mean(), at[1], atol=0.015)
        at = at @ P


OTHERS = {
    "StudentT(5, mu, 2)": lambda mu: stats.t(5, mu, 2),
    "Laplace(mu, 1.5)": lambda mu: stats.laplace(mu, 1.5),
    "LogNormal(mu, sd = 0.5)": lambda mu: stats.lognorm(0.5, scale=np.exp(mu)),
    "Mixture([0.5, 0.5], [Normal(mu, sd = 1), Normal(mu, sd = 1)])": lambda mu: stats.norm(mu, 1),
}


@pytest.mark.parametrize("text", OTHERS)
def test_distributions_without_messages_have_likelihoods_and_draws(text: str) -> None:
    pytest.importorskip("ppl.engines.numpyro_bridge.distributions")
    where = bound(f"model m:\n    mu ~ Normal(0, 1)\n    for n in N: y[n] ~ {text}\n", y=[0.5, 1.5, 2.5])
    mu = np.random.default_rng(5).normal(0.2, 0.1, size=DRAWS)
    found = ModelQuestions(where, lambda _: None, dict).log_likelihood({"mu": mu}, NewData(), 0)["y"].values
    np.testing.assert_allclose(found[:50], OTHERS[text](mu[:50, None]).logpdf([0.5, 1.5, 2.5]), rtol=1e-6)
    drawn = predict(where, {"mu": mu}, N=2)["y"]
    ranks = OTHERS[text](mu[:, None]).cdf(drawn)
    assert drawn.shape == (DRAWS, 2)
    np.testing.assert_allclose([ranks.mean(), ranks.var()], [0.5, 1 / 12], atol=0.01)


def test_the_groups_know_the_axis_of_a_recursion() -> None:
    where = bound(RIVER, flow=[1.0])
    assert list(groups(where.model, {})) == [({"level"}, "T"), ({"flow"}, None)]
