"""A belief says of its family what SciPy says of it; what was observed is certain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from ppl.results.belief import Belief
from tests.reference.gaussians import log_normal

RNG = np.random.default_rng(5)
SHAPE, RATE = np.array([1.5, 4.0]), np.array([0.5, 2.0])
COV = np.array([[2.0, 0.6], [0.6, 0.5]])

SCALARS: dict[str, tuple[Belief, Any]] = {
    "Normal": (Belief("x", "Normal", {"mean": np.array([1.0, -2.0]), "sd": RATE}), stats.norm([1.0, -2.0], RATE)),
    "Gamma": (Belief("x", "Gamma", {"shape": SHAPE, "rate": RATE}), stats.gamma(SHAPE, scale=1 / RATE)),
    "InverseGamma": (Belief("x", "InverseGamma", {"shape": 3 + SHAPE, "scale": RATE}), stats.invgamma(3 + SHAPE, scale=RATE)),
    "Beta": (Belief("x", "Beta", {"a": SHAPE, "b": RATE}), stats.beta(SHAPE, RATE)),
    "Poisson": (Belief("x", "Poisson", {"rate": RATE}), stats.poisson(RATE)),
    "Binomial": (Belief("x", "Binomial", {"n": np.array([4.0, 9.0]), "p": np.array([0.2, 0.7])}), stats.binom([4, 9], [0.2, 0.7])),
    "Bernoulli": (Belief("x", "Bernoulli", {"p": np.array([0.2, 0.7])}), stats.bernoulli([0.2, 0.7])),
}
every_scalar = pytest.mark.parametrize("family", SCALARS)
DISCRETE = ("Poisson", "Binomial", "Bernoulli")


@every_scalar
def test_moments_are_those_of_the_family(family: str) -> None:
    belief, reference = SCALARS[family]
    np.testing.assert_allclose(belief.mean, reference.mean(), rtol=1e-12)
    np.testing.assert_allclose(belief.var, reference.var(), rtol=1e-12)
    np.testing.assert_allclose(belief.sd, reference.std(), rtol=1e-12)


@every_scalar
@pytest.mark.parametrize("q", [0.025, 0.4, 0.975])
def test_quantiles_are_those_of_the_family(family: str, q: float) -> None:
    belief, reference = SCALARS[family]
    np.testing.assert_allclose(belief.quantile(q), reference.ppf(q), rtol=1e-8)
    np.testing.assert_allclose(belief.quantile(np.array([q, 0.5])), np.stack([reference.ppf(q), reference.ppf(0.5)]), rtol=1e-8)


@every_scalar
def test_the_interval_is_between_the_quantiles_of_its_tails(family: str) -> None:
    belief, reference = SCALARS[family]
    low, high = belief.interval(0.9)
    np.testing.assert_allclose(low, reference.ppf(0.05), rtol=1e-8)
    np.testing.assert_allclose(high, reference.ppf(0.95), rtol=1e-8)


@every_scalar
def test_the_log_density_is_that_of_the_family(family: str) -> None:
    belief, reference = SCALARS[family]
    x = np.asarray(reference.ppf(0.6))
    wanted = reference.logpmf(x) if family in DISCRETE else reference.logpdf(x)
    np.testing.assert_allclose(belief.log_density(x), wanted, rtol=1e-6)


@every_scalar
def test_the_mode_is_the_most_probable_value(family: str) -> None:
    belief, _ = SCALARS[family]
    at_mode = belief.log_density(np.asarray(belief.mode))
    step = 1.0 if family in DISCRETE else 1e-3
    for beside in (belief.mode - step, belief.mode + step):
        assert (at_mode >= belief.log_density(np.asarray(beside)) - 1e-9).all()


@every_scalar
def test_draws_have_the_moments_of_the_family(family: str) -> None:
    belief, reference = SCALARS[family]
    draws = belief.sample(20_000, seed=1)
    assert draws.shape == (20_000, 2)
    assert (np.abs(draws.mean(axis=0) - reference.mean()) < 5 * reference.std() / np.sqrt(20_000)).all()
    np.testing.assert_array_equal(belief.sample(5, seed=2), belief.sample(5, seed=2))


def test_a_categorical_has_the_mean_of_its_ordinals_and_its_likeliest_member() -> None:
    belief = Belief("z", "Categorical", {"p": np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])}, members=("a", "b", "c"))
    np.testing.assert_allclose(belief.mean, [1.1, 0.5])
    np.testing.assert_allclose(belief.var, [0.49, 0.65])
    np.testing.assert_array_equal(belief.mode, [1, 0])
    np.testing.assert_allclose(belief.log_density(np.array([2, 0])), np.log([0.3, 0.7]), rtol=1e-6)
    np.testing.assert_array_equal(belief.quantile(0.5), [1, 0])


def test_entries_of_a_dirichlet_have_beta_quantiles() -> None:
    c = np.array([2.0, 1.0, 4.0])
    belief = Belief("p", "Dirichlet", {"concentration": c})
    np.testing.assert_allclose(belief.mean, c / 7)
    np.testing.assert_allclose(belief.quantile(0.3), stats.beta.ppf(0.3, c, 7 - c), rtol=1e-8)


def test_entries_of_a_vector_normal_have_their_marginals() -> None:
    belief = Belief("m", "MvNormal", {"mean": np.array([1.0, -1.0]), "cov": COV})
    np.testing.assert_allclose(belief.sd, np.sqrt(np.diag(COV)))
    np.testing.assert_allclose(belief.quantile(0.9), stats.norm.ppf(0.9, [1, -1], np.sqrt(np.diag(COV))))
    np.testing.assert_allclose(belief.log_density([0.5, 0.0]), log_normal([0.5, 0.0], [1, -1], COV), rtol=1e-6)
    draws = belief.sample(20_000, seed=0)
    np.testing.assert_allclose(np.cov(draws.T), COV, atol=0.1)


def test_a_wishart_has_its_mean_and_variances() -> None:
    belief = Belief("P", "Wishart", {"df": np.array(5.0), "scale": COV})
    np.testing.assert_allclose(belief.mean, 5 * COV)
    np.testing.assert_allclose(belief.var, stats.wishart(5, COV).var())


def test_what_was_observed_is_certain() -> None:
    observed = np.array([True, False])
    belief = Belief(
        "x", "Normal", {"mean": np.array([3.0, 0.0]), "sd": np.array([0.0, 2.0])}, observed=observed, values=np.array([3.0, np.nan])
    )
    np.testing.assert_array_equal(belief.mean, [3.0, 0.0])
    np.testing.assert_array_equal(belief.sd, [0.0, 2.0])
    np.testing.assert_array_equal(belief.mode, [3.0, 0.0])
    np.testing.assert_allclose(belief.quantile(0.975), [3.0, 3.919927969])
    assert (belief.sample(10)[:, 0] == 3.0).all()


def test_a_known_value_has_no_spread_and_no_density() -> None:
    belief = Belief("d", "Delta", {"value": np.array([1.0, 2.0])})
    np.testing.assert_array_equal(belief.mean, [1.0, 2.0])
    np.testing.assert_array_equal(belief.sd, [0.0, 0.0])
    np.testing.assert_array_equal(belief.quantile(0.1), belief.mode)
    assert belief.sample(3).shape == (3, 2)
    with pytest.raises(ValueError, match="has no density"):
        belief.log_density(1.0)


def test_draws_stand_for_a_belief_without_a_family() -> None:
    draws = RNG.normal(size=(500, 3))
    belief = Belief("e", "Draws", {}, draws=draws)
    np.testing.assert_allclose(belief.mean, draws.mean(axis=0))
    np.testing.assert_allclose(belief.sd, draws.std(axis=0))
    np.testing.assert_allclose(belief.quantile(0.2), np.quantile(draws, 0.2, axis=0))
    assert belief.sample(7).shape == (7, 3)
    with pytest.raises(ValueError, match="no mode"):
        _ = belief.mode


def test_the_log_density_is_in_double_precision_whatever_the_callers_is() -> None:
    import jax

    belief, reference = SCALARS["Gamma"]
    with jax.enable_x64(False):
        np.testing.assert_allclose(belief.log_density(np.array([0.7, 1.9])), reference.logpdf([0.7, 1.9]), rtol=1e-12)


def test_the_log_density_of_an_observed_entry_is_that_of_a_certain_value() -> None:
    import ppl

    belief = ppl.parse("model m:\n    mu ~ Normal(0, 1)\n    for n in N: x[n] ~ Normal(mu, 1)\n").fit(x=[1.0, np.nan])["x"]
    assert not np.isnan(belief.log_density(np.array([1.0, 0.3]))).any()
    assert belief.log_density(np.array([5.0, 0.3]))[0] == -np.inf


def test_quantiles_of_an_observed_simplex_are_its_values() -> None:
    import ppl

    text = "model m:\n    for n in N:\n        r[n] ~ Dirichlet(ones(3))\n        y[n] ~ Categorical(r[n])\n"
    belief = ppl.parse(text).fit(r=[[0.1, 0.2, 0.7], [np.nan] * 3], y=[1, 0])["r"]
    np.testing.assert_allclose(belief.quantile(0.5)[0], [0.1, 0.2, 0.7])
