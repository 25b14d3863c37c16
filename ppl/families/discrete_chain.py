"""A chain of categoricals is a family: its log-partition is the forward recursion, its gradient the smoothed marginals.

    log p(z) = initial[z_1] + Σ_t transition[z_t, z_{t+1}] + Σ_t emission[t, z_t] - log_partition

for log-potentials of any scale, normalised or not. Leading axes are sequences of one plate, run side by side:

    initial     [..., K]
    transition  [..., K, K] for all steps (`homogeneous`, the default), or [..., T - 1, K, K]; row: from, column: to
    emission    [..., T, K]

Leading axes broadcast; a transition that all sequences share is best given without them. A potential of -inf or anything under
-1e30 is impossible: where every path is, the log-partition is near -1e30 or below and nothing is NaN.

Three routes lead to the same numbers: in *segments* side by side; where that is not right, in probabilities *step by step*; where that is
not, in *logarithms*. Which is right depends on the numbers, so that by itself a compiled program holds all three. Who can begin again
asks for one `route`: its program is small, and NaN comes back where the route is not right.

    log_partition(initial, transition, emission, *, homogeneous=True) -> Array[...]
    marginals(...) -> ChainMarginals(log_partition, unary, pairwise)
    sample(key, ...) -> int Array[..., T]
    mode(...) -> int Array[..., T]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from ppl.families import discrete_chain_logarithms as logarithms
from ppl.families import discrete_chain_segments as segments
from ppl.numerics.special import floats

IMPOSSIBLE = -1e30
SMALL = 10**5  # pairs of states, up to which logarithms cost less than compiling another way
Found = TypeVar("Found")
Route = Literal["segments", "steps", "logarithms"]


class ChainMarginals(NamedTuple):
    log_partition: Array  # [...]
    unary: Array  # [..., T, K]: P(z_t)
    pairwise: Array  # [..., K, K]: Σ_t P(z_t, z_{t+1}) where homogeneous, else [..., T - 1, K, K]


class Chain(NamedTuple):
    """The potentials, finite, with all the sequences on one leading axis; `plates` are those axes."""

    initial: Array  # [N, K]
    transition: Array  # [1 or N, K, K] or [1 or N, T - 1, K, K]
    emission: Array  # [N, T, K]
    plates: tuple[int, ...]


def log_partition(initial: Array, transition: Array, emission: Array, *, homogeneous: bool = True) -> Array:
    """The log of the sum of exp(potential) over all paths; its gradients are the marginals."""
    chain = _chain(initial, transition, emission, homogeneous)
    return _log_partition(*chain[:3]).reshape(chain.plates)


def marginals(
    initial: Array, transition: Array, emission: Array, *, homogeneous: bool = True, route: Route | None = None
) -> ChainMarginals:
    """The log-partition and the smoothed probabilities of states and of steps; by one `route` alone NaN where it is not right."""
    chain = _chain(initial, transition, emission, homogeneous)
    values = _marginals(*chain[:3], route)
    return ChainMarginals(*(v.reshape(chain.plates + v.shape[1:]) for v in values))


def sample(key: Array, initial: Array, transition: Array, emission: Array, *, homogeneous: bool = True) -> Array:
    """One path for each sequence."""
    chain = _chain(initial, transition, emission, homogeneous)
    filtered = _carefully(chain, segments.filtered, lambda: logarithms.forward(*chain[:3])[0])
    return logarithms.sample(key, filtered, chain.transition).reshape(chain.plates + filtered.shape[1:2])


def mode(initial: Array, transition: Array, emission: Array, *, homogeneous: bool = True) -> Array:
    """The most probable path of each sequence."""
    chain = _chain(initial, transition, emission, homogeneous)
    paths = logarithms.mode(*chain[:3])
    return paths.reshape(chain.plates + paths.shape[1:])


def _chain(initial: Array, transition: Array, emission: Array, homogeneous: bool) -> Chain:
    initial, transition, emission = (jnp.maximum(floats(x), IMPOSSIBLE) for x in (initial, transition, emission))
    rank = 2 if homogeneous else 3
    leading = [x.shape[: x.ndim - r] for x, r in ((initial, 1), (transition, rank), (emission, 2))]
    plates = jnp.broadcast_shapes(*leading)
    shared = prod(leading[1]) == 1

    def flat(x: Array, event: int) -> Array:
        kept = x.shape[x.ndim - event :]
        return jnp.broadcast_to(x, plates + kept).reshape((prod(plates),) + kept)

    kept = transition.shape[transition.ndim - rank :]
    return Chain(flat(initial, 1), transition.reshape((1,) + kept) if shared else flat(transition, rank), flat(emission, 2), plates)


def routes(count: int, length: int, states: int) -> tuple[Route, ...]:
    """The routes for `count` sequences of this length, from the fastest to the one that is always right."""
    if count * length * states**2 <= SMALL:
        return ("logarithms",)
    return ("segments", "steps", "logarithms") if segments.pieces_of(count, length) > 1 else ("steps", "logarithms")


def _carefully(
    chain: Chain,
    fast: Callable[[segments.Cut], tuple[Found, Array]],
    slow: Callable[[], Found],
    route: Route | None = None,
) -> Found:
    """By the fastest route that is right; or by one alone, NaN where it is not."""

    def by(one: Route) -> tuple[Found, Array]:
        pieces = segments.pieces_of(*chain.emission.shape[:2]) if one == "segments" else 1
        return fast(segments.cut(*chain[:3], pieces))

    def first_of(left: tuple[Route, ...]) -> Found:
        if left[0] == "logarithms":
            return slow()
        found, right = by(left[0])
        return jax.lax.cond(right, lambda: found, partial(first_of, left[1:]))

    if route is None:
        return first_of(routes(*chain.emission.shape))
    if route == "logarithms":
        return slow()
    found, right = by(route)
    return jax.tree.map(lambda x: jnp.where(right, x, jnp.nan), found)


def _by_route(initial: Array, transition: Array, emission: Array, route: Route | None) -> tuple[Array, Array, Array]:
    chain = Chain(initial, transition, emission, ())
    return _carefully(chain, segments.marginals, lambda: logarithms.marginals(initial, transition, emission), route)


_marginals: Any = jax.custom_vjp(_by_route, nondiff_argnums=(3,))


def _marginals_forward(
    initial: Array, transition: Array, emission: Array, route: Route | None
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    return _marginals(initial, transition, emission, route), (initial, transition, emission)


def _marginals_backward(route: Route | None, potentials: tuple[Array, ...], cotangents: tuple[Array, Array, Array]) -> tuple[Array, ...]:
    """Second derivatives of the log-partition, from the recursions in logarithms."""
    return jax.vjp(logarithms.marginals, *potentials)[1](cotangents)


_marginals.defvjp(_marginals_forward, _marginals_backward)


@jax.custom_vjp
def _log_partition(initial: Array, transition: Array, emission: Array) -> Array:
    return _marginals(initial, transition, emission, None)[0]


def _log_partition_forward(initial: Array, transition: Array, emission: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    value, unary, pairwise = _marginals(initial, transition, emission, None)
    return value, (unary, pairwise, transition)


def _log_partition_backward(residuals: tuple[Array, Array, Array], cotangent: Array) -> tuple[Array, Array, Array]:
    unary, pairwise, transition = residuals
    states = cotangent[:, None, None] * unary
    steps = cotangent.reshape((-1,) + (1,) * (pairwise.ndim - 1)) * pairwise
    return states[:, 0], steps.sum(axis=0, keepdims=True) if len(transition) == 1 else steps, states


_log_partition.defvjp(_log_partition_forward, _log_partition_backward)
