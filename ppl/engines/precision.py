"""Runs a function with 64-bit or 32-bit numbers in JAX, whatever the caller's setting is, and gives that back afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def with_precision(dtype: Any, function: Callable[P, R]) -> Callable[P, R]:
    """The function inside `jax.enable_x64` for float64, and outside of it for float32."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        import jax

        with jax.enable_x64(np.dtype(dtype) == np.float64):
            return function(*args, **kwargs)

    return wrapped
