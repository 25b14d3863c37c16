"""All errors of a block at a moment as one vector of unit noise: what is left of inference is least squares.

The errors of a statement and their derivatives have the precision `R ⊗ P`, of roughness and of the noise itself; times its root they are
whitened. Where samples are missing, only those that there are count: the errors of a window are taken from derivatives to samples,
whose covariance is `E V Eᵀ ⊗ P⁻¹`, and what is missing is left out, which integrates over it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.motion import roughness
from ppl.motion.block import Line, Moment, MotionBlock, Outside

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Noise:
    """Roots of the precisions of all statements of one series, and the logarithm of what normalises their densities, by statement."""

    roots: tuple[Any, ...]
    log_normalisers: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Residuals:
    """Errors and their Jacobian at one bin of one series."""

    block: MotionBlock

    # ------------------------------------------------------------ noise
    def root(self, line: Line) -> np.ndarray:
        """Of the precision of derivatives."""
        return roughness.root(line.count - 1, self.block.options.smoothness)

    def rows(self, line: Line) -> int:
        """The number of its whitened errors at a bin."""
        return (line.count if line.name in self.masks and self.block.options.smoothness else self.root(line).shape[0]) * line.size

    def noise(self, outside: Outside, member: Any) -> Noise:
        """(upper roots of P, and per bin ½ log|R ⊗ P| - ½ n log 2π)."""
        roots, constants = [], []
        for line in self.block.lines:
            upper = jnp.linalg.cholesky(self.block.precision(line, outside, member)).T
            rough = self.root(line)
            told = rough.shape[0] * line.size
            log_root = line.size * float(np.log(np.diag(rough)).sum()) + rough.shape[0] * jnp.log(jnp.diagonal(upper)).sum()
            roots.append(upper)
            constants.append(log_root - 0.5 * told * LOG_2PI)
        return Noise(tuple(roots), tuple(constants))

    # ------------------------------------------------------------ missing samples
    @cached_property
    def masks(self) -> Mapping[str, np.ndarray]:
        """(series, T, order + 1, size): 1 where a sample of a window is there, of the sensors that lack some."""
        found = {}
        for line in self.block.lines:
            if line.role == "sensor":
                there = np.isfinite(self.block.by_series(line.name))
                if not there.all():
                    found[line.name] = np.stack([self.block.embedding.samples(one * 1.0) for one in there])
        return found

    def lower(self, line: Line, upper: Any, mask: Any, expansion: Any) -> tuple[Any, Any, Any]:
        """The root of the covariance of the samples that there are, which these are, and what takes derivatives to them."""
        options = self.block.options
        if options.smoothness:
            spread = expansion @ roughness.covariance(options.order_observed, options.smoothness) @ expansion.T
        else:
            spread, expansion, mask = jnp.eye(1), jnp.eye(1), _own(mask, expansion)
        covariance = jnp.kron(spread, jax.scipy.linalg.cho_solve((upper, False), jnp.eye(line.size)))
        there = mask.reshape(-1)
        kept = covariance * there[:, None] * there + jnp.diag(1.0 - there)
        return jnp.linalg.cholesky(kept), there, expansion

    # ------------------------------------------------------------ the whole
    def __call__(self, u: Any, moment: Moment, noise: Noise, outside: Outside, masks: Mapping[str, Any], expansion: Any) -> Any:
        """The whitened errors of one series at one bin."""
        parts = []
        for line, upper in zip(self.block.lines, noise.roots, strict=True):
            error = self.block.error(line, u, moment, outside)
            if line.name in masks:
                lower, there, to_samples = self.lower(line, upper, masks[line.name], expansion)
                parts.append(jax.scipy.linalg.solve_triangular(lower, (to_samples @ error).reshape(-1) * there, lower=True))
            else:
                parts.append((self.root(line) @ error @ upper.T).reshape(-1))
        return jnp.concatenate(parts)

    def log_normaliser(self, noise: Noise, masks: Mapping[str, Any], expansion: Any) -> Any:
        """Of the density of all errors at this bin."""
        total = jnp.zeros(())
        for line, upper, whole in zip(self.block.lines, noise.roots, noise.log_normalisers, strict=True):
            if line.name in masks:
                lower, there, _ = self.lower(line, upper, masks[line.name], expansion)
                whole = -jnp.log(jnp.diagonal(lower)).sum() - 0.5 * there.sum() * LOG_2PI
            total = total + whole
        return total


def _own(mask: Any, expansion: Any) -> Any:
    """Of the sample at the bin itself: the one whose expansion is only its value."""
    own = jnp.abs(expansion[:, 1:]).sum(axis=1) == 0 if expansion.shape[1] > 1 else jnp.ones(1, bool)
    return (mask * own[:, None]).sum(axis=0)[None]
