"""k-hat of variational posteriors: the weights behind it against the bound, the evidence by quadrature and by enumeration."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

import ppl
from ppl.compiler.plan import Plan
from ppl.engines.precision import with_precision
from ppl.engines.trust import integrated_blocks, log_weights
from ppl.engines.vmp import run_vmp


def weights_of(model: ppl.Model, draws: int = 4000, **data: object) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Log weights, the bound, and what was integrated out."""
    plan = model.explain(**data)
    assert isinstance(plan, Plan)
    run = with_precision(np.float64, run_vmp)(plan)
    integrated = integrated_blocks(plan)
    found = with_precision(np.float64, log_weights)(plan, run, integrated, draws=draws, seed=1)
    return found, float(run.trace[-1]), integrated


def log_mean(log_weights: np.ndarray) -> float:
    return float(special.logsumexp(log_weights) - np.log(len(log_weights)))


MODELS: dict[str, tuple[str, dict]] = {
    "Normal and Gamma": (
        "mu ~ Normal(0, sd = 10)\n    tau ~ Gamma(2, 1)\n    for n in N: x[n] ~ Normal(mu, precision = tau)",
        {"x": [1.0, 1.2, 0.3, 1.7]},
    ),
    "pairs, joined by a third": (
        "t ~ Gamma(3, 2)\n    c ~ Normal(0, sd = 1)\n    m ~ Normal(1, precision = 0.5 * t)\n"
        "    for n in N: x[n] ~ Normal(m, precision = t)\n    for n in N: y[n] ~ Normal(m * c, sd = 1)",
        {"x": [1.0, 1.2, 0.3, 1.7], "y": [0.4, 0.5, 0.6, 0.1]},
    ),
    "vectors and a Wishart": (
        "W ~ Wishart(4, scale = eye(2))\n    v ~ MvNormal([0, 1], cov = eye(2))\n    for n in N: y[n] ~ MvNormal(v, precision = W)",
        {"y": [[0.3, 1.0], [1.2, 0.1], [0.6, 0.4]]},
    ),
    "a walk with a learnt step": (
        "q ~ Gamma(2, 2)\n    b ~ Normal(0, sd = 1)\n    x[0] ~ Normal(0, precision = q)\n"
        "    for t in 1..T: x[t] ~ Normal(x[t - 1], precision = q)\n    for t in T: y[t] ~ Normal(x[t] + b, sd = 0.5)",
        {"y": [0.3, 1.0, float("nan"), 2.1, 1.4, 2.2]},
    ),
    "a scale by quadrature": (
        "s ~ HalfNormal(2)\n    m ~ Normal(0, sd = 3)\n    for n in N: x[n] ~ Normal(m, sd = s)",
        {"x": [0.5, -1.5, 0.8]},
    ),
    "not conjugate": (
        "a ~ Normal(0, sd = 2)\n    for n in N: y[n] ~ Bernoulli(logit = a * u[n])\n    input u: real[N]",
        {"y": [1, 0, 1, 1], "u": [0.5, -1.0, 2.0, 0.3]},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_mean_of_the_log_weights_is_the_bound(name: str) -> None:
    """Where nothing is integrated out: E_q[log p - log q]."""
    body, data = MODELS[name]
    weights, bound, integrated = weights_of(ppl.parse(f"model m:\n    {body}\n"), **data)
    assert not integrated
    assert weights.mean() == pytest.approx(bound, abs=5 * weights.std() / np.sqrt(len(weights)) + 1e-6)


def test_the_weights_are_those_of_the_evidence() -> None:
    body, data = MODELS["Normal and Gamma"]
    weights, _, _ = weights_of(ppl.parse(f"model m:\n    {body}\n"), **data)
    mu, log_tau = np.linspace(-30, 30, 3001), np.linspace(-8, 4, 601)
    tau = np.exp(log_tau)
    log_density = stats.norm(0, 10).logpdf(mu)[:, None] + stats.gamma(2).logpdf(tau) + log_tau
    log_density = log_density + stats.norm(mu[:, None, None], tau[:, None] ** -0.5).logpdf(np.array(data["x"])).sum(axis=-1)
    evidence = special.logsumexp(log_density) + np.log((mu[1] - mu[0]) * (log_tau[1] - log_tau[0]))
    assert log_mean(weights) == pytest.approx(evidence, abs=0.05)


MIXTURE = """
model mixture(K: size = 2):
    pi ~ Dirichlet(2 * ones(K))
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(2 * z[n], sd = 1)
"""


@pytest.mark.parametrize("repeats", [2, 20])
def test_discrete_variables_are_integrated_out(repeats: int) -> None:
    """Taken in rows as they are; the evidence by a grid over their probability."""
    x = np.tile([0.1, 1.1, 0.9, 2.2, 1.4], repeats)
    weights, bound, integrated = weights_of(ppl.parse(MIXTURE), x=x)
    assert integrated == ("z",)
    p = (np.arange(4000) + 0.5) / 4000
    log_density = stats.beta(2, 2).logpdf(p) + np.logaddexp(
        np.log(p)[:, None] + stats.norm(2, 1).logpdf(x), np.log1p(-p)[:, None] + stats.norm(0, 1).logpdf(x)
    ).sum(axis=1)
    evidence = special.logsumexp(log_density) - np.log(4000)
    assert log_mean(weights) == pytest.approx(evidence, abs=0.05)
    assert bound < weights.mean() < evidence + 0.01


@pytest.mark.parametrize("steps", [20, 300])
def test_a_hidden_chain_is_integrated_out(steps: int) -> None:
    """The evidence by a grid over the one number that is left, and the forward recursion at each."""
    model = ppl.parse("""
model hmm(T: size):
    A = [[0.9, 0.1], [0.3, 0.7]]
    m ~ Normal(0, sd = 2)
    z[0] ~ Categorical([0.5, 0.5])
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: x[t] ~ Normal(m * z[t], sd = 1)
""")
    x = np.random.default_rng(4).normal(size=steps) + 2 * (np.arange(steps) // 9 % 2)
    weights, bound, integrated = weights_of(model, x=x, T=steps)
    assert integrated == ("z",)
    m = np.linspace(-3, 5, 2001)
    seen = np.stack([np.broadcast_to(stats.norm(0, 1).logpdf(x)[:, None], (steps, len(m))), stats.norm(m, 1).logpdf(x[:, None])], axis=-1)
    forward = np.log([0.5, 0.5]) + seen[0]
    for t in range(1, steps):
        forward = special.logsumexp(forward[:, :, None] + np.log([[0.9, 0.1], [0.3, 0.7]]), axis=1) + seen[t]
    evidence = special.logsumexp(special.logsumexp(forward, axis=1) + stats.norm(0, 2).logpdf(m)) + np.log(m[1] - m[0])
    assert log_mean(weights) == pytest.approx(evidence, abs=0.05)
    assert bound < weights.mean() < evidence + 0.01


def test_members_in_turns_are_drawn() -> None:
    model = ppl.parse("""
model ring(I: size = 5):
    p ~ Beta(2, 2)
    for i in I: s[i] ~ Bernoulli(p)
    for i in I: factor 0.8 * s[i] * s[(i + 1) % 5]

approximate ring:
    q(p) q(s[i])
""")
    weights, bound, integrated = weights_of(model, draws=20000)
    assert not integrated
    states = np.array(list(itertools.product((0, 1), repeat=5)))
    ones = states.sum(axis=1)
    logs = special.betaln(2 + ones, 7 - ones) - special.betaln(2, 2) + 0.8 * (states * np.roll(states, -1, axis=1)).sum(axis=1)
    assert log_mean(weights) == pytest.approx(special.logsumexp(logs), abs=0.05)
    assert weights.mean() == pytest.approx(bound, abs=0.05)


def test_hidden_scales_are_integrated_out() -> None:
    """A robust mean: the weights are those of the mean alone, whose posterior is one-dimensional."""
    model = ppl.parse("model r:\n    m ~ Normal(0, sd = 10)\n    for n in N: x[n] ~ StudentT(3, mean = m, sd = 1)\n")
    x = np.array([0.3, 0.5, 4.0, 0.1])
    weights, _, integrated = weights_of(model, x=x)
    assert len(integrated) == 1
    m = np.linspace(-40, 40, 40001)
    log_density = stats.norm(0, 10).logpdf(m) + stats.t(3, m[:, None], 1).logpdf(x).sum(axis=1)
    assert log_mean(weights) == pytest.approx(special.logsumexp(log_density) + np.log(m[1] - m[0]), abs=0.05)


def test_k_hat_is_low_where_the_approximation_is_good_and_high_where_it_is_not() -> None:
    rng = np.random.default_rng(0)
    body, _ = MODELS["Normal and Gamma"]
    good = ppl.parse(f"model m:\n    {body}\n").fit(x=rng.normal(1, 2, size=200))
    assert good.khat is not None
    assert good.khat < 0.6
    assert good.cautions == good.warnings
    assert json.loads(json.dumps(good.to_json()))["pareto_k"] == pytest.approx(good.khat)
    bad = ppl.parse("""
model narrow:
    for n in N:
        a[n] ~ Normal(0, sd = 3)
        b[n] ~ Normal(0, sd = 3)
        x[n] ~ Normal(a[n] + b[n], sd = 1)

approximate narrow:
    q(a) q(b)
""").fit(x=np.linspace(0, 2, 20))
    assert bad.khat is not None
    assert bad.khat > 0.7
    assert "k-hat" in bad.cautions[-1]
    assert "`use gibbs`" in str(bad)


def test_exact_posteriors_and_samples_have_none() -> None:
    coin = ppl.parse("model c:\n    p ~ Beta(1, 1)\n    for n in N: x[n] ~ Bernoulli(p)\n")
    assert coin.fit(x=[1, 0, 1]).khat is None
    assert coin.fit(x=[1, 0, 1], engine="gibbs", iterations=100).khat is None
    assert coin.fit(x=[1, 0, 1]).to_json()["pareto_k"] is None


def test_a_stored_posterior_still_tells_its_k_hat(tmp_path: Path) -> None:
    body, data = MODELS["Normal and Gamma"]
    posterior = ppl.parse(f"model m:\n    {body}\n").fit(data)
    stored = ppl.open_posterior(posterior.save(tmp_path / "posterior.safetensors", draws=50))
    assert stored.khat == posterior.khat
    assert stored.cautions == posterior.cautions
