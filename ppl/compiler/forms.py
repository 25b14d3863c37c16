"""Forms: multilinear functions of the statistics of latent variables.

A `Form` is an offset and terms `coefficient · statistic[index] · statistic'[index'] …`, each summed over a last axis of its own; the
variables of one term are different ones. Messages flow back through it by reverse mode: a gather becomes a scatter-add, a
matrix product its transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ppl.arrays.plated import Plated, elementwise, known


@dataclass(frozen=True)
class Atom:
    """`statistic(variable)[index]`.

    `index` has an entry for each axis of the variable's statistic: without value axes (the same place for the whole value), or
    with those of the term's coefficient.
    """

    variable: str
    statistic: str
    index: tuple[Plated, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.variable,)

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d for i in self.index for d in i.dims))

    def with_arrays(self, change: Callable[[Plated], Plated]) -> Atom:
        return replace(self, index=tuple(change(i) if i.rank else i for i in self.index))

    def spread(self, name: str, shape: tuple[int, ...]) -> Atom:
        """An index that has this plate, and no value axes, repeated over those of the coefficient."""
        return replace(self, index=tuple(_expand(i, shape) if name in i.dims and not i.rank else i for i in self.index))


@dataclass(frozen=True)
class SmoothAtom:
    """`E φ(form)` for a smooth function φ of scalars that are affine in Normal variables.

    The value axes of the form are those of the term's coefficient. Its own sums stand aside as a plate while an array changes.
    """

    form: Form
    function: str

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(sorted(self.form.variables))

    @property
    def dims(self) -> tuple[str, ...]:
        return self.form.dims

    def with_arrays(self, change: Callable[[Plated], Plated]) -> SmoothAtom:
        def aside(value: Plated) -> Plated:
            moved = change(Plated(("·", *value.dims), np.moveaxis(value.data, -1, 0)))
            return Plated(moved.dims[1:], np.moveaxis(moved.data, 0, -1))

        terms = tuple(term.with_arrays(aside) for term in self.form.terms)
        return replace(self, form=Form(change(self.form.offset), terms))

    def spread(self, name: str, shape: tuple[int, ...]) -> SmoothAtom:
        terms = tuple(replace(t, atoms=tuple(a.spread(name, (*shape, t.coefficient.shape[-1])) for a in t.atoms)) for t in self.form.terms)
        return replace(self, form=replace(self.form, terms=terms))


@dataclass(frozen=True)
class Term:
    """`Σ_p coefficient[…, p] · Π atom[…, p]`: more than one atom is a product of latent values."""

    atoms: tuple[Atom | SmoothAtom, ...]
    coefficient: Plated  # value axes of the form, then p

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(v for a in self.atoms for v in a.variables)

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.coefficient.dims, *(d for a in self.atoms for d in a.dims))))

    def with_arrays(self, change: Callable[[Plated], Plated]) -> Term:
        """The change applied to the coefficient and to each index that has value axes."""
        return Term(tuple(a.with_arrays(change) for a in self.atoms), change(self.coefficient))

    def times(self, other: Term) -> Term:
        """The product of two terms of equal value axes, summed over both sums."""
        p, q = self.coefficient.shape[-1], other.coefficient.shape[-1]

        def left(value: Plated) -> Plated:
            return value.map(lambda a: np.repeat(a, q, axis=-1))

        def right(value: Plated) -> Plated:
            return value.map(lambda a: np.tile(a, (1,) * (a.ndim - 1) + (p,)))

        a, b = (self if q == 1 else self.with_arrays(left)), (other if p == 1 else other.with_arrays(right))
        return Term(a.atoms + b.atoms, a.coefficient * b.coefficient)


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
        return tuple(dict.fromkeys((*self.offset.dims, *(d for t in self.terms for d in t.dims))))

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(v for t in self.terms for v in t.variables)

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

    def times(self, other: Form) -> Form:
        """The product, entry by entry, of forms in different variables."""
        a, b = self.promoted(other.rank, other.shape), other.promoted(self.rank, self.shape)
        linear = replace(a, offset=a.offset.map(np.zeros_like)).scale(b.offset).terms if np.any(b.offset.data) else ()
        mirrored = replace(b, offset=b.offset.map(np.zeros_like)).scale(a.offset).terms if np.any(a.offset.data) else ()
        return Form(a.offset * b.offset, (*linear, *mirrored, *(t.times(u) for t in a.terms for u in b.terms)))

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
            spread = tuple(a.spread(name, shape) for a in term.atoms)
            return Term(spread, term.coefficient).with_arrays(lambda a: _with_axis(a, name, rank, size))

        return Form(_with_axis(self.offset, name, rank, size), tuple(map(moved, self.terms)))

    def negated(self) -> Form:
        return self.scale(-1.0)

    def repeated(self, axis: int, size: int) -> Form:
        """The value with a new axis along which it is the same."""

        def spread(value: Plated) -> Plated:
            at = len(value.dims) + axis
            data = np.expand_dims(value.data, at)
            return Plated(value.dims, np.broadcast_to(data, data.shape[:at] + (size,) + data.shape[at + 1 :]))

        return self._each(spread)

    def flattened(self) -> Form:
        """The axes of the value as one."""
        rank = self.rank

        def merge(value: Plated) -> Plated:
            return value.map(lambda a: a.reshape(a.shape[: len(value.dims)] + (-1,) + a.shape[len(value.dims) + rank :]))

        return self._each(merge)

    def transposed(self) -> Form:
        """The two axes of a matrix exchanged."""
        return self._each(lambda a: a.map(lambda v: np.moveaxis(v, len(a.dims), len(a.dims) + 1)))


def _with_axis(value: Plated, name: str, place: int, size: int) -> Plated:
    if name in value.dims:
        return value.dim_to_axis(name, place)
    at = len(value.dims) + place
    data = np.expand_dims(value.data, at)
    return Plated(value.dims, np.broadcast_to(data, data.shape[:at] + (size,) + data.shape[at + 1 :]))


def constant(value: Plated) -> Form:
    return Form(value)


def smooth(function: str, form: Form) -> Form:
    """`E φ(form)`, entry by entry, as a form."""
    inner = form._each(lambda a: a.insert_axis(form.rank))
    return Form(form.offset.map(np.zeros_like), (Term((SmoothAtom(inner, function),), Plated((), np.ones((*form.shape, 1)))),))


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
