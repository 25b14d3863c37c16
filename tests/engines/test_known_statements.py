"""A statement of which everything is known is a number in the log joint, whatever its distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import ppl
from tests.reference.gaussians import log_normal


def test_a_known_scale_leaves_a_model_exact() -> None:
    text = "model m:\n    tau ~ HalfCauchy(5)\n    mu ~ Normal(0, sd = 10)\n    for n in N: y[n] ~ Normal(mu, sd = tau)\n"
    fitted = ppl.parse(text).fit(tau=5, y=[1.0, 2.0, 3.0])
    likelihood = log_normal(np.array([1, 2, 3]), np.zeros(3), 25 * np.eye(3) + 100)
    assert fitted.exact
    assert fitted.log_evidence == pytest.approx(stats.halfcauchy.logpdf(5, scale=5) + likelihood, abs=1e-9)
    assert "observed: tau, y" in str(fitted.plan) and "its density is a number" in str(fitted.plan)
    assert set(fitted.predict(draws=3)) == {"tau", "y"}


def test_nothing_need_be_latent() -> None:
    text = "model m:\n    tau ~ HalfStudentT(3, 5)\n    for n in N: y[n] ~ Normal(0, sd = tau)\n"
    fitted = ppl.parse(text).fit(tau=5, y=[1.0, 2.0, 3.0])
    assert fitted.exact
    known = np.log(2) + stats.t.logpdf(5, 3, scale=5) + stats.norm.logpdf([1, 2, 3], 0, 5).sum()
    assert fitted.log_evidence == pytest.approx(known, abs=1e-9)


@pytest.mark.parametrize(
    ("statement", "density"),
    [
        ("Logistic(n, 2)", lambda x: stats.logistic.logpdf(x, [0, 1, 2], 2)),
        ("Weibull(2, n + 1)", lambda x: stats.weibull_min.logpdf(x, 2, scale=[1, 2, 3])),
        ("HalfCauchy(n + 1)", lambda x: stats.halfcauchy.logpdf(x, scale=[1, 2, 3])),
        (
            "Mixture([0.3, 0.7], [Normal(0, 1), Logistic(3, 2)])",
            lambda x: np.log(0.3 * stats.norm.pdf(x) + 0.7 * stats.logistic.pdf(x, 3, 2)),
        ),
    ],
)
def test_plates_of_known_values_are_summed(statement: str, density) -> None:
    text = f"model m:\n    mu ~ Normal(0, sd = 1)\n    for n in N: x[n] ~ {statement}\n    for n in N: y[n] ~ Normal(mu * x[n], sd = 1)\n"
    x = np.array([1.0, 2.0, 0.3])
    fitted = ppl.parse(text).fit(x=x, y=[1.0, 2.0, 3.0])
    likelihood = log_normal(np.array([1, 2, 3]), np.zeros(3), np.eye(3) + np.outer(x, x))
    assert fitted.exact
    assert fitted.log_evidence == pytest.approx(density(x).sum() + likelihood, abs=1e-9)


def test_what_is_observed_in_part_or_has_a_latent_argument_is_not_known() -> None:
    text = "model m:\n    s ~ Gamma(2, 2)\n    for n in N: x[n] ~ HalfCauchy(s)\n"
    assert "its density is a number" not in str(ppl.parse(text).explain(x=[1.0, 2.0]))
    text = "model m:\n    for n in N: x[n] ~ HalfCauchy(1)\n    for n in N: y[n] ~ Normal(0, sd = x[n])\n"
    assert "its density is a number" not in str(ppl.parse(text).explain(x=[1.0, float("nan")], y=[1.0, 2.0]))
