"""Deterministic recursions, networks and forms of a posterior, against the same written out by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import ppl
from ppl.engines.numpyro_bridge.joint import log_joint_of
from ppl.engines.precision import with_precision

RNG = np.random.default_rng(5)


def value_and_gradient(text: str, data: dict[str, Any], u: list[float]) -> tuple[float, np.ndarray]:
    def found() -> tuple[float, np.ndarray]:
        value, gradient = jax.jit(jax.value_and_grad(log_joint_of(ppl.parse(text).bind(data))))(jnp.asarray(u))
        return float(value), np.asarray(gradient)

    return with_precision(np.float64, found)()


def test_recursion_with_inputs_is_that_of_a_loop() -> None:
    text = """
model m:
    input u: real[T]
    a ~ Normal(0, sd = 1)
    b ~ Normal(0, sd = 1)
    x[0] = 1
    for t in 1..T: x[t] = a * x[t - 1] + b * tanh(u[t]) * t
    for t in T: y[t] ~ Normal(x[t], sd = 1)
"""
    u, y = RNG.normal(size=6), RNG.normal(size=6)

    def by_hand(a: float, b: float) -> float:
        x = [1.0]
        for t in range(1, 6):
            x.append(a * x[-1] + b * np.tanh(u[t]) * t)
        return float(stats.norm.logpdf(a) + stats.norm.logpdf(b) + stats.norm(x, 1).logpdf(y).sum())

    value, gradient = value_and_gradient(text, {"u": u, "y": y}, [0.3, 0.5])
    np.testing.assert_allclose(value, by_hand(0.3, 0.5), rtol=1e-12)
    np.testing.assert_allclose(gradient[0], (by_hand(0.3 + 1e-6, 0.5) - by_hand(0.3 - 1e-6, 0.5)) / 2e-6, rtol=1e-6)


def test_recursion_of_vectors_two_steps_deep_is_that_of_a_loop() -> None:
    text = """
model m:
    c ~ Normal(0, sd = 1)
    for k in K: x[0, k] = c * (k + 1)
    for k in K: x[1, k] = c
    m[0] = 0
    m[1] = 0
    for t in 2..T:
        m[t] = sum(x[t - 1, k] for k in K)
        for k in K: x[t, k] = 0.5 * m[t] - 0.1 * x[t - 2, k]
    for t in T, k in K: y[t, k] ~ Normal(x[t, k], sd = 1)
"""
    y, c, x = RNG.normal(size=(6, 2)), 0.7, np.zeros((6, 2))
    x[0], x[1] = [c, 2 * c], c
    for t in range(2, 6):
        x[t] = 0.5 * x[t - 1].sum() - 0.1 * x[t - 2]
    value, _ = value_and_gradient(text, {"y": y}, [c])
    np.testing.assert_allclose(value, stats.norm.logpdf(c) + stats.norm(x, 1).logpdf(y).sum(), rtol=1e-12)


def test_a_network_is_the_layers_that_it_says() -> None:
    text = """
model m:
    input x: real[N, D]
    network f = mlp(D, 3, 1, activation = tanh, prior = Normal(0, 2))
    for n in N: y[n] ~ Normal(f(x[n])[0], sd = 1)
"""
    x, y, w = RNG.normal(size=(4, 2)), RNG.normal(size=4), RNG.normal(size=13)
    hidden = np.tanh(x @ w[:6].reshape(2, 3) + w[6:9])
    expected = stats.norm(0, 2).logpdf(w).sum() + stats.norm(hidden @ w[9:12] + w[12], 1).logpdf(y).sum()
    np.testing.assert_allclose(value_and_gradient(text, {"x": x, "y": y}, list(w))[0], expected, rtol=1e-12)


def test_an_amortised_posterior_reaches_the_exact_one() -> None:
    text = """
model m:
    for n in N:
        z[n] ~ Normal(0, sd = 1)
        x[n] ~ Normal(z[n], sd = 0.5)

approximate m:
    q(z[n]) by network encode([x[n]]) = mlp(1, 1)
    use svi
"""
    x = RNG.normal(size=30)
    posterior = ppl.parse(text).fit(x=x)
    evidence = stats.norm(0, np.sqrt(1.25)).logpdf(x).sum()
    assert evidence - 0.05 < posterior.elbo < evidence + 0.02
    np.testing.assert_allclose(posterior["z"].mean, 0.8 * x, atol=0.05)
    np.testing.assert_allclose(posterior["z"].sd, np.sqrt(0.2), rtol=0.1)


def test_a_point_is_the_mode_of_its_own_density() -> None:
    text = """
model m:
    rate ~ Gamma(3, rate = 2)
    for n in N: x[n] ~ Poisson(rate)

approximate m:
    q(rate): point
    use svi
"""
    belief = ppl.parse(text).fit(x=[2, 4, 3])["rate"]
    np.testing.assert_allclose(belief.mean, (3 + 9 - 1) / (2 + 3), atol=0.01)
    np.testing.assert_allclose(belief.sd, 0, atol=1e-9)


def test_options_stand_in_the_file() -> None:
    text = "model m:\n    mu ~ Cauchy(0, 1)\n    y ~ Normal(mu, sd = 1)\n\napproximate m:\n    use nuts(warmup = 200, draws = 150, chains = 2)\n"
    posterior = ppl.parse(text).fit(y=1.0)
    assert posterior.engine == "nuts" and posterior.chains == 2 and posterior["mu"].draws.shape == (300,)
    likelihood = posterior.log_likelihood(draws=100)["y"]
    assert likelihood.shape == (100,) and posterior.predict("y", draws=100).shape == (100,)
