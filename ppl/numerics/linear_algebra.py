"""Symmetric positive definite matrices through their Cholesky factors, with any leading axes.

A matrix that is not positive definite gives NaN, which `is_positive_definite` and the families' domains ask for.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def symmetrise(matrix: Array) -> Array:
    """The symmetric part. A gradient with respect to a symmetric matrix means something only after this."""
    return 0.5 * (matrix + transpose(matrix))


def transpose(matrix: Array) -> Array:
    return jnp.swapaxes(matrix, -1, -2)


def cholesky(matrix: Array) -> Array:
    """The lower factor L of A = LLᵀ; NaN where A is not positive definite."""
    return jnp.linalg.cholesky(matrix)


def is_positive_definite(matrix: Array) -> Array:
    return jnp.isfinite(cholesky(matrix)).all(axis=(-2, -1))


def logdet_from_cholesky(lower: Array) -> Array:
    """log|A| = 2 Σ log L_ii."""
    return 2.0 * jnp.log(jnp.diagonal(lower, axis1=-2, axis2=-1)).sum(axis=-1)


def logdet(matrix: Array) -> Array:
    """The log-determinant of a positive definite matrix."""
    return logdet_from_cholesky(cholesky(matrix))


def solve_from_cholesky(lower: Array, right: Array) -> Array:
    """A⁻¹ B for a matrix B."""
    half = jax.lax.linalg.triangular_solve(lower, right, left_side=True, lower=True)
    return jax.lax.linalg.triangular_solve(lower, half, left_side=True, lower=True, transpose_a=True)


def inverse_from_cholesky(lower: Array) -> Array:
    """A⁻¹, symmetric to the last bit."""
    identity = jnp.broadcast_to(jnp.eye(lower.shape[-1], dtype=lower.dtype), lower.shape)
    return symmetrise(solve_from_cholesky(lower, identity))


def inverse(matrix: Array) -> Array:
    """The inverse of a positive definite matrix."""
    return inverse_from_cholesky(cholesky(matrix))
