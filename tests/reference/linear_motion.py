"""Linear models in generalized coordinates with plain matrices, statement by statement: an oracle that shares no code with `ppl.motion`.

A term `(state, derivative, coefficient)` stands in a mean. Unknowns are ordered state by state, derivatives inside; all in units of time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import factorial

import numpy as np

Term = tuple[str, int, float]


@dataclass
class LinearMotion:
    """`counts` are the derivatives of each state from the 0th on; scalars only."""

    counts: dict[str, int]
    smoothness: float
    dt: float = 1.0
    rows: list[np.ndarray] = field(default_factory=list)
    targets: list[np.ndarray] = field(default_factory=list)
    precisions: list[np.ndarray] = field(default_factory=list)

    def place(self, state: str, derivative: int) -> int:
        names = list(self.counts)
        return sum(self.counts[n] for n in names[: names.index(state)]) + derivative

    def noise(self, count: int, precision: float) -> np.ndarray:
        """The precision of noise with its derivatives, by differentiating the series of exp(-h² / 4s²)."""
        total = np.zeros(2 * count)
        for k in range(count):
            total[2 * k] = (-1.0) ** k / (4 * self.smoothness**2) ** k / factorial(k) * factorial(2 * k) / self.dt ** (2 * k)
        covariance = np.array([[(-1.0) ** i * total[i + j] for j in range(count)] for i in range(count)])
        return precision * np.linalg.inv(covariance)

    def add(self, target: Term | np.ndarray, terms: list[Term], precision: float, count: int) -> None:
        """Error k: the target's k-th derivative minus the terms', for k below `count`; a target of data holds its derivatives."""
        width = sum(self.counts.values())
        block, data = np.zeros((count, width)), np.zeros(count)
        for k in range(count):
            if isinstance(target, np.ndarray):
                data[k] = target[k]
            else:
                block[k, self.place(target[0], target[1] + k)] += 1.0
            for state, derivative, coefficient in terms:
                if derivative + k < self.counts[state]:
                    block[k, self.place(state, derivative + k)] -= coefficient
        self.rows.append(block)
        self.targets.append(data)
        self.precisions.append(self.noise(count, precision))

    def solve(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Mean, covariance, and the log of the integral over the unknowns of the density of all errors (derivatives in units of time)."""
        curvature = sum(r.T @ p @ r for r, p in zip(self.rows, self.precisions, strict=True))
        slope = -sum(r.T @ p @ d for r, p, d in zip(self.rows, self.precisions, self.targets, strict=True))
        mean = np.linalg.solve(curvature, slope)
        bound = 0.5 * len(mean) * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(curvature)[1]
        for rows, data, precision in zip(self.rows, self.targets, self.precisions, strict=True):
            error = data + rows @ mean
            bound += 0.5 * np.linalg.slogdet(precision)[1] - 0.5 * len(error) * np.log(2 * np.pi) - 0.5 * error @ precision @ error
        return mean, np.linalg.inv(curvature), bound


def taylor(record: np.ndarray, t: int, order: int, dt: float = 1.0) -> np.ndarray:
    """Derivatives at an inner bin t by the polynomial through `order + 1` samples around it (an even order)."""
    offsets = np.arange(-(order // 2), order // 2 + 1)
    powers = np.stack([offsets.astype(float) ** j / factorial(j) for j in range(order + 1)], axis=1)
    return np.linalg.solve(powers, record[t + offsets]) / dt ** np.arange(order + 1)


def correlation(bins: int, smoothness: float) -> np.ndarray:
    """Of smooth noise at all bins."""
    lags = np.subtract.outer(np.arange(bins), np.arange(bins)).astype(float)
    return np.exp(-(lags**2) / (4 * smoothness**2))


def log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    return float(-0.5 * ((x - mean) @ np.linalg.solve(covariance, x - mean) + np.linalg.slogdet(2 * np.pi * covariance)[1]))
