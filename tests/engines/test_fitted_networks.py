"""Networks that are learnt: against least squares, probabilistic principal components and a conjugate posterior."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ppl
from ppl.engines.numpyro_bridge.joint import log_joint_of
from ppl.engines.numpyro_bridge.minibatch import minibatch_of
from ppl.engines.numpyro_bridge.svi import guide_of
from ppl.results.posterior import Posterior

RNG = np.random.default_rng(11)
LINE = "model line:\n    input X: real[N, D]\n    network f = mlp(D, 1)\n    for n in N: y[n] ~ Normal(f(X[n])[0], sd = 1)\n"
X = RNG.normal(size=(2000, 2))
Y = X @ [1.5, -0.7] + 0.3 + RNG.normal(size=2000)

ENCODED = """
model m:
    for n in N:
        z[n] ~ Normal(0, sd = 1)
        x[n] ~ Normal(z[n], sd = 0.5)

approximate m:
    q(z[n]) by network encode([x[n]]) = mlp(1, 1)
    use svi
"""


@cache
def line() -> Posterior:
    return ppl.parse(LINE).fit(X=X, y=Y)


@cache
def encoder() -> Posterior:
    return ppl.parse(ENCODED).fit(x=RNG.normal(size=40) * np.sqrt(1.25))


def test_a_network_without_hidden_layers_is_a_regression() -> None:
    """Learnt by batches, which a plate of that size has without being asked."""
    posterior = line()
    assert posterior.converged and "each step sees 256 of the 2000 members of N" in str(posterior.plan)
    design = np.column_stack([X, np.ones(2000)])
    weights = np.linalg.lstsq(design, Y, rcond=None)[0]
    ((matrix, bias),) = posterior.layers("f")
    np.testing.assert_allclose([*matrix[:, 0], *bias], weights, atol=0.02)
    top = -0.5 * np.sum((Y - design @ weights) ** 2) - 1000 * np.log(2 * np.pi)
    assert top - 1.0 < posterior.elbo < top + 1e-6


def test_a_linear_autoencoder_is_probabilistic_principal_components() -> None:
    """Tipping & Bishop 1999, with a known noise: the bound at the best weights is the log-likelihood there."""
    x = RNG.normal(size=(1200, 1)) * [[1.0, -0.5, 2.0]] + 0.5 * RNG.normal(size=(1200, 3))
    text = """
model pca:
    network decode = mlp(1, D)
    for n in N:
        z[n] ~ Normal(0, sd = 1)
        x[n] ~ MvNormal(decode([z[n]]), cov = 0.25 * eye(D))

approximate pca:
    q(z[n]) by network encode(x[n]) = mlp(D, 1)
    use svi(batch = 200, tolerance = 1e-4)
"""
    posterior = ppl.parse(text).fit(x=x)
    spread = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))
    rest = np.sum(spread[:2] / 0.25)
    top = -600 * (3 * np.log(2 * np.pi) + np.log(spread[2]) + 2 * np.log(0.25) + 1 + rest)
    assert posterior.converged
    assert top - 5.0 < posterior.elbo < top + 1.0
    ((matrix, bias),) = posterior.layers("decode")
    np.testing.assert_allclose(np.sum(matrix**2), spread[2] - 0.25, rtol=0.05)
    np.testing.assert_allclose(bias, x.mean(axis=0), atol=0.05)


def test_batches_are_on_average_the_whole() -> None:
    """The log joint of the batches of a partition, at the same values, and the guide's density of them."""
    text = """
model m:
    scale ~ Gamma(2, rate = 1)
    network f = mlp(1, 2)
    for n in N:
        z[n] ~ Gamma(2, rate = scale)
        for d in D: x[n, d] ~ Normal(f([log(z[n])])[d], sd = 1)

approximate m:
    q(z[n]) by network encode(x[n]) = mlp(D, 1)
    use svi
"""
    model = ppl.parse(text)
    bound, approximation = model.bind(x=RNG.normal(size=(6, 2))), model.approximation(None)
    joint = log_joint_of(bound)
    weights = {"f": jnp.asarray(RNG.normal(size=4))}
    guide = guide_of(joint, 0, weights, approximation)
    batch = minibatch_of(joint, guide, 2, None)
    assert batch is not None and batch.joint.times == 3.0
    u = RNG.normal(size=7)
    parts = [batch.at(jnp.asarray(rows))[0](jnp.asarray([u[0], *u[1 + rows]]), weights) for rows in np.arange(6).reshape(3, 2)]
    np.testing.assert_allclose(np.mean(parts), joint(jnp.asarray(u), weights), rtol=1e-12)
    parameters = guide.first(RNG)
    whole = guide.amortised[0].outputs(parameters["encoder z"])
    for rows in np.arange(6).reshape(3, 2):
        seen = batch.at(jnp.asarray(rows))[1].amortised[0].outputs(parameters["encoder z"])
        for part, all_of_it in zip(seen, whole, strict=True):
            np.testing.assert_allclose(part, all_of_it[rows])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "    for n in N:\n        z[n] ~ Normal(0, sd = 1)\n        y[n] ~ Normal(f([z[n]])[0], sd = 1)\n",
            "no network tells the posterior of `z`",
        ),
        ("    for n in N: y[n] ~ Normal(f([n / N])[0], sd = 1)\n", "the size of `N` is used as a number"),
        (
            "    y[0] ~ Normal(0, sd = 1)\n    for n in 1..N: y[n] ~ Normal(f([y[n - 1]])[0], sd = 1)\n",
            "a statement is of some members of `N`",
        ),
    ],
)
def test_members_that_meet_have_no_batches(text: str, why: str) -> None:
    model = f"model m:\n    network f = mlp(1, 1)\n{text}\napproximate m:\n    use svi(batch = 2)\n"
    with pytest.raises(ppl.AimError, match=f"AIM0510(.|\n)*there are no batches of `N`: {why}"):
        ppl.parse(model).fit(y=[1.0, 2.0, 0.5, 0.1])


def test_weights_come_back_from_a_file_and_answer(tmp_path: Path) -> None:
    posterior = line()
    again = ppl.open_posterior(posterior.save(tmp_path / "line"))
    np.testing.assert_array_equal(again["f"].mean, posterior["f"].mean)
    new = RNG.normal(size=(5, 2))
    ((matrix, bias),) = posterior.layers("f")
    for one in (posterior, again):
        assert one.predict("y", X=new, draws=1).shape == (1, 5)
        drawn = np.concatenate([one.predict("y", X=np.repeat(new, 4000, axis=0), draws=1)[0].reshape(5, 4000)])
        np.testing.assert_allclose(drawn.mean(axis=1), (new @ matrix + bias)[:, 0], atol=0.06)
        told = one.log_likelihood(draws=1)["y"][0]
        expected = -0.5 * (Y - (X @ matrix + bias)[:, 0]) ** 2 - 0.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(told, expected, rtol=1e-9)


def test_new_members_go_through_the_encoder(tmp_path: Path) -> None:
    posterior = encoder()
    again = ppl.open_posterior(posterior.save(tmp_path / "encoder", draws=200))
    new = np.array([-1.0, 0.2, 1.4])
    ((matrix, bias),) = posterior.layers("encode")
    for one, count in ((posterior, 2000), (again, 200)):
        z = one.predict("z", x=new, draws=count)
        assert z.shape == (count, 3)
        np.testing.assert_allclose(z.mean(axis=0), matrix[0, 0] * new + bias[0], atol=5 * np.sqrt(0.2 / count))
        np.testing.assert_allclose(z.mean(axis=0), 0.8 * new, atol=0.05 + 5 * np.sqrt(0.2 / count))
        told = one.log_likelihood(x=new, draws=count)["x"].mean(axis=0)
        centre, var = 0.8 * new, 0.2
        expected = -0.5 * np.log(2 * np.pi * 0.25) - 0.5 * ((new - centre) ** 2 + var) / 0.25
        np.testing.assert_allclose(told, expected, atol=0.25)
    assert posterior.predict("x", N=4, draws=10).shape == (10, 4)


def test_a_bayesian_network_predicts_with_its_weights() -> None:
    """Linear, with a prior: Bayesian regression, in closed form."""
    text = LINE.replace("mlp(D, 1)", "mlp(D, 1, prior = Normal(0, 2))")
    posterior = ppl.parse(text).fit(X=X[:30], y=Y[:30], engine="nuts")
    design = np.column_stack([X[:30], np.ones(30)])
    cov = np.linalg.inv(design.T @ design + np.eye(3) / 4)
    np.testing.assert_allclose(posterior["f"].mean, cov @ design.T @ Y[:30], atol=0.03)
    new = np.column_stack([X[30:33], np.ones(3)])
    predicted = posterior.predict("y", X=X[30:33], draws=4000)
    np.testing.assert_allclose(predicted.mean(axis=0), new @ cov @ design.T @ Y[:30], atol=0.1)


jax.config.update("jax_enable_x64", True)
