"""L* and a* of colours: how light they look, and how red rather than green (CIE 1976, of sRGB under D65).

A byte has 256 values, so that the curve of sRGB is looked up for colours that were bytes; that is most of the time that a conversion
takes.
"""

from __future__ import annotations

import numpy as np

XY_FROM_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169]])  # of sRGB, ITU-R BT.709
WHITE = np.array([0.95047, 1.0])  # D65, 2 degrees
STRAIGHT = 0.008856  # below it the curve of L* is a line
AT_ONCE = 4096  # pixels, so that what stands between is small enough to stay in the cache


def lightness_and_redness(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L* from 0 to 100 and a* of colours in [0, 1]."""
    flat, found = colours.reshape(-1, 3), np.empty((2, colours.size // 3))
    for start in range(0, len(flat), AT_ONCE):
        light = (XY_FROM_RGB / WHITE[:, None]) @ linear(flat[start : start + AT_ONCE]).T
        seen, dark = np.cbrt(light), light <= STRAIGHT
        seen[dark] = 7.787 * light[dark] + 16.0 / 116.0
        found[0, start : start + AT_ONCE] = 116.0 * seen[1] - 16.0
        found[1, start : start + AT_ONCE] = 500.0 * (seen[0] - seen[1])
    lightness, redness = found.reshape(2, *colours.shape[:-1])
    return lightness, redness


def linear(colours: np.ndarray) -> np.ndarray:
    """The light that colours in sRGB stand for."""
    places = np.rint(255.0 * colours).astype(np.uint8)
    bytes_alone = np.arange(256) / 255.0
    if np.array_equal(np.take(bytes_alone, places), colours):
        return np.take(_light(bytes_alone), places)
    return _light(colours)


def _light(colours: np.ndarray) -> np.ndarray:
    return np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
