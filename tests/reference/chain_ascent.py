"""Chains by hand, for the time series of the library: forward and backward sums, dense Gaussians, and coordinate ascent around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special
from scipy.special import digamma, gammaln

from tests.reference.divergences import (
    dirichlet_divergence,
    expected_log,
    gamma_divergence,
    log_normal_expected,
    normal_entropy,
)

logsumexp: Any = special.logsumexp  # whose stub gives a pair


@dataclass(frozen=True)
class Smoothed:
    """What forward and backward sums give: the log of the whole sum, each step's chances, and those of each pair of steps."""

    log_sum: float
    each: np.ndarray
    pairs: np.ndarray


def forward_backward(start: np.ndarray, move: np.ndarray, emission: np.ndarray) -> Smoothed:
    """From logs: `start[k]`, `move[k, l]` or `move[t, k, l]` into step t + 1, `emission[t, k]`. They need not be normalised."""
    steps, size = emission.shape
    move = np.broadcast_to(move, (steps - 1, size, size))
    ahead, behind = np.zeros((steps, size)), np.zeros((steps, size))
    ahead[0] = start + emission[0]
    for t in range(1, steps):
        ahead[t] = logsumexp(ahead[t - 1][:, None] + move[t - 1], axis=0) + emission[t]
    for t in range(steps - 2, -1, -1):
        behind[t] = logsumexp(move[t] + (emission[t + 1] + behind[t + 1])[None, :], axis=1)
    log_sum = float(logsumexp(ahead[-1]))
    pairs = ahead[:-1, :, None] + move + (emission[1:] + behind[1:])[:, None, :] - log_sum
    return Smoothed(log_sum, np.exp(ahead + behind - log_sum), np.exp(pairs))


# ------------------------------------------------------------------ counts that hang on a hidden chain
@dataclass(frozen=True)
class HiddenCounts:
    """q(start), q(move), q(rate) by their parameters, the chances of the states, and the bound."""

    start: np.ndarray
    move: np.ndarray
    shape: np.ndarray
    rate: np.ndarray
    states: np.ndarray
    bound: float


def hidden_counts(count: np.ndarray, first_rates: np.ndarray, shape0: float, rate0: float, sweeps: int) -> HiddenCounts:
    """Flat Dirichlet priors of the tables; the first chain is that of the given rates and a sticky table."""
    size = len(first_rates)
    log_start, log_move = np.full(size, -np.log(size)), np.log(0.8 * np.eye(size) + 0.2 / size)
    emission = count[:, None] * np.log(first_rates) - first_rates
    constant = -gammaln(count + 1).sum()
    best = None
    for _ in range(sweeps):
        chain = forward_backward(log_start, log_move, emission)
        start, move = 1 + chain.each[0], 1 + chain.pairs.sum(0)
        shape, rate = shape0 + chain.each.T @ count, rate0 + chain.each.sum(0)
        log_start, log_move = expected_log(start), expected_log(move)
        emission = count[:, None] * (digamma(shape) - np.log(rate)) - shape / rate
        log_sum = forward_backward(log_start, log_move, emission).log_sum
        bound = log_sum + constant - dirichlet_divergence(start, np.ones(size)) - dirichlet_divergence(move, np.ones(size))
        best = HiddenCounts(start, move, shape, rate, chain.each, bound - gamma_divergence(shape, rate, shape0, rate0))
    assert best is not None
    return best


# ------------------------------------------------------------------ a level that drifts
def random_walk(drift: np.ndarray, first: float) -> np.ndarray:
    """The precision matrix of a walk whose first value has precision `first` and whose steps have precisions `drift`."""
    steps = len(drift) + 1
    precision = np.zeros((steps, steps))
    precision[0, 0] = first
    for t, step in enumerate(drift):
        precision[t : t + 2, t : t + 2] += step * np.array([[1, -1], [-1, 1]])
    return precision


@dataclass(frozen=True)
class LocalLevel:
    mean: np.ndarray
    drift: tuple[float, float]
    noise: tuple[float, float]
    bound: float


def local_level(flow: np.ndarray, drift0: tuple[float, float], noise0: tuple[float, float], sweeps: int) -> LocalLevel:
    """q(level) q(drift_precision) q(noise_precision) with level[0] ~ Normal(10, sd = 10); a pair is a Gamma's shape and rate."""
    n, drift, noise = len(flow), drift0, noise0
    mean, bound = flow, -np.inf
    for _ in range(sweeps):
        drift_mean, noise_mean = drift[0] / drift[1], noise[0] / noise[1]
        precision = random_walk(np.full(n - 1, drift_mean), 0.01) + noise_mean * np.eye(n)
        covariance = np.linalg.inv(precision)
        mean = covariance @ (noise_mean * flow + 0.1 * np.eye(n)[0])
        spread = np.diag(covariance)
        steps = np.diff(mean) ** 2 + spread[1:] + spread[:-1] - 2 * np.diag(covariance, 1)
        misses = (flow - mean) ** 2 + spread
        drift = (drift0[0] + (n - 1) / 2, drift0[1] + steps.sum() / 2)
        noise = (noise0[0] + n / 2, noise0[1] + misses.sum() / 2)
        bound = normal_entropy(covariance) + log_normal_expected((mean[:1] - 10) ** 2 + spread[:1], np.array(0.01), np.log(0.01))
        bound += log_normal_expected(steps, np.array(drift[0] / drift[1]), digamma(drift[0]) - np.log(drift[1]))
        bound += log_normal_expected(misses, np.array(noise[0] / noise[1]), digamma(noise[0]) - np.log(noise[1]))
        bound -= gamma_divergence(np.array(drift[0]), np.array(drift[1]), *drift0)
        bound -= gamma_divergence(np.array(noise[0]), np.array(noise[1]), *noise0)
    return LocalLevel(mean, drift, noise, float(bound))


# ------------------------------------------------------------------ a level whose drift is switched
@dataclass(frozen=True)
class Switched:
    on: np.ndarray
    mean: np.ndarray
    bounds: np.ndarray


def switched_level(
    reading: np.ndarray, change: np.ndarray, move: np.ndarray, step: float, error: float, first: tuple[float, float], sweeps: int
) -> Switched:
    """q(switch) q(level): level[t] ~ Normal(level[t - 1] + change[switch[t]], sd = step), reading ~ Normal(level, sd = error).

    The switch starts in either state alike; the level at Normal(first). Coordinate ascent starts with each switch at a half.
    """
    n = len(reading)
    precision = random_walk(np.full(n - 1, step**-2), first[1] ** -2) + error**-2 * np.eye(n)
    covariance = np.linalg.inv(precision)
    steps_variance = np.diag(covariance)[1:] + np.diag(covariance)[:-1] - 2 * np.diag(covariance, 1)
    on, mean, bounds = np.full((n, 2), 0.5), reading, []
    for _ in range(sweeps):
        shift = on[1:] @ change
        towards = error**-2 * reading + first[0] / first[1] ** 2 * np.eye(n)[0]
        towards[1:] += shift / step**2
        towards[:-1] -= shift / step**2
        mean = covariance @ towards
        misses = (np.diff(mean)[:, None] - change) ** 2 + steps_variance[:, None]
        evidence = np.zeros((n, 2))
        evidence[1:] = -0.5 * np.log(2 * np.pi * step**2) - 0.5 * misses / step**2
        chain = forward_backward(np.log([0.5, 0.5]), np.log(move), evidence)
        on = chain.each
        bound = chain.log_sum + normal_entropy(covariance)
        bound += log_normal_expected((mean - reading) ** 2 + np.diag(covariance), np.array(error**-2), -2 * np.log(error))
        bound += log_normal_expected((mean[:1] - first[0]) ** 2 + covariance[0, 0], np.array(first[1] ** -2), -2 * np.log(first[1]))
        bounds.append(bound)
    return Switched(on, mean, np.array(bounds))
