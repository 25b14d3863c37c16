"""A Gaussian block along time: block-tridiagonal, with a border of numbers that every step may meet.

Its moments are means, covariances of the steps, and of neighbouring steps: all that a bordered block-tridiagonal precision asks
for. The update is the dense one's, J ← -2 ∇_V g ; m ← m + J⁻¹ ∇_m g, with J⁻¹ by elimination along the chain.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.chains import Chain
from ppl.compiler.kinds import Arrays, Kind, Latents, damped, together, without_given
from ppl.compiler.latents import LatentVariable
from ppl.families import gaussian_chain
from ppl.numerics.linear_algebra import symmetrise
from ppl.numerics.special import LOG_2PI

LARGEST_DRAWN = 20_000_000  # numbers that are drawn at a time


class GaussianChain(Kind):
    """Normals along time."""

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        chain = _chain(block)
        steps, size, border = chain.length // chain.lag, chain.lag * chain.width, chain.border
        cov = np.broadcast_to(np.eye(size, dtype=dtype), (*block.batch, steps, size, size))
        moments = {
            "mean": np.zeros((*block.batch, chain.length, chain.width), dtype),
            "cov": cov,
            "cross": np.zeros((*block.batch, steps - 1, size, size), dtype),
        }
        natural = {"diagonal": cov, "coupling": moments["cross"]}
        if border:
            alone = np.broadcast_to(np.eye(border, dtype=dtype), (*block.batch, border, border))
            meeting = np.zeros((*block.batch, steps, size, border), dtype)
            moments |= {"border mean": np.zeros((*block.batch, border), dtype), "border cov": alone, "border cross": meeting}
            natural |= {"border": meeting, "border diagonal": alone}
        return moments, natural

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: float) -> Arrays:
        chain, own = _chain(block), _precision(block, gradient)
        precision = damped(own if block.members is None else _apart(own, block), natural, damping)
        step = 1.0 - damping if natural is not None else 1.0
        slopes = gradient["mean"].reshape((*block.batch, chain.length // chain.lag, -1))
        found = _solved(precision, slopes, gradient.get("border mean"))
        joint = found if block.members is None else _solved(own, slopes, gradient.get("border mean"))  # means are best together
        inner = (found.mean * slopes).sum()
        new = {"mean": moments["mean"] + step * joint.mean.reshape(moments["mean"].shape), "cov": found.covariance, "cross": found.cross}
        if chain.border:
            inner = inner + (found.border_mean * gradient["border mean"]).sum()
            new |= {"border mean": moments["border mean"] + step * joint.border_mean}
            new |= {"border cov": found.border_covariance, "border cross": found.border_cross}
        numbers = int(np.prod(block.batch, dtype=int)) * (chain.length * chain.width + chain.border)
        logdet = inner + numbers * LOG_2PI - 2.0 * found.log_partition.sum()
        absent = 0 if block.absent is None else int(block.absent.sum())
        entropy = 0.5 * ((numbers - absent) * (1.0 + LOG_2PI) - logdet)
        return {"moments": new, "natural": precision, "entropy": entropy}

    def mapped(self, block: Block, parts: Arrays, inner: Any, across: tuple[int, Any] | None) -> Arrays:
        chain, moments, natural = _chain(block), dict(parts["moments"]), dict(parts["natural"])
        steps = chain.length // chain.lag
        turned = jnp.kron(jnp.eye(chain.lag, dtype=inner.dtype), inner)
        back = jnp.linalg.inv(turned)
        moments |= {"mean": moments["mean"] @ inner.T, "cov": symmetrise(turned @ moments["cov"] @ turned.T)}
        moments["cross"] = turned @ moments["cross"] @ turned.T
        natural |= {"diagonal": symmetrise(back.T @ natural["diagonal"] @ back), "coupling": back.T @ natural["coupling"] @ back}
        if chain.border:
            moments["border cross"] = turned @ moments["border cross"]
            natural["border"] = back.T @ natural["border"]
        members = int(np.prod(block.batch, dtype=int)) * steps
        return {"moments": moments, "natural": natural, "entropy": parts["entropy"] + members * jnp.linalg.slogdet(turned)[1]}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """The larger of |Δm| / sd and |ΔV| / V."""
        pairs = [("mean", "cov")] + ([("border mean", "border cov")] if "border cov" in new[0] else [])
        far = []
        for mean, cov in pairs:
            variance, former = (jnp.diagonal(m[cov], axis1=-2, axis2=-1) for m in (new[0], old[0]))
            shifted = jnp.abs(new[0][mean] - old[0][mean]).reshape(variance.shape) / jnp.sqrt(variance)
            far.append(jnp.maximum(shifted, jnp.abs(variance - former) / variance).max())
        return jnp.stack(far).max()

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        chain, variable, places = _chain(block), latents[name], block.positions[name]
        if name not in chain.times:
            mean, cov = np.asarray(moments["border mean"]), np.asarray(moments["border cov"])
        else:
            length = variable.plates[chain.times[name]]
            mean = np.asarray(moments["mean"])[..., :length, :]
            cov = _of_each_step(np.asarray(moments["cov"]), chain)[..., :length, :, :]
        placed = _in_plate_order(mean[..., places], variable, block)
        if variable.family == "Normal":
            variance = np.diagonal(cov, axis1=-2, axis2=-1)[..., places]
            return {"mean": placed, "sd": np.sqrt(_in_plate_order(variance, variable, block))}
        joint = without_given(cov[..., places[..., :, None], places[..., None, :]], variable, block)
        return {"mean": placed, "cov": _in_plate_order(joint, variable, block)}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        natural = {k: jnp.asarray(v) for k, v in natural.items()}
        keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), count)
        each = max(1, LARGEST_DRAWN // max(np.size(moments["mean"]), 1))
        steps, border = jax.jit(lambda k: jax.lax.map(lambda key: chain_noise(block, natural, key), k, batch_size=each))(keys)
        steps = np.asarray(steps).reshape((count, *np.shape(moments["mean"]))) + np.asarray(moments["mean"])
        border = np.asarray(border) + np.asarray(moments.get("border mean", 0.0))
        return {v: in_chain_order(steps, border, v, latents, block, before=1) for v in block.variables}

    def described(self, block: Block) -> str:
        chain = _chain(block)
        together = f", {chain.lag} steps at a time," if chain.lag > 1 else ""
        border = f", with {chain.border} numbers that all steps may meet" if chain.border else ""
        return f"chain of {chain.length} steps of {chain.width} Normals{together}{border}"


def chain_noise(block: Block, natural: Arrays, key: Any) -> tuple[Any, Any]:
    """How far a draw is from the means: of the steps, and of the border (of no numbers where there is none)."""
    diagonal, coupling = natural["diagonal"], natural["coupling"]
    blank = jnp.zeros(diagonal.shape[:-1], diagonal.dtype)
    if "border" not in natural:
        return gaussian_chain.sample(key, diagonal, coupling, blank), jnp.zeros((*block.batch, 0), diagonal.dtype)
    parts = (natural["border"], natural["border diagonal"])
    return gaussian_chain.bordered_sample(key, diagonal, coupling, blank, *parts, jnp.zeros(parts[1].shape[:-1], blank.dtype))


def in_chain_order(steps: Any, border: Any, name: str, latents: Latents, block: Block, *, before: int = 0) -> Any:
    """A variable's own values over its plates, from those of the steps and of the border; `before` axes stand in front."""
    chain, variable = _chain(block), latents[name]
    values = steps[..., : variable.plates[chain.times[name]], :] if name in chain.times else border
    return _in_plate_order(values[..., block.positions[name]], variable, block, before=before)


def _chain(block: Block) -> Chain:
    assert block.chain is not None
    return block.chain


def _precision(block: Block, gradient: Arrays) -> Arrays:
    """The blocks of the precision; places without a latent number stand apart, with precision 1."""
    chain = _chain(block)
    diagonal = -2.0 * symmetrise(gradient["cov"])
    if block.absent is not None:
        alone = block.absent.reshape((*block.batch, chain.length // chain.lag, -1))
        diagonal = diagonal + np.eye(alone.shape[-1]) * alone[..., None, :]
    found = {"diagonal": diagonal, "coupling": -gradient["cross"]}
    if chain.border:
        found |= {"border": -gradient["border cross"], "border diagonal": -2.0 * symmetrise(gradient["border cov"])}
    return found


def _solved(precision: Arrays, slopes: Any, border: Any) -> Any:
    """The moments of the block with this precision, whose means are how far it moves."""
    parts = (precision["diagonal"], precision["coupling"], slopes)
    if border is None:
        return gaussian_chain.moments(*parts)
    return gaussian_chain.bordered_moments(*parts, precision["border"], precision["border diagonal"], border)


def _apart(precision: Arrays, block: Block) -> Arrays:
    """Without what couples different members."""
    assert block.members is not None
    chain = _chain(block)
    inside = chain.length * chain.width
    steps, border = block.members[:inside].reshape(chain.length // chain.lag, -1), block.members[inside:]
    found = {
        "diagonal": precision["diagonal"] * together(steps, steps),
        "coupling": precision["coupling"] * together(steps[:-1], steps[1:]),
    }
    if chain.border:
        found |= {
            "border": precision["border"] * together(steps, np.broadcast_to(border, (len(steps), len(border)))),
            "border diagonal": precision["border diagonal"] * together(border, border),
        }
    return found


def _of_each_step(cov: np.ndarray, chain: Chain) -> np.ndarray:
    """The covariance of each step, of blocks that hold several."""
    if chain.lag == 1:
        return cov
    split = cov.reshape((*cov.shape[:-2], chain.lag, chain.width, chain.lag, chain.width))
    each = np.moveaxis(np.diagonal(split, axis1=-4, axis2=-2), -1, -3)  # …, lag, width, width
    return each.reshape((*cov.shape[:-3], chain.length, chain.width, chain.width))


def _in_plate_order(entries: np.ndarray, variable: LatentVariable, block: Block, *, before: int = 0) -> np.ndarray:
    """From (batch, time, other plates, event) to the order of the variable's plates; `before` axes stand in front."""
    time = _chain(block).times.get(variable.name)
    axes = (*block.batch_axes[variable.name], *(() if time is None else (time,)))
    count = len(variable.plates)
    order = [*axes, *(k for k in range(count) if k not in axes)]
    tail = range(before + count, entries.ndim)
    return np.transpose(entries, [*range(before), *(before + order.index(k) for k in range(count)), *tail])
