"""Uphill by quasi-Newton steps (BFGS): a smooth function of a few hundred numbers, within so many evaluations.

One evaluation of value and gradient stands in the loop, for the start, a step and the line search alike, so that it is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

RISE = 1e-4  # share of the promised rise that a step must bring (Armijo)
FIRST = 0.1  # largest length of the first step
FLAT = 1e-10  # share of the promised rise below which the gradient did not bend


def ascended(value: Callable[[Array], Array], start: Array, *, evaluations: int, least: float, curvature: float) -> tuple[Array, Array]:
    """A point from `start` on and how much higher the value is there; steps that promise less than `least` of it are not tried.

    `curvature` is a guess of minus the second derivative, by which the first step is as long as a Newton step would be.
    """
    both = jax.value_and_grad(value)
    zero, infinite = jnp.zeros((), start.dtype), jnp.full((), jnp.inf, start.dtype)
    carry = {
        "left": jnp.asarray(evaluations),
        "point": start,
        "trial": start,
        "before": zero,
        "value": -infinite,
        "slope": jnp.zeros_like(start),
        "inverse": jnp.zeros((start.size, start.size), start.dtype),
        "length": zero + 1.0,
        "promise": infinite,
        "bends": jnp.asarray(0),
    }

    def going(c: dict[str, Any]) -> Array:
        return (c["left"] > 0) & (jnp.isneginf(c["value"]) | (c["promise"] > least * (1.0 + jnp.abs(c["value"]))))

    def step(c: dict[str, Any]) -> dict[str, Any]:
        found, slope = both(c["trial"])
        rise, move = found - c["value"], c["trial"] - c["point"]
        served = (rise >= RISE * c["promise"]) & jnp.isfinite(slope).all()
        bent, inverse = _bent(c, move, c["slope"] - slope, served)
        shorter = jnp.clip(0.5 * c["promise"] / jnp.where(jnp.isfinite(rise), c["promise"] - rise, jnp.inf), 0.1, 0.5)  # a parabola's top
        new = {
            "left": c["left"] - 1,
            "point": jnp.where(served, c["trial"], c["point"]),
            "before": jnp.where(jnp.isneginf(c["value"]), found, c["before"]),
            "value": jnp.where(served, found, c["value"]),
            "slope": jnp.where(served, slope, c["slope"]),
            "inverse": inverse,
            "length": jnp.where(served, 1.0, c["length"] * shorter),
            "bends": c["bends"] + bent,
        }
        tiny = jnp.finfo(start.dtype).tiny
        steepest = new["slope"] * jnp.minimum(FIRST / jnp.maximum(jnp.linalg.norm(new["slope"]), tiny), 1.0 / curvature)
        ahead = new["length"] * jnp.where(new["bends"] == 0, steepest, inverse @ new["slope"])
        return {**new, "trial": new["point"] + ahead, "promise": ahead @ new["slope"]}

    last = jax.lax.while_loop(going, step, carry)
    return last["point"], last["value"] - last["before"]


def _bent(c: dict[str, Any], move: Array, bend: Array, served: Array) -> tuple[Array, Array]:
    """Whether the gradient bent over a step, and the inverse of minus the Hessian that this tells (before the first: a multiple of 1)."""
    curvature = bend @ move
    bent = served & (curvature > FLAT * c["promise"])
    inverse = jnp.where(c["bends"] == 0, jnp.eye(move.size, dtype=move.dtype) * curvature / (bend @ bend), c["inverse"])
    across = inverse @ bend
    outer = jnp.outer(move, across)
    updated = inverse - (outer + outer.T) / curvature + (1.0 + bend @ across / curvature) * jnp.outer(move, move) / curvature
    return bent, jnp.where(bent, updated, c["inverse"])
