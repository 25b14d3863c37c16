"""Streaming: a posterior as the prior of further data is the posterior of all of them, and the evidences multiply."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ppl

RNG = np.random.default_rng(3)
COIN = "model coin:\n    theta ~ Beta(1, 1)\n    for n in N: x[n] ~ Bernoulli(theta)\n"
STREAMS: dict[str, tuple[str, dict[str, np.ndarray], dict[str, Any]]] = {
    "beta": (COIN, {"x": np.array([1, 0, 1, 1, 0, 1])}, {}),
    "dirichlet": (
        "model d:\n    p ~ Dirichlet([1, 2, 1])\n    for n in N: z[n] ~ Categorical(p)\n",
        {"z": np.array([0, 2, 2, 1, 0, 2])},
        {},
    ),
    "rates of a plate": (
        "model g:\n    for k in K: r[k] ~ Gamma(2, rate = 1)\n    for n in N, k in K: c[n, k] ~ Poisson(r[k])\n",
        {"c": RNG.poisson(3, size=(6, 2))},
        {},
    ),
    "precision": (
        "model p:\n    tau ~ Gamma(2, rate = 1)\n    for n in N: y[n] ~ Normal(1, precision = tau)\n",
        {"y": RNG.normal(size=6)},
        {},
    ),
    "normal": (
        "model m:\n    mu ~ Normal(0, sd = 3)\n    for n in N: y[n] ~ Normal(mu, sd = 1)\n",
        {"y": RNG.normal(size=6)},
        {},
    ),
    "vector": (
        "model v:\n    m ~ MvNormal(zeros(2), cov = 4 * eye(2))\n    for n in N: y[n] ~ MvNormal(m, cov = [[1, 0.3], [0.3, 2]])\n",
        {"y": RNG.normal(size=(6, 2))},
        {},
    ),
    "matrix": (
        "model w:\n    P ~ Wishart(4, eye(2))\n    for n in N: y[n] ~ MvNormal(zeros(2), precision = P)\n",
        {"y": RNG.normal(size=(6, 2))},
        {},
    ),
    "line": (
        "model line:\n    input X: real[N, D]\n    a ~ Normal(0, sd = 2)\n    for d in D: w[d] ~ Normal(0, sd = 5)\n    for n in N: y[n] ~ Normal(a + dot(X[n], w), sd = 0.5)\n",
        {"X": RNG.normal(size=(8, 3)), "y": RNG.normal(size=8)},
        {},
    ),
    "normal and gamma": (
        "model ng:\n    tau ~ Gamma(2, rate = 3)\n    mu ~ Normal(1, precision = 0.5 * tau)\n    for n in N: y[n] ~ Normal(mu, precision = tau)\n",
        {"y": RNG.normal(size=6)},
        {},
    ),
    "pairs in a plate": (
        "model ng:\n    for k in K:\n        tau[k] ~ Gamma(2, rate = 3)\n        mu[k] ~ Normal(1, precision = 0.5 * tau[k])\n    for n in N, k in K: y[n, k] ~ Normal(mu[k], precision = tau[k])\n",
        {"y": RNG.normal(size=(6, 3))},
        {},
    ),
    "a line and its noise": (
        "model line:\n    input X: real[N, D]\n    tau ~ Gamma(2, rate = 3)\n    for d in D: w[d] ~ Normal(0, precision = 0.1 * tau)\n    for n in N: y[n] ~ Normal(dot(X[n], w), precision = tau)\n",
        {"X": RNG.normal(size=(8, 3)), "y": RNG.normal(size=8)},
        {},
    ),
    "variances": (
        "model ng:\n    s2 ~ InverseGamma(2, 3)\n    mu ~ Normal(1, var = s2 / 0.5)\n    for n in N: y[n] ~ Normal(mu, var = s2)\n",
        {"y": RNG.normal(size=6)},
        {},
    ),
    "a line and its variance": (
        "model line:\n    input X: real[N, D]\n    s2 ~ InverseGamma(2, 3)\n    for d in D: w[d] ~ Normal(0, var = 10 * s2)\n    for n in N: y[n] ~ Normal(dot(X[n], w), var = s2)\n",
        {"X": RNG.normal(size=(8, 3)), "y": RNG.normal(size=8)},
        {},
    ),
    "a precision that a plate shares": (
        "model ng:\n    tau ~ Gamma(2, rate = 3)\n    for k in K: mu[k] ~ Normal(1, precision = 0.5 * tau)\n    for n in N, k in K: y[n, k] ~ Normal(mu[k], precision = tau)\n",
        {"y": RNG.normal(size=(6, 3))},
        {},
    ),
    "a vector with a common precision": (
        "model ng:\n    tau ~ Gamma(2, rate = 3)\n    mu ~ MvNormal(ones(3), precision = 0.5 * tau * eye(3))\n    for n in N: y[n] ~ MvNormal(mu, precision = tau * eye(3))\n",
        {"y": RNG.normal(size=(6, 3))},
        {},
    ),
    "normal and inverse wishart": (
        "model nw:\n    S ~ InverseWishart(4, eye(2))\n    m ~ MvNormal(zeros(2), cov = S / 0.5)\n    for n in N: y[n] ~ MvNormal(m, cov = S)\n",
        {"y": RNG.normal(size=(6, 2))},
        {},
    ),
    "normal and wishart": (
        "model nw:\n    P ~ Wishart(4, eye(2))\n    m ~ MvNormal(zeros(2), precision = 0.5 * P)\n    for n in N: y[n] ~ MvNormal(m, precision = P)\n",
        {"y": RNG.normal(size=(6, 2))},
        {},
    ),
    "a member": (
        "type Side = {left, right}\nmodel s:\n    side: Side ~ Categorical({left: 0.4, right: 0.6})\n    for n in N: y[n] ~ Normal(if side == left then -1 else 1, sd = 2)\n",
        {"y": RNG.normal(size=6)},
        {},
    ),
}


@pytest.mark.parametrize("case", [name for name in STREAMS if name != "a member"])
def test_a_stream_is_its_batch(case: str) -> None:
    text, data, sizes = STREAMS[case]
    model = ppl.parse(text)
    parts = [{name: value[start : start + 2] for name, value in data.items()} for start in range(0, len(next(iter(data.values()))), 2)]
    batch, stream = model.fit(data, **sizes), model.fit(parts[0], **sizes)
    evidence = stream.elbo
    for part in parts[1:]:
        stream = stream.update(part)
        evidence += stream.elbo
    assert batch.exact
    assert stream.exact
    for name in batch.names:
        assert stream[name].family == batch[name].family
        for key, value in batch[name].params.items():
            np.testing.assert_allclose(stream[name].params[key], value, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(evidence, batch.elbo, rtol=1e-9)


def test_a_stream_may_have_parts_of_any_length() -> None:
    model = ppl.parse(COIN)
    stream = model.fit(x=[1]).update(x=[0, 1, 1]).update(x=[1, 0])
    np.testing.assert_allclose([stream["theta"].params[k] for k in ("a", "b")], [5.0, 3.0])


def test_what_members_have_of_their_own_is_inferred_anew() -> None:
    text = "model groups:\n    mu ~ Normal(0, sd = 1)\n    for j in J: a[j] ~ Normal(mu, sd = 2)\n    for j in J: y[j] ~ Normal(a[j], sd = 0.5)\n"
    model = ppl.parse(text)
    first = model.fit(y=[1.0, 2.0])
    with pytest.raises(ppl.AimError, match=r"AIM0812\]: the posterior of `mu` is joint with `a`"):
        first.update(y=[0.5])


def test_a_time_axis_is_not_gone_on_with() -> None:
    text = "model walk:\n    x[0] ~ Normal(0, sd = 1)\n    for t in 1..T: x[t] ~ Normal(x[t - 1], sd = 1)\n    for t in T: y[t] ~ Normal(x[t], sd = 1)\n"
    try:
        posterior = ppl.parse(text).fit(y=[1.0, 2.0, 0.5])
    except ppl.AimError as error:
        pytest.skip(f"no engine serves recursions: {error.diagnostics[0].code}")
    with pytest.raises(ppl.AimError, match=r"AIM0812\]: `T` is a time axis"):
        posterior.update(y=[0.1])


def test_data_that_may_be_of_several_plates_have_to_say_of_which() -> None:
    text = "model groups:\n    for j in J: a[j] ~ Normal(0, sd = 2)\n    for j in J, n in N: y[j, n] ~ Normal(a[j], sd = 0.5)\n"
    y, more = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    model = ppl.parse(text)
    first = model.fit(y=y)
    with pytest.raises(ppl.AimError, match=r"AIM0813\]: the new data may be of new members of `J` or of `N`"):
        first.update(y=more)
    stream, batch = first.update(y=more, along="N"), model.fit(y=np.concatenate([y, more], axis=1))
    np.testing.assert_allclose(stream["a"].mean, batch["a"].mean)
    np.testing.assert_allclose(first.elbo + stream.elbo, batch.elbo)
    others, alone = first.update(y=more, along="J"), model.fit(y=more)
    np.testing.assert_allclose(others["a"].mean, alone["a"].mean)


def test_what_nothing_was_learnt_of_keeps_its_prior() -> None:
    """A group that the first data lack, and a variable that no data touch, which still depends on what is learnt."""
    text = """\
model groups(G: size = 2):
    for g in G: theta[g] ~ Beta(2, 3)
    mu ~ Normal(0, sd = 1)
    apart ~ Normal(mu, sd = 1)
    input group: G[N]
    for n in N:
        x[n] ~ Bernoulli(theta[group[n]])
        y[n] ~ Normal(mu, sd = 1)
"""
    model = ppl.parse(text)
    stream = model.fit(group=[0, 0], x=[1, 0], y=[2.0, 3.0]).update(group=[1, 1, 0], x=[1, 1, 1], y=[2.5, 1.0, 0.5])
    np.testing.assert_allclose(stream["theta"].params["a"], [4.0, 4.0])
    np.testing.assert_allclose(stream["theta"].params["b"], [4.0, 3.0])
    np.testing.assert_allclose(stream["mu"].mean, 9 / 6)
    np.testing.assert_allclose(stream["apart"].mean, 9 / 6)
    np.testing.assert_allclose(stream["apart"].var, 1 + 1 / 6)
    drawn = stream.draws(20_000)
    np.testing.assert_allclose(np.cov(drawn["mu"], drawn["apart"])[0, 1], 1 / 6, atol=0.02)


def test_an_approximate_prior_is_said_to_be_one() -> None:
    text = "model m:\n    mu ~ Normal(0, sd = 1)\n    tau ~ Gamma(1, rate = 1)\n    for n in N: y[n] ~ Normal(mu, precision = tau)\n"
    model = ppl.parse(text)
    second = model.fit(y=[1.0, 2.0]).update(y=[1.5])
    assert not second.exact
    assert any("approximate posterior" in warning for warning in second.warnings)


def test_a_sampler_has_no_prior_to_give() -> None:
    posterior = replace(ppl.parse(COIN).fit(x=[1, 0]), joint_blocks=None)
    with pytest.raises(ppl.AimError, match=r"AIM0812\]: the posterior of `theta` is known by draws"):
        posterior.update(x=[1])
