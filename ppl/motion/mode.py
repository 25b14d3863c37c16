"""The scheme `mode`: at each bin the most probable unknowns given the embedding, and the curvature there (Laplace).

Where all is linear the bins are solved side by side. Elsewhere there may be several modes, and a bin is begun where the Taylor expansion of
the bin before points: the one that a trajectory leads to is found. The free energy is the sum over bins, each with the whole density of
its embedding, as in DEM: data are counted `order_observed + 1` times, so that it compares models and is no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import factorial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.motion.block import Moment, MotionBlock, Outside
from ppl.motion.least_squares import Optimum, solve, solve_linear
from ppl.motion.residuals import LOG_2PI, Noise, Residuals
from ppl.motion.starts import Start, start_of


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class States:
    """The belief in the unknowns at each bin of each series: mean (series, T, width), covariance, and minus the free energy, nats."""

    mean: Any = field()
    covariance: Any = field()
    bound: Any = field()
    settled: Any = field()


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
            bins = {
                "data": data,
                "inputs": moments.inputs,
                "time": moments.time,
                "mask": mask,
                "expansion": self.block.embedding.expansions,
            }
            if self.linear:
                return jax.vmap(lambda one: self._bin(one, jnp.zeros(self.block.width), member, noise, start, outside))(bins)
            return self._along(bins, member, noise, start, outside)

        return jax.vmap(of_series)(moments.data, moments.member, masks)

    def _along(self, bins: Any, member: Any, noise: Noise, start: Start, outside: Outside) -> States:
        def one(before: Any, bin: Any) -> tuple[Any, States]:
            found = self._bin(bin, before, member, noise, start, outside)
            return self.shift @ found.mean, found

        return jax.lax.scan(one, start.guess, bins)[1]

    def _bin(self, bin: Any, guess: Any, member: Any, noise: Noise, start: Start, outside: Outside) -> States:
        moment = Moment(bin["data"], bin["inputs"], bin["time"], member)
        first = bin["time"] == 0

        def errors(u: Any) -> Any:
            whitened = self.residuals(u, moment, noise, outside, bin["mask"], bin["expansion"])
            return jnp.concatenate([whitened, start.errors(u) * first])

        free = 1.0 - start.pinned * first
        guess = jnp.where(free == 1.0, guess, start.guess)
        found = solve_linear(errors, guess, free) if self.linear else solve(errors, guess, free)
        constant = self.residuals.log_normaliser(noise, bin["mask"], bin["expansion"]) + start.log_normaliser * first
        return _laplace(found, free, constant)


def _laplace(found: Optimum, free: Any, constant: Any) -> States:
    """∫ exp(-½ |e|²) ≈ exp(-cost) (2π)^(n/2) |C|^½."""
    lower = jnp.linalg.cholesky(found.curvature)
    covariance = jax.scipy.linalg.cho_solve((lower, True), jnp.eye(len(free))) * free[:, None] * free
    bound = constant - found.cost + 0.5 * free.sum() * LOG_2PI - jnp.log(jnp.diagonal(lower)).sum()
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
    jacobian = jax.jit(jax.jacfwd(lambda u: residuals(u, moment, noise, outside, {}, block.embedding.expansions[0])))
    draws = np.random.default_rng(0).standard_normal((2, block.width))
    first, *others = (np.asarray(jacobian(jnp.asarray(u))) for u in (np.zeros(block.width), *draws, 10 * draws[0]))
    scale = np.abs(first).max() + 1e-300
    return all(np.isfinite(o).all() and np.abs(o - first).max() <= 1e-12 * scale for o in others)
