"""What a posterior tells: its JSON, its summary, deterministic quantities and predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.results.posterior import Posterior
from tests.reference.gaussians import log_normal
from tests.reference.models import PARTLY, partly_observed, source

KEYS = {
    "model",
    "engine",
    "exact",
    "converged",
    "iterations",
    "elbo",
    "log_evidence",
    "elbo_trace",
    "seed",
    "restarts",
    "seconds",
    "beliefs",
    "warnings",
}
Y = [1.0, 2.5, 0.5]


def fit(text: str, **data: Any) -> Posterior:
    return ppl.parse(source(text)).fit(**data)


@pytest.fixture(scope="module")
def line() -> Posterior:
    """A Normal mean, functions of it, and entries of y that are missing."""
    text = "mu ~ Normal(0, 1)\nfor k in K:\n    affine[k] = 2 * mu + k\nsquare = mu * mu\nfixed = 3 + 1\nfor n in N: y[n] ~ Normal(mu, 0.5)"
    return fit(text, y=[*Y, np.nan], K=2)


MEAN, SD = 4 * sum(Y) / (1 + 4 * len(Y)), (1 + 4 * len(Y)) ** -0.5


def test_the_json_has_the_keys_of_the_contract(line: Posterior) -> None:
    told = line.to_json()
    assert set(told) >= KEYS
    assert set(told["seconds"]) >= {"compile", "run"}
    assert told["log_evidence"] == told["elbo"] == told["elbo_trace"][-1]
    mu = told["beliefs"]["mu"]
    assert set(mu) >= {"family", "params", "mean", "sd"}
    assert mu["params"].keys() == {"mean", "sd"}
    assert mu["mean"] == pytest.approx(MEAN)
    assert mu["sd"] == pytest.approx(SD)


def test_the_json_is_strict_and_comes_back_the_same(line: Posterior) -> None:
    told = line.to_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_beliefs_stand_in_the_order_of_the_model(line: Posterior) -> None:
    assert list(line) == list(line.names) == list(line.to_json()["beliefs"])
    assert [n for n in line.names if n in ("mu", "affine", "square", "y")] == ["mu", "affine", "square", "y"]
    assert "mu" in line
    assert "nothing" not in line
    with pytest.raises(KeyError, match="there are beliefs in mu"):
        _ = line["nothing"]


def test_an_affine_function_of_a_normal_is_normal_exactly(line: Posterior) -> None:
    belief = line["affine"]
    assert belief.family == "Normal"
    np.testing.assert_allclose(belief.mean, [2 * MEAN, 2 * MEAN + 1], rtol=1e-12)
    np.testing.assert_allclose(belief.sd, 2 * SD, rtol=1e-9)


def test_another_function_has_its_moments_within_the_error_of_its_draws(line: Posterior) -> None:
    belief = line["square"]
    assert belief.family == "Draws"
    draws = len(belief.draws)  # type: ignore[arg-type]
    spread = np.sqrt(2 * SD**4 + 4 * MEAN**2 * SD**2)
    assert abs(belief.mean - (MEAN**2 + SD**2)) < 5 * spread / np.sqrt(draws)
    assert belief.sd == pytest.approx(spread, rel=0.1)


def test_a_missing_entry_is_predicted_and_the_others_are_certain(line: Posterior) -> None:
    belief = line["y"]
    np.testing.assert_allclose(belief.mean, [*Y, MEAN], rtol=1e-9)
    np.testing.assert_allclose(belief.sd, [0, 0, 0, np.sqrt(SD**2 + 0.25)], rtol=1e-9)


def test_the_summary_has_a_row_for_each_entry(line: Posterior) -> None:
    table = line.summary()
    named = [row for row in table.rows if row.name == "mu"]
    (row,) = named
    assert row.mean == pytest.approx(MEAN)
    assert (row.low, row.high) == pytest.approx(stats.norm.interval(0.95, MEAN, SD))
    assert [row.index for row in table.rows if row.name == "y"] == [(0,), (1,), (2,), (3,)]
    assert "mu" in str(table)
    assert "2.5 %" in str(line)
    shortened = line.summary(rows=2)
    assert shortened.hidden == {"y": 2}
    assert "2 more of y" in str(shortened)


def test_sds_are_exact_far_from_zero() -> None:
    posterior = fit("mu ~ Normal(1e6, 10)\nd = mu + 1\nfor n in N: x[n] ~ Normal(mu, 0.001)", x=[1e6, np.nan, 1e6 + 0.002])
    sd = (1 / 100 + 2e6) ** -0.5
    assert posterior["mu"].sd == pytest.approx(sd, rel=1e-9)
    assert posterior["d"].sd == pytest.approx(sd, rel=1e-6)
    assert posterior["x"].sd[1] == pytest.approx(np.sqrt(sd**2 + 1e-6), rel=1e-6)


def test_entries_observed_in_part_have_the_posterior_of_the_joint_gaussian() -> None:
    posterior = fit("mu ~ Normal(0, 1)\nfor n in N:\n    x[n] ~ Normal(mu, 1)\n    y[n] ~ Normal(2 * x[n], 0.5)", **PARTLY)
    joint, seen = partly_observed()
    mean, cov = joint.posterior(seen)
    sd = np.sqrt(np.maximum(np.diag(cov), 0))
    np.testing.assert_allclose(posterior["mu"].mean, mean[0], rtol=1e-9)
    np.testing.assert_allclose(posterior["x"].mean, mean[1::2], rtol=1e-9)
    np.testing.assert_allclose(posterior["x"].sd, sd[1::2], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(posterior["y"].mean, mean[2::2], rtol=1e-9, atol=0.1)
    np.testing.assert_allclose(posterior["y"].sd, sd[2::2], rtol=0.1, atol=1e-9)


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_predictions_of_labels_are_expected_probabilities(answer: float) -> None:
    posterior = fit("p ~ Beta(1, 1)\nfor n in N: x[n] ~ Bernoulli(p)", x=[answer, answer, np.nan])
    assert posterior["x"].family == "Bernoulli"
    np.testing.assert_allclose(posterior["x"].mean, [answer, answer, 0.75 if answer else 0.25])
    np.testing.assert_allclose(posterior["x"].sd, [0, 0, np.sqrt(0.1875)])
    table = fit("p ~ Dirichlet(ones(3))\nfor n in N: x[n] ~ Categorical(p)", x=[2, 2, np.nan])["x"]
    np.testing.assert_allclose(table.params["p"], [[0, 0, 1], [0, 0, 1], [0.2, 0.2, 0.6]])


def test_predictions_of_counts_are_within_the_error_of_their_draws() -> None:
    posterior = fit("r ~ Gamma(2, 1)\nfor n in N: x[n] ~ Poisson(r)", x=[3, 5, np.nan])
    shape, rate = 10, 3
    mean, sd = shape / rate, np.sqrt(shape / rate + shape / rate**2)
    assert abs(posterior["x"].mean[2] - mean) < 5 * sd / np.sqrt(4000)
    assert posterior["x"].sd[2] == pytest.approx(sd, rel=0.1)
    np.testing.assert_array_equal(posterior["x"].mean[:2], [3, 5])


def test_what_nothing_observed_touches_keeps_its_prior() -> None:
    posterior = fit("mu ~ Normal(0, 1)\nother ~ Gamma(2, 4)\nfor n in N: y[n] ~ Normal(mu, 1)", y=Y)
    assert posterior["other"].family == "Gamma"
    assert posterior["other"].mean == pytest.approx(0.5)
    assert posterior.log_evidence == pytest.approx(log_normal(Y, np.zeros(3), np.eye(3) + 1))


def test_members_are_told_by_their_names() -> None:
    text = (
        "type Place = {left, right}\nmodel m:\n    z ~ Categorical({left: 0.25, right: 0.75})\n"
        "    x ~ Bernoulli(if z == left then 0.9 else 0.1)\n"
    )
    posterior = ppl.parse(text).fit(x=1)
    told = posterior.to_json()["beliefs"]["z"]
    assert told["members"] == ["left", "right"]
    np.testing.assert_allclose(told["params"]["p"], [0.75, 0.25])
    assert "left" in str(posterior.summary())
