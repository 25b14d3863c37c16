"""A quadtree of Gaussians as one dense joint Gaussian: the model of `models/arr_coc/pyramid.aim` with known precisions."""

from __future__ import annotations

import numpy as np
from scipy import stats


def quadtree(
    cue: np.ndarray, shapes: list[tuple[int, int]], likeness: list[float], reliability: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The log evidence, and means and sds of the whole and of all levels, the coarsest first. `shapes` are rows and columns."""
    sizes = [1, *(a * b for a, b in shapes)]
    starts = np.cumsum([0, *sizes])
    total = int(starts[-1])
    precision = np.zeros((total, total))
    precision[0, 0] = 25.0
    for level, (rows, columns) in enumerate(shapes):
        for y in range(rows):
            for x in range(columns):
                own = starts[level + 1] + y * columns + x
                above = 0 if level == 0 else starts[level] + (y // 2) * shapes[level - 1][1] + x // 2
                step = np.zeros(total)
                step[own], step[above] = 1.0, -1.0
                precision += likeness[level] * np.outer(step, step)
    prior = np.linalg.inv(precision)
    fine = slice(int(starts[-2]), total)
    seen = cue.ravel() - 0.5
    spread = prior[fine, fine] + np.eye(seen.size) / reliability
    gain = prior[:, fine] @ np.linalg.inv(spread)
    cov = prior - gain @ prior[fine, :]
    evidence = stats.multivariate_normal(np.zeros(seen.size), spread).logpdf(seen)
    return float(evidence), 0.5 + gain @ seen, np.sqrt(np.diag(cov))
