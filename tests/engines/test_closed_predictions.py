"""Predictions that have a closed form are told by it, not by draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

import ppl


def test_a_leaf_of_a_network_is_a_sum_over_its_parents() -> None:
    text = "model m:\n    r ~ Bernoulli(0.2)\n    s ~ Bernoulli(if r == 1 then 0.01 else 0.4)\n    both = r and s\n"
    text += "    w ~ Bernoulli(if both == 1 then 0.99 else if r == 1 then 0.8 else if s == 1 then 0.9 else 0.0)\n"
    fitted = ppl.parse(text).fit(s=1)
    assert fitted["w"].family == "Bernoulli"
    assert fitted["w"].mean == pytest.approx((0.2 * 0.01 * 0.99 + 0.8 * 0.4 * 0.9) / (0.2 * 0.01 + 0.8 * 0.4), abs=1e-12)


CHAIN = """
model m:
    input A: simplex[2, 2]
    input B: simplex[2, 3]
    z[0] ~ Categorical([0.6, 0.4])
    for t in 1..T: z[t] ~ Categorical(A[z[t-1]])
    for t in T: y[t] ~ Normal(z[t] * 2.0, sd = 1)
    for t in T: w[t] ~ Categorical(B[z[t]])
"""


def test_a_leaf_of_a_chain_is_a_sum_over_its_state() -> None:
    a, b, y = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]), np.array([0.1, 1.9, 1.2])
    fitted = ppl.parse(CHAIN).fit(A=a, B=b, y=y)
    total = np.zeros((3, 2))
    for z in itertools.product(range(2), repeat=3):
        joint = [0.6, 0.4][z[0]] * a[z[0], z[1]] * a[z[1], z[2]] * np.exp(-0.5 * ((y - 2 * np.array(z)) ** 2).sum())
        total[np.arange(3), z] += joint
    states = total / total.sum(axis=1, keepdims=True)
    assert fitted["w"].params["p"] == pytest.approx(states @ b, abs=1e-9)


def test_a_missing_vector_is_normal() -> None:
    noise = np.array([[1, 0.4], [0.4, 1.5]])
    text = (
        "model m:\n    input C: real[D, D]\n    mu ~ MvNormal(zeros(D), cov = 4 * eye(D))\n    for n in N: y[n] ~ MvNormal(mu, cov = C)\n"
    )
    fitted = ppl.parse(text).fit(C=noise, y=[[1, 2.0], [np.nan, np.nan]])
    gain = 4 * np.linalg.inv(4 * np.eye(2) + noise)
    assert fitted["y"].family == "MvNormal"
    assert fitted["y"].mean == pytest.approx(np.array([[1, 2], gain @ [1, 2]]), abs=1e-9)
    assert fitted["y"].params["cov"][1] == pytest.approx(4 * np.eye(2) - 4 * gain + noise, abs=1e-9)
    assert fitted["y"].var[0] == pytest.approx([0, 0])


def test_a_mean_that_is_computed_is_followed() -> None:
    text = "model m:\n    input x: real[N]\n    a ~ Normal(0, sd = 1)\n    for n in N: mean[n] = a * x[n]\n"
    fitted = ppl.parse(text + "    for n in N: y[n] ~ Normal(mean[n], sd = 0.5)\n").fit(x=[1.0, 3.0], y=[2.0, np.nan])
    variance = 1 / (1 + 4)
    assert fitted["y"].family == "Normal"
    assert fitted["y"].mean[1] == pytest.approx(3 * variance * 8, abs=1e-9)
    assert fitted["y"].var[1] == pytest.approx(9 * variance + 0.25, abs=1e-9)


def test_successes_under_a_beta_are_beta_binomial() -> None:
    text = "model m:\n    for k in K: p[k] ~ Beta(2, 1)\n    input n: int[N]\n    input which: K[N]\n"
    model = ppl.parse(text + "    for i in N: y[i] ~ Binomial(n[i], p[which[i]])\n")
    fitted = model.fit(n=[10, 8, 5, 6], which=[0, 1, 1, 0], y=[3, 7, np.nan, np.nan], K=2)
    assert fitted["y"].family == "BetaBinomial"
    told = stats.betabinom([5, 6], [9, 5], [2, 8])
    np.testing.assert_allclose(fitted["y"].mean, [3, 7, *told.mean()], rtol=1e-12)
    np.testing.assert_allclose(fitted["y"].sd, [0, 0, *told.std()], rtol=1e-12)
    np.testing.assert_array_equal(fitted["y"].quantile(0.9), [3, 7, *told.ppf(0.9)])


def test_counts_under_a_gamma_are_negative_binomial() -> None:
    model = ppl.parse(
        "model m:\n    input e: real[N]\n    l ~ Gamma(2, 1)\n    for n in N: y[n] ~ Poisson(3 * l * e[n])\n    z ~ Poisson(l + 1)\n"
    )
    fitted = model.fit(e=[1.0, 2.0, 0.5], y=[4, 5, np.nan])
    shape, rate = 2 + 9, 1 + 9
    told = stats.nbinom(shape, rate / (rate + 1.5))
    assert fitted["y"].family == "NegativeBinomial"
    assert fitted["y"].mean[2] == pytest.approx(told.mean(), rel=1e-12) and fitted["y"].sd[2] == pytest.approx(told.std(), rel=1e-12)
    assert fitted["y"].log_density([4, 5, 2])[2] == pytest.approx(told.logpmf(2), rel=1e-9)
    assert fitted["z"].family == "Draws"
