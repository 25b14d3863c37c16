"""Chains of Gaussians, with and without a border, against the dense joint Gaussian."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.families import gaussian_chain, gaussian_chain_segments, gaussian_chain_sweeps

moments = jax.jit(gaussian_chain.moments)
log_partition = jax.jit(gaussian_chain.log_partition)
bordered_moments = jax.jit(gaussian_chain.bordered_moments)
by_single_steps = jax.jit(gaussian_chain_sweeps.solve)
by_segments = partial(jax.jit, static_argnums=3)(gaussian_chain_segments.solve)


def blocks(rng: np.random.Generator, length: int, states: int, plates: tuple[int, ...] = (), border: int = 0) -> list[Any]:
    """J, L, h (B, C, k) of a well-conditioned joint precision: random factors that each touch neighbours in time and the border."""
    size = 2 * states + border
    root = rng.normal(size=plates + (length, size, size))
    pairs = root @ np.swapaxes(root, -1, -2) / size
    diagonal = 0.5 * np.eye(states) + pairs[..., :states, :states]
    diagonal[..., 1:, :, :] += pairs[..., :-1, states : 2 * states, states : 2 * states]
    coupling = pairs[..., :-1, :states, states : 2 * states]
    chain = [diagonal, coupling, rng.normal(size=plates + (length, states))]
    if not border:
        return chain
    beside = pairs[..., :states, 2 * states :].copy()
    beside[..., 1:, :, :] += pairs[..., :-1, states : 2 * states, 2 * states :]
    corner = np.eye(border) + pairs[..., 2 * states :, 2 * states :].sum(axis=-3)
    return [*chain, beside, corner, rng.normal(size=plates + (border,))]


def dense(diagonal: Any, coupling: Any, potential: Any, beside: Any = None, corner: Any = None, pull: Any = None) -> tuple[float, Any, Any]:
    """The log-partition, mean and covariance of the whole."""
    length, states = potential.shape
    size = length * states
    precision, linear = np.zeros((size, size)), potential.ravel()
    for t in range(length):
        here = slice(t * states, (t + 1) * states)
        precision[here, here] = diagonal[t]
        if t + 1 < length:
            after = slice((t + 1) * states, (t + 2) * states)
            precision[here, after] = coupling[t]
            precision[after, here] = coupling[t].T
    if beside is not None:
        wide = beside.reshape(size, -1)
        precision = np.block([[precision, wide], [wide.T, corner]])
        linear = np.concatenate([linear, pull])
    mean = np.linalg.solve(precision, linear)
    value = 0.5 * (linear @ mean - np.linalg.slogdet(precision)[1] + len(linear) * np.log(2 * np.pi))
    return value, mean, np.linalg.inv(precision)


def close(found: Any, expected: Any, error: float = 1e-10) -> None:
    np.testing.assert_allclose(found, expected, rtol=error, atol=error)


def compare(found: Any, value: float, mean: Any, covariance: Any, length: int, states: int, error: float = 1e-10) -> None:
    size = length * states
    close(found.log_partition, value, error)
    close(found.mean, mean[:size].reshape(length, states), error)
    table = covariance[:size, :size].reshape(length, states, length, states)
    close(found.covariance, np.array([table[t, :, t] for t in range(length)]), error)
    close(found.cross, np.array([table[t, :, t + 1] for t in range(length - 1)]).reshape(length - 1, states, states), error)


@pytest.mark.parametrize(("length", "states"), [(1, 2), (2, 1), (3, 2), (17, 3), (40, 1), (9, 13)])
def test_chain_is_the_dense_gaussian(length: int, states: int) -> None:
    chain = blocks(np.random.default_rng(length), length, states)
    compare(moments(*chain), *dense(*chain), length, states)
    close(log_partition(*chain), dense(*chain)[0])


@pytest.mark.parametrize(("length", "states", "border"), [(1, 2, 3), (12, 2, 1), (20, 3, 4)])
def test_chain_with_a_border_is_the_dense_gaussian(length: int, states: int, border: int) -> None:
    chain = blocks(np.random.default_rng(length), length, states, border=border)
    value, mean, covariance = dense(*chain)
    found = bordered_moments(*chain)
    compare(found, value, mean, covariance, length, states)
    size = length * states
    close(found.border_mean, mean[size:])
    close(found.border_covariance, covariance[size:, size:])
    close(found.border_cross, covariance[:size, size:].reshape(length, states, border))
    close(gaussian_chain.bordered_log_partition(*chain), value)


@pytest.mark.parametrize(("length", "pieces"), [(30, 1), (30, 5), (29, 4), (31, 6)])
def test_segments_side_by_side_are_single_steps(length: int, pieces: int) -> None:
    diagonal, coupling, potential = blocks(np.random.default_rng(length), length, 3, (2,))
    right = np.concatenate([potential[..., None], np.random.default_rng(0).normal(size=(2, length, 3, 2))], axis=-1)
    for a, b in zip(by_segments(diagonal, coupling, right, pieces), by_single_steps(diagonal, coupling, right), strict=True):
        close(a, b)


def test_sequences_in_plates_are_those_alone_and_share_what_is_given_once() -> None:
    diagonal, coupling, potential, *rest = blocks(np.random.default_rng(1), 10, 2, (2, 3), border=2)
    diagonal, coupling = diagonal[0, 0], coupling[0, 0]
    together = moments(diagonal, coupling, potential)
    bordered = bordered_moments(diagonal, coupling, potential, rest[0][0, 0], rest[1][0, 0], rest[2])
    for i in np.ndindex(2, 3):
        for a, b in zip(moments(diagonal, coupling, potential[i]), together, strict=True):
            close(a, b[i])
        alone = bordered_moments(diagonal, coupling, potential[i], rest[0][0, 0], rest[1][0, 0], rest[2][i])
        for a, b in zip(alone, bordered, strict=True):
            close(a, b[i])


@pytest.mark.parametrize("length", [5, 20])
def test_gradients_of_the_log_partition_are_the_raw_moments(length: int) -> None:
    chain = [jnp.asarray(x) for x in blocks(np.random.default_rng(2), length, 2)]

    def by_cholesky(diagonal: Any, coupling: Any, potential: Any) -> Any:
        logdet, solved, _, _ = gaussian_chain_sweeps.solve(diagonal[None], coupling[None], potential[None, ..., None])
        return 0.5 * ((solved[0, ..., 0] * potential).sum() - logdet[0])

    ours = jax.jit(jax.grad(gaussian_chain.log_partition, argnums=(0, 1, 2)))(*chain)
    automatic = jax.jit(jax.grad(by_cholesky, argnums=(0, 1, 2)))(*chain)
    found = moments(*chain)
    close(ours[2], found.mean)
    close(ours[0], -0.5 * (found.covariance + found.mean[:, :, None] * found.mean[:, None, :]))
    close(ours[1], -(found.cross + found.mean[:-1, :, None] * found.mean[1:, None, :]))
    for a, b in zip(ours, automatic, strict=True):
        close(a, 0.5 * (b + jnp.swapaxes(b, -1, -2)) if b.shape == chain[0].shape else b)


def test_second_derivatives_of_the_log_partition_are_covariances() -> None:
    diagonal, coupling, potential = (jnp.asarray(x) for x in blocks(np.random.default_rng(3), 10, 2))
    hessian = jax.jit(jax.hessian(lambda h: gaussian_chain.log_partition(diagonal, coupling, h)))(potential)
    close(hessian.reshape(20, 20), dense(np.asarray(diagonal), np.asarray(coupling), np.asarray(potential))[2])


@pytest.mark.parametrize("length", [5, 40])
@pytest.mark.parametrize("where", [0, 2, -1])
def test_an_improper_chain_is_nan_and_spoils_no_other(length: int, where: int) -> None:
    diagonal, coupling, potential = blocks(np.random.default_rng(4), length, 2, (3,))
    diagonal[1, where] -= 10.0 * np.eye(2)
    found = moments(diagonal, coupling, potential)
    np.testing.assert_array_equal(gaussian_chain.is_proper(found.log_partition), [True, False, True])
    assert all(jnp.isnan(x[1]).all() for x in found)
    for i in (0, 2):
        compare(type(found)(*(x[i] for x in found)), *dense(diagonal[i], coupling[i], potential[i]), length, 2)


@pytest.mark.parametrize("length", [6, 600])
def test_single_precision_far_from_zero(length: int) -> None:
    """A random walk with tiny steps around 1e4: covariances and differences of means keep their digits."""
    walk, noise = 1e4, 1.0
    diagonal = np.full((length, 1, 1), 2 * walk + noise)
    diagonal[0] = diagonal[-1] = walk + noise
    coupling = np.full((length - 1, 1, 1), -walk)
    y = 1e4 + np.random.default_rng(5).normal(size=(length, 1))
    double = moments(diagonal, coupling, noise * y)
    single = moments(*(x.astype(np.float32) for x in (diagonal, coupling, noise * y)))
    assert single.mean.dtype == np.float32
    np.testing.assert_allclose(single.mean, double.mean, rtol=np.finfo(np.float32).eps * 4 * walk)  # the condition number
    np.testing.assert_allclose(single.covariance, double.covariance, rtol=2e-2)
    assert (single.covariance > 0).all()


def test_draws_have_the_moments_of_the_chain_and_its_border() -> None:
    length, states, border, count = 9, 2, 2, 40000
    chain = blocks(np.random.default_rng(6), length, states, border=border)
    _, mean, covariance = dense(*chain[:3])
    error = 6 * np.sqrt(2 / count) * covariance.diagonal().max()
    many = [*chain[:2], np.broadcast_to(chain[2], (count, length, states))]
    draws = jax.jit(gaussian_chain.sample)(jax.random.key(0), *many).reshape(count, -1)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=error)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=error)
    _, mean, covariance = dense(*chain)
    both = jax.jit(gaussian_chain.bordered_sample)(jax.random.key(1), *many, *chain[3:])
    draws = jnp.concatenate([both[0].reshape(count, -1), both[1]], axis=1)
    error = 6 * np.sqrt(2 / count) * covariance.diagonal().max()
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=error)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=error)
