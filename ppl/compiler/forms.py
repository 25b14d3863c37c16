"""Forms: affine functions of the expected statistics of latent variables.

A `Form` is an offset and terms `coefficient · statistic[index]`, each summed over a last axis of its own. Messages flow back
through it by reverse mode: a gather becomes a scatter-add, a matrix product its transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ppl.arrays.plated import Plated, elementwise, known


@dataclass(frozen=True)
class Term:
    """`Σ_p coefficient[…, p] · statistic(variable)[index]`.

    `index` has an entry for each axis of the variable's statistic: without value axes (the same place for the whole value), or
    with those of the coefficient.
    """

    variable: str
    statistic: str
    index: tuple[Plated, ...]
    coefficient: Plated  # value axes of the form, then p

    def with_arrays(self, change: Callable[[Plated], Plated]) -> Term:
        """The change applied to the coefficient and to each index that has value axes."""
        return replace(self, index=tuple(change(i) if i.rank else i for i in self.index), coefficient=change(self.coefficient))


def _expand(index: Plated, shape: tuple[int, ...]) -> Plated:
    """An index without value axes, repeated over them."""
    data = index.data.reshape(index.data.shape + (1,) * len(shape))
    return Plated(index.dims, np.broadcast_to(data, index.data.shape + shape))


@dataclass(frozen=True)
class Form:
    """An offset and terms; the value axes of the offset are those of every coefficient but its last."""

    offset: Plated
    terms: tuple[Term, ...] = ()

    @property
    def rank(self) -> int:
        return self.offset.rank

    @property
    def shape(self) -> tuple[int, ...]:
        return self.offset.shape

    @property
    def dims(self) -> tuple[str, ...]:
        parts = [self.offset, *(t.coefficient for t in self.terms), *(i for t in self.terms for i in t.index)]
        return tuple(dict.fromkeys(d for p in parts for d in p.dims))

    def __add__(self, other: Form | Plated) -> Form:
        if isinstance(other, Plated):
            form = self.promoted(other.rank, other.shape)
            return replace(form, offset=form.offset + other)
        a, b = self.promoted(other.rank, other.shape), other.promoted(self.rank, self.shape)
        return Form(a.offset + b.offset, a.terms + b.terms)

    def scale(self, factor: Plated | float) -> Form:
        """Multiplied by a known value of the same shape, or a scalar, or (a scalar form) of any shape."""
        factor = known(factor)
        form = self.promoted(factor.rank, factor.shape)

        def times(term: Term) -> Term:
            wide = factor.insert_axis(-1) if factor.rank else factor
            return replace(term, coefficient=term.coefficient * wide)

        return Form(form.offset * factor, tuple(map(times, form.terms)))

    def promoted(self, rank: int, shape: tuple[int, ...]) -> Form:
        """A scalar form repeated over the axes of a value."""
        if self.rank or not rank:
            return self

        def widen(value: Plated) -> Plated:
            data = value.data.reshape(value.data.shape[: len(value.dims)] + (1,) * rank + value.shape)
            return Plated(value.dims, np.broadcast_to(data, value.data.shape[: len(value.dims)] + shape + value.shape))

        return Form(widen(self.offset), tuple(t.with_arrays(widen) for t in self.terms))

    def _each(self, change: Callable[[Plated], Plated]) -> Form:
        return Form(change(self.offset), tuple(t.with_arrays(change) for t in self.terms))

    def take(self, axis: int, index: Plated) -> Form:
        return self._each(lambda a: a.take(axis, index))

    def sum_axis(self) -> Form:
        """Summed over the last axis of the value: the terms' sum takes it in."""

        def merge(value: Plated) -> Plated:
            return value.map(lambda a: a.reshape(a.shape[:-2] + (a.shape[-2] * a.shape[-1],)))

        return Form(self.offset.sum_value(1), tuple(t.with_arrays(merge) for t in self.terms))

    def dim_to_axis(self, name: str, size: int) -> Form:
        """The plate becomes the last axis of the value."""
        rank = self.rank

        def moved(term: Term) -> Term:
            shape = term.coefficient.shape
            spread = [_expand(i, shape) if name in i.dims and not i.rank else i for i in term.index]
            change = lambda a: _with_axis(a, name, rank, size)  # noqa: E731
            return replace(term, index=tuple(change(i) if i.rank else i for i in spread), coefficient=change(term.coefficient))

        return Form(_with_axis(self.offset, name, rank, size), tuple(map(moved, self.terms)))

    def negated(self) -> Form:
        return self.scale(-1.0)

    def map_last(self, matrix: Plated) -> Form:
        """`matrix @ value` for a vector form: its entries are summed with the rows' weights."""
        rows = matrix.shape[0]

        def spread(value: Plated) -> Plated:  # value axes (D, …) -> (rows, D, …)
            data = np.expand_dims(value.data, len(value.dims))
            return Plated(value.dims, np.broadcast_to(data, data.shape[: len(value.dims)] + (rows,) + data.shape[len(value.dims) + 1 :]))

        wide = self._each(spread)
        return wide.scale(matrix).sum_axis()


def _with_axis(value: Plated, name: str, place: int, size: int) -> Plated:
    if name in value.dims:
        return value.dim_to_axis(name, place)
    at = len(value.dims) + place
    data = np.expand_dims(value.data, at)
    return Plated(value.dims, np.broadcast_to(data, data.shape[:at] + (size,) + data.shape[at + 1 :]))


def constant(value: Plated) -> Form:
    return Form(value)


def stack_forms(forms: Sequence[Form]) -> Form:
    """A new first axis of the value that runs over the forms."""
    total: Form | None = None
    rank = max(f.rank for f in forms)
    shape = next(f.shape for f in forms if f.rank == rank)
    for place, form in enumerate(forms):
        form = form.promoted(rank, shape)
        chosen = np.zeros(len(forms))
        chosen[place] = 1.0

        def spread(value: Plated) -> Plated:
            data = np.expand_dims(value.data, len(value.dims))
            at = len(value.dims)
            return Plated(value.dims, np.broadcast_to(data, data.shape[:at] + (len(forms),) + data.shape[at + 1 :]))

        one = form._each(spread).scale(Plated((), np.broadcast_to(chosen.reshape((-1,) + (1,) * rank), (len(forms), *shape))))
        total = one if total is None else total + one
    assert total is not None
    return total


def select_form(condition: Plated, then: Form, otherwise: Form) -> Form:
    """`if condition then … else …`, where an infinite offset on the other side does not matter."""
    rank, shape = max(((f.rank, f.shape) for f in (then, otherwise)), key=lambda p: p[0])
    a, b = then.promoted(rank, shape), otherwise.promoted(rank, shape)
    offset = elementwise(lambda c, x, y: np.where(c != 0, x, y), condition, a.offset, b.offset)
    no = elementwise(lambda c: (c == 0) * 1.0, condition)
    yes = elementwise(lambda c: (c != 0) * 1.0, condition)
    terms = replace(a, offset=a.offset.map(np.zeros_like)).scale(yes).terms + replace(b, offset=b.offset.map(np.zeros_like)).scale(no).terms
    return Form(offset, terms)
