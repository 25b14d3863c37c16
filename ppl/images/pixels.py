"""What the pixels of each patch tell, a band of rows of patches at a time, so that what stands between stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ppl.images.colours import lightness_and_redness_of, perceived
from ppl.images.patches import Grid
from ppl.images.reading import in_unit

BINS = 32
CONTENT = ("red", "green", "blue", "lightness", "a", "gradient y", "gradient x", "gradient")
AT_ONCE = 16_384  # pixels


@dataclass(frozen=True)
class Pixels:
    """Of each patch: `entropy` in nats and `variance` of its luminance, and `channels`, the means that `CONTENT` names."""

    entropy: np.ndarray
    variance: np.ndarray
    channels: np.ndarray

    @property
    def steepness(self) -> np.ndarray:
        """The mean magnitude of the gradient."""
        return self.channels[:, -1]


def pixels_of(image: np.ndarray, grid: Grid) -> Pixels:
    """What the pixels of an image in these patches tell: colours in [0, 1], or bytes."""
    padded = _padded_luminance(image)
    return Pixels(*map(np.concatenate, zip(*_by_band(image, padded, grid), strict=True)))


def _padded_luminance(image: np.ndarray) -> np.ndarray:
    """The luminance, with a pixel more at each edge."""
    height, width = image.shape[:2]
    padded, each = np.empty((height + 2, width + 2)), max(1, AT_ONCE // width)
    for first in range(0, height, each):
        padded[1 + first : 1 + first + each, 1:-1][: height - first] = luminance(in_unit(image[first : first + each]))
    padded[0], padded[-1] = padded[1], padded[-2]
    padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    return padded


def _by_band(image: np.ndarray, padded: np.ndarray, grid: Grid) -> Iterator[tuple[np.ndarray, ...]]:
    each = max(1, AT_ONCE // (grid.height * grid.width * grid.columns))
    for row in range(0, grid.rows, each):
        band = replace(grid, rows=min(each, grid.rows - row))
        first, last = row * grid.height, (row + band.rows) * grid.height
        yield _of_band(band, band.whole(image[first:last]), padded[first : last + 2])


def _of_band(band: Grid, image: np.ndarray, padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entropy, variance and channels; `padded` is the luminance with a pixel more at each edge."""
    pixels = band.cut(padded[1:-1, 1:-1])
    lightness, redness = lightness_and_redness_of(*map(band.means, perceived(image)))
    colours = band.means(image) / (255.0 if image.dtype == np.uint8 else 1.0)
    channels = np.column_stack([colours, lightness / 100.0, (redness + 128.0) / 255.0, *map(band.means, gradients(padded))])
    return pixel_entropy(pixels), pixels.var(axis=1), channels


def pixel_entropy(pixels: np.ndarray) -> np.ndarray:
    """The entropy in nats of the pixels of each patch, in 32 bins from 0 to 1: at most log 32."""
    places = (pixels * BINS).astype(int)
    np.minimum(places, BINS - 1, out=places)
    places += BINS * np.arange(len(pixels))[:, None]
    counts = np.bincount(places.ravel(), minlength=BINS * len(pixels)).reshape(-1, BINS)
    most = pixels.shape[1]
    each = np.arange(most + 1.0)
    each *= np.log(np.maximum(each, 1.0))  # n log n of as many as there may be in a bin
    return np.log(most) - np.take(each, counts).sum(axis=1) / most


def luminance(colours: np.ndarray) -> np.ndarray:
    return colours @ np.array([0.2125, 0.7154, 0.0721])


def gradients(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sobel's, down and across, and how steep both are together, of all pixels but those at the edges; an edge from 0 to 1 has 1."""
    smooth = _smoothed(padded[:, :-2], padded[:, 1:-1], padded[:, 2:])
    down = smooth[2:] - smooth[:-2]
    smooth = _smoothed(padded[:-2], padded[1:-1], padded[2:])
    across = smooth[:, 2:] - smooth[:, :-2]
    steep = down * down
    steep += across * across
    return down, across, np.sqrt(steep, out=steep)


def _smoothed(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> np.ndarray:
    smooth = before + after
    smooth *= 0.25
    smooth += 0.5 * here
    return smooth
