"""Message passing against coordinate ascent written out by hand, and the ways in which a fit may be begun."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl
from ppl.results.posterior import Posterior
from tests.reference.coordinate_ascent import gaussian_mixture, mean_and_precision
from tests.reference.models import SPREAD, Y, source

RNG = np.random.default_rng(7)
POINTS = np.concatenate([RNG.normal([-2, 0], [0.5, 1.0], (6, 2)), RNG.normal([2, 1], [0.7, 0.4], (5, 2))])
LABELS = np.array([0] * 5 + [1] * 6)
MIXTURE = """pi ~ Dirichlet(ones(K))
for k in K:
    mu[k] ~ MvNormal(zeros(2), cov = 10 * eye(2))
    Lambda[k] ~ Wishart(3, eye(2) / 3)
for n in N:
    z[n] ~ Categorical(pi)
    x[n] ~ MvNormal(mu[z[n]], precision = Lambda[z[n]])"""
ONE_DIMENSION = """w ~ Dirichlet(ones(3))
for k in K: mu[k] ~ Normal(0, 5)
for n in N:
    z[n] ~ Categorical(w)
    x[n] ~ Normal(mu[z[n]], 0.5)"""
CLUSTERS = np.concatenate([RNG.normal(c, 0.5, 8) for c in (-4, 0, 4)])


def mixture(text: str, states: int, **options: Any) -> Posterior:
    return ppl.parse(source(text, f"model m(K: size = {states})")).fit(engine="vmp", **options)


def test_mean_and_precision_take_the_steps_of_the_textbook() -> None:
    text = source("mu ~ Normal(0.5, precision = 0.1)\ntau ~ Gamma(2, 1.5)\nfor n in N: y[n] ~ Normal(mu, precision = tau)")
    posterior = ppl.parse(text).fit(y=Y)
    reference = mean_and_precision(Y, 0.5, 0.1, 2.0, 1.5, posterior.iterations)
    np.testing.assert_allclose(posterior.elbo_trace, reference.bounds, rtol=1e-12)
    assert posterior["mu"].mean == pytest.approx(reference.mean, rel=1e-12)
    assert posterior["mu"].sd == pytest.approx(reference.lam**-0.5, rel=1e-12)
    assert posterior["tau"].params["shape"] == pytest.approx(reference.a, rel=1e-12)
    assert posterior["tau"].params["rate"] == pytest.approx(reference.b, rel=1e-12)


def test_a_gaussian_mixture_takes_the_steps_of_the_textbook() -> None:
    posterior = mixture(MIXTURE, 2, x=POINTS, start={"z": LABELS})
    reference = gaussian_mixture(POINTS, LABELS, 2, 10.0, 3.0, np.eye(2) / 3, posterior.iterations)
    np.testing.assert_allclose(posterior.elbo_trace, reference.bounds, rtol=1e-10)
    np.testing.assert_allclose(posterior["pi"].params["concentration"], reference.concentration, rtol=1e-9)
    np.testing.assert_allclose(posterior["mu"].mean, reference.means, rtol=1e-8)
    np.testing.assert_allclose(posterior["mu"].params["cov"], reference.covariances, rtol=1e-8)
    np.testing.assert_allclose(posterior["Lambda"].params["df"], reference.df, rtol=1e-9)
    np.testing.assert_allclose(posterior["Lambda"].params["scale"], reference.scales, rtol=1e-7)
    np.testing.assert_allclose(posterior["z"].params["p"], reference.responsibilities, atol=1e-8)


def test_components_that_are_alike_are_told_apart_by_the_start() -> None:
    means = np.sort(mixture(ONE_DIMENSION, 3, x=CLUSTERS, restarts=5)["mu"].mean)
    np.testing.assert_allclose(means, [-4, 0, 4], atol=0.7)


def test_restarts_keep_the_best_bound() -> None:
    best = mixture(ONE_DIMENSION, 3, x=CLUSTERS, restarts=6, seed=2)
    assert best.restarts == 6
    alone = [mixture(ONE_DIMENSION, 3, x=CLUSTERS, seed=seed).elbo for seed in range(4)]
    first = mixture(ONE_DIMENSION, 3, x=CLUSTERS, seed=2)
    assert best.elbo >= first.elbo - 1e-9
    assert best.elbo >= max(alone) - 1e-6


def test_a_start_at_the_truth_and_its_relabelling_end_alike() -> None:
    labels = np.repeat([0, 1, 2], 8)
    one = mixture(ONE_DIMENSION, 3, x=CLUSTERS, start={"z": labels})
    other = mixture(ONE_DIMENSION, 3, x=CLUSTERS, start={"z": 2 - labels})
    assert one.elbo == pytest.approx(other.elbo, rel=1e-12)
    np.testing.assert_allclose(one["mu"].mean, other["mu"].mean[::-1], rtol=1e-9)
    np.testing.assert_allclose(one["z"].params["p"], other["z"].params["p"][:, ::-1], atol=1e-9)


def test_the_limit_of_iterations_is_kept_and_told() -> None:
    text = source("b ~ Gamma(2, 1)\nfor n in N:\n    r[n] ~ Gamma(3, rate = b)\n    x[n] ~ Poisson(r[n])")
    posterior = ppl.parse(text).fit(x=[0, 2, 7], iterations=3)
    assert posterior.iterations == len(posterior.elbo_trace) == 3
    assert not posterior.converged
    assert posterior.status == "iteration limit"
    assert any("not converged" in w for w in posterior.warnings)


def test_a_larger_tolerance_stops_earlier_at_nearly_the_same_bound() -> None:
    text = source("mu ~ Normal(0, 10)\ntau ~ Gamma(1, 1)\nfor n in N: y[n] ~ Normal(mu, precision = tau)")
    fine, rough = (ppl.parse(text).fit(y=Y, tolerance=t) for t in (1e-13, 1e-2))
    assert rough.iterations <= fine.iterations
    assert rough.elbo == pytest.approx(fine.elbo, abs=0.5)


def test_progress_is_told_and_changes_nothing() -> None:
    told: list[tuple[int, float]] = []
    quiet = mixture(ONE_DIMENSION, 3, x=CLUSTERS, seed=1)
    loud = mixture(ONE_DIMENSION, 3, x=CLUSTERS, seed=1, progress=lambda sweeps, bound: told.append((sweeps, bound)))
    np.testing.assert_allclose(loud.elbo_trace, quiet.elbo_trace, rtol=1e-12)
    assert told[-1] == pytest.approx((loud.iterations, loud.elbo))


def test_labels_observed_in_part_are_a_plate_of_each_kind() -> None:
    """A plate whose members differ in what is observed is the same model as two plates."""
    together = source(
        "w ~ Dirichlet(ones(2))\nfor k in K: mu[k] ~ Normal(2 * k - 1, 1)\n"
        "for n in N:\n    z[n] ~ Categorical(w)\n    x[n] ~ Normal(mu[z[n]], 1)",
        "model m(K: size = 2)",
    )
    apart = source(
        "w ~ Dirichlet(ones(2))\nfor k in K: mu[k] ~ Normal(2 * k - 1, 1)\n"
        "for n in N:\n    z[n] ~ Categorical(w)\n    x[n] ~ Normal(mu[z[n]], 1)\n"
        "for i in M:\n    c[i] ~ Categorical(w)\n    y[i] ~ Normal(mu[c[i]], 1)",
        "model m(K: size = 2)",
    )
    seen = np.array([np.nan, 0, np.nan, 1, np.nan])
    free = np.isnan(seen)
    start = {"z": np.array([0, 1, 1])}
    one = ppl.parse(together).fit(engine="vmp", x=SPREAD, z=seen, start=start)
    two = ppl.parse(apart).fit(engine="vmp", x=SPREAD[free], y=SPREAD[~free], c=seen[~free], start=start)
    assert one.elbo == pytest.approx(two.elbo, rel=1e-9)
    np.testing.assert_allclose(one["mu"].mean, two["mu"].mean, rtol=1e-7)
    np.testing.assert_allclose(one["z"].params["p"][free], two["z"].params["p"], atol=1e-7)
    np.testing.assert_array_equal(one["z"].mode[~free], seen[~free])


@pytest.mark.parametrize("engine", [None, "vmp", "exact"])
def test_missing_data_are_as_if_they_were_not_there(engine: str | None) -> None:
    text = source("mu ~ Normal(0, 2)\nfor n in N: x[n] ~ Normal(mu, 1)")
    holes = np.array([1.0, np.nan, 3.0, np.nan])
    one, two = (ppl.parse(text).fit(x=x, engine=engine) for x in (holes, holes[[0, 2]]))
    assert one.elbo == pytest.approx(two.elbo, rel=1e-12)
    assert one["mu"].mean == pytest.approx(two["mu"].mean, rel=1e-12)


def test_data_that_cannot_be_are_refused_with_a_code() -> None:
    text = source("z ~ Bernoulli(0)\nx ~ Bernoulli(if z == 1 then 1 else 0)")
    with pytest.raises(ppl.AimError) as caught:
        ppl.parse(text).fit(x=1)
    assert "impossible" in str(caught.value)


def test_the_callers_precision_is_left_as_it_was() -> None:
    import jax

    before = jax.numpy.ones(1).dtype
    ppl.parse(source("p ~ Beta(1, 1)\nfor n in N: x[n] ~ Bernoulli(p)")).fit(x=[1, 0])
    assert jax.numpy.ones(1).dtype == before


@pytest.mark.parametrize("start", [{"zz": np.zeros(24, int)}, {"z": np.zeros(5, int)}, {"z": np.full(24, 7)}, {"mu": np.zeros(3)}])
def test_a_start_that_fits_no_discrete_block_is_refused(start: dict[str, np.ndarray]) -> None:
    with pytest.raises(ppl.AimError):
        mixture(ONE_DIMENSION, 3, x=CLUSTERS, start=start)
