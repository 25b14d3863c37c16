"""The approximation that `svi` fits: a Gaussian of the coordinates, with a covariance as full as their number allows.

A full covariance is learnt in coordinates that Laplace's approximation has made round; where the user names blocks, only coordinates
of one block have a covariance. Those of a variable with `q(z[n]) by network` have means and spreads that are a network's outputs; those
with `q(a): point` have no spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ppl.engines.numpyro_bridge.amortised import Amortised

Covariance = Literal["full", "low rank", "diagonal"]
RANK = 10
FULL, LOW_RANK = 150, 3000  # coordinates up to which a covariance is full, or has a low rank beside its diagonal
LOG_2PI = float(np.log(2 * np.pi))
START = -2.0  # the log of the first spreads, where nothing better is known


@dataclass(frozen=True)
class Guide:
    """`free` are the places of the coordinates that the Gaussian is of; `points` those without a spread. `centre` and `root` are the
    coordinates in which a full covariance is learnt: u = centre + root v. `blocks` says of each free place in which block of the user
    it is, where there are any."""

    size: int
    free: np.ndarray = field(repr=False)
    points: np.ndarray = field(repr=False)
    covariance: Covariance
    centre: np.ndarray = field(repr=False)
    root: np.ndarray | None = field(repr=False)
    amortised: tuple[Amortised, ...] = ()
    blocks: np.ndarray | None = field(default=None, repr=False)

    def first(self, rng: np.random.Generator) -> dict[str, Any]:
        """The parameters before the first step."""
        n = len(self.free)
        found: dict[str, Any] = {"point": jnp.asarray(self.centre[self.points])}
        if self.covariance == "full":
            found |= {"mean": jnp.zeros(n), "triangle": jnp.zeros((n, n)), "log_scale": jnp.zeros(n)}
        else:
            found |= {"mean": jnp.asarray(self.centre[self.free]), "log_scale": jnp.full(n, START)}
        if self.covariance == "low rank":
            found["factor"] = jnp.asarray(rng.normal(size=(n, RANK)) * 0.01)
        return found | {f"encoder {a.name}": jnp.asarray(a.first_weights(rng)) for a in self.amortised}

    def draw(self, parameters: Mapping[str, Any], key: Any) -> tuple[Any, Any]:
        """Coordinates and the log of their density, through which no gradient of the parameters goes (Roeder, Wu & Duvenaud 2017)."""
        first, *others = jax.random.split(key, 1 + len(self.amortised))
        fixed = jax.lax.stop_gradient(parameters)
        values, log_density = self._gaussian(parameters, fixed, first)
        u = jnp.zeros(self.size).at[self.free].set(values).at[self.points].set(parameters["point"])
        for one, k in zip(self.amortised, others, strict=True):
            mean, log_sd = one.outputs(parameters[f"encoder {one.name}"])
            noise = jax.random.normal(k, mean.shape)
            z = mean + jnp.exp(log_sd) * noise
            mean, log_sd = one.outputs(fixed[f"encoder {one.name}"])
            log_density = log_density + one.times * jnp.sum(-0.5 * ((z - mean) / jnp.exp(log_sd)) ** 2 - log_sd - 0.5 * LOG_2PI)
            u = u.at[one.places].set(z.ravel())
        return u, log_density

    def _gaussian(self, parameters: Mapping[str, Any], fixed: Mapping[str, Any], key: Any) -> tuple[Any, Any]:
        n = len(self.free)
        if self.covariance == "full":
            v = parameters["mean"] + self._triangle(parameters) @ jax.random.normal(key, (n,))
            noise = jax.scipy.linalg.solve_triangular(self._triangle(fixed), v - fixed["mean"], lower=True)
            assert self.root is not None
            volume = np.sum(np.log(np.diag(self.root))) if n else 0.0
            density = -0.5 * noise @ noise - jnp.sum(fixed["log_scale"]) - volume - 0.5 * n * LOG_2PI
            return self.centre[self.free] + self.root @ v, density
        scale, fixed_scale = jnp.exp(parameters["log_scale"]), jnp.exp(fixed["log_scale"])
        one, two = jax.random.split(key)
        values = parameters["mean"] + scale * jax.random.normal(one, (n,))
        if self.covariance == "diagonal":
            noise = (values - fixed["mean"]) / fixed_scale
            return values, -0.5 * noise @ noise - jnp.sum(fixed["log_scale"]) - 0.5 * n * LOG_2PI
        values = values + parameters["factor"] @ jax.random.normal(two, (RANK,))
        return values, _low_rank_density(values - fixed["mean"], fixed["factor"], fixed_scale)

    def _triangle(self, parameters: Mapping[str, Any]) -> Any:
        below = jnp.tril(parameters["triangle"], -1)
        if self.blocks is not None:
            below = below * together(self.blocks)
        return below + jnp.diag(jnp.exp(parameters["log_scale"]))


def together(blocks: np.ndarray) -> np.ndarray:
    """1 where two coordinates are in one block."""
    return (blocks[:, None] == blocks) * 1.0


def _low_rank_density(residual: Any, factor: Any, scale: Any) -> Any:
    """The log density of N(0, F Fᵀ + diag(s²)), by the inverse of a matrix of the rank's size (Woodbury)."""
    whitened, tall = residual / scale, factor / scale[:, None]
    small = jnp.linalg.cholesky(jnp.eye(RANK) + tall.T @ tall)
    inner = jax.scipy.linalg.solve_triangular(small, tall.T @ whitened, lower=True)
    volume = jnp.sum(jnp.log(scale)) + jnp.sum(jnp.log(jnp.diag(small)))
    return -0.5 * (whitened @ whitened - inner @ inner) - volume - 0.5 * len(residual) * LOG_2PI
