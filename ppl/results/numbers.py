"""Numbers as a person reads them."""

from __future__ import annotations

import math

import numpy as np


def number(value: float | np.ndarray, against: float = 0.0, digits: int = 4) -> str:
    """So many significant digits and a true minus sign; 0 for what is nothing against a scale."""
    shown = float(value)
    if math.isnan(shown):
        return "—"
    return f"{0.0 if abs(shown) < 1e-6 * against else shown:.{digits}g}".replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.9995 or share == 1 else "> 99.9 %"
