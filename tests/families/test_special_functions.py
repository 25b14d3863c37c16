"""Special functions and linear algebra against SciPy and NumPy, with gradients, in both precisions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ppl.numerics import linear_algebra, special

POINTS = np.array([1e-4, 0.3, 1.5, 7.0, 200.0, 1e5])
precisions = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-13)])


@precisions
def test_special_functions_are_those_of_scipy(dtype: type, tolerance: float) -> None:
    x = POINTS.astype(dtype)
    wide = x.astype(float)
    pairs = [
        (special.lgamma(x), scipy.special.gammaln(wide)),
        (special.digamma(x), scipy.special.digamma(wide)),
        (jax.vmap(jax.grad(special.lgamma))(x), scipy.special.digamma(wide)),
        (jax.vmap(jax.grad(special.digamma))(x), scipy.special.polygamma(1, wide)),
        (special.multivariate_lgamma(x + 2, 3), sum(scipy.special.gammaln(wide + 2 - i / 2) for i in range(3)) + 1.5 * np.log(np.pi)),
    ]
    for found, expected in pairs:
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_derivatives_of_the_multivariate_gamma_function() -> None:
    for a in POINTS[2:]:
        np.testing.assert_allclose(jax.grad(lambda x: special.multivariate_lgamma(x, 3))(a), special.multivariate_digamma(a, 3), rtol=1e-12)


def test_betas_factorials_and_binomials_take_whole_numbers() -> None:
    np.testing.assert_allclose(special.lbeta(2, 3), np.log(1 / 12), rtol=1e-14)
    np.testing.assert_allclose(special.log_factorial(np.arange(5)), np.log([1, 1, 2, 6, 24]), atol=1e-14)
    np.testing.assert_allclose(special.log_binomial(5, np.arange(6)), np.log([1, 5, 10, 10, 5, 1]), atol=1e-13)


@precisions
def test_cholesky_gives_inverses_determinants_and_solutions(dtype: type, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 3, 4, 4))
    matrix = jnp.asarray(root @ root.swapaxes(-1, -2) + 2 * np.eye(4), dtype)
    wide, right = np.asarray(matrix, float), rng.normal(size=(2, 3, 4, 2)).astype(dtype)
    near = 30 * tolerance
    np.testing.assert_allclose(linear_algebra.inverse(matrix), np.linalg.inv(wide), rtol=near, atol=near)
    np.testing.assert_allclose(linear_algebra.logdet(matrix), np.linalg.slogdet(wide)[1], rtol=near, atol=near)
    solution = linear_algebra.solve_from_cholesky(linear_algebra.cholesky(matrix), jnp.asarray(right))
    np.testing.assert_allclose(solution, np.linalg.solve(wide, right), rtol=near, atol=near)
    assert linear_algebra.inverse(matrix).dtype == solution.dtype == dtype


def test_the_gradient_of_the_log_determinant_is_the_inverse() -> None:
    matrix = jnp.array([[2.0, 0.3], [0.3, 1.0]])
    np.testing.assert_allclose(jax.grad(linear_algebra.logdet)(matrix), np.linalg.inv(matrix), rtol=1e-12)


def test_a_matrix_that_is_not_positive_definite_is_found_out() -> None:
    matrices = jnp.stack([jnp.eye(2), jnp.diag(jnp.array([1.0, -1.0])), jnp.zeros((2, 2))])
    np.testing.assert_array_equal(linear_algebra.is_positive_definite(matrices), [True, False, False])
