"""States that are too many to be summed over are drawn in turn, and what is reduced over states takes each member's own."""

from __future__ import annotations

import itertools
from textwrap import dedent

import numpy as np
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


def test_another_engine_that_is_asked_says_why_it_cannot() -> None:
    text = "model m:\n    for n in N: z[n] ~ Bernoulli(0.3)\n    y ~ Poisson(1 + sum(z))\napproximate m:\n    use svi\n"
    with pytest.raises(ppl.AimError, match=r"AIM0742.*30 members"):
        ppl.parse(text).fit(N=30, y=12)
