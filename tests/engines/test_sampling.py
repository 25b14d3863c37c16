"""The model forwards: draws have the moments of the prior, and the log joint is the sum of SciPy's log-densities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from tests.reference.gaussians import log_normal
from tests.reference.models import source

DRAWS = 20_000
COV = np.array([[2.0, 0.5], [0.5, 1.0]])

PRIORS: dict[str, tuple[Any, Any]] = {  # the expected value and the sd of what is drawn
    "Normal(1, 2)": (1.0, 2.0),
    "Normal(1, var = 4)": (1.0, 2.0),
    "Normal(1, precision = 0.25)": (1.0, 2.0),
    "Gamma(3, 2)": (1.5, 0.75**0.5),
    "Gamma(3, scale = 0.5)": (1.5, 0.75**0.5),
    "Exponential(4)": (0.25, 0.25),
    "InverseGamma(5, 2)": (0.5, stats.invgamma.std(5, scale=2)),
    "Beta(2, 3)": (0.4, 0.2),
    "Bernoulli(0.3)": (0.3, 0.21**0.5),
    "Binomial(6, 0.25)": (1.5, 1.125**0.5),
    "Poisson(2.5)": (2.5, 2.5**0.5),
    "Dirichlet([1, 2, 5])": (np.array([1, 2, 5]) / 8, np.sqrt(np.array([7, 12, 15]) / 64 / 9)),
    "Multinomial(5, [0.2, 0.3, 0.5])": (np.array([1, 1.5, 2.5]), np.sqrt([0.8, 1.05, 1.25])),
    "MvNormal([1, -1], cov = [[2, 0.5], [0.5, 1]])": (np.array([1.0, -1.0]), np.sqrt(np.diag(COV))),
    "MvNormal([1, -1], scale_tril = [[1, 0], [2, 1]])": (np.array([1.0, -1.0]), np.sqrt([1, 5])),
    "InverseWishart(9, [[2, 0.5], [0.5, 1]])": (
        COV / 6,
        np.sqrt((8 * COV**2 + 6 * np.outer(np.diag(COV), np.diag(COV))) / (7 * 36 * 4)),
    ),
    "Wishart(5, [[2, 0.5], [0.5, 1]])": (5 * COV, np.sqrt(5 * (COV**2 + np.outer(np.diag(COV), np.diag(COV))))),
}


def close(draws: np.ndarray, mean: Any, sd: Any) -> None:
    error = np.asarray(sd) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * error).all()
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.08)


@pytest.mark.parametrize("prior", PRIORS)
def test_draws_have_the_moments_of_the_prior(prior: str) -> None:
    draws = ppl.parse(source(f"x ~ {prior}")).sample(DRAWS, seed=1)["x"]
    assert draws.shape == (DRAWS, *np.shape(PRIORS[prior][0]))
    close(draws, *PRIORS[prior])


def test_draws_of_a_categorical_have_its_frequencies() -> None:
    draws = ppl.parse(source("z ~ Categorical([0.2, 0.5, 0.3])")).sample(DRAWS, seed=1)["z"]
    np.testing.assert_allclose(np.bincount(draws.astype(int)) / DRAWS, [0.2, 0.5, 0.3], atol=0.02)


def test_draws_follow_the_hierarchy() -> None:
    text = source(
        "mu ~ Normal(1, 2)\ntwice = 2 * mu\nfor n in N:\n    z[n] ~ Bernoulli(0.5)\n    x[n] ~ Normal(if z[n] == 1 then mu else twice, 1)"
    )
    drawn = ppl.parse(text).sample(DRAWS, seed=3, N=2)
    assert set(drawn) >= {"mu", "twice", "z", "x"}
    np.testing.assert_allclose(drawn["twice"], 2 * drawn["mu"])
    close(drawn["x"] - np.where(drawn["z"] == 1, drawn["mu"][:, None], drawn["twice"][:, None]), [0, 0], [1, 1])


def test_the_same_seed_gives_the_same_draws() -> None:
    model = ppl.parse(source("x ~ Normal(0, 1)"))
    np.testing.assert_array_equal(model.sample(5, seed=4)["x"], model.sample(5, seed=4)["x"])
    assert (model.sample(5, seed=4)["x"] != model.sample(5, seed=5)["x"]).all()


Y = np.array([1.0, -0.5, 2.0])
DENSITIES: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
    "normal": (
        "mu ~ Normal(0, 2)\ntau ~ Gamma(2, 1)\nfor n in N: y[n] ~ Normal(mu, precision = tau)",
        {"mu": 0.3, "tau": 1.7, "y": Y},
        lambda: stats.norm.logpdf(0.3, 0, 2) + stats.gamma.logpdf(1.7, 2) + stats.norm.logpdf(Y, 0.3, 1.7**-0.5).sum(),
    ),
    "mixture": (
        "w ~ Dirichlet([1, 2])\nmu = [-1, 1]\nfor n in N:\n    z[n] ~ Categorical(w)\n    y[n] ~ Normal(mu[z[n]], 0.5)",
        {"w": [0.3, 0.7], "z": [1, 0, 1], "y": Y},
        lambda: stats.dirichlet.logpdf([0.3, 0.7], [1, 2]) + np.log([0.7, 0.3, 0.7]).sum() + stats.norm.logpdf(Y, [1, -1, 1], 0.5).sum(),
    ),
    "counts": (
        "r ~ Gamma(2, 3)\nfor n in N: k[n] ~ Poisson(r)\np ~ Beta(2, 2)\nb ~ Binomial(5, p)",
        {"r": 0.8, "k": [0, 3], "p": 0.4, "b": 2},
        lambda: (
            stats.gamma.logpdf(0.8, 2, scale=1 / 3)
            + stats.poisson.logpmf([0, 3], 0.8).sum()
            + stats.beta.logpdf(0.4, 2, 2)
            + stats.binom.logpmf(2, 5, 0.4)
        ),
    ),
    "vectors": (
        "P ~ Wishart(4, eye(2))\nfor n in N: x[n] ~ MvNormal([1, 0], precision = P)",
        {"P": [[2.0, 0.3], [0.3, 1.0]], "x": [[0.5, 1.0], [2.0, 0.0]]},
        lambda: (
            stats.wishart.logpdf([[2.0, 0.3], [0.3, 1.0]], 4, np.eye(2))
            + log_normal([[0.5, 1.0], [2.0, 0.0]], [1, 0], np.linalg.inv([[2.0, 0.3], [0.3, 1.0]])).sum()
        ),
    ),
    "multinomial": (
        "p ~ Dirichlet(ones(3))\nx ~ Multinomial(4, p)",
        {"p": [0.2, 0.3, 0.5], "x": [1, 0, 3]},
        lambda: stats.dirichlet.logpdf([0.2, 0.3, 0.5], [1, 1, 1]) + stats.multinomial.logpmf([1, 0, 3], 4, [0.2, 0.3, 0.5]),
    ),
    "scales": (
        "s ~ InverseGamma(3, 2)\ne ~ Exponential(s)\ng ~ Gamma(2, scale = s)\nz ~ Bernoulli(0.3)\n"
        "x ~ Normal(if z == 1 then e else g, var = s)",
        {"s": 0.7, "e": 1.2, "g": 0.4, "z": 1, "x": 1.0},
        lambda: (
            stats.invgamma.logpdf(0.7, 3, scale=2)
            + stats.expon.logpdf(1.2, scale=1 / 0.7)
            + stats.gamma.logpdf(0.4, 2, scale=0.7)
            + np.log(0.3)
            + stats.norm.logpdf(1.0, 1.2, 0.7**0.5)
        ),
    ),
    "without factors": (
        "s ~ HalfStudentT(3, 2)\nl ~ LogNormal(0, 1)\nfor n in N: y[n] ~ StudentT(4, l, s)\n"
        "z ~ Mixture([0.2, 0.8], [Normal(0, 1), Normal(3, 1)])\nu ~ Truncated(Normal(0, 1), 0, inf)",
        {"s": 1.3, "l": 0.6, "y": Y, "z": 1.0, "u": 0.4},
        lambda: (
            np.log(2.0)
            + stats.t.logpdf(1.3, 3, scale=2)
            + stats.lognorm.logpdf(0.6, 1)
            + stats.t.logpdf(Y, 4, 0.6, 1.3).sum()
            + np.logaddexp(np.log(0.2) + stats.norm.logpdf(1.0), np.log(0.8) + stats.norm.logpdf(1.0, 3))
            + stats.halfnorm.logpdf(0.4)
        ),
    ),
    "choices": (
        "z ~ Bernoulli(0.3)\nfor n in N:\n    y[n] ~ match z:\n        1 -> Normal(0, 1)\n        0 -> Laplace(0, 2)",
        {"z": 0, "y": Y},
        lambda: np.log(0.7) + stats.laplace.logpdf(Y, 0, 2).sum(),
    ),
    "potentials": (
        "a ~ Normal(0, 1)\nfor n in N: y[n] ~ Normal(a, 1)\nfor n in N: factor -y[n]^4 * a\nfactor exp(a)",
        {"a": 0.4, "y": Y},
        lambda: stats.norm.logpdf(0.4) + stats.norm.logpdf(Y, 0.4).sum() - 0.4 * (Y**4).sum() + np.exp(0.4),
    ),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_the_log_joint_is_the_sum_of_the_log_densities(name: str) -> None:
    text, values, reference = DENSITIES[name]
    assert ppl.parse(source(text)).log_density(**values) == pytest.approx(float(reference()), rel=1e-10)


def test_the_log_joint_of_what_cannot_be_is_minus_infinity() -> None:
    assert ppl.parse(source("z ~ Categorical([1, 0])")).log_density(z=1) == -np.inf


def test_the_log_joint_names_what_it_lacks() -> None:
    with pytest.raises(ppl.AimError, match="`mu`"):
        ppl.parse(source("mu ~ Normal(0, 1)\ny ~ Normal(mu, 1)")).log_density(y=1.0)


def test_what_is_given_is_observed_entry_by_entry() -> None:
    bound = ppl.parse(
        source("mu ~ Normal(0, 1)\nfor n in N: y[n] ~ Normal(mu, 1)\nfor n in N: v[n] ~ MvNormal([mu, mu], cov = eye(2))")
    ).bind(y=[1.0, np.nan, 3.0])
    np.testing.assert_array_equal(bound.observed["y"], [True, False, True])
    assert "mu" not in bound.values
    assert "v" not in bound.values
    assert bound.length(bound.model.variables["y"].type.axes[0]) == 3
