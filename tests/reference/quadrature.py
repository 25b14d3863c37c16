"""One-dimensional integrals by the trapezoidal rule on a fine grid, in logarithms.

On the whole line and for smooth integrands that vanish at both ends, the rule converges faster than any power of the step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

POINTS = 4001

Log = Callable[[np.ndarray], np.ndarray]


def log_integral(log_density: Log, low: float, high: float) -> float:
    """log ∫ exp(f(x)) dx from low to high, for a function that vanishes at both ends."""
    grid = np.linspace(low, high, POINTS)
    return float(logsumexp(log_density(grid)) + np.log(grid[1] - grid[0]))


def log_integral_positive(log_density: Log, low: float = -30.0, high: float = 12.0) -> float:
    """log ∫_0^∞ exp(f(x)) dx, in log x."""
    return log_integral(lambda u: log_density(np.exp(u)) + u, low, high)


def log_integral_unit(log_density: Log) -> float:
    """log ∫_0^1 exp(f(p)) dp, in the logit of p."""

    def of_logit(u: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-u))
        return log_density(p) + np.log(p) + np.log1p(-p)

    return log_integral(of_logit, -30.0, 30.0)


def moments_positive(log_density: Log) -> tuple[float, float]:
    """Mean and sd of the normalised density on the positive numbers."""
    total = log_integral_positive(log_density)
    mean = np.exp(log_integral_positive(lambda x: log_density(x) + np.log(x)) - total)
    square = np.exp(log_integral_positive(lambda x: log_density(x) + 2 * np.log(x)) - total)
    return float(mean), float(np.sqrt(square - mean**2))
