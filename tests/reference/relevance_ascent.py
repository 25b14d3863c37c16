"""Relevance by coordinate ascent in NumPy, with one dense Gaussian for the globals and all patches: the model of `models/arr_coc`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln


class Relevance(NamedTuple):
    bounds: np.ndarray
    mean: np.ndarray  # typical, centre, offsets, patches
    cov: np.ndarray
    shape: np.ndarray
    rate: np.ndarray


def gamma_terms(shape: np.ndarray, rate: np.ndarray, prior_shape: float, prior_rate: float) -> float:
    """E log p + entropy of Gammas."""
    mean, log = shape / rate, digamma(shape) - np.log(rate)
    energy = prior_shape * np.log(prior_rate) - gammaln(prior_shape) + (prior_shape - 1) * log - prior_rate * mean
    entropy = shape - np.log(rate) + gammaln(shape) + (1 - shape) * digamma(shape)
    return float(np.sum(energy + entropy))


def relevance(cue: np.ndarray, sweeps: int) -> Relevance:
    N, J = cue.shape
    size = 2 + (J - 1) + N
    centre, patch = 1, 2 + (J - 1)
    rows = np.zeros((N, J, size))  # each cue's mean as a row of coefficients
    rows[np.arange(N)[:, None], np.arange(J)[None, :], patch + np.arange(N)[:, None]] = 1.0
    for j in range(1, J):
        rows[:, j, 1 + j] = 1.0
    steps = np.zeros((N, size))
    steps[np.arange(N), patch + np.arange(N)], steps[:, centre] = 1.0, -1.0
    first = np.zeros(size)
    first[1], first[0] = 1.0, -1.0
    precision0 = np.zeros((size, size))
    precision0[0, 0] = 100.0
    precision0[2:patch, 2:patch] = 100.0 * np.eye(J - 1)
    precision0 += 25.0 * np.outer(first, first)
    linear0 = np.zeros(size)
    linear0[0] = 50.0
    spread = (2.0 + N / 2, 2.0 + N / 2)  # shape, rate
    shape, rate = np.full(J, N + N / 2), np.full(J, 0.06 * N)
    weight_rate = np.full((N, J), 2.5)
    bounds = []
    for _ in range(sweeps):
        lam, w, tau = shape / rate, 2.5 / weight_rate, spread[0] / spread[1]
        each = (lam * w).reshape(-1)
        flat = rows.reshape(-1, size)
        precision = precision0 + tau * steps.T @ steps + flat.T @ (each[:, None] * flat)
        cov = np.linalg.inv(precision)
        mean = cov @ (linear0 + flat.T @ (each * cue.reshape(-1)))
        spare = (steps @ mean) ** 2 + np.einsum("ns,st,nt->n", steps, cov, steps)
        spread = (2.0 + N / 2, 0.1 + 0.5 * spare.sum())
        error = ((cue.reshape(-1) - flat @ mean) ** 2 + np.einsum("ns,st,nt->n", flat, cov, flat)).reshape(N, J)
        shape, rate = np.full(J, N + N / 2.0), 0.04 * N + 0.5 * (w * error).sum(axis=0)
        lam = shape / rate
        weight_rate = 2.0 + 0.5 * lam * error
        w = 2.5 / weight_rate
        logs = (digamma(shape) - np.log(rate)) + digamma(2.5) - np.log(weight_rate)
        total = 0.5 * np.sum(logs - np.log(2 * np.pi) - lam * w * error)
        total += 0.5 * np.sum(digamma(spread[0]) - np.log(spread[1]) - np.log(2 * np.pi) - spread[0] / spread[1] * spare)
        globals_ = np.array([mean[0] - 0.5, mean[1] - mean[0], *mean[2:patch]])
        variances = np.array([cov[0, 0], cov[0, 0] + cov[1, 1] - 2 * cov[0, 1], *np.diag(cov)[2:patch]])
        known = np.array([100.0, 25.0, *[100.0] * (J - 1)])
        total += 0.5 * np.sum(np.log(known / (2 * np.pi)) - known * (globals_**2 + variances))
        total += 0.5 * (size * (1 + np.log(2 * np.pi)) + np.linalg.slogdet(cov)[1])
        total += gamma_terms(np.array(spread[0]), np.array(spread[1]), 2.0, 0.1)
        total += gamma_terms(shape, rate, float(N), 0.04 * N)
        total += gamma_terms(np.full((N, J), 2.5), weight_rate, 2.0, 2.0)
        bounds.append(total)
    return Relevance(np.array(bounds), mean, cov, shape, rate)
