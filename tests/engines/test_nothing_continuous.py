"""Models without a continuous latent variable that message passing cannot serve: the sum over all states is exact, and no sampler runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.source.diagnostics import AimError

COUNT = "model m:\n    k ~ Binomial(4, 0.3)\n    y ~ Normal(k, sd = 0.8)\n"


def weights(y: float) -> np.ndarray:
    """p(k, y)."""
    k = np.arange(5)
    return stats.binom.pmf(k, 4, 0.3) * stats.norm.pdf(y, k, 0.8)


@pytest.mark.parametrize("engine", [None, "nuts", "laplace", "svi"])
def test_a_finite_count_is_summed_over(engine: str | None) -> None:
    fitted = ppl.parse(COUNT).fit(y=1.8, engine=engine)
    p = weights(1.8) / weights(1.8).sum()
    mean = p @ np.arange(5)
    assert fitted.exact and fitted.log_evidence == pytest.approx(np.log(weights(1.8).sum()), abs=1e-9)
    assert fitted["k"].mean == pytest.approx(mean, abs=1e-9)
    assert fitted["k"].var == pytest.approx(p @ np.arange(5) ** 2 - mean**2, abs=1e-9)
    drawn = fitted.draws(1000)["k"]
    assert np.bincount(drawn, minlength=5) / len(drawn) == pytest.approx(p, abs=0.06)
    assert "nothing latent is continuous" in str(fitted.plan)


def test_members_that_are_observed_stay_where_they_are() -> None:
    text = "model m:\n    for n in N:\n        k[n] ~ Binomial(4, 0.3)\n        y[n] ~ Normal(k[n], sd = 0.8)\n"
    fitted = ppl.parse(text).fit(y=[1.8, 0.2], k=[2, float("nan")])
    p = weights(0.2) / weights(0.2).sum()
    assert fitted["k"].mean == pytest.approx([2, p @ np.arange(5)], abs=1e-9)
    assert fitted["k"].sd[0] == 0
    assert fitted.log_evidence == pytest.approx(np.log(weights(1.8)[2]) + np.log(weights(0.2).sum()), abs=1e-9)


def test_impossible_data_are_told() -> None:
    text = "model m:\n    k ~ Binomial(4, 0.3)\n    y ~ Poisson(k * 1.0)\n    z ~ Binomial(k, 0.5)\n"
    with pytest.raises(AimError) as caught:
        ppl.parse(text).fit(y=2, z=9, engine="nuts")
    assert [d.code for d in caught.value.diagnostics] == ["AIM0805"]


def test_a_count_of_a_known_rate_is_summed_as_far_as_it_matters() -> None:
    posterior = ppl.parse("model m:\n    n ~ Poisson(5)\n    x ~ Binomial(n, 0.5)\n").fit(x=30)
    counts = np.arange(400)
    joint = stats.poisson(5).pmf(counts) * stats.binom(counts, 0.5).pmf(30)
    assert posterior.elbo == pytest.approx(np.log(joint.sum()), abs=1e-9)
    assert posterior["n"].mean == pytest.approx((counts * joint).sum() / joint.sum(), abs=1e-9)
