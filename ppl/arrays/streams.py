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
    "surface",
    "points",
)


def stream(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """The numbers for one purpose under a seed."""
    return np.random.default_rng([checked(seed), PURPOSES.index(purpose), *place])


def checked(seed: int) -> int:
    """The seed. ValueError for what is none."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"a seed is a whole number, 0 or more, and not {seed!r}")
    return int(seed)


def word(seed: int, purpose: str) -> int:
    """A seed for a generator of another library."""
    return int(stream(seed, purpose).integers(2**31))
