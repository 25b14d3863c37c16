"""The engines of the bridge against closed forms, and against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, gammaln

import ppl

NORMAL = """
model m:
    mu ~ Normal(1, sd = 2)
    for n in N: y[n] ~ Normal(mu, sd = 1.5)
    z ~ Normal(2 * mu, sd = 1)
    twice = 2 * mu
"""
Y = np.array([0.3, 2.5, 1.7, -0.4, 3.1])
PRECISION = 1 / 4 + len(Y) / 2.25
MEAN, SD = (1 / 4 + Y.sum() / 2.25) / PRECISION, PRECISION**-0.5
EVIDENCE = stats.multivariate_normal(np.ones(5), 4 * np.ones((5, 5)) + 2.25 * np.eye(5)).logpdf(Y)


@pytest.mark.parametrize("engine", ["nuts", "svi", "laplace"])
def test_a_normal_posterior_is_found(engine: str) -> None:
    posterior = ppl.parse(NORMAL).fit(y=Y, engine=engine, seed=1)
    assert posterior.converged and posterior.engine == engine
    np.testing.assert_allclose(posterior["mu"].mean, MEAN, atol=0.06 * SD)
    np.testing.assert_allclose(posterior["mu"].sd, SD, rtol=0.06)
    np.testing.assert_allclose(posterior["twice"].mean, 2 * MEAN, atol=0.12 * SD)
    np.testing.assert_allclose(posterior["z"].mean, 2 * MEAN, atol=0.06 * (1 + 4 * SD**2) ** 0.5)
    np.testing.assert_allclose(posterior["z"].sd, (1 + 4 * SD**2) ** 0.5, rtol=0.06)
    if engine == "nuts":
        assert np.isnan(posterior.elbo) and posterior.to_json()["elbo"] is None
        told = posterior.to_json()["beliefs"]["mu"]
        assert told["rhat"] < 1.01 and told["ess"] > 800
    else:
        np.testing.assert_allclose(posterior.elbo, EVIDENCE, atol=0.02)


def test_a_bound_by_svi_is_close_to_the_evidence() -> None:
    text = "model m:\n    theta ~ Beta(2, 3)\n    x ~ Binomial(20, theta)\n"
    posterior = ppl.parse(text).fit(x=6, engine="svi")
    evidence = gammaln(21) - gammaln(7) - gammaln(15) + betaln(8, 17) - betaln(2, 3)
    assert evidence - 0.02 < posterior.elbo < evidence + 0.01
    np.testing.assert_allclose(posterior["theta"].mean, 8 / 25, atol=0.005)


def test_a_model_without_messages_is_sampled_and_the_plan_says_why() -> None:
    text = """
model m:
    shape ~ Gamma(2, rate = 1)
    rate ~ Gamma(2, rate = 1)
    for n in N: y[n] ~ Gamma(shape, rate = rate * shape + 1)
"""
    plan = ppl.parse(text).explain(y=[1.0, 2.0])
    assert plan.engine == "nuts"
    assert "line 5, `for n in N: y[n] ~ Gamma(shape, rate = rate * shape + 1)`" in str(plan)


def integral(log_density: Any, grid: np.ndarray) -> tuple[float, float, float]:
    """Log evidence, mean and sd of a one-dimensional density."""
    logs = np.array([log_density(x) for x in grid])
    weights = np.exp(logs - logs.max())
    step = grid[1] - grid[0]
    mean = float((weights * grid).sum() / weights.sum())
    return float(np.log(weights.sum() * step) + logs.max()), mean, float(np.sqrt((weights * (grid - mean) ** 2).sum() / weights.sum()))


INDEPENDENT = """
model m:
    a ~ Truncated(StudentT(3, 0, 1), 0.5, inf)
    x_a ~ Normal(a, sd = 1)
    b ~ Mixture([0.3, 0.7], [Normal(-1, sd = 0.5), Normal(1, sd = 1)])
    x_b ~ Normal(b, sd = 1)
    c ~ LogNormal(0, sd = 1)
    x_c ~ Poisson(c)
    d ~ Uniform(-1, 4)
    x_d ~ VonMises(d, 2)
"""
DENSITIES: dict[str, tuple[Any, np.ndarray]] = {
    "a": (lambda x: stats.t(3).logpdf(x) + stats.norm(x, 1).logpdf(1.0), np.linspace(0.5, 12, 1001)),
    "b": (
        lambda x: np.log(0.3 * stats.norm(-1, 0.5).pdf(x) + 0.7 * stats.norm(1, 1).pdf(x)) + stats.norm(x, 1).logpdf(0.2),
        np.linspace(-6, 6, 1001),
    ),
    "c": (lambda x: stats.lognorm(1).logpdf(x) + stats.poisson(x).logpmf(3), np.linspace(1e-3, 15, 1001)),
    "d": (lambda x: stats.vonmises(2, loc=x).logpdf(1.0), np.linspace(-1, 4, 1001)),
}


def test_sampling_agrees_with_quadrature() -> None:
    posterior = ppl.parse(INDEPENDENT).fit(x_a=1.0, x_b=0.2, x_c=3, x_d=1.0, engine="nuts", seed=2)
    for name, (log_density, grid) in DENSITIES.items():
        _, mean, sd = integral(log_density, grid)
        np.testing.assert_allclose(posterior[name].mean, mean, atol=0.1 * sd)
        np.testing.assert_allclose(posterior[name].sd, sd, rtol=0.1)


def test_states_that_are_summed_out_report_their_probabilities() -> None:
    text = """
model m:
    p ~ Beta(2, 2)
    for n in N:
        z[n] ~ Bernoulli(p)
        m[n] = 4 * z[n]
        y[n] ~ Normal(m[n], sd = 1)
"""
    y = np.array([0.2, 3.8, 2.1])
    posterior = ppl.parse(text).fit(y=y, engine="nuts", seed=3)
    grid = np.linspace(1e-3, 1 - 1e-3, 999)
    one, zero = stats.norm(4, 1).pdf(y), stats.norm(0, 1).pdf(y)
    joint = stats.beta(2, 2).pdf(grid)[:, None] * np.prod(grid[:, None] * one + (1 - grid[:, None]) * zero, axis=1)[:, None]
    expected = (joint * (grid[:, None] * one) / (grid[:, None] * one + (1 - grid[:, None]) * zero)).sum(axis=0) / joint.sum()
    np.testing.assert_allclose(posterior["z"].params["p"], expected, atol=0.01)
    np.testing.assert_allclose(posterior["m"].mean, 4 * expected, atol=0.15)


def test_missing_parts_of_vectors_are_inferred() -> None:
    cov = np.array([[1.0, 0.8], [0.8, 1.0]])
    text = "model m(S):\n    for n in N: x[n] ~ MvNormal([0.0, 0.0], cov = S)\n    for n in N: y[n] ~ Normal(x[n, 1], sd = 0.5)\n"
    model = ppl.parse(text.replace("(S)", "(S: real[2, 2])"))
    belief = model.fit(x=[[1.0, None], [0.5, -0.2]], y=[0.9, 0.0], S=cov, engine="laplace")["x"]
    variance = 1 / (1 / 0.36 + 4)
    np.testing.assert_allclose(np.asarray(belief.mean)[0, 1], variance * (0.8 / 0.36 + 0.9 * 4), atol=0.05)
