"""The Gaussian of a block: mean and covariance, precision and potential, natural parameters are three ways to say one thing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from ppl.families.multivariate_normal import gaussian_entropy, gaussian_from_precision
from ppl.families.registry import FAMILIES


def precision_and_mean(seed: int, size: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, size, size))
    return root @ root.swapaxes(-1, -2) + np.eye(size), rng.normal(0, 5, (3, size))


def test_mean_and_covariance_come_back_from_the_precision() -> None:
    precision, mean = precision_and_mean(0)
    found, cov = gaussian_from_precision(jnp.asarray(precision), jnp.einsum("nij,nj->ni", precision, mean))
    np.testing.assert_allclose(found, mean, rtol=1e-10)
    np.testing.assert_allclose(cov @ precision, np.broadcast_to(np.eye(4), cov.shape), atol=1e-10)
    np.testing.assert_array_equal(cov, cov.swapaxes(-1, -2))


def test_entropy_of_a_precision_is_that_of_scipy() -> None:
    precision, _ = precision_and_mean(1)
    expected = [scipy.stats.multivariate_normal(cov=np.linalg.inv(p)).entropy() for p in precision]
    np.testing.assert_allclose(gaussian_entropy(jnp.asarray(precision)), expected, rtol=1e-10)


def test_a_precision_that_is_not_positive_definite_gives_nan() -> None:
    mean, cov = gaussian_from_precision(jnp.diag(jnp.array([1.0, -1.0])), jnp.ones(2))
    assert jnp.isnan(mean).all() and jnp.isnan(cov).all()


def test_one_newton_step_on_the_energy_is_the_conjugate_update() -> None:
    """J = -2 ∇_V g, m = m + J⁻¹ ∇_m g from anywhere is what the raw statistics' gradient gives."""
    precision, centre = (a[0] for a in precision_and_mean(2))

    def energy(mean: jax.Array, cov: jax.Array) -> jax.Array:
        residual = mean - centre
        return -0.5 * (residual @ precision @ residual + (precision * cov).sum())

    anywhere, spread = jnp.full(4, 7.0), 3.0 * jnp.eye(4)
    slope, curvature = jax.grad(energy, argnums=(0, 1))(anywhere, spread)
    step, cov = gaussian_from_precision(-2.0 * curvature, slope)
    natural = jax.grad(lambda s: energy(s["mean"], s["outer"] - jnp.outer(s["mean"], s["mean"])))({"mean": anywhere, "outer": spread})
    conjugate = FAMILIES["MvNormal"].params_from(natural)
    np.testing.assert_allclose(anywhere + step, centre, rtol=1e-9)
    np.testing.assert_allclose(conjugate["mean"], centre, rtol=1e-9)
    np.testing.assert_allclose(conjugate["cov"], cov, rtol=1e-9)
