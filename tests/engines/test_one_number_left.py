"""A model that is exact given one number, which is integrated over: nothing in two places of a statement is taken as independent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from scipy.special import logsumexp

import ppl

SMALL = np.array([1.3, 0.8, 2.1])
FINE = np.linspace(-12.0, 12.0, 480_001)
POSITIVE = np.linspace(0.0, 80.0, 800_001)[1:]


def normal(mean: np.ndarray, sd: Any, x: np.ndarray) -> np.ndarray:
    return stats.norm.logpdf(x[:, None], mean, sd).sum(axis=0)


#: statements, data, the log density of `a` and the data at a grid
MODELS: dict[str, tuple[str, dict[str, Any], Callable[[np.ndarray], np.ndarray], np.ndarray]] = {
    "a square": ("a ~ Normal(0.2, 1)\nfor n in N: x[n] ~ Normal(a * a, 0.5)", {"x": SMALL}, lambda a: normal(a**2, 0.5, SMALL), FINE),
    "a square with far modes": (
        "a ~ Normal(0.2, 1)\nfor n in N: x[n] ~ Normal(a * a, 0.01)",
        {"x": np.array([4.0, 4.01])},
        lambda a: normal(a**2, 0.01, np.array([4.0, 4.01])),
        FINE,
    ),
    "a number and its square": (
        "a ~ Normal(0.2, 1)\nfor n in N: x[n] ~ Normal(0.3 * a + 0.5 * a * a - a ^ 3 / 10, 0.5)",
        {"x": SMALL},
        lambda a: normal(0.3 * a + 0.5 * a**2 - a**3 / 10, 0.5, SMALL),
        FINE,
    ),
    "a mean that is its own spread": (
        "a ~ Normal(0.2, 1)\nfor n in N: x[n] ~ Normal(a, sd = exp(0.5 * a))",
        {"x": SMALL},
        lambda a: normal(a, np.exp(0.5 * a), SMALL),
        FINE,
    ),
    "a shape": (
        "a ~ Gamma(2, 1)\nfor n in N: x[n] ~ Gamma(a, 1)",
        {"x": SMALL},
        lambda a: stats.gamma.logpdf(SMALL[:, None], a).sum(axis=0),
        POSITIVE,
    ),
    "a shape that is its own rate": (
        "a ~ Gamma(2, 1)\nfor n in N: x[n] ~ Gamma(a, rate = a)",
        {"x": SMALL},
        lambda a: stats.gamma.logpdf(SMALL[:, None], a, scale=1 / a).sum(axis=0),
        POSITIVE,
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_the_rest_is_exact_given_one_number(case: str) -> None:
    text, data, likelihood, grid = MODELS[case]
    lines = "".join(f"    {line}\n" for line in text.split("\n"))
    named = "\napproximate m:\n    q(a)\n" if case == "a number and its square" else ""
    posterior = ppl.parse(f"model m:\n{lines}{named}").fit(**data)
    prior = stats.gamma(2).logpdf(grid) if grid is POSITIVE else stats.norm(0.2, 1).logpdf(grid)
    log = likelihood(grid) + prior
    weights = np.exp(log - logsumexp(log))
    mean = weights @ grid
    assert posterior.exact
    assert "integrated over: a, by quadrature" in str(posterior.plan)
    assert posterior.log_evidence == pytest.approx(logsumexp(log) + np.log(grid[1] - grid[0]), abs=1e-8)
    assert posterior["a"].mean == pytest.approx(mean, abs=1e-8)
    assert posterior["a"].var == pytest.approx(weights @ (grid - mean) ** 2, abs=1e-8)


@pytest.mark.parametrize("after", ["", "\napproximate m:\n    q(a, b)\n"])
def test_what_is_not_left_with_one_number_is_sampled(after: str) -> None:
    text = "model m:\n    a ~ Normal(0, 1)\n    b ~ Normal(0, 1)\n    x ~ Normal(a * a + b * b, 0.5)\n"
    plan = ppl.parse(text + after).explain(x=1.0)
    assert plan.engine == "nuts"
    assert "a product of `a` with itself" in str(plan)


def test_what_was_observed_stays_as_it_is_where_the_rest_is_a_mixture() -> None:
    text = "model m:\n    a ~ Normal(0, 3)\n    tau ~ Gamma(2, 1)\n    for n in N: y[n] ~ Normal(a, precision = tau)\n\napproximate m:\n    q(a, tau)\n"
    belief = ppl.parse(text).fit(y=[1.0, np.nan, 2.5])["y"]
    seen = np.array([True, False, True])
    assert belief.mean[seen].tolist() == [1.0, 2.5] and belief.var[seen].tolist() == [0.0, 0.0]
    assert belief.observed is not None and belief.observed.tolist() == seen.tolist()
    assert belief.sd[1] > 1.0
    assert belief.part((slice(1, 3),)).mean[1] == 2.5


COUNTED = np.array([0.0, 2.0, 5.0, 1.0])
UNIT = np.linspace(0.0, 1.0, 400_001)[1:-1]


def log_sum(log: np.ndarray, grid: np.ndarray) -> float:
    return float(logsumexp(log) + np.log(grid[1] - grid[0]))


#: what the data are, given one number `a`; the prior; data; the log likelihood at a grid
OTHERS: dict[str, tuple[str, np.ndarray, Callable[[np.ndarray], np.ndarray], np.ndarray]] = {
    "LogNormal(a, 1)": ("Normal(0.2, 1)", SMALL, lambda a: stats.lognorm.logpdf(SMALL[:, None], 1, scale=np.exp(a)).sum(axis=0), FINE),
    "Logistic(a, 2)": ("Normal(0.2, 1)", SMALL, lambda a: stats.logistic.logpdf(SMALL[:, None], a, 2).sum(axis=0), FINE),
    "StudentT(a, 0, 2)": ("Gamma(2, 1)", SMALL, lambda a: stats.t.logpdf(SMALL[:, None], a, 0, 2).sum(axis=0), POSITIVE[::8]),
    "Weibull(a, 2)": ("Gamma(2, 1)", SMALL, lambda a: stats.weibull_min.logpdf(SMALL[:, None], a, scale=2).sum(axis=0), POSITIVE),
    "HalfCauchy(a)": ("Gamma(2, 1)", SMALL, lambda a: stats.halfcauchy.logpdf(SMALL[:, None], 0, a).sum(axis=0), POSITIVE),
    "NegativeBinomial(3, a)": (
        "Gamma(2, 1)",
        COUNTED,
        lambda a: stats.nbinom.logpmf(COUNTED[:, None], a, a / (a + 3)).sum(axis=0),
        POSITIVE[::8],
    ),
    "Geometric(a)": ("Beta(2, 3)", COUNTED, lambda a: stats.geom.logpmf(COUNTED[:, None], a, loc=-1).sum(axis=0), UNIT),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_statement_that_is_known_given_the_number_needs_no_message(case: str) -> None:
    prior, data, likelihood, grid = OTHERS[case]
    posterior = ppl.parse(f"model m:\n    a ~ {prior}\n    for n in N: x[n] ~ {case}\n").fit(x=data)
    priors = {"Normal(0.2, 1)": stats.norm(0.2, 1), "Gamma(2, 1)": stats.gamma(2), "Beta(2, 3)": stats.beta(2, 3)}
    log = likelihood(grid) + priors[prior].logpdf(grid)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(log_sum(log, grid), abs=1e-7)
    assert posterior["a"].mean == pytest.approx(np.exp(log - logsumexp(log)) @ grid, abs=1e-7)


def test_the_end_of_a_uniform_distribution() -> None:
    posterior = ppl.parse("model m:\n    a ~ Exponential(1)\n    for n in N: x[n] ~ Uniform(0, a)\n").fit(x=[0.5, 3.0, 2.0])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(np.log(gamma_inc(-2, 3.0)), abs=1e-10)
    assert posterior["a"].mean == pytest.approx(gamma_inc(-1, 3.0) / gamma_inc(-2, 3.0), rel=1e-10)
    assert posterior["a"].sample(2000, seed=1).min() >= 3.0


def gamma_inc(s: int, x: float) -> float:
    """The upper incomplete gamma function of a whole s ≤ 0, by its recursion."""
    return float(special.exp1(x)) if s == 0 else (gamma_inc(s + 1, x) - x**s * np.exp(-x)) / s


def test_an_integrand_that_jumps() -> None:
    posterior = ppl.parse("model m:\n    a ~ Normal(0, 1)\n    x ~ Normal(if a > 0.3 then 1 else -1, 1)\n").fit(x=1.0)
    above = stats.norm.sf(0.3)
    assert posterior.log_evidence == pytest.approx(np.log(above * stats.norm.pdf(0) + (1 - above) * stats.norm.pdf(2)), abs=1e-10)


def test_a_prior_between_two_numbers() -> None:
    posterior = ppl.parse("model m:\n    a ~ Uniform(-2, 5)\n    for n in N: x[n] ~ Logistic(a, 2)\n").fit(x=SMALL)
    grid = np.linspace(-2, 5, 700_001)[:-1] + 0.5e-5
    log = stats.logistic.logpdf(SMALL[:, None], grid, 2).sum(axis=0) - np.log(7)
    assert posterior.log_evidence == pytest.approx(log_sum(log, grid), abs=1e-9)


def test_states_that_say_which_state_is_meant_are_summed_over() -> None:
    table = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    text = "model m:\n    input t: simplex[3, 3]\n    for k in K: c[k] ~ Categorical([0.2, 0.3, 0.5])\n    for n in N:\n"
    text += "        z[n] ~ Categorical([0.4, 0.6])\n        y[n] ~ Categorical(t[c[z[n]]])\n"
    posterior = ppl.parse(text).fit(t=table, y=[0, 2, 1], K=2)
    prior, joint = np.array([0.2, 0.3, 0.5]), np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            joint[a, b] = prior[a] * prior[b] * np.prod([0.4 * table[a, y] + 0.6 * table[b, y] for y in (0, 2, 1)])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(np.log(joint.sum()), abs=1e-12)
    np.testing.assert_allclose(posterior["c"].params["p"], [joint.sum(axis=1) / joint.sum(), joint.sum(axis=0) / joint.sum()], atol=1e-12)
