"""Streams of random numbers: each purpose has one of its own, so that no two of them draw the same numbers from one seed."""

from __future__ import annotations

import numpy as np

#: The first is the stream of the seed itself; the place of a name is part of what is drawn.
PURPOSES = (
    "starts",
    "posterior",
    "predictions",
    "unneeded",
    "branches",
    "chosen",
    "prior",
    "belief",
    "states",
    "weighed",
    "guide",
    "world",
    "action",
    "nodes",
    "choices",
    "inside",
    "batches",
    "motion",
)


def stream(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """The numbers for one purpose under a seed."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), *place])


def word(seed: int, purpose: str) -> int:
    """A seed for a generator of another library."""
    return int(stream(seed, purpose).integers(2**31))
