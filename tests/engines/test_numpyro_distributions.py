"""Densities of every distribution of the catalogue, as the bridge builds them, against SciPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.engines.numpyro_bridge.distributions import Valued, build
from ppl.engines.precision import with_precision

MATRIX = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 1.0]])
OTHER = np.array([[1.1, 0.2, 0.0], [0.2, 0.7, 0.1], [0.0, 0.1, 1.9]])
CORRELATION = np.array([[1.0, 0.4], [0.4, 1.0]])
THREE = np.array([0.2, 0.5, 0.3])

CASES: list[tuple[str, dict[str, Any], Any, Callable[[Any], Any]]] = [
    ("Normal", {"mean": 0.3, "sd": 1.7}, 0.9, stats.norm(0.3, 1.7).logpdf),
    ("Normal", {"mean": 0.3, "var": 2.0}, 0.9, stats.norm(0.3, 2**0.5).logpdf),
    ("Normal", {"mean": 0.3, "precision": 4.0}, 0.9, stats.norm(0.3, 0.5).logpdf),
    ("MvNormal", {"mean": THREE, "cov": MATRIX}, np.ones(3), stats.multivariate_normal(THREE, MATRIX).logpdf),
    ("MvNormal", {"mean": THREE, "precision": np.linalg.inv(MATRIX)}, np.ones(3), stats.multivariate_normal(THREE, MATRIX).logpdf),
    ("MvNormal", {"mean": THREE, "scale_tril": np.linalg.cholesky(MATRIX)}, np.ones(3), stats.multivariate_normal(THREE, MATRIX).logpdf),
    ("Gamma", {"shape": 2.5, "rate": 3.0}, 0.7, stats.gamma(2.5, scale=1 / 3).logpdf),
    ("Gamma", {"shape": 2.5, "scale": 3.0}, 0.7, stats.gamma(2.5, scale=3).logpdf),
    ("Exponential", {"rate": 3.0}, 0.7, stats.expon(scale=1 / 3).logpdf),
    ("InverseGamma", {"shape": 2.5, "scale": 3.0}, 0.7, stats.invgamma(2.5, scale=3).logpdf),
    ("ChiSquared", {"df": 4.5}, 0.7, stats.chi2(4.5).logpdf),
    ("Beta", {"a": 2.5, "b": 0.7}, 0.3, stats.beta(2.5, 0.7).logpdf),
    ("Dirichlet", {"concentration": 4 * THREE}, np.array([0.1, 0.6, 0.3]), stats.dirichlet(4 * THREE).logpdf),
    ("Wishart", {"df": 5.5, "scale": MATRIX}, OTHER, stats.wishart(5.5, MATRIX).logpdf),
    ("InverseWishart", {"df": 5.5, "scale": MATRIX}, OTHER, stats.invwishart(5.5, MATRIX).logpdf),
    ("LKJ", {"dim": 2, "concentration": 1.7}, CORRELATION, lambda c: stats.beta(1.7, 1.7, loc=-1, scale=2).logpdf(c[0, 1])),
    ("Bernoulli", {"p": 0.3}, 1.0, stats.bernoulli(0.3).logpmf),
    ("Bernoulli", {"logit": 0.7}, 0.0, stats.bernoulli(special.expit(0.7)).logpmf),
    ("Bernoulli", {"probit": -6.0}, 1.0, lambda x: stats.norm.logcdf(-6.0)),
    ("Categorical", {"p": THREE}, 1, lambda k: np.log(THREE[k])),
    ("Categorical", {"logits": THREE}, 1, lambda k: special.log_softmax(THREE)[k]),
    ("Binomial", {"n": 7, "p": 0.3}, 2.0, stats.binom(7, 0.3).logpmf),
    ("Binomial", {"n": 7, "logit": 0.3}, 2.0, stats.binom(7, special.expit(0.3)).logpmf),
    ("Multinomial", {"n": 6, "p": THREE}, np.array([1.0, 3.0, 2.0]), stats.multinomial(6, THREE).logpmf),
    ("Poisson", {"rate": 2.5}, 4.0, stats.poisson(2.5).logpmf),
    ("Poisson", {"log_rate": 0.7}, 4.0, stats.poisson(np.exp(0.7)).logpmf),
    ("Geometric", {"p": 0.3}, 4.0, stats.geom(0.3, loc=-1).logpmf),
    ("NegativeBinomial", {"mean": 3.0, "concentration": 1.4}, 4.0, stats.nbinom(1.4, 1.4 / 4.4).logpmf),
    ("BetaBinomial", {"n": 7, "a": 1.3, "b": 2.4}, 2.0, stats.betabinom(7, 1.3, 2.4).logpmf),
    ("DirichletMultinomial", {"n": 6, "concentration": 4 * THREE}, np.array([1, 3, 2]), stats.dirichlet_multinomial(4 * THREE, 6).logpmf),
    ("StudentT", {"df": 3.5, "mean": 0.3, "sd": 1.7}, 0.9, stats.t(3.5, 0.3, 1.7).logpdf),
    ("Cauchy", {"mean": 0.3, "scale": 1.7}, 0.9, stats.cauchy(0.3, 1.7).logpdf),
    ("Laplace", {"mean": 0.3, "scale": 1.7}, 0.9, stats.laplace(0.3, 1.7).logpdf),
    ("Logistic", {"mean": 0.3, "scale": 1.7}, 0.9, stats.logistic(0.3, 1.7).logpdf),
    ("HalfNormal", {"sd": 1.7}, 0.9, stats.halfnorm(scale=1.7).logpdf),
    ("HalfCauchy", {"scale": 1.7}, 0.9, stats.halfcauchy(scale=1.7).logpdf),
    ("HalfStudentT", {"df": 3.5, "scale": 1.7}, 0.9, lambda x: np.log(2) + stats.t(3.5, 0, 1.7).logpdf(x)),
    ("LogNormal", {"mean": 0.3, "sd": 0.7}, 0.9, stats.lognorm(0.7, scale=np.exp(0.3)).logpdf),
    ("Weibull", {"shape": 2.5, "scale": 3.0}, 0.7, stats.weibull_min(2.5, scale=3).logpdf),
    ("Pareto", {"scale": 0.5, "shape": 3.0}, 0.7, stats.pareto(3, scale=0.5).logpdf),
    ("Uniform", {"low": -1.0, "high": 3.0}, 0.7, stats.uniform(-1, 4).logpdf),
    ("TruncatedNormal", {"mean": 0.3, "sd": 1.7, "low": -1.0, "high": 2.0}, 0.7, stats.truncnorm(-1.3 / 1.7, 1, 0.3, 1.7).logpdf),
    ("TruncatedNormal", {"mean": 0.0, "sd": 1.0, "low": 9.0, "high": np.inf}, 9.1, stats.truncnorm(9, np.inf).logpdf),
    ("TruncatedNormal", {"mean": 0.0, "sd": 1.0, "low": -np.inf, "high": -9.0}, -9.1, stats.truncnorm(-np.inf, -9).logpdf),
    ("VonMises", {"mean": 0.3, "concentration": 1.7}, 0.9, stats.vonmises(1.7, loc=0.3).logpdf),
    ("Flat", {}, 0.9, lambda x: 0.0),
    ("HalfFlat", {}, 0.9, lambda x: 0.0),
    ("OrderedLogistic", {"predictor": 0.3, "cutpoints": np.array([-1.0, 0.5])}, 1, lambda k: np.log(special.expit(0.2) - special.expit(-1.3))),
    ("OrderedLogistic", {"predictor": 0.3, "cutpoints": np.array([-1.0, 0.5])}, 2, lambda k: np.log(special.expit(-0.2))),
    ("ZeroInflatedPoisson", {"zero": 0.3, "rate": 1.5}, 0.0, lambda x: np.log(0.3 + 0.7 * np.exp(-1.5))),
    ("ZeroInflatedPoisson", {"zero": 0.3, "rate": 1.5}, 2.0, lambda x: np.log(0.7) + stats.poisson(1.5).logpmf(2)),
    ("Delta", {"value": 0.7}, 0.7, lambda x: 0.0),
]  # fmt: skip


def valued(name: str, arguments: dict[str, Any], *components: Valued) -> Valued:
    return Valued(name, {k: Plated((), np.asarray(v)) for k, v in arguments.items()}, components)


def log_density(one: Valued, value: Any) -> np.ndarray:
    return with_precision(np.float64, lambda: np.asarray(build(one, ()).log_prob(np.asarray(value))))()


@pytest.mark.parametrize(("name", "arguments", "value", "expected"), CASES, ids=[f"{c[0]}-{'-'.join(c[1])}-{c[2]}"[:40] for c in CASES])
def test_density_is_that_of_scipy(name: str, arguments: dict[str, Any], value: Any, expected: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(log_density(valued(name, arguments), value), expected(value), rtol=1e-9)


def test_every_distribution_of_the_catalogue_is_here() -> None:
    assert {c[0] for c in CASES} | {"Mixture", "Truncated", "Ordered"} == set(DISTRIBUTIONS)


NORMAL, STUDENT = valued("Normal", {"mean": 0.3, "sd": 1.7}), valued("StudentT", {"df": 3.0, "mean": -1.0, "sd": 0.5})
GAMMA, POISSON = valued("Gamma", {"shape": 2.5, "rate": 1.5}), valued("Poisson", {"rate": 2.5})


@pytest.mark.parametrize("x", [-2.0, 0.4, 3.0])
def test_mixture_is_the_weighted_sum(x: float) -> None:
    mixture = valued("Mixture", {"weights": np.array([0.3, 0.5, 0.2])}, NORMAL, STUDENT, GAMMA)
    expected = 0.3 * stats.norm(0.3, 1.7).pdf(x) + 0.5 * stats.t(3, -1, 0.5).pdf(x) + 0.2 * stats.gamma(2.5, scale=1 / 1.5).pdf(x)
    np.testing.assert_allclose(log_density(mixture, x), np.log(expected), rtol=1e-9)


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (0.5, np.inf), (-np.inf, 2.0)])
def test_truncation_divides_by_the_mass(low: float, high: float) -> None:
    for inner, whole in ((NORMAL, stats.norm(0.3, 1.7)), (STUDENT, stats.t(3, -1, 0.5)), (GAMMA, stats.gamma(2.5, scale=1 / 1.5))):
        got = log_density(valued("Truncated", {"low": low, "high": high}, inner), 1.1)
        np.testing.assert_allclose(got, whole.logpdf(1.1) - np.log(whole.cdf(high) - whole.cdf(low)), rtol=1e-8)


def test_bounds_of_counts_belong_to_them() -> None:
    got = [log_density(valued("Truncated", {"low": 1.0, "high": 4.0}, POISSON), k) for k in range(6)]
    mass = stats.poisson(2.5).pmf(np.arange(1, 5))
    np.testing.assert_allclose(np.exp(got), [0, *(mass / mass.sum()), 0], rtol=1e-9)


def test_choice_takes_the_arm_that_holds() -> None:
    chosen = Valued("Choice", {}, (NORMAL, GAMMA), (Plated(("n",), np.array([1.0, 0.0])), Plated((), np.asarray(1.0))))
    got = with_precision(np.float64, lambda: np.asarray(build(chosen, ("n",)).log_prob(np.array([-0.5, 0.5]))))()
    np.testing.assert_allclose(got, [stats.norm(0.3, 1.7).logpdf(-0.5), stats.gamma(2.5, scale=1 / 1.5).logpdf(0.5)], rtol=1e-9)


DRAWN = [
    (valued("Truncated", {"low": 0.5, "high": np.inf}, GAMMA), lambda x: stats.gamma(2.5, scale=1 / 1.5).cdf(x), 0.5),
    (valued("Truncated", {"low": -np.inf, "high": 0.2}, STUDENT), lambda x: stats.t(3, -1, 0.5).cdf(x), -np.inf),
    (valued("TruncatedNormal", {"mean": 0.0, "sd": 1.0, "low": 1.0, "high": np.inf}), stats.norm.cdf, 1.0),
]


@pytest.mark.parametrize(("one", "cumulative", "low"), DRAWN, ids=["gamma", "student", "normal"])
def test_draws_of_truncated_distributions_follow_their_law(one: Valued, cumulative: Callable[[Any], Any], low: float) -> None:
    draws = with_precision(np.float64, lambda: np.asarray(build(one, ()).sample(jax.random.PRNGKey(0), (4000,))))()
    start, high = cumulative(low), float(one.arguments["high"].data)
    uniform = (cumulative(draws) - start) / (cumulative(high) - start)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
