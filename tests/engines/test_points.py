"""`q(a): point`: the mode, found by coordinate ascent, against the joint density."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

import ppl

COIN = """
model coin:
    theta ~ Beta(2, 3)
    for n in N: x[n] ~ Bernoulli(theta)

approximate coin:
    q(theta): point
"""

NORMAL = """
model g:
    mu ~ Normal(0, sd = 10)
    tau ~ Gamma(2, 1)
    for n in N: x[n] ~ Normal(mu, precision = tau)

approximate g:
    q(mu): point
    q(tau): point
"""

MIXTURE = """
model m(K: size = 2):
    pi ~ Dirichlet(2 * ones(K))
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(3 * z[n], sd = 1)

approximate m:
    q(pi): point
    q(z)
"""


def test_a_point_alone_is_the_mode_and_its_bound_the_joint_density() -> None:
    posterior = ppl.parse(COIN).fit(x=[1, 1, 0, 1])
    assert posterior["theta"].family == "Delta"
    assert posterior["theta"].mean == pytest.approx(4 / 7)
    assert not posterior.exact
    assert posterior.log_evidence is None
    assert posterior.elbo == pytest.approx(stats.beta(2, 3).logpdf(4 / 7) + 3 * np.log(4 / 7) + np.log(3 / 7))


def test_two_points_are_the_joint_mode() -> None:
    x = np.array([1.0, 1.2, 0.3, 1.7])
    posterior = ppl.parse(NORMAL).fit(x=x)

    def minus(at: np.ndarray) -> float:
        mu, tau = at[0], np.exp(at[1])
        return -(stats.norm(0, 10).logpdf(mu) + stats.gamma(2).logpdf(tau) + stats.norm(mu, tau**-0.5).logpdf(x).sum())

    found = optimize.minimize(minus, [0.0, 0.0], tol=1e-12)
    assert posterior.elbo == pytest.approx(-found.fun, abs=1e-8)
    assert posterior["mu"].mean == pytest.approx(found.x[0], abs=1e-4)
    assert np.diff(posterior.elbo_trace).min() > -1e-9


def test_points_beside_beliefs_are_expectation_maximisation() -> None:
    x = np.array([-0.5, 0.3, 2.0, 2.9, 3.3, 1.4])
    posterior = ppl.parse(MIXTURE).fit(x=x)

    def minus(p: float) -> float:
        likelihood = np.log((1 - p) * stats.norm(0, 1).pdf(x) + p * stats.norm(3, 1).pdf(x)).sum()
        return -(likelihood + stats.dirichlet([2, 2]).logpdf([1 - p, p]))

    found = optimize.minimize_scalar(minus, bounds=(0.01, 0.99), method="bounded", options={"xatol": 1e-10})
    assert posterior["pi"].mean[1] == pytest.approx(found.x, abs=1e-5)
    assert posterior.elbo == pytest.approx(-found.fun, abs=1e-8)


def test_a_form_that_a_block_cannot_have_is_not_passed_over() -> None:
    text = COIN.replace("point", "Gamma")
    with pytest.raises(ppl.AimError):
        ppl.parse(text).fit(x=[1, 0], engine="vmp")
