"""Parameters and precisions with the states: the bound never falls, and its top is where one-dimensional curves have theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl
from ppl.results.posterior import Posterior

BLOCK = """
    generalized t in T (dt = 0.2, order = 2, smoothness = 0.5):
        state x: real
        x'' ~ Normal(-k * x, precision = p)
        y   ~ Normal(x, precision = 400)
"""
BINS = np.arange(40)
RECORD = np.cos(0.4 * BINS) + 0.03 * np.sin(BINS**2 * 1.3)


def fit(head: str, **values: Any) -> Posterior:
    return ppl.parse(f"model m{'(' + ', '.join(values) + ')' if values else ''}:{head}{BLOCK}").fit(y=RECORD, **values)


def never_falls(posterior: Posterior) -> bool:
    trace = posterior.elbo_trace
    return bool(np.all(np.diff(trace) >= -1e-9 * np.abs(trace[:-1])))


def test_a_parameter_is_at_the_top_of_its_curve_with_the_spread_of_its_bend() -> None:
    """The curve: the bound for each known value of log k, plus the density of the prior."""
    posterior = fit("\n    k ~ LogNormal(0, sd = 1)\n    p = 4")
    assert posterior.converged and never_falls(posterior)
    log_k = np.log(posterior["k"].draws)  # type: ignore[arg-type]
    variance = float(np.log1p(posterior["k"].var / posterior["k"].mean ** 2))
    top, step = float(np.log(posterior["k"].mean) - variance / 2), 0.02
    assert np.mean(log_k) == pytest.approx(top, abs=4 * np.sqrt(variance / len(log_k)))
    low, middle, high = (fit("\n    p = 4", k=float(np.exp(top + d))).elbo - 0.5 * (top + d) ** 2 for d in (-step, 0.0, step))
    bend = (2 * middle - low - high) / step**2
    assert abs(high - low) / (2 * step) < 2e-3 * bend * np.sqrt(variance)
    assert variance == pytest.approx(1 / bend, rel=0.01)
    assert posterior.elbo == pytest.approx(middle - 0.5 * np.log(2 * np.pi) + 0.5 * np.log(2 * np.pi * variance), abs=1e-3)


def test_a_precision_is_a_gamma_that_agrees_with_the_slope_of_its_curve() -> None:
    """q(p) = Gamma(a + N / 2, b + S / 2), where the slope of the bound of a known p is N / 2p - S / 2."""
    posterior = fit("\n    k = 4\n    p ~ Gamma(2, rate = 0.5)")
    assert posterior.converged and never_falls(posterior)
    shape, rate = (float(posterior["p"].params[n]) for n in ("shape", "rate"))
    assert shape == 2 + 40 / 2  # 40 bins, one error of the equation in each
    p, step = shape / rate, 1e-3 * shape / rate
    low, high = (fit("\n    k = 4", p=p + d).elbo for d in (-step, step))
    squares = 40 / p - 2 * (high - low) / (2 * step)
    assert rate == pytest.approx(0.5 + squares / 2, rel=1e-5)


def test_states_parameters_and_precisions_together() -> None:
    posterior = fit("\n    k ~ LogNormal(0, sd = 1)\n    p ~ Gamma(2, rate = 0.5)")
    assert posterior.converged and never_falls(posterior)
    assert len(posterior.elbo_trace) > 3
    low, high = posterior["k"].interval(0.99)
    assert low < 4.0 < high


def test_smooth_learns_on_the_same_bound() -> None:
    """Of a white random walk in steps of noise: the curve is the exact evidence of a Kalman filter."""
    head = "model m(NAME):PRIOR\n    generalized t in T (order = 1, smoothness = 0, scheme = smooth):\n"
    body = "        state x: real = 1\n        x' ~ Normal(-a * x, precision = 50)\n        y ~ Normal(x, precision = 400)\n"
    text = head + body
    posterior = ppl.parse(text.replace("(NAME)", "").replace("PRIOR", "\n    a ~ Normal(0, sd = 1)")).fit(y=RECORD)
    assert posterior.converged and never_falls(posterior) and not posterior.exact

    def evidence(a: float) -> float:
        mean, variance, total = 1.0, 0.0, 0.0
        for t, value in enumerate(RECORD):
            if t:
                mean, variance = (1 - a) * mean, (1 - a) ** 2 * variance + 1 / 50
            spread = variance + 1 / 400
            total += -0.5 * np.log(2 * np.pi * spread) - 0.5 * (value - mean) ** 2 / spread
            mean, variance = mean + variance / spread * (value - mean), variance * (1 - variance / spread)
        return total - 0.5 * a**2

    grid = np.linspace(-1, 1, 4001)
    best = grid[np.argmax([evidence(a) for a in grid])]
    assert float(posterior["a"].mean) == pytest.approx(best, abs=1e-3)
    bend = (2 * evidence(best) - evidence(best + 0.01) - evidence(best - 0.01)) / 1e-4
    assert float(posterior["a"].sd) == pytest.approx(bend**-0.5, rel=0.01)


def test_a_climb_begins_at_the_highest_of_several_starts() -> None:
    """From the top of the prior alone the climb ends on a lower top, 70 nats down: a stiff spring (11.5) and a poor sensor (0.41)."""
    times = 0.1 * np.arange(60)
    record = np.exp(-0.1 * times) * np.cos(2 * times) + np.random.default_rng(0).normal(0, 0.125, 60)
    model = ppl.parse("""
model spring:
    k ~ LogNormal(0, sd = 1)
    s ~ HalfNormal(1)
    generalized t in T (dt = 0.1, order = 4, smoothness = 0.5, scheme = smooth):
        state x: real
        x'' ~ Normal(-k * x - 0.2 * x', precision = 16)
        y ~ Normal(x, sd = s)
""")
    posterior, again = model.fit(y=record), model.fit(y=record, seed=1, restarts=2)
    assert abs(posterior["k"].mean - 4) < 2 * posterior["k"].sd and abs(posterior["s"].mean - 0.125) < 2 * posterior["s"].sd
    assert again.elbo == pytest.approx(posterior.elbo, abs=1e-6) and again.restarts == 2
    assert not posterior.warnings


@pytest.mark.parametrize("scheme", ["mode", "flow"])
def test_bins_that_overlap_are_told_where_they_teach(scheme: str) -> None:
    posterior = ppl.parse(f"model m:\n    k ~ LogNormal(1, sd = 1)\n    p = 4{BLOCK.replace('0.5)', f'0.5, scheme = {scheme})')}").fit(
        y=RECORD
    )
    assert "what it learns of `k` may be far off" in posterior.warnings[-1]
