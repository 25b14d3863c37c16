"""The belief in what is latent beside the states at each bin, and how these move with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ppl.motion.parameters import Parameters


@dataclass(frozen=True)
class Path:
    """How the unknowns at all bins move with those of the whole record, whose covariance is joint."""

    slopes: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)

    def draws(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Deviations from the mean, (count, series, T, width)."""
        white = rng.standard_normal((count, *self.covariance.shape[:2]))
        return np.einsum("stip,spq,nsq->nsti", self.slopes, root_of(self.covariance), white, optimize=True)


@dataclass(frozen=True)
class Learnt:
    """The belief in what is latent outside of the block: a Normal of coordinates, with how the modes of the unknowns move with them,
    (series, T, width, coordinates), and Gammas by shape and rate."""

    parameters: Parameters
    at: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    moves: np.ndarray | None = field(default=None, repr=False)
    gammas: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    path: Path | None = field(default=None, repr=False)

    @property
    def precisions(self) -> dict[str, float]:
        return {n: a / b for n, (a, b) in self.gammas.items()}


def spread(slopes: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """A C Aᵀ, place by place: the slopes are (…, T, i, p), one covariance (…, p, p) stands for all T."""
    *lead, bins, size, width = slopes.shape
    flat = slopes.reshape(*lead, bins * size, width)
    return np.einsum("...ip,...jp->...ij", (flat @ covariance).reshape(slopes.shape), slopes)


def root_of(covariance: np.ndarray) -> np.ndarray:
    """A with A Aᵀ the covariance, which may have no volume."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
