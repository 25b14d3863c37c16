"""Latent values without common coordinates: arms of several kinds, members of several kinds, counts with a total."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import ppl
from ppl.engines.numpyro_bridge.counts import counted
from ppl.engines.precision import with_precision


def parsed(text: str) -> Any:
    return ppl.parse("model m:\n" + "".join(f"    {line}\n" for line in text.splitlines()))


def evidence(text: str, ranges: list[tuple[float, float]], points: int = 60, **data: Any) -> float:
    """The log evidence by Gauss–Legendre quadrature over the coordinates, everything discrete summed out by the bridge."""

    def value() -> float:
        joint = counted(parsed(text).bind(data))
        assert joint.size == len(ranges)
        nodes, weights = np.polynomial.legendre.leggauss(points)
        scaled = [(0.5 * (b - a) * nodes + 0.5 * (a + b), 0.5 * (b - a) * weights) for a, b in ranges]
        grid = jnp.asarray(list(itertools.product(*(s[0] for s in scaled))))
        volume = np.prod(list(itertools.product(*(s[1] for s in scaled))), axis=1)
        return float(np.log(np.exp(np.asarray(jax.vmap(joint)(grid))) @ volume))

    return with_precision(np.float64, value)()


def test_arms_of_a_count_and_of_a_real_number() -> None:
    text = "z ~ Bernoulli(0.4)\nx ~ match z:\n    0 -> Normal(0, 1)\n    1 -> Poisson(2)\ny ~ Normal(x, 1)"
    k = np.arange(80)
    zero, one = 0.6 * stats.norm.pdf(1, 0, np.sqrt(2)), 0.4 * stats.poisson(2).pmf(k) @ stats.norm.pdf(1, k, 1)
    assert evidence(text, [(-9, 9)], y=1.0) == pytest.approx(np.log(zero + one), abs=1e-9)
    posterior = parsed(text).fit(y=1.0)
    assert posterior.names == ("z", "x")
    assert posterior["z"].mean == pytest.approx(one / (zero + one), abs=0.03)  # by draws
    mean = (zero * 0.5 + 0.4 * (k * stats.poisson(2).pmf(k)) @ stats.norm.pdf(1, k, 1)) / (zero + one)
    assert posterior["x"].mean == pytest.approx(mean, abs=0.1)


def test_an_arm_that_is_certain() -> None:
    text = "z ~ Bernoulli(0.4)\nx ~ match z:\n    0 -> Beta(2, 1)\n    1 -> Delta(1)\nfor n in N: y[n] ~ Bernoulli(x)"
    expected = 0.6 * integrate.quad(lambda p: 2 * p * p**2, 0, 1)[0] + 0.4
    assert evidence(text, [(-35, 35)], points=200, y=[1, 1]) == pytest.approx(np.log(expected), abs=1e-6)


def test_components_of_several_kinds() -> None:
    text = "x ~ Mixture([0.3, 0.7], [Normal(0, 1), Poisson(2)])\ny ~ Normal(x, 1)"
    k = np.arange(80)
    expected = 0.3 * stats.norm.pdf(1, 0, np.sqrt(2)) + 0.7 * stats.poisson(2).pmf(k) @ stats.norm.pdf(1, k, 1)
    assert evidence(text, [(-9, 9)], y=1.0) == pytest.approx(np.log(expected), abs=1e-9)


def test_members_of_several_kinds() -> None:
    text = "x[0] ~ Poisson(2)\nx[1] ~ Normal(0, 1)\ny ~ Normal(x[0] + x[1], 1)"
    k = np.arange(80)
    expected = stats.poisson(2).pmf(k) @ stats.norm.pdf(1, k, np.sqrt(2))
    assert evidence(text, [(-9, 9)], y=1.0) == pytest.approx(np.log(expected), abs=1e-9)


def test_matrices_of_several_kinds() -> None:
    text = "M[0] ~ LKJ(2, 1)\nM[1] ~ Wishart(3, eye(2))\nfor n in N: y[n] ~ MvNormal(zeros(2), cov = M[0] + M[1])"

    def value() -> tuple[float, dict[str, Any], int]:
        joint = counted(parsed(text).bind(y=[[0.5, 1.0]]))
        values, networks, _ = joint.constrain(jnp.asarray([0.3, -0.2, 0.1, 0.4]))
        return float(joint.log_density(values, networks)), values, joint.size

    density, values, size = with_precision(np.float64, value)()
    corr, other = np.asarray(values["M·0"][0]), np.asarray(values["M·1"][1])
    expected = np.log(0.5) + stats.wishart(3, np.eye(2)).logpdf(other)  # every correlation from -1 to 1 is as likely
    assert size == 4 and corr[0, 0] == pytest.approx(1)
    assert density == pytest.approx(expected + stats.multivariate_normal([0, 0], corr + other).logpdf([0.5, 1.0]), abs=1e-9)


def test_given_members_keep_their_arms() -> None:
    text = (
        "for n in N:\n    z[n] ~ Bernoulli(0.4)\n    x[n] ~ match z[n]:\n        0 -> Beta(2, 1)\n        1 -> Delta(1)\n"
        "    y[n] ~ Bernoulli(x[n] / 2)"
    )
    one = 0.6 * 2 * 0.5 * 0.25
    other = 0.6 * integrate.quad(lambda p: 2 * p * p / 2, 0, 1)[0] + 0.4 / 2
    assert evidence(text, [(-22, 22)] * 2, points=120, y=[1, 1], x=[0.5, None]) == pytest.approx(np.log(one * other), abs=1e-6)


@pytest.mark.parametrize(
    ("statement", "law"),
    [
        ("Multinomial(4, [0.2, 0.3, 0.5])", stats.multinomial(4, [0.2, 0.3, 0.5])),
        ("DirichletMultinomial(4, [1, 2, 3])", stats.dirichlet_multinomial([1, 2, 3], 4)),
    ],
)
def test_latent_counts_with_a_total(statement: str, law: Any) -> None:
    posterior = parsed(f"x ~ {statement}\ny ~ Normal(x[0] - 2 * x[2], 1)").fit(y=-3.0)
    states = np.array([s for s in itertools.product(range(5), repeat=3) if sum(s) == 4])
    joint = law.pmf(states) * stats.norm.pdf(-3, states[:, 0] - 2 * states[:, 2], 1)
    assert posterior.exact and posterior.log_evidence == pytest.approx(np.log(joint.sum()), abs=1e-9)
    assert posterior["x"].mean == pytest.approx(states.T @ joint / joint.sum(), abs=0.1)
    assert posterior.names == ("x",)
