"""`q(a[n])`: members that meet in a statement, and are taken as independent because the user says so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

import ppl
from tests.reference.best_gaussian import best_gaussian

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 3)) @ np.array([[1.0, 0.6, 0.2], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]), RNG.normal(size=9)

LINE = "input X: real[N, D]\nfor d in D: w[d] ~ Normal(0, 2)\nfor n in N: y[n] ~ Normal(dot(X[n], w), 0.5)"
PRECISION = np.eye(3) / 4 + X.T @ X / 0.25


def fit(text: str, after: str, **data: object) -> ppl.Posterior:
    lines = "".join(f"    {line}\n" for line in text.split("\n"))
    return ppl.parse(f"model m:\n{lines}\napproximate m:\n    {after}\n").fit(**data)


def rises(posterior: ppl.Posterior) -> bool:
    return bool(np.diff(posterior.elbo_trace).min(initial=0.0) > -1e-9)


def test_means_are_exact_and_variances_those_given_the_others() -> None:
    posterior = fit(LINE, "q(w[d])", X=X, y=Y)
    assert not posterior.exact
    np.testing.assert_allclose(posterior["w"].mean, np.linalg.solve(PRECISION, X.T @ Y / 0.25), atol=1e-9)
    np.testing.assert_allclose(posterior["w"].var, 1.0 / np.diag(PRECISION), rtol=1e-9)
    joint = fit(LINE, "q(w)", X=X, y=Y)
    lost = 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])  # KL(q || p) of the closest independent Normals
    assert posterior.elbo == pytest.approx(joint.log_evidence - lost, abs=1e-9)


def test_the_fixed_point_is_that_of_one_member_after_another() -> None:
    text = LINE.replace("0.5)", "precision = tau)").replace("for d", "tau ~ Gamma(2, 3)\nfor d", 1)
    posterior = fit(text, "q(w[d]) q(tau)\n    use vmp(tolerance = 1e-14)", X=X, y=Y)
    mean, variance, shape, rate = np.zeros(3), np.ones(3), 2.0 + 4.5, 3.0
    for _ in range(2000):
        for d in range(3):
            left = Y - X @ mean + X[:, d] * mean[d]
            variance[d] = 1.0 / (0.25 + shape / rate * (X[:, d] ** 2).sum())
            mean[d] = variance[d] * shape / rate * (X[:, d] * left).sum()
        rate = 3.0 + 0.5 * (((Y - X @ mean) ** 2).sum() + (X**2 @ variance).sum())
    assert rises(posterior)
    np.testing.assert_allclose(posterior["w"].mean, mean, rtol=1e-6)
    np.testing.assert_allclose(posterior["w"].var, variance, rtol=1e-6)
    np.testing.assert_allclose(posterior["tau"].params["rate"], rate, rtol=1e-6)


def test_members_of_vectors_are_joint_inside() -> None:
    text = "for k in K: a[k] ~ MvNormal(zeros(2), cov = [[2, 0.5], [0.5, 1]])\nfor n in N: y[n] ~ MvNormal(a[0] + 0.5 * a[1], cov = [[1, 0.3], [0.3, 2]])"
    y = RNG.normal(size=(4, 2))
    posterior = fit(text, "q(a[k])", y=y, K=2)
    prior, noise = np.linalg.inv([[2, 0.5], [0.5, 1]]), np.linalg.inv([[1, 0.3], [0.3, 2]])
    joint = np.kron(np.eye(2), prior) + 4 * np.kron([[1, 0.5], [0.5, 0.25]], noise)
    mean = np.linalg.solve(joint, np.kron([1, 0.5], noise @ y.sum(axis=0)))
    np.testing.assert_allclose(posterior["a"].mean.ravel(), mean, atol=1e-9)
    for k in range(2):
        np.testing.assert_allclose(posterior["a"].params["cov"][k], np.linalg.inv(joint[2 * k : 2 * k + 2, 2 * k : 2 * k + 2]))


def test_variables_written_at_the_same_member_are_joint_there() -> None:
    text = "for k in K:\n    a[k] ~ Normal(0, 1)\n    b[k] ~ Normal(a[k], 1)\ny ~ Normal(sum(b[k] for k in K), 0.5)"
    posterior = fit(text, "q(a[k], b[k])", y=1.5, K=3)
    one = np.array([[2.0, -1.0], [-1.0, 1.0 + 4.0]])
    np.testing.assert_allclose(posterior["a"].var, np.linalg.inv(one)[0, 0])
    np.testing.assert_allclose(posterior["b"].var, np.linalg.inv(one)[1, 1])
    np.testing.assert_allclose(posterior["b"].mean, 1.5 * 2 / (6 + 0.25))  # of b given the sum: exact


def test_members_in_a_predictor_are_the_best_independent_normals() -> None:
    text = "for k in K: a[k] ~ Normal(0, 1)\nfor n in N: x[n] ~ Poisson(log_rate = a[0] + 0.7 * a[1])"
    counts = np.array([3, 1, 4])

    def log_joint(rows: np.ndarray) -> np.ndarray:
        predictor = rows @ [1.0, 0.7]
        prior = -0.5 * (rows**2).sum(axis=1) - np.log(2 * np.pi)
        return prior + predictor * counts.sum() - 3 * np.exp(predictor) - gammaln(counts + 1).sum()

    best = best_gaussian(log_joint, 2, independent=True)
    posterior = fit(text, "q(a[k])", x=counts, K=2)
    assert rises(posterior)
    assert posterior.elbo == pytest.approx(best.bound, abs=1e-7)
    np.testing.assert_allclose(posterior["a"].mean, best.mean, atol=1e-4)
    np.testing.assert_allclose(posterior["a"].sd, best.sd, atol=1e-4)


@pytest.mark.parametrize("more", ["", "c ~ Normal(0, 2)\n"])
def test_steps_of_a_chain_are_taken_apart(more: str) -> None:
    """With and without a number that all the steps meet, which is a block of its own then."""
    text = (
        f"{more}z[0] ~ Normal(0, 1)\nfor t in 1..T: z[t] ~ Normal(0.9 * z[t - 1], 0.5)\n"
        f"for t in T: y[t] ~ Normal(z[t]{' + c' if more else ''}, 0.7)"
    )
    y = RNG.normal(size=60)
    posterior = fit(text, "q(z[t]" + (", c)" if more else ")"), y=y)
    step = np.eye(60) - 0.9 * np.eye(60, k=-1)
    precision = step.T @ np.diag(np.r_[1.0, np.full(59, 1 / 0.25)]) @ step + np.eye(60) / 0.49
    pull = y / 0.49
    if more:
        precision = np.block([[precision, np.full((60, 1), 1 / 0.49)], [np.full((1, 60), 1 / 0.49), np.array([[0.25 + 60 / 0.49]])]])
        pull = np.r_[pull, y.sum() / 0.49]
    mean = np.linalg.solve(precision, pull)
    np.testing.assert_allclose(posterior["z"].mean, mean[:60], atol=1e-9)
    np.testing.assert_allclose(posterior["z"].var, 1.0 / np.diag(precision)[:60], rtol=1e-9)
    if more:
        np.testing.assert_allclose([posterior["c"].mean, posterior["c"].var], [mean[60], 1.0 / precision[60, 60]], rtol=1e-9)
    drawn = posterior.draws(4000)["z"]
    assert (
        np.abs(np.corrcoef(drawn[:, :-1].ravel() - np.tile(mean[:59], 4000), drawn[:, 1:].ravel() - np.tile(mean[1:60], 4000))[0, 1]) < 0.02
    )
