"""Blocks that the user names and that are no conjugate pair: exact where one sum or one integral is left, else a joint Normal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, logsumexp

import ppl

RNG = np.random.default_rng(0)
Y = RNG.normal(1.0, 0.7, size=5)
X = RNG.normal(size=(8, 2))
Z = X @ [1.0, -0.5] + 0.3 * RNG.normal(size=8)
U = np.linspace(-30.0, 30.0, 24001)


def fit(text: str, after: str, **data: Any) -> ppl.Posterior:
    lines = "".join(f"    {line}\n" for line in text.split("\n"))
    return ppl.parse(f"model m:\n{lines}\napproximate m:\n    {after}\n").fit(**data)


def line(precision: np.ndarray, x: np.ndarray, y: np.ndarray, prior: float) -> tuple[np.ndarray, ...]:
    """log p(y | precision) of y = x w + noise with w ~ Normal(0, var = prior), and mean and variance of the first weight."""
    found = []
    for t in precision:
        after = np.eye(x.shape[1]) / prior + t * x.T @ x
        mean = t * np.linalg.solve(after, x.T @ y)
        log = 0.5 * (len(y) * np.log(t / (2 * np.pi)) - x.shape[1] * np.log(prior) - np.linalg.slogdet(after)[1])
        found.append((log - 0.5 * (t * y @ y - mean @ after @ mean), mean[0], np.linalg.inv(after)[0, 0]))
    return tuple(np.array(found).T)


ONES = np.ones((5, 1))
#: statements, data, the name and the prior of the scale, its precision, rows, answers, variance of the weights
SCALES: dict[str, tuple[str, dict[str, Any], Any, Any, np.ndarray, np.ndarray, float]] = {
    "a precision": (
        "w ~ Normal(0, sd = 10)\ns ~ Gamma(1, 1)\nfor n in N: y[n] ~ Normal(w, precision = s)",
        {"y": Y},
        stats.gamma(1).logpdf,
        lambda s: s,
        ONES,
        Y,
        100.0,
    ),
    "a variance": (
        "w ~ Normal(0, sd = 2)\ns ~ InverseGamma(3, 2)\nfor n in N: y[n] ~ Normal(w, var = s)",
        {"y": Y},
        stats.invgamma(3, scale=2).logpdf,
        lambda s: 1 / s,
        ONES,
        Y,
        4.0,
    ),
    "a standard deviation": (
        "w ~ Normal(0, sd = 2)\ns ~ HalfNormal(1.5)\nfor n in N: y[n] ~ Normal(w, sd = s)",
        {"y": Y},
        stats.halfnorm(scale=1.5).logpdf,
        lambda s: s**-2,
        ONES,
        Y,
        4.0,
    ),
    "a line": (
        "input X: real[N, D]\nfor d in D: w[d] ~ Normal(0, sd = 3)\ns ~ Gamma(2, 1)\nfor n in N: y[n] ~ Normal(dot(X[n], w), precision = s)",
        {"X": X, "y": Z},
        stats.gamma(2).logpdf,
        lambda s: s,
        X,
        Z,
        9.0,
    ),
}


@pytest.mark.parametrize("case", SCALES)
def test_a_location_and_a_scale_are_joint_by_quadrature(case: str) -> None:
    text, data, prior, precision, x, y, variance = SCALES[case]
    posterior = fit(text, "q(w, s)", **data)
    u = U[::20] if case == "a line" else U[::4]
    scale = np.exp(u)
    inside = (precision(scale) > 1e-8) & (precision(scale) < 1e8)
    u, scale = u[inside], scale[inside]
    given, mean, var = line(precision(scale), x, y, variance)
    log = given + prior(scale) + u
    evidence = logsumexp(log) + np.log(u[1] - u[0])
    weights = np.exp(log - logsumexp(log))
    centre = weights @ mean
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    assert posterior["w"].mean.ravel()[0] == pytest.approx(centre, abs=1e-9)
    assert posterior["w"].var.ravel()[0] == pytest.approx(weights @ (var + (mean - centre) ** 2), rel=1e-8)
    assert posterior["s"].mean == pytest.approx(weights @ scale, rel=1e-9)
    below = np.cumsum(weights) - 0.5 * weights
    drawn = posterior.draws(20_000, seed=1)["s"]
    for q in (0.1, 0.5, 0.9):
        assert (drawn <= np.interp(q, below, scale)).mean() == pytest.approx(q, abs=0.015)
    assert sum(posterior.free_energy_by_factor().values()) == pytest.approx(-evidence, abs=1e-9)


def test_a_rate_and_a_share_are_joint_by_quadrature() -> None:
    """x ~ Poisson(r p): the message of a share in a product is none."""
    posterior = fit("r ~ Gamma(2, 1)\np ~ Beta(2, 3)\nx ~ Poisson(r * p)", "q(r, p)", x=3)
    p = np.linspace(0.0, 1.0, 200_001)[1:-1]
    given = stats.nbinom(2, 1 / (1 + p)).logpmf(3)
    evidence = logsumexp(given + stats.beta(2, 3).logpdf(p)) + np.log(p[1] - p[0])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-8)


def test_a_share_and_a_member_are_summed() -> None:
    posterior = fit("theta ~ Beta(2, 3)\nz ~ Bernoulli(theta)\nx ~ Normal(if z == 1 then 1 else -1, sd = 2)", "q(theta, z)", x=0.7)
    logs = np.array([np.log(0.6), np.log(0.4)]) + stats.norm([-1, 1], 2).logpdf(0.7)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(logsumexp(logs), abs=1e-9)
    assert posterior["theta"].mean == pytest.approx(np.exp(logs - logsumexp(logs)) @ [2 / 6, 3 / 6])


def test_many_members_are_summed_given_one_number() -> None:
    text = "theta ~ Beta(2, 3)\nfor n in N:\n    z[n] ~ Bernoulli(theta)\n    x[n] ~ Normal(if z[n] == 1 then 1 else -1, sd = 1)"
    x = np.linspace(-2.0, 2.5, 12)
    joint, apart = fit(text, "q(theta, z)", x=x), fit(text, "q(theta) q(z)", x=x)
    p = np.linspace(0, 1, 20_001)[1:-1, None]
    given = np.logaddexp(np.log(p) + stats.norm(1, 1).logpdf(x), np.log1p(-p) + stats.norm(-1, 1).logpdf(x)).sum(axis=1)
    evidence = logsumexp(given + stats.beta(2, 3).logpdf(p[:, 0])) + np.log(p[1, 0] - p[0, 0])
    assert joint.exact
    assert apart.elbo + 0.1 < evidence
    assert joint.elbo == pytest.approx(evidence, abs=1e-7)  # of the sum over the plain grid


def test_blocks_that_no_statement_joins_are_independent() -> None:
    text = "mu ~ Normal(0, 1)\np ~ Beta(1, 1)\nx ~ Normal(mu, 1)\nz ~ Bernoulli(p)"
    posterior = fit(text, "q(mu, p)", x=0.3, z=1)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(stats.norm(0, np.sqrt(2)).logpdf(0.3) + betaln(2, 1) - betaln(1, 1), abs=1e-9)


PLANE = "a ~ Normal(0, 1)\nb ~ Normal(0, 1)\ns ~ Gamma(3, 1)\nfor n in N: y[n] ~ Normal(a + b, precision = s)"


def test_a_joint_normal_has_the_blocks_that_are_named() -> None:
    joint, parts = fit(PLANE, "q(a, b, s)", y=Y), fit(PLANE, "q(a, s) q(b)", y=Y)
    assert joint.exact and parts.engine == "svi"
    assert "joins variables that are no conjugate pair" in str(parts.plan)
    assert parts.elbo < joint.log_evidence
    correlation = [np.corrcoef(p.draws(2000)["a"], p.draws(2000)["b"])[0, 1] for p in (joint, parts)]
    assert correlation[0] < -0.7
    assert abs(correlation[1]) < 0.08


def test_multiplied_normals_that_are_named_together_are_joint() -> None:
    posterior = fit("a ~ Normal(0, 1)\nb ~ Normal(1, 1)\ny ~ Normal(a * b, 0.2)", "q(a, b)", y=1.5)
    apart = fit("a ~ Normal(0, 1)\nb ~ Normal(1, 1)\ny ~ Normal(a * b, 0.2)", "q(a) q(b)", y=1.5)
    b = np.linspace(-8, 10, 100_001)
    evidence = logsumexp(stats.norm(0, np.sqrt(b**2 + 0.04)).logpdf(1.5) + stats.norm(1, 1).logpdf(b)) + np.log(b[1] - b[0])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    assert apart.elbo < evidence
