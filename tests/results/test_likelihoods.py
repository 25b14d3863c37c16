"""Pointwise likelihoods against the densities written out; WAIC and LOO against their definitions and exact leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import ppl
from ppl.results.posterior import Posterior

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


def test_a_prior_has_nothing_to_be_scored_by() -> None:
    with pytest.raises(ppl.AimError, match="AIM0808"):
        ppl.parse(NORMAL).fit(N=3).loo()
