"""Special functions of JAX arrays that densities and log-partitions are made of; they take whole numbers too.

They stand on `jax.lax`, whose import is already paid for, and keep the precision of what they are given.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

LOG_2 = math.log(2.0)
LOG_PI = math.log(math.pi)
LOG_2PI = math.log(2.0 * math.pi)


def floats(x: ArrayLike) -> Array:
    """The array with whole numbers made floats; floats keep their precision."""
    return jnp.asarray(x, jnp.result_type(x, float))


def lgamma(x: ArrayLike) -> Array:
    """log Γ(x) for x > 0."""
    return jax.lax.lgamma(floats(x))


def digamma(x: ArrayLike) -> Array:
    """ψ(x), the derivative of log Γ."""
    return jax.lax.digamma(floats(x))


def lbeta(a: ArrayLike, b: ArrayLike) -> Array:
    """log B(a, b) = log Γ(a) + log Γ(b) - log Γ(a + b)."""
    a, b = floats(a), floats(b)
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def multivariate_lgamma(a: ArrayLike, size: int) -> Array:
    """log Γ_D(a) = D(D - 1)/4 log π + Σ_i log Γ(a - i/2), i from 0 to D - 1, for a > (D - 1)/2."""
    return 0.25 * size * (size - 1) * LOG_PI + lgamma(_descending(a, size)).sum(axis=-1)


def multivariate_digamma(a: ArrayLike, size: int) -> Array:
    """The derivative of log Γ_D at a."""
    return digamma(_descending(a, size)).sum(axis=-1)


def _descending(a: ArrayLike, size: int) -> Array:
    a = floats(a)
    return a[..., None] - 0.5 * jnp.arange(size, dtype=a.dtype)


def log_factorial(x: ArrayLike) -> Array:
    return lgamma(floats(x) + 1.0)


def log_binomial(n: ArrayLike, x: ArrayLike) -> Array:
    """log C(n, x)."""
    n, x = floats(n), floats(x)
    return log_factorial(n) - log_factorial(x) - log_factorial(n - x)
