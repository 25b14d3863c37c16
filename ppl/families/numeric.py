"""Families of positive numbers without a name: any statistics, their log-partition by quadrature.

A positive variable whose messages have no conjugate form (a standard deviation with a half-Cauchy prior, a variance with an
exponential one) is still one number: its best belief is ∝ exp ⟨η, T(x)⟩, and one-dimensional integrals give every moment to
rounding. The integral is over log x, between the places where the density is e^-50 of its largest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape

NODES = 200
SEARCH = 256  # points that the range is sought among
ROUNDS = 4
LOWEST, HIGHEST = -30.0, 30.0  # of log x
DEPTH = 50.0  # nats


class Positive(Family):
    """Density ∝ exp ⟨η, T(x)⟩; of the statistics a variable has those that its statements ask for."""

    name = "Positive"
    parameters = ("log_nodes", "mass")
    parameter_rank: ClassVar = {"log_nodes": 1, "mass": 1}
    statistic_rank: ClassVar = {"mean": 0, "log": 0, "reciprocal": 0, "squared": 0, "inverse_squared": 0, "log1p_squared": 0}

    functions: ClassVar[Mapping[str, Callable[[Any], Array]]] = {  # of log x
        "mean": jnp.exp,
        "log": lambda u: u,
        "reciprocal": lambda u: jnp.exp(-u),
        "squared": lambda u: jnp.exp(2.0 * u),
        "inverse_squared": lambda u: jnp.exp(-2.0 * u),
        "log1p_squared": lambda u: jax.nn.softplus(2.0 * u),
    }

    def statistics(self, x: Any) -> dict[str, Array]:
        return {k: f(jnp.log(x)) for k, f in self.functions.items()}

    def exponent(self, natural: Natural, u: Array) -> Array:
        """⟨η, T⟩ and the derivative of x by log x; the points are the last axis."""
        return u + sum((jnp.asarray(eta)[..., None] * self.functions[k](u) for k, eta in natural.items()), jnp.zeros_like(u))

    def nodes(self, natural: Natural) -> tuple[Array, Array]:
        """Points of log x and the logarithms of their weights, over the plates."""
        natural = jax.lax.stop_gradient(dict(zip(natural, common_plates(*natural.values()), strict=True)))
        example = next(iter(natural.values()))
        steps = np.linspace(0.0, 1.0, SEARCH).astype(example.dtype)

        def narrower(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            u = low[..., None] + (high - low)[..., None] * steps
            height = self.exponent(natural, u)
            inside = height > height.max(axis=-1, keepdims=True) - DEPTH
            step = (high - low) / (SEARCH - 1)
            lowest = jnp.where(inside, u, jnp.inf).min(axis=-1) - step
            highest = jnp.where(inside, u, -jnp.inf).max(axis=-1) + step
            return jnp.maximum(lowest, low), jnp.minimum(highest, high)

        ends = jnp.full_like(example, LOWEST), jnp.full_like(example, HIGHEST)
        low, high = jax.lax.fori_loop(0, ROUNDS, narrower, ends)
        points, weights = (a.astype(example.dtype) for a in _legendre())
        half = 0.5 * (high - low)[..., None]
        return 0.5 * (high + low)[..., None] + half * points, jnp.log(half * weights)

    def log_partition(self, natural: Natural) -> Array:
        u, log_weights = self.nodes(natural)
        return jax.nn.logsumexp(self.exponent(natural, u) + log_weights, axis=-1)

    def solved(self, natural: Natural) -> tuple[Array, dict[str, Array]]:
        """A(η) and E[T], from the same nodes."""
        u, log_weights = self.nodes(natural)
        height = self.exponent(natural, u) + log_weights
        top = height.max(axis=-1, keepdims=True)
        mass = jnp.exp(height - top)
        total = mass.sum(axis=-1)
        expected = {k: (mass * self.functions[k](u)).sum(axis=-1) / total for k in natural}
        return jnp.log(total) + top[..., 0], expected

    def expected_statistics(self, natural: Natural) -> dict[str, Array]:
        return self.solved(natural)[1]

    def inner(self, natural: Natural, statistics: Mapping[str, Array]) -> Array:
        return jnp.asarray(sum(natural[k] * statistics[k] for k in natural))

    def natural_from(self, **params: Any) -> dict[str, Array]:
        raise ValueError("the natural parameters of such a family are not known from its nodes")

    def params_from(self, natural: Natural) -> dict[str, Array]:
        u, log_weights = self.nodes(natural)
        return {"log_nodes": u, "mass": jax.nn.softmax(self.exponent(natural, u) + log_weights, axis=-1)}

    def in_domain(self, natural: Natural) -> Array:
        return jnp.isfinite(jnp.asarray(sum(natural.values())))

    def in_support(self, x: Any) -> Array:
        return jnp.asarray(x) > 0.0

    # ------------------------------------------------------------ what reports ask for
    def mean(self, params: Parameters) -> np.ndarray:
        u, mass = self.values(params)
        return (mass * np.exp(u)).sum(axis=-1)

    def variance(self, params: Parameters) -> np.ndarray:
        u, mass = self.values(params)
        return (mass * (np.exp(u) - self.mean(params)[..., None]) ** 2).sum(axis=-1)

    def mode(self, params: Parameters) -> np.ndarray:
        """Of the density by x, at the nearest node."""
        u, mass = self.values(params)
        widths = np.gradient(u, axis=-1) * np.exp(u)
        return np.exp(np.take_along_axis(u, (mass / widths).argmax(axis=-1)[..., None], axis=-1)[..., 0])

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        u, mass = self.values(params)
        below = np.cumsum(mass, axis=-1) - 0.5 * mass
        rows = [np.exp(np.interp(q, b, points)) for b, points in zip(below.reshape(-1, NODES), u.reshape(-1, NODES), strict=True)]
        return np.asarray(rows).reshape(u.shape[:-1])

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        """By the inverse of the distribution function, between the nodes linear in log x."""
        u, mass = self.values(params)
        shape = draw_shape(size, u, event=1)
        uniform = rng.uniform(size=(int(np.prod(shape, dtype=int)) // max(1, u[..., 0].size), u[..., 0].size))
        below = (np.cumsum(mass, axis=-1) - 0.5 * mass).reshape(-1, NODES)
        columns = [np.interp(uniform[:, k], b, points) for k, (b, points) in enumerate(zip(below, u.reshape(-1, NODES), strict=True))]
        return np.exp(np.stack(columns, axis=-1)).reshape(shape)


@functools.cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(NODES)
