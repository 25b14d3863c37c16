"""Supports of parameters: which values a distribution can be given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppl.catalogue.distributions import DISTRIBUTIONS

CLOSE = 1e-6

#: What must hold, and how it is said. 0 is let through here: a scale of 0 shows as a precision that is not finite.
HOLDS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "positive": (lambda a: a >= 0, "positive"),
    "nonnegative": (lambda a: a >= 0, "0 or more"),
    "unit": (lambda a: (a >= -CLOSE) & (a <= 1 + CLOSE), "between 0 and 1"),
    "simplex": (lambda a: (a >= -CLOSE).all(axis=-1) & (np.abs(a.sum(axis=-1) - 1) < CLOSE), "probabilities that sum to 1"),
}


def outside(distribution: str, parameter: str, numbers: np.ndarray) -> str:
    """What the parameter must be, where some of the numbers are not; else the empty string. Missing values (nan) pass."""
    supports = {p.name: p.support for slot in DISTRIBUTIONS[distribution].slots for p in slot}
    if supports.get(parameter) not in HOLDS:
        return ""
    holds, told = HOLDS[supports[parameter]]
    absent = np.isnan(numbers)
    passed = holds(numbers) | (absent.any(axis=-1) if supports[parameter] == "simplex" else absent)
    return "" if np.all(passed) else told
