"""Blocks that are not conjugate: the best Normal is found, the bound never falls, and expectations are exact."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit, log_ndtr, ndtr

import ppl
from ppl.engines.precision import with_precision
from ppl.numerics.gaussian_expectation import EXPECTATIONS, POINTWISE, gaussian_expectation
from ppl.results.posterior import Posterior
from tests.reference.best_gaussian import best_gaussian
from tests.reference.models import source

X = np.array([-1.3, -0.8, -0.2, 0.1, 0.5, 0.9, 1.4, 2.0])
BITS = np.array([0, 1, 0, 0, 1, 0, 1, 1])
COUNTS = np.array([12, 9, 17, 25, 22, 31, 48, 60])
REALS = np.array([1.2, -0.4, 2.6, 0.8, -3.1, 1.9, -0.2, 4.0])
LINE = "input x: real[N]\na ~ Normal(0, 2)\nb ~ Normal(0, 1)\n"


def line(t: np.ndarray) -> np.ndarray:
    return t[:, :1] + t[:, 1:] * X


def prior(t: np.ndarray) -> np.ndarray:
    return stats.norm.logpdf(t[:, 0], 0, 2) + (stats.norm.logpdf(t[:, 1]) if t.shape[1] > 1 else 0.0)


@dataclass(frozen=True)
class Case:
    """`likelihood` has the data along its last axis; `loss` is what the bound of the best Normal may lack of the evidence."""

    text: str
    data: dict[str, Any]
    likelihood: Callable[[np.ndarray], np.ndarray]
    loss: float = 0.1


CASES = {
    "logit": Case(
        LINE + "for n in N: y[n] ~ Bernoulli(logit = a + b * x[n])",
        {"x": X, "y": BITS},
        lambda t: stats.bernoulli.logpmf(BITS, expit(line(t))),
    ),
    "sigmoid": Case(
        LINE + "for n in N: y[n] ~ Bernoulli(1 - sigmoid(a + b * x[n]))",
        {"x": X, "y": 1 - BITS},
        lambda t: stats.bernoulli.logpmf(BITS, expit(line(t))),
    ),
    "probit": Case(
        LINE + "for n in N: y[n] ~ Bernoulli(probit = a + b * x[n])",
        {"x": X, "y": BITS},
        lambda t: np.where(BITS == 1, log_ndtr(line(t)), log_ndtr(-line(t))),
    ),
    "binomial": Case(
        LINE + "for n in N: y[n] ~ Binomial(70, logit = a + b * x[n])",
        {"x": X, "y": COUNTS},
        lambda t: stats.binom.logpmf(COUNTS, 70, expit(line(t))),
    ),
    "poisson": Case(
        LINE + "for n in N: y[n] ~ Poisson(log_rate = a + b * x[n])",
        {"x": X, "y": COUNTS},
        lambda t: stats.poisson.logpmf(COUNTS, np.exp(line(t))),
    ),
    "poisson with an exposure": Case(
        LINE + "for n in N: y[n] ~ Poisson(3 * exp(a) * exp(b * x[n]) / 2)",
        {"x": X, "y": COUNTS},
        lambda t: stats.poisson.logpmf(COUNTS, 1.5 * np.exp(line(t))),
    ),
    "exponential": Case(
        LINE + "for n in N: y[n] ~ Exponential(exp(a + b * x[n]))",
        {"x": X, "y": COUNTS},
        lambda t: stats.expon.logpdf(COUNTS, scale=np.exp(-line(t))),
    ),
    "sd": Case(
        LINE + "for n in N: y[n] ~ Normal(0.5, sd = exp(a + b * x[n]))",
        {"x": X, "y": REALS},
        lambda t: stats.norm.logpdf(REALS, 0.5, np.exp(line(t))),
    ),
    "precision": Case(
        "a ~ Normal(0, 2)\nfor n in N: y[n] ~ Normal(0.5, precision = exp(a))",
        {"y": REALS},
        lambda t: stats.norm.logpdf(REALS, 0.5, np.exp(-t / 2)),
    ),
    "shape of a Gamma's rate": Case(
        "a ~ Normal(0, 2)\nfor n in N: y[n] ~ Gamma(2, scale = exp(a))",
        {"y": COUNTS},
        lambda t: stats.gamma.logpdf(COUNTS, 2, scale=np.exp(t)),
    ),
}
every_case = pytest.mark.parametrize("name", CASES)


@cache
def fitted(name: str) -> Posterior:
    return ppl.parse(source(CASES[name].text)).fit(**CASES[name].data)


def rises(trace: np.ndarray) -> bool:
    return bool((np.diff(trace) >= -1e-9 * (1 + np.abs(trace[:-1]))).all())


@every_case
def test_the_best_normal_is_found(name: str) -> None:
    case, posterior = CASES[name], fitted(name)
    names = [n for n in ("a", "b") if n in posterior.names]
    best = best_gaussian(lambda t: prior(t) + case.likelihood(t).sum(axis=-1), len(names))
    assert posterior.converged and not posterior.exact
    assert posterior.elbo == pytest.approx(best.bound, abs=1e-6)
    np.testing.assert_allclose([posterior[n].mean for n in names], best.mean, atol=1e-4 * best.sd.max())
    np.testing.assert_allclose([posterior[n].sd for n in names], best.sd, rtol=1e-4)
    assert best.log_evidence - case.loss < posterior.elbo <= best.log_evidence


@every_case
def test_the_bound_never_falls(name: str) -> None:
    assert rises(fitted(name).elbo_trace)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_wide_priors_and_unscaled_inputs_make_no_trouble(scale: float, dtype: str) -> None:
    """Under the prior itself the expected rate is infinite."""
    text = "input x: real[N]\na ~ Normal(0, 100)\nb ~ Normal(0, 1e5)\nfor n in N: y[n] ~ Poisson(log_rate = a + b * x[n])"
    posterior = ppl.parse(source(text)).fit(x=X * scale, y=COUNTS * 1000, dtype=dtype)
    assert posterior.converged and (dtype == "float32" or rises(posterior.elbo_trace))
    design, slopes = np.stack([np.ones_like(X), X], axis=1), np.array([np.log(1000.0 * COUNTS.mean()), 0.0])
    for _ in range(50):  # Newton's steps to the maximum of the likelihood
        rates = np.exp(design @ slopes)
        slopes = slopes + np.linalg.solve(design.T @ (rates[:, None] * design), design.T @ (COUNTS * 1000 - rates))
    assert posterior["b"].mean * scale == pytest.approx(slopes[1], rel=2e-3)


def test_other_blocks_stay_conjugate_beside_a_smooth_function() -> None:
    """Given q(a), the best q(g) is the Gamma that Poisson's message gives; both together reach the optimum over both."""
    text = "g ~ Gamma(2, 1)\na ~ Normal(0, 2)\ninput x: real[N]\nfor n in N: y[n] ~ Poisson(g * exp(a * x[n]))"
    posterior = ppl.parse(source(text)).fit(x=X, y=COUNTS)
    mean, sd = posterior["a"].mean, posterior["a"].sd
    assert posterior["g"].params["shape"] == pytest.approx(2 + COUNTS.sum())
    assert posterior["g"].params["rate"] == pytest.approx(1 + np.exp(mean * X + 0.5 * (sd * X) ** 2).sum(), rel=1e-5)
    assert rises(posterior.elbo_trace)


def test_random_effects_meet_the_intercept_in_one_block() -> None:
    """The evidence integrates the effects one by one, given the intercept."""
    text = "b ~ Normal(0, 2)\nfor n in N:\n    e[n] ~ Normal(0, sd = 0.7)\n    y[n] ~ Poisson(log_rate = b + e[n])"
    posterior = ppl.parse(source(text)).fit(y=COUNTS)
    nodes = np.linspace(-8, 8, 801)
    effects = stats.norm.pdf(nodes) * (nodes[1] - nodes[0])
    intercepts = np.linspace(-1, 8, 901)
    rates = np.exp(intercepts[:, None] + 0.7 * nodes)
    local = np.log((stats.poisson.pmf(COUNTS[:, None, None], rates) * effects).sum(axis=-1))
    joint = np.exp(stats.norm.logpdf(intercepts, 0, 2) + local.sum(axis=0))
    evidence = np.log(joint.sum() * (intercepts[1] - intercepts[0]))
    assert len(posterior.plan.blocks) == 1
    assert evidence - 0.1 < posterior.elbo <= evidence
    assert posterior["b"].mean == pytest.approx((joint @ intercepts) / joint.sum(), abs=0.01)
    assert rises(posterior.elbo_trace)


def test_the_sd_of_random_effects_is_learnt() -> None:
    text = "t ~ Gamma(2, 1)\nb ~ Normal(0, 2)\nfor n in N:\n    e[n] ~ Normal(0, precision = t)\n    y[n] ~ Poisson(log_rate = b + e[n])"
    posterior = ppl.parse(source(text)).fit(y=COUNTS)
    second = posterior["e"].mean ** 2 + posterior["e"].sd ** 2
    assert posterior["t"].params["rate"] == pytest.approx(1 + 0.5 * second.sum(), rel=1e-5)
    assert posterior.converged and rises(posterior.elbo_trace)


def test_the_plan_names_the_statement_that_is_not_conjugate() -> None:
    told = str(fitted("logit").plan)
    assert "natural-gradient steps" in told and "y ~ Bernoulli" in told.split("natural-gradient steps")[1]


# ------------------------------------------------------------------ expectations
REFERENCES = {"exp": np.exp, "sigmoid": expit, "softplus": lambda x: np.logaddexp(0, x), "normal_cdf": ndtr, "log_normal_cdf": log_ndtr}
TOLERANCES = {"log_normal_cdf": 1e-6}


def in_double(expectation: Callable[..., Any]) -> Callable[..., Any]:
    def called(function: str, mean: float, variance: float) -> Any:
        return expectation(function, jnp.asarray(mean), jnp.asarray(variance))

    return lambda *arguments: jax.tree.map(np.asarray, with_precision(np.float64, called)(*arguments))


def test_every_smooth_function_has_a_reference() -> None:
    assert set(REFERENCES) == set(EXPECTATIONS)


@pytest.mark.parametrize("function", REFERENCES)
@pytest.mark.parametrize("sd", [0.01, 0.5, 2.0, 10.0])
@pytest.mark.parametrize("mean", [-6.0, 0.0, 1.5, 20.0])
def test_expectations_are_those_of_a_quadrature(function: str, mean: float, sd: float) -> None:
    if function == "exp":
        reference = np.exp(mean + sd**2 / 2)
    else:
        inner = [p for p in (0.0, mean, mean - sd, mean + sd, -3.0, 3.0) if abs(p - mean) < 11 * sd]
        edges = sorted({mean - 11 * sd, *inner, mean + 11 * sd})

        def integrand(x: float) -> float:
            return float(REFERENCES[function](x) * stats.norm.pdf(x, mean, sd))

        reference = sum(integrate.quad(integrand, a, b, epsabs=1e-13, epsrel=1e-11)[0] for a, b in itertools.pairwise(edges))
    tolerance = TOLERANCES.get(function, 1e-10)
    assert in_double(gaussian_expectation)(function, mean, sd**2) == pytest.approx(reference, rel=tolerance, abs=tolerance)
    single = gaussian_expectation(function, jnp.asarray(mean, jnp.float32), jnp.asarray(sd**2, jnp.float32))
    assert single.dtype == jnp.float32 and float(single) == pytest.approx(reference, rel=3e-5, abs=1e-5)


def test_without_spread_the_expectation_is_the_function_itself() -> None:
    at = np.linspace(-6.0, 6.0, 25)
    assert POINTWISE.keys() == EXPECTATIONS.keys()
    for function, own in POINTWISE.items():
        np.testing.assert_allclose(
            with_precision(np.float64, lambda own=own: np.asarray(own(jnp.asarray(at))))(),
            in_double(gaussian_expectation)(function, at, 0.0 * at),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize("function", REFERENCES)
def test_derivatives_are_those_of_the_expectation(function: str) -> None:
    """Also at a variance of 0, where that by the variance is half the second derivative (Price)."""
    for mean, variance in ((0.3, 1.7), (-1.0, 0.0)):
        slope = in_double(jax.grad(gaussian_expectation, argnums=(1, 2)))(function, mean, variance)
        step = 1e-4

        def at(m: float, v: float) -> float:
            return float(in_double(gaussian_expectation)(function, m, v))

        by_mean = (at(mean + step, variance) - at(mean - step, variance)) / (2 * step)
        curvature = (at(mean + step, variance) - 2 * at(mean, variance) + at(mean - step, variance)) / step**2
        np.testing.assert_allclose(slope, [by_mean, 0.5 * curvature], atol=1e-6)
