"""Networks' weights: those with a prior are coordinates like others, the others are learnt; the posterior tells of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp

from ppl.engines.numpyro_bridge.distributions import Valued, build
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator
from ppl.graph.networks import weight_count, widths_of
from ppl.results.network import Network
from ppl.semantics import typed


def bayesian_weights(bound: BoundModel) -> dict[str, int]:
    """The number of weights of each network that has a prior."""
    return {n: weight_count(f, bound.sizes) for n, f in bound.model.networks.items() if f.prior is not None}


def told_networks(networks: Iterable[typed.Network], bound: BoundModel) -> dict[str, Network]:
    """As results tell of them."""
    return {one.name: Network(widths_of(one, bound.sizes), one.activation) for one in networks}


def weights_prior(bound: BoundModel, networks: Mapping[str, Any]) -> Any:
    """The log density of the weights of Bayesian networks."""
    return sum((jnp.sum(prior_of(name, bound).log_prob(networks[name])) for name in bayesian_weights(bound)), jnp.zeros(()))


def prior_of(name: str, bound: BoundModel) -> Any:
    """The distribution of one weight."""
    prior = bound.model.networks[name].prior
    assert prior is not None
    known = {n: v for n, v in bound.values.items() if n not in bound.observed}
    evaluator = Evaluator(bound.sizes, known)
    return build(Valued(prior.name, {k: evaluator.number(e, {}) for k, e in prior.arguments.items()}), ())
