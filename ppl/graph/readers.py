"""Files and tables as datasets: one reader for each format, chosen by the ending of the name or by what the object is."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ppl.graph.dataset import Dataset, from_mapping
from ppl.images.cues import Features, features
from ppl.images.reading import ENDINGS
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean

_COLUMN_OF_MATRIX = re.compile(r"^(?P<name>.+)\[(?P<column>\d+)\]$")
_MISSING = ("", "NA", "N/A", "nan", "NaN", "null", "NULL", "None")  # cells of text tables in which nothing was measured


def read(path: str | Path) -> Dataset:
    """The values in a file. Raises `AimError` where it cannot be read."""
    name, path = str(path), Path(path)
    ending = path.suffix.lower()
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise _problem("AIM0601", name, "there is no such file", did_you_mean(path.name, beside))
    if path.is_dir():
        raise _problem("AIM0601", name, "this is a folder, not a file", "name a file in it")
    if is_image(path):
        return image_dataset(features(path), name)
    if ending not in _READERS:
        expected = f"a data file ends in {', '.join(_READERS)}, an image in {', '.join(ENDINGS)}"
        raise _problem(
            "AIM0601", name, f"{expected}; this one " + (f"in `{ending}`" if ending else "has no ending"), did_you_mean(ending, _READERS)
        )
    try:
        return _READERS[ending](path, name)
    except OSError as error:
        raise _problem("AIM0601", name, f"it cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _problem("AIM0601", name, f"byte {error.start} is not UTF-8", "save the file as UTF-8") from error


def is_image(path: str | Path) -> bool:
    """Whether the name of a file ends as that of an image."""
    return Path(path).suffix.lower() in ENDINGS


def image_dataset(told: Features, name: str) -> Dataset:
    """What is told of the patches of an image, by name: a model takes what it has a name for."""
    return Dataset(name, told.by_name, strict=False)


def as_dataset(data: Any, name: str = "the data") -> Dataset:
    """A mapping, a table, an xarray Dataset, the name of a file, or a dataset as it is."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        return read(data)
    if isinstance(data, Mapping):
        return from_mapping(data, name)
    if hasattr(data, "data_vars"):
        values = {str(key): variable.values for key, variable in data.data_vars.items()}
        dims = {str(key): tuple(map(str, variable.dims)) for key, variable in data.data_vars.items()}
        return Dataset(name, from_mapping(values, name).values, strict=False, dims=dims)
    return from_table(data, name)


def from_table(table: Any, name: str) -> Dataset:
    """The columns of a table that narwhals reads: pandas, polars, pyarrow and their like."""
    narwhals = _needs_frames("narwhals", name)
    try:
        frame = narwhals.from_native(table, eager_only=True)
    except TypeError as error:
        expected = "data come as a mapping of names to values, a table in memory, an xarray Dataset or the name of a file"
        raise _problem("AIM0601", name, f"{expected}; this is of type {type(table).__name__}") from error
    return _from_columns({str(column): _column(frame[column], narwhals) for column in frame.columns}, name)


def _column(series: Any, narwhals: Any) -> Any:
    """Numbers as an array with `nan` for what is missing, texts as objects."""
    if series.dtype.is_numeric() or series.dtype == narwhals.Boolean:
        whole = not series.is_null().any()
        return series.to_numpy() if whole else series.cast(narwhals.Float64).to_numpy()
    if series.dtype in (narwhals.Categorical, narwhals.Enum):
        series = series.cast(narwhals.String)
    return np.asarray(series.to_list(), dtype=object)


# ------------------------------------------------------------------ files
def _json(path: Path, name: str) -> Dataset:
    """An object of names, with nested lists; null is missing, a text names a member."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=lambda pairs: _unrepeated(pairs, name))
    except json.JSONDecodeError as error:
        raise _problem("AIM0601", f"{name}:{error.lineno}:{error.colno}", f"this is not JSON: {error.msg}") from error
    if not isinstance(content, dict):
        raise _problem("AIM0601", name, "the file holds no object of names", 'write {"x": [1, 0, 1]}, a name for each variable')
    return from_mapping(content, name)


def _unrepeated(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise _problem("AIM0603", name, f"`{twice}` is given twice")
    return values


def _csv(path: Path, name: str) -> Dataset:
    """A table with a line of names on top; an empty cell or `NA` is missing, of a single column an empty line too. Between cells stands
    `,`, `;` or a tab, what the first line has."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        try:
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count))
            numbered = _numbered((reader.line_num, row) for row in reader)
        except csv.Error as error:
            raise _problem("AIM0601", name, f"this is not CSV: {error}") from error
    if not numbered:
        raise _problem("AIM0601", name, "the table is empty", "its first line holds the names of the columns")
    lines, rows = zip(*numbered, strict=True)
    names = [cell.strip() for cell in rows[0]]
    for line, row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(names):
            cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
            raise _problem("AIM0602", name, f"row {line} has {cells}, but the first row names {len(names)} columns")
    twice = next((column for column in names if column and names.count(column) > 1), None)
    if twice is not None:
        raise _problem("AIM0603", name, f"two columns are called `{twice}`")
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(names)
    table = _from_columns({column: _cells(cells) for column, cells in zip(names, columns, strict=True) if column}, name)
    return replace(table, lines=lines[1:])


def _numbered(rows: Iterable[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows with their lines. A blank line says nothing in a table of several columns; of one column it is a missing value, so that
    what follows keeps its place. At both ends of a file it is neither."""
    found = list(rows)
    while found and not found[-1][1]:
        found.pop()
    while found and not found[0][1]:
        found.pop(0)
    alone = bool(found) and len(found[0][1]) == 1
    return [(line, row or [""]) for line, row in found if row or alone]


def _cells(cells: Sequence[str]) -> np.ndarray:
    """Numbers where every cell that is not missing is one, 0 and 1 for truth values, otherwise texts."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        texts = [None if cell in _MISSING else cell for cell in map(str.strip, cells)]
    try:
        return np.array([text or "nan" for text in texts], dtype=np.float64)
    except ValueError:
        truths = [text and {"true": 1.0, "false": 0.0}.get(text.lower(), text) for text in texts]
    if all(truth is None or isinstance(truth, float) for truth in truths):
        return np.array(truths, dtype=np.float64)
    return np.array(texts, dtype=object)


def _npz(path: Path, name: str) -> Dataset:
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as archive:
            return from_mapping({key: archive[key] for key in archive.files}, name)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _problem("AIM0601", name, "this is not an archive of arrays of numbers or texts", "write it with numpy.savez") from error


def _parquet(path: Path, name: str) -> Dataset:
    parquet = _needs_frames("pyarrow.parquet", name)
    try:
        return from_table(parquet.read_table(path), name)
    except ValueError as error:
        raise _problem("AIM0601", name, f"this is not Parquet: {error}") from error


_READERS: dict[str, Callable[[Path, str], Dataset]] = {
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".npz": _npz,
    ".parquet": _parquet,
}


# ------------------------------------------------------------------ what they share
def _from_columns(columns: dict[str, Any], name: str) -> Dataset:
    """Columns `X[0]`, `X[1]`, … are one matrix `X`; one that is lacking among them is missing in every row."""
    matrices: dict[str, dict[int, str]] = {}
    for column in columns:
        found = _COLUMN_OF_MATRIX.match(column)
        if found:
            matrices.setdefault(found["name"], {})[int(found["column"])] = column
    parts = {column for places in matrices.values() for column in places.values()}
    values = {column: cells for column, cells in columns.items() if column not in parts}
    for matrix, places in matrices.items():
        absent = np.full(len(columns[next(iter(places.values()))]), np.nan)
        values[matrix] = np.stack([np.asarray(columns[places[i]] if i in places else absent) for i in range(max(places) + 1)], axis=1)
    return from_mapping(values, name, strict=False)


def _needs_frames(module: str, name: str) -> Any:
    """The module, or what to install for it: tables other than CSV need the extra `frames`."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"to read this table the package {module.partition('.')[0]} is needed"
        raise _problem("AIM0604", name, message, "pip install 'aim-ppl[frames]', or give the data as CSV or JSON") from error


def _problem(code: str, where: str, message: str, hint: str = "") -> AimError:
    return AimError([Diagnostic(code, message, None, hint, where=where)])
