"""The Normal family of vectors, which is also that of all the Gaussian variables of one block side by side.

Inference holds it as mean and covariance, or as precision J and potential h = J m; natural parameters, whose second moments
cancel for data far from 0, say only what is conjugate (Khan & Rue 2023).
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates, draw_shape
from ppl.numerics.linear_algebra import (
    cholesky,
    inverse,
    inverse_from_cholesky,
    is_positive_definite,
    logdet_from_cholesky,
    solve_from_cholesky,
    symmetrise,
)
from ppl.numerics.special import LOG_2PI, floats


def gaussian_from_precision(precision: Array, potential: Array) -> tuple[Array, Array]:
    """Mean J⁻¹ h and covariance J⁻¹; NaN where J is not positive definite."""
    lower = cholesky(precision)
    return solve_from_cholesky(lower, potential[..., None])[..., 0], inverse_from_cholesky(lower)


def gaussian_entropy(precision: Array) -> Array:
    """The entropy in nats of the Gaussian with this precision matrix."""
    return 0.5 * (precision.shape[-1] * (1.0 + LOG_2PI) - logdet_from_cholesky(cholesky(precision)))


class MultivariateNormal(Family):
    """Density ∝ exp(-(x - m)ᵀ J (x - m) / 2): η = (J m, -J / 2) for (x, x xᵀ)."""

    name = "MvNormal"
    event_rank = 1
    parameters = ("mean", "cov")
    parameter_rank: ClassVar = {"mean": 1, "cov": 2}
    statistic_rank: ClassVar = {"mean": 1, "outer": 2}

    def statistics(self, x: Any) -> dict[str, Array]:
        x = floats(x)
        return {"mean": x, "outer": x[..., :, None] * x[..., None, :]}

    def log_partition(self, natural: Natural) -> Array:
        potential, lower = natural["mean"], cholesky(_precision(natural))
        quadratic = (potential * solve_from_cholesky(lower, potential[..., None])[..., 0]).sum(axis=-1)
        return 0.5 * (quadratic - logdet_from_cholesky(lower) + lower.shape[-1] * LOG_2PI)

    def expected_statistics(self, natural: Natural) -> dict[str, Array]:
        """By hand: half the time of the gradient through a Cholesky factor."""
        mean, cov = gaussian_from_precision(_precision(natural), natural["mean"])
        return {"mean": mean, "outer": cov + mean[..., :, None] * mean[..., None, :]}

    def entropy(self, natural: Natural) -> Array:
        """By hand: A - ⟨η, E[T]⟩ cancels where the mean is far from 0."""
        return gaussian_entropy(_precision(natural))

    def natural_from(self, mean: Any, cov: Any) -> dict[str, Array]:
        mean, cov = common_plates(mean, cov, ranks=(1, 2))
        precision = inverse(cov)
        return {"mean": (precision @ mean[..., None])[..., 0], "outer": -0.5 * precision}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        mean, cov = gaussian_from_precision(_precision(natural), natural["mean"])
        return {"mean": mean, "cov": cov}

    def in_domain(self, natural: Natural) -> Array:
        return jnp.isfinite(natural["mean"]).all(axis=-1) & is_positive_definite(_precision(natural))

    def in_support(self, x: Any) -> Array:
        return jnp.isfinite(jnp.asarray(x)).all(axis=-1)

    def mean(self, params: Parameters) -> np.ndarray:
        return np.broadcast_arrays(*self._marginals(params))[0]

    def variance(self, params: Parameters) -> np.ndarray:
        return np.broadcast_arrays(*self._marginals(params))[1]

    def mode(self, params: Parameters) -> np.ndarray:
        return self.mean(params)

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        """Of each entry, which alone is a Normal."""
        from scipy.special import ndtri

        mean, variance = self._marginals(params)
        return mean + np.sqrt(variance) * ndtri(q)

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        mean, cov = self.values(params)
        noise = rng.standard_normal((*draw_shape(size, mean, cov[..., 0], event=1), mean.shape[-1]))
        return mean + (np.linalg.cholesky(cov) @ noise[..., None])[..., 0]

    def _marginals(self, params: Parameters) -> tuple[np.ndarray, np.ndarray]:
        mean, cov = self.values(params)
        return mean, np.diagonal(cov, axis1=-2, axis2=-1)


def _precision(natural: Natural) -> Array:
    """Symmetrised, so that gradients through it are symmetric too."""
    return -2.0 * symmetrise(jnp.asarray(natural["outer"]))
