"""States drawn in turn, where they are too many to be summed over: each given everything else, and between two rounds a transition of
the No-U-Turn sampler for what is continuous (Gibbs sampling within Hamiltonian Monte Carlo; Neal 1993).

It asks nothing of a model but its log joint, so that no discrete model is refused; where states hold each other fast it mixes slowly,
which R-hat tells.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.hmc import hmc

from ppl.arrays.streams import stream
from ppl.engines.numpyro_bridge.joint import LogJoint
from ppl.engines.numpyro_bridge.nuts import DENSE, Chains
from ppl.engines.numpyro_bridge.options import Options
from ppl.engines.numpyro_bridge.starts import ATTEMPTS, starting_points
from ppl.source.diagnostics import AimError

MOST_AT_ONCE = 64  # joint states of two that are weighed
WINDOW = 16  # values of one that are weighed


@dataclass(frozen=True)
class Apart:
    """The coordinates of a log joint in two: those that are states, and the continuous ones."""

    joint: LogJoint

    @cached_property
    def sizes(self) -> np.ndarray:
        """The number of states of each coordinate; 0 of what is continuous."""
        found = np.zeros(self.joint.size, int)
        for site in self.joint.sites:
            if site.kind == "states":
                start = self.joint.starts[site.name]
                found[start : start + site.size] = site.states
        return found

    @cached_property
    def states(self) -> np.ndarray:
        return np.flatnonzero(self.sizes)

    @cached_property
    def continuous(self) -> np.ndarray:
        return np.flatnonzero(self.sizes == 0)

    def whole(self, x: Any, states: Any) -> Any:
        return jnp.zeros(self.joint.size).at[self.continuous].set(x).at[self.states].set(states)

    def log_density(self, x: Any, states: Any) -> Any:
        found = self.joint(self.whole(x, states))
        return jnp.where(jnp.isnan(found), -jnp.inf, found)

    def drawn_in_turn(self, x: Any, states: Any, key: Any) -> Any:
        """Every state given all else: of few values together with another one, chosen at random, as two may hold each other; of many
        values among those of a window that is cut at random around it."""
        count, most = len(self.states), int(self.sizes.max())
        sizes, paired = jnp.asarray(self.sizes[self.states]), most**2 <= MOST_AT_ONCE and count > 1
        one, other = (jnp.ravel(a) for a in jnp.indices((most, most))) if paired else (jnp.arange(min(most, WINDOW)),) * 2

        def visit(states: Any, now: Any) -> tuple[Any, None]:
            i, apart, cut, own = now
            j = (i + apart) % count
            first = (states[i].astype(int) + cut) // WINDOW * WINDOW - cut if most > WINDOW else 0
            mine, others = first + one, other if paired else first + one
            logs = jax.vmap(lambda a, b: self.log_density(x, states.at[j].set(b).at[i].set(a)))(mine * 1.0, others * 1.0)
            possible = (mine >= 0) & (mine < sizes[i]) & (others < sizes[j])
            chosen = jax.random.categorical(own, jnp.where(possible, logs, -jnp.inf))
            return states.at[j].set(others[chosen] * 1.0).at[i].set(mine[chosen] * 1.0), None

        begin, place, end = jax.random.split(key, 3)
        apart = jax.random.randint(begin, (count,), 1, count) if paired else jnp.zeros(count, int)
        cuts = jax.random.randint(place, (count,), 0, WINDOW)
        return jax.lax.scan(visit, states, (jnp.arange(count), apart, cuts, jax.random.split(end, count)))[0]


@dataclass(frozen=True)
class _Held:
    """The log joint of the continuous coordinates at states that are held."""

    apart: Apart
    states: np.ndarray

    @property
    def size(self) -> int:
        return len(self.apart.continuous)

    def __call__(self, x: Any, weights: Any = None) -> Any:
        return self.apart.log_density(x, jnp.asarray(self.states))


def run_states(joint: LogJoint, options: Options, seed: int) -> Chains:
    """Draws of all coordinates. Raises AimError where no start with a finite density is found."""
    apart, begun = Apart(joint), time.perf_counter()
    warmup, draws, chains = options.whole("warmup"), options.whole("draws"), options.whole("chains")
    starts = [_start(apart, seed, k) for k in range(chains)]
    initial, transition = hmc(potential_fn_gen=lambda states: lambda x: -apart.log_density(x, states), algo="NUTS")
    settings: dict[str, Any] = {
        "dense_mass": len(apart.continuous) <= DENSE,
        "target_accept_prob": options.number("target_accept"),
        "max_tree_depth": options.whole("max_tree_depth"),
    }

    def round_of(carry: Any, _: Any) -> tuple[Any, Any]:
        x, states, sampler, key = carry
        key, own = jax.random.split(key)
        states = apart.drawn_in_turn(x, states, own)
        if sampler is None:
            return (x, states, None, key), (apart.whole(x, states), False, 0)
        energy, gradient = jax.value_and_grad(lambda x: -apart.log_density(x, states))(x)
        sampler = transition(sampler._replace(potential_energy=energy, z_grad=gradient), model_args=(states,))
        return (sampler.z, states, sampler, key), (apart.whole(sampler.z, states), sampler.diverging, sampler.num_steps)

    def chain(x: Any, states: Any, key: Any) -> Any:
        first, own = jax.random.split(key)
        sampler = initial(x, warmup, model_args=(states,), rng_key=first, **settings) if x.size else None
        carry, _ = jax.lax.scan(lambda c, n: (round_of(c, n)[0], None), (x, states, sampler, own), None, length=warmup)
        return jax.lax.scan(round_of, carry, None, length=draws)[1]

    keys = jax.random.split(jax.random.PRNGKey(seed), chains)
    arguments = (jnp.stack([x for x, _ in starts]), jnp.stack([s for _, s in starts]), keys)
    compiled = jax.jit(jax.vmap(chain)).lower(*arguments).compile()
    ready = time.perf_counter()
    found, diverging, steps = (np.asarray(a) for a in compiled(*arguments))
    deepest = 2 ** options.whole("max_tree_depth") - 1
    return Chains(found, int(diverging.sum()), int((steps >= deepest).sum()), ready - begun, time.perf_counter() - ready)


def _start(apart: Apart, seed: int, chain: int) -> tuple[Any, Any]:
    """Random states, and a point for the rest, that are possible together."""
    rng = stream(seed, "states", chain)
    for attempt in range(ATTEMPTS):
        states = np.floor(rng.random(len(apart.states)) * np.maximum(apart.sizes[apart.states] * 0.95**attempt, 1.5))
        held = _Held(apart, states)
        try:
            if held.size or np.isfinite(held(jnp.zeros(0))):
                return jnp.asarray(starting_points(held, 1, seed + chain)[0]), jnp.asarray(states)
        except AimError:
            if attempt == ATTEMPTS - 1:
                raise
    (start,) = starting_points(_Held(apart, states), 1, seed)  # which says that there is none
    return jnp.asarray(start), jnp.asarray(states)
