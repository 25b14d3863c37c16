"""Forward and backward over a discrete chain in probabilities, cut into segments that run side by side.

One step is a product of all the segments' messages with one matrix, so that a core does arithmetic where a single scan would
wait for its own overhead. Nothing is approximate:

- *Where a segment starts* is first guessed from the steps before it and then held against what arrives there. A step is a
  positive map, which does not expand Hilbert's projective distance, so a message that starts within a distance stays within it
  (Birkhoff 1957); equal to rounding at the joints means equal to rounding everywhere.
- *What is too small for a float* is raised to a floor and never lowered, so that the messages are upper bounds. The error of
  all sums is at most the posterior mass of the states that stood on the floor, which is added up on the way.

Where one of the two does not hold, `marginals` says so, and the caller takes a slower way.

Arrays are [N, S, L, K]: sequences, segments, steps of a segment, states; `message @ matrix` has the rows of `transition` first.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

LANES = 128  # messages side by side, from which on a core is busy
SHORTEST = 512  # steps of a segment, so that the guess of where it starts costs little


class Limits(NamedTuple):
    """`floor`: of a message whose largest entries are near 1; below `smallest` a sum of products has lost digits to underflow;
    `distance`: of messages that are equal to rounding; `mass`: on the floor that may be forgotten.
    """

    floor: float
    smallest: float
    distance: float
    mass: float


LIMITS = {"float64": Limits(1e-150, 1e-150, 1e-11, 1e-11), "float32": Limits(1e-18, 1e-17, 3e-5, 1e-6)}


class Cut(NamedTuple):
    """The potentials as factors with the largest near 1, cut into segments; `offset` [N] is the log of what was taken out."""

    initial: Array  # [N, K]
    transition: Array  # [1 or N, K, K] or [1 or N, S, L, K, K], the last that leave a step
    emission: Array  # [N, S, L, K]
    offset: Array
    length: int


def pieces_of(count: int, length: int) -> int:
    """How many segments each of `count` sequences is cut into; so that they fill it exactly, where that is near."""
    most = max(1, min(LANES // count, length // SHORTEST))
    return next((pieces for pieces in range(most, most // 2, -1) if length % pieces == 0), most)


def cut(initial: Array, transition: Array, emission: Array, pieces: int) -> Cut:
    """From finite log-potentials [N, K], [1 or N, (T - 1,) K, K], [N, T, K]; what is added behind the end has factors 1."""
    count, length, states = emission.shape
    steps = ceil(length / pieces)
    tops = [initial.max(axis=1), transition.max(axis=(-2, -1)), emission.max(axis=2)]
    offset = tops[0] + tops[2].sum(axis=1) + (tops[1].sum(axis=1) if transition.ndim == 4 else (length - 1) * tops[1])
    across = jnp.exp(transition - tops[1][..., None, None])
    if transition.ndim == 4:
        across = _padded(across, pieces * steps, 1.0).reshape(-1, pieces, steps, states, states)
    here = jnp.exp(emission - tops[2][..., None])
    here = _padded(here, pieces * steps, 1.0).reshape(count, pieces, steps, states)
    return Cut(jnp.exp(initial - tops[0][:, None]), across, here, offset, length)


def _padded(values: Array, length: int, value: float) -> Array:
    widths = [(0, 0)] * values.ndim
    widths[1] = (0, length - values.shape[1])
    return jnp.pad(values, widths, constant_values=value) if length > values.shape[1] else values


def marginals(chain: Cut) -> tuple[tuple[Array, Array, Array], Array]:
    """The log-partition [N], P(z_t) [N, T, K], P(z_t, z_{t+1}) [N, T - 1, K, K] or its sum over t [N, K, K]; and whether they are
    right.
    """
    found, _, right = _swept(chain)
    return found, right


def filtered(chain: Cut) -> tuple[Array, Array]:
    """The log of P(z_t | what is until t), [N, T, K], and whether it is right for every path that has mass."""
    _, probabilities, right = _swept(chain)
    return jnp.log(probabilities), right


def _swept(chain: Cut) -> tuple[tuple[Array, Array, Array], Array, Array]:
    """The marginals, the filtered probabilities, and whether they are right."""
    count, pieces, steps, states = chain.emission.shape
    limits, length = LIMITS[chain.emission.dtype.name], chain.length
    starts, ends = _guesses(chain, limits)
    filtered, scales, arrived = _forward(chain, starts, limits)
    smoothed, pairwise, returned, lost, smallest = _backward(chain, filtered, ends, limits)
    scales = scales.reshape(count, pieces * steps)[:, :length]
    right = (scales.min() >= limits.smallest) & (smallest >= limits.smallest) & (lost <= limits.mass)
    right &= _distance(arrived[:, :-1], starts[:, 1:], limits.floor) <= limits.distance
    right &= _distance(returned[:, 1:], ends[:, :-1], limits.floor) <= limits.distance
    unary, probabilities = (x.reshape(count, pieces * steps, states)[:, :length] for x in (smoothed, filtered))
    if chain.transition.ndim > 3:
        pairwise = pairwise.reshape(count, pieces * steps, states, states)[:, : length - 1]
    return (jnp.log(scales).sum(axis=1) + chain.offset, unary, pairwise), probabilities, right


def _guesses(chain: Cut, limits: Limits) -> tuple[Array, Array]:
    """The messages that enter each segment from the left and from the right, from the steps beyond its ends alone."""
    count, pieces, steps, states = chain.emission.shape
    even = jnp.ones((count, pieces, states), chain.emission.dtype)
    if pieces == 1:
        return chain.initial[:, None], even
    left = lax.fori_loop(steps - steps // 4, steps, lambda t, p: _ahead(chain, t, p, limits)[2], even)
    right = lax.fori_loop(0, steps // 4, lambda i, w: _back(chain, steps // 4 - 1 - i, w, limits)[2], even)
    return jnp.concatenate([chain.initial[:, None], left[:, :-1]], axis=1), jnp.concatenate([right[:, 1:], even[:, :1]], axis=1)


def _forward(chain: Cut, starts: Array, limits: Limits) -> tuple[Array, Array, Array]:
    """P(z_t | what is until t), the factors that normalise them [N, S, L], and the predictions at the ends of the segments."""

    def step(t: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        filtered, scales, message = carry
        here, scale, message = _ahead(chain, t, message, limits)
        return lax.dynamic_update_index_in_dim(filtered, here, t, 2), lax.dynamic_update_index_in_dim(scales, scale, t, 2), message

    shape, dtype = chain.emission.shape, chain.emission.dtype
    return lax.fori_loop(0, shape[2], step, (jnp.zeros(shape, dtype), jnp.zeros(shape[:3], dtype), starts))


def _backward(chain: Cut, filtered: Array, ends: Array, limits: Limits) -> tuple[Array, Array, Array, Array, Array]:
    """P(z_t), P(z_t, z_{t+1}) or its sum, the messages at the starts of the segments, the mass on the floor, the smallest scale."""
    count, pieces, steps, states = chain.emission.shape
    summed = chain.transition.ndim == 3
    pairs = (count, states, states) if summed else (count, pieces, steps, states, states)

    def step(i: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        smoothed, pairwise, message, lost, smallest = carry
        t = steps - 1 - i
        after, scale, next_message = _back(chain, t, message, limits)
        before = _at(filtered, t)
        joint = before * after
        total = joint.sum(axis=-1)
        here = joint / total[..., None]
        forgotten = jnp.where((before == limits.floor) | (after == limits.floor), here, 0.0).sum(axis=-1)
        lost = lost + jnp.where(_before(chain, t, chain.length), forgotten, 0.0)
        inside = _before(chain, t, chain.length - 1)
        scale = jnp.where(inside, scale, 1.0)
        weighed = message * jnp.where(inside, 1.0 / (scale * total), 0.0)[..., None]
        if summed:
            pairwise = pairwise + jnp.einsum("nsi,nsj->nij", before, weighed)
        else:
            both = before[..., :, None] * weighed[..., None, :] * _across(chain, t)
            pairwise = lax.dynamic_update_index_in_dim(pairwise, both, t, 2)
        smoothed = lax.dynamic_update_index_in_dim(smoothed, here, t, 2)
        return smoothed, pairwise, next_message, lost, jnp.minimum(smallest, scale)

    dtype = filtered.dtype
    lanes = filtered.shape[:2]
    start = (jnp.zeros_like(filtered), jnp.zeros(pairs, dtype), ends, jnp.zeros(lanes, dtype), jnp.ones(lanes, dtype))
    smoothed, pairwise, message, lost, smallest = lax.fori_loop(0, steps, step, start)
    return smoothed, pairwise * chain.transition if summed else pairwise, message, lost.sum(), smallest.min()


def _ahead(chain: Cut, t: Array, message: Array, limits: Limits) -> tuple[Array, Array, Array]:
    """Of the prediction of a step: what it becomes with the step's emission, its scale, and the next prediction."""
    here = message * _at(chain.emission, t)
    scale = here.sum(axis=-1)
    here = jnp.maximum(here / scale[..., None], limits.floor)
    across = _across(chain, t)
    if across.ndim == 4:
        return here, scale, (here[..., :, None] * across).sum(axis=-2)
    return here, scale, here @ (across[0] if len(across) == 1 else across)


def _back(chain: Cut, t: Array, message: Array, limits: Limits) -> tuple[Array, Array, Array]:
    """Of the weights of the states at t + 1, their emission included: the weights of those at t without theirs, the scale, and the
    weights with theirs. Behind the last step every state weighs the same.
    """
    across = _across(chain, t)
    if across.ndim == 4:
        here = (across * message[..., None, :]).sum(axis=-1)
    else:
        here = message @ (across[0].T if len(across) == 1 else jnp.swapaxes(across, -1, -2))
    scale = here.sum(axis=-1)
    inside = _before(chain, t, chain.length - 1)[..., None]
    here = jnp.where(inside, jnp.maximum(here / scale[..., None], limits.floor), 1.0)
    return here, scale, here * _at(chain.emission, t)


def _at(values: Array, t: Array) -> Array:
    return lax.dynamic_index_in_dim(values, t, 2, keepdims=False)


def _across(chain: Cut, t: Array) -> Array:
    """The factors of the step from t, [1 or N, K, K] where they are those of all steps, else [1 or N, S, K, K]."""
    return chain.transition if chain.transition.ndim == 3 else _at(chain.transition, t)


def _before(chain: Cut, t: Array, end: int) -> Array:
    """Whether the t-th step of each segment, [S], comes before this step of the sequence."""
    _, pieces, steps, _ = chain.emission.shape
    return jnp.arange(pieces) * steps + t < end


def _distance(arrived: Array, assumed: Array, floor: float) -> Array:
    """The largest of Hilbert's distances: max log(a / b) - min log(a / b) over the states."""

    def logs(message: Array) -> Array:
        return jnp.log(jnp.maximum(message / message.max(axis=-1, keepdims=True), floor))

    ratio = logs(arrived) - logs(assumed)
    return (ratio.max(axis=-1) - ratio.min(axis=-1)).max(initial=0.0)
