"""A location and its precision in one block: closed forms, and bounds that rise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import block_diag
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


INPUTS, ANSWERS = np.random.default_rng(4).normal(size=(12, 3)), np.random.default_rng(5).normal(size=12)
TABLE = np.random.default_rng(6).normal(size=(5, 4))


def scaled_t(y: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> float:
    """log p(y) where y | t is Normal with covariance shape / t and t ~ Gamma(2, 3)."""
    return float(stats.multivariate_t(loc=mean, shape=shape * 1.5, df=4).logpdf(y))


TABLE_EVIDENCE = scaled_t(TABLE.ravel(), np.full(20, 0.5), np.eye(20) + np.kron(np.ones((5, 5)) / 0.3, np.eye(4)))
LINE_EVIDENCE = scaled_t(ANSWERS, INPUTS @ np.full(3, 0.5), np.eye(12) + INPUTS @ INPUTS.T / 0.3)
#: text, data, log evidence, and the shape of the Gamma or inverse Gamma
SCALED: dict[str, tuple[str, dict[str, np.ndarray], float, float]] = {
    "a line and its variance": (
        "input X: real[N, D]\n    s2 ~ InverseGamma(2, 3)\n    for d in D: w[d] ~ Normal(0.5, var = s2 / 0.3)\n"
        "    for n in N: y[n] ~ Normal(dot(X[n], w), var = s2)",
        {"X": INPUTS, "y": ANSWERS},
        LINE_EVIDENCE,
        8.0,
    ),
    "a line with a covariance": (
        "input X: real[N, D]\n    s2 ~ InverseGamma(2, 3)\n    w ~ MvNormal(0.5 * ones(3), cov = s2 * eye(3) / 0.3)\n"
        "    for n in N: y[n] ~ Normal(dot(X[n], w), var = s2)",
        {"X": INPUTS, "y": ANSWERS},
        LINE_EVIDENCE,
        8.0,
    ),
    "a plate of means with one precision": (
        "s2 ~ Gamma(2, 3)\n    for k in K: mu[k] ~ Normal(0.5, precision = 0.3 * s2)\n"
        "    for n in N, k in K: y[n, k] ~ Normal(mu[k], precision = s2)",
        {"y": TABLE},
        TABLE_EVIDENCE,
        12.0,
    ),
    "a vector with a common precision": (
        "s2 ~ Gamma(2, 3)\n    mu ~ MvNormal(0.5 * ones(4), precision = 0.3 * s2 * eye(4))\n"
        "    for n in N: y[n] ~ MvNormal(mu, precision = s2 * eye(4))",
        {"y": TABLE},
        TABLE_EVIDENCE,
        12.0,
    ),
    "a vector with a common variance": (
        "s2 ~ InverseGamma(2, 3)\n    mu ~ MvNormal(0.5 * ones(4), cov = s2 / 0.3 * eye(4))\n"
        "    for n in N: y[n] ~ MvNormal(mu, cov = s2 * eye(4))",
        {"y": TABLE},
        TABLE_EVIDENCE,
        12.0,
    ),
    "locations apart that share a precision": (
        "s2 ~ Gamma(2, 3)\n    a ~ Normal(0, precision = s2)\n    for k in K: b[k] ~ Normal(1, precision = 2 * s2)\n"
        "    for n in N: x[n] ~ Normal(a, precision = s2)\n    for g in G, k in K: y[g, k] ~ Normal(b[k], precision = 3 * s2)",
        {"x": ANSWERS, "y": TABLE},
        scaled_t(
            np.concatenate([ANSWERS, TABLE.ravel()]),
            np.repeat([0.0, 1.0], [12, 20]),
            block_diag(np.ones((12, 12)) + np.eye(12), np.kron(np.ones((5, 5)) / 2, np.eye(4)) + np.eye(20) / 3),
        ),
        18.0,
    ),
}


@pytest.mark.parametrize("case", SCALED)
def test_what_is_scaled_by_one_variable_is_exact(case: str) -> None:
    text, data, evidence, shape = SCALED[case]
    posterior = ppl.parse(f"model m:\n    {text}\n").fit(**data)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    assert posterior["s2"].params["shape"] == pytest.approx(shape)


@pytest.mark.parametrize("case", SCALED)
def test_marginals_of_scaled_locations_are_those_of_their_draws(case: str) -> None:
    text, data, _, _ = SCALED[case]
    posterior = ppl.parse(f"model m:\n    {text}\n").fit(**data)
    drawn = posterior.draws(20_000, seed=1)
    for name in posterior.names:
        belief = posterior[name]
        error = belief.sd / np.sqrt(20_000)
        assert (np.abs(drawn[name].mean(axis=0) - belief.mean) < 5 * error).all()
        np.testing.assert_allclose(np.quantile(drawn[name], 0.9, axis=0), belief.quantile(0.9), rtol=0.05, atol=0.03)


def matrix_evidence(x: np.ndarray, y: np.ndarray, mean: np.ndarray, weight: float, df: float, scale: np.ndarray) -> tuple[Any, ...]:
    """log p(y) of y = x B + noise with cov Σ, B ~ N(mean, Σ / weight) by rows, Σ ~ InverseWishart(df, scale); posterior mean, scale and K."""
    before, count, size = weight * np.eye(x.shape[1]), *y.shape
    after = before + x.T @ x
    centre = np.linalg.solve(after, before @ mean + x.T @ y)
    found = scale + y.T @ y + mean.T @ before @ mean - centre.T @ after @ centre
    logdet = [np.linalg.slogdet(a)[1] for a in (scale, found, before, after)]
    gammas = multigammaln((df + count) / 2, size) - multigammaln(df / 2, size) - 0.5 * count * size * np.log(np.pi)
    return gammas + 0.5 * (df * logdet[0] - (df + count) * logdet[1] + size * (logdet[2] - logdet[3])), centre, found, after


MATRIX = np.array([[2.0, 0.3], [0.3, 1.0]])
VECTORS: dict[str, tuple[str, dict[str, np.ndarray], np.ndarray, np.ndarray]] = {
    "a mean and a covariance": (
        "Sigma ~ InverseWishart(5, [[2, 0.3], [0.3, 1]])\n    b ~ MvNormal([0.5, -0.5], cov = Sigma / 0.7)\n"
        "    for n in N: y[n] ~ MvNormal(b, cov = Sigma)",
        {"y": DATA},
        np.ones((7, 1)),
        np.array([[0.5, -0.5]]),
    ),
    "an inverse covariance": (
        "Sigma ~ InverseWishart(5, [[2, 0.3], [0.3, 1]])\n    b ~ MvNormal([0.5, -0.5], precision = 0.7 * inverse(Sigma))\n"
        "    for n in N: y[n] ~ MvNormal(b, precision = inverse(Sigma))",
        {"y": DATA},
        np.ones((7, 1)),
        np.array([[0.5, -0.5]]),
    ),
    "a regression of vectors": (
        "input X: real[N, P]\n    Sigma ~ InverseWishart(5, [[2, 0.3], [0.3, 1]])\n    for p in P: b[p] ~ MvNormal([0.5, -0.5], cov = Sigma / 0.7)\n"
        "    for n in N: y[n] ~ MvNormal(sum(X[n, p] * b[p] for p in P), cov = Sigma)",
        {"X": INPUTS, "y": np.random.default_rng(7).normal(size=(12, 2))},
        INPUTS,
        np.tile([0.5, -0.5], (3, 1)),
    ),
    "groups with one covariance": (
        "input X: real[N, P]\n    input g: P[N]\n    Sigma ~ InverseWishart(5, [[2, 0.3], [0.3, 1]])\n"
        "    for p in P: b[p] ~ MvNormal([0.5, -0.5], cov = Sigma / 0.7)\n    for n in N: y[n] ~ MvNormal(b[g[n]], cov = Sigma)",
        {"X": np.eye(3)[np.arange(12) % 3], "g": np.arange(12) % 3, "y": np.random.default_rng(7).normal(size=(12, 2))},
        np.eye(3)[np.arange(12) % 3],
        np.tile([0.5, -0.5], (3, 1)),
    ),
}


@pytest.mark.parametrize("case", VECTORS)
def test_vectors_and_their_covariance_are_exact(case: str) -> None:
    text, data, x, mean = VECTORS[case]
    evidence, centre, scale, after = matrix_evidence(x, data["y"], mean, 0.7, 5.0, MATRIX)
    posterior = ppl.parse(f"model m:\n    {text}\n").fit(**data)
    df = 5.0 + len(data["y"])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    np.testing.assert_allclose(posterior["b"].mean.reshape(centre.shape), centre, atol=1e-9)
    np.testing.assert_allclose(posterior["Sigma"].mean, scale / (df - 3.0), atol=1e-9)
    variance = np.diag(np.linalg.inv(after))[:, None] * np.diag(scale) / (df - 3.0)
    np.testing.assert_allclose(posterior["b"].sd.reshape(centre.shape), np.sqrt(variance), atol=1e-9)
    drawn = posterior.draws(20_000, seed=1)
    assert (np.abs(drawn["b"].mean(axis=0) - posterior["b"].mean) < 5 * posterior["b"].sd / np.sqrt(20_000)).all()
    np.testing.assert_allclose(drawn["Sigma"].mean(axis=0), posterior["Sigma"].mean, rtol=0.05, atol=0.03)


def test_a_vector_in_another_order_is_no_pair() -> None:
    """Λ does not commute with a permutation: E[rᵀ Λ r] then depends on Λ."""
    text = "model m:\n    P ~ Wishart(5, [[2, 0.3], [0.3, 1]])\n    b ~ MvNormal([0.5, -0.5], precision = P)\n    for n in N: y[n] ~ MvNormal({}, precision = P)\n"
    assert ppl.parse(text.format("b")).fit(y=DATA).exact
    turned = ppl.parse(text.format("reverse(b)")).fit(y=DATA)
    assert not turned.exact
    assert np.diff(turned.elbo_trace).min() > -1e-9


SHARED = """
model m(K: size = 2):
    pi ~ Dirichlet(ones(K))
    tau ~ Gamma(2, 1)
    for k in K: mu[k] ~ Normal(0, precision = 0.1 * tau)
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(mu[z[n]], precision = tau)
"""


def test_components_that_share_a_precision_raise_the_bound() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=20), 4.0 + rng.normal(size=15)])
    together = ppl.parse(SHARED).fit(x=x)
    apart = ppl.parse(SHARED + "\napproximate m:\n    q(mu) q(tau)\n").fit(x=x)
    assert np.diff(together.elbo_trace).min() > -1e-9
    assert together.elbo > apart.elbo


def test_point_masses_of_a_pair_are_at_its_mode() -> None:
    text = "model m:\n    s2 ~ InverseGamma(2, 3)\n    mu ~ Normal(0.5, var = s2 / 0.3)\n    for n in N: y[n] ~ Normal(mu, var = s2)\n"
    posterior = ppl.parse(text + "\napproximate m:\n    q(mu, s2): point\n").fit(y=ANSWERS)
    mean = (0.3 * 0.5 + ANSWERS.sum()) / 12.3
    scale = 3.0 + 0.5 * (((ANSWERS - mean) ** 2).sum() + 0.3 * (mean - 0.5) ** 2)
    assert posterior["mu"].mean == pytest.approx(mean, abs=1e-6)
    assert posterior["s2"].mean == pytest.approx(scale / (2.0 + 13 / 2 + 1.0), abs=1e-6)
