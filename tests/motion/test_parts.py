"""Roughness, embedding and derivatives along curves, each against a second way to the same numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from ppl.motion import roughness
from ppl.motion.embedding import embedding
from ppl.motion.exponential import exponential
from ppl.motion.jets import derivatives, nested


@pytest.mark.parametrize("smoothness", [0.5, 1.3])
def test_roughness_is_the_covariance_of_a_dense_noise_with_its_differences(smoothness: float) -> None:
    """The second difference of noise on a fine grid, from its autocorrelation alone."""
    step = 1e-2
    times = step * np.arange(-1, 2)
    rough = roughness.autocorrelation(times[:, None] - times, smoothness)
    stencils = np.array([[0, 1, 0], [-0.5, 0, 0.5], [1, -2, 1]]) / step ** np.arange(3)[:, None]
    assert stencils @ rough @ stencils.T == pytest.approx(roughness.covariance(2, smoothness), rel=2e-3, abs=2e-3)


def test_roots_are_roots_of_precisions() -> None:
    for smoothness in (0.0, 0.4, 0.7):
        root = roughness.root(6, smoothness)
        assert root.T @ root == pytest.approx(roughness.precision(6, smoothness), rel=1e-9)


@pytest.mark.parametrize("order", [0, 1, 3, 4, 6])
def test_a_polynomial_is_embedded_as_its_derivatives(order: int) -> None:
    polynomial = np.polynomial.Polynomial(np.random.default_rng(order).standard_normal(order + 1))
    times = np.arange(20.0)
    found = embedding(order, 20).derivatives(polynomial(times))
    inner = slice(order, 20 - order)
    for k in range(order + 1):
        assert found[inner, k] == pytest.approx(polynomial.deriv(k)(times)[inner] if k else polynomial(times)[inner], rel=1e-8, abs=1e-7)


def test_samples_and_derivatives_have_one_density() -> None:
    for order in range(7):
        assert np.linalg.det(embedding(order, 9).expansions) == pytest.approx(np.ones(9))


def test_taylor_mode_is_nested_differentiation() -> None:
    """Also where JAX has no rule for an operation (lgamma), which is then nested by itself."""
    with jax.enable_x64(True):
        curve = jnp.asarray(np.random.default_rng(0).standard_normal((5, 2))).at[0].set([0.7, 1.4])
        for function in (
            lambda z: jnp.stack([jnp.sin(z[0]) * jnp.exp(z[1]), z[0] / (1 + z[1] ** 2)]),
            lambda z: jax.scipy.special.gammaln(z[:1]) * z[1],
            lambda z: jnp.asarray([3.0]),
        ):
            assert np.asarray(derivatives(function, curve)) == pytest.approx(np.asarray(nested(function, curve)), rel=1e-9, abs=1e-9)


def test_the_exponential_is_scipys() -> None:
    with jax.enable_x64(True):
        for scale in (1e-8, 1.0, 30.0):
            matrix = scale * np.random.default_rng(1).standard_normal((6, 6))
            assert np.asarray(exponential(jnp.asarray(matrix))) == pytest.approx(expm(matrix), rel=1e-9)
