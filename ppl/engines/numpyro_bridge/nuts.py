"""The No-U-Turn sampler on the log joint: NumPyro's, from starts that are near where the mass is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS

from ppl.catalogue.engines import ENGINES
from ppl.engines.numpyro_bridge.joint import LogJoint
from ppl.engines.numpyro_bridge.options import Options
from ppl.engines.numpyro_bridge.starts import starting_points

DENSE = 80  # coordinates up to which their covariance is learnt whole
SETTINGS = ENGINES["nuts"].defaults


@dataclass(frozen=True)
class Chains:
    """Draws of the coordinates: chains × draws × coordinates, and how many transitions diverged."""

    draws: np.ndarray
    divergences: int
    longest: int  # how many draws used the deepest tree
    compile_seconds: float
    run_seconds: float


def run_nuts(joint: LogJoint, options: Options, seed: int) -> Chains:
    """Raises AimError where no start with a finite density is found."""
    chains, draws = options.whole("chains"), options.whole("draws")
    begun = time.perf_counter()
    starts = jnp.asarray(starting_points(joint, chains, seed))
    kernel = NUTS(
        potential_fn=jax.jit(lambda u: -joint(u)),
        dense_mass=joint.size <= DENSE,
        target_accept_prob=options.number("target_accept"),
        max_tree_depth=options.whole("max_tree_depth"),
    )
    sampler = MCMC(
        kernel, num_warmup=options.whole("warmup"), num_samples=draws, num_chains=chains, chain_method="vectorized", progress_bar=False
    )
    ready = time.perf_counter()
    sampler.run(jax.random.PRNGKey(seed), init_params=starts if chains > 1 else starts[0], extra_fields=("diverging", "num_steps"))
    found = np.asarray(sampler.get_samples(group_by_chain=True))
    extra = sampler.get_extra_fields()
    deepest = 2 ** options.whole("max_tree_depth") - 1
    return Chains(
        found.reshape(chains, draws, joint.size),
        int(np.sum(extra["diverging"])),
        int(np.sum(np.asarray(extra["num_steps"]) >= deepest)),
        ready - begun,
        time.perf_counter() - ready,
    )
