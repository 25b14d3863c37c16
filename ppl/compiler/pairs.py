"""Conjugate pairs: a location and its precision in one block, where every statement of the location has a multiple of that precision.

`q(x, Λ) = Normal(x | m, (K ⊗ Λ)⁻¹) Wishart(Λ | …)`, for P vectors of length D that stand one after the other in x; a Gamma is the
Wishart of length 1, a variance or covariance the inverse of one. Then E[rᵀ Λ r] of r = x - m does not depend on Λ: the energies of
such statements see a covariance `K⁻¹ ⊗ E[Λ]⁻¹` and stay linear in the pair's statistics (Bernardo & Smith 1994, appendix A). Batch
axes that the precision lacks come last: their members share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import PAIRED, Block
from ppl.compiler.kinds import Arrays, Conjugate, Kind, Latents, damped, in_plate_order
from ppl.families.registry import FAMILIES
from ppl.numerics.linear_algebra import cholesky, inverse, inverse_from_cholesky, logdet_from_cholesky, symmetrise
from ppl.numerics.special import LOG_2PI


def expected_precision(moments: Mapping[str, Any]) -> Any:
    """E[Λ] of a pair as matrices, over the batch axes: of length 1 where the members share it."""
    through = next(moments[name] for name in PAIRED.values() if name in moments)
    return as_matrices(through, 2 if "logdet" in moments else 0, moments["location"].ndim - 1)


def as_matrices(value: Any, event: int, batch: int) -> Any:
    """Numbers or matrices (`event` axes) as matrices over so many batch axes."""
    own = value.ndim - event
    wide = value.reshape(value.shape[:own] + (1,) * (batch - own) + value.shape[own:])
    return wide if event else wide[..., None, None]


def kronecker(a: Any, b: Any) -> Any:
    """a ⊗ b of the last two axes."""
    product = a[..., :, None, :, None] * b[..., None, :, None, :]
    size = a.shape[-1] * b.shape[-1]
    return product.reshape(*product.shape[:-4], size, size)


def seen_covariance(moments: Mapping[str, Any]) -> Any:
    """What a statement whose precision is a multiple of the pair's own sees as the covariance of the location."""
    precision = expected_precision(moments)
    own = 1.0 / precision if precision.shape[-1] == 1 else inverse_from_cholesky(cholesky(precision))
    return kronecker(moments["scaled"], own)


@dataclass(frozen=True)
class Pair(Kind):
    """Moments `location` (m), `scaled` (K⁻¹) and those of the precision's own family, of which `through` is Λ."""

    precision: Conjugate
    through: str
    cancels = True

    @property
    def event(self) -> int:
        return self.precision.family.event_rank

    @property
    def log_name(self) -> str:
        return "logdet" if self.event else "log"

    @property
    def sign(self) -> float:
        """Of log|Λ| in the family's logarithm."""
        return 1.0 if self.through == "mean" else -1.0

    def length(self, natural: Arrays) -> int:
        """D."""
        return natural[self.through].shape[-1] if self.event else 1

    def shared(self, block: Block) -> tuple[int, ...]:
        """Batch axes whose members share the precision."""
        return tuple(range(len(block.batch_axes[block.variables[-1]]), len(block.batch)))

    def share(self, block: Block, natural: Arrays) -> float:
        """How often the density of the locations has log|Λ|, in the family's logarithm."""
        members = int(np.prod([block.batch[k] for k in self.shared(block)], dtype=int))
        return 0.5 * self.sign * members * (block.size // self.length(natural))

    def own(self, natural: Arrays) -> Arrays:
        """The natural parameters of the precision alone."""
        return {k: natural[k] for k in self.precision.family.statistic_rank}

    # ------------------------------------------------------------ the kind
    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        apart = self.shared(block)
        alone = replace(block, variables=block.variables[-1:], batch=tuple(n for k, n in enumerate(block.batch) if k not in apart))
        moments, natural = self.precision.blank(alone, latents, dtype)
        rows = block.size // self.length(natural)
        eye = np.broadcast_to(np.eye(rows, dtype=dtype), (*block.batch, rows, rows))
        location = np.zeros((*block.batch, block.size), dtype)
        return {**moments, "location": location, "scaled": eye}, {**natural, "curvature": eye}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: float) -> Arrays:
        length, apart, family = self.length(gradient), self.shared(block), self.precision.family
        rows = block.size // length
        curvature = -2.0 / length * symmetrise(gradient["scaled"])
        slope = gradient["location"].reshape(*block.batch, rows, length)
        shift = inverse_from_cholesky(cholesky(curvature)) @ slope @ inverse(expected_precision(moments))
        square = (0.5 * jnp.swapaxes(shift, -1, -2) @ curvature @ shift).sum(axis=apart)
        share = self.share(block, gradient)
        added = square if self.event else square[..., 0, 0]
        own = {self.through: gradient[self.through] + added, self.log_name: gradient[self.log_name] - share}
        new = damped({**own, "curvature": curvature}, natural, damping)
        statistics = family.expected_statistics(self.own(new))
        lower = cholesky(new["curvature"])
        numbers = int(np.prod(block.batch, dtype=int)) * block.size
        entropy = family.entropy(self.own(new)).sum() - share * statistics[self.log_name].sum()
        entropy = entropy + 0.5 * (numbers * (1.0 + LOG_2PI) - length * logdet_from_cholesky(lower).sum())
        step = 1.0 - damping if natural is not None else 1.0
        location = moments["location"] + step * shift.reshape(moments["location"].shape)
        return {"moments": {**statistics, "location": location, "scaled": inverse_from_cholesky(lower)}, "natural": new, "entropy": entropy}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        names = self.precision.family.statistic_rank
        far = self.precision.movement(*(({k: m[k] for k in names}, {k: n[k] for k in names}) for m, n in (new, old)))
        spread = jnp.sqrt(jnp.diagonal(seen_covariance(new[0]), axis1=-2, axis2=-1))
        return jnp.maximum(far, (jnp.abs(new[0]["location"] - old[0]["location"]) / spread).max())

    # ------------------------------------------------------------ what is told of it
    def reported_family(self, block: Block, name: str, latents: Latents) -> str:
        return self.precision.family.name if name == block.variables[-1] else "StudentT"

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        params = {k: np.asarray(v) for k, v in self.precision.family.params_from(self.own(natural)).items()}
        if name == block.variables[-1]:
            return params
        df, matrix = student(self.precision.family.name, params)
        batch = len(block.batch)
        squares = kronecker(np.asarray(moments["scaled"]), as_matrices(matrix, self.event, batch))
        scale = np.diagonal(squares, axis1=-2, axis2=-1)
        df = np.broadcast_to(as_matrices(df, 0, batch)[..., 0], scale.shape)
        places, variable = block.positions[name], latents[name]
        told = {"df": df, "mean": np.asarray(moments["location"]), "sd": np.sqrt(scale)}
        return {k: in_plate_order(v[..., places], variable, block) for k, v in told.items()}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        value = np.asarray(self.precision.family.sample(self.precision.family.params_from(self.own(natural)), rng, count))
        matrices = as_matrices(value, self.event, 1 + len(block.batch))
        spread = matrices if self.sign < 0.0 else np.linalg.inv(matrices)
        root = kronecker(np.linalg.cholesky(np.asarray(moments["scaled"])), np.linalg.cholesky(spread))
        noise = rng.standard_normal((count, *np.shape(moments["location"])))
        joint = np.asarray(moments["location"]) + (root @ noise[..., None])[..., 0]
        drawn = {v: in_plate_order(joint[..., block.positions[v]], latents[v], block, before=1) for v in block.variables[:-1]}
        return {**drawn, block.variables[-1]: value}

    def described(self, block: Block) -> str:
        return f"joint {block.kind}, of {block.size}"


def student(family: str, params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of freedom and squared scale of a location with this belief of its precision, where K is 1."""
    match family:
        case "Gamma":
            return 2.0 * params["shape"], params["rate"] / params["shape"]
        case "InverseGamma":
            return 2.0 * params["shape"], params["scale"] / params["shape"]
    df = params["df"] - params["scale"].shape[-1] + 1.0
    matrix = np.linalg.inv(params["scale"]) if family == "Wishart" else params["scale"]
    return df, matrix / df[..., None, None]


PAIRS: dict[str, Pair] = {f"Normal–{family}": Pair(Conjugate(FAMILIES[family]), through) for family, through in PAIRED.items()}
