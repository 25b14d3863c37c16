"""Vectors of which some numbers are missing: these are inferred, and the evidence is that of the numbers that are there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import ppl

KNOWN = """
model m:
    for n in N: x[n] ~ MvNormal([1, 2, 3], cov = [[2, 1, 0.5], [1, 2, 0.3], [0.5, 0.3, 1]])
"""
MEAN, COV = np.array([1.0, 2.0, 3.0]), np.array([[2, 1, 0.5], [1, 2, 0.3], [0.5, 0.3, 1]])
HOLED = np.array([[0.3, np.nan, 2.0], [1.0, 1.5, 2.5], [np.nan, np.nan, 4.0]])


def test_missing_numbers_are_those_of_the_conditional_normal() -> None:
    posterior = ppl.parse(KNOWN).fit(x=HOLED)
    evidence = 0.0
    for row in HOLED:
        seen = ~np.isnan(row)
        evidence += stats.multivariate_normal(MEAN[seen], COV[np.ix_(seen, seen)]).logpdf(row[seen])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    for row, mean, sd in zip(HOLED, posterior["x"].mean, posterior["x"].sd, strict=True):
        seen, lost = ~np.isnan(row), np.isnan(row)
        gain = COV[np.ix_(lost, seen)] @ np.linalg.inv(COV[np.ix_(seen, seen)])
        np.testing.assert_allclose(mean[lost], MEAN[lost] + gain @ (row - MEAN)[seen], atol=1e-9)
        np.testing.assert_allclose(sd[lost] ** 2, np.diag(COV[np.ix_(lost, lost)] - gain @ COV[np.ix_(seen, lost)]), atol=1e-9)
        np.testing.assert_allclose(mean[seen], row[seen])
        np.testing.assert_allclose(sd[seen], 0.0)


def test_a_learnt_mean_sees_what_is_there() -> None:
    text = """
model m:
    mu ~ MvNormal(zeros(2), cov = 4 * eye(2))
    for n in N: x[n] ~ MvNormal(mu, cov = [[1, 0.4], [0.4, 2]])
"""
    rows = np.array([[0.5, np.nan], [1.0, 2.0], [np.nan, -1.0], [np.nan, np.nan]])
    posterior = ppl.parse(text).fit(x=rows)
    prior, noise = 4.0 * np.eye(2), np.array([[1, 0.4], [0.4, 2]])
    full = np.kron(np.ones((4, 4)), prior) + np.kron(np.eye(4), noise)
    seen = ~np.isnan(rows.ravel())
    joint = stats.multivariate_normal(np.zeros(seen.sum()), full[np.ix_(seen, seen)])
    assert posterior.log_evidence == pytest.approx(joint.logpdf(rows.ravel()[seen]), abs=1e-9)
    cross = np.kron(np.ones((1, 4)), prior)[:, seen]
    mean = cross @ np.linalg.solve(full[np.ix_(seen, seen)], rows.ravel()[seen])
    np.testing.assert_allclose(posterior["mu"].mean, mean, atol=1e-9)


def test_a_sequence_of_vectors_with_holes() -> None:
    text = """
model m:
    A = [[0.9, 0.2], [-0.2, 0.9]]
    y[0] ~ MvNormal(zeros(2), cov = eye(2))
    for t in 1..T: y[t] ~ MvNormal(A @ y[t - 1], cov = 0.3 * eye(2))
"""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 2))
    rows[2, 0] = rows[3] = rows[7, 1] = rows[11, 0] = np.nan
    posterior = ppl.parse(text).fit(y=rows)
    step = np.array([[0.9, 0.2], [-0.2, 0.9]])
    full = np.zeros((24, 24))
    covariance = np.eye(2)
    for t in range(12):
        ahead = covariance
        for s in range(t, 12):
            full[2 * s : 2 * s + 2, 2 * t : 2 * t + 2] = ahead
            full[2 * t : 2 * t + 2, 2 * s : 2 * s + 2] = ahead.T
            ahead = step @ ahead
        covariance = step @ covariance @ step.T + 0.3 * np.eye(2)
    seen = ~np.isnan(rows.ravel())
    joint = stats.multivariate_normal(np.zeros(seen.sum()), full[np.ix_(seen, seen)])
    assert posterior.log_evidence == pytest.approx(joint.logpdf(rows.ravel()[seen]), abs=1e-9)
    lost = ~seen
    expected = full[np.ix_(lost, seen)] @ np.linalg.solve(full[np.ix_(seen, seen)], rows.ravel()[seen])
    np.testing.assert_allclose(posterior["y"].mean.ravel()[lost], expected, atol=1e-9)


def test_counts_that_are_given_in_part_are_told() -> None:
    text = "model m:\n    p ~ Dirichlet(ones(3))\n    for n in N: x[n] ~ Multinomial(4, p)\n"
    with pytest.raises(ppl.AimError) as caught:
        ppl.parse(text).fit(x=[[1.0, np.nan, 2.0]])
    assert caught.value.diagnostics[0].code == "AIM0790"
