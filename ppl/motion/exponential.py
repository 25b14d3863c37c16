"""The exponential of a matrix by scaling, a Taylor polynomial, and squaring: a few loops, where a Padé scheme compiles for seconds."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

DEGREE = 18  # at norm 1/2 the rest is below 1e-22


def exponential(matrix: Any) -> Any:
    """exp of a square matrix."""
    norm = jnp.abs(matrix).sum(axis=0).max()
    halvings = jnp.maximum(jnp.ceil(jnp.log2(jnp.maximum(norm, 1e-30))) + 1, 0)
    small, identity = matrix / 2**halvings, jnp.eye(len(matrix))
    grown = jax.lax.fori_loop(0, DEGREE, lambda k, e: identity + small @ e / (DEGREE - k), identity)
    return jax.lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1] @ s[1]), (halvings, grown))[1]
