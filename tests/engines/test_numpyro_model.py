"""The NumPyro callable: its density is the log joint's, and NumPyro's own tools work on it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer import Predictive
from numpyro.infer.util import log_density
from scipy import stats

import ppl
from ppl.engines.numpyro_bridge import to_numpyro
from ppl.engines.precision import with_precision

SCHOOLS = """
model eight_schools:
    input sigma: real[J]
    mu  ~ Normal(0, sd = 5)
    tau ~ HalfCauchy(5)
    for j in J:
        theta[j] ~ Normal(mu, sd = tau)
        y[j]     ~ Normal(theta[j], sd = sigma[j])
"""
WALK = """
model walk:
    s ~ HalfNormal(1)
    z[0] ~ Normal(0, sd = 2)
    for t in 1..T: z[t] ~ Normal(z[t - 1], sd = s)
    for t in T: y[t] ~ Normal(z[t], sd = 0.5)
"""


def density(bound: Any, sites: dict[str, Any]) -> float:
    def value() -> float:
        return float(log_density(to_numpyro(bound), (), {}, {n: jnp.asarray(v, float) for n, v in sites.items()})[0])

    return with_precision(np.float64, value)()


def sites(bound: Any, **values: Any) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        begun = numpyro.handlers.substitute(numpyro.handlers.seed(to_numpyro(bound), 0), {n: jnp.asarray(v) for n, v in values.items()})
        return numpyro.handlers.trace(begun).get_trace()

    return with_precision(np.float64, found)()


def test_variables_are_sites_of_their_own_names() -> None:
    bound = ppl.parse(SCHOOLS).bind(y=[28.0, 8.0, -3.0], sigma=[15.0, 10.0, 16.0])
    assert [n for n, s in sites(bound).items() if s["type"] == "sample"] == ["mu", "tau", "theta", "y"]
    theta = np.array([1.0, 2.0, 3.0])
    expected = stats.norm(0, 5).logpdf(1) + stats.halfcauchy(scale=5).logpdf(2) + stats.norm(1, 2).logpdf(theta).sum()
    expected += stats.norm(theta, [15, 10, 16]).logpdf([28, 8, -3]).sum()
    np.testing.assert_allclose(density(bound, {"mu": 1.0, "tau": 2.0, "theta": theta}), expected, rtol=1e-12)


def test_recursion_is_an_improper_site_and_factors() -> None:
    bound = ppl.parse(WALK).bind(y=[0.3, None, 1.0])
    z = np.array([0.1, 0.5, -0.4])
    expected = stats.halfnorm.logpdf(0.7) + stats.norm(0, 2).logpdf(z[0]) + stats.norm(z[:-1], 0.7).logpdf(z[1:]).sum()
    expected += stats.norm(z[[0, 2]], 0.5).logpdf([0.3, 1.0]).sum()
    np.testing.assert_allclose(density(bound, {"s": 0.7, "z": z}), expected, rtol=1e-12)


def test_missing_entries_are_a_site_where_something_needs_them() -> None:
    model = ppl.parse("model m:\n    for n in N:\n        x[n] ~ Gamma(2, 1)\n        y[n] ~ Normal(x[n], sd = 1)\n")
    bound = model.bind(x=[1.0, None, 3.0], y=[1.5, 2.5, 2.0])
    expected = stats.gamma(2).logpdf([1.0, 0.6, 3.0]).sum() + stats.norm([1.0, 0.6, 3.0], 1).logpdf([1.5, 2.5, 2.0]).sum()
    np.testing.assert_allclose(density(bound, {"x_missing": [0.6]}), expected, rtol=1e-12)


def test_discrete_variables_are_one_factor() -> None:
    text = "model m:\n    for k in K: mu[k] ~ Normal(0, sd = 3)\n    for n in N:\n        z[n] ~ Categorical([0.3, 0.7])\n        y[n] ~ Normal(mu[z[n]], sd = 1)\n"
    bound = ppl.parse(text).bind(y=[0.5, -1.0], K=2)
    mu = np.array([-1.0, 2.0])
    parts = [np.log(0.3 * stats.norm(mu[0], 1).pdf(y) + 0.7 * stats.norm(mu[1], 1).pdf(y)) for y in (0.5, -1.0)]
    np.testing.assert_allclose(density(bound, {"mu": mu}), stats.norm(0, 3).logpdf(mu).sum() + sum(parts), rtol=1e-12)


def test_bounds_that_change_have_coordinates() -> None:
    text = "model m:\n    top ~ Exponential(1)\n    x[0] ~ Uniform(0, top)\n    x[1] ~ Uniform(-top, top)\n    for i in 0..2: y[i] ~ Normal(x[i], sd = 1)\n"
    bound = ppl.parse(text).bind(y=[0.5, 0.2])
    found = sites(bound, x_coordinates=np.zeros(2))
    assert found["x_coordinates"]["value"].shape == (2,) and found["x"]["type"] == "deterministic"
    x = 3.0 * np.array([0.5, 0.0])
    expected = stats.expon.logpdf(3.0) - np.log(3) - np.log(6) + stats.norm(x, 1).logpdf([0.5, 0.2]).sum() + np.log(3 / 4) + np.log(6 / 4)
    np.testing.assert_allclose(density(bound, {"top": 3.0, "x_coordinates": [0.0, 0.0]}), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["y", "theta"])
def test_predictive_draws_from_the_prior(name: str) -> None:
    bound = ppl.parse(SCHOOLS).bind(sigma=[15.0, 10.0, 16.0])
    drawn = with_precision(np.float64, lambda: Predictive(to_numpyro(bound), num_samples=7)(jax.random.PRNGKey(0)))()
    assert drawn[name].shape == (7, 3)
