"""Forests of Gaussians, with and without a border, against the dense joint Gaussian."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.families import gaussian_forest
from ppl.families.gaussian_forest import Waves

SHAPES = {
    "leaves alone": ([7], [0] * 7),
    "two levels": ([5, 2], [5, 6, 5, 6, 6, 0, 0]),
    "three levels, one without children": ([6, 3, 2], [6, 6, 7, 7, 7, 6, 9, 10, 9, 0, 0]),
}


def parts(waves: Waves, width: int, border: int) -> list[Any]:
    """J, L, h, B, C, k of a well-conditioned joint precision: random factors that each touch a node, its parent and the border."""
    rng = np.random.default_rng(width + 10 * border)
    nodes = waves.ends[-1]
    roots = waves.ends[-2] if len(waves.ends) > 1 else 0
    diagonal = np.tile(0.5 * np.eye(width), (nodes, 1, 1))
    coupling, beside, corner = np.zeros((nodes, width, width)), np.zeros((nodes, width, border)), np.eye(border)
    for i in range(nodes):
        size = 2 * width + border
        root = rng.normal(size=(size, size))
        pair = root @ root.T / size
        own, up, side = slice(0, width), slice(width, 2 * width), slice(2 * width, None)
        diagonal[i] += pair[own, own]
        beside[i] += pair[own, side]
        corner = corner + pair[side, side]
        if i < roots:
            coupling[i] = pair[own, up]
            diagonal[waves.parents[i]] += pair[up, up]
            beside[waves.parents[i]] += pair[up, side]
    return [diagonal, coupling, rng.normal(size=(nodes, width)), beside, corner, rng.normal(size=border)]


def dense(waves: Waves, diagonal: Any, coupling: Any, potential: Any, beside: Any, corner: Any, pull: Any) -> tuple[Any, Any]:
    """The joint precision and its potential."""
    nodes, width = potential.shape
    size = nodes * width
    precision = np.zeros((size + len(pull), size + len(pull)))
    precision[size:, size:] = corner
    for i in range(nodes):
        own = slice(i * width, (i + 1) * width)
        up = slice(waves.parents[i] * width, (waves.parents[i] + 1) * width)
        precision[own, up] += coupling[i]
        precision[up, own] += coupling[i].T
        precision[own, size:], precision[size:, own] = beside[i], beside[i].T
    for i in range(nodes):
        own = slice(i * width, (i + 1) * width)
        precision[own, own] = diagonal[i]
    return precision, np.concatenate([potential.ravel(), pull])


def forest(shape: str) -> Waves:
    counts, parents = SHAPES[shape]
    return Waves(tuple(int(n) for n in np.cumsum(counts)), np.array(parents))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("width", "border"), [(1, 0), (1, 2), (2, 0), (3, 2)])
def test_forest_is_the_dense_gaussian(shape: str, width: int, border: int) -> None:
    waves = forest(shape)
    given = parts(waves, width, border)
    found = jax.jit(lambda *a: gaussian_forest.moments(waves, *a))(*given)
    precision, linear = dense(waves, *given)
    covariance = np.linalg.inv(precision)
    mean, logdet = covariance @ linear, np.linalg.slogdet(precision)[1]
    size = waves.ends[-1] * width
    each = covariance[:size, :size].reshape(-1, width, waves.ends[-1], width)
    np.testing.assert_allclose(found.logdet, logdet, atol=1e-10)
    np.testing.assert_allclose(found.log_partition, 0.5 * (linear @ mean - logdet + len(mean) * np.log(2 * np.pi)), atol=1e-10)
    np.testing.assert_allclose(np.concatenate([found.mean.ravel(), found.border_mean]), mean, atol=1e-10)
    np.testing.assert_allclose(found.covariance, [each[i, :, i] for i in range(len(each))], atol=1e-10)
    np.testing.assert_allclose(found.border_covariance, covariance[size:, size:], atol=1e-10)
    np.testing.assert_allclose(found.border_cross.reshape(size, border), covariance[:size, size:], atol=1e-10)
    roots = waves.ends[-2] if len(waves.ends) > 1 else 0
    expected = np.array([each[i, :, waves.parents[i]] for i in range(roots)]).reshape(roots, width, width)
    np.testing.assert_allclose(found.cross[:roots], expected, atol=1e-10)
    assert not np.any(found.cross[roots:])


@pytest.mark.parametrize("shape", SHAPES)
def test_means_are_the_gradient_of_the_log_partition(shape: str) -> None:
    waves = forest(shape)
    given = parts(waves, 2, 2)
    found = jax.jit(lambda *a: gaussian_forest.moments(waves, *a))(*given)

    def value(*some: Any) -> Any:
        return gaussian_forest.moments(waves, *some).log_partition

    slopes = jax.jit(jax.grad(value, argnums=(2, 5)))(*given)
    np.testing.assert_allclose(slopes[0], found.mean, atol=1e-10)
    np.testing.assert_allclose(slopes[1], found.border_mean, atol=1e-10)


def test_draws_have_the_covariance_of_the_forest() -> None:
    """The draw is linear in its noise: its matrix times its transpose is the covariance."""
    waves = forest("three levels, one without children")
    diagonal, coupling, potential, beside, corner, _ = map(jnp.asarray, parts(waves, 2, 2))
    shapes = potential.shape, (2,)

    def drawn(noise: Any) -> Any:
        nodes, border = noise[: potential.size].reshape(shapes[0]), noise[potential.size :]
        made = gaussian_forest.sample(waves, nodes, border, diagonal, coupling, beside, corner)
        return jnp.concatenate([made[0].ravel(), made[1]])

    root = jax.jit(jax.jacobian(drawn))(jnp.zeros(potential.size + 2))
    precision, _ = dense(waves, diagonal, coupling, np.zeros(shapes[0]), beside, corner, np.zeros(2))
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(precision), atol=1e-10)


@pytest.mark.parametrize("width", [1, 2])
def test_what_is_not_positive_definite_is_not_a_number(width: int) -> None:
    waves = forest("two levels")
    diagonal, *rest = parts(waves, width, 1)
    diagonal[3] *= -1.0
    value = jax.jit(lambda *a: gaussian_forest.moments(waves, *a).log_partition)(diagonal, *rest)
    assert not np.isfinite(value)
