"""Mean-field coordinate ascent written out by hand, as the textbooks have it (Bishop 2006, sections 10.1.3 and 10.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, logsumexp


@dataclass(frozen=True)
class MeanAndPrecision:
    """q(mu) = Normal(mean, 1/lam), q(tau) = Gamma(a, b); `bounds` has the bound after each sweep."""

    mean: float
    lam: float
    a: float
    b: float
    bounds: np.ndarray


def mean_and_precision(y: np.ndarray, m0: float, l0: float, a0: float, b0: float, sweeps: int) -> MeanAndPrecision:
    """y ~ Normal(mu, precision = tau), mu ~ Normal(m0, precision = l0), tau ~ Gamma(a0, b0), q(mu) q(tau); tau first is E[tau] = a0/b0."""
    n, e_tau, bounds = len(y), a0 / b0, []
    a = a0 + n / 2
    mean = lam = b = 0.0
    for _ in range(sweeps):
        lam = l0 + n * e_tau
        mean = (l0 * m0 + e_tau * y.sum()) / lam
        b = b0 + 0.5 * (((y - mean) ** 2).sum() + n / lam)
        e_tau, e_log = a / b, digamma(a) - np.log(b)
        bound = 0.5 * n * (e_log - np.log(2 * np.pi)) - 0.5 * e_tau * (((y - mean) ** 2).sum() + n / lam)
        bound += 0.5 * np.log(l0 / (2 * np.pi)) - 0.5 * l0 * ((mean - m0) ** 2 + 1 / lam)
        bound += a0 * np.log(b0) - gammaln(a0) + (a0 - 1) * e_log - b0 * e_tau
        bound += 0.5 * (1 + np.log(2 * np.pi / lam)) + a - np.log(b) + gammaln(a) + (1 - a) * digamma(a)
        bounds.append(bound)
    return MeanAndPrecision(mean, lam, a, b, np.array(bounds))


@dataclass(frozen=True)
class Mixture:
    """What is believed of a Gaussian mixture with full covariances, and the bound after each sweep."""

    concentration: np.ndarray
    means: np.ndarray
    covariances: np.ndarray  # of the means
    df: np.ndarray
    scales: np.ndarray
    responsibilities: np.ndarray
    bounds: np.ndarray


def gaussian_mixture(x: np.ndarray, labels: np.ndarray, k: int, prior_var: float, df0: float, scale0: np.ndarray, sweeps: int) -> Mixture:
    """q(pi) q(mu) q(Lambda) q(z) of a mixture with pi ~ Dirichlet(1), mu_k ~ N(0, prior_var I) and Lambda_k ~ Wishart(df0, scale0).

    Starts from the labels; a sweep updates pi, mu, Lambda and z in this order, where Lambda stands at its prior mean first.
    """
    n, d = x.shape
    r = np.eye(k)[labels]
    e_precision = np.repeat((df0 * scale0)[None], k, axis=0)
    bounds: list[float] = []
    alpha, means, covariances, df, scales = (
        np.ones(k),
        np.zeros((k, d)),
        np.zeros((k, d, d)),
        np.full(k, df0),
        np.repeat(scale0[None], k, 0),
    )
    for _ in range(sweeps):
        counts = r.sum(axis=0)
        alpha = 1.0 + counts
        for j in range(k):
            covariances[j] = np.linalg.inv(np.eye(d) / prior_var + counts[j] * e_precision[j])
            means[j] = covariances[j] @ e_precision[j] @ (r[:, j] @ x)
        for j in range(k):
            gap = x - means[j]
            scatter = (r[:, j, None] * gap).T @ gap + counts[j] * covariances[j]
            df[j] = df0 + counts[j]
            scales[j] = np.linalg.inv(np.linalg.inv(scale0) + scatter)
            e_precision[j] = df[j] * scales[j]
        e_log_pi = digamma(alpha) - digamma(alpha.sum())
        e_logdet = _expected_logdet(df, scales)
        expected = np.empty((n, k))
        for j in range(k):
            gap = x - means[j]
            quadratic = np.einsum("ni,ij,nj->n", gap, e_precision[j], gap) + np.trace(e_precision[j] @ covariances[j])
            expected[:, j] = e_log_pi[j] + 0.5 * (e_logdet[j] - d * np.log(2 * np.pi) - quadratic)
        r = np.exp(expected - logsumexp(expected, axis=1, keepdims=True))
        bounds.append(float(_mixture_bound(expected, r, alpha, means, covariances, df, scales, prior_var, df0, scale0)))
    return Mixture(alpha, means, covariances, df, scales, r, np.array(bounds))


def _expected_logdet(df: np.ndarray, scales: np.ndarray) -> np.ndarray:
    d = scales.shape[-1]
    return digamma((df[:, None] - np.arange(d)) / 2).sum(axis=1) + d * np.log(2) + np.linalg.slogdet(scales)[1]


def log_multivariate_gamma(a: float, d: int) -> float:
    """log Γ_d(a)."""
    return float(d * (d - 1) / 4 * np.log(np.pi) + gammaln(a - np.arange(d) / 2).sum())


def _log_wishart_normaliser(df: float, scale: np.ndarray) -> float:
    d = len(scale)
    return df * d / 2 * np.log(2) + df / 2 * np.linalg.slogdet(scale)[1] + log_multivariate_gamma(df / 2, d)


def _mixture_bound(expected, r, alpha, means, covariances, df, scales, prior_var, df0, scale0) -> float:
    """Term by term: data and labels, then minus the divergence of each block from its prior."""
    k, d = means.shape
    total = (r * expected).sum() - (r * np.log(np.maximum(r, 1e-300))).sum()
    e_log_pi = digamma(alpha) - digamma(alpha.sum())
    total += gammaln(k) - (gammaln(alpha.sum()) - gammaln(alpha).sum() + ((alpha - 1) * e_log_pi).sum())
    e_logdet = _expected_logdet(df, scales)
    for j in range(k):
        total -= 0.5 * (np.trace(covariances[j]) / prior_var + means[j] @ means[j] / prior_var - d)
        total -= 0.5 * (d * np.log(prior_var) - np.linalg.slogdet(covariances[j])[1])
        prior = (
            (df0 - d - 1) / 2 * e_logdet[j]
            - 0.5 * df[j] * np.trace(np.linalg.inv(scale0) @ scales[j])
            - _log_wishart_normaliser(df0, scale0)
        )
        own = (df[j] - d - 1) / 2 * e_logdet[j] - 0.5 * df[j] * d - _log_wishart_normaliser(df[j], scales[j])
        total += prior - own
    return total
