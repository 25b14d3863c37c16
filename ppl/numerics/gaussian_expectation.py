"""E φ(x) of a smooth function of one Normal variable, by its mean and variance.

The logistic distribution is a scale mixture of Normals whose scales are Kolmogorov's (Andrews & Mallows 1974), so that the expectations
of `sigmoid` and `softplus` are short sums of those of a Normal's distribution function, exact to rounding for every variance. What
has no closed form is summed on an even grid, which for analytic functions converges faster than any power of its step; its derivatives are
the expectations of φ′ and ½ φ″ (Bonnet 1964, Price 1958), so that a variance of 0 makes no trouble.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.numerics.special import LOG_2PI

SCALES = 24  # of the mixture: from 20 on its error is rounding
GRID = np.linspace(-7.0, 7.0, 96)


def gaussian_expectation(function: str, mean: Any, variance: Any) -> Any:
    """E φ(x), x ~ N(mean, variance), entry by entry."""
    return EXPECTATIONS[function](*jnp.broadcast_arrays(mean, variance))


# ------------------------------------------------------------------ closed forms
def _exp(mean: Any, variance: Any) -> Any:
    return jnp.exp(mean + 0.5 * variance)


def _normal_cdf(mean: Any, variance: Any) -> Any:
    return _cdf(mean / jnp.sqrt(1.0 + variance))


def _sigmoid(mean: Any, variance: Any) -> Any:
    scales, weights = (a.astype(mean.dtype) for a in logistic_mixture())
    return (weights * _cdf(mean[..., None] / jnp.sqrt(scales**2 + variance[..., None]))).sum(axis=-1)


def _softplus(mean: Any, variance: Any) -> Any:
    """The integral of `sigmoid`: m Φ(m / r) + r φ(m / r) for each scale, with r² its square and the variance together."""
    scales, weights = (a.astype(mean.dtype) for a in logistic_mixture())
    root = jnp.sqrt(scales**2 + variance[..., None])
    z = mean[..., None] / root
    density = jnp.exp(-0.5 * (z * z + LOG_2PI))
    return (weights * (mean[..., None] * _cdf(z) + root * density)).sum(axis=-1)


def _cdf(z: Any) -> Any:
    return 0.5 * jax.lax.erfc(-z * np.asarray(2**-0.5, z.dtype))


@functools.cache
def logistic_mixture() -> tuple[np.ndarray, np.ndarray]:
    """Sds and weights of the Normals that make the logistic distribution: twice Kolmogorov's variable, on an even grid of its logarithm.

    Its density is the alternating series for large values, and the other of Jacobi's two for small ones.
    """
    u = np.linspace(np.log(0.18), np.log(4.0), SCALES)
    k, j = np.exp(u), np.arange(1.0, 40.0)[:, None]
    large = (8.0 * (-1.0) ** (j + 1) * j**2 * k * np.exp(-2.0 * (j * k) ** 2)).sum(axis=0)
    odd = (np.pi * (2.0 * j - 1.0)) ** 2 / 8.0
    small = np.sqrt(2.0 * np.pi) * ((2.0 * odd / k**4 - k**-2.0) * np.exp(-odd / k**2)).sum(axis=0)
    density = np.where(k < 1.0, small, large) * k
    return 2.0 * k, density / density.sum()


# ------------------------------------------------------------------ by a grid
def _log_normal_cdf(mean: Any, variance: Any) -> Any:
    return _on_grid(0, mean, variance)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _on_grid(order: int, mean: Any, variance: Any) -> Any:
    """The expectation of a derivative of log Φ."""
    weights = np.exp(-0.5 * GRID**2)
    points = mean[..., None] + jnp.sqrt(jnp.maximum(variance, 0.0))[..., None] * GRID.astype(mean.dtype)
    return (_derivative(order)(points) * (weights / weights.sum()).astype(mean.dtype)).sum(axis=-1)


@_on_grid.defjvp
def _on_grid_jvp(order: int, primals: Any, tangents: Any) -> tuple[Any, Any]:
    slope, curvature = (_on_grid(order + k, *primals) for k in (1, 2))
    return _on_grid(order, *primals), slope * tangents[0] + 0.5 * curvature * tangents[1]


def _derivative(order: int) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] = jax.scipy.special.log_ndtr
    for _ in range(order):
        found = functools.partial(_slope, found)
    return found


def _slope(function: Callable[[Any], Any], at: Any) -> Any:
    return jax.jvp(function, (at,), (jnp.ones_like(at),))[1]


EXPECTATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "exp": _exp,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "normal_cdf": _normal_cdf,
    "log_normal_cdf": _log_normal_cdf,
}
POINTWISE: dict[str, Callable[[Any], Any]] = {  # the functions themselves
    "exp": jnp.exp,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "normal_cdf": jax.scipy.special.ndtr,
    "log_normal_cdf": jax.scipy.special.log_ndtr,
}
