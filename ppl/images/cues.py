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

from ppl.images.patches import Box, Grid, checked_box, grid_of
from ppl.images.pixels import CONTENT, pixels_of
from ppl.images.reading import read_pixels, wrong_image

PLACES = ("y", "x", "eccentricity")  # the same in every image
FEWEST = 2  # patches that a query must cover


@dataclass(frozen=True)
class Features:
    """Of each patch, in rows from the upper left: `cue` (patches × cues, in [0, 1]) with `names`, and the `variance` of its lightness.

    `image` holds colours in [0, 1], or bytes. `messages` say what was left out. `query` is the box, where one was given.
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
    shown = read_pixels(image, name)
    name = str(image) if isinstance(image, str) or hasattr(image, "suffix") else name
    grid = grid_of(shown, patch, name)
    pixels = pixels_of(shown, grid)
    cues = {"entropy": pixels.entropy, "edge": pixels.steepness}
    box, messages = None, []
    if query is not None:
        own = (pixels.channels, CONTENT) if channels is None else _checked(channels, names, grid, name)
        table, called, messages = independent_channels(*own, grid)
        if not called and channels is not None:
            raise wrong_image(name, "no channel says anything of its own, so that nothing can be compared with the query")
        if isinstance(query, str) or hasattr(query, "suffix") or np.ndim(query) > 1:
            other = read_pixels(query, "the query")
            exemplar = _exemplar(other, grid, called if channels is None else None)
            cues["match"] = squashed(log_likelihood_ratio(exemplar, table, table))
        else:
            box = checked_box(query, shown, name)
            inside = _covered(grid, box, name)
            cues["match"] = squashed(log_likelihood_ratio(table[inside], table[~inside], table))
    scaled = {key: robustly_scaled(value) for key, value in cues.items()}
    flat = [key for key, value in scaled.items() if value is None]
    messages += [f"the cue `{key}` is the same in all patches and is left out" for key in flat]
    kept = {key: value for key, value in scaled.items() if value is not None}
    cue = np.stack(list(kept.values()), axis=1) if kept else np.zeros((grid.patches, 0))
    return Features(shown, grid, tuple(kept), cue, pixels.variance, tuple(messages), box)


def robustly_scaled(values: np.ndarray) -> np.ndarray | None:
    """From the 1 % quantile of these values to the 99 % quantile as 0 to 1, what is beyond at the ends; None where all are the same."""
    low, high = np.quantile(values, [0.01, 0.99])
    if not high - low > 1e-9 * max(1.0, abs(high), abs(low)):
        return None
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def squashed(ratio: np.ndarray) -> np.ndarray:
    """Log odds as probabilities at a temperature: the spread of the ratios, so that not all are 0 or 1."""
    low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
    return 1.0 / (1.0 + np.exp(-np.clip((ratio - middle) / max(float(high - low), 1e-12), -30, 30)))


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
    common = (query.T @ query + rest.T @ rest) / len(both)
    return _log_normal(table, query, common) - _log_normal(table, rest, common)


def _log_normal(table: np.ndarray, sample: np.ndarray, common: np.ndarray) -> np.ndarray:
    count, size = len(sample), table.shape[1]
    mean = sample.mean(axis=0)
    spread = sample - mean
    cov = (spread.T @ spread + (size + 2) * common) / (count + size + 2)
    root = np.linalg.cholesky(cov)
    whitened = np.linalg.inv(root) @ (table - mean).T
    return -0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(root)).sum()


# ------------------------------------------------------------------ channels
def independent_channels(table: np.ndarray, names: Sequence[str], grid: Grid) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """The channels that say something of their own, and a message for each that is left out: those that are the same in all patches, that
    say where a patch is, or that are a sum of others. A Gaussian of them all would be singular."""
    row, column = np.divmod(np.arange(grid.patches), grid.columns)
    y, x = row / max(grid.rows - 1, 1), column / max(grid.columns - 1, 1)
    own, differs = _standard(table)
    places, told = _standard(np.column_stack([y, x, np.hypot(y - 0.5, x - 0.5)]))
    of_places = np.any(np.abs(own.T @ places[:, told]) > 1.0 - 1e-9, axis=1)
    alike = own.T @ own
    kept: list[int] = []
    root = np.eye(len(names))  # of what those that are kept have in common
    messages: list[str] = []
    for k, called in enumerate(names):
        if not differs[k]:
            messages.append(f"channel `{called}` is the same in all patches and is left out")
            continue
        if of_places[k]:
            messages.append(f"channel `{called}` says where a patch is, which no image changes, and is left out")
            continue
        count = len(kept)
        shared = np.linalg.solve(root[:count, :count], alike[kept, k])
        left = alike[k, k] - shared @ shared  # its squared length without what the others say
        if left < 1e-12:
            messages.append(f"channel `{called}` follows from {', '.join(f'`{names[i]}`' for i in kept)} and is left out")
            continue
        kept.append(k)
        root[count, : count + 1] = *shared, np.sqrt(left)
    return table[:, kept], tuple(names[k] for k in kept), messages


def _checked(channels: np.ndarray, names: Sequence[str] | None, grid: Grid, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Channels of one's own, with their names."""
    table = np.asarray(channels, float)
    if table.ndim != 2 or len(table) != grid.patches:
        raise wrong_image(name, f"`channels` has the shape {list(table.shape)}; there are {grid.patches} patches, a row for each")
    if not np.isfinite(table).all():
        raise wrong_image(name, "`channels` holds what is not a number")
    called = tuple(names) if names is not None else tuple(f"channel {k}" for k in range(table.shape[1]))
    if len(called) != table.shape[1]:
        raise wrong_image(name, f"`names` are {len(called)}; there are {table.shape[1]} channels, a name for each")
    return table, called


def _exemplar(image: np.ndarray, grid: Grid, called: Sequence[str] | None) -> np.ndarray:
    """The channels with these names of the patches of an image that is a query."""
    if called is None:
        text = "an image is compared by its own channels, and `channels` are those of another"
        raise wrong_image("the query", text, "give a box [top, left, bottom, right], or leave `channels` out")
    sizes = (min(grid.height, image.shape[0]), min(grid.width, image.shape[1]))
    return pixels_of(image, grid_of(image, sizes, "the query")).channels[:, [CONTENT.index(one) for one in called]]


def _standard(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns centred and of length 1, and which of them are not the same everywhere."""
    centred = table - table.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    differs = length > 1e-9 * np.maximum(1.0, np.abs(table).max(axis=0)) * np.sqrt(len(table))
    return centred / np.where(differs, length, 1.0), differs


def _covered(grid: Grid, box: Box, name: str) -> np.ndarray:
    inside = grid.covered(box)
    if inside.sum() < FEWEST:
        text = f"the query {list(box)} covers {inside.sum()} patches of {grid.height} × {grid.width} pixels, and {FEWEST} are needed"
        raise wrong_image(name, text, "draw a larger box, or give smaller patches: patch = …")
    if (~inside).sum() < FEWEST:
        raise wrong_image(name, f"the query {list(box)} covers the whole image: there is nothing to tell it from")
    return inside
