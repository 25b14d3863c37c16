"""A chain of Gaussians is a family: its log-partition is block elimination from the first to the last, its gradient the smoother.

    log p(x) = -½ Σ_t x_tᵀ J_t x_t - Σ_t x_tᵀ L_t x_{t+1} + Σ_t h_tᵀ x_t - log_partition

in information form: the joint precision matrix has the blocks J_t on its diagonal and L_t = `coupling[t]` at (t, t + 1). Leading
axes are sequences of one plate, run side by side; they broadcast.

    diagonal    [..., T, D, D], symmetric
    coupling    [..., T - 1, D, D]
    potential   [..., T, D]

A bordered chain has variables g, of size G, coupled to every x_t besides, as coefficients or a common mean are:
-½ gᵀ C g - Σ_t x_tᵀ B_t g + kᵀ g is added to the exponent, with

    border              [..., T, D, G]     B_t
    border_diagonal     [..., G, G]        C
    border_potential    [..., G]           k

Where the joint precision is not positive definite, everything that comes back for that sequence is NaN, and so `is_proper` is False.

    log_partition(diagonal, coupling, potential) -> Array[...]
    moments(diagonal, coupling, potential) -> ChainMoments(log_partition, mean, covariance, cross)
    sample(key, diagonal, coupling, potential) -> Array[..., T, D]
    bordered_log_partition(diagonal, coupling, potential, border, border_diagonal, border_potential) -> Array[...]
    bordered_moments(...the same six) -> BorderedMoments
    bordered_sample(key, ...the same six) -> (Array[..., T, D], Array[..., G])

Means and covariances come from the backward pass in the form of Rauch, Tung & Striebel (1965), never from raw second moments. Digits
are lost to the condition number of the joint precision; in float32, far from 0, give the potential of x - x₀ (h - J x₀) instead.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ppl.families import gaussian_chain_segments as segments
from ppl.families import gaussian_chain_sweeps as sweeps
from ppl.numerics.linear_algebra import cholesky, inverse_from_cholesky, logdet_from_cholesky, solve_from_cholesky, transpose
from ppl.numerics.special import LOG_2PI, floats


class ChainMoments(NamedTuple):
    log_partition: Array  # [...]
    mean: Array  # [..., T, D]
    covariance: Array  # [..., T, D, D]: Cov(x_t)
    cross: Array  # [..., T - 1, D, D]: Cov(x_t, x_{t+1})


class BorderedMoments(NamedTuple):
    log_partition: Array  # [...]
    mean: Array  # [..., T, D]
    covariance: Array  # [..., T, D, D]: Cov(x_t)
    cross: Array  # [..., T - 1, D, D]: Cov(x_t, x_{t+1})
    border_mean: Array  # [..., G]
    border_covariance: Array  # [..., G, G]: Cov(g)
    border_cross: Array  # [..., T, D, G]: Cov(x_t, g)


def is_proper(log_partition: Array) -> Array:
    """Whether the joint precision was positive definite, [...]."""
    return jnp.isfinite(log_partition)


def log_partition(diagonal: Array, coupling: Array, potential: Array) -> Array:
    """The log of the integral; its gradients are the raw moments: E[x_t], -½ E[x_t x_tᵀ], -E[x_t x_{t+1}ᵀ]."""
    flat, plates = _flat((diagonal, 3), (coupling, 3), (potential, 2))
    return _log_partition(*flat).reshape(plates)


def moments(diagonal: Array, coupling: Array, potential: Array) -> ChainMoments:
    """The log-partition, means, covariances, and covariances of neighbours in time."""
    flat, plates = _flat((diagonal, 3), (coupling, 3), (potential, 2))
    return ChainMoments(*(v.reshape(plates + v.shape[1:]) for v in _moments(*flat)))


def sample(key: Array, diagonal: Array, coupling: Array, potential: Array) -> Array:
    """One draw of each sequence."""
    flat, plates = _flat((diagonal, 3), (coupling, 3), (potential, 2))
    draws = sweeps.sample(key, *flat)
    return draws.reshape(plates + draws.shape[1:])


def bordered_log_partition(
    diagonal: Array, coupling: Array, potential: Array, border: Array, border_diagonal: Array, border_potential: Array
) -> Array:
    """The log of the integral over the chain and its border."""
    return bordered_moments(diagonal, coupling, potential, border, border_diagonal, border_potential).log_partition


def bordered_moments(
    diagonal: Array, coupling: Array, potential: Array, border: Array, border_diagonal: Array, border_potential: Array
) -> BorderedMoments:
    """Of the chain and the border together: the chain is eliminated first, and the border is what is left."""
    flat, plates = _flat((diagonal, 3), (coupling, 3), (potential, 2), (border, 3), (border_diagonal, 2), (border_potential, 1))
    values = _bordered(*flat)
    return BorderedMoments(*(v.reshape(plates + v.shape[1:]) for v in values))


def bordered_sample(
    key: Array, diagonal: Array, coupling: Array, potential: Array, border: Array, border_diagonal: Array, border_potential: Array
) -> tuple[Array, Array]:
    """One draw of each chain and its border: the border from its marginal, then the chain given it."""
    flat, plates = _flat((diagonal, 3), (coupling, 3), (potential, 2), (border, 3), (border_diagonal, 2), (border_potential, 1))
    joint = _bordered(*flat)
    first, second = jax.random.split(key)
    noise = jax.random.normal(first, joint.border_mean.shape, joint.border_mean.dtype)
    drawn = joint.border_mean + (cholesky(joint.border_covariance) @ noise[..., None])[..., 0]
    diagonal, coupling, potential, border = flat[:4]
    chain = sweeps.sample(second, diagonal, coupling, potential - (border @ drawn[:, None, :, None])[..., 0])
    return chain.reshape(plates + chain.shape[1:]), drawn.reshape(plates + drawn.shape[1:])


def _flat(*arrays: tuple[Array, int]) -> tuple[list[Array], tuple[int, ...]]:
    """The arrays with all the sequences on one leading axis, and the plates; each comes with its count of other axes."""
    values = [floats(a) for a, _ in arrays]
    kept = [v.shape[v.ndim - rank :] for v, (_, rank) in zip(values, arrays, strict=True)]
    plates = jnp.broadcast_shapes(*(v.shape[: v.ndim - rank] for v, (_, rank) in zip(values, arrays, strict=True)))
    return [jnp.broadcast_to(v, plates + k).reshape((prod(plates),) + k) for v, k in zip(values, kept, strict=True)], plates


def _solve(diagonal: Array, coupling: Array, right: Array) -> tuple[Array, Array, Array, Array]:
    pieces = segments.pieces_of(*diagonal.shape[:3])
    return segments.solve(diagonal, coupling, right, pieces) if pieces else sweeps.solve(diagonal, coupling, right)


def _moments(diagonal: Array, coupling: Array, potential: Array) -> ChainMoments:
    logdet, solved, covariance, cross = _solve(diagonal, coupling, potential[..., None])
    mean = solved[..., 0]
    return ChainMoments(_value(logdet, mean, potential), mean, covariance, cross)


def _value(logdet: Array, mean: Array, potential: Array) -> Array:
    """½ (hᵀ J⁻¹ h - log|J| + size log 2π)."""
    return 0.5 * ((mean * potential).sum(axis=(-2, -1)) - logdet + potential.shape[-1] * potential.shape[-2] * LOG_2PI)


def _bordered(
    diagonal: Array, coupling: Array, potential: Array, border: Array, border_diagonal: Array, border_potential: Array
) -> BorderedMoments:
    right = jnp.concatenate([potential[..., None], border], axis=-1)
    logdet, solved, covariance, cross = _solve(diagonal, coupling, right)
    alone, response = solved[..., 0], solved[..., 1:]  # J⁻¹ h and W = J⁻¹ B
    lower = cholesky(border_diagonal - jnp.einsum("ntdg,ntde->nge", border, response))
    left = border_potential - jnp.einsum("ntdg,ntd->ng", border, alone)
    border_covariance = inverse_from_cholesky(lower)
    border_mean = solve_from_cholesky(lower, left[..., None])[..., 0]
    value = _value(logdet, alone, potential) + 0.5 * (
        (left * border_mean).sum(axis=-1) - logdet_from_cholesky(lower) + left.shape[-1] * LOG_2PI
    )
    border_cross = -response @ border_covariance[:, None]
    return BorderedMoments(
        value,
        alone - (response @ border_mean[:, None, :, None])[..., 0],
        covariance - border_cross @ transpose(response),
        cross - border_cross[:, :-1] @ transpose(response[:, 1:]),
        border_mean,
        border_covariance,
        border_cross,
    )


@jax.custom_vjp
def _log_partition(diagonal: Array, coupling: Array, potential: Array) -> Array:
    return _moments(diagonal, coupling, potential).log_partition


def _log_partition_forward(diagonal: Array, coupling: Array, potential: Array) -> tuple[Array, ChainMoments]:
    value = _moments(diagonal, coupling, potential)
    return value.log_partition, value


def _log_partition_backward(value: ChainMoments, cotangent: Array) -> tuple[Array, Array, Array]:
    mean = value.mean
    second = value.covariance + mean[..., :, None] * mean[..., None, :]
    cross = value.cross + mean[:, :-1, :, None] * mean[:, 1:, None, :]
    weight = cotangent[:, None, None, None]
    return -0.5 * weight * second, -weight * cross, weight[..., 0] * mean


_log_partition.defvjp(_log_partition_forward, _log_partition_backward)
