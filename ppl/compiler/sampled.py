"""A draw as what stands for a block: its values, and the statistics at that point.

Where the others are such points, a block's optimum is its full conditional, so that updates with draws in between are a Gibbs sampler.
`excess` weighs a point: ⟨η, T(x) - E T⟩, which is log q(x) plus the entropy, the base measure left out as energies leave it out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp

from ppl.compiler.blocks import Block
from ppl.compiler.discrete_kinds import DiscreteChainKind, DiscreteNetworkKind, labelled
from ppl.compiler.gaussian_chain_kind import GaussianChain, chain_noise, in_chain_order
from ppl.compiler.gaussian_forest_kind import GaussianForest, forest_in, forest_noise, in_forest_order
from ppl.compiler.kinds import Arrays, Conjugate, DenseGaussian, Kind, Latents, Table, in_plate_order
from ppl.compiler.numeric_kind import Numeric
from ppl.compiler.pairs import Pair, expected_precision, kronecker
from ppl.numerics.linear_algebra import cholesky, inverse, logdet_from_cholesky, transpose

Drawn = tuple[Arrays, Arrays]  # values by variable, over its plates; moments of the point


@singledispatch
def drawn(kind: Kind, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    """One joint draw of the block whose `parts` are an optimum."""
    raise TypeError(f"a {type(kind).__name__} has no draws here")


@singledispatch
def excess(kind: Kind, block: Block, parts: Arrays, point: Arrays) -> Any:
    """⟨η, T(x) - E T⟩ of a point by its moments, over all the block."""
    raise TypeError(f"a {type(kind).__name__} has no density here")


# ------------------------------------------------------------------ Normals
@drawn.register
def _(kind: DenseGaussian, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    mean, precision = parts["moments"]["mean"], parts["natural"]["precision"]
    noise = _scaled_noise(key, precision, mean)
    x = mean + (noise if block.absent is None else jnp.where(block.absent, 0.0, noise))
    values = {v: in_plate_order(x[..., block.positions[v]], latents[v], block) for v in block.variables}
    return values, {"mean": x, "cov": jnp.zeros_like(parts["moments"]["cov"])}


@excess.register
def _(kind: DenseGaussian, block: Block, parts: Arrays, point: Arrays) -> Any:
    shift = point["mean"] - parts["moments"]["mean"]
    absent = 0 if block.absent is None else int(block.absent.sum())
    return 0.5 * (shift.size - absent - _square(parts["natural"]["precision"], shift).sum())


def _scaled_noise(key: Any, precision: Any, like: Any) -> Any:
    """Normal noise with this precision, which may be shared: L⁻ᵀ z with J = L Lᵀ."""
    lower = cholesky(precision)
    eye = jnp.broadcast_to(jnp.eye(lower.shape[-1], dtype=lower.dtype), lower.shape)
    half = jax.lax.linalg.triangular_solve(lower, eye, left_side=True, lower=True)
    return (transpose(half) @ jax.random.normal(key, like.shape, like.dtype)[..., None])[..., 0]


def _square(precision: Any, shift: Any) -> Any:
    return ((precision @ shift[..., None])[..., 0] * shift).sum(axis=-1)


@drawn.register
def _(kind: GaussianChain, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    moments = parts["moments"]
    steps, border = chain_noise(block, parts["natural"], key)
    steps = steps.reshape(moments["mean"].shape)
    point = {k: jnp.zeros_like(v) for k, v in moments.items()}
    point["mean"] = moments["mean"] + (steps if block.absent is None else jnp.where(block.absent, 0.0, steps))
    if "border mean" in moments:
        border = point["border mean"] = moments["border mean"] + border
    return {v: in_chain_order(point["mean"], border, v, latents, block) for v in block.variables}, point


@excess.register
def _(kind: GaussianChain, block: Block, parts: Arrays, point: Arrays) -> Any:
    natural, moments = parts["natural"], parts["moments"]
    steps = (point["mean"] - moments["mean"]).reshape(natural["diagonal"].shape[:-1])
    total = _square(natural["diagonal"], steps).sum()
    total = total + 2.0 * jnp.einsum("...i,...ij,...j->", steps[..., :-1, :], natural["coupling"], steps[..., 1:, :])
    numbers = steps.size - (0 if block.absent is None else int(block.absent.sum()))
    if "border" in natural:
        border = point["border mean"] - moments["border mean"]
        total = total + 2.0 * jnp.einsum("...ti,...tij,...j->", steps, natural["border"], border)
        total = total + _square(natural["border diagonal"], border).sum()
        numbers += border.size
    return 0.5 * (numbers - total)


@drawn.register
def _(kind: GaussianForest, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    moments = parts["moments"]
    nodes, border = forest_noise(block, parts["natural"], key)
    point = {k: jnp.zeros_like(v) for k, v in moments.items()}
    point["mean"] = moments["mean"] + (nodes if block.absent is None else jnp.where(block.absent, 0.0, nodes))
    point["border mean"] = moments["border mean"] + border
    return {v: in_forest_order(point["mean"], point["border mean"], v, latents, block) for v in block.variables}, point


@excess.register
def _(kind: GaussianForest, block: Block, parts: Arrays, point: Arrays) -> Any:
    natural, moments = parts["natural"], parts["moments"]
    nodes, border = point["mean"] - moments["mean"], point["border mean"] - moments["border mean"]
    above = nodes[..., forest_in(block).parents, :]
    total = _square(natural["diagonal"], nodes).sum() + _square(natural["border diagonal"], border).sum()
    total = total + 2.0 * jnp.einsum("...ti,...tij,...tj->", nodes, natural["coupling"], above)
    total = total + 2.0 * jnp.einsum("...ti,...tij,...j->", nodes, natural["border"], border)
    numbers = nodes.size + border.size - (0 if block.absent is None else int(block.absent.sum()))
    return 0.5 * (numbers - total)


# ------------------------------------------------------------------ one variable of a conjugate family
def _gamma(key: Any, shape: Any, rate: Any) -> tuple[Any, Arrays]:
    log = jax.random.loggamma(key, shape) - jnp.log(rate)
    return jnp.exp(log), {"mean": jnp.exp(log), "log": log}


def _inverse_gamma(key: Any, shape: Any, scale: Any) -> tuple[Any, Arrays]:
    log = jax.random.loggamma(key, shape) - jnp.log(scale)
    return jnp.exp(-log), {"reciprocal": jnp.exp(log), "log": -log}


def _beta(key: Any, a: Any, b: Any) -> tuple[Any, Arrays]:
    one, other = (jax.random.loggamma(k, c) for k, c in zip(jax.random.split(key), (a, b), strict=True))
    total = jnp.logaddexp(one, other)
    return jnp.exp(one - total), {"log": one - total, "log1m": other - total}


def _dirichlet(key: Any, concentration: Any) -> tuple[Any, Arrays]:
    logs = jax.nn.log_softmax(jax.random.loggamma(key, concentration), axis=-1)
    return jnp.exp(logs), {"log": logs}


def _wishart(key: Any, df: Any, scale: Any) -> tuple[Any, Arrays]:
    """Bartlett's decomposition: X = L A Aᵀ Lᵀ with scale = L Lᵀ and A lower triangular."""
    size, root = scale.shape[-1], cholesky(scale)
    first, second = jax.random.split(key)
    below = jnp.tril(jax.random.normal(first, scale.shape, scale.dtype), -1)
    on = jnp.sqrt(2.0 * jax.random.gamma(second, 0.5 * (df[..., None] - jnp.arange(size)), dtype=scale.dtype))
    lower = root @ (below + on[..., None] * jnp.eye(size, dtype=scale.dtype))
    return lower @ transpose(lower), {"mean": lower @ transpose(lower), "logdet": logdet_from_cholesky(lower)}


def _inverse_wishart(key: Any, df: Any, scale: Any) -> tuple[Any, Arrays]:
    precision, statistics = _wishart(key, df, inverse(scale))
    return inverse(precision), {"inverse": precision, "logdet": -statistics["logdet"]}


def _poisson(key: Any, rate: Any) -> tuple[Any, Arrays]:
    value = jax.random.poisson(key, rate).astype(rate.dtype)
    return value, {"mean": value}


SAMPLERS: dict[str, Callable[..., tuple[Any, Arrays]]] = {
    "Gamma": _gamma,
    "InverseGamma": _inverse_gamma,
    "Beta": _beta,
    "Dirichlet": _dirichlet,
    "Wishart": _wishart,
    "InverseWishart": _inverse_wishart,
    "Poisson": _poisson,
}
"""A value and its statistics, from the parameters of the language; logarithms are drawn as such, so that small numbers have one."""


@drawn.register
def _(kind: Conjugate, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    value, statistics = SAMPLERS[kind.family.name](key, **kind.family.params_from(parts["natural"]))
    return {block.variables[0]: value}, statistics


@excess.register
def _(kind: Conjugate, block: Block, parts: Arrays, point: Arrays) -> Any:
    return _difference(parts["natural"], point, parts["moments"])


def _difference(natural: Arrays, point: Arrays, moments: Arrays) -> Any:
    return sum((natural[k] * (point[k] - moments[k])).sum() for k in natural)


@drawn.register
def _(kind: Numeric, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    """By the inverse of the distribution function, between the nodes linear in log x."""
    found = kind.family.params_from(parts["natural"])
    u, mass = found["log_nodes"], found["mass"]
    below = jnp.cumsum(mass, axis=-1) - 0.5 * mass
    uniform = jax.random.uniform(key, (*u.shape[:-1], 1), u.dtype)
    after = jnp.clip((below < uniform).sum(axis=-1, keepdims=True), 1, u.shape[-1] - 1)
    low, high = (jnp.take_along_axis(below, k, axis=-1) for k in (after - 1, after))
    start, end = (jnp.take_along_axis(u, k, axis=-1) for k in (after - 1, after))
    share = jnp.clip((uniform - low) / jnp.maximum(high - low, jnp.finfo(u.dtype).tiny), 0.0, 1.0)
    log = (start + share * (end - start))[..., 0]
    statistics = kind.family.statistics(jnp.exp(log))
    return {block.variables[0]: jnp.exp(log)}, {k: statistics[k] for k in parts["moments"]}


# ------------------------------------------------------------------ pairs
@drawn.register
def _(kind: Pair, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    natural, moments = parts["natural"], parts["moments"]
    first, second = jax.random.split(key)
    family = kind.precision.family
    value, statistics = SAMPLERS[family.name](first, **family.params_from(kind.own(natural)))
    conditional = kronecker(natural["curvature"], expected_precision({**moments, **statistics}))
    x = moments["location"] + _scaled_noise(second, conditional, moments["location"])
    values = {v: in_plate_order(x[..., block.positions[v]], latents[v], block) for v in block.variables[:-1]}
    return {**values, block.variables[-1]: value}, {**statistics, "location": x, "scaled": jnp.zeros_like(moments["scaled"])}


@excess.register
def _(kind: Pair, block: Block, parts: Arrays, point: Arrays) -> Any:
    natural, moments = parts["natural"], parts["moments"]
    own = _difference(kind.own(natural), point, moments)
    shift = point["location"] - moments["location"]
    own = own + kind.share(block, natural) * (point[kind.log_name] - moments[kind.log_name]).sum()
    return own + 0.5 * (shift.size - _square(kronecker(natural["curvature"], expected_precision(point)), shift).sum())


# ------------------------------------------------------------------ discrete ones
@drawn.register
def _(kind: Table, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    table = parts["moments"]["table"]
    flat = table.reshape(*block.batch, -1)
    states = jax.random.categorical(key, jnp.log(flat))
    values = dict(zip(block.variables, jnp.unravel_index(states, block.cardinalities), strict=True))
    return values, {"table": jax.nn.one_hot(states, flat.shape[-1], dtype=table.dtype).reshape(table.shape)}


@excess.register
def _(kind: Table, block: Block, parts: Arrays, point: Arrays) -> Any:
    table = parts["moments"]["table"]
    return jnp.where(table > 0, (point["table"] - table) * jnp.log(jnp.where(table > 0, table, 1.0)), 0.0).sum()


@drawn.register(DiscreteChainKind)
@drawn.register(DiscreteNetworkKind)
def _(kind: DiscreteChainKind | DiscreteNetworkKind, block: Block, latents: Latents, parts: Arrays, key: Any) -> Drawn:
    values = kind.drawn(block, latents, parts["natural"], key)
    labels = jnp.concatenate([values[v].reshape(-1) for v in block.variables])
    dtype = next(iter(parts["moments"].values())).dtype
    return values, labelled(block, latents, labels, dtype)


def shares(block: Block, parts: Arrays) -> Any:
    """The probabilities of a discrete block's own states, from which its marginals are told; None of other blocks."""
    if block.kind == "table":
        return parts["moments"]["table"]
    return parts["natural"]["unary"] if block.structure is not None else None
