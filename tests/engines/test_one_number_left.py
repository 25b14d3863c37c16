"""A model that is exact given one number, which is integrated over: nothing in two places of a statement is taken as independent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
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
