"""States under smooth noise: the schemes of a generalized block beside a Kalman smoother and an unscented one, which hold noise for white.

    python -m tests.benchmarks.motion [SERIES]

The smoothers are given what is best for them here: the transition over a bin, and noise whose sum over many bins varies as that of the
smooth noise does (its variance times the integral of its autocorrelation). Printed: root mean square errors of all states over inner bins,
and microseconds a sample (run alone, without compilation; the smoothers here are loops in NumPy, so that their times say little).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import ppl

BINS, FINE = 64, 20
Step = Callable[[np.ndarray], np.ndarray]

LINEAR = """
model linear(s, states, sensors, first: real[2]):
    for k in S:
        generalized t in T (dt = 1, order = 6, smoothness = s, scheme = {scheme}):
            state x[k]: real[2] ~ MvNormal(first, cov = eye(2))
            x'[k] ~ MvNormal([x[k][1] - x[k][0] / 4, -x[k][0] / 2 - x[k][1] / 4], precision = states * eye(2))
            y[k] ~ Normal(x[k][0], precision = sensors)
"""
LORENZ = """
model lorenz(s, states, sensors, first: real[3]):
    for k in S:
        generalized t in T (dt = 0.03, order = {order}, smoothness = s, scheme = {scheme}):
            state x[k]: real[3] ~ MvNormal(first, cov = eye(3))
            x'[k] ~ MvNormal([10 * (x[k][1] - x[k][0]), x[k][0] * (28 - x[k][2]) - x[k][1], x[k][0] * x[k][1] - 8 / 3 * x[k][2]],
                             precision = states * eye(3))
            y[k] ~ Normal(x[k][0] + x[k][1] + x[k][2], precision = sensors)
"""


def linear(x: np.ndarray) -> np.ndarray:
    return np.stack([x[..., 1] - x[..., 0] / 4, -x[..., 0] / 2 - x[..., 1] / 4], axis=-1)


def lorenz(x: np.ndarray) -> np.ndarray:
    a, b, c = np.moveaxis(x, -1, 0)
    return np.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], axis=-1)


# ------------------------------------------------------------------ records
def noise(random: np.random.Generator, s: float, *shape: int) -> np.ndarray:
    """(T, …): unit noise with the autocorrelation exp(-h² / 4s²); white where s is 0."""
    lags = np.subtract.outer(np.arange(shape[0]), np.arange(shape[0])).astype(float)
    correlation = np.exp(-(lags**2) / (4 * s**2)) if s else np.eye(shape[0])
    values, vectors = np.linalg.eigh(correlation)
    return np.einsum("ij,j...->i...", vectors * np.sqrt(np.maximum(values, 0)), random.standard_normal(shape))


def rolled(rates: Step, x: np.ndarray, now: np.ndarray, then: np.ndarray, dt: float) -> np.ndarray:
    """One bin later by midpoint steps, the push going straight from one bin to the next."""
    for k in range(FINE):
        push = now + (then - now) * (k + 0.5) / FINE
        middle = x + (rates(x) + push) * dt / FINE / 2
        x = x + (rates(middle) + push) * dt / FINE
    return x


def records(
    rates: Step, first: np.ndarray, s: float, dt: float, states: float, sensors: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """States (count, T, n), and sensors of the first one (linear) or of the sum (Lorenz)."""
    random = np.random.default_rng(int(1000 * s) + 7)
    push = noise(random, s, BINS, count, len(first)) / np.sqrt(states)
    x = [first + random.standard_normal((count, len(first)))]
    for t in range(BINS - 1):
        x.append(rolled(rates, x[-1], push[t], push[t + 1] if s else push[t], dt))
    path = np.stack(x, axis=1)
    seen = path[..., 0] if rates is linear else path.sum(-1)
    return path, seen + noise(random, s, BINS, count).T / np.sqrt(sensors)


# ------------------------------------------------------------------ a smoother with sigma points: Kalman's where all is linear
def unscented(move: Step, see: np.ndarray, first: np.ndarray, push: np.ndarray, error: float, y: np.ndarray) -> np.ndarray:
    """Means of the Rauch-Tung-Striebel smoother with sigma points (Särkkä 2008), which is exact for a linear transition."""
    n = len(first)
    kappa = 3.0 - n if n < 3 else 0.5
    weights = np.array([kappa / (n + kappa), *[0.5 / (n + kappa)] * (2 * n)])
    mean, covariance, kept = first, np.eye(n), []
    for t in range(len(y)):
        if t:
            root = np.linalg.cholesky((n + kappa) * covariance)
            points = np.concatenate([mean[None], mean + root.T, mean - root.T])
            moved = move(points)
            ahead = weights @ moved
            spread = np.einsum("k,ki,kj->ij", weights, moved - ahead, moved - ahead) + push
            cross = np.einsum("k,ki,kj->ij", weights, points - mean, moved - ahead)
            kept[-1] += (ahead, spread, cross)
            mean, covariance = ahead, spread
        gain = covariance @ see / (see @ covariance @ see + error)
        mean = mean + gain * (y[t] - see @ mean)
        covariance = covariance - np.outer(gain, see @ covariance)
        covariance = (covariance + covariance.T) / 2
        kept.append((mean, covariance))
    found = [mean]
    for filtered, spread, ahead, predicted, cross in reversed([k for k in kept if len(k) == 5]):
        gain = cross @ np.linalg.inv(predicted)
        mean = filtered + gain @ (mean - ahead)
        covariance = spread + gain @ (covariance - predicted) @ gain.T
        found.append(mean)
    return np.stack(found[::-1])


def smoothed(rates: Step, first: np.ndarray, s: float, dt: float, states: float, sensors: float, y: np.ndarray) -> np.ndarray:
    width = 2 * s * np.sqrt(np.pi) if s else 1.0  # the integral of the autocorrelation, in bins
    still = np.zeros(len(first))
    move = lambda x: rolled(rates, x, still, still, dt)  # noqa: E731
    see = np.eye(len(first))[0] if rates is linear else np.ones(len(first))
    push = np.eye(len(first)) * dt**2 * max(width, 1.0) / states
    return np.stack([unscented(move, see, first, push, max(width, 1.0) / sensors, one) for one in y])


# ------------------------------------------------------------------ the comparison
def error(found: np.ndarray, path: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - path)[:, 4:-4] ** 2)))


def compare(title: str, text: str, rates: Step, first: np.ndarray, dt: float, states: float, sensors: float, count: int) -> None:
    name = "Kalman" if rates is linear else "unscented"
    for s in (0.0, 0.5, 1.0, 2.0):
        path, y = records(rates, first, s, dt, states, sensors, count)
        line = [f"{title}, smoothness {s:g}:"]
        for scheme in ("smooth", "mode", "flow"):
            if s == 0 and scheme != "smooth":
                continue
            model = ppl.parse(text.replace("{scheme}", scheme).replace("{order}", "4" if scheme == "smooth" else "6"))
            given: dict[str, Any] = {"s": s, "states": states, "sensors": sensors, "first": first, "y": y}
            posterior = model.fit(**given)
            line.append(f"{scheme} {error(posterior['x'].mean, path):.3f} ({1e6 * posterior.seconds['run'] / y.size:.0f} µs)")
        begun = time.perf_counter()
        found = smoothed(rates, first, s, dt, states, sensors, y)
        line.append(f"{name} {error(found, path):.3f} ({1e6 * (time.perf_counter() - begun) / y.size:.0f} µs)")
        print(*line, sep="  ", flush=True)


if __name__ == "__main__":
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    compare("linear", LINEAR, linear, np.array([1.0, 0.0]), 1.0, 64.0, 16.0, series)
    compare("Lorenz", LORENZ, lorenz, np.array([0.9, 0.8, 30.0]), 0.03, 1.0, 1.0, series)
