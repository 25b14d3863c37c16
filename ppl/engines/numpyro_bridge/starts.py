"""Starts: points of finite density, moved a few steps uphill so that no chain spends its warm-up on the way."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.engines.numpyro_bridge.joint import log_joint_of
from ppl.graph.bound import BoundModel
from ppl.source.diagnostics import AimError, Diagnostic

ATTEMPTS = 100
STEPS = 30  # of the ascent before sampling


def values_inside(bound: BoundModel, count: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Values of all variables of a model near the middle of their coordinates, whatever is observed."""
    joint = log_joint_of(bound, beside=lambda values: 0.0)
    constrain = jax.jit(lambda u: joint.constrain(u)[0])
    rng = stream(seed, "inside")
    return [{n: np.asarray(v) for n, v in constrain(jnp.asarray(rng.normal(size=joint.size) * 0.5)).items()} for _ in range(count)]


class Density(Protocol):
    """The log density of so many real coordinates."""

    @property
    def size(self) -> int: ...

    def __call__(self, u: Any, weights: Any = None, /) -> Any: ...


def starting_points(joint: Density, count: int, seed: int, weights: Any = None) -> np.ndarray:
    """A start for each chain. Raises AimError where no point of finite density is found."""
    rng = stream(seed, "starts")
    value_and_gradient = jax.jit(jax.value_and_grad(lambda u: -joint(u, weights)))
    return np.stack([ascend(value_and_gradient, _finite_point(value_and_gradient, joint.size, rng), STEPS) for _ in range(count)])


def _finite_point(value_and_gradient: Any, size: int, rng: np.random.Generator) -> np.ndarray:
    for attempt in range(ATTEMPTS):
        u = rng.uniform(-2.0, 2.0, size) * 0.9**attempt
        value, gradient = value_and_gradient(jnp.asarray(u))
        if np.isfinite(value) and np.isfinite(gradient).all():
            return u
    text = "no start with a finite density was found: the data are impossible under this model, or nearly so"
    raise AimError([Diagnostic("AIM0744", text, None, "look for a value outside of what the priors allow, or give wider priors")])


def ascend(value_and_gradient: Any, u: np.ndarray, steps: int) -> np.ndarray:
    """Towards the mode by L-BFGS, for at most so many steps."""
    from scipy.optimize import minimize

    def target(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_gradient(jnp.asarray(x))
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        return (float(value), np.asarray(gradient, float)) if finite else (1e300, np.zeros_like(x))

    if not u.size:
        return u
    found = minimize(target, u, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return found.x if np.isfinite(found.fun) and found.fun < 1e299 else u
