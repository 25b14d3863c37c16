"""The patches of an image: rectangles of pixels in rows and columns, and which of them a box covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np

from ppl.images.reading import wrong_image

USUAL = 1024  # patches, where no size is given

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels; the last row and column are not in it


@dataclass(frozen=True)
class Grid:
    """`rows × columns` rectangles of `height × width` pixels from the upper left; what is left over at the lower and the right edge is
    cut off."""

    height: int
    width: int
    rows: int
    columns: int

    @property
    def patches(self) -> int:
        return self.rows * self.columns

    def cut(self, values: np.ndarray) -> np.ndarray:
        """The pixels of each patch: patches × pixels × what each pixel has."""
        rest, parts = values.shape[2:], self.whole(values).reshape(self.rows, self.height, self.columns, self.width, *values.shape[2:])
        return parts.swapaxes(1, 2).reshape(self.patches, self.height * self.width, *rest)

    def whole(self, values: np.ndarray) -> np.ndarray:
        """The pixels that are in a patch."""
        return values[: self.rows * self.height, : self.columns * self.width]

    def means(self, values: np.ndarray) -> np.ndarray:
        """The mean over the pixels of each patch: patches × what each pixel has."""
        rest, whole = values.shape[2:], self.whole(values)
        lines = whole.reshape(self.rows, self.height, *whole.shape[1:]).sum(axis=1)  # along memory, which is fast
        total = lines.reshape(self.rows, self.columns, self.width, *rest).sum(axis=2)
        return total.reshape(self.patches, *rest) / (self.height * self.width)

    def covered(self, box: Box) -> np.ndarray:
        """Which patches have their centre in the box."""
        down, across = (np.arange(self.rows) + 0.5) * self.height, (np.arange(self.columns) + 0.5) * self.width
        inside_rows = (down >= box[0]) & (down < box[2])
        inside_columns = (across >= box[1]) & (across < box[3])
        return (inside_rows[:, None] & inside_columns[None, :]).ravel()

    def picture(self, values: np.ndarray) -> np.ndarray:
        """One value a patch as an array of rows and columns."""
        return np.asarray(values).reshape(self.rows, self.columns)


def grid_of(image: np.ndarray, patch: int | Sequence[int] | None, name: str) -> Grid:
    """The patches of `patch` pixels each way, or [height, width]; without it, of so many that there are about a thousand. Raises
    `AimError` for a size that fits none."""
    height, width = image.shape[:2]
    usual = min(height, width, max(1, ceil(sqrt(height * width / USUAL))))
    asked = _whole([usual] * 2 if patch is None else [patch] * 2 if np.ndim(patch) == 0 else patch)
    if asked is None or len(asked) != 2 or min(asked) < 1:
        raise wrong_image(name, f"a patch is a whole number of pixels, or two, [height, width]; `patch` is {patch!r}")
    down, across = asked
    if down > height or across > width:
        text = f"a patch of {down} × {across} pixels does not fit into an image of {height} × {width}"
        raise wrong_image(name, text, f"a patch has {min(height, width)} pixels each way at most")
    return Grid(down, across, height // down, width // across)


def checked_box(box: Any, image: np.ndarray, name: str) -> Box:
    """The box as four whole numbers inside the image. Raises `AimError`."""
    numbers = _whole(box)
    if numbers is None or len(numbers) != 4:
        text = f"a query is a box, four whole numbers [top, left, bottom, right] in pixels; this is {box!r}"
        raise wrong_image(name, text)
    top, left, bottom, right = numbers
    height, width = image.shape[:2]
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        text = f"the query [top, left, bottom, right] = {list(numbers)} is no box inside an image of {height} × {width} pixels"
        raise wrong_image(name, text, f"write 0 <= top < bottom <= {height} and 0 <= left < right <= {width}")
    return top, left, bottom, right


def _whole(values: Any) -> list[int] | None:
    """These values as whole numbers; None where they are none."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, Sequence) or isinstance(values, str):
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float | np.integer | np.floating) or v % 1 != 0 for v in values):
        return None
    return [int(v) for v in values]
