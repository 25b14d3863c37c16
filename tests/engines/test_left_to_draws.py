"""What nothing observed depends on needs no message: it is drawn from the posterior of the rest, which stays exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import ppl

HEAD = "model m:\n    mu ~ Normal(0, sd = 1)\n    for n in N: y[n] ~ Normal(mu, sd = 1)\n"
Y = [1.0, 2.0, 3.0]  # so that mu is Normal(1.5, sd = 0.5)


@pytest.mark.parametrize(
    ("statement", "mean", "variance"),
    [
        ("z ~ Logistic(mu, 1)", 1.5, 0.25 + np.pi**2 / 3),
        ("z ~ Truncated(Normal(0, sd = 1), 0, inf)", np.sqrt(2 / np.pi), 1 - 2 / np.pi),
        ("z ~ Mixture([0.5, 0.5], [Logistic(0, 1), Normal(10, sd = 1)])", 5.0, 25.5 + np.pi**2 / 6),
        ("x ~ Logistic(mu, 1)\n    v = 2 * x\n    z ~ Normal(v, sd = 1)", 3.0, 1 + 4 * (0.25 + np.pi**2 / 3)),
        ("x ~ Logistic(mu, 1)\n    for k in 0..3: w[k] ~ Normal(x, sd = 1)\n    z ~ Laplace(w[2], 1)", 1.5, 3 + 0.25 + np.pi**2 / 3),
    ],
)
def test_a_prediction_without_a_message_leaves_the_rest_exact(statement: str, mean: float, variance: float) -> None:
    fitted = ppl.parse(f"{HEAD}    {statement}\n").fit(y=Y)
    alone = ppl.parse(HEAD).fit(y=Y)
    assert fitted.exact
    assert fitted.log_evidence == pytest.approx(alone.log_evidence, abs=1e-12)
    assert fitted["mu"].mean == pytest.approx(1.5, abs=1e-12) and fitted["mu"].sd == pytest.approx(0.5, abs=1e-12)
    assert fitted["z"].mean == pytest.approx(mean, abs=4 * np.sqrt(variance / 4000))
    assert fitted["z"].var == pytest.approx(variance, rel=0.15)
    assert "z" in str(fitted.plan).split("predicted from the posterior: ")[1]


def test_what_has_a_message_is_still_predicted_in_closed_form() -> None:
    fitted = ppl.parse(f"{HEAD}    z ~ Logistic(mu, 1)\n    u ~ Normal(mu, sd = 1)\n").fit(y=Y)
    assert fitted["u"].family == "Normal" and fitted["u"].sd == pytest.approx(np.sqrt(1.25), abs=1e-12)


@pytest.mark.parametrize(
    ("prior", "statement", "density", "observed"),
    [
        ("Beta(2, 1)", "Geometric(s)", lambda s, y: stats.beta.pdf(s, 2, 1) * stats.geom.pmf(y + 1, s).prod(), [1.0, 2.0, 0.0]),
        (
            "Gamma(3, 2)",
            "Weibull(s, 1)",
            lambda s, y: stats.gamma.pdf(s, 3, scale=0.5) * stats.weibull_min.pdf(y, s).prod(),
            [1.0, 0.4, 2.0],
        ),
        ("Normal(0, sd = 1)", "Logistic(s, 1)", lambda s, y: stats.norm.pdf(s) * stats.logistic.pdf(y, s).prod(), [1.0, -0.4, 2.0]),
    ],
)
def test_missing_members_of_a_statement_without_a_message(prior: str, statement: str, density, observed: list[float]) -> None:
    """Those that were observed alone tell of the number."""
    model = ppl.parse(f"model m:\n    s ~ {prior}\n    for n in N: y[n] ~ {statement}\n")
    fitted = model.fit(y=[*observed, float("nan"), float("nan")])
    ends = (0, 1) if "Beta" in prior else (0, 30) if "Gamma" in prior else (-8, 8)
    total, first = (
        integrate.quad(lambda s, k=k: s**k * density(s, np.array(observed)), *ends, epsabs=0, epsrel=1e-12, limit=300)[0] for k in (0, 1)
    )
    assert fitted.exact
    assert fitted.log_evidence == pytest.approx(np.log(total), abs=1e-8)
    assert fitted["s"].mean == pytest.approx(first / total, abs=1e-7)
    np.testing.assert_array_equal(fitted["y"].mean[:3], observed)
    drawn = fitted.draws(2000, seed=1)["y"]
    assert np.unique(drawn[:, :3]).size == len(set(observed)) and np.unique(drawn[:, 3]).size > 3


def test_missing_members_that_something_depends_on_take_part() -> None:
    text = "model m:\n    for n in N: x[n] ~ Logistic(0, 1)\n    for n in N: y[n] ~ Normal(x[n], sd = 1)\n"
    plan = ppl.parse(text).explain(x=[1.0, float("nan")], y=[1.0, 2.0])
    assert "is a number" not in str(plan)


def test_a_prediction_without_a_mean_has_no_finite_spread_either() -> None:
    """The mean of a Weibull is Γ(1 + 1 / shape), which no prior that reaches 0 so slowly can average."""
    fitted = ppl.parse("model m:\n    s ~ Gamma(2, 1)\n    for n in N: y[n] ~ Weibull(s, 1)\n").fit(y=[1.0, 2.0, float("nan")])
    assert fitted["y"].mean[2] == np.inf and fitted["y"].sd[2] == np.inf
    np.testing.assert_array_equal(fitted["y"].sd[:2], 0.0)
