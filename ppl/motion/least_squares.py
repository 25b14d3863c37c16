"""Nonlinear least squares by damped Gauss-Newton steps: the most probable unknowns where errors have unit noise.

A step is taken where the sum of squares falls; where it does not the damping grows (Levenberg 1944, Marquardt 1963). Coordinates that are
pinned stay at their values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

MOST_STEPS = 60
SETTLED = 1e-14  # what a step may still promise, nats, relative to the sum of squares


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Optimum:
    """Where the search ended: the unknowns, `½ |errors|²`, the curvature there (1 at pinned coordinates), and whether it has settled."""

    at: Any = field()
    cost: Any = field()
    curvature: Any = field()
    settled: Any = field()


def expand(errors: Callable[[Any], Any], u: Any, free: Any) -> tuple[Any, Any, Any]:
    """½ |e|², its gradient and its curvature at u, in the free coordinates."""
    value, push = jax.linearize(errors, u)
    jacobian = jax.vmap(push, out_axes=1)(jnp.eye(len(u))) * free
    return 0.5 * value @ value, jacobian.T @ value, jacobian.T @ jacobian + jnp.diag(1.0 - free)


def step(gradient: Any, curvature: Any, damping: Any) -> Any:
    """The damped step, in coordinates of unit curvature."""
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(curvature), 1e-300))
    scaled = curvature / scale[:, None] / scale + damping * jnp.eye(len(scale))
    factor = jax.scipy.linalg.cho_factor(scaled)
    return -jax.scipy.linalg.cho_solve(factor, gradient / scale) / scale


def solve_linear(errors: Callable[[Any], Any], start: Any, free: Any) -> Optimum:
    """Of errors that are affine: one step from anywhere."""
    _, gradient, curvature = expand(errors, start, free)
    at = start + step(gradient, curvature, 0.0) * free
    value = errors(at)
    return Optimum(at, 0.5 * value @ value, curvature, jnp.isfinite(value).all())


def solve(errors: Callable[[Any], Any], start: Any, free: Any) -> Optimum:
    """From a start to where no step promises anything more. The first round takes no step, so that one place expands the errors."""

    def again(state: Any) -> Any:
        _, _, _, _, _, count, settled = state
        return (count <= MOST_STEPS) & ~settled

    def one(state: Any) -> Any:
        u, cost, gradient, curvature, damping, count, _ = state
        move = step(gradient, curvature, damping) * free
        there = u + move
        new = expand(errors, there, free)
        better = new[0] <= cost
        promised = -0.5 * gradient @ move
        done = (count > 0) & ((promised <= SETTLED * (1.0 + cost)) | (~better & (damping > 1e8)))
        u = jnp.where(better, there, u)
        kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, (cost, gradient, curvature))
        damping = jnp.where(better, jnp.where(damping < 1e-6, 0.0, damping / 10), jnp.maximum(damping * 10, 1e-3))
        return (u, *kept, damping, count + 1, done)

    nothing = (jnp.asarray(jnp.inf), jnp.zeros_like(start), jnp.eye(len(start)))
    state = (start, *nothing, jnp.zeros(()), 0, jnp.zeros((), bool))
    u, cost, _, curvature, _, _, settled = jax.lax.while_loop(again, one, state)
    return Optimum(u, cost, curvature, settled & jnp.isfinite(cost))
