"""Downhill by damped Newton steps: a smooth function of a few numbers, as expected free energy is one of real actions.

Where the function is a quadratic one step is exact. Elsewhere curvature counts by its size, so that a saddle is left and not sought
(Dauphin et al. 2014), and a step is halved until it goes down. Directions in which the function is flat stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

MOST_STEPS = 100
HALVINGS = 30
FLAT = 1e-11  # share of the largest curvature below which a direction is flat


class Lowest(NamedTuple):
    """`promise` is how far down the last Newton step should lead: no further than that can it go where the function is quadratic."""

    point: Any
    value: Any
    promise: Any


def lowest(function: Callable[[Any], Any], start: Any) -> Lowest:
    """A point near `start` where the function is lowest."""
    enough = 1e2 * jnp.finfo(start.dtype).eps
    lengths = jnp.append(0.5 ** jnp.arange(HALVINGS), 0.0)

    def sloped(point: Any) -> tuple[Any, Any]:
        slope = jax.grad(function)(point)
        return slope, slope

    def newton(point: Any) -> tuple[Any, Any]:
        """The step, and how far down it should lead."""
        curvature, slope = jax.jacfwd(sloped, has_aux=True)(point)
        values, vectors = jnp.linalg.eigh(curvature)
        size = jnp.abs(values)
        steep = size > FLAT * jnp.maximum(size.max(), jnp.finfo(start.dtype).tiny)
        along = jnp.where(steep, (vectors.T @ slope) / jnp.where(steep, size, 1.0), 0.0)
        return -vectors @ along, 0.5 * slope @ vectors @ along

    def going(state: Any) -> Any:
        _, value, promise, count = state
        return (promise > enough * (1 + jnp.abs(value))) & (count < MOST_STEPS)

    def step(state: Any) -> Any:
        point, _, _, count = state
        move, promise = newton(point)
        found = jax.vmap(lambda length: function(point + length * move))(lengths)
        down = jnp.isfinite(found) & (found < found[-1])
        place = jnp.where(down.any(), jnp.argmax(down), HALVINGS)
        return point + lengths[place] * move, found[place], promise, jnp.where(down.any(), count + 1, MOST_STEPS)

    return Lowest(*jax.lax.while_loop(going, step, (start, jnp.zeros(()), jnp.full((), jnp.inf), 0))[:3])
