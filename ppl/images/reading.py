"""An image as an array of colours, from a file or from memory; what is no image says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ppl.source.diagnostics import AimError, Diagnostic

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


def read_image(source: Any, name: str = "the image") -> np.ndarray:
    """Red, green and blue in [0, 1], height × width × 3. Raises `AimError` for what is no image, is empty or holds NaN."""
    return in_unit(read_pixels(source, name))


def read_pixels(source: Any, name: str = "the image") -> np.ndarray:
    """The same as it was given, where that is bytes."""
    if isinstance(source, str | Path):
        name, source = str(source), _from_file(Path(source), str(source))
    array = _array(source, name)
    if array.dtype.kind in "ui" and array.dtype not in (np.uint8, np.uint16):
        text = f"whole numbers of type {array.dtype} do not say what is white; those of uint8 and uint16 do, and numbers from 0 to 1"
        raise wrong_image(name, text, "image.astype('uint8') where white is 255, or image / white")
    if array.dtype.kind not in "buf":
        raise wrong_image(name, f"its entries are of type {array.dtype}", "give numbers: bytes from 0 to 255, or numbers from 0 to 1")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != 3 or array.shape[-1] not in (3, 4):
        raise wrong_image(name, f"an image has the shape height × width, or with 3 colours; this has {_shape(array)}")
    if not array.size:
        raise wrong_image(name, f"it has no pixels: its shape is {_shape(array)}")
    _refuse_outside(array, name)
    if array.shape[-1] == 4:
        return _on_white(in_unit(array[..., :3]), in_unit(array[..., 3:]))
    return array if array.dtype == np.uint8 else in_unit(array)


def _array(source: Any, name: str) -> np.ndarray:
    """What is masked is not a number."""
    if np.ma.is_masked(source):
        raise wrong_image(name, f"{int(source.mask.sum())} of its entries are masked", "fill them in, or crop the image")
    try:
        return np.asarray(source)
    except ValueError as error:
        raise wrong_image(name, "its rows are not of one length") from error


def in_unit(array: np.ndarray) -> np.ndarray:
    """Whole numbers beside the one that is white; others as they are."""
    return array / float(np.iinfo(array.dtype).max) if array.dtype.kind in "ui" else np.asarray(array, float)


def _refuse_outside(array: np.ndarray, name: str) -> None:
    """Raises `AimError` for numbers that are no part of white."""
    if array.dtype.kind != "f":
        return
    if not np.isfinite(array).all():
        y, x = (int(v[0]) for v in np.nonzero(~np.isfinite(array).all(axis=-1)))
        raise wrong_image(name, f"the pixel in row {y}, column {x} is not a number", "fill it in, or crop the image")
    if array.min() < 0 or array.max() > 1:
        hint = "divide by 255" if array.min() >= 0 and array.max() <= 255 else ""
        raise wrong_image(name, f"colours are numbers from 0 to 1; these run from {array.min():g} to {array.max():g}", hint)


def _on_white(colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return colours * opacity + (1.0 - opacity)


def _from_file(path: Path, name: str) -> np.ndarray:
    skimage = needs_vision("skimage.io", name)
    if not path.exists():
        raise wrong_image(name, "there is no such file")
    if path.is_dir():
        raise wrong_image(name, "this is a folder, not an image", "name a file in it")
    try:
        return skimage.imread(path)
    except Exception as error:
        raise wrong_image(name, "it cannot be read as an image", "is it one, and whole?") from error


def needs_vision(module: str, name: str) -> Any:
    """The module, or what to install for it: images need the extra `vision`."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = f"to read an image the package {module.partition('.')[0]} is needed"
        raise AimError([Diagnostic("AIM0604", text, None, "pip install 'aim-ppl[vision]'", where=name)]) from error


def wrong_image(name: str, text: str, hint: str = "") -> AimError:
    return AimError([Diagnostic("AIM0601", text, None, hint, where=name)])


def _shape(array: np.ndarray) -> str:
    return " × ".join(map(str, array.shape)) if array.ndim else "no axes"
