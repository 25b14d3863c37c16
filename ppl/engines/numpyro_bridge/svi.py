"""Stochastic variational inference: the guide follows the gradient of its bound by Adam, and stops where the bound stands still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.catalogue.engines import ENGINES
from ppl.engines.numpyro_bridge.amortised import amortised_of
from ppl.engines.numpyro_bridge.guide import FULL, LOW_RANK, Guide, together
from ppl.engines.numpyro_bridge.joint import LogJoint
from ppl.engines.numpyro_bridge.laplace import covariance_root, find_mode
from ppl.engines.numpyro_bridge.minibatch import Minibatch, minibatch_of
from ppl.engines.numpyro_bridge.options import Options
from ppl.graph.networks import first_weights
from ppl.semantics.typed import Approximation

SETTINGS = ENGINES["svi"].defaults
CHUNK = 200  # steps between looks at the bound
RISE = 2e-3  # nats that a chunk has to gain
TOLERANCE, OF_NETWORKS = 2e-6, 1e-3  # of the bound, that a chunk has to gain besides; weights are learnt for ever
PATIENCE = 3  # chunks without a better bound before the steps become smaller
SMALLER, SMALLEST = 0.3, 0.03  # of the learning rate


@dataclass(frozen=True)
class Fitted:
    """The guide's parameters, with the weights of networks among them, and the bound by chunks of steps."""

    guide: Guide
    parameters: Mapping[str, Any] = field(repr=False)
    weights: Mapping[str, Any] = field(repr=False)
    trace: np.ndarray = field(repr=False)
    steps: int
    converged: bool
    batch: Minibatch | None = None


def run_svi(joint: LogJoint, options: Options, seed: int, approximation: Approximation | None) -> Fitted:
    rng = stream(seed, "starts")
    networks = joint.bound.model.networks
    weights = {n: jnp.asarray(first_weights(networks[n], joint.bound.sizes, rng)) for n in joint.weights}
    guide = guide_of(joint, seed, weights, approximation)
    parameters = {"guide": guide.first(rng), "weights": weights}
    particles = int(options.number("particles")) if options.values["particles"] else int(np.clip(2000 // max(joint.size, 1), 1, 16))
    points = frozenset(n for n, form in (approximation.forms if approximation else {}).items() if form == "point")

    batch = minibatch_of(joint, guide, options.whole("batch") if options.values["batch"] else 0, options.span)

    def loss(parameters: Any, key: Any, rows: Any) -> Any:
        some, told = (joint, guide) if batch is None else batch.at(rows)

        def one(k: Any) -> Any:
            u, log_density = told.draw(parameters["guide"], k)
            return some(u, parameters["weights"], points) - log_density

        return -jnp.mean(jax.vmap(one)(jax.random.split(key, particles)))

    learnt = bool(joint.weights or guide.amortised)
    gain = float(options.values["tolerance"]) or (OF_NETWORKS if learnt else TOLERANCE)
    found = _descend(loss, parameters, options, gain, seed, batch)
    return Fitted(
        guide, found.parameters["guide"], found.parameters["weights"], -np.array(found.trace), found.steps, found.converged, batch
    )


class _Found(NamedTuple):
    parameters: Any
    trace: list[float]
    steps: int
    converged: bool


def _descend(
    loss: Callable[[Any, Any, Any], Any], parameters: Any, options: Options, gain: float, seed: int, batch: Minibatch | None
) -> _Found:
    """Chunks of steps, smaller ones where the bound has stopped to rise; the average over the last chunk is what is kept."""

    def step(carry: Any, given: Any) -> Any:
        moments, total = carry
        key, rate, rows = given
        value, gradient = jax.value_and_grad(loss)(moments.parameters, key, rows)
        moments = adam(moments, jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), gradient), rate)
        return (moments, jax.tree.map(jnp.add, total, moments.parameters)), value

    @jax.jit
    def chunk(moments: Moments, key: Any, rate: Any, rows: Any) -> Any:
        start = (moments, jax.tree.map(jnp.zeros_like, parameters))
        (moments, total), values = jax.lax.scan(step, start, (jax.random.split(key, CHUNK), jnp.full(CHUNK, rate), rows))
        return moments, jax.tree.map(lambda t: t / CHUNK, total), jnp.mean(values)

    zero = jax.tree.map(jnp.zeros_like, parameters)
    moments, average = Moments(parameters, zero, zero, jnp.zeros(())), parameters
    rate = first = options.number("learning_rate")
    members = stream(seed, "batches")
    trace: list[float] = []
    best, waited = np.inf, 0
    for k in range(max(1, options.whole("steps") // CHUNK)):
        rows = np.zeros((CHUNK, 0), int) if batch is None else batch.rows(members, CHUNK)
        moments, average, value = chunk(moments, jax.random.PRNGKey(seed * 7919 + k), rate, rows)
        trace.append(float(value))
        better = value < best - RISE - gain * abs(best)
        best, waited = min(best, float(value)), 0 if better else waited + 1
        if waited >= PATIENCE:
            if rate <= first * SMALLEST:
                return _Found(average, trace, (k + 1) * CHUNK, True)
            rate, waited = rate * SMALLER, 0
    return _Found(average, trace, len(trace) * CHUNK, False)


class Moments(NamedTuple):
    """Parameters, with the running averages of their gradients and of those squared."""

    parameters: Any
    first: Any
    second: Any
    count: Any


def adam(before: Moments, gradient: Any, rate: Any) -> Moments:
    """One step of Adam (Kingma & Ba 2015)."""
    count = before.count + 1.0
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, before.first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, before.second, gradient)

    def moved(p: Any, m: Any, v: Any) -> Any:
        return p - rate * (m / (1.0 - 0.9**count)) / (jnp.sqrt(v / (1.0 - 0.999**count)) + 1e-8)

    return Moments(jax.tree.map(moved, before.parameters, first, second), first, second, count)


def guide_of(joint: LogJoint, seed: int, weights: Mapping[str, Any], approximation: Approximation | None) -> Guide:
    """The guide that the number of coordinates allows, begun at the mode where there are no networks."""
    amortised = amortised_of(joint, approximation)
    taken = np.concatenate([np.zeros(0, int), *(a.places for a in amortised)])
    forms = approximation.forms if approximation else {}
    at, fixed = 0, []
    for site in joint.sites:
        if forms.get(site.name) == "point":
            fixed += range(at, at + site.size)
        at += site.size
    points = np.array(fixed, int)
    free = np.setdiff1d(np.arange(joint.size), np.concatenate([taken, points]))
    many = len(free) > FULL
    covariance = "diagonal" if len(free) > LOW_RANK else "low rank" if many else "full"
    if joint.weights or amortised:
        centre = stream(seed, "guide").normal(size=joint.size) * 0.1
        return Guide(joint.size, free, points, covariance, centre, np.eye(len(free)) * 0.1 if not many else None, amortised)
    mode = find_mode(joint, seed, 1, 300)
    root = None
    blocks = _blocks(joint, approximation, free)
    if covariance == "full":
        whole = mode.root
        root = np.eye(len(free)) * 0.3 if whole is None or points.size else whole if blocks is None else _within(whole, blocks)
    return Guide(joint.size, free, points, covariance, mode.at, root, (), blocks)


def _within(root: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """The root of the closest Normal whose blocks are independent, from that of a covariance."""
    inverse = np.linalg.inv(root)
    found = covariance_root(inverse.T @ inverse * together(blocks))
    assert found is not None
    return found


def _blocks(joint: LogJoint, approximation: Approximation | None, free: np.ndarray) -> np.ndarray | None:
    """In which of the blocks that are asked for each free coordinate is; those that are not named are in one."""
    if approximation is None or not approximation.blocks:
        return None
    found: list[np.ndarray] = []
    for site in joint.sites:
        block = next((k for k, names in enumerate(approximation.blocks) if site.name in names), len(approximation.blocks))
        plates = site.coordinates[: site.plates if site.mask is None else 1]
        members = np.arange(int(np.prod(plates, dtype=int))) if site.name in approximation.separate else np.zeros(1, int)
        found.append(np.repeat(np.stack([np.full(len(members), block), members], axis=1), site.size // len(members), axis=0))
    labels = np.unique(np.concatenate(found), axis=0, return_inverse=True)[1].ravel()
    return labels[free]
