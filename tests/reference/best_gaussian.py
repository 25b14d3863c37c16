"""The best Normal approximation and the log evidence of a log density in one or two dimensions, without the engine.

The bound of a Normal is an average over a grid of Gauss–Hermite nodes, maximised by SciPy; the evidence is a sum over a fine grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

LogJoint = Callable[[np.ndarray], np.ndarray]  # of rows of values
NODES = {1: 60, 2: 40}
GRID = {1: 4001, 2: 601}


@dataclass(frozen=True)
class BestGaussian:
    bound: float
    mean: np.ndarray
    sd: np.ndarray
    log_evidence: float


def best_gaussian(log_joint: LogJoint, dimensions: int, *, independent: bool = False) -> BestGaussian:
    """`independent` asks for the best one without correlations."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES[dimensions])
    points = np.stack(np.meshgrid(*[nodes] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    mass = np.prod(np.stack(np.meshgrid(*[weights / weights.sum()] * dimensions, indexing="ij"), axis=-1), axis=-1).ravel()
    below = tuple(k[:0] if independent else k for k in np.tril_indices(dimensions, -1))

    def parts(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        root = np.diag(np.exp(t[dimensions : 2 * dimensions]))
        root[below] = t[2 * dimensions :]
        return t[:dimensions], root

    def lost(t: np.ndarray) -> float:
        mean, root = parts(t)
        entropy = t[dimensions : 2 * dimensions].sum() + 0.5 * dimensions * (1 + np.log(2 * np.pi))
        return -float(mass @ log_joint(mean + points @ root.T) + entropy)

    first = minimize(lambda m: -float(log_joint(m[None])[0]), np.zeros(dimensions), method="Nelder-Mead").x
    start = np.concatenate([first, np.full(dimensions, -1.0), np.zeros(len(below[0]))])
    found = minimize(lost, start, method="BFGS", options={"gtol": 1e-8})
    mean, root = parts(found.x)
    sd = np.sqrt((root**2).sum(axis=1))
    return BestGaussian(-found.fun, mean, sd, _log_evidence(log_joint, mean, root))


def _log_evidence(log_joint: LogJoint, mean: np.ndarray, root: np.ndarray) -> float:
    """The sum over a grid of 12 sds, in the axes of the approximation."""
    dimensions = len(mean)
    axis = np.linspace(-12.0, 12.0, GRID[dimensions])
    points = np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    cell = dimensions * np.log(axis[1] - axis[0]) + np.log(np.abs(np.linalg.det(root)))
    return float(logsumexp(log_joint(mean + points @ root.T)) + cell)
