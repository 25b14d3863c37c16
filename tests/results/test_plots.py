"""Plots show what they say: the numbers in the axes are those of the posterior."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from matplotlib import pyplot

import ppl
from ppl.results.posterior import Posterior

SERIES = "model series:\n    for t in T: m[t] ~ Normal(2, sd = 1)\n    for t in T: y[t] ~ Normal(m[t], sd = 0.5)\n"
Y = np.array([1.0, 2.0, np.nan, 4.0])


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def series() -> Posterior:
    return ppl.parse(SERIES).fit(y=Y)


def test_the_bound_is_drawn_sweep_by_sweep() -> None:
    posterior = ppl.parse(
        "model m:\n    mu ~ Normal(0, 1)\n    tau ~ Gamma(1, 1)\n    for n in N: y[n] ~ Normal(mu, precision = tau)\n"
    ).fit(y=[1.0, 2.0])
    ax = posterior.plot("elbo")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), posterior.elbo_trace)


def test_intervals_are_those_of_the_beliefs(series: Posterior) -> None:
    ax = series.plot("intervals", "m")
    low, high = series["m"].interval(0.95)
    np.testing.assert_allclose([line.get_xdata() for line in ax.lines[::3]], np.stack([low, high], axis=1))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["m[0]", "m[1]", "m[2]", "m[3]"]


def test_densities_are_centred_on_the_mean(series: Posterior) -> None:
    ax = series.plot("posterior", "m")
    for line, mean in zip(ax.lines, np.asarray(series["m"].mean), strict=True):
        grid, density = line.get_data()
        np.testing.assert_allclose(np.average(grid, weights=density), mean, atol=0.05)
    assert len(series.plot()) == len(series.names)


def test_a_forecast_has_the_quantiles_and_the_data(series: Posterior) -> None:
    ax = series.plot("forecast", "m")
    median, points = ax.lines
    np.testing.assert_allclose(median.get_ydata(), series["m"].quantile(0.5))
    np.testing.assert_array_equal(points.get_ydata(), Y)
    low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    np.testing.assert_allclose(low, series["m"].quantile(0.025).min())


def test_a_predictive_check_shows_data_and_replications(series: Posterior) -> None:
    ax = series.plot("predictive", draws=20)
    assert len(ax.lines) == 21
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["replicated", "observed"]


@pytest.mark.parametrize(("kind", "name"), [("densty", None), ("posterior", "q"), ("forecast", "w")])
def test_what_cannot_be_drawn_is_said(kind: str, name: str | None) -> None:
    posterior = ppl.parse("model m:\n    w ~ Normal(0, 1)\n    for n in N: y[n] ~ Normal(w, 1)\n").fit(y=[1.0])
    with pytest.raises(ppl.AimError, match="AIM0810"):
        posterior.plot(kind, name)
