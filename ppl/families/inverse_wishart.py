"""The inverse Wishart family: of X⁻¹ where X is a Wishart, so of covariance matrices; its mean is scale / (df - D - 1)."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.families.family import Family, Natural, Parameters, common_plates
from ppl.families.wishart import Wishart
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


class InverseWishart(Family):
    """Density ∝ |X|^(-(ν + D + 1)/2) exp(-tr(Ψ X⁻¹)/2): η = (-Ψ/2, -(ν + D + 1)/2) for (X⁻¹, log|X|)."""

    name = "InverseWishart"
    event_rank = 2
    parameters = ("df", "scale")
    parameter_rank: ClassVar = {"scale": 2}
    statistic_rank: ClassVar = {"inverse": 2, "logdet": 0}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {"inverse": inverse(floats(x)), "logdet": logdet(floats(x))}

    def log_partition(self, natural: Natural) -> Array:
        df, scale = _df(natural), _scale(natural)
        size = scale.shape[-1]
        return 0.5 * df * (size * LOG_2 - logdet(scale)) + multivariate_lgamma(0.5 * df, size)

    def expected_statistics(self, natural: Natural) -> dict[str, Array]:
        """By hand: one Cholesky factor serves both."""
        df, lower = _df(natural), cholesky(_scale(natural))
        size = lower.shape[-1]
        expected_logdet = logdet_from_cholesky(lower) - size * LOG_2 - multivariate_digamma(0.5 * df, size)
        return {"inverse": df[..., None, None] * inverse_from_cholesky(lower), "logdet": expected_logdet}

    def natural_from(self, df: Any, scale: Any) -> dict[str, Array]:
        df, scale = common_plates(df, scale, ranks=(0, 2))
        return {"inverse": -0.5 * scale, "logdet": -0.5 * (df + scale.shape[-1] + 1.0)}

    def params_from(self, natural: Natural) -> dict[str, Array]:
        return {"df": _df(natural), "scale": _scale(natural)}

    def in_domain(self, natural: Natural) -> Array:
        size = natural["inverse"].shape[-1]
        return (natural["logdet"] < -size) & is_positive_definite(_scale(natural))

    def in_support(self, x: Any) -> Array:
        return is_positive_definite(floats(x))

    def mean(self, params: Parameters) -> np.ndarray:
        """Infinite on the diagonal, and unknown beside it, where df is at most D + 1."""
        df, scale = self.values(params)
        excess = (df - scale.shape[-1] - 1.0)[..., None, None]
        return np.where(excess > 0.0, scale / np.where(excess > 0.0, excess, 1.0), _endless(scale))

    def variance(self, params: Parameters) -> np.ndarray:
        """Infinite on the diagonal, and unknown beside it, where df is at most D + 3."""
        df, scale = self.values(params)
        diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
        excess = (df - scale.shape[-1])[..., None, None]
        known = excess > 3.0
        e = np.where(known, excess, 4.0)
        squares = (e + 1.0) * scale**2 + (e - 1.0) * diagonal[..., :, None] * diagonal[..., None, :]
        return np.where(known, squares / (e * (e - 1.0) ** 2 * (e - 3.0)), _endless(scale))

    def mode(self, params: Parameters) -> np.ndarray:
        df, scale = self.values(params)
        return scale / (df + scale.shape[-1] + 1.0)[..., None, None]

    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        df, scale = self.values(params)
        return np.linalg.inv(Wishart().sample({"df": df, "scale": np.linalg.inv(scale)}, rng, size))


def _endless(scale: np.ndarray) -> np.ndarray:
    return np.where(np.eye(scale.shape[-1]) > 0, np.inf, np.nan)


def _df(natural: Natural) -> Array:
    return -2.0 * natural["logdet"] - natural["inverse"].shape[-1] - 1.0


def _scale(natural: Natural) -> Array:
    """Symmetrised, so that gradients through it are symmetric too."""
    return -2.0 * symmetrise(jnp.asarray(natural["inverse"]))
