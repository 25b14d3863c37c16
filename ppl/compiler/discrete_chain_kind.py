"""Blocks that are chains of discrete variables: the gradient of the energy is their potentials, the family their marginals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.discrete_chains import DiscreteChain, Group
from ppl.compiler.discrete_structure import Pattern
from ppl.factors.factor import IMPOSSIBLE
from ppl.families import discrete_chain as family

Arrays = dict[str, Any]
NEARLY_IMPOSSIBLE = 0.1 * IMPOSSIBLE


# ------------------------------------------------------------------ between patterns and the states of windows
def potentials(chain: DiscreteChain, gradient: Arrays) -> tuple[Any, Any]:
    """Log-potentials of the windows (batch, windows, states), with those of the emissions where they are given besides, and of the
    steps between them (… , states, states)."""
    dtype = gradient["0"].dtype
    site = gradient.get("emission", jnp.zeros((*chain.batch, chain.windows, chain.states), dtype))
    pair = jnp.zeros(_pair_plates(chain) + (chain.step_states,) * 2, dtype) if chain.window == 1 else None
    if pair is None:
        inner = chain.states // chain.step_states
        pair = jnp.zeros((*_pair_plates(chain), chain.step_states, inner, chain.step_states), dtype)
    for k, (pattern, groups) in enumerate(zip(chain.patterns, chain.groups, strict=True)):
        table = gradient[str(k)] / pattern.average_of
        for group in groups:
            if group.pair:
                pair = _added(pair, table, pattern, group, chain)
            else:
                site = _added(site, table, pattern, group, chain)
    if chain.window > 1:
        inner = pair.shape[-2]
        alike = jnp.eye(inner, dtype=bool)[:, :, None]
        pair = jnp.where(alike, pair[..., :, :, None, :], IMPOSSIBLE).reshape(*pair.shape[:-3], chain.states, chain.states)
    return site, pair


def _pair_plates(chain: DiscreteChain) -> tuple[int, ...]:
    if chain.homogeneous:
        return () if chain.tied else chain.batch
    return (*chain.batch, chain.windows - 1)


def _axes(chain: DiscreteChain, group: Group) -> tuple[int, ...]:
    """The cardinalities of the axes that the group's slots number."""
    return chain.cardinalities * (chain.window + group.pair)


def _added(total: Any, table: Any, pattern: Pattern, group: Group, chain: DiscreteChain) -> Any:
    """The potentials with those of one group."""
    plates, event = total.ndim - (1 if not group.pair else 2 if chain.window == 1 else 3), len(pattern.cardinalities)
    kept = [n if kept else 1 for n, kept in zip(pattern.sizes, pattern.kept, strict=True)]
    table = table.reshape(*kept, *pattern.cardinalities)
    table = jnp.moveaxis(table, range(table.ndim - event, table.ndim), [len(kept) + k for k in np.argsort(np.argsort(group.slots))])
    axes = _axes(chain, group)
    if group.run is None:
        table = jnp.broadcast_to(table, (*pattern.sizes, *table.shape[len(kept) :]))
        table = _widened(table.reshape(-1, *table.shape[len(kept) :])[group.members], axes, group)
        flat = total.reshape(-1, *total.shape[plates:])
        return flat.at[group.windows].add(table.reshape(-1, *total.shape[plates:])).reshape(total.shape)
    table = jnp.transpose(table, (*group.order, *range(len(kept), table.ndim)))
    table = _widened(table, axes, group)
    table = table.reshape(*table.shape[: len(kept)], *total.shape[plates:])
    if group.pair and chain.homogeneous:
        table = table.reshape(table.shape[: len(chain.batch)] + table.shape[len(kept) :])
        return total + (table.reshape(total.shape) if chain.tied else table)
    count = pattern.sizes[group.order[-1]]
    missing = total.shape[plates - 1] - count
    if not missing:
        return total + table
    wide = jnp.broadcast_to(table, (*table.shape[: len(chain.batch)], count, *table.shape[len(kept) :]))
    assert group.run is not None
    padding = [(0, 0)] * len(chain.batch) + [(group.run, missing - group.run)] + [(0, 0)] * (total.ndim - plates)
    return total + jnp.pad(wide, padding)


def _widened(table: Any, axes: tuple[int, ...], group: Group) -> Any:
    """A table whose value axes are those of the slots, in their order, repeated over all the axes of a state."""
    plates = table.ndim - len(group.slots)
    shape = table.shape[:plates] + tuple(n if k in group.slots else 1 for k, n in enumerate(axes))
    return jnp.broadcast_to(table.reshape(shape), table.shape[:plates] + axes)


def pattern_moments(chain: DiscreteChain, unary: Any, pairwise: Any) -> Arrays:
    """Each pattern's probabilities, from those of the windows and of the steps between them (summed over them where homogeneous)."""
    if chain.window > 1:
        inner = chain.states // chain.step_states
        split = pairwise.reshape(*pairwise.shape[:-2], chain.step_states, inner, inner, chain.step_states)
        pairwise = jnp.einsum("...ammb->...amb", split).reshape(*pairwise.shape[:-2], -1)
    else:
        pairwise = pairwise.reshape(*pairwise.shape[:-2], -1)
    found = {}
    for k, (pattern, groups) in enumerate(zip(chain.patterns, chain.groups, strict=True)):
        total: Any = None
        for group in groups:
            part = _taken(pairwise if group.pair else unary, pattern, group, chain)
            total = part if total is None else total + part
        found[str(k)] = total
    return found


def _taken(probabilities: Any, pattern: Pattern, group: Group, chain: DiscreteChain) -> Any:
    """One group's share of a pattern."""
    axes = _axes(chain, group)
    gone = tuple(k for k in range(len(axes)) if k not in group.slots)
    places = tuple(np.argsort(np.argsort(group.slots)))  # where each place's axis is among those that are left

    def shared(flat: Any) -> Any:
        plates = flat.ndim - 1
        table = flat.reshape(*flat.shape[:plates], *axes).sum(axis=tuple(plates + k for k in gone))
        return jnp.transpose(table, (*range(plates), *(plates + int(k) for k in places)))

    tied = tuple(k for k, kept in enumerate(pattern.kept) if not kept)
    if group.run is None:
        assert group.members is not None and group.windows is not None
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        table = shared(rows[group.windows])
        if not any(pattern.kept):
            return table.sum(axis=0) / pattern.average_of
        full = jnp.zeros((math.prod(pattern.sizes), *pattern.cardinalities), table.dtype).at[group.members].set(table)
        return full.reshape(*pattern.sizes, *pattern.cardinalities).sum(axis=tied) / pattern.average_of
    if group.pair and chain.homogeneous:
        summed = probabilities  # over time already
    else:
        cut = probabilities[(slice(None),) * len(chain.batch) + (slice(group.run, group.run + pattern.sizes[group.order[-1]]),)]
        summed = cut.sum(axis=len(chain.batch)) if group.order[-1] in tied else cut
    lost = tuple(k for k in range(len(chain.batch)) if group.order[k] in tied)
    table = shared(summed.sum(axis=lost) if lost else summed)
    left = [d for d in group.order if pattern.kept[d]]
    back = [left.index(d) for d in sorted(left)]
    return jnp.transpose(table, (*back, *range(len(left), table.ndim))) / pattern.average_of


# ------------------------------------------------------------------ the block
def blank(chain: DiscreteChain, dtype: Any) -> tuple[Arrays, Arrays]:
    moments = {str(k): np.full(p.shape, 1.0 / math.prod(p.cardinalities), dtype) for k, p in enumerate(chain.patterns)}
    site = np.zeros((*chain.batch, chain.windows, chain.states), dtype)
    pair = np.zeros((*_pair_plates(chain), chain.states, chain.states), dtype)
    return moments, {"site": site, "pair": pair, "unary": np.full_like(site, 1.0 / chain.states)}


def solved(chain: DiscreteChain, site: Any, pair: Any) -> tuple[Any, Any, Any]:
    """Log-partition, probabilities of windows, and of steps; what is impossible has none at all, whatever the rounding."""
    initial = jnp.zeros((chain.states,), site.dtype)
    found = family.marginals(initial, pair, site, homogeneous=chain.homogeneous, route=chain.route)
    unary = jnp.where(site < NEARLY_IMPOSSIBLE, 0.0, found.unary)
    pairwise = jnp.where(pair < NEARLY_IMPOSSIBLE, 0.0, found.pairwise)
    return found.log_partition.sum(), unary, pairwise


def optimum(chain: DiscreteChain, gradient: Arrays, natural: Arrays | None, damping: float) -> Arrays:
    site, pair = potentials(chain, gradient)
    if damping and natural is not None:
        site, pair = ((1 - damping) * a + damping * natural[k] for k, a in (("site", site), ("pair", pair)))
    log_partition, unary, pairwise = solved(chain, site, pair)
    moments = pattern_moments(chain, unary, pairwise)
    inner = (jnp.where(site < NEARLY_IMPOSSIBLE, 0.0, site) * unary).sum()
    inner = inner + (jnp.where(pair < NEARLY_IMPOSSIBLE, 0.0, pair) * pairwise).sum()
    natural = {"site": site, "pair": pair, "unary": unary}
    return {"moments": moments, "natural": natural, "entropy": log_partition - inner}


def marginal(chain: DiscreteChain, name: str, cells: tuple[int, ...], natural: Mapping[str, Any]) -> np.ndarray:
    """Probabilities (batch, steps, the variable's other axes, states)."""
    unary = np.asarray(natural["unary"])
    plates = unary.ndim - 1
    wide = unary.reshape(*unary.shape[:plates], *(chain.cardinalities * chain.window))
    count, found = len(chain.cardinalities), []
    for number in cells:
        first = wide.sum(axis=tuple(plates + k for k in range(count * chain.window) if k != number))
        parts = [first]
        for later in range(1, chain.window):
            kept = later * count + number
            last = wide[(slice(None),) * len(chain.batch) + (slice(-1, None),)]
            parts.append(last.sum(axis=tuple(plates + k for k in range(count * chain.window) if k != kept)))
        found.append(np.concatenate(parts, axis=plates - 1))
    return np.stack(found, axis=-2)


def path(chain: DiscreteChain, natural: Mapping[str, Any], key: Any) -> Any:
    """A joint draw of the cells: (batch, steps, cells)."""
    site, pair = natural["site"], natural["pair"]
    states = family.sample(key, jnp.zeros((chain.states,), site.dtype), pair, site, homogeneous=chain.homogeneous)
    digits = jnp.stack(jnp.unravel_index(states, chain.cardinalities * chain.window), axis=-1)
    cells = len(chain.cardinalities)
    tail = [digits[..., -1:, later * cells : (later + 1) * cells] for later in range(1, chain.window)]
    return jnp.concatenate([digits[..., :cells], *tail], axis=-2)


def paths(chain: DiscreteChain, natural: Mapping[str, Any], rng: np.random.Generator, count: int) -> np.ndarray:
    """Joint draws of the cells, those first."""
    keys = jax.random.split(jax.random.PRNGKey(int(rng.integers(2**31))), count)
    known = {k: jnp.asarray(natural[k]) for k in ("site", "pair")}
    return np.asarray(jax.jit(lambda ks, held: jax.vmap(lambda key: path(chain, held, key))(ks))(keys, known))
