"""The Wishart family of positive definite matrices, so of precision matrices; its mean is df * scale."""

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
    logdet,
    logdet_from_cholesky,
    symmetrise,
)
from ppl.numerics.special import LOG_2, floats, multivariate_digamma, multivariate_lgamma


class Wishart(Family):
    """Density ∝ |X|^((ν - D - 1)/2) exp(-tr(S⁻¹ X)/2): η = (-S⁻¹/2, (ν - D - 1)/2) for (X, log|X|)."""

    name = "Wishart"
    event_rank = 2
    parameters = ("df", "scale")
    parameter_rank: ClassVar = {"scale": 2}
    statistic_rank: ClassVar = {"mean": 2, "logdet": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"mean": floats(x), "logdet": logdet(floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        df, inverse_scale = _df(natural), _inverse_scale(natural)
        size = inverse_scale.shape[-1]
        return 0.5 * df * (size * LOG_2 - logdet(inverse_scale)) + multivariate_lgamma(0.5 * df, size)

    def expected_statistics(self, natural: Natural) -> dict[str, Array]:
        """By hand: one Cholesky factor serves both."""
        df, lower = _df(natural), cholesky(_inverse_scale(natural))
        size = lower.shape[-1]
        expected_logdet = multivariate_digamma(0.5 * df, size) + size * LOG_2 - logdet_from_cholesky(lower)
        return {"mean": df[..., None, None] * inverse_from_cholesky(lower), "logdet": expected_logdet}

    def natural_from(self, df: Any, scale: Any) -> dict[str, Array]:
        df, scale = common_plates(df, scale, ranks=(0, 2))
        return {"mean": -0.5 * inverse(scale), "logdet": 0.5 * (df - scale.shape[-1] - 1.0)}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"df": _df(natural), "scale": inverse(_inverse_scale(natural))}

    def in_domain(self, natural: Natural) -> Array:
        return (natural["logdet"] > -1.0) & is_positive_definite(_inverse_scale(natural))

    def in_support(self, x: Any) -> Array:
        return is_positive_definite(floats(x))

    def mean(self, params: Parameters) -> np.ndarray:
        df, scale = self.values(params)
        return df[..., None, None] * scale

    def variance(self, params: Parameters) -> np.ndarray:
        df, scale = self.values(params)
        diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
        return df[..., None, None] * (scale**2 + diagonal[..., :, None] * diagonal[..., None, :])

    def mode(self, params: Parameters) -> np.ndarray:
        """NaN where df is below D + 1: highest at singular matrices."""
        df, scale = self.values(params)
        excess = df - scale.shape[-1] - 1.0
        return np.where(excess >= 0.0, excess, np.nan)[..., None, None] * scale

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        """Bartlett's decomposition: X = L A Aᵀ Lᵀ with scale = L Lᵀ and A lower triangular."""
        df, scale = self.values(params)
        rows = np.arange(scale.shape[-1])
        shape = draw_shape(size, df, scale[..., 0, 0])
        lower = np.tril(rng.standard_normal((*shape, len(rows), len(rows))), -1)
        lower[..., rows, rows] = np.sqrt(rng.chisquare(df[..., None] - rows, (*shape, len(rows))))
        root = np.linalg.cholesky(scale) @ lower
        return root @ np.swapaxes(root, -1, -2)


def _df(natural: Natural) -> Array:
    return 2.0 * natural["logdet"] + natural["mean"].shape[-1] + 1.0


def _inverse_scale(natural: Natural) -> Array:
    """Symmetrised, so that gradients through it are symmetric too."""
    return -2.0 * symmetrise(jnp.asarray(natural["mean"]))
