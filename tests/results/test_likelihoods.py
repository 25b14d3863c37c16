"""Pointwise likelihoods against the densities written out; WAIC and LOO against their definitions and exact leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import ppl
from ppl.results import criteria
from ppl.results.posterior import Posterior
from ppl.results.questions import NewData

RNG = np.random.default_rng(8)
NORMAL = "model normal:\n    mu ~ Normal(0, sd = 2)\n    for n in N: y[n] ~ Normal(mu, sd = 1)\n"
Y = RNG.normal(1.0, 1.0, size=12)
MIXTURE = """\
model mixture(K: size = 2):
    pi ~ Dirichlet(ones(K))
    for k in K: mu[k] ~ Normal(0, sd = 10)
    for n in N:
        z[n] ~ Categorical(pi)
        for d in D: x[n, d] ~ Normal(mu[z[n]], sd = 1)
"""
X = np.concatenate([RNG.normal(-3, 1, (15, 2)), RNG.normal(3, 1, (25, 2))])


@pytest.fixture(scope="module")
def normal() -> Posterior:
    return ppl.parse(NORMAL).fit(y=Y)


@pytest.fixture(scope="module")
def mixture() -> Posterior:
    return ppl.parse(MIXTURE).fit(x=X, seed=1)


def test_likelihoods_are_the_densities_at_the_draws(normal: Posterior) -> None:
    draws = normal.draws(50, seed=3)["mu"]
    found = normal.log_likelihood(draws=50, seed=3)
    assert list(found) == ["y"]
    np.testing.assert_allclose(found["y"], stats.norm(draws[:, None], 1).logpdf(Y), rtol=1e-12)


def test_a_missing_observation_has_no_likelihood() -> None:
    y = [1.0, np.nan, 2.0]
    found = ppl.parse(NORMAL).fit(y=y).log_likelihood(draws=10)["y"]
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(np.isnan(y), (10, 3)))


def mixture_density(draws: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    inside = stats.norm(draws["mu"][:, None, None, :], 1).logpdf(x[None, :, :, None]).sum(axis=2)
    return logsumexp(np.log(draws["pi"])[:, None, :] + inside, axis=-1)


def test_the_class_of_each_member_is_summed_out(mixture: Posterior) -> None:
    found = mixture.pointwise(draws=30, seed=2)["x"]
    np.testing.assert_allclose(found.values, mixture_density(mixture.draws(30, seed=2), X), rtol=1e-10)
    assert [axis.name for axis in found.axes] == ["N"]


def test_held_out_data_are_new_members(mixture: Posterior) -> None:
    other = RNG.normal(0, 3, (4, 2))
    found = mixture.log_likelihood(x=other, draws=30, seed=2)["x"]
    np.testing.assert_allclose(found, mixture_density(mixture.draws(30, seed=2), other), rtol=1e-10)


def test_statements_that_share_a_class_are_one_observation() -> None:
    text = """\
model two:
    for n in N:
        z[n] ~ Bernoulli(0.3)
        x[n] ~ Normal(2 * z[n], sd = 1)
        y[n] ~ Poisson(1 + 3 * z[n])
"""
    x, y = np.array([0.2, 1.9, np.nan]), np.array([1, 4, 2])
    found = ppl.parse(text).fit(x=x, y=y).log_likelihood(draws=3)
    inside = np.stack([np.nan_to_num(stats.norm(2 * z, 1).logpdf(x)) + stats.poisson(1 + 3 * z).logpmf(y) for z in (0, 1)])
    want = logsumexp(inside + np.log([[0.7], [0.3]]), axis=0)
    assert list(found) == ["x, y"]
    np.testing.assert_allclose(found["x, y"], np.broadcast_to(want, (3, 3)), rtol=1e-10)


def test_waic_is_its_definition(normal: Posterior) -> None:
    values = normal.log_likelihood()["y"]
    lppd = logsumexp(values, axis=0) - np.log(len(values))
    np.testing.assert_allclose(normal.waic().elpd_waic, (lppd - values.var(axis=0)).sum(), rtol=1e-9)


def test_loo_is_near_to_leaving_each_out(normal: Posterior) -> None:
    """Without observation i, mu is Normal with precision 1/4 + 11, and y_i is predicted with that spread and its own."""
    precision = 0.25 + len(Y) - 1
    exact = stats.norm((Y.sum() - Y) / precision, np.sqrt(1 + 1 / precision)).logpdf(Y)
    loo = normal.loo(draws=4000)
    np.testing.assert_allclose(np.asarray(loo.loo_i), exact, atol=0.03)
    assert float(np.max(loo.pareto_k)) < 0.7


LINE = """\
model line:
    input x: real[N]
    a ~ Normal(0, sd = 3)
    b ~ Normal(0, sd = 3)
    for n in N: y[n] ~ Normal(a + b * x[n], sd = 1)

approximate line:
    q(a) q(b)
"""


def leaving_each_out(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By fitting the line again without each observation."""
    design, found = np.stack([np.ones_like(x), x], axis=1), []
    for i in range(len(y)):
        kept = np.arange(len(y)) != i
        precision = np.eye(2) / 9 + design[kept].T @ design[kept]
        mean, cov = np.linalg.solve(precision, design[kept].T @ y[kept]), np.linalg.inv(precision)
        found.append(stats.norm(design[i] @ mean, np.sqrt(1 + design[i] @ cov @ design[i])).logpdf(y[i]))
    return np.array(found)


def test_loo_corrects_for_blocks_that_are_not_independent() -> None:
    """Intercept and slope are correlated: their mean field is too narrow, and without its weights it predicts too boldly."""
    rng = np.random.default_rng(11)
    x = np.linspace(-0.7, 1.3, 20)
    y = 1 + 2 * x + rng.normal(size=20)
    posterior, exact = ppl.parse(LINE).fit(x=x, y=y), leaving_each_out(x, y)
    assert not posterior.exact
    loo = posterior.loo(draws=8000)
    plain = criteria.loo(posterior.pointwise(draws=8000), 0)
    wrong = np.abs(np.asarray(loo.loo_i) - exact).max(), np.abs(np.asarray(plain.loo_i) - exact).max()
    assert 3 * wrong[0] < wrong[1] and wrong[0] < 0.03
    assert abs(loo.elpd_loo - exact.sum()) < 0.03 < 0.05 < abs(plain.elpd_loo - exact.sum())
    assert loo.elpd_loo == pytest.approx(np.asarray(loo.loo_i).sum())
    by_exact_draws = ppl.parse(LINE.partition("\napproximate")[0]).fit(x=x, y=y).loo(draws=8000)
    assert loo.p_loo == pytest.approx(by_exact_draws.p_loo, abs=0.03)
    assert loo.se == pytest.approx(by_exact_draws.se, rel=0.01)


def test_loo_of_a_mixture_is_weighed_by_the_parameters_alone(mixture: Posterior) -> None:
    """The classes are drawn given the parameters, and summed out."""
    assert mixture.weighed_draws is not None
    draws, log_weights = mixture.weighed_draws(500, 3)
    found = mixture.asked("loo").log_likelihood(draws, NewData(), 3)["x"].values
    np.testing.assert_allclose(found, mixture_density(dict(draws), X), rtol=1e-9)
    priors = stats.dirichlet([1, 1]).logpdf(draws["pi"].T) + stats.norm(0, 10).logpdf(draws["mu"]).sum(axis=1)
    mu, pi = mixture["mu"], mixture["pi"].params["concentration"]
    q = stats.norm(mu.mean, mu.sd).logpdf(draws["mu"]).sum(axis=1) + stats.dirichlet(pi).logpdf(draws["pi"].T)
    np.testing.assert_allclose(log_weights, priors + found.sum(axis=1) - q, atol=1e-7)
    assert draws["z"].shape == (500, 40)


def test_weights_that_cannot_be_trusted_are_told_by_every_k_hat(normal: Posterior) -> None:
    pointwise, heavy = normal.pointwise(), np.random.default_rng(0).standard_cauchy(1000)
    found, plain = criteria.loo_of_weighed(pointwise, np.abs(heavy)), criteria.loo(pointwise, 0)
    assert float(np.min(found.pareto_k)) > 0.7 and found.warning
    np.testing.assert_array_equal(found.loo_i, plain.loo_i)


def test_an_exact_posterior_has_no_weights(normal: Posterior) -> None:
    assert normal.weighed_draws is None


def test_a_prior_has_nothing_to_be_scored_by() -> None:
    with pytest.raises(ppl.AimError, match="AIM0808"):
        ppl.parse(NORMAL).fit(N=3).loo()
