"""Ranges that change with another index, or with what is latent: against the same models written without them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.engines.numpyro_bridge.joint import log_joint_of
from ppl.engines.precision import with_precision
from ppl.source.diagnostics import AimError

PAIRS = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
TRIANGLE = np.full((4, 3), np.nan)
for _value, _place in zip([1.0, 2.0, 3.0, 0.5, -1.0, 2.5], PAIRS, strict=True):
    TRIANGLE[_place] = _value
FLAT = [TRIANGLE[p] for p in PAIRS]


def parsed(text: str) -> Any:
    return ppl.parse("model m:\n" + "".join(f"    {line}\n" for line in text.splitlines()))


@pytest.mark.parametrize(
    ("plates", "flat"),
    [
        ("mu ~ Normal(0, 1)\nfor i in N, j in 0..i: x[i, j] ~ Normal(mu, 1)", "mu ~ Normal(0, 1)\nfor k in K: x[k] ~ Normal(mu, 1)"),
        (
            "mu ~ Normal(0, 1)\nfor i in N:\n    for j in 0..i:\n        a[i, j] ~ Normal(mu, 1)\n        x[i, j] ~ Normal(a[i, j], 1)",
            "mu ~ Normal(0, 1)\nfor k in K: a[k] ~ Normal(mu, 1)\nfor k in K: x[k] ~ Normal(a[k], 1)",
        ),
        (
            "mu ~ Normal(0, 1)\nt ~ Gamma(2, 1)\nfor i in N, j in 0..i: x[i, j] ~ Normal(mu, precision = t)",
            "mu ~ Normal(0, 1)\nt ~ Gamma(2, 1)\nfor k in K: x[k] ~ Normal(mu, precision = t)",
        ),
        (
            "mu ~ Normal(0, 1)\nfor i in N, j in 0..i:\n    z[i, j] ~ Bernoulli(0.3)\n    x[i, j] ~ Normal(mu + z[i, j], 1)",
            "mu ~ Normal(0, 1)\nfor k in K:\n    z[k] ~ Bernoulli(0.3)\n    x[k] ~ Normal(mu + z[k], 1)",
        ),
    ],
)
def test_plates_with_corners_are_the_list_of_their_cells(plates: str, flat: str) -> None:
    one, other = parsed(plates).fit(x=TRIANGLE), parsed(flat).fit(x=FLAT)
    assert one.elbo == pytest.approx(other.elbo, abs=1e-9) and one.exact == other.exact
    assert one.names == other.names
    for name in one.names:
        cells = one[name].mean if one[name].mean.ndim == 0 else np.array([one[name].mean[p] for p in PAIRS])
        assert cells == pytest.approx(other[name].mean, abs=1e-7)
        if one[name].mean.ndim:
            assert np.isnan(one[name].mean).sum() == np.isnan(one[name].sd).sum() == 6
            assert len(str(one.summary()).splitlines()) == len(str(other.summary()).splitlines())


def test_an_argument_needs_its_support_only_where_there_are_cells() -> None:
    posterior = parsed("mu ~ Normal(0, 1)\nfor i in N, j in 0..i: x[i, j] ~ Normal(mu, sd = i - j)").fit(x=TRIANGLE)
    cov = np.diag([(i - j) ** 2.0 for i, j in PAIRS]) + 1.0
    assert posterior.log_evidence == pytest.approx(stats.multivariate_normal(np.zeros(6), cov).logpdf(FLAT), abs=1e-9)


def test_differences_of_every_pair_have_their_closed_form() -> None:
    text = (
        "for i in N: a[i] ~ Normal(0, 1)\nfor i in N, j in 0..i: d[i, j] = a[i] - a[j]\nfor i in N, j in 0..i: x[i, j] ~ Normal(d[i, j], 1)"
    )
    posterior = parsed(text).fit(x=TRIANGLE)
    design = np.array([np.eye(4)[i] - np.eye(4)[j] for i, j in PAIRS])
    covariance = np.linalg.inv(np.eye(4) + design.T @ design)
    assert posterior.exact and posterior["a"].mean == pytest.approx(covariance @ design.T @ FLAT, abs=1e-9)
    assert [posterior["d"].mean[p] for p in PAIRS] == pytest.approx(design @ covariance @ design.T @ FLAT, abs=1e-9)


def test_potentials_of_pairs_are_summed_over_the_pairs() -> None:
    text = (
        "for i in N: z[i] ~ Bernoulli(0.3)\nfor i in N, j in 0..i: factor z[i] * z[j] * 0.4 / (i - j)\nfor i in N: y[i] ~ Normal(z[i], 1)"
    )
    y = np.array([0.0, 1.0, 2.0, 0.3])
    posterior = parsed(text).fit(y=y)
    states = np.array(list(itertools.product([0, 1], repeat=4)))
    logs = np.where(states == 1, np.log(0.3), np.log(0.7)).sum(axis=1) + stats.norm.logpdf(y, states, 1).sum(axis=1)
    logs += [sum(0.4 * s[i] * s[j] / (i - j) for i, j in PAIRS) for s in states]
    assert posterior.elbo == pytest.approx(np.log(np.exp(logs).sum()), abs=1e-9)


def test_the_bridge_takes_the_same_cells() -> None:
    text = (
        "mu ~ Normal(0, 1)\nt ~ Gamma(2, 1)\nfor i in N, j in 0..i:\n    b[i, j] ~ Normal(mu, 1)\n    x[i, j] ~ StudentT(i - j, b[i, j], t)"
    )
    flat = "input df: real[K]\nmu ~ Normal(0, 1)\nt ~ Gamma(2, 1)\nfor k in K: b[k] ~ Normal(mu, 1)\nfor k in K: x[k] ~ StudentT(df[k], b[k], t)"
    u = np.linspace(-1, 1, 8)

    def value(text: str, **data: Any) -> float:
        joint = log_joint_of(parsed(text).bind(data))
        assert joint.size == 8
        return float(joint(u))

    value = with_precision(np.float64, value)
    assert value(text, x=TRIANGLE) == pytest.approx(value(flat, x=FLAT, df=[i - j for i, j in PAIRS]), abs=1e-9)


def test_missing_cells_are_predicted_and_others_are_not() -> None:
    holes = TRIANGLE.copy()
    holes[2, 1] = np.nan
    posterior = parsed("mu ~ Normal(0, 1)\nfor i in N, j in 0..i: x[i, j] ~ Normal(mu, 1)").fit(x=holes)
    others = [v for v, p in zip(FLAT, PAIRS, strict=True) if p != (2, 1)]
    assert posterior["x"].mean[2, 1] == pytest.approx(sum(others) / 6, abs=1e-9)
    assert posterior["x"].var[2, 1] == pytest.approx(1 + 1 / 6, abs=1e-9)
    assert np.isnan(posterior["x"].mean).sum() == 6
    assert (np.isfinite(posterior.log_likelihood()["x"]).sum(axis=(1, 2)) == 5).all()


def test_given_cells_that_do_not_exist_are_told() -> None:
    wrong = TRIANGLE.copy()
    wrong[0, 2] = 1.0
    with pytest.raises(AimError, match=r"x\[0, 2\] is given, and no statement defines it"):
        parsed("mu ~ Normal(0, 1)\nfor i in N, j in 0..i: x[i, j] ~ Normal(mu, 1)").fit(x=wrong)
    wrong = TRIANGLE.copy()
    wrong[3, 1] = -1.0
    with pytest.raises(AimError, match=r"x\[3, 1\] is -1, but a Gamma"):
        parsed("mu ~ Gamma(1, 1)\nfor i in N, j in 0..i: x[i, j] ~ Gamma(mu, 1)").fit(x=np.abs(TRIANGLE) * np.sign(wrong))


@pytest.mark.parametrize("function", ["max", "min", "mean", "prod", "logsumexp", "sum"])
def test_reductions_over_growing_ranges(function: str) -> None:
    """The mean of what is given is an exact number; NumPy's reductions say it."""
    w = np.array([0.3, -1.2, 0.8, 2.0])
    known = {"max": np.max, "min": np.min, "mean": np.mean, "prod": np.prod, "sum": np.sum, "logsumexp": lambda a: np.log(np.exp(a).sum())}
    text = f"input w: real[T]\nmu ~ Normal(0, 1)\nfor t in T: y[t] ~ Normal(mu + {function}(w[s] for s in 0..t + 1), 1)"
    shift = np.array([known[function](w[: t + 1]) for t in range(4)])
    y = np.array([0.1, 0.5, -0.3, 1.0])
    posterior = parsed(text).fit(w=w, y=y)
    assert posterior["mu"].mean == pytest.approx((y - shift).sum() / 5, abs=1e-9)


def test_a_mean_of_what_is_latent_over_a_growing_range_is_exact() -> None:
    posterior = parsed("for t in T: e[t] ~ Normal(0, 1)\nfor t in T: y[t] ~ Normal(mean(e[s] for s in 0..t + 1), 1)").fit(y=[1.0, 2.0, 0.5])
    design = np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None]
    assert posterior.log_evidence == pytest.approx(
        stats.multivariate_normal(np.zeros(3), np.eye(3) + design @ design.T).logpdf([1, 2, 0.5]), abs=1e-9
    )


def test_a_maximum_of_what_is_latent_goes_to_the_bridge() -> None:
    model = parsed("for t in T: e[t] ~ Normal(0, 1)\nfor t in T: y[t] ~ Normal(max(e[s] for s in 0..t + 1), 1)")
    u = np.array([0.3, -0.5, 0.9])

    def value() -> float:
        return float(log_joint_of(model.bind(y=[1.0, 2.0, 0.5]))(u))

    expected = stats.norm.logpdf(u).sum() + stats.norm.logpdf([1, 2, 0.5], [0.3, 0.3, 0.9]).sum()
    assert with_precision(np.float64, value)() == pytest.approx(expected, abs=1e-9)


def test_a_range_that_may_be_empty_has_no_maximum() -> None:
    with pytest.raises(AimError) as refused:
        parsed("for t in T: e[t] ~ Normal(0, 1)\nfor t in T: y[t] ~ Normal(max(e[s] for s in 0..t), 1)")
    assert [d.code for d in refused.value.diagnostics] == ["AIM0202"]


@pytest.mark.parametrize(("prior", "p"), [("Binomial(3, 0.5)", stats.binom(3, 0.5).pmf), ("Poisson(2)", stats.poisson(2).pmf)])
def test_a_sum_may_end_at_a_latent_count(prior: str, p: Any) -> None:
    posterior = parsed(f"input w: real[T]\nk ~ {prior}\ny ~ Normal(sum(w[s] for s in 0..T - k), 1)").fit(y=1.0, w=[1.0, 2, 3, 4])
    k = np.arange(60)
    joint = p(k) * stats.norm.pdf(1.0, [sum([1, 2, 3, 4][: max(4 - j, 0)]) for j in k], 1)
    assert posterior.log_evidence == pytest.approx(np.log(joint.sum()), abs=1e-9)
    assert posterior["k"].mean == pytest.approx(k @ joint / joint.sum(), abs=1e-9)
