"""A series that goes on: the last beliefs are the prior of its next steps, which are then what the batch believes of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import ppl

RNG = np.random.default_rng(1)
Y, W = RNG.normal(size=9), RNG.normal(size=(9, 2))
LONG = RNG.normal(size=120)
START = "    x[0] ~ Normal(0, sd = 1)\n"
SEEN = "    for t in T: y[t] ~ Normal(x[t], sd = 1)\n"
WALK = f"model walk:\n{START}    for t in 1..T: x[t] ~ Normal(x[t - 1], sd = 1)\n{SEEN}"
SECOND = "model second:\n    m ~ Normal(0, sd = 3)\n    x[0] ~ Normal(0, sd = 1)\n    x[1] ~ Normal(0, sd = 1)\n    for t in 2..T: x[t] ~ Normal(0.9 * x[t - 1] - 0.3 * x[t - 2] + m, sd = 1)\n"
SERIES: dict[str, tuple[str, dict[str, np.ndarray], str]] = {
    "walk": (WALK, {"y": Y}, "x"),
    "missing values": (WALK, {"y": np.where(np.arange(9) % 4 == 3, np.nan, Y)}, "x"),
    "one state more": (
        "model more:\n    x[0] ~ Normal(0, sd = 1)\n    for t in T:\n        x[t + 1] ~ Normal(0.5 * x[t], sd = 1)\n        y[t] ~ Normal(x[t + 1], sd = 1)\n",
        {"y": Y},
        "x",
    ),
    "discrete": (
        "type S = {a, b}\nmodel h:\n    x[0] ~ Categorical({a: 0.5, b: 0.5})\n    for t in 1..T: x[t] ~ match x[t - 1]:\n        a -> {a: 0.8, b: 0.2}\n        b -> {a: 0.3, b: 0.7}\n    for t in T: y[t] ~ Normal(if x[t] == a then -1 else 1, sd = 1)\n",
        {"y": Y},
        "x",
    ),
    "time as a number": (
        f"model trend:\n    b ~ Normal(0, sd = 1)\n{START}    for t in 1..T: x[t] ~ Normal(x[t - 1] + 0.1 * t, sd = 1)\n    for t in T: y[t] ~ Normal(x[t] + b * t, sd = 1)\n",
        {"y": Y},
        "x",
    ),
    "seasons": (
        f"model seasons(K: size = 3):\n    for k in K: s[k] ~ Normal(0, sd = 1)\n{START}    for t in 1..T: x[t] ~ Normal(x[t - 1], sd = 1)\n    for t in T: y[t] ~ Normal(x[t] + s[t % 3], sd = 1)\n",
        {"y": Y},
        "s",
    ),
    "two steps back": (SECOND + SEEN, {"y": Y}, "x"),
    "two states": (
        f"model two:\n{START}    v[0] ~ Normal(0, sd = 1)\n    for t in 1..T:\n        x[t] ~ Normal(x[t - 1] + v[t - 1], sd = 1)\n        v[t] ~ Normal(v[t - 1], sd = 1)\n{SEEN}",
        {"y": Y},
        "v",
    ),
    "vectors and a common number": (
        "model vec:\n    m ~ Normal(0, sd = 2)\n    x[0] ~ MvNormal(zeros(2), cov = eye(2))\n    for t in 1..T: x[t] ~ MvNormal([[0.9, 0.1], [0, 0.8]] @ x[t - 1] + m * ones(2), cov = eye(2))\n    for t in T: y[t] ~ MvNormal(x[t], cov = eye(2))\n",
        {"y": W},
        "x",
    ),
    "observed past": (
        "model ar:\n    phi ~ Normal(0, sd = 1)\n    y[0] ~ Normal(0, sd = 1)\n    y[1] ~ Normal(0, sd = 1)\n    for t in 2..T: y[t] ~ Normal(phi * y[t - 1] + 0.2 * y[t - 2], sd = 1)\n",
        {"y": Y},
        "phi",
    ),
    "inputs of before": (
        f"model inputs:\n    input u: real[T]\n{START}    for t in 1..T: x[t] ~ Normal(0.5 * x[t - 1] + u[t - 1], sd = 1)\n{SEEN}",
        {"y": Y, "u": W[:, 0]},
        "x",
    ),
    "several series": (
        "model panel:\n    for s in S:\n        x[0, s] ~ Normal(0, sd = 1)\n        for t in 1..T: x[t, s] ~ Normal(x[t - 1, s], sd = 1)\n    for t in T, s in S: y[t, s] ~ Normal(x[t, s], sd = 1)\n",
        {"y": W},
        "x",
    ),
    "a long chain with a border": (SECOND + SEEN, {"y": LONG}, "x"),
}


@pytest.mark.parametrize("case", SERIES)
def test_a_series_in_parts_is_its_batch(case: str) -> None:
    text, data, name = SERIES[case]
    model, length = ppl.parse(text), len(data["y"])
    cuts = (0, 4, 6, 9) if length == 9 else (0, 61, 100, 120)
    stream, batch = model.fit({n: v[: cuts[1]] for n, v in data.items()}), model.fit(data)
    evidence = stream.elbo
    for start, stop in itertools.pairwise(cuts[1:]):
        stream = stream.update({n: v[start:stop] for n, v in data.items()})
        evidence += stream.elbo
    assert batch.exact and stream.exact and not stream.warnings
    np.testing.assert_allclose(evidence, batch.elbo, rtol=1e-9)
    new, all_of_it = stream[name], batch[name]
    along = np.ndim(new.mean) and np.shape(new.mean) != np.shape(all_of_it.mean)
    assert not along or len(new.mean) == len(all_of_it.mean) - cuts[-2]
    for key, value in new.params.items():
        wanted = all_of_it.params[key][-len(value) :] if along else all_of_it.params[key]
        np.testing.assert_allclose(value, wanted, rtol=1e-7, atol=1e-9)


def test_questions_are_of_the_new_steps(tmp_path: Path) -> None:
    """Also after a file; what comes first in the series is not told, but it is known."""
    model = ppl.parse(SERIES["observed past"][0])
    stream, batch = model.fit(y=Y[:5]).update(y=Y[5:]), model.fit(y=Y)
    again = ppl.open_posterior(stream.save(tmp_path / "stream"))
    for one in (stream, again):
        told = one.log_likelihood(draws=1000, seed=2)["y"]
        assert told.shape == (1000, 4)
        np.testing.assert_allclose(told.mean(axis=0), batch.log_likelihood(draws=4000)["y"].mean(axis=0)[5:], atol=0.05)
        assert one.predict("y", draws=50).shape == (50, 4)
        assert one.predict("y", draws=50, T=6).shape == (50, 6)
        assert one.to_arviz(draws=50).observed_data["y"].shape == (4,)
    np.testing.assert_allclose(again.update(y=[0.3])["phi"].mean, model.fit(y=[*Y, 0.3])["phi"].mean)


def test_a_filter_tells_the_last_state() -> None:
    """Step by step: the local level's filter, a closed form."""
    stream = ppl.parse(WALK).fit(y=Y[:1])
    mean, var = Y[0] / 2, 0.5
    for y in Y[1:4]:
        stream = stream.update(y=[y])
        gain = (var + 1) / (var + 2)
        mean, var = mean + gain * (y - mean), gain
        np.testing.assert_allclose([stream["x"].mean[0], stream["x"].var[0]], [mean, var])


def test_other_series_begin_anew() -> None:
    text = SERIES["several series"][0].replace("x[0, s]", "x[s, 0]").replace("x[t, s]", "x[s, t]").replace("x[t - 1, s]", "x[s, t - 1]")
    model = ppl.parse(text.replace("y[t, s]", "y[s, t]"))
    stream, batch = model.fit(y=W.T[:1]).update(y=W.T[1:], along="S"), model.fit(y=W.T)
    np.testing.assert_allclose(stream["x"].mean, batch["x"].mean[1:])


def test_states_that_are_joint_at_the_end_are_fitted_together() -> None:
    text = "model two:\n    a[0] ~ Bernoulli(0.5)\n    b[0] ~ Bernoulli(0.3)\n    for t in 1..T:\n        a[t] ~ Bernoulli(if a[t - 1] == 1 then 0.9 else 0.2)\n        b[t] ~ Bernoulli(if b[t - 1] == 1 then 0.7 else 0.1)\n    for t in T: y[t] ~ Normal(a[t] + 2 * b[t], sd = 1)\n"
    model = ppl.parse(text)
    first, batch = model.fit(y=Y[:5]), model.fit(y=Y)
    second = first.update(y=Y[5:])
    assert any("fitted together" in told for told in second.warnings)
    np.testing.assert_allclose(second["a"].params["p"], batch["a"].params["p"])
    np.testing.assert_allclose(first.elbo + second.elbo, batch.elbo)
