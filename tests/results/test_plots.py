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


CHAIN = """
model chain:
    x[0] ~ MvNormal([0, 0], cov = eye(2))
    for t in T: x[t + 1] ~ MvNormal(0.9 * x[t], cov = eye(2) / 4)
    for t in T: y[t] ~ MvNormal(x[t + 1], cov = eye(2) / 4)
"""
MOTION = """
model motion:
    generalized t in T (order = 2, smoothness = 0.5):
        state x: real[2]
        x' ~ MvNormal([x[1], -x[0]], precision = 4 * eye(2))
        y ~ MvNormal(x, precision = 4 * eye(2))
"""
ROWS = """
model rows:
    for s in S: x[s, 0] ~ Normal(0, 1)
    for s in S, t in 1..T: x[s, t] ~ Normal(x[s, t - 1], sd = 0.5)
    for s in S, t in T: y[s, t] ~ Normal(x[s, t], sd = 0.5)
"""


@pytest.mark.parametrize(("text", "turned", "longer"), [(CHAIN, False, 1), (MOTION, False, 0), (ROWS, True, 0)])
def test_each_entry_of_a_vector_and_each_series_has_a_picture_of_its_own(text: str, turned: bool, longer: int) -> None:
    y = np.stack([np.sin(np.arange(9.0)), np.cos(np.arange(9.0))], axis=1)
    posterior = ppl.parse(text).fit(y=y.T if turned else y)
    quantiles = posterior["x"].quantile([0.025, 0.5, 0.975])
    quantiles = np.moveaxis(quantiles, 1, 2) if turned else quantiles
    panels = posterior.plot("forecast")
    for k, ax in enumerate(panels):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), quantiles[1, :, k])
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose([band.min(), band.max()], [quantiles[0, :, k].min(), quantiles[2, :, k].max()])
        assert ax.lines[0].get_label() == (f"x[{k}, :]" if turned else f"x[:, {k}]")
        if not longer:
            np.testing.assert_array_equal(ax.lines[1].get_ydata(), y[:, k])
    assert len(panels) == 2 and len(posterior.plot("forecast", steps=3)[1].lines[0].get_ydata()) == 9 + longer + 3
    one = pyplot.subplots()[1]
    assert posterior.plot("forecast", "x", ax=one) is one
    assert [line.get_label() for line in one.lines][:: 1 if longer else 2] == [panel.lines[0].get_label() for panel in panels]


def test_an_axis_that_is_not_time_is_named() -> None:
    posterior = ppl.parse(
        "model m:\n    for a in A, b in B: w[a, b] ~ Normal(0, 1)\n    for a in A, b in B: y[a, b] ~ Normal(w[a, b], 1)\n"
    ).fit(y=np.ones((2, 3)))
    with pytest.raises(ppl.AimError, match="drawn along one axis, and `w` has A, B"):
        posterior.plot("forecast", "w")
    assert len(posterior.plot("forecast", "w", along="B")) == 2 and len(posterior.plot("forecast", "w", along="A")) == 3


def test_a_predictive_check_shows_data_and_replications(series: Posterior) -> None:
    ax = series.plot("predictive", draws=20)
    assert len(ax.lines) == 21
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["replicated", "observed"]


@pytest.mark.parametrize(("kind", "name"), [("densty", None), ("posterior", "q"), ("forecast", "w")])
def test_what_cannot_be_drawn_is_said(kind: str, name: str | None) -> None:
    posterior = ppl.parse("model m:\n    w ~ Normal(0, 1)\n    for n in N: y[n] ~ Normal(w, 1)\n").fit(y=[1.0])
    with pytest.raises(ppl.AimError, match="AIM0810"):
        posterior.plot(kind, name)
