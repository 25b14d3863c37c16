"""A record becomes derivatives: at each bin the Taylor expansion that goes through the samples around it.

The samples of a window are `E @ derivatives` with `E_ij = (i - x)^j / j!`; their number is that of the derivatives, so that the inverse
gives these. At the borders the end samples are repeated. `det E = 1`: densities of samples and of derivatives are the same number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import factorial

import numpy as np


@dataclass(frozen=True)
class Embedding:
    """`windows[t]` are the bins around t; `expansions[t]` take the derivatives there (in bins) to the samples of the window."""

    windows: np.ndarray = field(repr=False)  # (T, order + 1)
    expansions: np.ndarray = field(repr=False)  # (T, order + 1, order + 1)

    @property
    def order(self) -> int:
        return self.windows.shape[1] - 1

    def samples(self, record: np.ndarray) -> np.ndarray:
        """(T, order + 1, …): the samples of each window."""
        return record[self.windows]

    def derivatives(self, record: np.ndarray) -> np.ndarray:
        """(T, order + 1, …): the record and its derivatives at each bin, in bins."""
        flat = self.samples(record).reshape(*self.windows.shape, -1)
        return np.linalg.solve(self.expansions, flat).reshape(*self.windows.shape, *record.shape[1:])


def embedding(order: int, bins: int) -> Embedding:
    """Of `order + 1` samples around each bin; where that is an even number one more lies after it, except at the first ones (as in SPM)."""
    times = np.arange(1, bins + 1)
    first = 1 + np.fix(times - (order + 2) / 2).astype(int)
    windows = first[:, None] + np.arange(order + 1)
    offsets = windows - times[:, None]
    expansions = np.stack([offsets**j / factorial(j) for j in range(order + 1)], axis=-1)
    return Embedding(np.clip(windows, 1, bins) - 1, expansions)
