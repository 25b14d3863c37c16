"""A forest of Gaussians is a family: its log-partition is elimination from the leaves to the roots, its gradient the way back.

    log p(x, g) = -½ Σ_i x_iᵀ J_i x_i - Σ_i x_iᵀ L_i x_parent(i) + Σ_i h_iᵀ x_i
                  - ½ gᵀ C g - Σ_i x_iᵀ B_i g + kᵀ g - log_partition

Nodes x_i of W numbers each have one parent at most, and g, the border, is G numbers that every node may meet. All nodes as far from
their roots are eliminated at once, in a wave, so that a forest of N nodes and depth D takes D steps of O(N) work together. An exact
elimination of a tree leaves no fill (Parter, The use of linear graphs in Gauss elimination, 1961).

    diagonal     [N, W, W]     J
    coupling     [N, W, W]     L, zero at roots
    potential    [N, W]        h
    border       [N, W, G]     B
    corner       [G, G]        C
    pull         [G]           k

Where the joint precision is not positive definite, everything that comes back is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.numerics.linear_algebra import cholesky, inverse_from_cholesky, logdet_from_cholesky, solve_from_cholesky, symmetrise, transpose
from ppl.numerics.special import LOG_2PI


@dataclass(frozen=True)
class Waves:
    """Which nodes are eliminated together: `ends` of the waves, the deepest first; parents stand in the wave that follows."""

    ends: tuple[int, ...]
    parents: np.ndarray  # [N], any number at roots

    def __iter__(self) -> Any:
        """Each wave: its nodes as a slice, and their parents counted from the first node of the next wave (None for roots)."""
        starts = (0, *self.ends)
        for k, end in enumerate(self.ends):
            last = k + 1 == len(self.ends)
            yield slice(starts[k], end), None if last else self.parents[starts[k] : end] - end


class ForestMoments(NamedTuple):
    log_partition: Array
    logdet: Array  # of the joint precision
    mean: Array  # [N, W]
    covariance: Array  # [N, W, W]: Cov(x_i)
    cross: Array  # [N, W, W]: Cov(x_i, x_parent(i)), zero at roots
    border_mean: Array  # [G]
    border_covariance: Array  # [G, G]
    border_cross: Array  # [N, W, G]: Cov(x_i, g)


class _Wave(NamedTuple):
    """What elimination leaves behind of a wave: x_i = alone_i - toward_i x_parent - beside_i g + noise of this covariance."""

    root: Array  # [n, W, W]: lower factor of the precision
    inverse: Array  # [n, W, W]
    alone: Array  # [n, W]
    toward: Array  # [n, W, W]
    beside: Array  # [n, W, G]


def moments(waves: Waves, diagonal: Array, coupling: Array, potential: Array, border: Array, corner: Array, pull: Array) -> ForestMoments:
    """The log-partition, means, covariances, and covariances with parents and with the border."""
    left, logdet, quadratic, corner, pull = _eliminated(waves, diagonal, coupling, potential, border, corner, pull)
    lower = cholesky(corner)
    border_covariance = inverse_from_cholesky(lower)
    border_mean = solve_from_cholesky(lower, pull[:, None])[:, 0]
    logdet = logdet + logdet_from_cholesky(lower)
    quadratic = quadratic + pull @ border_mean
    told: list[tuple[Array, ...]] = []
    for (_, parents), wave in reversed(list(zip(waves, left, strict=True))):
        told.append(_back(wave, None if parents is None else tuple(v[parents] for v in told[-1]), border_mean, border_covariance))
    mean, covariance, beside, cross = (jnp.concatenate(parts[::-1]) for parts in zip(*told, strict=True))
    numbers = potential.size + pull.size
    value = 0.5 * (quadratic - logdet + numbers * LOG_2PI)
    return ForestMoments(value, logdet, mean, covariance, cross, border_mean, border_covariance, beside)


def sample(waves: Waves, noise: Array, border_noise: Array, diagonal: Array, coupling: Array, border: Array, corner: Array) -> Any:
    """How far a draw is from the means, [N, W] and [G], from standard normal noise of these shapes."""
    blank = jnp.zeros(diagonal.shape[:2], diagonal.dtype)
    left, _, _, corner, _ = _eliminated(waves, diagonal, coupling, blank, border, corner, jnp.zeros(corner.shape[:1], corner.dtype))
    drawn_border = _scaled(cholesky(corner), border_noise)
    drawn: list[Array] = []
    for (nodes, parents), wave in reversed(list(zip(waves, left, strict=True))):
        value = _scaled(wave.root, noise[nodes]) - wave.beside @ drawn_border
        drawn.append(value if parents is None else value - (wave.toward @ drawn[-1][parents][..., None])[..., 0])
    return jnp.concatenate(drawn[::-1]), drawn_border


def _scaled(lower: Array, noise: Array) -> Array:
    """L⁻ᵀ z, whose precision is L Lᵀ. The root is inverted, once for all draws: a solve for each of thousands of draws side by side was
    seen to wait for ever inside XLA on two cores."""
    identity = jnp.broadcast_to(jnp.eye(lower.shape[-1], dtype=lower.dtype), lower.shape)
    inverse = jax.lax.linalg.triangular_solve(lower, identity, left_side=True, lower=True)
    return jnp.einsum("...ij,...i->...j", inverse, noise, precision="highest")


def _eliminated(
    waves: Waves, diagonal: Array, coupling: Array, potential: Array, border: Array, corner: Array, pull: Array
) -> tuple[list[_Wave], Array, Array, Array, Array]:
    """The waves, their log-determinant and Σ hᵀ J⁻¹ h, and what is left for the border."""
    left: list[_Wave] = []
    logdet = quadratic = jnp.zeros((), diagonal.dtype)
    handed: tuple[Array, Array, Array] | None = None  # what the wave before takes from diagonal, potential and border
    for nodes, parents in waves:
        own, slope, beside, toward = diagonal[nodes], potential[nodes], border[nodes], coupling[nodes]
        if handed is not None:
            own, slope, beside = own - handed[0], slope - handed[1], beside - handed[2]
        root, inverse, logs = _factored(own)
        wave = _Wave(root, inverse, _applied(inverse, slope[..., None])[..., 0], _applied(inverse, toward), _applied(inverse, beside))
        logdet, quadratic = logdet + logs.sum(), quadratic + (slope * wave.alone).sum()
        corner = corner - jnp.einsum("nwg,nwh->gh", beside, wave.beside)
        pull = pull - jnp.einsum("nwg,nw->g", beside, wave.alone)
        if parents is not None:
            count = waves.ends[len(left) + 1] - waves.ends[len(left)]
            up = transpose(toward)
            given = (up @ wave.toward, (up @ wave.alone[..., None])[..., 0], up @ wave.beside)
            handed = tuple(jax.ops.segment_sum(v, parents, count) for v in given)  # type: ignore[assignment]
        left.append(wave)
    return left, logdet, quadratic, symmetrise(corner), pull


def _factored(matrix: Array) -> tuple[Array, Array, Array]:
    """The lower factor, the inverse and the log-determinant of each matrix."""
    if matrix.shape[-1] == 1:
        positive = jnp.where(matrix > 0, matrix, jnp.nan)
        return jnp.sqrt(positive), 1.0 / positive, jnp.log(positive)[..., 0, 0]
    lower = cholesky(matrix)
    return lower, inverse_from_cholesky(lower), logdet_from_cholesky(lower)


def _applied(inverse: Array, right: Array) -> Array:
    return inverse * right if inverse.shape[-1] == 1 else inverse @ right


def _back(wave: _Wave, above: tuple[Array, ...] | None, border_mean: Array, border_covariance: Array) -> tuple[Array, ...]:
    """Mean, covariance, covariance with the border and with the parent, of the nodes of a wave, given those of their parents."""
    mean = wave.alone - wave.beside @ border_mean
    beside = -wave.beside @ border_covariance
    if above is None:
        covariance = wave.inverse - beside @ transpose(wave.beside)
        return mean, symmetrise(covariance), beside, jnp.zeros_like(wave.inverse)
    parent_mean, parent_covariance, parent_beside, _ = above
    mean = mean - (wave.toward @ parent_mean[..., None])[..., 0]
    cross = -wave.toward @ parent_covariance - wave.beside @ transpose(parent_beside)
    beside = beside - wave.toward @ parent_beside
    covariance = wave.inverse - cross @ transpose(wave.toward) - beside @ transpose(wave.beside)
    return mean, symmetrise(covariance), beside, cross
