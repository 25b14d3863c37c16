"""Kullback–Leibler divergences in closed form, from which the bounds of the library's models are put together by hand."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln


def gamma_divergence(a: np.ndarray, b: np.ndarray, a0: float, b0: float) -> float:
    """KL of Gamma(shape = a, rate = b) from Gamma(shape = a0, rate = b0), summed."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.sum((a - a0) * digamma(a) - gammaln(a) + gammaln(a0) + a0 * (np.log(b) - np.log(b0)) + a * (b0 - b) / b))


def dirichlet_divergence(c: np.ndarray, c0: np.ndarray) -> float:
    """KL of Dirichlet(c) from Dirichlet(c0), both with the members last, summed over the rest."""
    c0 = np.broadcast_to(c0, c.shape)
    total = c.sum(-1, keepdims=True)
    each = (gammaln(c0) - gammaln(c) + (c - c0) * (digamma(c) - digamma(total))).sum(-1)
    return float(np.sum(each + gammaln(total[..., 0]) - gammaln(c0.sum(-1))))


def expected_log(c: np.ndarray) -> np.ndarray:
    """E[log p] of Dirichlet(c), members last."""
    return digamma(c) - digamma(c.sum(-1, keepdims=True))


def normal_entropy(covariance: np.ndarray) -> float:
    """The entropy of a Gaussian, nats; of many, summed."""
    dimensions = covariance.shape[-1]
    return float(np.sum(0.5 * (dimensions * (1 + np.log(2 * np.pi)) + np.linalg.slogdet(covariance)[1])))


def log_normal_expected(mean_square: np.ndarray, precision: np.ndarray, log_precision: np.ndarray) -> float:
    """Σ E[log Normal] of independent numbers, from E[(x - mean)²], E[precision] and E[log precision]."""
    return float(np.sum(0.5 * (log_precision - np.log(2 * np.pi)) - 0.5 * precision * mean_square))
