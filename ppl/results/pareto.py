"""How heavy the tail of importance weights is: the k-hat that tells whether an approximation can be trusted.

A generalised Pareto distribution is fitted to the largest weights by Zhang & Stephens (2009), regularised as in Vehtari, Simpson,
Gelman, Yao & Gabry (2024), "Pareto smoothed importance sampling". Under 0.7 the approximation is close enough to be corrected by
its weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GOOD = 0.7
ALIKE = 0.9  # the share of draws that importance weights keep, from which on no k-hat is bad
LEAST_TAIL = 5


@dataclass(frozen=True)
class Tail:
    """k-hat, and the share of the draws that the weights keep. Weights that hardly vary are good whatever the shape of their tail."""

    khat: float
    share: float

    @property
    def good(self) -> bool:
        return self.khat <= GOOD or self.share >= ALIKE

    def __str__(self) -> str:
        told = f"k-hat {self.khat:.2f}"
        return f"{told} of weights that keep {self.share:.2%} of the draws" if self.good and self.khat > GOOD else told


def tail_of(log_weights: np.ndarray) -> Tail:
    """The tail of importance weights, from their logarithms."""
    weights = np.exp(log_weights - np.max(log_weights))
    return Tail(pareto_k(log_weights), float(weights.sum() ** 2 / (weights**2).sum() / len(weights)))


def pareto_k(log_weights: np.ndarray) -> float:
    """The shape of the tail of exp(log_weights); infinite where too few are finite, -inf where the weights are all alike."""
    finite = np.asarray(log_weights, float)
    finite = finite[~np.isnan(finite)]
    weights = np.sort(np.exp(finite - finite.max(initial=-np.inf))) if finite.size else finite
    count = int(min(0.2 * len(weights), 3 * np.sqrt(len(weights))))
    if count < LEAST_TAIL:
        return float("inf")
    cut = weights[-count - 1]
    tail = weights[-count:] - cut
    if tail[-1] <= 1e-12:
        return float("-inf")
    return _regularised(_shape(np.maximum(tail, 1e-300)), count)


def _regularised(k: float, count: int) -> float:
    """Drawn towards 0.5 by ten draws' worth, for few draws vary much."""
    return float((count * k + 5.0) / (count + 10.0))


def _shape(tail: np.ndarray) -> float:
    """The posterior mean of the shape under a weak prior, of sorted exceedances."""
    n = len(tail)
    candidates = 30 + int(np.sqrt(n))
    quarter = tail[int(n / 4 + 0.5) - 1]
    b = 1 / tail[-1] + (1 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))) / (3 * quarter)
    k = np.log1p(-b[:, None] * tail).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        profile = n * (np.log(-b / k) - k - 1)
    with np.errstate(over="ignore"):
        weights = 1 / np.exp(profile - profile[:, None]).sum(axis=1)
    best = float((b * weights / weights.sum()).sum())
    return float(np.log1p(-best * tail).mean())
