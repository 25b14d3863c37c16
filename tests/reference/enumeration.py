"""Discrete models by brute force: every assignment is visited, nothing is clever."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np


def assignments(cardinalities: Sequence[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(k) for k in cardinalities)))


def log_evidence(log_joint: Callable[[tuple[int, ...]], float], cardinalities: Sequence[int]) -> float:
    """log Σ_z p(z, data) in nats."""
    return np.logaddexp.reduce([log_joint(z) for z in assignments(cardinalities)])


def marginals(log_joint: Callable[[tuple[int, ...]], float], cardinalities: Sequence[int]) -> list[np.ndarray]:
    """The posterior of each variable."""
    states = assignments(cardinalities)
    weights = np.array([log_joint(z) for z in states])
    weights = np.exp(weights - np.logaddexp.reduce(weights))
    return [np.array([weights[[z[i] == k for z in states]].sum() for k in range(size)]) for i, size in enumerate(cardinalities)]
