"""States that are too many to be summed over are drawn in turn, and what is reduced over states takes each member's own."""

from __future__ import annotations

import itertools
from textwrap import dedent

import numpy as np
import numpyro
import pytest
from scipy.special import logsumexp
from scipy.stats import beta, binom, norm, poisson

import ppl

LINEAR = """
model m:
    input A: real[M, N]
    for n in N: z[n] ~ Bernoulli(0.3)
    for m in M: y[m] ~ Normal(sum(A[m, n] * z[n] for n in N), sd = 0.5)
"""
SHORT = {"warmup": 200, "draws": 1000, "chains": 2}


def enumerated(A: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The log evidence and the probabilities of z = 1, over all joint states."""
    states = np.array(list(itertools.product((0, 1), repeat=A.shape[1])))
    logs = np.log(np.where(states, 0.3, 0.7)).sum(axis=1) + norm.logpdf(y - states @ A.T, scale=0.5).sum(axis=1)
    evidence = logsumexp(logs)
    return float(evidence), np.exp(logs - evidence) @ states


def fitted(text: str, options: str = "", **values: object) -> ppl.Posterior:
    written = ", ".join(f"{k} = {v}" for k, v in SHORT.items())
    return ppl.parse(f"{dedent(text)}\napproximate m:\n    use nuts({written}{options})\n").fit(seed=1, **values)


def test_a_sum_over_states_takes_those_of_each_member() -> None:
    rng = np.random.default_rng(3)
    A, y = rng.normal(size=(4, 6)), rng.normal(size=4)
    posterior = fitted(LINEAR, A=A, y=y)
    evidence, p = enumerated(A, y)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    np.testing.assert_allclose(posterior["z"].mean, p, atol=1e-9)


def test_states_in_turn_have_the_probabilities_of_the_sum_over_all() -> None:
    rng = np.random.default_rng(5)
    A, y = rng.normal(size=(3, 14)), rng.normal(size=3)
    posterior = fitted(LINEAR, A=A, y=y)
    assert not posterior.exact and posterior.log_evidence is None
    assert "each state of z is drawn in turn" in str(posterior.plan)
    np.testing.assert_allclose(posterior["z"].mean, enumerated(A, y)[1], atol=0.08)


def test_no_model_with_many_states_is_refused_by_default() -> None:
    text = "model m:\n    for n in N: z[n] ~ Bernoulli(0.3)\n    y ~ Poisson(1 + sum(z))\n"
    posterior = ppl.parse(text).fit(N=30, y=12)
    counts = np.arange(31)
    weights = binom.pmf(counts, 30, 0.3) * poisson.pmf(12, 1 + counts)
    assert np.mean(posterior["z"].mean) == pytest.approx(weights @ counts / weights.sum() / 30, abs=0.01)


def test_continuous_variables_move_between_the_rounds() -> None:
    text = """
    model m:
        theta ~ Beta(2, 2)
        for n in N: z[n] ~ Bernoulli(theta)
        for k in K: y[k] ~ Binomial(10, p = 0.1 + 0.8 * sum(z) / 16)
    """
    posterior = fitted(text, N=16, y=[3, 4, 5])
    nodes = np.linspace(0.0005, 0.9995, 1000)
    counts = np.arange(17)
    likelihood = binom.pmf(np.array([3, 4, 5])[:, None], 10, 0.1 + 0.8 * counts / 16).prod(axis=0)
    joint = beta.pdf(nodes, 2, 2)[:, None] * binom.pmf(counts, 16, nodes[:, None]) * likelihood
    joint /= joint.sum()
    assert float(posterior["theta"].mean) == pytest.approx(joint.sum(axis=1) @ nodes, abs=0.02)
    assert np.mean(posterior["z"].mean) == pytest.approx(joint.sum(axis=0) @ counts / 16, abs=0.02)


def test_members_of_sets_are_drawn_too() -> None:
    text = """
    model m:
        input rate: positive[K]
        for n in N: c[n] ~ Categorical([0.5, 0.3, 0.2])
        y ~ Poisson(sum(rate[c[n]] for n in N))
    """
    rate = np.array([0.5, 2.0, 4.0])
    posterior = fitted(text, rate=rate, N=13, y=30)
    table = {0: (1.0, np.zeros(3))}  # by ten times the rate's sum: its probability, and the expected counts of members
    for _ in range(13):
        grown: dict[int, tuple[float, np.ndarray]] = {}
        for total, (p, seen) in table.items():
            for k, own in enumerate((0.5, 0.3, 0.2)):
                before = grown.get(total + int(10 * rate[k]), (0.0, np.zeros(3)))
                grown[total + int(10 * rate[k])] = (before[0] + p * own, before[1] + own * (seen + p * np.eye(3)[k]))
        table = grown
    weight = {total: poisson.pmf(30, total / 10) for total in table}
    counts = sum(weight[t] * seen for t, (_, seen) in table.items()) / sum(weight[t] * p for t, (p, _) in table.items())
    np.testing.assert_allclose(posterior["c"].params["p"].mean(axis=0), counts / 13, atol=0.03)


TOO_MANY = "model m:\n    for n in N: z[n] ~ Bernoulli(0.3)\n    y ~ Poisson(1 + sum(z))\n"


def test_another_engine_that_is_asked_says_why_it_cannot() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0510.*its Gaussian holds no discrete states.*30 members"):
        ppl.parse(TOO_MANY + "approximate m:\n    use svi\n").fit(N=30, y=12)


def test_a_callable_for_numpyro_draws_no_states() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0742.*30 members"):
        numpyro.handlers.seed(ppl.parse(TOO_MANY).to_numpyro(N=30, y=12), 0)()


def test_which_member_it_is_may_be_summed_over_too() -> None:
    """By all states of k and z, at any engine."""
    text = (
        "model m:\n    k ~ Categorical([0.5, 0.5])\n    for i in 0..2: z[i] ~ Bernoulli(0.3)\n    for n in N: y[n] ~ Normal(z[k], sd = 1)\n"
    )
    y, total, chosen = np.array([0.5, 1.2]), 0.0, np.zeros(2)
    for k, a, b in itertools.product((0, 1), repeat=3):
        weight = 0.5 * np.prod([0.3 if z else 0.7 for z in (a, b)]) * norm.pdf(y, (a, b)[k], 1).prod()
        total, chosen = total + weight, chosen + weight * np.array([a, b])
    for engine in ("svi", "nuts"):
        posterior = ppl.parse(text).fit(y=y, engine=engine)
        assert posterior.elbo == pytest.approx(np.log(total), abs=1e-9)
        assert posterior["z"].mean == pytest.approx(chosen / total, abs=1e-9)


def test_counts_without_an_end_are_drawn_where_their_sum_is_seen() -> None:
    """The sum of 15 Poisson counts is one, of 15 times the rate: its posterior is summed, and a count has its 15th part."""
    text = "model m:\n    for n in N: k[n] ~ Poisson(2)\n    y ~ Normal(sum(k[n] for n in N), 2)\n"
    posterior = ppl.parse(text).fit(y=40.0, N=15)
    sums = np.arange(200)
    weight = poisson.pmf(sums, 30) * norm.pdf(40.0, sums, 2)
    mean = (weight * sums).sum() / weight.sum()
    assert "each state of k is drawn in turn" in str(posterior.plan)
    assert posterior["k"].mean == pytest.approx(np.full(15, mean / 15), abs=0.2)
    assert posterior["k"].mean.sum() == pytest.approx(mean, abs=0.3)
