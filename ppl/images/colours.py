"""L* and a* of colours: how light they look, and how red rather than green (CIE 1976, of sRGB under D65).

A byte has 256 values, so that the curve of sRGB is looked up for colours that are bytes.
"""

from __future__ import annotations

import numpy as np

XY_FROM_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169]])  # of sRGB, ITU-R BT.709
WHITE = np.array([0.95047, 1.0])  # D65, 2 degrees
STRAIGHT = 0.008856  # below it the curve of L* is a line
ROUGH = 0x2A5137A0  # two thirds of the bits of 1 in single precision, so that a third of the bits of x beside it is its root, roughly


def lightness_and_redness(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L* from 0 to 100 and a* of colours in [0, 1], or of bytes."""
    return lightness_and_redness_of(*perceived(colours))


def lightness_and_redness_of(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L* and a* of what is perceived of a colour, or of the mean of that over colours."""
    return 116.0 * y - 16.0, 500.0 * (x - y)


def perceived(colours: np.ndarray) -> np.ndarray:
    """X and Y of colours on the curve of L*, beside those of white."""
    light = (XY_FROM_RGB / WHITE[:, None]) @ linear(colours.reshape(-1, 3)).T
    dark = light <= STRAIGHT
    seen = cube_root(light)
    if dark.any():
        seen[dark] = 7.787 * light[dark] + 16.0 / 116.0
    return seen.reshape(2, *colours.shape[:-1])


def cube_root(x: np.ndarray) -> np.ndarray:
    """The cube root of positive numbers, all at once: from a rough one by two of Halley's steps, the first in single precision."""
    single = x.astype(np.float32)
    root = _nearer((single.view(np.int32) // 3 + ROUGH).view(np.float32), single)
    return _nearer(root.astype(float), x)


def _nearer(root: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Halley's step: its error is the third power of the one before."""
    cube = root * root
    cube *= root
    above = x + x
    above += cube
    cube += cube
    cube += x
    above /= cube
    above *= root
    return above


def linear(colours: np.ndarray) -> np.ndarray:
    """The light that colours in sRGB stand for: numbers in [0, 1], or bytes."""
    if colours.dtype == np.uint8:
        return np.take(_light(np.arange(256) / 255.0), colours.astype(np.intp))
    return _light(colours)


def _light(colours: np.ndarray) -> np.ndarray:
    return np.where(colours > 0.04045, ((colours + 0.055) / 1.055) ** 2.4, colours / 12.92)
