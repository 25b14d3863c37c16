"""Block elimination of a Gaussian chain cut into segments that run side by side, exactly.

The last state of each segment is a separator. Given the separators the insides are independent, so that one scan eliminates
all of them at once, each towards the separator on its right, with that on its left carried along as one more neighbour; what is
left is a short chain of separators, which is solved step by step, and one scan backwards finds the insides again (the "spike"
way of Polizzi & Sameh 2006). Small matrices have the segments as their last axis, [D, columns, segments]: a product is D
multiply-adds of whole vectors, an inverse Gauss–Jordan's D steps, which for positive definite matrices need no pivoting.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ppl.families import gaussian_chain_sweeps as sweeps

LANES = 128  # segments side by side, from which on a core is busy,
ENTRIES = 1024  # unless the matrices of so many do not fit its nearest memory: of one matrix in all of them
SHORTEST = 8  # steps, from which on cutting pays
WIDEST = 8  # states, up to which vectors over segments are faster than calls of LAPACK


class Cut(NamedTuple):
    """The blocks [N · S, L, D, columns]; what is added behind the end stands alone with the precision 1."""

    diagonal: Array
    coupling: Array  # of each state to the one after it, also from a separator into the next segment
    right: Array


class Eliminated(NamedTuple):
    """What is left at the separators, [D, columns, N · S], and what the way back needs, [L - 1, D, columns, N · S]."""

    pivot: Array
    far: Array  # the block of a separator's precision with the separator on its left
    right: Array
    left_pivot: Array  # what the inside adds to the separator on its left
    left_right: Array
    logdet: Array  # [N · S]
    solved: Array  # P⁻¹ [coupling | far | right | 1] of the insides


class Separators(NamedTuple):
    """At the separators, [D, columns, N · S]."""

    solved: Array
    covariance: Array
    far: Array  # the covariance with the separator on the left


def pieces_of(count: int, length: int, states: int) -> int:
    """How many segments each of `count` sequences is cut into; 0 where steps one after the other are as fast."""
    lanes = min(LANES, ENTRIES // states**2)
    if states > WIDEST or length < SHORTEST:
        return 0
    return max(1, min(lanes // count, isqrt(length)))


def solve(diagonal: Array, coupling: Array, right: Array, pieces: int) -> tuple[Array, Array, Array, Array]:
    """As `sweeps.solve`: log|J| [N], J⁻¹ times the right sides, and the blocks of J⁻¹ at (t, t) and (t, t + 1)."""
    count, length = diagonal.shape[:2]
    chain = _cut(diagonal, coupling, right, pieces)
    inside = _eliminate(chain, pieces)
    logdet, ends = _separators(inside, pieces)
    found = _back(inside, ends, chain.diagonal.shape[1], pieces)
    solved, covariance, cross = (x.reshape((count, -1) + x.shape[2:]) for x in found)
    return logdet, solved[:, :length], covariance[:, :length], cross[:, : length - 1]


def _cut(diagonal: Array, coupling: Array, right: Array, pieces: int) -> Cut:
    length, states = diagonal.shape[1:3]
    steps = -(-length // pieces)

    def pieced(values: Array) -> Array:
        added = pieces * steps - values.shape[1]
        values = jnp.pad(values, [(0, 0), (0, added), (0, 0), (0, 0)]) if added else values
        return values.reshape((-1, steps) + values.shape[2:])

    blocks = pieced(diagonal)
    if pieces * steps > length:
        behind = jnp.arange(pieces * steps).reshape(pieces, steps) >= length
        behind = jnp.tile(behind, (len(diagonal), 1))[..., None, None]
        blocks = jnp.where(behind, jnp.eye(states, dtype=blocks.dtype), blocks)
    return Cut(blocks, pieced(coupling), pieced(right))


def _eliminate(chain: Cut, pieces: int) -> Eliminated:
    """The insides of all segments, from the left to the right."""
    lanes, steps, states, sides = chain.right.shape
    dtype = chain.right.dtype

    def step(t: Array, state: Eliminated) -> Eliminated:
        coupling = _at(chain.coupling, t)
        solved, logdet = _solve_small(state.pivot, jnp.concatenate([coupling, state.far, state.right], axis=1))
        solved = lax.optimization_barrier(solved)
        after = _times(_transposed(coupling), solved[:, : 2 * states + sides])
        left = _times(_transposed(state.far), solved[:, states : 2 * states + sides])
        pivot = lax.optimization_barrier(_at(chain.diagonal, t + 1) - after[:, :states])
        return Eliminated(
            0.5 * (pivot + _transposed(pivot)),
            -after[:, states : 2 * states],
            _at(chain.right, t + 1) - after[:, 2 * states :],
            state.left_pivot - left[:, :states],
            state.left_right - left[:, states:],
            state.logdet + logdet,
            lax.dynamic_update_index_in_dim(state.solved, solved, t, 0),
        )

    zeros = jnp.zeros((states, states, lanes), dtype)
    right = _at(chain.right, 0)
    far = _transposed(_from_left(_at(chain.coupling, steps - 1), pieces))
    stored = jnp.zeros((steps - 1, states, 3 * states + sides, lanes), dtype)
    start = Eliminated(_at(chain.diagonal, 0), far, right, zeros, jnp.zeros_like(right), zeros[0, 0], stored)
    return lax.fori_loop(0, steps - 1, step, start)


def _separators(inside: Eliminated, pieces: int) -> tuple[Array, Separators]:
    """log|J| [N], and the solution at the separators."""
    diagonal = inside.pivot + _from_right(inside.left_pivot, pieces)
    right = inside.right + _from_right(inside.left_right, pieces)
    short = (jnp.moveaxis(x, -1, 0).reshape((-1, pieces) + x.shape[:2]) for x in (diagonal, _transposed(inside.far), right))
    diagonal, coupling, right = short
    logdet, *found = sweeps.solve(diagonal, coupling[:, 1:], right)
    before = jnp.pad(jnp.swapaxes(found[2], -1, -2), [(0, 0), (1, 0), (0, 0), (0, 0)])
    ends = [jnp.moveaxis(x.reshape((-1,) + x.shape[2:]), 0, -1) for x in (found[0], found[1], before)]
    return logdet + inside.logdet.reshape(-1, pieces).sum(axis=1), Separators(*ends)


def _back(inside: Eliminated, ends: Separators, steps: int, pieces: int) -> tuple[Array, Array, Array]:
    """The solution, the covariances, and those with the next state, [N · S, L, D, columns], given the separators."""
    states, sides, lanes = ends.solved.shape
    before = _from_left(ends.solved, pieces), _from_left(ends.covariance, pieces)

    def step(i: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        (solved, covariance, far), found = carry[:3], carry[3:]
        t = steps - 2 - i
        stored = lax.dynamic_index_in_dim(inside.solved, t, 0, keepdims=False)
        gain, half, alone = jnp.split(stored, [2 * states, 2 * states + sides], axis=1)
        beyond = [jnp.concatenate([covariance, far], axis=1), jnp.concatenate([_transposed(far), before[1]], axis=1)]
        across = lax.optimization_barrier(-_times(gain, lax.optimization_barrier(jnp.concatenate(beyond))))
        solved = half - _times(gain, jnp.concatenate([solved, before[0]]))
        covariance = lax.optimization_barrier(alone - _times(across, _transposed(gain)))
        covariance = 0.5 * (covariance + _transposed(covariance))
        here = (solved, covariance, across[:, :states])
        return solved, covariance, across[:, states:], *(_put(x, t, value) for x, value in zip(found, here, strict=True))

    empty = (jnp.zeros((lanes, steps, states, columns), ends.solved.dtype) for columns in (sides, states, states))
    found = [_put(x, steps - 1, value) for x, value in zip(empty, (ends.solved, ends.covariance, ends.covariance), strict=True)]
    carry = lax.fori_loop(0, steps - 1, step, (*ends, *found))
    joints = _from_right(_transposed(carry[2]), pieces)
    return carry[3], carry[4], _put(carry[5], steps - 1, joints)


def _solve_small(matrix: Array, right: Array) -> tuple[Array, Array]:
    """A⁻¹ [B | 1] and log|A| of positive definite matrices [D, D, lanes] by Gauss and Jordan in place; NaN where one is not.

    Each step moves the pivot's row behind the others, and puts a column of the inverse behind the columns that are left.
    """

    def step(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        joined, logdet = carry
        pivot = jnp.where(joined[0, 0] > 0, joined[0, 0], jnp.nan)
        inverse = 1.0 / pivot
        row = joined[0, 1:] * inverse
        first = joined[1:, :1]
        rest = jnp.concatenate([joined[1:, 1:] - first * row, -first * inverse], axis=1)
        last = jnp.concatenate([row, inverse[None]])[None]
        return jnp.concatenate([rest, last]), logdet + jnp.log(pivot)

    joined = jnp.concatenate([matrix, right], axis=1)
    return lax.fori_loop(0, len(matrix), step, (joined, jnp.zeros_like(matrix[0, 0])))


def _times(left: Array, right: Array) -> Array:
    """The products of [I, K, lanes] and [K, J, lanes]."""
    total = left[:, 0, None] * right[0]
    for k in range(1, len(right)):
        total = total + left[:, k, None] * right[k]
    return total


def _transposed(matrix: Array) -> Array:
    return jnp.swapaxes(matrix, 0, 1)


def _at(values: Array, t: Array | int) -> Array:
    """[D, columns, lanes] from [lanes, L, D, columns]."""
    return jnp.moveaxis(lax.dynamic_index_in_dim(values, t, 1, keepdims=False), 0, -1)


def _put(values: Array, t: Array | int, here: Array) -> Array:
    return lax.dynamic_update_index_in_dim(values, jnp.moveaxis(here, -1, 0), t, 1)


def _from_left(values: Array, pieces: int) -> Array:
    """What stands at the segment on the left of each, 0 at the first of each sequence; lanes are the last axis."""
    return _shifted(values, pieces, lambda x: jnp.concatenate([jnp.zeros_like(x[..., :1]), x[..., :-1]], axis=-1))


def _from_right(values: Array, pieces: int) -> Array:
    return _shifted(values, pieces, lambda x: jnp.concatenate([x[..., 1:], jnp.zeros_like(x[..., :1])], axis=-1))


def _shifted(values: Array, pieces: int, shift: Callable[[Array], Array]) -> Array:
    return shift(values.reshape(values.shape[:-1] + (-1, pieces))).reshape(values.shape)
