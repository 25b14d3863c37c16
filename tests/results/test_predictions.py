"""Predictions for new members against closed forms; what is shared is kept, what is of the members is drawn."""

from __future__ import annotations

import numpy as np
import pytest

import ppl

LINE = """\
model line:
    input X: real[N, D]
    for d in D: w[d] ~ Normal(0, sd = 5)
    for n in N: y[n] ~ Normal(dot(X[n], w), sd = 0.5)
"""
RNG = np.random.default_rng(2)
X = RNG.normal(size=(9, 2))
Y = X @ [1.0, -2.0] + 0.5 * RNG.normal(size=9)
DRAWS = 20_000


def test_new_inputs_are_predicted_with_the_uncertainty_of_both() -> None:
    posterior, new = ppl.parse(LINE).fit(X=X, y=Y), 3 * RNG.normal(size=(4, 2))
    drawn = posterior.predict("y", X=new, draws=DRAWS)
    cov = np.linalg.inv(np.eye(2) / 25 + X.T @ X / 0.25)
    sd = np.sqrt(0.25 + np.einsum("ni,ij,nj->n", new, cov, new))
    assert drawn.shape == (DRAWS, 4)
    np.testing.assert_allclose(drawn.mean(axis=0), new @ cov @ X.T @ Y / 0.25, atol=4 * sd.max() / np.sqrt(DRAWS))
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.03)


def test_as_many_new_inputs_as_old_ones_are_new_all_the_same() -> None:
    posterior = ppl.parse(LINE).fit(X=X, y=Y)
    assert list(posterior.predict(X=X, draws=5)) == ["y"]
    assert (posterior.predict("y", X=X, draws=5) != Y).all()


def test_replications_have_the_shape_of_what_was_observed() -> None:
    posterior = ppl.parse("model coin:\n    theta ~ Beta(2, 2)\n    for n in N: x[n] ~ Bernoulli(theta)\n").fit(x=[1, 1, 0])
    drawn = posterior.predict(draws=DRAWS)["x"]
    assert drawn.shape == (DRAWS, 3)
    np.testing.assert_allclose(drawn.mean(axis=0), 4 / 7, atol=0.02)
    assert posterior.predict("x", N=8, draws=10).shape == (10, 8)


def test_new_members_have_classes_and_effects_of_their_own() -> None:
    text = """\
model groups:
    mu ~ Normal(0, sd = 1)
    for j in J: a[j] ~ Normal(mu, sd = 2)
    for j in J, n in N: y[j, n] ~ Normal(a[j], sd = 0.1)
"""
    posterior = ppl.parse(text).fit(y=RNG.normal(5, 0.1, size=(2, 3)))
    new = posterior.predict(J=4, draws=DRAWS)
    assert {name: value.shape for name, value in new.items()} == {"a": (DRAWS, 4), "y": (DRAWS, 4, 3)}
    mu = posterior["mu"]
    np.testing.assert_allclose(new["a"].mean(), mu.mean, atol=0.05)
    np.testing.assert_allclose(new["a"].var(), mu.var + 4, rtol=0.05)
    within = new["y"] - new["a"][..., None]
    np.testing.assert_allclose(within.std(), 0.1, rtol=0.05)


def test_joint_draws_are_joint() -> None:
    posterior = ppl.parse(LINE).fit(X=X, y=Y)
    cov = np.linalg.inv(np.eye(2) / 25 + X.T @ X / 0.25)
    np.testing.assert_allclose(np.cov(posterior.draws(DRAWS)["w"].T), cov, rtol=0.1, atol=1e-4)


def test_states_that_were_summed_over_are_drawn_with_what_they_explain() -> None:
    text = "model two:\n    z ~ Bernoulli(0.5)\n    x ~ Normal(10 * z, sd = 1)\n    y ~ Normal(x, sd = 100)\n"
    drawn = ppl.parse(text).fit(y=5.0).draws(2000)
    assert np.corrcoef(drawn["z"], drawn["x"])[0, 1] > 0.95


def test_outcomes_are_not_given_to_predictions() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0811\]: `y` is random"):
        ppl.parse(LINE).fit(X=X, y=Y).predict(X=X[:2], y=[0.0, 1.0])


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    posterior = ppl.parse(LINE).fit(X=X, y=Y)
    with pytest.raises(ppl.AimError, match=r"AIM0803.*\n.*`X`, `w`, `y`"):
        posterior.predict("q")
    with pytest.raises(ppl.AimError, match="AIM0605"):
        posterior.predict(Z=X)


def test_what_a_factor_joins_is_not_drawn() -> None:
    text = "model f:\n    for n in N: a[n] ~ Bernoulli(0.5)\n    for n in 1..N: factor 2 * a[n] * a[n - 1]\n    for n in N: y[n] ~ Normal(a[n], sd = 1)\n"
    posterior = ppl.parse(text).fit(y=[1.0, 0.0, 1.0])
    assert posterior.predict(draws=5)["y"].shape == (5, 3)
    with pytest.raises(ppl.AimError, match=r"AIM0814(.|\n)*factor 2 \* a"):
        posterior.predict(N=5)
