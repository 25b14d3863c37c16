"""The recursions of a discrete chain step by step on logarithms: right at any scale of the potentials, at one exp for each pair.

The fast way of `discrete_chain` comes here for potentials that its probabilities cannot hold, and for derivatives of higher
order. All sequences stand side by side on one leading axis of `initial` [N, K] and `emission` [N, T, K]; `transition` is
[1 or N, K, K] or [1 or N, T - 1, K, K]; every potential is finite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def log_sum_exp(values: Array, axis: int) -> Array:
    """Of finite values."""
    top = jax.lax.stop_gradient(values.max(axis=axis, keepdims=True))
    return jnp.log(jnp.exp(values - top).sum(axis=axis)) + jnp.squeeze(top, axis)


def forward(initial: Array, transition: Array, emission: Array) -> tuple[Array, Array]:
    """The log of P(z_t | what is until t) for each t, [N, T, K], and the log-partition [N]."""

    def step(carry: tuple[Array, Array], across: Array, here: Array) -> tuple[tuple[Array, Array], Array]:
        message, total = carry
        message = log_sum_exp(message[:, :, None] + across, axis=1) + here
        scale = log_sum_exp(message, axis=1)
        return (message - scale[:, None], total + scale), message - scale[:, None]

    first = initial + emission[:, 0]
    scale = log_sum_exp(first, axis=1)
    start = (first - scale[:, None], scale)
    (_, total), messages = _scan(step, start, transition, emission[:, 1:])
    return jnp.concatenate([start[0][:, None], messages], axis=1), total


def marginals(initial: Array, transition: Array, emission: Array) -> tuple[Array, Array, Array]:
    """The log-partition [N], P(z_t) [N, T, K] and P(z_t, z_{t+1}): [N, T - 1, K, K], or its sum over t [N, K, K]
    where the transition is that of all steps.
    """
    filtered, total = forward(initial, transition, emission)
    states = emission.shape[-1]
    homogeneous = transition.ndim == 3

    def step(carry: tuple[Array, Array], across: Array, inputs: tuple[Array, Array]) -> tuple[tuple[Array, Array], Any]:
        (message, summed), (before, here) = carry, inputs
        after = across + (here + message)[:, None, :]
        joint = jax.nn.softmax(before[:, :, None] + after, axis=(1, 2))
        message = log_sum_exp(after, axis=2)
        message = message - message.max(axis=1, keepdims=True)
        return (message, summed + joint if homogeneous else summed), (joint.sum(axis=2), () if homogeneous else joint)

    last = jax.nn.softmax(filtered[:, -1], axis=1)
    start = (jnp.zeros_like(last), jnp.zeros((len(last), states, states) if homogeneous else (), last.dtype))
    inputs = (filtered[:, :-1], emission[:, 1:])
    (_, summed), (unary, joints) = _scan(step, start, transition, inputs, reverse=True)
    return total, jnp.concatenate([unary, last[:, None]], axis=1), summed if homogeneous else joints


def sample(key: Array, filtered: Array, transition: Array) -> Array:
    """Paths [N, T] from the last state backwards, given `forward`'s messages."""
    noise = jax.random.gumbel(key, filtered.shape, filtered.dtype)
    return _backwards(filtered + noise, transition)


def mode(initial: Array, transition: Array, emission: Array) -> Array:
    """The most probable paths [N, T] (Viterbi 1967)."""

    def step(best: Array, across: Array, here: Array) -> tuple[Array, Array]:
        best = (best[:, :, None] + across).max(axis=1) + here
        best = best - best.max(axis=1, keepdims=True)
        return best, best

    first = initial + emission[:, 0]
    _, others = _scan(step, first, transition, emission[:, 1:])
    return _backwards(jnp.concatenate([first[:, None], others], axis=1), transition)


def _backwards(score: Array, transition: Array) -> Array:
    """The states that maximise score_t[z_t] + transition[z_t, z_{t+1}] from the last to the first."""
    rows = jnp.arange(len(score))

    def step(after: Array, across: Array, here: Array) -> tuple[Array, Array]:
        column = across[rows if len(across) > 1 else 0, :, after]
        state = jnp.argmax(here + column, axis=1)
        return state, state

    last = jnp.argmax(score[:, -1], axis=1)
    _, others = _scan(step, last, transition, score[:, :-1], reverse=True)
    return jnp.concatenate([others, last[:, None]], axis=1)


def _scan(step: Callable[..., Any], start: Any, transition: Array, inputs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`lax.scan` over the steps between t and t + 1, on axis 1 of `inputs` and of what comes back."""
    moved = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), inputs)
    if transition.ndim == 3:
        carry, results = jax.lax.scan(lambda c, x: step(c, transition, x), start, moved, reverse=reverse)
    else:
        across = jnp.moveaxis(transition, 1, 0)
        carry, results = jax.lax.scan(lambda c, x: step(c, x[0], x[1]), start, (across, moved), reverse=reverse)
    return carry, jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), results)
