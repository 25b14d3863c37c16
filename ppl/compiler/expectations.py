"""Expectations inside a compiled program: forms made ready, and their values given the moments of the blocks.

What is ready is a tree of arrays with a static skeleton, so that data are arguments of the compiled program and never constants
in it. Indices that name a plate are slices, indices that take everything are dropped, coefficients that are all 1 are not
multiplied.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import Block
from ppl.compiler.forms import Form, Term
from ppl.compiler.latents import GAUSSIAN, LatentVariable
from ppl.compiler.lowering import Feature, SecondMoment

jax.tree_util.register_dataclass(Plated, data_fields=["data"], meta_fields=["dims", "start"])


@dataclass(frozen=True)
class ReadyTerm:
    """Takes entries of a statistic: `outer` indexes its `axes` by plates, `inner` (flat) the entries of what is left."""

    outer: tuple[Plated, ...]
    inner: Plated | None
    coefficient: Plated | None
    shape: tuple[int, ...]  # value axes and the term's own
    source: tuple[str, str]  # a variable and its statistic, or a block and "block"
    axes: tuple[int, ...]


@dataclass(frozen=True)
class ReadyForm:
    """An offset and the terms that are added to it."""

    offset: Plated
    terms: tuple[ReadyTerm, ...]


@dataclass(frozen=True)
class ReadySecond:
    form: ReadyForm
    spread: Plated | None
    outer: bool
    rows: tuple[str, float] | None


jax.tree_util.register_dataclass(ReadyTerm, data_fields=["outer", "inner", "coefficient"], meta_fields=["shape", "source", "axes"])
jax.tree_util.register_dataclass(ReadyForm, data_fields=["offset", "terms"], meta_fields=[])
jax.tree_util.register_dataclass(ReadySecond, data_fields=["form", "spread"], meta_fields=["outer", "rows"])

Ready = Plated | ReadyForm | ReadySecond

#: The moments of each block: Gaussian (mean, covariance), others by statistic; keyed by block name.
Moments = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Layout:
    """Where each latent variable lives."""

    latents: Mapping[str, LatentVariable]
    blocks: Mapping[str, Block]  # by block name

    @property
    def signature(self) -> Hashable:
        """Everything that a compiled program depends on, as one value that can be compared."""
        variables = tuple((v.name, v.family, v.plates, v.event, v.cardinality) for v in self.latents.values())
        blocks = tuple(
            (b.name, b.kind, b.variables, b.batch, tuple(b.batch_axes.items()), b.size, tuple(p.tobytes() for p in b.positions.values()))
            for b in self.blocks.values()
        )
        return variables, blocks

    def block_of(self, variable: str) -> Block:
        return next(b for b in self.blocks.values() if variable in b.variables)


# ------------------------------------------------------------------ making ready
def ready(feature: Feature, layout: Layout) -> Ready:
    if isinstance(feature, Plated):
        return feature
    if isinstance(feature, SecondMoment):
        return ReadySecond(ready_form(feature.form, layout), feature.spread, feature.outer, feature.rows)
    return ready_form(feature, layout)


def ready_form(form: Form, layout: Layout) -> ReadyForm:
    gaussian: dict[str, list[Term]] = {}
    terms: list[ReadyTerm] = []
    for term in form.terms:
        if layout.latents[term.variable].family in GAUSSIAN:
            gaussian.setdefault(layout.block_of(term.variable).name, []).append(term)
        else:
            terms.append(_ready_term(term, layout.latents[term.variable].statistic_shape(term.statistic)))
    for name, parts in gaussian.items():
        terms.append(_join([_ready_gaussian(t, layout.blocks[name]) for t in parts]))
    return ReadyForm(form.offset, tuple(terms))


def _coefficient(value: Plated) -> Plated | None:
    return None if not value.dims and bool(np.all(value.data == 1.0)) else value


def _flat(index: Sequence[Plated], lengths: tuple[int, ...], shape: tuple[int, ...]) -> Plated | None:
    """One index into the flattened remaining axes; None where it takes everything in order."""
    dims = tuple(dict.fromkeys(d for i in index for d in i.dims))
    total = np.zeros((1,) * len(dims) + shape, int)
    for i, length in zip(index, lengths, strict=True):
        data = i.arranged(dims)
        data = data if i.rank else data.reshape(data.shape + (1,) * len(shape))
        total = total * length + data
    count = int(np.prod(lengths, dtype=int))
    if not dims and total.size == count and np.array_equal(total.ravel(), np.arange(count)):
        return None
    return Plated(dims, np.broadcast_to(total, total.shape[: len(dims)] + shape))


def _ready_term(term: Term, lengths: tuple[int, ...]) -> ReadyTerm:
    shape = term.coefficient.shape
    axes = tuple(k for k, i in enumerate(term.index) if not i.rank)
    rest = [k for k, i in enumerate(term.index) if i.rank]
    inner = _flat([term.index[k] for k in rest], tuple(lengths[k] for k in rest), shape)
    outer = tuple(term.index[k] for k in axes)
    return ReadyTerm(outer, inner, _coefficient(term.coefficient), shape, (term.variable, term.statistic), axes)


def _ready_gaussian(term: Term, block: Block) -> ReadyTerm:
    axes = block.batch_axes[term.variable]
    positions = block.positions[term.variable]
    shape = term.coefficient.shape
    outer = tuple(term.index[a] for a in axes)
    rest = [i for a, i in enumerate(term.index) if a not in axes]
    dims = tuple(dict.fromkeys(d for i in rest for d in i.dims))
    placed = [i.arranged(dims) if i.rank else i.arranged(dims).reshape(i.arranged(dims).shape + (1,) * len(shape)) for i in rest]
    inner = positions[tuple(placed)] if placed else positions.reshape((1,) * len(shape))
    inner = np.broadcast_to(inner, inner.shape[: len(dims)] + shape)
    whole = not dims and inner.size == block.size and np.array_equal(inner.ravel(), np.arange(block.size))
    taken = None if whole else Plated(dims, inner)
    return ReadyTerm(outer, taken, _coefficient(term.coefficient), shape, (block.name, "block"), tuple(range(len(axes))))


def _join(terms: list[ReadyTerm]) -> ReadyTerm:
    """The terms of one Gaussian block side by side: they share its batch, and their entries follow each other."""
    if len(terms) == 1:
        return terms[0]

    def joined(values: list[Plated]) -> Plated:
        dims = tuple(dict.fromkeys(d for v in values for d in v.dims))
        lengths = {d: n for v in values for d, n in v.sizes.items()}
        return Plated(dims, np.concatenate([v.arranged(dims, lengths) for v in values], axis=-1))

    shape = (*terms[0].shape[:-1], sum(t.shape[-1] for t in terms))
    whole = [t.inner if t.inner is not None else Plated((), np.arange(int(np.prod(t.shape))).reshape(t.shape)) for t in terms]
    inner = joined(whole)
    coefficient = joined([t.coefficient if t.coefficient is not None else Plated((), np.ones(t.shape)) for t in terms])
    return ReadyTerm(terms[0].outer, inner, _coefficient(coefficient), shape, terms[0].source, terms[0].axes)


# ------------------------------------------------------------------ values
def select(array: Any, axes: Sequence[int], indices: Sequence[Plated]) -> Plated:
    """The statistic with these axes, in rising order, turned into plates."""
    value = Plated((), array)
    for gone, (axis, index) in enumerate(zip(axes, indices, strict=True)):
        value = value.take(axis - gone, index)
    return value


def _entries(value: Plated, inner: Plated | None, shape: tuple[int, ...]) -> Plated:
    """The entries that a term takes of what its plates selected."""
    places = value.data.shape[: len(value.dims)]
    flat = value.map(lambda a: a.reshape(places + (-1,)))
    if inner is None:
        return flat.map(lambda a: a.reshape(places + shape))
    return flat.take(0, inner)


def term_value(term: ReadyTerm, moments: Moments, layout: Layout) -> Plated:
    """`Σ_p coefficient · statistic[index]`."""
    name, statistic = term.source
    if statistic == "block":
        array = moments[name]["mean"]
    else:
        array = moments[layout.block_of(name).name][statistic]
    taken = _entries(select(array, term.axes, term.outer), term.inner, term.shape)
    if term.coefficient is not None:
        taken = taken * term.coefficient
    return taken.sum_value() if term.shape[-1] != 1 else taken.map(lambda a: a[..., 0])


def form_value(form: ReadyForm, moments: Moments, layout: Layout) -> Plated:
    total = form.offset
    for term in form.terms:
        total = total + term_value(term, moments, layout)
    return total


def covariance(term: ReadyTerm, moments: Moments, outer: bool) -> Plated:
    """The variance of a scalar form's part in one block, or the covariance matrix of a vector form's."""
    cov = select(moments[term.source[0]]["cov"], term.axes, term.outer)  # plates; E, E
    if outer:
        return _matrix_covariance(cov, term)
    if term.inner is not None:
        cov = _pairs(cov, term.inner, term.shape[-1])
    if term.coefficient is None:
        return cov.sum_value(2)
    weights = term.coefficient
    dims = tuple(dict.fromkeys((*weights.dims, *cov.dims)))
    if not cov.dims:
        product = Plated(weights.dims, jnp.matmul(weights.data, cov.data))
    else:
        product = Plated(dims, jnp.matmul(weights.arranged(dims)[..., None, :], cov.arranged(dims))[..., 0, :])
    return (product * weights).sum_value()


def _pairs(cov: Plated, inner: Plated, width: int) -> Plated:
    """Cov[e_p, e_q] for the entries that a scalar form takes."""
    rows = inner.map(lambda a: a[..., :, None] + jnp.zeros((1, width), int))
    columns = inner.map(lambda a: a[..., None, :] + jnp.zeros((width, 1), int))
    size = cov.shape[-1]
    flat = cov.map(lambda a: a.reshape(a.shape[:-2] + (size * size,)))
    return flat.take(0, Plated(rows.dims, rows.data * size + columns.data))


def _matrix_covariance(cov: Plated, term: ReadyTerm) -> Plated:
    rows, width = term.shape
    if term.inner is not None or width != 1:
        size = cov.shape[-1]
        inner = term.inner if term.inner is not None else Plated((), np.arange(rows * width).reshape(rows, width))
        flat = inner.map(lambda a: a.reshape(a.shape[:-2] + (rows * width,)))
        cov = _pairs(cov, flat, rows * width) if size != 0 else cov
    if term.coefficient is None and width == 1:
        return cov
    shape = (rows, width, rows, width)
    weights = term.coefficient if term.coefficient is not None else Plated((), np.ones((rows, width)))
    dims = tuple(dict.fromkeys((*weights.dims, *cov.dims)))
    full = cov.arranged(dims)
    full = full.reshape(full.shape[: len(dims)] + shape)
    w = weights.arranged(dims)
    return Plated(dims, (w[..., :, :, None, None] * full * w[..., None, None, :, :]).sum(axis=(-3, -1)))


def variance_value(form: ReadyForm, moments: Moments, layout: Layout) -> Plated:
    """The variance of a scalar form of Normals: that of each block, added."""
    total = Plated((), np.asarray(0.0))
    for term in form.terms:
        total = total + covariance(term, moments, False)
    return total


def second_value(second: ReadySecond, moments: Moments, layout: Layout) -> Plated:
    """E[e²] or E[e eᵀ]: the square of the mean, the form's own variance, and that of the data it stands for."""
    mean = form_value(second.form, moments, layout)
    if second.outer:
        total = mean.map(lambda m: m[..., :, None] * m[..., None, :])
    else:
        total = mean * mean
    for term in second.form.terms:
        total = total + covariance(term, moments, second.outer)
    if second.rows is not None:
        name, count = second.rows
        total = total.sum_dim(name).map(lambda a: a / count)
    return total if second.spread is None else total + second.spread


def feature_value(feature: Ready, moments: Moments, layout: Layout) -> Plated:
    if isinstance(feature, ReadyForm):
        return form_value(feature, moments, layout)
    if isinstance(feature, ReadySecond):
        return second_value(feature, moments, layout)
    return feature


def slots_value(slots: Mapping[str, Mapping[str, Ready]], moments: Moments, layout: Layout) -> dict[str, SimpleNamespace]:
    """What a factor's energy is given: each slot with its expected features."""
    return {name: SimpleNamespace(**{k: feature_value(f, moments, layout) for k, f in fs.items()}) for name, fs in slots.items()}
