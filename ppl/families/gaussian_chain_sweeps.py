"""Block elimination of a Gaussian chain and the way back, one step after the other.

Forward, P_t = J_t - L_{t-1}ᵀ P_{t-1}⁻¹ L_{t-1}, so that log|J| = Σ log|P_t|; backward, with G_t = P_t⁻¹ L_t,
x_t = P_t⁻¹ r_t - G_t x_{t+1} for every right side and Cov_t = P_t⁻¹ + G_t Cov_{t+1} G_tᵀ. Sequences stand on one leading axis.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ppl.numerics.linear_algebra import cholesky, inverse_from_cholesky, logdet_from_cholesky, solve_from_cholesky, symmetrise, transpose


def solve(diagonal: Array, coupling: Array, right: Array) -> tuple[Array, Array, Array, Array]:
    """log|J| [N], J⁻¹ times the right sides [N, T, D, R], and the blocks of J⁻¹ at (t, t) and (t, t + 1)."""
    lower, logdet, gain, half = _eliminated(diagonal, coupling, right)

    def step(after: tuple[Array, Array], inputs: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Any]:
        (solved, covariance), (factor, gain, half) = after, inputs
        cross = -gain @ covariance
        covariance = symmetrise(inverse_from_cholesky(factor) - cross @ transpose(gain))
        solved = half - gain @ solved
        return (solved, covariance), (solved, covariance, cross)

    last = (half[:, -1], inverse_from_cholesky(lower[:, -1]))
    _, found = jax.lax.scan(step, last, _time_first((lower[:, :-1], gain, half[:, :-1])), reverse=True)
    solved, covariance, cross = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), found)
    joined = [jnp.concatenate([x, end[:, None]], axis=1) for x, end in zip((solved, covariance), last, strict=True)]
    return logdet, joined[0], joined[1], cross


def sample(key: Array, diagonal: Array, coupling: Array, potential: Array) -> Array:
    """Draws [N, T, D]: the last from its marginal, each before it given the one after it."""
    lower, _, gain, half = _eliminated(diagonal, coupling, potential[..., None])
    noise = jax.random.normal(key, potential.shape, potential.dtype)[..., None]
    centred = jax.lax.linalg.triangular_solve(lower, noise, left_side=True, lower=True, transpose_a=True)
    drawn = half + centred  # covariance P_t⁻¹ around P_t⁻¹ r_t

    def step(after: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        gain, here = inputs
        here = here - gain @ after
        return here, here

    _, found = jax.lax.scan(step, drawn[:, -1], _time_first((gain, drawn[:, :-1])), reverse=True)
    return jnp.concatenate([jnp.moveaxis(found, 0, 1), drawn[:, -1:]], axis=1)[..., 0]


def _eliminated(diagonal: Array, coupling: Array, right: Array) -> tuple[Array, Array, Array, Array]:
    """The Cholesky factors of P_t [N, T, D, D], log|J| [N], the gains G_t [N, T - 1, D, D], and P_t⁻¹ r_t [N, T, D, R]."""
    states = diagonal.shape[-1]

    def step(carry: tuple[Array, Array], inputs: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Any]:
        (pivot, right), (coupling, diagonal, beside) = carry, inputs
        lower = cholesky(pivot)
        solved = solve_from_cholesky(lower, jnp.concatenate([coupling, right], axis=-1))
        gain, half = solved[..., :states], solved[..., states:]
        after = transpose(coupling)
        return (symmetrise(diagonal - after @ gain), beside - after @ half), (lower, gain, half)

    inputs = _time_first((coupling, diagonal[:, 1:], right[:, 1:]))
    (pivot, last), found = jax.lax.scan(step, (diagonal[:, 0], right[:, 0]), inputs)
    lower, gain, half = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), found)
    final = cholesky(pivot)
    lower = jnp.concatenate([lower, final[:, None]], axis=1)
    half = jnp.concatenate([half, solve_from_cholesky(final, last)[:, None]], axis=1)
    return lower, logdet_from_cholesky(lower).sum(axis=1), gain, half


def _time_first(arrays: tuple[Array, ...]) -> Any:
    return tuple(jnp.moveaxis(x, 1, 0) for x in arrays)
