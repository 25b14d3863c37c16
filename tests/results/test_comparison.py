"""Models side by side: Bayes factors are differences of evidences that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln

import ppl

X = [1, 1, 0, 1, 1, 1, 0, 1]


def coin(a: float, b: float) -> ppl.Posterior:
    return ppl.parse(f"model coin:\n    theta ~ Beta({a}, {b})\n    for n in N: x[n] ~ Bernoulli(theta)\n").fit(x=X)


def evidence(a: float, b: float) -> float:
    return betaln(a + 6, b + 2) - betaln(a, b)


def test_bayes_factors_are_ratios_of_evidences() -> None:
    table = ppl.compare({"fair": coin(50, 50), "flat": coin(1, 1), "low": coin(1, 9)})
    wanted = {"fair": evidence(50, 50), "flat": evidence(1, 1), "low": evidence(1, 9)}
    assert [row.name for row in table.rows] == sorted(wanted, key=lambda name: -wanted[name])
    for name, value in wanted.items():
        np.testing.assert_allclose(table[name].log_evidence, value)
        np.testing.assert_allclose(table[name].bayes_factor, np.exp(value - max(wanted.values())))
        assert table[name].exact
    assert "exact" in str(table)


def test_leave_one_out_stands_beside() -> None:
    a, b = coin(1, 1), coin(1, 9)
    table = ppl.compare({"flat": a, "low": b})
    gaps = np.asarray(b.loo().loo_i) - np.asarray(a.loo().loo_i)
    np.testing.assert_allclose(table["low"].elpd_difference, gaps.sum())
    np.testing.assert_allclose(table["low"].difference_se, np.sqrt(len(X)) * gaps.std())
    assert table["flat"].elpd_difference == 0.0


def test_a_bound_is_said_to_be_one() -> None:
    text = "model m:\n    mu ~ Normal(0, 1)\n    tau ~ Gamma(1, 1)\n    for n in N: y[n] ~ Normal(mu, precision = tau)\n"
    exact = ppl.parse("model e:\n    mu ~ Normal(0, 1)\n    for n in N: y[n] ~ Normal(mu, sd = 1)\n")
    y = [0.5, 1.5, 0.2]
    table = ppl.compare({"bound": ppl.parse(text).fit(y=y), "exact": exact.fit(y=y)})
    assert not table["bound"].exact
    assert "bound" in str(table)
    assert any("a bound is below the log evidence" in note for note in table.notes)


def test_other_data_cannot_be_compared() -> None:
    other = ppl.parse("model coin:\n    theta ~ Beta(1, 1)\n    for n in N: x[n] ~ Bernoulli(theta)\n").fit(x=[1, 0])
    with pytest.raises(ppl.AimError, match=r"AIM0809\]: `a` and `b` are posteriors of different data"):
        ppl.compare({"a": coin(1, 1), "b": other})


def test_a_model_without_latent_variables_is_compared_too() -> None:
    fair = ppl.parse("model fair:\n    for n in N: x[n] ~ Bernoulli(0.5)\n").fit(x=X)
    table = ppl.compare({"fair": fair, "flat": coin(1, 1)})
    np.testing.assert_allclose(table["flat"].log_evidence - table["fair"].log_evidence, evidence(1, 1) - len(X) * np.log(0.5))
    left_out = fair.loo()
    np.testing.assert_allclose(left_out.elpd_loo, len(X) * np.log(0.5))  # each toss has the same probability, whatever the others were
    assert not left_out.warning
    assert np.all(left_out.pareto_k == 0.0)
