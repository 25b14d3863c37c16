"""The noise of a block is smooth: its derivatives are its autocorrelation's, so that one number says how they vary together.

With `ρ(h) = exp(-h² / (4 s²))`, `h` in bins, the derivatives of the noise at one time have the covariance `(-1)^i ρ^(i+j)(0)` (Cox & Miller
1965; Friston et al. 2010, "Generalised filtering"). All is counted in bins: a derivative in units of time is one in bins over `dt`.
"""

from __future__ import annotations

from math import prod

import numpy as np


def covariance(order: int, smoothness: float) -> np.ndarray:
    """Of unit noise and its derivatives up to an order, `(order + 1, order + 1)`; the smoothness is above 0."""
    orders = np.arange(order + 1)
    total = orders[:, None] + orders
    return np.where(total % 2 == 0, (-1.0) ** orders[:, None] * _derivatives(2 * order, smoothness)[total], 0.0)


def _derivatives(order: int, smoothness: float) -> np.ndarray:
    """ρ^(k)(0) for k up to the order."""
    found = np.zeros(order + 1)
    for k in range(0, order + 1, 2):
        found[k] = prod(1 - 2 * m for m in range(1, k // 2 + 1)) / (2 * smoothness**2) ** (k // 2)
    return found


def precision(order: int, smoothness: float) -> np.ndarray:
    """The inverse of the covariance. White noise (smoothness 0) says nothing of its derivatives: only itself has a precision."""
    if smoothness == 0:
        return np.diag(np.eye(order + 1)[0])
    return np.linalg.inv(covariance(order, smoothness))


def root(order: int, smoothness: float) -> np.ndarray:
    """A with `AᵀA` the precision, a row for each derivative that is told of."""
    if smoothness == 0:
        return np.eye(order + 1)[:1]
    return np.linalg.inv(np.linalg.cholesky(covariance(order, smoothness)))


def autocorrelation(lags: np.ndarray, smoothness: float) -> np.ndarray:
    """ρ at lags in bins; white noise agrees with itself alone."""
    if smoothness == 0:
        return (lags == 0) * 1.0
    return np.exp(-(lags**2) / (4 * smoothness**2))
