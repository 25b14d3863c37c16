"""Rows: a discrete variable of a long plate, by two matrix products a sweep.

Where the members of a plate differ only in observed data, a factor is affine in the features Φ of those data, so the
log-potentials of all members are `W Φ + c`, and what the other blocks need of the variable is `r Φᵀ` and `Σ r`
(r its probabilities). W and c are the factor's gradient and value at Φ = 0. Members are taken chunk by chunk and never stored;
at its optimum the variable adds the sum of its log-normalisers to the bound, which comes free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import Block
from ppl.compiler.energies import ReadyFactor, ready_factor
from ppl.compiler.expectations import part_value, slots_value, term_value
from ppl.compiler.lowering import Feature, LoweredFactor, SecondMoment
from ppl.compiler.ready import Layout, Moments, ReadySecond, positive
from ppl.factors.registry import factor

CHUNK = 8192


@dataclass(frozen=True)
class RowFactor:
    """A factor without its rows: `carrier` is the slot whose features the rows supply.

    `places` says for each of the carrier's features where its entries stand among the raw rows; `pairs` are the products of raw
    rows that the second moments need, in the order in which they follow the raw rows of this factor.
    """

    factor: ReadyFactor
    carrier: str | None
    places: tuple[tuple[str, int, tuple[int, ...]], ...]  # feature, first raw row, shape (plates but the long one, value)
    dims: tuple[str, ...]  # plates beside the long one and the enumerated one
    first_pair: int
    pairs: tuple[tuple[int, int], ...]


jax.tree_util.register_dataclass(RowFactor, data_fields=["factor"], meta_fields=["carrier", "places", "dims", "first_pair", "pairs"])


@dataclass(frozen=True)
class Rows:
    """The data of a block: raw features by member, in chunks (chunks, features, members); `mask` is 0 on the padding."""

    raw: Any
    mask: Any
    factors: tuple[RowFactor, ...]
    block: str
    members: int
    states: int
    pairs: tuple[tuple[int, int], ...]


jax.tree_util.register_dataclass(Rows, data_fields=["raw", "mask", "factors"], meta_fields=["block", "members", "states", "pairs"])


# ------------------------------------------------------------------ which blocks, and their data
def make_rows(block: Block, factors: Sequence[LoweredFactor], layout: Layout) -> Rows | None:
    """The rows of a discrete block, or None where its factors are not all of this form."""
    if block.kind != "table" or len(block.batch) != 1 or len(block.variables) != 1:
        return None
    (members,), (states,) = block.batch, block.cardinalities
    raw: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    ready: list[RowFactor] = []
    for lowered in factors:
        one = row_factor(lowered, members, raw, pairs, layout)
        if one is None:
            return None
        ready.append(one)
    table = np.concatenate(raw) if raw else np.zeros((0, members))
    chunk = min(CHUNK, max(1, members))
    chunks = -(-members // chunk)
    padded = np.zeros((table.shape[0], chunks * chunk))
    padded[:, :members] = table
    mask = (np.arange(chunks * chunk) < members) * 1.0
    cut = np.ascontiguousarray(padded.reshape(table.shape[0], chunks, chunk).transpose(1, 0, 2))
    return Rows(cut, mask.reshape(chunks, chunk), tuple(ready), block.name, members, states, tuple(pairs))


def row_factor(
    lowered: LoweredFactor, members: int, raw: list[np.ndarray], pairs: list[tuple[int, int]], layout: Layout
) -> RowFactor | None:
    if len(lowered.enumerations) != 1:
        return None
    (enumeration,) = lowered.enumerations
    (index,) = enumeration.index
    if index.start != 0 or index.data.shape[0] != members or lowered.weight.dims:
        return None
    long = index.dims[0]
    carriers = [name for name, features in lowered.slots.items() if any(long in f.dims for f in features.values())]
    if len(carriers) > 1 or any(long in a.dims for t in lowered.terms() for a in t.atoms):
        return None
    dims = tuple(d for d in lowered.sizes if d not in (long, enumeration.dim))
    if not carriers:
        return RowFactor(ready_factor(lowered, layout), None, (), dims, len(pairs), ())
    features = {k: replace(f, form=positive(f.form)) if isinstance(f, SecondMoment) else f for k, f in lowered.slots[carriers[0]].items()}
    if any(not _separable(f, long, enumeration.dim) for f in features.values()):
        return None
    places, own_pairs, stripped = [], [], {}
    first_pair = len(pairs)
    for name, feature in features.items():
        data = feature.form.offset if isinstance(feature, SecondMoment) else feature
        assert isinstance(data, Plated)
        full = data.arranged((long, *dims), {long: members, **{d: lowered.sizes[d] for d in dims}})
        origin = full.mean(axis=0) if isinstance(feature, SecondMoment) else np.zeros(full.shape[1:])
        start = sum(r.shape[0] for r in raw)
        raw.append((full - origin).reshape(members, -1).T)
        places.append((name, start, full.shape[1:]))
        stripped[name] = feature
        if isinstance(feature, SecondMoment):
            own_pairs += _pairs(start, full.shape[1:], feature.outer)
            stripped[name] = replace(feature, form=replace(feature.form, offset=Plated(dims, origin)))
        else:
            stripped[name] = Plated(dims, origin)
    pairs.extend(own_pairs)
    plain = replace(lowered, slots={**lowered.slots, carriers[0]: stripped})
    return RowFactor(ready_factor(plain, layout), carriers[0], tuple(places), dims, first_pair, tuple(own_pairs))


def _separable(feature: Feature, long: str, enumerated: str) -> bool:
    if isinstance(feature, Plated):
        return enumerated not in feature.dims
    if not isinstance(feature, SecondMoment):
        return False
    form = feature.form
    in_terms = any(long in t.coefficient.dims for t in form.terms)
    spread = feature.spread is not None and long in feature.spread.dims
    return not in_terms and not spread and not feature.rows and enumerated not in form.offset.dims


def _pairs(start: int, shape: tuple[int, ...], outer: bool) -> list[tuple[int, int]]:
    """Which products a second moment needs: squares, or for vectors all pairs i ≤ j of a member's entries."""
    if not outer:
        return [(start + k, start + k) for k in range(int(np.prod(shape, dtype=int)))]
    size = shape[-1]
    groups = int(np.prod(shape[:-1], dtype=int))
    return [(start + g * size + i, start + g * size + j) for g in range(groups) for i in range(size) for j in range(i, size)]


# ------------------------------------------------------------------ weights
def weights(rows: Rows, moments: Moments, layout: Layout) -> tuple[Any, Any]:
    """W (states, features) and c (states): the log-potentials are `W Φ + c`."""
    first = rows.raw.shape[1]
    dtype = rows.raw.dtype
    total = jnp.zeros((rows.states, first + len(rows.pairs)), dtype)
    constant = jnp.zeros((rows.states,), dtype)
    for one in rows.factors:
        w, c = _factor_weights(one, rows, moments, layout, first)
        constant = constant + c
        total = total if w is None else total + w
    return total, constant


def _factor_weights(one: RowFactor, rows: Rows, moments: Moments, layout: Layout, first: int) -> tuple[Any, Any]:
    (enumeration,) = one.factor.enumerations
    states, dims = enumeration.dim, (enumeration.dim, *one.dims)
    kind = factor(one.factor.implementation)
    sizes = dict(one.factor.sizes)
    fixed = slots_value({n: f for n, f in one.factor.slots.items() if n != one.carrier}, moments, layout)

    def by_state(values: dict[str, Any]) -> Any:
        slots = dict(fixed)
        if one.carrier is not None:
            slots[one.carrier] = _carried(one, values, moments, layout, dims)
        energy = kind.energy(**slots) * one.factor.weight
        lacking = float(np.prod([sizes[d] for d in one.dims if d not in energy.dims], initial=1.0))
        summed = energy.sum_dim(*(d for d in one.dims if d in energy.dims))
        return jnp.broadcast_to(summed.arranged((states,)), (rows.states,)) * lacking

    zeros: dict[str, Any] = {}
    for name, _, shape in one.places:
        zeros[name] = jnp.zeros((rows.states, *shape), rows.raw.dtype)
        feature = one.factor.slots[one.carrier][name] if one.carrier is not None else None
        if isinstance(feature, ReadySecond):
            second = (*shape, shape[-1]) if feature.outer else shape
            zeros[name + " second"] = jnp.zeros((rows.states, *second), rows.raw.dtype)
    constant, pull = jax.vjp(by_state, zeros)
    if one.carrier is None:
        return None, constant
    (slopes,) = pull(jnp.ones_like(constant))
    return _placed(one, slopes, rows, first), constant


def _carried(one: RowFactor, values: dict[str, Any], moments: Moments, layout: Layout, dims: tuple[str, ...]) -> Any:
    """The carrier's features where the rows' features are `values`, counted from the data's mean."""
    assert one.carrier is not None
    features = {}
    for name, ready in one.factor.slots[one.carrier].items():
        value = Plated(dims, values[name])
        if not isinstance(ready, ReadySecond):
            features[name] = value
            continue
        mean = value + ready.form.offset
        for term in ready.form.terms:
            mean = mean + term_value(term, moments, layout)
        product = (lambda m: m[..., :, None] * m[..., None, :]) if ready.outer else (lambda m: m * m)
        total = mean.map(product) + (Plated(dims, values[name + " second"]) - value.map(product))
        for part in ready.parts:
            total = total + part_value(part, ready, moments, layout)
        features[name] = total if ready.spread is None else total + ready.spread
    return SimpleNamespace(**features)


def _placed(one: RowFactor, slopes: dict[str, Any], rows: Rows, first: int) -> Any:
    """The slopes at their columns among all features."""
    columns = jnp.zeros((rows.states, first + len(rows.pairs)), rows.raw.dtype)
    pair = first + one.first_pair
    for name, start, shape in one.places:
        count = int(np.prod(shape, dtype=int))
        columns = columns.at[:, start : start + count].add(slopes[name].reshape(rows.states, count))
        second = slopes.get(name + " second")
        if second is None:
            continue
        if second.ndim == slopes[name].ndim:
            flat = second.reshape(rows.states, count)
        else:
            size = shape[-1]
            i, j = np.triu_indices(size)
            both = second + jnp.swapaxes(second, -1, -2)
            flat = jnp.where(i == j, 0.5, 1.0) * both[..., i, j]
            flat = flat.reshape(rows.states, -1)
        columns = columns.at[:, pair : pair + flat.shape[1]].add(flat)
        pair += flat.shape[1]
    return columns


# ------------------------------------------------------------------ passes over the data
def features(raw: Any, pairs: tuple[tuple[int, int], ...]) -> Any:
    """Φ of a chunk: the raw rows and their products (features, members)."""
    if not pairs:
        return raw
    i, j = np.array(pairs).T
    return jnp.concatenate([raw, raw[i] * raw[j]])


def summed(rows: Rows, responsibilities: Callable[..., tuple[Any, Any]], *others: Any) -> dict[str, Any]:
    """r Φᵀ, Σ r and the sum of the log-normalisers over all chunks; `responsibilities` gives r and those of a chunk."""
    dtype, width = rows.raw.dtype, rows.raw.shape[1] + len(rows.pairs)

    def step(sums: dict[str, Any], chunk: Any) -> tuple[dict[str, Any], None]:
        raw, mask, *rest = chunk
        phi = features(raw, rows.pairs)
        r, normaliser = responsibilities(phi, *rest)
        r = r * mask
        added = {"features": r @ phi.T, "counts": r.sum(axis=1), "normaliser": (normaliser * mask).sum()}
        return jax.tree.map(jnp.add, sums, added), None

    shapes = {"features": (rows.states, width), "counts": (rows.states,), "normaliser": ()}
    zero = {k: jnp.zeros(shape, dtype) for k, shape in shapes.items()}
    return jax.lax.scan(step, zero, (rows.raw, rows.mask, *others))[0]


def local_pass(rows: Rows, moments: Moments, layout: Layout) -> dict[str, Any]:
    """The variable at its optimum given the other blocks: what they need of it, and what it adds to the bound."""
    w, c = weights(rows, moments, layout)

    def optimum(phi: Any) -> tuple[Any, Any]:
        logits = w @ phi + c[:, None]
        top = logits.max(axis=0)
        p = jnp.exp(logits - top)
        total = p.sum(axis=0)
        return p / total, jnp.log(total) + top

    return summed(rows, optimum)


def labelled_pass(rows: Rows, labels: Any) -> dict[str, Any]:
    """The same sums where every member's state is given: a start."""
    cut = jnp.zeros(rows.mask.size, int).at[: rows.members].set(labels).reshape(rows.mask.shape)

    def given(phi: Any, label: Any) -> tuple[Any, Any]:
        return (label == jnp.arange(rows.states)[:, None]).astype(phi.dtype), jnp.zeros(label.shape, phi.dtype)

    return summed(rows, given, cut)


def collapsed_energy(rows: Rows, sums: Mapping[str, Any], moments: Moments, layout: Layout) -> Any:
    """The energy of all the block's factors, its probabilities held as they were when the sums were made."""
    w, c = weights(rows, moments, layout)
    return (w * sums["features"]).sum() + (c * sums["counts"]).sum()


def probabilities(rows: Rows, moments: Moments, layout: Layout) -> Any:
    """The table itself (members, states), for reports."""
    w, c = weights(rows, moments, layout)

    def one(chunk: Any) -> Any:
        return jax.nn.softmax((w @ features(chunk, rows.pairs) + c[:, None]).T, axis=-1)

    table = jax.lax.map(one, rows.raw)
    return table.reshape(-1, rows.states)[: rows.members]
