"""The patches of an image: squares of pixels in rows and columns, and which of them a box covers."""

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
    """`rows × columns` squares of `size` pixels from the upper left; what is left over at the lower and the right edge is cut off."""

    size: int
    rows: int
    columns: int

    @property
    def patches(self) -> int:
        return self.rows * self.columns

    def cut(self, values: np.ndarray) -> np.ndarray:
        """The pixels of each patch: patches × pixels × what each pixel has."""
        size, rest = self.size, values.shape[2:]
        whole = values[: self.rows * size, : self.columns * size]
        squares = whole.reshape(self.rows, size, self.columns, size, *rest).swapaxes(1, 2)
        return squares.reshape(self.patches, size * size, *rest)

    def covered(self, box: Box) -> np.ndarray:
        """Which patches have their centre in the box."""
        centre = (np.arange(max(self.rows, self.columns)) + 0.5) * self.size
        inside_rows = (centre[: self.rows] >= box[0]) & (centre[: self.rows] < box[2])
        inside_columns = (centre[: self.columns] >= box[1]) & (centre[: self.columns] < box[3])
        return (inside_rows[:, None] & inside_columns[None, :]).ravel()

    def picture(self, values: np.ndarray) -> np.ndarray:
        """One value a patch as an array of rows and columns."""
        return np.asarray(values).reshape(self.rows, self.columns)


def grid_of(image: np.ndarray, patch: int | None, name: str) -> Grid:
    """The patches of `patch` pixels, or so many pixels that there are about a thousand. Raises `AimError` for a size that fits none."""
    height, width = image.shape[:2]
    size = max(1, ceil(sqrt(height * width / USUAL))) if patch is None else patch
    if isinstance(size, bool) or size != int(size) or size < 1:
        raise wrong_image(name, f"a patch is a whole number of pixels; `patch` is {patch}")
    if size > min(height, width):
        text = f"a patch of {size} × {size} pixels does not fit into an image of {height} × {width}"
        raise wrong_image(name, text, f"a patch has {min(height, width)} pixels at most")
    return Grid(int(size), height // int(size), width // int(size))


def checked_box(box: Any, image: np.ndarray, name: str) -> Box:
    """The box as four whole numbers inside the image. Raises `AimError`."""
    numbers = _numbers(box)
    if numbers is None:
        text = f"a query is a box, four whole numbers [top, left, bottom, right] in pixels; this is {box!r}"
        raise wrong_image(name, text)
    top, left, bottom, right = numbers
    height, width = image.shape[:2]
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        text = f"the query [top, left, bottom, right] = {list(numbers)} is no box inside an image of {height} × {width} pixels"
        raise wrong_image(name, text, f"write 0 <= top < bottom <= {height} and 0 <= left < right <= {width}")
    return numbers


def _numbers(box: Any) -> Box | None:
    if isinstance(box, np.ndarray):
        box = box.tolist()
    if not isinstance(box, Sequence) or isinstance(box, str) or len(box) != 4:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float | np.integer | np.floating) or v != v or v != int(v) for v in box):
        return None
    top, left, bottom, right = (int(v) for v in box)
    return top, left, bottom, right
