"""Exact posteriors, beliefs and not the bound alone, against closed forms, enumeration, joint Gaussians and quadrature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.results.posterior import Posterior
from tests.reference.enumeration import log_evidence, marginals
from tests.reference.gaussians import JointGaussian
from tests.reference.models import COUNTS, GROUPS, POSITIVE, SPREAD, X, Y, normal_mean, source
from tests.reference.quadrature import moments_positive


def exact(text: str, *, engine: str | None = None, header: str = "model m", **data: Any) -> Posterior:
    posterior = ppl.parse(source(text, header)).fit(engine=engine, **data)
    assert posterior.exact
    assert posterior.status == "exact"
    return posterior


CONJUGATE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Beta(2, 3)\nfor n in N: x[n] ~ Bernoulli(v)": ("Beta", {"x": [1, 1, 0]}, {"a": 4, "b": 4}),
    "Beta(2, 3)\nx ~ Binomial(9, v)": ("Beta", {"x": 4}, {"a": 6, "b": 8}),
    "Gamma(2, 3)\nfor n in N: x[n] ~ Poisson(v)": ("Gamma", {"x": [4, 0]}, {"shape": 6, "rate": 5}),
    "Gamma(2, 3)\nfor n in N: x[n] ~ Exponential(v)": ("Gamma", {"x": [4, 1]}, {"shape": 4, "rate": 8}),
    "Exponential(3)\nfor n in N: x[n] ~ Gamma(2, rate = v)": ("Gamma", {"x": [4, 1]}, {"shape": 5, "rate": 8}),
    "Dirichlet([1, 2])\nfor n in N: x[n] ~ Categorical(v)": ("Dirichlet", {"x": [1, 1, 0]}, {"concentration": [2, 4]}),
    "Dirichlet([1, 2])\nx ~ Multinomial(5, v)": ("Dirichlet", {"x": [4, 1]}, {"concentration": [5, 3]}),
    "InverseGamma(2, 3)\nfor n in N: x[n] ~ Normal(1, var = v)": ("InverseGamma", {"x": [3, 0]}, {"shape": 3, "scale": 5.5}),
    "Gamma(2, 3)\nfor n in N: x[n] ~ Normal(1, precision = v)": ("Gamma", {"x": [3, 0]}, {"shape": 3, "rate": 5.5}),
    "Normal(1, 2)\nfor n in N: x[n] ~ Normal(v, 1)": ("Normal", {"x": [3, 0]}, {"mean": 3.25 / 2.25, "sd": 2.25**-0.5}),
    "Wishart(3, eye(2))\nx ~ MvNormal(zeros(2), precision = v)": (
        "Wishart",
        {"x": [1.0, 2.0]},
        {"df": 4, "scale": np.linalg.inv(np.eye(2) + [[1, 2], [2, 4]])},
    ),
    "InverseWishart(3, eye(2))\nx ~ MvNormal(zeros(2), cov = v)": (
        "InverseWishart",
        {"x": [1.0, 2.0]},
        {"df": 4, "scale": np.eye(2) + [[1, 2], [2, 4]]},
    ),
    "MvNormal([1, 0], cov = eye(2))\nx ~ MvNormal(v, cov = eye(2))": (
        "MvNormal",
        {"x": [2.0, 2.0]},
        {"mean": [1.5, 1.0], "cov": np.eye(2) / 2},
    ),
}


@pytest.mark.parametrize("text", CONJUGATE)
def test_a_conjugate_pair_has_the_posterior_of_the_textbook(text: str) -> None:
    family, data, params = CONJUGATE[text]
    belief = exact(f"v ~ {text}", **data)["v"]
    assert belief.family == family
    assert belief.params.keys() == params.keys()
    for key, wanted in params.items():
        np.testing.assert_allclose(belief.params[key], wanted, rtol=1e-9, atol=1e-12, err_msg=key)


def test_groups_have_the_posterior_of_the_joint_gaussian() -> None:
    posterior = exact(
        "input g: J[N]\ninput u: real[N]\ntop ~ Normal(0.5, 2)\nfor j in J: alpha[j] ~ Normal(top, 1)\nslope ~ Normal(0, 1)\n"
        "for n in N: y[n] ~ Normal(alpha[g[n]] + slope * u[n], 0.7)",
        g=GROUPS,
        u=X[:, 0],
        y=Y,
    )
    joint = JointGaussian()
    top = joint.add({}, 0.5, 4.0)
    alphas = [joint.add({top: 1.0}, 0.0, 1.0) for _ in range(3)]
    slope = joint.add({}, 0.0, 1.0)
    mean, cov = joint.posterior({joint.add({alphas[g]: 1.0, slope: u}, 0.0, 0.49): y for g, u, y in zip(GROUPS, X[:, 0], Y, strict=True)})
    for name, places in [("top", top), ("alpha", alphas), ("slope", slope)]:
        np.testing.assert_allclose(posterior[name].mean, mean[places], rtol=1e-9)
        np.testing.assert_allclose(posterior[name].sd, np.sqrt(np.diag(cov)[places]), rtol=1e-9)


def test_a_deterministic_sum_knows_how_its_parts_depend_on_each_other() -> None:
    posterior = exact("a ~ Normal(0, 1)\nb ~ Normal(0, 1)\ntotal = a + b\ndifference = a - b\nx ~ Normal(a + b, 0.1)", x=1.0)
    np.testing.assert_allclose(posterior["total"].sd, (0.5 + 100) ** -0.5, rtol=1e-9)
    np.testing.assert_allclose(posterior["difference"].sd, 2**0.5, rtol=1e-9)


def test_discrete_variables_have_the_marginals_of_the_enumeration() -> None:
    text = (
        "rain ~ Bernoulli(0.2)\nsprinkler ~ Bernoulli(if rain == 1 then 0.01 else 0.4)\nday ~ Categorical([0.5, 0.3, 0.2])\n"
        "wet ~ Bernoulli([[[0.02, 0.1, 0.3], [0.9, 0.8, 0.7]], [[0.8, 0.6, 0.4], [0.99, 0.95, 0.9]]][sprinkler, rain, day])"
    )
    table = np.array([[[0.02, 0.1, 0.3], [0.9, 0.8, 0.7]], [[0.8, 0.6, 0.4], [0.99, 0.95, 0.9]]])

    def joint(state: tuple[int, ...]) -> float:
        r, s, d = state
        return float(
            stats.bernoulli.logpmf(r, 0.2)
            + stats.bernoulli.logpmf(s, [0.4, 0.01][r])
            + np.log([0.5, 0.3, 0.2][d])
            + stats.bernoulli.logpmf(0, table[s, r, d])
        )

    posterior = exact(text, wet=0)
    rain, sprinkler, day = marginals(joint, (2, 2, 3))
    assert posterior.log_evidence == pytest.approx(log_evidence(joint, (2, 2, 3)), rel=1e-10)
    assert posterior["rain"].mean == pytest.approx(rain[1], rel=1e-9)
    assert posterior["sprinkler"].mean == pytest.approx(sprinkler[1], rel=1e-9)
    np.testing.assert_allclose(posterior["day"].params["p"], day, rtol=1e-9)


def test_a_sum_over_labels_mixes_the_beliefs_of_its_branches() -> None:
    text = "a ~ Normal(0, 1)\nfor n in N:\n    z[n] ~ Bernoulli(0.4)\n    x[n] ~ Normal(if z[n] == 1 then a else 3, 1)"
    posterior = exact(text, x=SPREAD, engine="exact")

    def joint(z: tuple[int, ...]) -> float:
        chosen = np.array(z)
        return float(
            stats.bernoulli.logpmf(chosen, 0.4).sum()
            + normal_mean(SPREAD[chosen == 1], 0, 1, 1)
            + stats.norm.logpdf(SPREAD[chosen == 0], 3, 1).sum()
        )

    sizes = (2,) * len(SPREAD)
    assert posterior.log_evidence == pytest.approx(log_evidence(joint, sizes), rel=1e-10)
    np.testing.assert_allclose(posterior["z"].mean, [p[1] for p in marginals(joint, sizes)], rtol=1e-8)
    grid = np.linspace(-6, 6, 4001)
    by_label = np.stack([0.4 * stats.norm.pdf(SPREAD, g, 1) + 0.6 * stats.norm.pdf(SPREAD, 3, 1) for g in grid])
    density = stats.norm.pdf(grid) * by_label.prod(axis=1)
    density /= density.sum()
    mean = (grid * density).sum()
    assert posterior["a"].mean == pytest.approx(mean, abs=1e-8)
    assert posterior["a"].sd == pytest.approx(np.sqrt(((grid - mean) ** 2 * density).sum()), abs=1e-8)
    at = posterior["a"].log_density(np.array(0.5))
    step = grid[1] - grid[0]
    assert at == pytest.approx(np.log(np.interp(0.5, grid, density) / step), abs=1e-4)


def test_exposures_scale_a_rate() -> None:
    belief = exact("input h: real[N]\nr ~ Gamma(2, scale = 2)\nfor n in N: x[n] ~ Poisson(r * h[n])", x=COUNTS, h=POSITIVE)["r"]

    def log_density(r: np.ndarray) -> np.ndarray:
        return stats.gamma.logpdf(r, 2, scale=2) + sum(stats.poisson.logpmf(k, r * h) for k, h in zip(COUNTS, POSITIVE, strict=True))

    assert (belief.mean, belief.sd) == pytest.approx(moments_positive(log_density), rel=1e-8)


def test_it_is_the_same_to_observe_all_at_once_or_to_carry_the_posterior_on() -> None:
    text = "p ~ Beta({a}, {b})\nfor n in N: x[n] ~ Bernoulli(p)"
    whole = exact(text.format(a=1, b=1), x=[1, 0, 1, 1])
    first = exact(text.format(a=1, b=1), x=[1, 0])
    params = {k: float(v) for k, v in first["p"].params.items()}
    second = exact(text.format(**params), x=[1, 1])
    assert whole.elbo == pytest.approx(first.elbo + second.elbo, rel=1e-10)
    np.testing.assert_allclose(second["p"].mean, whole["p"].mean, rtol=1e-12)


def test_a_positive_variable_may_be_known_in_part_where_a_label_picks_it() -> None:
    model = ppl.parse(
        "model m:\n    for c in C:\n        rate[c] ~ Gamma(2, rate = 1)\n    for n in N:\n"
        "        cell[n] ~ Categorical([0.2, 0.3, 0.5])\n        count[n] ~ Poisson(rate[cell[n]])\n"
    )
    posterior = model.fit(rate=[2, None, None], cell=[0, 1, 2, None], count=[1, 5, 9, 3])
    weights = np.array([0.2, 0.3, 0.5]) * [stats.poisson(2).pmf(3), stats.nbinom(7, 2 / 3).pmf(3), stats.nbinom(11, 2 / 3).pmf(3)]
    p = weights / weights.sum()
    assert posterior.exact
    np.testing.assert_allclose(posterior["cell"].params["p"][3], p, atol=1e-9)
    mean = (1 - p) * np.array([2, 7, 11]) / 2 + p * np.array([2, 10, 14]) / 3  # without the fourth count, and with it
    np.testing.assert_allclose(posterior["rate"].mean, [2, *mean[1:]], atol=1e-9)
