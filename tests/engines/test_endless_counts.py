"""Latent counts without an end: sums as far as it matters, against closed forms and against sums that go much further."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import ppl
from ppl.engines.numpyro_bridge import counts
from ppl.engines.numpyro_bridge.counts import counted
from ppl.engines.numpyro_bridge.fitting import fit_bound
from ppl.engines.precision import with_precision

THINNED = "model m:\n    r ~ Gamma(2, 1)\n    n ~ Poisson(r)\n    x ~ Binomial(n, 0.5)\n"
FAR = np.arange(3000)


@pytest.mark.parametrize(
    ("statement", "prior"),
    [
        ("Poisson(rate = 5)", stats.poisson(5).logpmf(FAR)),
        ("Poisson(log_rate = 1)", stats.poisson(np.e).logpmf(FAR)),
        ("Geometric(0.05)", stats.geom(0.05).logpmf(FAR + 1)),
        ("NegativeBinomial(4, 2)", stats.nbinom(2, 2 / 6).logpmf(FAR)),
        ("ZeroInflatedPoisson(0.3, 5)", np.logaddexp(np.log(0.7) + stats.poisson(5).logpmf(FAR), np.where(FAR == 0, np.log(0.3), -np.inf))),
    ],
)
@pytest.mark.parametrize("x", [3, 30, 200])
def test_every_count_is_summed_as_far_as_it_matters(statement: str, prior: np.ndarray, x: int) -> None:
    posterior = ppl.parse(f"model m:\n    n ~ {statement}\n    x ~ Binomial(n, 0.5)\n").fit(x=x)
    joint = prior + stats.binom(FAR, 0.5).logpmf(x)
    evidence = logsumexp(joint)
    mean = FAR @ np.exp(joint - evidence)
    assert posterior.exact and not posterior.warnings
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    assert posterior["n"].mean == pytest.approx(mean, rel=1e-9)
    assert posterior["n"].var == pytest.approx((FAR - mean) ** 2 @ np.exp(joint - evidence), rel=1e-7)


@pytest.mark.parametrize("rate", [0.3, 4.0, 15.0])
def test_a_thinned_poisson_is_a_poisson(rate: float) -> None:
    """The sum over the counts, at a rate: Poisson(x; r / 2)."""

    def value() -> float:
        joint = counted(ppl.parse(THINNED).bind(x=7))
        return float(joint(jnp.log(jnp.array([rate]))))

    expected = stats.gamma(2).logpdf(rate) + stats.poisson(rate / 2).logpmf(7) + np.log(rate)
    assert with_precision(np.float64, value)() == pytest.approx(expected, abs=1e-10)


def test_the_posterior_of_a_thinned_poisson_of_a_gamma_is_the_closed_one() -> None:
    posterior = ppl.parse(THINNED).fit(x=3)  # r | x ~ Gamma(5, 1.5), and n - x is a Poisson of r / 2
    assert posterior.status == "converged" and not posterior.warnings
    assert posterior["r"].mean == pytest.approx(5 / 1.5, abs=0.2)
    assert posterior["r"].sd == pytest.approx(np.sqrt(5) / 1.5, abs=0.2)
    assert posterior["n"].mean == pytest.approx(3 + 5 / 3, abs=0.1)
    assert posterior["n"].var == pytest.approx(5 / 3 + 5 / 9, abs=0.3)
    assert "n is summed over the counts 0 to 63" in str(posterior.plan)


def test_a_count_of_a_count_has_its_end() -> None:
    posterior = ppl.parse("model m:\n    n ~ Poisson(6)\n    k ~ Binomial(n, 0.25)\n    y ~ Normal(k, sd = 1)\n").fit(y=4.2)
    k = np.arange(200)
    joint = stats.poisson(1.5).pmf(k) * stats.norm.pdf(4.2, k, 1)
    assert posterior.log_evidence == pytest.approx(np.log(joint.sum()), abs=1e-9)
    assert posterior["k"].mean == pytest.approx((k * joint).sum() / joint.sum(), abs=1e-9)
    assert posterior["n"].mean == pytest.approx((k * joint).sum() / joint.sum() + 4.5, abs=1e-9)  # the others are a Poisson of 4.5


def test_given_members_that_are_large_stay_where_they_are() -> None:
    text = "model m:\n    for i in I:\n        n[i] ~ Poisson(5)\n        y[i] ~ Normal(n[i], sd = 1)\n"
    posterior = ppl.parse(text).fit(n=[300, None], y=[301.0, 4.0])
    k = np.arange(100)
    joint = stats.poisson(5).pmf(k) * stats.norm.pdf(4, k, 1)
    assert posterior["n"].mean == pytest.approx([300, (k * joint).sum() / joint.sum()], abs=1e-9)
    first = stats.poisson(5).logpmf(300) + stats.norm.logpdf(301, 300, 1)
    assert posterior.log_evidence == pytest.approx(first + np.log(joint.sum()), abs=1e-8)


def test_what_is_left_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A posterior without an end that tables can reach."""
    monkeypatch.setattr(counts, "MOST_ENTRIES", 64)
    posterior = fit_bound(ppl.parse(THINNED).bind(x=40), "laplace", seed=0, dtype=None, options={}, approximation=None, reasons=())
    assert any(
        "`n` is summed over 0 to 63, of which the upper half has the probability 1: as much may lie" in w for w in posterior.warnings
    )


def test_counts_on_which_nothing_depends_are_predicted() -> None:
    posterior = ppl.parse("model m:\n    r ~ Gamma(2, 1)\n    y ~ Poisson(r)\n    n ~ Poisson(r)\n").fit(y=3)
    assert posterior.exact and posterior["r"].params == {"shape": pytest.approx(5), "rate": pytest.approx(2)}
    assert posterior["n"].mean == pytest.approx(2.5, abs=0.15)  # by draws
