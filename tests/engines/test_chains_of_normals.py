"""Time as an axis: a chain gives what the same block gives when it stands dense, and its bound is the evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl
from ppl.compiler import chains

RNG = np.random.default_rng(3)


def series(*shape: int, holes: int = 0) -> np.ndarray:
    values = RNG.normal(size=shape)
    if holes:
        values.ravel()[RNG.choice(values.size, holes, replace=False)] = np.nan
    return values


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "local level, with holes": (
        """
        level[0] ~ Normal(0, sd = 2)
        for t in 1..T: level[t] ~ Normal(level[t - 1], sd = 0.5)
        for t in T: y[t] ~ Normal(level[t], sd = 1)
        """,
        {"y": series(20, holes=6)},
    ),
    "a trend: two variables that follow each other": (
        """
        level[0] ~ Normal(0, sd = 2)
        slope[0] ~ Normal(0, sd = 1)
        for t in 1..T:
            slope[t] ~ Normal(0.9 * slope[t - 1], sd = 0.3)
            level[t] ~ Normal(level[t - 1] + slope[t - 1], sd = 0.5)
        for t in T: y[t] ~ Normal(level[t], sd = 1)
        """,
        {"y": series(15)},
    ),
    "a state written at the next step": (
        """
        z[0] ~ Normal(0, sd = 1)
        for t in T:
            z[t + 1] ~ Normal(0.8 * z[t], sd = 0.5)
            y[t] ~ Normal(z[t + 1] + 0.5 * z[t], sd = 0.4)
        """,
        {"y": series(14)},
    ),
    "an autoregression of order 3, by a sum, with holes": (
        """
        beta = [0.5, -0.3, 0.2]
        for t in 0..3: x[t] ~ Normal(0, sd = 1)
        for t in 3..T: x[t] ~ Normal(sum(beta[k] * x[t - 1 - k] for k in 0..3), sd = 0.7)
        for t in T: y[t] ~ Normal(x[t], sd = 0.5)
        """,
        {"y": series(17, holes=3)},
    ),
    "an autoregression of order 2, by a slice": (
        """
        beta = [-0.3, 0.6]
        for t in 0..2: x[t] ~ Normal(0, sd = 1)
        for t in 2..T: x[t] ~ Normal(dot(beta, x[t - 2..t]), sd = 0.7)
        for t in T: y[t] ~ Normal(x[t], sd = 0.5)
        """,
        {"y": series(16)},
    ),
    "a level and the coefficients of inputs": (
        """
        input X: real[T, D]
        for d in D: beta[d] ~ Normal(0, sd = 1)
        level[0] ~ Normal(0, sd = 2)
        for t in 1..T: level[t] ~ Normal(level[t - 1], sd = 0.5)
        for t in T: y[t] ~ Normal(level[t] + dot(X[t], beta), sd = 1)
        """,
        {"y": series(13, holes=2), "X": series(13, 2)},
    ),
    "several sequences": (
        """
        for s in S:
            z[s, 0] ~ Normal(0, sd = 1)
            for t in 1..T: z[s, t] ~ Normal(0.7 * z[s, t - 1], sd = 0.5)
            for t in T: y[s, t] ~ Normal(z[s, t], sd = 0.4)
        """,
        {"y": series(3, 9, holes=4)},
    ),
    "a vector that turns, seen in part": (
        """
        A = [[0.9, -0.3, 0], [0.3, 0.9, 0], [0, 0.1, 0.5]]
        C = [[1, 0, 0.5], [0, 1, 0]]
        z[0] ~ MvNormal(zeros(3), cov = eye(3))
        for t in 1..T: z[t] ~ MvNormal(A @ z[t - 1], cov = 0.2 * eye(3))
        for t in T: y[t] ~ MvNormal(C @ z[t], cov = [[0.5, 0.1], [0.1, 0.4]])
        """,
        {"y": series(8, 2)},
    ),
    "a season of four that sums to almost nothing": (
        """
        for t in 0..3: s[t] ~ Normal(0, sd = 1)
        for t in 3..T: s[t] ~ Normal(-s[t - 1] - s[t - 2] - s[t - 3], sd = 0.2)
        for t in T: y[t] ~ Normal(s[t], sd = 0.5)
        """,
        {"y": series(18)},
    ),
    "given states in the middle": (
        """
        z[0] ~ Normal(0, sd = 1)
        for t in 1..T: z[t] ~ Normal(0.9 * z[t - 1], sd = 0.5)
        for t in T: y[t] ~ Normal(z[t], sd = 1)
        """,
        {"y": series(12), "z": np.where(np.isin(np.arange(12), (4, 5)), 0.3, np.nan)},
    ),
}


def fitted(name: str, smallest: int, monkeypatch: pytest.MonkeyPatch) -> ppl.Posterior:
    text, data = MODELS[name]
    monkeypatch.setattr(chains, "SMALL", smallest)
    return ppl.parse("model m:\n" + text).fit(**data)


@pytest.mark.parametrize("name", MODELS)
def test_a_chain_is_the_dense_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, dense = (fitted(name, smallest, monkeypatch) for smallest in (0, 10**6))
    assert any(b.chain is not None for b in chain.plan.blocks)
    assert all(b.chain is None for b in dense.plan.blocks)
    assert chain.exact
    assert chain.log_evidence == pytest.approx(dense.log_evidence, abs=1e-9)
    for variable in dense.plan.latents:
        np.testing.assert_allclose(chain[variable].mean, dense[variable].mean, atol=1e-9)
        np.testing.assert_allclose(chain[variable].sd, dense[variable].sd, atol=1e-9)


@pytest.mark.parametrize("name", ["local level, with holes", "a level and the coefficients of inputs"])
def test_draws_of_a_chain_have_its_moments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = fitted(name, 0, monkeypatch)
    drawn = chain["level"].sample(4000, seed=1)
    sd = chain["level"].sd
    np.testing.assert_allclose(drawn.mean(axis=0), chain["level"].mean, atol=0.1 * sd.max())
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.1)


def test_a_learnt_chain_is_the_learnt_dense_block(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """model m:
        q ~ Gamma(2, 1)
        r ~ Gamma(2, 1)
        level[0] ~ Normal(0, sd = 2)
        for t in 1..T: level[t] ~ Normal(level[t - 1], precision = q)
        for t in T: y[t] ~ Normal(level[t], precision = r)
    """
    data = series(15, holes=2)
    bounds = []
    for smallest in (0, 10**6):
        monkeypatch.setattr(chains, "SMALL", smallest)
        bounds.append(ppl.parse(text).fit(y=data).elbo_trace)
    np.testing.assert_allclose(bounds[0], bounds[1], atol=1e-8)
