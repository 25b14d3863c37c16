"""Draws of Pólya–Gamma variables against their moments, their Laplace transform and, of sums, the cumulants of what is approximate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.numerics.polya_gamma import TERMS, moments_of_one, of_many, of_one, polya_gamma

jax.config.update("jax_enable_x64", True)
COUNT = 60_000
Z = [0.0, 1e-3, 0.5, 1.5, 3.0, 3.3, 10.0, 60.0, 2000.0]


def mean_of(b: float, z: float) -> float:
    return b * (0.25 if z == 0 else np.tanh(z / 2) / (2 * z))


def variance_of(b: float, z: float) -> float:
    """Σ_k b c_k², c_k = 1 / (2 (π² (k - ½)² + z²/4)): the tail by its integral."""
    k = np.arange(2_000_000) + 0.5
    return float(b * (0.25 / ((np.pi * k) ** 2 + z * z / 4) ** 2).sum())


def transform(b: float, z: float, t: float) -> float:
    """E exp(-t ω) = cosh(z/2)ᵇ / cosh(√(z²/4 + t/2))ᵇ."""
    logs = [abs(a) + np.log1p(np.exp(-2 * abs(a))) for a in (z / 2, np.sqrt(z * z / 4 + t / 2))]
    return float(np.exp(b * (logs[0] - logs[1])))


def agrees(draws: Any, b: float, z: float) -> None:
    draws = np.asarray(draws, float)
    assert (draws > 0).all()
    mean, variance = mean_of(b, z), variance_of(b, z)
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / len(draws)) + 1e-7 * mean
    fourth = ((draws - mean) ** 4).mean()
    assert abs(draws.var() - variance) < 5 * np.sqrt(fourth / len(draws))
    for times in (0.3, 1.0, 4.0, 30.0):
        values = np.exp(-times * draws / mean)
        assert abs(values.mean() - transform(b, z, times / mean)) < 5 * values.std() / np.sqrt(len(draws)) + 1e-7


@pytest.mark.parametrize("z", [*Z, -2.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_has_its_moments_and_its_laplace_transform(z: float, dtype: Any) -> None:
    agrees(jax.jit(of_one)(jax.random.key(1), jnp.full(COUNT, z, dtype)), 1.0, abs(z))


@pytest.mark.parametrize("z", Z)
@pytest.mark.parametrize("b", [1.0, 2.0, 7.5, 400.0])
def test_a_sum_has_them_too(b: float, z: float) -> None:
    agrees(jax.jit(of_many)(jax.random.key(2), jnp.full(COUNT, b), jnp.full(COUNT, z)), b, z)


def test_the_first_cumulants_of_a_sum_are_those_of_its_series() -> None:
    """Mean and variance are exact; of the third only what is left of the sum is that of a Gamma."""
    k = np.arange(400_000) + 0.5
    for z in (*Z, 30.0, 200.0):
        mean, variance = (float(m) for m in moments_of_one(jnp.asarray(z)))
        c = 0.5 / ((np.pi * k) ** 2 + z * z / 4)
        assert mean == pytest.approx(mean_of(1.0, z), rel=1e-9)
        assert variance == pytest.approx(variance_of(1.0, z), rel=1e-6)
        rest, left, spread = c[TERMS:], mean - c[:TERMS].sum(), variance - (c[:TERMS] ** 2).sum()
        gap = abs(2 * (rest**3).sum() - 2 * spread**2 / left) / variance**1.5
        assert gap < (3e-4 if z <= 30 else 0.04)


def test_entries_are_drawn_each_by_its_own_count() -> None:
    z = jnp.asarray([0.7, 1.0, -2.0])
    assert polya_gamma(jax.random.key(3), jnp.asarray([1.0, 0.0, 1.0]), z).tolist()[1] == 0.0
    np.testing.assert_array_equal(
        polya_gamma(jax.random.key(3), jnp.ones(3), z),
        of_one(jax.random.key(3), z),
    )
    some = polya_gamma(jax.random.key(3), jnp.asarray([5.0, 0.0, 1.0]), z)
    assert some[1] == 0.0 and (some[jnp.asarray([0, 2])] > 0).all()
    found = of_one(jax.random.key(0), jnp.asarray([np.nan, 1.0]))
    assert np.isnan(found[0]) and found[1] > 0
