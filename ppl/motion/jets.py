"""Derivatives along a curve: what a function does to the derivatives of its argument, by the chain rule of any order.

JAX's Taylor mode knows the rule of most operations; for the others directional derivatives are nested, which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.jet import jet

Function = Callable[[Any], Any]


def derivatives(function: Function, curve: Any) -> Any:
    """`curve` holds the argument and its derivatives along the first axis; so does what comes back of the function."""
    if curve.shape[0] == 1:
        return function(curve[0])[None]
    try:
        value, series = jet(function, (curve[0],), (list(curve[1:]),))
    except (NotImplementedError, KeyError):
        return nested(function, curve)
    return jnp.stack([jnp.broadcast_to(jnp.asarray(each, value.dtype), value.shape) for each in (value, *series)])


def nested(function: Function, curve: Any) -> Any:
    """The same by directional derivatives of directional derivatives."""
    terms = [coefficients / factorial(k) for k, coefficients in enumerate(curve)]

    def along(time: Any) -> Any:
        return function(sum((term * time**k for k, term in enumerate(terms[1:], 1)), terms[0]))

    found, current = [], along
    for _ in range(curve.shape[0]):
        found.append(current)
        current = _slope(current)
    return jnp.stack([each(jnp.zeros(())) for each in found])


def _slope(function: Function) -> Function:
    return lambda time: jax.jvp(function, (time,), (jnp.ones_like(time),))[1]
