"""How tokens lie in an image: whether they reach everywhere, are even, or lie together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spread:
    """`coverage` is the share of 4 × 4 regions that get tokens; `entropy` that of the shares of 8 × 8 regions, bits (6 at most); `nearest`
    the mean distance of a patch with the most tokens to the next such one, in patches; `clusters` how many groups these form."""

    coverage: float
    entropy: float
    nearest: float
    clusters: int

    @property
    def by_name(self) -> dict[str, float]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"spread: {self.coverage:.0%} of 16 regions, entropy {self.entropy:.2f} of 6 bits; "
            f"patches with the most tokens: {self.clusters} groups, {self.nearest:.2f} patches apart"
        )


def spread_of(tokens: np.ndarray) -> Spread:
    """The spread of tokens over the patches, rows × columns."""
    highest = (tokens == tokens.max()) & (tokens > 0)
    shares = _regions(tokens, 8)
    p = shares / shares.sum() if shares.sum() > 0 else shares
    entropy = (p * np.log2(1.0 / np.where(p > 0, p, 1.0))).sum()
    return Spread(float((_regions(tokens, 4) > 0).mean()), float(entropy), _nearest(highest), _groups(highest))


def _regions(tokens: np.ndarray, count: int) -> np.ndarray:
    """The tokens in so many regions each way."""
    rows, columns = (np.minimum(np.arange(n) * count // n, count - 1) for n in tokens.shape)
    total = np.zeros((count, count))
    np.add.at(total, (rows[:, None], columns[None, :]), tokens)
    return total


def _nearest(highest: np.ndarray) -> float:
    from scipy.spatial import KDTree

    places = np.argwhere(highest)
    return float(np.asarray(KDTree(places).query(places, k=2)[0])[:, 1].mean()) if len(places) > 1 else 0.0


def _groups(highest: np.ndarray) -> int:
    from scipy.ndimage import label

    labels: Any = label(highest, structure=np.ones((3, 3)))
    return int(labels[1])
