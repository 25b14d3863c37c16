"""What nothing observed depends on, and series of one step: answers of an exact model are exact there too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import ppl

A, B = np.array([0.3, 0.7]), np.array([[0.9, 0.1], [0.35, 0.65]])
TABLE = np.array([[[0.8, 0.2], [0.3, 0.7]], [[0.4, 0.6], [0.1, 0.9]]])


def test_a_chain_of_normals_before_any_data() -> None:
    walk = ppl.parse("model walk:\n    z[0] ~ Normal(1, 2)\n    for t in 1..T: z[t] ~ Normal(0.5 * z[t - 1], 1)\n    s = z[0] + z[3]\n")
    posterior = walk.fit(T=4)
    mean, variance, shared = [1.0], [4.0], 4.0
    for _ in range(3):
        mean, variance, shared = [*mean, 0.5 * mean[-1]], [*variance, 0.25 * variance[-1] + 1.0], 0.5 * shared
    np.testing.assert_allclose(posterior["z"].mean, mean, rtol=1e-12)
    np.testing.assert_allclose(posterior["z"].sd, np.sqrt(variance), rtol=1e-12)
    assert posterior["s"].mean == pytest.approx(mean[0] + mean[3], rel=1e-12)
    assert posterior["s"].var == pytest.approx(variance[0] + variance[3] + 2 * shared, rel=1e-12)


def test_what_hangs_on_a_prediction() -> None:
    text = "model m:\n    w ~ Normal(1, 2)\n    for n in N: y[n] ~ Normal(w, 1)\n    for n in N: u[n] ~ Normal(2 * y[n], 1)\n"
    posterior = ppl.parse(text).fit(y=[0.0, np.nan, np.nan])
    mean, variance = 1 * 0.2, 0.8  # of w
    np.testing.assert_allclose(posterior["u"].mean, [0.0, 2 * mean, 2 * mean], atol=1e-12)
    np.testing.assert_allclose(posterior["u"].sd, np.sqrt([1.0, 4 * (variance + 1) + 1, 4 * (variance + 1) + 1]), rtol=1e-12)


def test_states_beyond_the_data_of_another_chain() -> None:
    """A chain that no observation reaches is told by its own marginals, not by draws."""
    model = "model m:\n    input A: simplex[K]\n    input B: simplex[K, K]\n    z[0] ~ Categorical(A)\n"
    model += "    for t in 1..T: z[t] ~ Categorical(B[z[t - 1]])\n    for t in T: y[t] ~ Categorical(B[z[t]])\n    x ~ Bernoulli(0.5)\n"
    posterior = ppl.parse(model).fit(A=A, B=B, T=3, x=1)
    p = [A, A @ B, A @ B @ B]
    np.testing.assert_allclose(posterior["z"].params["p"], p, atol=1e-12)
    np.testing.assert_allclose(posterior["y"].params["p"], p @ B, atol=1e-12)


def test_a_recursion_without_steps() -> None:
    """A loop 1..T of a series of one step is empty, whatever it reads."""
    model = "model m:\n    input g: N[T]\n    input A: simplex[K]\n    input C: real[2, 2, 2]\n    for n in N: v[n] ~ Categorical(A)\n"
    model += "    w[0] ~ Categorical(A)\n    for t in 1..T: w[t] ~ Categorical(C[w[t - 1], v[g[t]]])\n    y ~ Categorical(C[0, w[0]])\n"
    posterior = ppl.parse(model).fit(g=[0], A=A, C=TABLE, N=1, T=1, y=1)
    joint = A * TABLE[0, :, 1]
    assert posterior.log_evidence == pytest.approx(np.log(joint.sum()), rel=1e-12)
    np.testing.assert_allclose(posterior["w"].params["p"], [joint / joint.sum()], atol=1e-12)


def test_a_missing_value_that_says_which_table() -> None:
    """The last value is missing, nothing depends on it but what is missing too."""
    model = "model m:\n    input A: simplex[K]\n    input B: simplex[K, K]\n    input C: real[2, 2, 2]\n    v[0] ~ Bernoulli(0.3)\n"
    model += "    for t in 1..T: v[t] ~ Bernoulli(B[v[t - 1], 1])\n    w[0] ~ Categorical(B[v[0]])\n"
    model += "    for t in 1..T: w[t] ~ Categorical(C[w[t - 1], v[t]])\n    u ~ Categorical(A)\n    x ~ Categorical(B[u])\n"
    posterior = ppl.parse(model).fit(A=A, B=B, C=TABLE, v=[1, np.nan], w=[0, np.nan], x=1)
    pairs = {(v, w): B[1, v] * TABLE[0, v, w] for v, w in itertools.product(range(2), repeat=2)}
    assert posterior.log_evidence == pytest.approx(np.log(0.3 * B[1, 0] * (A @ B)[1]), rel=1e-12)
    assert posterior["v"].mean[1] == pytest.approx(pairs[1, 0] + pairs[1, 1], rel=1e-12)
    np.testing.assert_allclose(posterior["w"].params["p"][1], [pairs[0, 0] + pairs[1, 0], pairs[0, 1] + pairs[1, 1]], atol=1e-12)


def test_a_prediction_that_reads_two_members_which_the_data_keep_apart() -> None:
    text = "model m:\n    input h: N[M]\n    for n in N: v[n] ~ Normal(0, 2)\n    for n in N: y[n] ~ Normal(v[n], 1)\n"
    text += "    for m in M: u[m] ~ Normal(v[h[m]] - v[0], 1)\n"
    posterior = ppl.parse(text).fit(y=[1.0, 3.0], h=[0, 1])
    np.testing.assert_allclose(posterior["u"].mean, [0.0, 1.6], atol=1e-12)
    np.testing.assert_allclose(posterior["u"].sd, np.sqrt([1.0, 1.0 + 2 * 0.8]), rtol=1e-12)


def test_a_distribution_without_parameters_stands_by_its_name() -> None:
    for written in ("Flat", "Flat()"):
        posterior = ppl.parse(f"model m:\n    a ~ {written}\n    for n in N: y[n] ~ Normal(a, 2)\n").fit(y=[1.0, 4.0])
        assert posterior["a"].mean == pytest.approx(2.5, rel=1e-12) and posterior["a"].sd == pytest.approx(2.0**0.5, rel=1e-12)
