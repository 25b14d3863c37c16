"""Members that nothing observed depends on: they keep their priors, and what reads others whole goes by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import ppl

FACTORS = """
model m(K: size = 2):
    input W: real[D, K]
    for n in N, k in K: z[n, k] ~ Normal(0, sd = 1)
    for n in N, d in D: y[n, d] ~ Normal({mean}, sd = 0.5)
"""
WEIGHTS = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, -1.0]])


@pytest.mark.parametrize("mean", ["dot(W[d], z[n])", "sum(W[d, k] * z[n, k] for k in K)"])
def test_a_vector_of_a_row_that_is_all_missing(mean: str) -> None:
    y = np.random.default_rng(9).normal(size=(6, 3))
    y[4] = np.nan
    posterior = ppl.parse(FACTORS.format(mean=mean)).fit(W=WEIGHTS, y=y)
    cov = 0.25 * np.eye(3) + WEIGHTS @ WEIGHTS.T
    seen = np.delete(y, 4, axis=0)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(multivariate_normal(np.zeros(3), cov).logpdf(seen).sum(), abs=1e-9)
    wanted = np.insert(seen @ np.linalg.solve(cov, WEIGHTS), 4, 0.0, axis=0)
    np.testing.assert_allclose(posterior["z"].mean, wanted, atol=1e-9)
    np.testing.assert_allclose(posterior["z"].sd[4], 1.0)


def test_a_column_of_a_factor_analysis_that_is_all_missing() -> None:
    text = FACTORS.replace("    input W: real[D, K]\n", "    for d in D, k in K: W[d, k] ~ Normal(0, sd = 1)\n")
    y = np.random.default_rng(9).normal(size=(6, 3))
    start = np.delete(y, 1, axis=1)
    y[:, 1] = np.nan
    bounds = [ppl.parse(text.format(mean="dot(W[d], z[n])")).fit(y=one, restarts=4).elbo for one in (y, start)]
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-6)


def test_rows_of_a_table_that_nobody_uses() -> None:
    text = """
model m(K: size = 2):
    input o: Q[N]
    for q in Q, k in K: says[q, k] ~ Dirichlet(ones(3))
    for n in N: truth[n] ~ Categorical(ones(K) / 2)
    for n in N: y[n] ~ Categorical(says[o[n], truth[n]])
"""
    posterior = ppl.parse(text).fit(o=[1, 1, 2], y=[0, 1, 2])
    # two answers of one person: 1 / 3 · 1 / 3 where their questions differ, 1 / 12 where they are alike; one answer of another: 1 / 3
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(np.log((1 / 9 + 1 / 12) / 2 / 3), abs=1e-9)
    np.testing.assert_allclose(posterior["says"].mean[0], 1 / 3)
