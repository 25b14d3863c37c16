"""A location and its precision in one block: closed forms, and bounds that rise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import multigammaln

import ppl

DATA = np.random.default_rng(0).normal(size=(7, 2))

REGRESSION = """
model m:
    input X: real[N, D]
    tau ~ Gamma(2, 3)
    for d in D: w[d] ~ Normal(0.5, precision = 0.3 * tau)
    for n in N: y[n] ~ Normal(dot(X[n], w), precision = tau)
"""


def test_regression_with_a_common_scale_is_exact() -> None:
    rng = np.random.default_rng(1)
    inputs, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    posterior = ppl.parse(REGRESSION).fit(X=inputs, y=y)
    # y | tau is Normal with covariance (I + X Xᵀ / 0.3) / tau: a multivariate t by integration over tau
    from scipy import stats

    shape = np.eye(12) + inputs @ inputs.T / 0.3
    evidence = stats.multivariate_t(loc=inputs @ np.full(3, 0.5), shape=shape * 3 / 2, df=4).logpdf(y)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    precision = 0.3 * np.eye(3) + inputs.T @ inputs
    mean = np.linalg.solve(precision, 0.3 * np.full(3, 0.5) + inputs.T @ y)
    np.testing.assert_allclose(posterior["w"].mean, mean, atol=1e-9)
    a, b = posterior["tau"].params["shape"], posterior["tau"].params["rate"]
    np.testing.assert_allclose(posterior["w"].var, np.diag(np.linalg.inv(precision)) * b / (a - 1.0))


def test_a_normal_wishart_pair_is_exact() -> None:
    text = """
model m:
    Lambda ~ Wishart(5, 0.5 * eye(2))
    mu ~ MvNormal([0.5, -0.5], precision = 0.7 * Lambda)
    for n in N: x[n] ~ MvNormal(mu, precision = Lambda)
"""
    posterior = ppl.parse(text).fit(x=DATA)
    count, prior_mean, scale = len(DATA), np.array([0.5, -0.5]), 0.5 * np.eye(2)
    centre = DATA.mean(axis=0)
    scatter = (DATA - centre).T @ (DATA - centre)
    total, df = 0.7 + count, 5 + count
    away = centre - prior_mean
    inverse = np.linalg.inv(scale) + scatter + 0.7 * count / total * np.outer(away, away)
    evidence = (
        -count * np.log(np.pi)
        + multigammaln(df / 2, 2)
        - multigammaln(2.5, 2)
        - 2.5 * np.linalg.slogdet(scale)[1]
        - df / 2 * np.linalg.slogdet(inverse)[1]
        + np.log(0.7 / total)
    )
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    np.testing.assert_allclose(posterior["mu"].mean, (0.7 * prior_mean + count * centre) / total)
    np.testing.assert_allclose(posterior["mu"].sd, np.sqrt(np.diag(inverse) / total / (df - 3)))
    np.testing.assert_allclose(posterior["Lambda"].mean, df * np.linalg.inv(inverse))


MIXTURES = {
    "numbers": """
model m(K: size = 2):
    pi ~ Dirichlet(ones(K))
    for k in K:
        tau[k] ~ Gamma(2, 1)
        mu[k] ~ Normal(0, precision = 0.1 * tau[k])
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(mu[z[n]], precision = tau[z[n]])
""",
    "vectors": """
model m(K: size = 2):
    pi ~ Dirichlet(ones(K))
    for k in K:
        Lambda[k] ~ Wishart(4, eye(2))
        mu[k] ~ MvNormal(zeros(2), precision = 0.1 * Lambda[k])
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ MvNormal(mu[z[n]], precision = Lambda[z[n]])
""",
}


@pytest.mark.parametrize("kind", MIXTURES)
def test_pairs_in_mixtures_raise_the_bound(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=(20, 2)), 4.0 + rng.normal(size=(15, 2))])
    posterior = ppl.parse(MIXTURES[kind]).fit(x=x[:, 0] if kind == "numbers" else x)
    apart = MIXTURES[kind] + "\napproximate m:\n    " + ("q(mu) q(tau)" if kind == "numbers" else "q(mu) q(Lambda)") + "\n"
    mean_field = ppl.parse(apart).fit(x=x[:, 0] if kind == "numbers" else x)
    assert np.diff(posterior.elbo_trace).min() > -1e-9
    assert posterior.elbo > mean_field.elbo


def test_draws_of_a_pair_belong_together() -> None:
    posterior = ppl.parse(REGRESSION).fit(X=np.ones((4, 1)), y=[0.1, 2.0, -1.0, 0.7])
    drawn = posterior["w"].sample(20_000, seed=1)
    assert posterior["w"].family == "StudentT"
    np.testing.assert_allclose(np.quantile(drawn[:, 0], 0.9), posterior["w"].quantile(0.9)[0], rtol=0.05)


def test_a_group_without_data_keeps_its_prior_and_leaves_the_others_exact() -> None:
    text = """
model m:
    for k in K:
        tau[k] ~ Gamma(4, rate = 1.5)
        mu[k] ~ Normal(0.5, precision = 0.7 * tau[k])
        for n in N: y[k, n] ~ Normal(mu[k], precision = tau[k])
"""
    seen = np.random.default_rng(3).normal(size=(2, 5))
    posterior = ppl.parse(text).fit(y=np.vstack([seen, np.full((1, 5), np.nan)]))
    others = ppl.parse(text).fit(y=seen)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(others.log_evidence, abs=1e-9)
    np.testing.assert_allclose(posterior["tau"].params["shape"], [*others["tau"].params["shape"], 4])
    np.testing.assert_allclose(posterior["tau"].params["rate"], [*others["tau"].params["rate"], 1.5])
    np.testing.assert_allclose(posterior["mu"].mean[:2], others["mu"].mean)
    np.testing.assert_allclose(posterior["mu"].sd[:2], others["mu"].sd)
    assert posterior["mu"].mean[2] == pytest.approx(0.5, abs=0.06)
    assert posterior["mu"].sd[2] == pytest.approx(np.sqrt(1.5 / 3 / 0.7), rel=0.05)  # of a t with 8 degrees of freedom
