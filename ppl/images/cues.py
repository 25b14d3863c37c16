"""What is told of each patch of an image: how much it holds, what stands out, and how far it is like a query.

Three *ways of knowing*: the entropy of the pixels (propositional), the magnitude of the gradient (perspectival), and the log-likelihood
ratio of a patch under the query against the rest of the image (participatory). Each is scaled by its own 1 and 99 % quantiles in this
image, so that what is told of an image does not depend on others that are looked at beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ppl.images.colours import lightness_and_redness
from ppl.images.patches import Box, Grid, checked_box, grid_of
from ppl.images.reading import read_image, wrong_image

BINS = 32
CONTENT = ("red", "green", "blue", "lightness", "a", "gradient y", "gradient x", "gradient")
PLACES = ("y", "x", "eccentricity")  # the same in every image
FEWEST = 2  # patches that a query must cover


@dataclass(frozen=True)
class Features:
    """Of each patch, in rows from the upper left: `cue` (patches × cues, in [0, 1]) with `names`, and the `variance` of its lightness.

    `messages` say what was left out. `query` is the box, where one was given.
    """

    image: np.ndarray = field(repr=False)
    grid: Grid
    names: tuple[str, ...]
    cue: np.ndarray = field(repr=False)
    variance: np.ndarray = field(repr=False)
    messages: tuple[str, ...] = ()
    query: Box | None = None

    @cached_property
    def by_name(self) -> dict[str, np.ndarray]:
        """The arrays by the names that a model gives them."""
        row, column = np.divmod(np.arange(self.grid.patches), self.grid.columns)
        told = {"cue": self.cue, "variance": self.variance, "row": row, "column": column}
        return told | {name: self.cue[:, k] for k, name in enumerate(self.names)}


def features(
    image: Any,
    query: Any = None,
    *,
    patch: int | Sequence[int] | None = None,
    channels: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    name: str = "the image",
) -> Features:
    """What is told of each patch of an image, a file or an array of colours.

    `query` is a box [top, left, bottom, right] in pixels or another image, an exemplar; without one there are two cues. `channels`
    (patches × channels, with `names`) replace those by which a patch is compared with the query: what repeats others, and what only says
    where a patch is, is left out, and `messages` say so. Raises `AimError` for what is no image, and for a query that covers nothing.
    """
    colours = read_image(image, name)
    name = str(image) if isinstance(image, str) or hasattr(image, "suffix") else name
    grid = grid_of(colours, patch, name)
    lightness = _luminance(colours)
    gradients = _gradients(lightness)
    cues = {"entropy": pixel_entropy(grid.cut(lightness)), "edge": grid.means(gradients[2])}
    box, messages = None, []
    if query is not None:
        table, called, messages = _channels(colours, grid, gradients, channels, names, name)
        if isinstance(query, str) or hasattr(query, "suffix") or np.ndim(query) > 1:
            other = read_image(query, "the query")
            exemplar = _exemplar(other, grid, called if channels is None else None)
            cues["match"] = squashed(log_likelihood_ratio(exemplar, table, table))
        else:
            box = checked_box(query, colours, name)
            inside = _covered(grid, box, name)
            cues["match"] = squashed(log_likelihood_ratio(table[inside], table[~inside], table))
    scaled = {key: robustly_scaled(value) for key, value in cues.items()}
    flat = [key for key, value in scaled.items() if value is None]
    messages += [f"the cue `{key}` is the same in all patches and is left out" for key in flat]
    kept = {key: value for key, value in scaled.items() if value is not None}
    cue = np.stack(list(kept.values()), axis=1) if kept else np.zeros((grid.patches, 0))
    return Features(colours, grid, tuple(kept), cue, grid.cut(lightness).var(axis=1), tuple(messages), box)


def pixel_entropy(pixels: np.ndarray) -> np.ndarray:
    """The entropy in nats of the pixels of each patch, in 32 bins from 0 to 1: at most log 32."""
    places = np.minimum((pixels * BINS).astype(int), BINS - 1)
    places += BINS * np.arange(len(pixels))[:, None]
    p = np.bincount(places.ravel(), minlength=BINS * len(pixels)).reshape(-1, BINS) / pixels.shape[1]
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)


def robustly_scaled(values: np.ndarray) -> np.ndarray | None:
    """From the 1 % quantile of these values to the 99 % quantile as 0 to 1, what is beyond at the ends; None where all are the same."""
    low, high = np.quantile(values, [0.01, 0.99])
    if not high - low > 1e-9 * max(1.0, abs(high), abs(low)):
        return None
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def squashed(ratio: np.ndarray) -> np.ndarray:
    """Log odds as probabilities at a temperature: the spread of the ratios, so that not all are 0 or 1."""
    scale = np.subtract(*np.quantile(ratio, [0.75, 0.25]))
    return 1.0 / (1.0 + np.exp(-np.clip((ratio - np.median(ratio)) / max(float(scale), 1e-12), -30, 30)))


def log_likelihood_ratio(query: np.ndarray, rest: np.ndarray, table: np.ndarray) -> np.ndarray:
    """log N(x; query) - log N(x; rest) of each row of the table, nats.

    Covariances are shrunk towards that of both by as many pseudo-counts as there are channels and two, the prior of an inverse Wishart
    with the least weight that has a mean.
    """
    if not table.shape[1]:
        return np.zeros(len(table))  # nothing to tell them by
    both = np.concatenate([query, rest])
    centre, scale = both.mean(axis=0), both.std(axis=0)
    query, rest, table = ((x - centre) / scale for x in (query, rest, table))
    common = np.cov(np.concatenate([query, rest]), rowvar=False, bias=True).reshape(table.shape[1], -1)
    return _log_normal(table, query, common) - _log_normal(table, rest, common)


def _log_normal(table: np.ndarray, sample: np.ndarray, common: np.ndarray) -> np.ndarray:
    count, size = len(sample), table.shape[1]
    spread = sample - sample.mean(axis=0)
    cov = (spread.T @ spread + (size + 2) * common) / (count + size + 2)
    root = np.linalg.cholesky(cov)
    whitened = np.linalg.solve(root, (table - sample.mean(axis=0)).T)
    return -0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(root)).sum()


# ------------------------------------------------------------------ channels
def image_channels(colours: np.ndarray, grid: Grid, gradients: Sequence[np.ndarray] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """What a patch is compared by: means of its colours, its lightness, a*, and its gradients."""
    lightness, redness = lightness_and_redness(grid.whole(colours))
    shown = gradients if gradients is not None else _gradients(_luminance(colours))
    light, red = grid.means(lightness) / 100.0, (grid.means(redness) + 128.0) / 255.0
    return np.column_stack([grid.means(colours), light, red, *map(grid.means, shown)]), CONTENT


def independent_channels(table: np.ndarray, names: Sequence[str], grid: Grid) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """The channels that say something of their own, and a message for each that is left out: those that are the same in all patches, that
    say where a patch is, or that are a sum of others. A Gaussian of them all would be singular."""
    row, column = np.divmod(np.arange(grid.patches), grid.columns)
    y, x = row / max(grid.rows - 1, 1), column / max(grid.columns - 1, 1)
    places = [_standard(v) for v in (y, x, np.hypot(y - 0.5, x - 0.5))]
    kept: list[int] = []
    basis: list[np.ndarray] = []
    messages: list[str] = []
    for k, called in enumerate(names):
        own = _standard(table[:, k])
        if own is None:
            messages.append(f"channel `{called}` is the same in all patches and is left out")
            continue
        if any(place is not None and abs(own @ place) > 1.0 - 1e-9 for place in places):
            messages.append(f"channel `{called}` says where a patch is, which no image changes, and is left out")
            continue
        left = own - sum(((own @ b) * b for b in basis), np.zeros_like(own))
        if left @ left < 1e-12:
            messages.append(f"channel `{called}` follows from {', '.join(f'`{names[i]}`' for i in kept)} and is left out")
            continue
        kept.append(k)
        basis.append(left / np.sqrt(left @ left))
    return table[:, kept], tuple(names[k] for k in kept), messages


def _channels(
    colours: np.ndarray,
    grid: Grid,
    gradients: Sequence[np.ndarray],
    channels: np.ndarray | None,
    names: Sequence[str] | None,
    name: str,
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    if channels is None:
        return independent_channels(*image_channels(colours, grid, gradients), grid)
    table = np.asarray(channels, float)
    if table.ndim != 2 or len(table) != grid.patches:
        raise wrong_image(name, f"`channels` has the shape {list(table.shape)}; there are {grid.patches} patches, a row for each")
    if not np.isfinite(table).all():
        raise wrong_image(name, "`channels` holds what is not a number")
    called = tuple(names) if names is not None else tuple(f"channel {k}" for k in range(table.shape[1]))
    if len(called) != table.shape[1]:
        raise wrong_image(name, f"`names` are {len(called)}; there are {table.shape[1]} channels, a name for each")
    found = independent_channels(table, called, grid)
    if not found[1]:
        raise wrong_image(name, "no channel says anything of its own, so that nothing can be compared with the query")
    return found


def _exemplar(image: np.ndarray, grid: Grid, called: Sequence[str] | None) -> np.ndarray:
    """The channels with these names of the patches of an image that is a query."""
    if called is None:
        text = "an image is compared by its own channels, and `channels` are those of another"
        raise wrong_image("the query", text, "give a box [top, left, bottom, right], or leave `channels` out")
    sizes = (min(grid.height, image.shape[0]), min(grid.width, image.shape[1]))
    table, names = image_channels(image, grid_of(image, sizes, "the query"))
    return table[:, [names.index(one) for one in called]]


def _standard(values: np.ndarray) -> np.ndarray | None:
    """Centred and of length 1; None where all are the same."""
    centred = values - values.mean()
    length = np.sqrt(centred @ centred)
    return centred / length if length > 1e-9 * max(1.0, float(np.abs(values).max())) * np.sqrt(len(values)) else None


def _covered(grid: Grid, box: Box, name: str) -> np.ndarray:
    inside = grid.covered(box)
    if inside.sum() < FEWEST:
        text = f"the query {list(box)} covers {inside.sum()} patches of {grid.height} × {grid.width} pixels, and {FEWEST} are needed"
        raise wrong_image(name, text, "draw a larger box, or give smaller patches: patch = …")
    if (~inside).sum() < FEWEST:
        raise wrong_image(name, f"the query {list(box)} covers the whole image: there is nothing to tell it from")
    return inside


def _luminance(colours: np.ndarray) -> np.ndarray:
    return colours @ np.array([0.2125, 0.7154, 0.0721])


def _gradients(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sobel's, down and across, and how steep both are together; an edge from 0 to 1 has 1."""
    padded = np.pad(values, 1, mode="edge")
    smooth = 0.5 * padded[:, 1:-1] + 0.25 * (padded[:, :-2] + padded[:, 2:])
    down = smooth[2:] - smooth[:-2]
    smooth = 0.5 * padded[1:-1] + 0.25 * (padded[:-2] + padded[2:])
    across = smooth[:, 2:] - smooth[:, :-2]
    return down, across, np.sqrt(down**2 + across**2)
