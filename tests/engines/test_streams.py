"""Each purpose draws numbers of its own: what is drawn for one never returns as the noise of another."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from ppl.arrays.streams import PURPOSES, stream, word

DRAWS = 40_000


def test_no_two_purposes_share_numbers() -> None:
    seen = {float(stream(seed, purpose).random()) for seed in range(4) for purpose in PURPOSES}
    assert len(seen) == 4 * len(PURPOSES)
    assert len({word(0, purpose) for purpose in PURPOSES}) == len(PURPOSES)


def test_a_purpose_gives_the_same_numbers_again() -> None:
    assert (stream(3, "predictions").random(5) == stream(3, "predictions").random(5)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_noise_of_a_prediction_is_not_that_of_its_parameter(seed: int) -> None:
    fitted = ppl.parse("model m:\n    mu ~ Normal(0, sd = 1)\n    for n in N: y[n] ~ Normal(mu, sd = 0.5)\n").fit(y=[1.0, 2.0])
    drawn = np.asarray(fitted.predict("y", draws=DRAWS, seed=seed, N=1))
    assert drawn.var() == pytest.approx(1 / 9 + 0.25, rel=0.03)  # the variance of mu, and that of a new observation


def test_predictions_of_a_regression_vary_as_their_closed_form() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=20) + 1, rng.normal(size=20)
    text = "model m:\n    input x: real[N]\n    a ~ Normal(0, sd = 1)\n    b ~ Normal(0, sd = 1)\n"
    fitted = ppl.parse(text + "    for n in N: y[n] ~ Normal(a + b * x[n], sd = 0.5)\n").fit(x=x, y=y)
    drawn = np.asarray(fitted.predict("y", draws=DRAWS, x=[5.0, -5.0]))
    design, new = np.c_[np.ones(20), x], np.array([[1, 5], [1, -5.0]])
    covariance = new @ np.linalg.inv(design.T @ design / 0.25 + np.eye(2)) @ new.T + 0.25 * np.eye(2)
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.02)


def test_latents_of_held_out_rows_are_not_the_draws_of_what_they_share() -> None:
    text = (
        "model m:\n    mu ~ Normal(0, sd = 1)\n    for n in N:\n        z[n] ~ Normal(mu, sd = 1)\n        y[n] ~ Normal(z[n], sd = 0.5)\n"
    )
    fitted = ppl.parse(text).fit(y=[1.0, 2.0])
    densities = np.asarray(fitted.log_likelihood(y=[2.9], draws=DRAWS)["y"]).ravel()
    row = 1.25  # the variance of a row given mu
    variance = 1 / (1 + 2 / row)
    mean, total = variance * 3 / row, variance + row
    exact = -0.5 * ((2.9 - mean) ** 2 / total + np.log(2 * np.pi * total))
    assert np.log(np.exp(densities).mean()) == pytest.approx(exact, abs=0.03)


def test_predictions_by_a_sampler_vary_as_their_closed_form() -> None:
    text = "model m:\n    mu ~ Normal(0, sd = 1)\n    nu ~ Normal(mu, sd = 1)\n    for n in N: y[n] ~ Normal(mu, sd = 0.5)\n"
    fitted = ppl.parse(text + "approximate m:\n    use gibbs(draws = 10000)\n").fit(y=[1.0, 2.0])
    drawn = fitted.draws(DRAWS)
    assert np.var(drawn["nu"]) == pytest.approx(1 / 9 + 1, rel=0.05)
    assert np.corrcoef(drawn["mu"], drawn["nu"] - drawn["mu"])[0, 1] == pytest.approx(0, abs=0.03)
