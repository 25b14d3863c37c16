"""A joint Gaussian by propagation: each variable is an affine function of those before it, and noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

log_normal: Any = stats.multivariate_normal.logpdf  # whose stub takes a covariance for a number


@dataclass
class JointGaussian:
    """Variables are added one by one; `mean` and `cov` are those of all of them in that order."""

    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    cov: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, weights: dict[int, float], offset: float, variance: float) -> int:
        """Adds `Σ w_i x_i + offset + noise` and gives its place."""
        row = np.zeros(len(self.mean))
        for place, weight in weights.items():
            row[place] += weight
        cross = self.cov @ row
        own = row @ cross + variance
        self.mean = np.append(self.mean, row @ self.mean + offset)
        self.cov = np.block([[self.cov, cross[:, None]], [cross[None, :], np.array([[own]])]])
        return len(self.mean) - 1

    def log_evidence(self, observed: dict[int, float]) -> float:
        """The log density of what is observed, nats."""
        places = list(observed)
        return float(log_normal(list(observed.values()), self.mean[places], self.cov[np.ix_(places, places)]))

    def posterior(self, observed: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of all variables given what is observed."""
        places = list(observed)
        gain = np.linalg.solve(self.cov[np.ix_(places, places)], self.cov[places]).T
        mean = self.mean + gain @ (np.array(list(observed.values())) - self.mean[places])
        return mean, self.cov - gain @ self.cov[places]
