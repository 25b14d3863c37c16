"""A latent variable whose `match` chooses between distributions: exact where few states choose, against enumeration and quadrature."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import ppl

SPIKE = """
model m:
    g ~ Bernoulli(0.3)
    w ~ match g:
        0 -> Delta(0)
        1 -> Normal(0, 1)
    for n in N: y[n] ~ Normal(w, 1)
"""
SELECTION = """
model m:
    input x: real[N, D]
    for d in D: g[d] ~ Bernoulli(0.5)
    for d in D:
        w[d] ~ match g[d]:
            0 -> Delta(0)
            1 -> Normal(0, 1)
    for n in N: y[n] ~ Normal(sum(x[n, d] * w[d] for d in D), 1)
"""


@pytest.mark.parametrize("engine", [None, "gibbs"])
def test_a_spike_and_a_slab(engine: str | None) -> None:
    y = np.array([0.5, 1.2, 0.3])
    spike = 0.7 * stats.norm.pdf(y).prod()
    slab = 0.3 * stats.multivariate_normal(np.zeros(3), np.eye(3) + 1).pdf(y)
    share, mean = slab / (spike + slab), y.sum() / 4
    posterior = ppl.parse(SPIKE).fit(y=y, engine=engine)
    within: dict[str, Any] = {"abs": 0.03 if engine else 1e-9}
    assert posterior["g"].mean == pytest.approx(share, **within) and posterior["w"].mean == pytest.approx(share * mean, **within)
    assert posterior["w"].var == pytest.approx(share * (mean**2 + 0.25) - (share * mean) ** 2, **within)
    if engine is None:
        assert posterior.exact and posterior.log_evidence == pytest.approx(np.log(spike + slab), abs=1e-9)


def test_variables_are_selected_by_all_their_subsets() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(25, 3))
    y = x @ [1.0, 0.0, -0.7] + rng.normal(size=25)
    total, chosen, weights = 0.0, np.zeros(3), np.zeros(3)
    for subset in itertools.product((0.0, 1.0), repeat=3):
        own = x * subset
        p = stats.multivariate_normal(np.zeros(25), np.eye(25) + own @ own.T).pdf(y) / 8
        total, chosen = total + p, chosen + p * np.array(subset)
        weights += p * np.linalg.solve(np.eye(3) + own.T @ own, own.T @ y)
    posterior = ppl.parse(SELECTION).fit(x=x, y=y)
    assert posterior.exact and posterior.log_evidence == pytest.approx(np.log(total), abs=1e-8)
    assert posterior["g"].mean == pytest.approx(chosen / total, abs=1e-8)
    assert posterior["w"].mean == pytest.approx(weights / total, abs=1e-8)


def test_distributions_of_two_families() -> None:
    text = "model m:\n    g ~ Bernoulli(0.3)\n    r ~ match g:\n        0 -> Gamma(2, 1)\n        1 -> Exponential(3)\n    for n in N: y[n] ~ Poisson(r)\n"
    y = np.array([1.0, 2.0, 3.0])
    posterior = ppl.parse(text).fit(y=y)
    arms = (lambda r: 0.7 * stats.gamma.pdf(r, 2), lambda r: 0.3 * stats.expon.pdf(r, scale=1 / 3))

    def moment(k: int, arm: Any) -> float:
        return integrate.quad(lambda r: r**k * arm(r) * stats.poisson.pmf(y, r).prod(), 0, 40)[0]

    total = sum(moment(0, arm) for arm in arms)
    assert posterior.log_evidence == pytest.approx(np.log(total), abs=1e-7)
    assert posterior["g"].mean == pytest.approx(moment(0, arms[1]) / total, abs=1e-7)
    assert posterior["r"].mean == pytest.approx(sum(moment(1, arm) for arm in arms) / total, abs=1e-7)
