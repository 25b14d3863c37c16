"""How well chains of a sampler agree and how much they know: split R̂ and effective sample sizes, rank-normalised.

Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), "Rank-normalization, folding, and localization".
"""

from __future__ import annotations

import numpy as np


def rhat(draws: np.ndarray, chains: int) -> np.ndarray:
    """The larger of the bulk's and the tails' R̂ for each entry; `draws` come first, chain after chain. NaN where nothing moves."""
    halves = split(draws, chains)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    return np.maximum(_plain_rhat(rank_normalised(halves)), _plain_rhat(rank_normalised(folded)))


def ess(draws: np.ndarray, chains: int) -> np.ndarray:
    """The effective number of draws in the bulk, for each entry. NaN where nothing moves."""
    return _plain_ess(rank_normalised(split(draws, chains)))


def split(draws: np.ndarray, chains: int) -> np.ndarray:
    """Each chain as two halves: (halves, draws, …)."""
    each = len(draws) // chains
    half = each // 2
    whole = np.asarray(draws[: each * chains], float).reshape(chains, each, *draws.shape[1:])
    return np.concatenate([whole[:, :half], whole[:, each - half :]])


def rank_normalised(halves: np.ndarray) -> np.ndarray:
    """Each number replaced by the Normal quantile of its rank among all draws of its entry."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    flat = halves.reshape(-1, *halves.shape[2:])
    ranks = rankdata(flat, axis=0).reshape(halves.shape)
    return ndtri((ranks - 0.375) / (len(flat) + 0.25))


def _plain_rhat(z: np.ndarray) -> np.ndarray:
    """√((n - 1) / n + B / W), with B the variance of the chains' means and W the mean of their variances."""
    count = z.shape[1]
    within, between = z.var(axis=1, ddof=1).mean(axis=0), z.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((count - 1) / count + between / np.where(within > 0, within, np.nan))


def _plain_ess(z: np.ndarray) -> np.ndarray:
    """m n / τ, with the autocorrelation time τ summed over Geyer's initial monotone sequence of pairs."""
    chains, count = z.shape[:2]
    covariances = autocovariances(z).mean(axis=0)
    within = covariances[0] * count / (count - 1)
    total = covariances[0] + (z.mean(axis=1).var(axis=0, ddof=1) if chains > 1 else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (within - covariances) / np.where(total > 0, total, np.nan)
    rho[0] = np.where(total > 0, 1.0, np.nan)
    even, odd = rho[0 : 2 * (count // 2) : 2], rho[1 : 2 * (count // 2) : 2]
    pairs = even + odd
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    monotone = np.minimum.accumulate(np.where(positive, pairs, np.inf), axis=0)
    after = np.take_along_axis(even, np.minimum(positive.sum(axis=0), len(even) - 1)[None], axis=0)[0]
    time = -1.0 + 2.0 * np.where(positive, monotone, 0.0).sum(axis=0) + np.maximum(after, 0.0)
    return chains * count / np.maximum(time, 1.0 / np.log10(chains * count))


def autocovariances(z: np.ndarray) -> np.ndarray:
    """Of each chain at each lag, by the Fourier transform; divided by the number of draws."""
    count = z.shape[1]
    centred = z - z.mean(axis=1, keepdims=True)
    size = 2 ** int(np.ceil(np.log2(2 * count)))
    spectrum = np.fft.rfft(centred, n=size, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, n=size, axis=1)[:, :count] / count
