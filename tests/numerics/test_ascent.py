"""Climbing: the top of a concave function, of a curved ridge, and never down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.numerics.ascent import ascended

jax.config.update("jax_enable_x64", True)
SCALES = np.logspace(-2, 2, 12)


def bowl(x: Any) -> Any:
    return -0.5 * (SCALES * (x - 1.0) ** 2).sum() + 7.0


def ridge(x: Any) -> Any:
    return -((1.0 - x[::2]) ** 2 + 30.0 * (x[1::2] - x[::2] ** 2) ** 2).sum()


def barrier(x: Any) -> Any:
    """Not a number beyond 0.5, and rising towards it."""
    return jnp.log(0.5 - x).sum() + 5.0 * x.sum()


@pytest.mark.parametrize(("value", "top"), [(bowl, np.ones(12)), (ridge, np.ones(12)), (barrier, np.full(12, 0.3))])
def test_the_top_is_found(value: Callable[[Any], Any], top: np.ndarray) -> None:
    start = jnp.zeros(12)
    point, rise = ascended(value, start, evaluations=400, least=1e-15, curvature=1.0)
    np.testing.assert_allclose(point, top, atol=1e-4)
    assert float(rise) == pytest.approx(float(value(point) - value(start)))


@pytest.mark.parametrize("value", [bowl, ridge, barrier])
@pytest.mark.parametrize("curvature", [1e-6, 1.0, 1e6])
def test_it_never_ends_below_its_start(value: Callable[[Any], Any], curvature: float) -> None:
    start = jnp.linspace(-0.3, 0.3, 12)
    climb = jax.jit(lambda count: ascended(value, start, evaluations=count, least=1e-15, curvature=curvature))
    last = float(value(start))
    for evaluations in range(1, 30):
        point, rise = climb(evaluations)
        assert float(rise) >= 0.0 and float(value(point)) >= last - 1e-12
        last = float(value(point))


def test_a_start_at_the_top_stays() -> None:
    point, rise = ascended(bowl, jnp.ones(12), evaluations=30, least=1e-15, curvature=1.0)
    np.testing.assert_array_equal(point, np.ones(12))
    assert float(rise) == 0.0
