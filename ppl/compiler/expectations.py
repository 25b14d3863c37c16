"""Expectations inside a compiled program: the values of what was made ready, given the moments of the blocks."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from math import prod
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated, elementwise
from ppl.compiler.blocks import Block
from ppl.compiler.pairs import seen_covariance
from ppl.compiler.ready import (
    Layout,
    Moments,
    Pairing,
    Part,
    Ready,
    ReadyAtom,
    ReadyForm,
    ReadySecond,
    ReadySmooth,
    ReadyTerm,
    Side,
)
from ppl.numerics.gaussian_expectation import POINTWISE, gaussian_expectation

MEANS = {"block": "mean", "chain": "mean", "node": "mean", "border": "border mean", "pair": "location"}


def select(array: Any, axes: Sequence[int], indices: Sequence[Plated], tied: Sequence[bool] = ()) -> Plated:
    """The statistic with these axes, in rising order, turned into plates; along a tied axis all members are the same."""
    value = Plated((), array)
    for gone, (axis, index) in enumerate(zip(axes, indices, strict=True)):
        value = value.at(axis - gone, 0) if tied and tied[axis] else value.take(axis - gone, index)
    return value


def atom_value(atom: ReadyAtom | ReadySmooth, moments: Moments, layout: Layout) -> Plated:
    """The expected statistic at the entries that the atom takes."""
    if isinstance(atom, ReadySmooth):
        return smooth_value(atom, moments, layout)
    name, statistic = atom.source
    array = moments[name][MEANS[statistic]] if atom.is_gaussian else moments[layout.block_of(name).name][statistic]
    taken = select(array, atom.axes, atom.outer)
    places = taken.data.shape[: len(taken.dims)]
    flat = taken.map(lambda a: a.reshape(places + (-1,)))
    return flat.map(lambda a: a.reshape(places + atom.shape)) if atom.inner is None else flat.take(0, atom.inner)


def term_value(term: ReadyTerm, moments: Moments, layout: Layout) -> Plated:
    """`Σ_p coefficient · Π statistic[index]`."""
    factors = [atom_value(a, moments, layout) for a in term.atoms]
    if term.coefficient is not None:
        factors.append(term.coefficient)
    if term.shape[-1] == 1 and len({f.rank for f in factors}) == 1:
        product = factors[0]
        for other in factors[1:]:
            product = product * other
        return product.map(lambda a: a[..., 0])
    return multiplied(factors, summed=1)


def multiplied(factors: Sequence[Plated], summed: int) -> Plated:
    """The product of values of one rank over all their plates, summed over their last axes, in the cheapest order."""
    rank = max(f.rank for f in factors)
    if len(factors) == 1:
        return factors[0].sum_value(summed)
    if len(factors) == 2 and set(factors[0].dims) == set(factors[1].dims) and factors[0].rank == factors[1].rank:
        return (factors[0] * factors[1]).sum_value(summed)
    letters = "vwxyz"[:rank]
    return einsum([(f, letters[rank - f.rank :]) for f in factors], letters[: rank - summed])


def einsum(factors: Sequence[tuple[Plated, str]], kept: str, over: Sequence[str] = ()) -> Plated:
    """Products over plates and lettered value axes; the axes that are not kept and the plates `over` are summed."""
    dims = tuple(dict.fromkeys(d for f, _ in factors for d in f.dims))
    plates = {d: chr(65 + k) for k, d in enumerate(dims)}
    left = tuple(d for d in dims if d not in over)
    spec = ",".join("".join(plates[d] for d in f.dims) + axes for f, axes in factors) + "->" + "".join(plates[d] for d in left) + kept
    return Plated(left, jnp.einsum(spec, *(f.data for f, _ in factors)))


def form_value(form: ReadyForm, moments: Moments, layout: Layout) -> Plated:
    total = form.offset
    for term in form.terms:
        total = total + term_value(term, moments, layout)
    return total


def smooth_value(atom: ReadySmooth, moments: Moments, layout: Layout) -> Plated:
    mean = form_value(atom.form.form, moments, layout)
    if layout.at_points:
        value = mean.map(POINTWISE[atom.function])
    else:
        value = elementwise(functools.partial(gaussian_expectation, atom.function), mean, variance_value(atom.form, moments, layout))
    plates = tuple(d for d in value.dims if d not in atom.axes)
    return Plated(plates, value.arranged((*plates, *atom.axes)))


def variance_value(second: ReadySecond, moments: Moments, layout: Layout) -> Plated:
    """The variance of a scalar form of Normals, or the covariance matrix of a vector form."""
    total = Plated((), np.asarray(0.0))
    for part in second.parts:
        total = total + part_value(part, second, moments, layout)
    return total


def part_value(part: Part, second: ReadySecond, moments: Moments, layout: Layout) -> Plated:
    """`Σ_pq c_p c_q Π_b Cov_b[p, q]`, with the means of the other blocks in the coefficients; rows summed as early as can be."""
    left, right, kept = ("ip", "jq", "ij") if second.outer else ("p", "q", "")
    weights = _weights(part.left, second.form, moments, layout)
    others = _weights(part.right, second.form, moments, layout) if part.twice else weights
    entries = zip(part.left.entries, part.right.entries, part.pairings, strict=True)
    factors = [(covariance(a, b, pairing, moments, layout), left[-len(a.shape) :] + right[-len(b.shape) :]) for a, b, pairing in entries]
    factors += [(w, axes) for w, axes in ((weights, left), (others, right)) if w is not None]
    present = {d for f, _ in factors for d in f.dims}
    value = einsum(factors, kept, over=[name for name, _ in second.rows if name in present])
    for name, count in second.rows:
        if name in present:
            value = value.map(lambda a, c=count: a / c)
    if part.twice:
        value = value.map(lambda a: a + jnp.swapaxes(a, -1, -2)) if second.outer else 2.0 * value
    return value


def covariance(a: ReadyAtom, b: ReadyAtom, pairing: Pairing, moments: Moments, layout: Layout) -> Plated:
    """The covariance of the entries of two atoms of one block: plates, then the value axes of the first and of the second."""
    block = layout.blocks[a.source[0]]
    own = moments[block.name]
    if pairing.lookup is not None:
        return _banded(own, block, a).take(0, pairing.lookup)
    if a.source[1] == "pair":
        cov = select(seen_covariance(own), a.axes, a.outer)
    elif a.source[1] == b.source[1] and a.source[1] in ("chain", "node"):
        cov = _neighbours_covariance(own, block, a, b, pairing.distance)
    elif a.source[1] == b.source[1]:
        cov = select(own["cov" if a.source[1] == "block" else "border cov"], a.axes, a.outer, block.tied)
    elif a.source[1] in ("chain", "node"):
        cov = select(_by_step(own["border cross"], block), a.axes, a.outer)
    else:
        cov = select(_by_step(own["border cross"], block), b.axes, b.outer).map(_turned)
    return _entry_pairs(cov, a, b)


def _turned(array: Any) -> Any:
    return jnp.swapaxes(array, -1, -2)


def _by_step(array: Any, block: Block) -> Any:
    """Blocks of several steps in time as the steps that they hold; nodes of a forest as they are."""
    if block.chain is None:
        return array
    return array.reshape((*block.batch, block.chain.length, block.chain.width, array.shape[-1]))


def _neighbours_covariance(own: Mapping[str, Any], block: Block, a: ReadyAtom, b: ReadyAtom, distance: int) -> Plated:
    """Of steps that are the same or neighbours, of nodes that are the same or parent and child."""
    if distance == 0:
        return select(own["cov"], a.axes, a.outer)
    if distance == 1:
        return select(own["cross"], a.axes, a.outer)
    return select(own["cross"], b.axes, b.outer).map(_turned)


def _banded(own: Mapping[str, Any], block: Block, a: ReadyAtom) -> Plated:
    """All covariances within and between neighbouring blocks of steps, flat, over the plates of the batch."""
    batch = len(block.batch)
    parts = [own["cov"], own["cross"], _turned(own["cross"])]
    flat = jnp.concatenate([p.reshape((*p.shape[:batch], -1)) for p in parts], axis=-1)
    return select(flat, a.axes[:-1], a.outer[:-1])


def _entry_pairs(cov: Plated, a: ReadyAtom, b: ReadyAtom) -> Plated:
    """The entries that two atoms take of a covariance matrix over the plates."""
    places, size = cov.data.shape[: len(cov.dims)], cov.shape[-1]
    if a.inner is not None and b.inner is not None and _run_alike(a.inner, b.inner):
        return _variances(cov, a.inner, len(b.shape))
    rows, columns = _entries(a), _entries(b)
    if all(i.start is not None and not i.dims for i in (rows, columns)):
        return cov.take(0, rows).take(len(a.shape), columns)
    width = len(b.shape)
    rows = rows.map(lambda i: i.reshape(i.shape + (1,) * width))
    columns = columns.map(lambda i: i.reshape(i.shape[: len(columns.dims)] + (1,) * len(a.shape) + b.shape))
    return cov.map(lambda c: c.reshape(places + (-1,))).take(0, rows * size + columns)


def _run_alike(a: Plated, b: Plated) -> bool:
    """Whether two indices run over the same plates."""
    return a.start is not None and bool(a.dims) and (a.start, a.dims) == (b.start, b.dims)


def _variances(cov: Plated, index: Plated, rank: int) -> Plated:
    """The diagonal entries that a running index takes, with as many value axes of length 1 again."""
    places, size = cov.data.shape[: len(cov.dims)], cov.shape[-1]
    found = cov.map(lambda c: c.reshape(places + (-1,))[..., :: size + 1]).take(0, index)
    for _ in range(rank):
        found = found.insert_axis(-1)
    return found


def _entries(atom: ReadyAtom) -> Plated:
    return atom.inner if atom.inner is not None else Plated((), np.arange(prod(atom.shape)).reshape(atom.shape), start=0)


def _times(weight: Plated, other: Plated) -> Plated:
    """Multiplied by what may lack the value axes."""
    lacking = weight.rank - other.rank
    return weight * other.map(lambda a: a.reshape(a.shape[: len(other.dims)] + (1,) * lacking + other.shape))


def _weights(part: Side, form: ReadyForm, moments: Moments, layout: Layout) -> Plated | None:
    """The coefficient of each entry: those of the terms times the means of their other atoms; None where all are 1."""
    found: list[Plated] = []
    plain = True
    for k, chosen in part.groups:
        term = form.terms[k]
        others = [atom_value(a, moments, layout) for c, a in enumerate(term.atoms) if c not in chosen]
        whole = all(len(e.shape) == len(term.shape) for e in part.entries)
        plain = plain and not others and term.coefficient is None and whole
        weight = term.coefficient if term.coefficient is not None else Plated((), np.ones(term.shape))
        for other in others:
            weight = _times(weight, other)
        found.append(weight)
    if plain:
        return None
    if len(found) == 1:
        return found[0]
    dims = tuple(dict.fromkeys(d for w in found for d in w.dims))
    lengths = {d: n for w in found for d, n in w.sizes.items()}
    return Plated(dims, jnp.concatenate([w.arranged(dims, lengths) for w in found], axis=-1))


def second_value(second: ReadySecond, moments: Moments, layout: Layout) -> Plated:
    """E[e²] or E[e eᵀ]: the square of the mean, the form's own variance, and that of the data it stands for."""
    mean = form_value(second.form, moments, layout)
    present = [(name, count) for name, count in second.rows if name in mean.dims]
    total = einsum([(mean, "i"), (mean, "j")], "ij", over=[name for name, _ in present]) if second.outer else mean * mean
    total = total.map(lambda a: a / prod(c for _, c in present)) if second.outer else _averaged(total, second.rows)
    for part in second.parts:
        total = total + part_value(part, second, moments, layout)
    return total if second.spread is None else total + _averaged(second.spread, second.rows)


def _averaged(value: Plated, rows: Sequence[tuple[str, float]]) -> Plated:
    for name, count in rows:
        if name in value.dims:
            value = value.sum_dim(name).map(lambda a, c=count: a / c)
    return value


def feature_value(feature: Ready, moments: Moments, layout: Layout) -> Plated:
    if isinstance(feature, ReadyForm):
        return form_value(feature, moments, layout)
    if isinstance(feature, ReadySecond):
        return second_value(feature, moments, layout)
    return feature


def slots_value(slots: Mapping[str, Mapping[str, Ready]], moments: Moments, layout: Layout) -> dict[str, SimpleNamespace]:
    """What a factor's energy is given: each slot with its expected features."""
    return {name: SimpleNamespace(**{k: feature_value(f, moments, layout) for k, f in fs.items()}) for name, fs in slots.items()}
