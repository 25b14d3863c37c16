"""The scheme `mode`: at each bin the most probable unknowns given the embedding, and the curvature there (Laplace).

Where all is linear the bins are solved side by side. Elsewhere there may be several modes, and a bin is begun where the Taylor expansion of
the bin before points: the one that a trajectory leads to is found. The free energy is the sum over bins, each with the whole density of
its embedding, as in DEM: data are counted `order_observed + 1` times, so that it compares models and is no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import factorial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.motion.block import Moment, MotionBlock, Outside
from ppl.motion.least_squares import Optimum, solve, solve_linear
from ppl.motion.residuals import LOG_2PI, Noise, Residuals
from ppl.motion.series import over_series
from ppl.motion.starts import Start, start_of
from ppl.motion.states import States
from ppl.numerics.compilation import lightly

UNDETERMINED = 1e-7  # the root of the curvature of a direction, relative to its coordinates, below which nothing is said of it


@dataclass(frozen=True, eq=False)
class Mode:
    """`linear` where no Jacobian changes with the unknowns."""

    block: MotionBlock
    linear: bool

    @cached_property
    def residuals(self) -> Residuals:
        return Residuals(self.block)

    @cached_property
    def shift(self) -> np.ndarray:
        """The Taylor expansion one bin ahead, as a matrix on the unknowns."""
        return shift(self.block, 1.0)

    def __call__(self, outside: Outside) -> States:
        """The beliefs under these values of what is outside of the block. Pure: to be compiled."""
        moments, masks = self.block.moments, self.residuals.masks

        def of_series(data: Any, member: Any, mask: Any) -> States:
            noise = self.residuals.noise(outside, member)
            start = start_of(self.block, outside, member)
            bins = self._bins(data, mask)
            if self.linear:
                return jax.vmap(lambda one: self.belief_at(one, jnp.zeros(self.block.width), member, noise, start, outside))(bins)
            return self._along(bins, member, noise, start, outside)

        return over_series(of_series)(moments.data, moments.member, masks)

    def _bins(self, data: Any, mask: Any) -> dict[str, Any]:
        """What is known at each bin of a series."""
        moments, expansions = self.block.moments, self.block.embedding.expansions
        return {"data": data, "inputs": moments.inputs, "time": moments.time, "mask": mask, "expansion": expansions}

    def _along(self, bins: Any, member: Any, noise: Noise, start: Start, outside: Outside) -> States:
        def one(before: Any, bin: Any) -> tuple[Any, States]:
            found = self.belief_at(bin, before, member, noise, start, outside)
            return self.shift @ found.mean, found

        return jax.lax.scan(one, start.guess, bins)[1]

    def belief_at(self, bin: Any, guess: Any, member: Any, noise: Noise, start: Start, outside: Outside) -> States:
        """The belief at one bin of a series, searched from a guess."""
        first = bin["time"] == 0
        errors = lambda u: self.errors_at(u, bin, member, noise, start, outside)  # noqa: E731
        free = 1.0 - start.pinned * first
        guess = jnp.where(free == 1.0, guess, start.guess)
        found = solve_linear(errors, guess, free) if self.linear else solve(errors, guess, free)
        constant = self.residuals.log_normaliser(noise, bin["mask"], bin["expansion"]) + start.log_normaliser * first
        return _laplace(found, free, constant)

    def errors_at(self, u: Any, bin: Any, member: Any, noise: Noise, start: Start, outside: Outside) -> Any:
        """Whitened, those of the start at the end (0 after the first bin)."""
        moment = Moment(bin["data"], bin["inputs"], bin["time"], member)
        whitened = self.residuals(u, moment, noise, outside, bin["mask"], bin["expansion"])
        return jnp.concatenate([whitened, start.errors(u) * (bin["time"] == 0)])

    # ------------------------------------------------------------ all bins at once, at given unknowns
    def errors(self, u: Any, outside: Outside) -> Any:
        """(series, T, errors): whitened, those of the start at the end (0 after the first bin)."""

        def at(u: Any, bin: Any, member: Any, noise: Noise, start: Start) -> Any:
            return self.errors_at(u, bin, member, noise, start, outside)

        return self._everywhere(at, outside, u)

    def free(self, outside: Outside) -> Any:
        """(series, T, width): 0 where a coordinate is pinned by a value at the start."""
        return self._everywhere(lambda u, bin, member, noise, start: 1.0 - start.pinned * (bin["time"] == 0), outside, None)

    def log_normalisers(self, outside: Outside) -> Any:
        """(series, T): of the densities of the errors."""

        def at(u: Any, bin: Any, member: Any, noise: Noise, start: Start) -> Any:
            return self.residuals.log_normaliser(noise, bin["mask"], bin["expansion"]) + start.log_normaliser * (bin["time"] == 0)

        return self._everywhere(at, outside, None)

    def _everywhere(self, function: Any, outside: Outside, u: Any) -> Any:
        def of_series(u: Any, data: Any, member: Any, mask: Any) -> Any:
            noise, start = self.residuals.noise(outside, member), start_of(self.block, outside, member)
            return jax.vmap(lambda u, bin: function(u, bin, member, noise, start))(u, self._bins(data, mask))

        moments = self.block.moments
        return over_series(of_series)(u, moments.data, moments.member, self.residuals.masks)

    def by_line(self, values: Any) -> Any:
        """Sums over all bins of what is told of each error, by line."""
        ends = np.cumsum([0, *(self.residuals.rows(line) for line in self.block.lines)])
        return jnp.stack([values[..., a:b].sum() for a, b in pairwise(ends)])

    def numbers(self) -> np.ndarray:
        """How many errors each line has over all bins, those of missing samples not counted."""
        masks, cells = self.residuals.masks, len(self.block.members) * self.block.bins
        return np.asarray([masks[x.name].sum() if x.name in masks else self.residuals.rows(x) * cells for x in self.block.lines], float)


def _laplace(found: Optimum, free: Any, constant: Any) -> States:
    """∫ exp(-½ |e|²) ≈ exp(-cost) (2π)^(n/2) |C|^½."""
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(found.curvature), 1e-300))
    scaled = jnp.linalg.cholesky(found.curvature / scale[:, None] / scale)
    lower = scaled * scale[:, None]
    covariance = jax.scipy.linalg.cho_solve((lower, True), jnp.eye(len(free))) * free[:, None] * free
    bound = constant - found.cost + 0.5 * free.sum() * LOG_2PI - jnp.log(jnp.diagonal(lower)).sum()
    bound = jnp.where(jnp.diagonal(scaled).min() > UNDETERMINED, bound, jnp.nan)
    return States(found.at, covariance, bound, found.settled & jnp.isfinite(bound))


def shift(block: MotionBlock, bins: float) -> np.ndarray:
    """The Taylor expansion so many bins ahead, as a matrix on the unknowns; derivatives that there are not count as 0."""
    matrix = np.zeros((block.width, block.width))
    for x in block.unknowns:
        taylor = np.zeros((x.count, x.count))
        for k in range(x.count):
            for j in range(x.count - k):
                taylor[k, k + j] = bins**j / factorial(j)
        matrix[x.start : x.stop, x.start : x.stop] = np.kron(taylor, np.eye(x.size))
    return matrix


def is_linear(block: MotionBlock, outside: Outside) -> bool:
    """Whether the Jacobian of all errors is the same wherever it is taken."""
    residuals, moments = Residuals(block), block.moments
    member = moments.member[0]
    moment = Moment({k: v[0, 0] for k, v in moments.data.items()}, {k: v[0] for k, v in moments.inputs.items()}, 0.0, member)
    noise = residuals.noise(outside, member)
    jacobian = jax.jit(
        jax.jacfwd(lambda u: residuals(u, moment, noise, outside, {}, block.embedding.expansions[0])), compiler_options=lightly()
    )
    draws = np.random.default_rng(0).standard_normal((2, block.width))
    first, *others = (np.asarray(jacobian(jnp.asarray(u))) for u in (np.zeros(block.width), *draws, 10 * draws[0]))
    scale = np.abs(first).max() + 1e-300
    return all(np.isfinite(o).all() and np.abs(o - first).max() <= 1e-12 * scale for o in others)
