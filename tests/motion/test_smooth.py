"""The scheme `smooth`: a Kalman smoother where noise is white, a dense Gaussian where it is smooth."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from tests.reference.linear_motion import correlation, log_normal

RECORD = np.cumsum(np.random.default_rng(0).standard_normal(24)) / 3

WALK = """
model walk:
    input u: real[T]
    generalized t in T (dt = 0.5, order = 1, smoothness = 0, scheme = smooth):
        state x: real ~ Normal(0, sd = 3)
        x' ~ Normal(-0.3 * x + u[t], precision = 2)
        y ~ Normal(x, precision = 1.5)
"""


def kalman(y: np.ndarray, u: np.ndarray) -> tuple[float, float, float]:
    """Mean and variance at the end, and the log evidence, of x[t + 1] = 0.85 x[t] + u[t] / 2 + w[t] / 2."""
    mean, variance, evidence = 0.0, 9.0, 0.0
    for t, value in enumerate(y):
        if t:
            mean, variance = 0.85 * mean + 0.5 * u[t - 1], 0.85**2 * variance + 0.25 / 2
        if np.isfinite(value):
            spread = variance + 1 / 1.5
            evidence += -0.5 * np.log(2 * np.pi * spread) - 0.5 * (value - mean) ** 2 / spread
            gain = variance / spread
            mean, variance = mean + gain * (value - mean), variance * (1 - gain)
    return mean, variance, evidence


def test_white_noise_is_a_kalman_filter_also_where_samples_are_missing() -> None:
    y, u = RECORD.copy(), np.sin(np.arange(24.0))
    y[[3, 4, 11]] = np.nan
    posterior = ppl.parse(WALK).fit(y=y, u=u)
    mean, variance, evidence = kalman(y, u)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    assert posterior["x"].mean[-1] == pytest.approx(mean, abs=1e-9)
    assert posterior["x"].var[-1] == pytest.approx(variance, abs=1e-9)
    assert posterior["y"].mean[3] == pytest.approx(posterior["x"].mean[3], abs=1e-9)
    assert posterior["y"].var[3] == pytest.approx(posterior["x"].var[3] + 1 / 1.5, abs=1e-9)
    assert posterior["y"].mean[5] == y[5] and posterior["y"].sd[5] == 0.0


def test_a_prediction_goes_on_with_the_model() -> None:
    u = np.zeros(26)
    posterior = ppl.parse(WALK).fit(y=RECORD, u=u[:24])
    ahead = posterior.predict(T=26, u=u, draws=4000)
    mean, variance, _ = kalman(np.concatenate([RECORD, [np.nan, np.nan]]), u)
    assert ahead["x"].shape == (4000, 26)
    assert ahead["x"][:, -1].mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 4000))
    assert ahead["x"][:, -1].var() == pytest.approx(variance, rel=0.1)


LEVEL = """
model level:
    m ~ Normal(0, sd = 2)
    generalized t in T (order = 1, smoothness = 0.8, scheme = smooth):
        state v: real
        v ~ Normal(m, precision = 4)
        gap = v - m
        y ~ Normal(v, precision = 16)
"""


def test_missing_samples_are_drawn_together_as_one_gaussian_has_them() -> None:
    """Also what the unknown level of all of them adds, and beyond the record."""
    there = np.ones(12, bool)
    there[[4, 5, 9, 10, 11]] = False
    y = np.where(there[:10], RECORD[:10], np.nan)
    rough = correlation(12, 0.8)
    whole = 4 * np.ones((12, 12)) + rough * (1 / 4 + 1 / 16)
    gain = np.linalg.solve(whole[np.ix_(there, there)], whole[there]).T
    mean, covariance = gain @ RECORD[:12][there], whole - gain @ whole[there]
    posterior = ppl.parse(LEVEL).fit(y=y)
    belief = posterior["y"]
    inner = belief.mean, belief.var, posterior.draws(40_000)["y"]
    assert inner[0] == pytest.approx(mean[:10], abs=1e-6) and inner[1] == pytest.approx(np.diagonal(covariance)[:10], abs=1e-6)
    assert inner[2].mean(axis=0) == pytest.approx(mean[:10], abs=0.02)
    assert np.cov(inner[2].T) == pytest.approx(covariance[:10, :10], abs=0.02)
    assert np.array_equal(inner[2][0, :4], y[:4])
    known = np.linalg.solve(whole[np.ix_(there, there)], rough[np.ix_(there, np.arange(10))] / 4)
    gap = rough[:10, :10] / 4 - rough[:10, there] / 4 @ known
    assert posterior["gap"].var == pytest.approx(np.diagonal(gap), abs=1e-6)
    ahead = posterior.predict("y", T=12, draws=40_000)
    assert ahead.mean(axis=0) == pytest.approx(mean, abs=0.02)
    assert np.cov(ahead.T) == pytest.approx(covariance, abs=0.03)


SMOOTH = """
model drift:
    generalized t in T (dt = 0.2, order = 3, smoothness = 0.6, scheme = smooth):
        state x: real ~ Normal(0.5, sd = 2)
        state v: real = 1
        x' ~ Normal(v - x, precision = 4)
        v' ~ Normal(-0.5 * v, precision = 9)
        y ~ Normal(x, precision = 25)
"""


def test_smooth_noise_is_a_dense_gaussian() -> None:
    """The path as a matrix on starts and noise, whose Taylor steps are written out here; then one joint Normal of path and data."""
    bins, dt, order = 24, 0.2, 3
    matrix = np.array([[-1.0, 1.0], [0.0, -0.5]])
    width = 2 + 2 * bins
    path = np.zeros((bins, 2, width))
    path[0, :, :2] = np.eye(2)

    def noise(t: int) -> np.ndarray:
        rows = np.zeros((2, width))
        rows[0, 2 + t], rows[1, 2 + bins + t] = 1.0, 1.0
        return rows

    for t in range(bins - 1):
        term = matrix @ path[t] + noise(t)
        path[t + 1], factor = path[t] + dt * term, dt
        for k in range(2, order + 1):
            term = matrix @ term + ((noise(t + 1) - noise(t)) / dt if k == 2 else 0.0)
            factor *= dt / k
            path[t + 1] += factor * term
    rough = correlation(bins, 0.6)
    prior = np.zeros((width, width))
    prior[0, 0], prior[2 : 2 + bins, 2 : 2 + bins], prior[2 + bins :, 2 + bins :] = 4.0, rough / 4, rough / 9
    mean = np.zeros(width)
    mean[:2] = 0.5, 1.0
    x = path[:, 0]
    cov = x @ prior @ x.T + rough / 25
    gain = np.linalg.solve(cov, x @ prior @ x.T).T
    posterior = ppl.parse(SMOOTH).fit(y=RECORD)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(log_normal(RECORD, x @ mean, cov), abs=1e-8)
    assert posterior["x"].mean == pytest.approx(x @ mean + gain @ (RECORD - x @ mean), abs=1e-8)
    assert posterior["x"].var == pytest.approx(np.diagonal(x @ prior @ x.T - gain @ (x @ prior @ x.T)), abs=1e-8)
    assert posterior["v"].mean[0] == 1.0 and posterior["v"].sd[0] == 0.0


DECAY = """
model decay(k):
    tau ~ Gamma(2, rate = 0.1)
    generalized t in T (dt = 0.1, order = 6, smoothness = 0.5, scheme = smooth):
        state x: real START
        rate = -k * x
        x' = rate
        y ~ Normal(x, precision = tau)
"""


def test_an_equation_without_noise_is_solved() -> None:
    """The record is Normal about `exp(-k t)` times the start, and a precision about a known curve has a Gamma."""
    times = 0.1 * np.arange(25)
    curve, rough = np.exp(-1.5 * times), correlation(25, 0.5)
    record = 2 * curve + 0.1 * np.sin(np.arange(25) ** 2 * 1.3)
    known = ppl.parse(DECAY.replace("START", "~ Normal(1, sd = 2)")).fit(y=record, k=1.5, tau=64)
    whole = rough / 64 + 4 * np.outer(curve, curve)
    gain = 4 * np.linalg.solve(whole, curve)
    assert known.exact and known.log_evidence == pytest.approx(log_normal(record, curve, whole), abs=1e-6)
    assert known["x"].mean[0] == pytest.approx(1 + gain @ (record - curve), abs=1e-8)
    assert known["x"].var == pytest.approx((4 - 4 * gain @ curve) * curve**2, rel=1e-6)
    learnt = ppl.parse(DECAY.replace("START", "= 2")).fit(y=record, k=1.5)
    error = record - 2 * curve
    assert learnt["tau"].params["shape"] == pytest.approx(2 + 25 / 2)
    assert learnt["tau"].params["rate"] == pytest.approx(0.1 + 0.5 * error @ np.linalg.solve(rough, error), rel=1e-6)


def test_only_a_path_has_equations_without_noise() -> None:
    with pytest.raises(ppl.AimError, match="`x'` is of a state, which has noise in this scheme"):
        ppl.parse(DECAY.replace("START", "= 2").replace("smooth)", "mode)"))
