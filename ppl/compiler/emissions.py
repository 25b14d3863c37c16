"""Emissions: what each step of a long chain explains, by two matrix products a sweep.

As for rows, a factor of one state and its data is affine in the features Φ of the data: the log-potentials of all steps are `W Φ + c`,
and what the other blocks need of the chain is `r Φᵀ` and `Σ r`, r the probabilities of its states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated, running
from ppl.compiler.blocks import Block
from ppl.compiler.discrete_chains import DiscreteChain
from ppl.compiler.discrete_structure import patterns_of
from ppl.compiler.lowering import Feature, LoweredFactor, SecondMoment
from ppl.compiler.ready import Layout
from ppl.compiler.rows import CHUNK, RowFactor, Rows, features, row_factor, summed

LONG = 256  # members from which it is worth it
AT_ONCE = 2**22  # numbers of features that are not cut into chunks


def make_emissions(block: Block, factors: Sequence[LoweredFactor], layout: Layout) -> tuple[Rows, list[int]] | None:
    """The rows of a chain, and which of the factors they hold."""
    chain = block.structure
    if not isinstance(chain, DiscreteChain) or chain.window > 1 or len(chain.cells) > 1 or math.prod((*chain.batch, chain.steps)) < LONG:
        return None
    raw: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    ready: list[RowFactor] = []
    taken: list[int] = []
    for k, factor in enumerate(factors):
        merged = _over_one_plate(factor, block, chain)
        made = None if merged is None else row_factor(merged, merged.sizes["row"], raw, pairs, layout)
        if made is not None:
            ready.append(made)
            taken.append(k)
    return (_rows(raw, pairs, ready, block, chain), taken) if ready else None


def _rows(raw: list[np.ndarray], pairs: list[tuple[int, int]], ready: list[RowFactor], block: Block, chain: DiscreteChain) -> Rows:
    members = math.prod((*chain.batch, chain.steps))
    table = np.concatenate(raw) if raw else np.zeros((0, members))
    chunk = members if members * (len(table) + len(pairs)) <= AT_ONCE else CHUNK
    chunks = -(-members // chunk)
    padded = np.zeros((table.shape[0], chunks * chunk))
    padded[:, :members] = table
    mask = (np.arange(chunks * chunk) < members) * 1.0
    cut = np.ascontiguousarray(padded.reshape(table.shape[0], chunks, chunk).transpose(1, 0, 2))
    return Rows(cut, mask.reshape(chunks, chunk), tuple(ready), block.name, members, chain.states, tuple(pairs))


def _over_one_plate(factor: LoweredFactor, block: Block, chain: DiscreteChain) -> LoweredFactor | None:
    """The factor with the plates of all sequences and steps as one, where it holds one state of each and nothing latent knows which."""
    if len(factor.enumerations) != 1 or factor.enumerations[0].variable not in block.variables:
        return None
    (enumeration,) = factor.enumerations
    axes = (*block.batch_axes[enumeration.variable], chain.times[enumeration.variable])
    index = [enumeration.index[k] for k in axes]
    dims = tuple(d for i in index for d in i.dims)
    lengths = (*chain.batch, chain.steps)
    if len(set(dims)) != len(axes) or any(i.start != 0 or i.data.shape != (n,) for i, n in zip(index, lengths, strict=True)):
        return None
    if set(dims) & {d for t in factor.terms() for d in t.dims} or set(dims) & set(factor.weight.dims):
        return None
    sizes = dict(zip(dims, lengths, strict=True))
    slots = {name: {k: _merged(f, dims, sizes) for k, f in fs.items()} for name, fs in factor.slots.items()}
    made = replace(enumeration, index=(running("row", 0, math.prod(lengths)),))
    rest = {d: n for d, n in factor.sizes.items() if d not in sizes}
    return replace(factor, slots=slots, enumerations=(made,), sizes={"row": math.prod(lengths), **rest})


def _merged(feature: Feature, dims: tuple[str, ...], sizes: Mapping[str, int]) -> Feature:
    if isinstance(feature, SecondMoment):
        spread = None if feature.spread is None else _one_plate(feature.spread, dims, sizes)
        return replace(feature, form=replace(feature.form, offset=_one_plate(feature.form.offset, dims, sizes)), spread=spread)
    return _one_plate(feature, dims, sizes) if isinstance(feature, Plated) else feature


def _one_plate(value: Plated, dims: tuple[str, ...], sizes: Mapping[str, int]) -> Plated:
    if not set(dims) & set(value.dims):
        return value
    rest = tuple(d for d in value.dims if d not in dims)
    full = value.arranged((*dims, *rest), {**value.sizes, **sizes})
    return Plated(("row", *rest), full.reshape(math.prod(sizes.values()), *full.shape[len(dims) :]))


def without(block: Block, factors: Sequence[LoweredFactor]) -> Block:
    """The block with the patterns that these factors ask for alone."""
    chain = block.structure
    assert isinstance(chain, DiscreteChain)
    asked = patterns_of(factors, block.variables)
    kept = [(p, g) for p, g in zip(chain.patterns, chain.groups, strict=True) if any(p.like(a) for a in asked)]
    return replace(block, structure=replace(chain, patterns=tuple(p for p, _ in kept), groups=tuple(g for _, g in kept)))


# ------------------------------------------------------------------ inside a program
def log_potentials(rows: Rows, w: Any, c: Any) -> Any:
    """Of every member and state."""

    def one(raw: Any) -> Any:
        return features(raw, rows.pairs).T @ w.T + c

    if len(rows.raw) == 1:
        return one(rows.raw[0])
    return jax.lax.map(one, rows.raw).reshape(-1, rows.states)[: rows.members]


def sums_of(rows: Rows, probabilities: Any) -> dict[str, Any]:
    """What the other blocks need of the states' probabilities (members, states)."""
    zero = jnp.zeros((), probabilities.dtype)
    if len(rows.raw) == 1:
        phi = features(rows.raw[0], rows.pairs)
        return {"features": (phi @ probabilities).T, "counts": probabilities.sum(axis=0), "normaliser": zero}
    padding = rows.mask.size - rows.members
    cut = jnp.pad(probabilities, ((0, padding), (0, 0))).reshape(*rows.mask.shape, rows.states)
    return summed(rows, lambda phi, r: (r.T, jnp.zeros(r.shape[0], r.dtype)), cut)


def no_sums(rows: Rows, dtype: Any) -> dict[str, Any]:
    width = rows.raw.shape[1] + len(rows.pairs)
    return {"features": np.zeros((rows.states, width), dtype), "counts": np.zeros(rows.states, dtype), "normaliser": np.zeros((), dtype)}
