"""A posterior that was saved comes back the same, with its model: it answers what it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import ppl
from ppl.results.posterior import Posterior
from tests.reference.gaussians import log_normal

RNG = np.random.default_rng(6)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "coin": ("model coin(a = 1):\n    theta ~ Beta(a, 1)\n    for n in N: x[n] ~ Bernoulli(theta)\n", {"x": [1, 0, 1], "a": 2.5}),
    "missing": (
        "model m:\n    mu ~ Normal(0, sd = 1)\n    twice = 2 * mu\n    square = mu * mu\n    for n in N: y[n] ~ Normal(mu, sd = 1)\n",
        {"y": [1.0, np.nan, 2.0]},
    ),
    "members": (
        "type Side = {left, right}\nmodel s:\n    for n in N:\n        side[n]: Side ~ Categorical({left: 0.4, right: 0.6})\n        y[n] ~ Normal(if side[n] == left then -1 else 1, sd = 1)\n".replace(
            "side[n]: Side ~", "side[n] ~"
        ),
        {"y": [0.1, 1.2], "side": ["left", None]},
    ),
    "summed": ("model t:\n    z ~ Bernoulli(0.5)\n    x ~ Normal(4 * z, sd = 1)\n    y ~ Normal(x, sd = 1)\n", {"y": 3.0}),
}


def saved(posterior: Posterior, folder: Path) -> Posterior:
    return ppl.open_posterior(posterior.save(folder / "posterior.safetensors", draws=200))


@pytest.mark.parametrize("case", MODELS)
def test_everything_comes_back(case: str, tmp_path: Path) -> None:
    text, data = MODELS[case]
    posterior = ppl.parse(text).fit(data)
    again = saved(posterior, tmp_path)
    assert again.to_json() == posterior.to_json()
    assert str(again.summary()) == str(posterior.summary())
    assert str(again.plan) == str(posterior.plan)
    assert again.free_energy_by_factor() == posterior.free_energy_by_factor()
    for name in posterior.names:
        np.testing.assert_array_equal(again[name].quantile(0.3), posterior[name].quantile(0.3))
    assert {n: v.shape for n, v in again.predict(draws=200).items()} == {n: v.shape for n, v in posterior.predict(draws=200).items()}
    drawn = {name: value for name, value in posterior.draws(200, seed=posterior.seed).items()}
    for name, value in again.draws(200).items():
        np.testing.assert_array_equal(value, drawn[name])
    for name, value in again.log_likelihood(draws=200).items():
        np.testing.assert_allclose(value, posterior.log_likelihood(draws=200, seed=posterior.seed)[name], rtol=1e-12)


def test_a_posterior_that_came_back_is_updated_and_saved_again(tmp_path: Path) -> None:
    text, data = MODELS["coin"]
    again = saved(saved(ppl.parse(text).fit(data), tmp_path).update(x=[1, 1]), tmp_path)
    np.testing.assert_allclose([again["theta"].params[k] for k in ("a", "b")], [6.5, 2.0])
    np.testing.assert_allclose(again.update(x=[0])["theta"].params["b"], 3.0)


def test_a_joint_normal_that_came_back_stays_joint(tmp_path: Path) -> None:
    text = "model line:\n    input X: real[N, D]\n    for d in D: w[d] ~ Normal(0, sd = 5)\n    for n in N: y[n] ~ Normal(dot(X[n], w), sd = 0.5)\n"
    X, y = RNG.normal(size=(6, 2)), RNG.normal(size=6)
    model = ppl.parse(text)
    first = model.fit(X=X[:3], y=y[:3])
    second = saved(first, tmp_path).update(X=X[3:], y=y[3:])
    np.testing.assert_allclose(first.elbo + second.elbo, log_normal(y, np.zeros(6), 0.25 * np.eye(6) + 25 * X @ X.T), rtol=1e-9)


def test_interventions_and_imports_come_back(tmp_path: Path) -> None:
    (tmp_path / "shapes.aim").write_text("fn twice(x) = 2 * x\n")
    (tmp_path / "main.aim").write_text(
        "from shapes import twice\nmodel m:\n    a ~ Normal(0, 1)\n    b ~ Normal(twice(a), 1)\n    y ~ Normal(b, 1)\n"
    )
    posterior = ppl.load(tmp_path / "main.aim").do(b=3.0).fit(y=2.0)
    path = posterior.save(tmp_path / "posterior.safetensors")
    (tmp_path / "shapes.aim").unlink()
    again = ppl.open_posterior(path)
    np.testing.assert_allclose(again["a"].mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(again.predict("y", draws=4000).mean(), 3.0, atol=0.1)


def test_the_file_holds_arrays_and_text_alone(tmp_path: Path) -> None:
    path = ppl.parse(MODELS["coin"][0]).fit(x=[1]).save(tmp_path / "p.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["p.safetensors"]
    with safe_open(path, framework="numpy") as file:
        assert "draws/theta" in file.keys()  # noqa: SIM118
        assert "theta ~ Beta" in file.metadata()["posterior"]


@pytest.mark.parametrize("content", [None, b"", b"not this", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_what_is_no_posterior_is_said_to_be_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "p").write_bytes(content)
    with pytest.raises(ppl.AimError, match="AIM0886"):
        ppl.open_posterior(tmp_path / "p")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ppl.AimError, match="AIM0883"):
        ppl.parse(MODELS["coin"][0]).fit(x=[1]).save(tmp_path / "nowhere" / "p.safetensors")
