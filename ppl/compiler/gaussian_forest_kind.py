"""A Gaussian block over nested plates: each node meets its parent, and all may meet a border.

Its moments are means, covariances of the nodes, with their parents and with the border: all that such a precision asks for. The update
is the dense one's, J ← -2 ∇_V g ; m ← m + J⁻¹ ∇_m g, with J⁻¹ by elimination from the leaves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.forests import Forest
from ppl.compiler.kinds import Arrays, Kind, Latents, damped, in_plate_order, without_given
from ppl.compiler.latents import LatentVariable
from ppl.families import gaussian_forest
from ppl.numerics.compilation import without_libraries
from ppl.numerics.linear_algebra import symmetrise
from ppl.numerics.special import LOG_2PI

LARGEST_DRAWN = 20_000_000  # numbers that are drawn at a time


class GaussianForest(Kind):
    """Normals over nested plates."""

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        forest = forest_in(block)
        size, border = (*block.batch, forest.nodes, forest.width), forest.border
        cov = np.broadcast_to(np.eye(forest.width, dtype=dtype), (*size, forest.width))
        corner = np.broadcast_to(np.eye(border, dtype=dtype), (*block.batch, border, border))
        between, beside = np.zeros((*size, forest.width), dtype), np.zeros((*size, border), dtype)
        means = {"mean": np.zeros(size, dtype), "border mean": np.zeros((*block.batch, border), dtype)}
        spreads = {"cov": cov, "cross": between, "border cov": corner, "border cross": beside}
        return means | spreads, {"diagonal": cov, "coupling": between, "border": beside, "border diagonal": corner}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        forest = forest_in(block)
        precision = damped(_precision(block, gradient), natural, damping)
        step = 1.0 - damping if natural is not None else 1.0
        found = _over_batch(block, forest, precision, gradient["mean"], gradient["border mean"])
        new = {
            "mean": moments["mean"] + step * found.mean,
            "border mean": moments["border mean"] + step * found.border_mean,
            "cov": found.covariance,
            "cross": found.cross,
            "border cov": found.border_covariance,
            "border cross": found.border_cross,
        }
        absent = 0 if block.absent is None else int(block.absent.sum())
        numbers = int(np.prod(block.batch, dtype=int)) * (forest.nodes * forest.width + forest.border) - absent
        return {"moments": new, "natural": precision, "entropy": 0.5 * (numbers * (1.0 + LOG_2PI) - found.logdet.sum())}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """The larger of |Δm| / sd and |ΔV| / V."""
        far = []
        for mean, cov in (("mean", "cov"), ("border mean", "border cov")):
            variance, former = (jnp.diagonal(m[cov], axis1=-2, axis2=-1) for m in (new[0], old[0]))
            if variance.size:
                shifted = jnp.abs(new[0][mean] - old[0][mean]) / jnp.sqrt(variance)
                far.append(jnp.maximum(shifted, jnp.abs(variance - former) / variance).max())
        return jnp.stack(far).max()

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        variable, places = latents[name], block.positions[name]
        mean, cov = (of_variable(np.asarray(moments[key]), np.asarray(moments[f"border {key}"]), name, block) for key in ("mean", "cov"))
        placed = in_plate_order(mean[..., places], variable, block)
        if variable.family == "Normal":
            variance = np.diagonal(cov, axis1=-2, axis2=-1)[..., places]
            return {"mean": placed, "sd": np.sqrt(in_plate_order(variance, variable, block))}
        joint = cov[..., places[..., :, None], places[..., None, :]]
        return {"mean": placed, "cov": in_plate_order(without_given(joint, variable, block), variable, block)}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        natural = {k: jnp.asarray(v) for k, v in natural.items()}
        keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), count)
        each = min(count, max(1, LARGEST_DRAWN // max(np.size(moments["mean"]), 1)))
        many = jax.jit(jax.vmap(lambda key: forest_noise(block, natural, key)), compiler_options=without_libraries())
        parts = [many(keys[np.arange(start, start + each) % count]) for start in range(0, count, each)]
        nodes, border = (np.concatenate([np.asarray(part[k]) for part in parts])[:count] for k in (0, 1))
        nodes, border = nodes + np.asarray(moments["mean"]), border + np.asarray(moments["border mean"])
        return {v: in_forest_order(nodes, border, v, latents, block, before=1) for v in block.variables}

    def described(self, block: Block) -> str:
        forest = forest_in(block)
        numbers = f"{forest.width} Normals" if forest.width > 1 else "one Normal"
        border = f", with {forest.border} numbers that all nodes may meet" if forest.border else ""
        depth = f" in {len(forest.ends)} levels" if len(forest.ends) > 1 else ""
        return f"forest of {forest.nodes} nodes{depth} of {numbers} each{border}"


def forest_in(block: Block) -> Forest:
    assert block.forest is not None
    return block.forest


def forest_noise(block: Block, natural: Arrays, key: Any) -> tuple[Any, Any]:
    """How far a draw is from the means: of the nodes, and of the border."""
    forest = forest_in(block)
    first, second = jax.random.split(key)
    noise = jax.random.normal(first, natural["diagonal"].shape[:-1], natural["diagonal"].dtype)
    beside = jax.random.normal(second, natural["border diagonal"].shape[:-1], noise.dtype)

    def one(own: Arrays, noise: Any, beside: Any) -> Any:
        return gaussian_forest.sample(forest.waves, noise, beside, own["diagonal"], own["coupling"], own["border"], own["border diagonal"])

    for _ in block.batch:
        one = jax.vmap(one)
    return one(natural, noise, beside)


def of_variable(nodes: Any, border: Any, name: str, block: Block, *, before: int = 0) -> Any:
    """What a variable has of arrays over (batch, nodes, …) and (batch, …): its plates in the batch, its others, and what is left;
    `before` axes stand in front."""
    forest, axes = forest_in(block), before + len(block.batch)
    if name not in forest.first:
        return border
    lengths = forest.lengths[name]
    own = nodes[(slice(None),) * axes + (slice(forest.first[name], forest.first[name] + int(np.prod(lengths, dtype=int))),)]
    return own.reshape((*own.shape[:axes], *lengths, *own.shape[axes + 1 :]))


def in_forest_order(nodes: Any, border: Any, name: str, latents: Latents, block: Block, *, before: int = 0) -> Any:
    """A variable's own values over its plates, from those of the nodes and of the border; `before` axes stand in front."""
    own = of_variable(nodes, border, name, block, before=before)
    return in_plate_order(own[..., block.positions[name]], latents[name], block, before=before)


def dense(
    block: Block, variables: tuple[LatentVariable, ...], moments: Arrays, natural: Arrays
) -> tuple[Block, tuple[LatentVariable, ...], np.ndarray, np.ndarray]:
    """The same block with one covariance of all its numbers, those of one variable after those of another."""
    forest = forest_in(block)
    inside = forest.nodes * forest.width
    positions, taken, at = {}, [], 0
    for v in variables:
        place, shape = block.positions[v.name], tuple(n for k, n in enumerate(v.plates) if k not in block.batch_axes[v.name]) + v.event
        if v.name in forest.first:
            nodes = forest.first[v.name] + np.arange(int(np.prod(forest.lengths[v.name], dtype=int)))
            place = nodes[:, None] * forest.width + place.ravel()
        else:
            place = inside + place
        positions[v.name] = np.arange(at, at + place.size).reshape(shape)
        taken, at = [*taken, place.ravel()], at + place.size
    order = np.concatenate(taken)
    numbers = inside + forest.border
    parts = {k: np.asarray(v, float) for k, v in natural.items()}
    nodes = np.arange(inside).reshape(forest.nodes, forest.width)
    precision = np.zeros((*block.batch, numbers, numbers))
    precision[..., nodes[:, :, None], nodes[forest.parents][:, None, :]] += parts["coupling"]
    precision[..., nodes, inside:] = parts["border"]
    precision = precision + np.swapaxes(precision, -1, -2)
    precision[..., nodes[:, :, None], nodes[:, None, :]] = parts["diagonal"]
    precision[..., inside:, inside:] = parts["border diagonal"]
    kept = precision[..., order[:, None], order]
    flat = np.concatenate([np.asarray(moments["mean"]).reshape(*block.batch, inside), np.asarray(moments["border mean"])], axis=-1)
    whole = replace(block, kind="Gaussian", size=at, positions=positions, forest=None, absent=None)
    return whole, variables, flat[..., order], np.linalg.inv(kept)


def _precision(block: Block, gradient: Arrays) -> Arrays:
    """The parts of the precision; places without a latent number stand apart, with precision 1."""
    diagonal = -2.0 * symmetrise(gradient["cov"])
    if block.absent is not None:
        diagonal = diagonal + np.eye(diagonal.shape[-1]) * block.absent[..., None, :]
    corner = -2.0 * symmetrise(gradient["border cov"])
    return {"diagonal": diagonal, "coupling": -gradient["cross"], "border": -gradient["border cross"], "border diagonal": corner}


def _over_batch(block: Block, forest: Forest, precision: Arrays, slopes: Any, pull: Any) -> gaussian_forest.ForestMoments:
    """The moments with this precision, whose means are how far the block moves."""

    def one(own: Arrays, slopes: Any, pull: Any) -> gaussian_forest.ForestMoments:
        parts = own["border"], own["border diagonal"], pull
        return gaussian_forest.moments(forest.waves, own["diagonal"], own["coupling"], slopes, *parts)

    for _ in block.batch:
        one = jax.vmap(one)
    return one(precision, slopes, pull)
