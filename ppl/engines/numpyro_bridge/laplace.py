"""Laplace's approximation: a Gaussian at the mode of the coordinates' density, with the curvature there (Tierney & Kadane 1986)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.catalogue.engines import ENGINES
from ppl.engines.numpyro_bridge.joint import LogJoint
from ppl.engines.numpyro_bridge.starts import ascend, starting_points
from ppl.source.diagnostics import AimError, Diagnostic

SETTINGS = ENGINES["laplace"].defaults
LARGEST = 3000  # coordinates of which a matrix of second derivatives is made
NEWTON = 20


@dataclass(frozen=True)
class Mode:
    """`root` is the Cholesky factor of the covariance; None where the curvature is no covariance there."""

    at: np.ndarray = field(repr=False)
    log_density: float
    gradient: float  # the largest entry, in units of the spreads
    root: np.ndarray | None = field(repr=False)

    @property
    def log_evidence(self) -> float:
        """Laplace's estimate, nats."""
        assert self.root is not None
        return self.log_density + 0.5 * len(self.at) * float(np.log(2 * np.pi)) + float(np.sum(np.log(np.diag(self.root))))


def find_mode(joint: LogJoint, seed: int, restarts: int, steps: int, weights: Any = None) -> Mode:
    """The highest mode of several ascents, made exact by Newton's steps."""
    value_and_gradient = jax.jit(jax.value_and_grad(lambda u: -joint(u, weights)))
    tops = [ascend(value_and_gradient, u, steps) for u in starting_points(joint, restarts, seed, weights)]
    top = min(tops, key=lambda u: float(value_and_gradient(jnp.asarray(u))[0]))
    if joint.size > LARGEST or not joint.size:
        value, gradient = value_and_gradient(jnp.asarray(top))
        root = np.zeros((0, 0)) if not joint.size else None
        return Mode(top, -float(value), float(np.max(np.abs(gradient), initial=0.0)), root)
    hessian = jax.jit(jax.hessian(lambda u: -joint(u, weights)))
    return _polished(value_and_gradient, hessian, top)


def _polished(value_and_gradient: Any, hessian: Any, u: np.ndarray) -> Mode:
    value, gradient = value_and_gradient(jnp.asarray(u))
    root = covariance_root(np.asarray(hessian(jnp.asarray(u))))
    for _ in range(NEWTON):
        if root is None or np.max(np.abs(root.T @ np.asarray(gradient)), initial=0.0) < 1e-9:
            break
        moved = u - root @ (root.T @ np.asarray(gradient))
        there, slope = value_and_gradient(jnp.asarray(moved))
        if not there < value + 1e-9:
            break
        u, value, gradient = moved, there, slope
        root = covariance_root(np.asarray(hessian(jnp.asarray(u))))
    scaled = np.asarray(gradient) if root is None else root.T @ np.asarray(gradient)
    return Mode(u, -float(value), float(np.max(np.abs(scaled), initial=0.0)), root)


def covariance_root(curvature: np.ndarray) -> np.ndarray | None:
    """The Cholesky factor of the inverse of a matrix of second derivatives; None where that is no covariance."""
    try:
        upper = np.linalg.cholesky(curvature[::-1, ::-1])[::-1, ::-1]  # curvature = upper upperᵀ
        return np.linalg.inv(upper).T
    except np.linalg.LinAlgError:
        return None


def refuse_flat(name: str) -> AimError:
    text = f"the log joint of `{name}` has no maximum with a proper curvature, so Laplace's approximation does not exist"
    return AimError([Diagnostic("AIM0744", text, None, "give every parameter a proper prior, or write `use nuts`")])
