"""Streaming: a posterior as the prior of further data is the posterior of all of them, and the evidences multiply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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


GROUPS = (
    "model groups:\n    mu ~ Normal(0, sd = 1)\n    for j in J: a[j] ~ Normal(mu, sd = 2)\n    for j in J: y[j] ~ Normal(a[j], sd = 0.5)\n"
)


def test_what_members_have_of_their_own_is_left_behind() -> None:
    """The belief in what is shared is the marginal of a joint one; that of new members is theirs in the batch."""
    model, y = ppl.parse(GROUPS), np.array([1.0, 2.0, 0.5, -1.0])
    first, batch = model.fit(y=y[:2]), model.fit(y=y)
    second = first.update(y=y[2:])
    assert second.exact and not second.warnings
    np.testing.assert_allclose(second["mu"].var, batch["mu"].var)
    np.testing.assert_allclose(second["a"].mean, batch["a"].mean[2:])
    np.testing.assert_allclose(first.elbo + second.elbo, batch.elbo)


def test_what_stands_for_others_is_no_prior_of_theirs() -> None:
    """A half-Cauchy scale is written by two hidden variables: all data are fitted together."""
    model = ppl.parse("model h:\n    s ~ HalfCauchy(1)\n    for n in N: y[n] ~ Normal(0, sd = s)\n")
    y = RNG.normal(size=8)
    second, batch = model.fit(y=y[:5]).update(y=y[5:]), model.fit(y=y)
    np.testing.assert_allclose(second["s"].mean, batch["s"].mean)
    assert any("fitted together" in text for text in second.warnings)


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


# ------------------------------------------------------------------ old and new data together
def test_the_draws_of_a_sampler_are_those_of_all_data() -> None:
    model = ppl.parse(COIN)
    second, batch = model.fit(x=[1, 0, 1], engine="nuts").update(x=[0, 1]), model.fit(x=[1, 0, 1, 0, 1], engine="nuts")
    assert second.engine == "nuts"
    np.testing.assert_array_equal(second["theta"].draws, batch["theta"].draws)
    assert any("fitted together" in text and "known by draws" in text for text in second.warnings)


SUMMED = "model t:\n    z ~ Bernoulli(0.5)\n    m ~ Normal(4 * z, sd = 1)\n    for n in N: y[n] ~ Normal(m, sd = 1)\n"


def test_a_sum_over_states_goes_on() -> None:
    model, y = ppl.parse(SUMMED), RNG.normal(size=8) + 2
    first, batch = model.fit(y=y[:3]), model.fit(y=y)
    second = first.update(y=y[3:5])
    third = second.update(y=y[5:])
    assert third.exact
    np.testing.assert_allclose(third["z"].params["p"], batch["z"].params["p"])
    np.testing.assert_allclose(third["m"].var, batch["m"].var)
    np.testing.assert_allclose(first.elbo + second.elbo + third.elbo, batch.elbo)
    np.testing.assert_allclose(sum(third.free_energy_by_factor().values()), third.free_energy)


def test_members_are_put_together_by_name() -> None:
    text = "type Side = {left, right}\nmodel s:\n    z ~ Bernoulli(0.5)\n    input side: Side[N]\n    for s in Side: m[s] ~ Normal(z, sd = 1)\n    for n in N: y[n] ~ Normal(m[side[n]], sd = 1)\n"
    model, y = ppl.parse(text), RNG.normal(size=4)
    stream = model.fit(y=y[:2], side=["left", "left"]).update(y=y[2:], side=["right", "left"])
    np.testing.assert_allclose(stream["m"].mean, model.fit(y=y, side=["left", "left", "right", "left"])["m"].mean)


def test_data_that_contradict_those_before_are_said_to() -> None:
    text = "model c(s):\n    z ~ Bernoulli(0.5)\n    m ~ Normal(z, sd = 1)\n    for n in N: y[n] ~ Normal(m, sd = s)\n"
    with pytest.raises(ppl.AimError, match=r"AIM0812\]: `s` had another value before"):
        ppl.parse(text).fit(y=[1.0, 2.0], s=1.0).update(y=[1.5], s=2.0)


def test_what_came_back_from_a_file_still_knows_its_prior(tmp_path: Path) -> None:
    """Its prior is of data that the file does not hold, and an update that fits all data together asks for it."""
    text = "model h:\n    p ~ Beta(1, 1)\n    for n in N: x[n] ~ Bernoulli(p)\n"
    model = ppl.parse(text)
    second = ppl.open_posterior(model.fit(x=[1, 1, 0]).update(x=[1, 0]).save(tmp_path / "second"))
    third = replace(second, joint_blocks=None).update(x=[1, 1])
    assert any("fitted together" in text for text in third.warnings)
    np.testing.assert_allclose([third["p"].params[k] for k in ("a", "b")], [6.0, 3.0])
    np.testing.assert_allclose(model.fit(x=[1, 1, 0, 1, 0]).elbo + third.elbo, model.fit(x=[1, 1, 0, 1, 0, 1, 1]).elbo)
