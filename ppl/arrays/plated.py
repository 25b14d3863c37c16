"""Arrays with named plates: leading axes have names and align by them, trailing axes are those of the value.

Everything that is computed over plates goes through these: `x[n] - mu[k]` has the plates (n, k) without anybody
writing a broadcast. The arrays are NumPy's before a program is compiled and JAX's inside it; this module imports neither
more than it must (JAX only where a JAX array is met).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np


def namespace(*arrays: Any) -> Any:
    """`numpy`, or `jax.numpy` where any of the arrays is JAX's."""
    if all(isinstance(a, np.ndarray | np.generic | float | int | bool) for a in arrays):
        return np
    import jax.numpy as jnp

    return jnp


@dataclass(frozen=True)
class Plated:
    """`data` has one leading axis for each name in `dims`, then the axes of the value.

    `start` is set where this is a running index: its entries, in the order of its axes, are `start`, `start + 1` and so on. Indexing by
    it is then a slice with names and not a gather. Where it has plates, its value axes have length 1.
    """

    dims: tuple[str, ...]
    data: Any
    start: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape[len(self.dims) :]

    @property
    def rank(self) -> int:
        return self.data.ndim - len(self.dims)

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(self.dims, self.data.shape, strict=False))

    # ------------------------------------------------------------ arithmetic
    def __add__(self, other: Plated | float) -> Plated:
        return elementwise(lambda a, b: a + b, self, other)

    def __radd__(self, other: float) -> Plated:
        return elementwise(lambda a, b: a + b, other, self)

    def __sub__(self, other: Plated | float) -> Plated:
        return elementwise(lambda a, b: a - b, self, other)

    def __rsub__(self, other: float) -> Plated:
        return elementwise(lambda a, b: a - b, other, self)

    def __mul__(self, other: Plated | float) -> Plated:
        return elementwise(lambda a, b: a * b, self, other)

    def __rmul__(self, other: float) -> Plated:
        return elementwise(lambda a, b: a * b, other, self)

    def __truediv__(self, other: Plated | float) -> Plated:
        return elementwise(lambda a, b: a / b, self, other)

    def __rtruediv__(self, other: float) -> Plated:
        return elementwise(lambda a, b: a / b, other, self)

    def __neg__(self) -> Plated:
        return Plated(self.dims, -self.data)

    # ------------------------------------------------------------ value axes
    def map(self, function: Callable[[Any], Any]) -> Plated:
        """The function of the array, which must keep the plates' axes."""
        return Plated(self.dims, function(self.data))

    def sum_value(self, axes: int = 1) -> Plated:
        """Summed over the last `axes` axes of the value."""
        return Plated(self.dims, self.data.sum(axis=tuple(range(-axes, 0)))) if axes else self

    def sum_dim(self, *names: str) -> Plated:
        axes = tuple(self.dims.index(n) for n in names)
        return Plated(tuple(d for d in self.dims if d not in names), self.data.sum(axis=axes)) if axes else self

    def mean_dim(self, name: str) -> Plated:
        return Plated(tuple(d for d in self.dims if d != name), self.data.mean(axis=self.dims.index(name)))

    def total(self) -> Any:
        """The sum over everything."""
        return self.data.sum()

    # ------------------------------------------------------------ plates and axes
    def axis_to_dim(self, axis: int, name: str) -> Plated:
        """The axis of the value becomes a plate with this name (the last of them)."""
        source = len(self.dims) + axis % self.rank
        return Plated((*self.dims, name), namespace(self.data).moveaxis(self.data, source, len(self.dims)))

    def dim_to_axis(self, name: str, axis: int) -> Plated:
        """The plate becomes an axis of the value, at this place among them; where it is lacking, nothing changes."""
        if name not in self.dims:
            return self
        dims = tuple(d for d in self.dims if d != name)
        return Plated(dims, namespace(self.data).moveaxis(self.data, self.dims.index(name), len(dims) + axis))

    def insert_axis(self, axis: int) -> Plated:
        """A new axis of length 1 at this place among those of the value (negative: from the end)."""
        place = len(self.dims) + axis if axis >= 0 else self.data.ndim + axis + 1
        return Plated(self.dims, namespace(self.data).expand_dims(self.data, place))

    def arranged(self, dims: Sequence[str], sizes: dict[str, int] | None = None) -> Any:
        """The array with exactly these plates in this order; a plate that is lacking has length 1, or its size where given."""
        if sizes is None and self.dims == tuple(dims):
            return self.data
        xp = namespace(self.data)
        order = [self.dims.index(d) for d in dims if d in self.dims]
        unknown = [d for d in self.dims if d not in dims]
        if unknown:
            raise ValueError(f"plates {unknown} are not among {tuple(dims)}")
        tail = list(range(len(self.dims), self.data.ndim))
        data = xp.transpose(self.data, order + tail)
        index = tuple(slice(None) if d in self.dims else None for d in dims)
        data = data[index + (Ellipsis,)]
        if sizes is not None:
            data = xp.broadcast_to(data, tuple(sizes[d] for d in dims) + data.shape[len(dims) :])
        return data

    def take(self, axis: int, index: Plated) -> Plated:
        """Index an axis of the value by whole numbers: running indices name the axis, others gather.

        The axes of the index's value, if any, stand in place of the axis.
        """
        axis = axis % self.rank
        if index.start is not None and not set(index.dims) & set(self.dims):
            return self._slice(axis, index)
        xp = namespace(self.data, index.data)
        if not index.dims:
            return Plated(self.dims, xp.take(self.data, index.data, axis=len(self.dims) + axis))
        dims = tuple(dict.fromkeys((*self.dims, *index.dims)))
        moved = xp.moveaxis(self.arranged(dims), len(dims) + axis, len(dims))  # dims, axis, rest
        flat = index.arranged(dims)  # dims, index axes
        places = len(dims)
        after = places - 1 + index.rank
        grid = [0 if s == 1 else xp.arange(s).reshape((-1,) + (1,) * (after - i)) for i, s in enumerate(moved.shape[:places])]
        gathered = moved[(*grid, flat)]  # dims, index axes, rest
        if axis and index.rank:  # the index's axes go to where the axis was
            source = list(range(places, places + index.rank))
            gathered = xp.moveaxis(gathered, source, [s + axis for s in source])
        return Plated(dims, gathered)

    def _slice(self, axis: int, index: Plated) -> Plated:
        """The entries of an axis of the value that a running index runs over."""
        shape, place = index.data.shape, len(self.dims) + axis
        assert index.start is not None
        data = self.data[(slice(None),) * place + (slice(index.start, index.start + prod(shape)),)]
        value = Plated(self.dims, data.reshape(data.shape[:place] + shape + data.shape[place + 1 :]))
        for name in index.dims:
            value = value.axis_to_dim(axis, name)
        return value

    def at(self, axis: int, place: int) -> Plated:
        """One entry of an axis of the value."""
        cut = (slice(None),) * (len(self.dims) + axis % self.rank) + (place,)
        return Plated(self.dims, self.data[cut])


def known(value: Any) -> Plated:
    """A plain value without plates."""
    return value if isinstance(value, Plated) else Plated((), np.asarray(value))


def running(name: str, start: int, stop: int) -> Plated:
    """The running index of a plate."""
    return Plated((name,), np.arange(start, stop), start=start)


def indices(name: str, values: np.ndarray) -> Plated:
    """An index with one plate; recognised as running where it is."""
    values = np.asarray(values)
    runs = values.size > 0 and bool(np.array_equal(values, np.arange(values[0], values[0] + values.size)))
    return Plated((name,), values, start=int(values[0]) if runs else None)


def widen(mask: np.ndarray, ndim: int) -> np.ndarray:
    """A mask of plates with axes of length 1 added at the end, for those of the value."""
    return mask.reshape(mask.shape + (1,) * max(0, ndim - mask.ndim))


def align(*values: Plated | float) -> tuple[tuple[str, ...], list[Any]]:
    """The union of the plates and the arrays with all of them; scalars get axes of length 1 where others have value axes."""
    plated = [known(v) for v in values]
    dims = tuple(dict.fromkeys(d for v in plated for d in v.dims))
    rank = max(v.rank for v in plated)
    arrays = []
    for v in plated:
        data = v.arranged(dims)
        arrays.append(data if v.rank == rank else data[(Ellipsis,) + (None,) * (rank - v.rank)])
    return dims, arrays


def elementwise(function: Callable[..., Any], *values: Plated | float) -> Plated:
    """A function of equal shapes and scalars, plate by plate. Plain numbers stay plain: they must not widen a float32 array."""
    dims, arrays = align(*(v for v in values if isinstance(v, Plated)))
    aligned = iter(arrays)
    return Plated(dims, function(*(next(aligned) if isinstance(v, Plated) else v for v in values)))


def shift(index: Plated, by: int) -> Plated:
    """A whole-number offset of an index, which keeps a running index running."""
    return replace(index, data=index.data + by, start=None if index.start is None else index.start + by)


def contract(*values: Plated, over: Sequence[str] = ()) -> Plated:
    """The product of scalars over plates, summed over the named ones, in an order that keeps it small."""
    dims = tuple(dict.fromkeys(d for v in values for d in v.dims))
    letters = {d: chr(97 + i) for i, d in enumerate(dims)}
    kept = tuple(d for d in dims if d not in over)
    spec = ",".join("".join(letters[d] for d in v.dims) for v in values) + "->" + "".join(letters[d] for d in kept)
    return Plated(kept, namespace(*(v.data for v in values)).einsum(spec, *(v.data for v in values)))


def inner(a: Plated, b: Plated) -> Plated:
    """The products of two vectors' entries, summed: a matrix product where their plates differ."""
    if set(a.dims) <= set(b.dims) or set(b.dims) <= set(a.dims) or a.rank != 1 or b.rank != 1:
        return (a * b).sum_value()
    dims = tuple(dict.fromkeys((*a.dims, *b.dims)))
    letters = {d: chr(97 + i) for i, d in enumerate(dims)}
    spec = ",".join("".join(letters[d] for d in v.dims) + "Z" for v in (a, b)) + "->" + "".join(letters.values())
    return Plated(dims, namespace(a.data, b.data).einsum(spec, a.data, b.data))


def stack(values: Sequence[Plated]) -> Plated:
    """A new first axis of the value that runs over these, whose shapes are equal."""
    dims, arrays = align(*values)
    xp = namespace(*arrays)
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    return Plated(dims, xp.stack([xp.broadcast_to(a, shape) for a in arrays], axis=len(dims)))
