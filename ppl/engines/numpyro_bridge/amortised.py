"""Amortised coordinates: for each member of a plate a network's outputs are the mean and the spread of its posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge.joint import LogJoint, log_joint_of
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator
from ppl.graph.networks import feed_forward, first_weights
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

SMALLEST = -7.0  # of the log of a spread


@dataclass(frozen=True)
class Amortised:
    """`inputs` are what the network sees of each member; `places` where the members' coordinates stand. The network has twice the
    outputs that are written: means, and then the logs of the spreads."""

    name: str
    network: typed.Network
    inputs: Plated = field(repr=False)
    places: np.ndarray = field(repr=False)
    sizes: dict[str, int]
    times: float = 1.0  # how often each member counts

    def first_weights(self, rng: np.random.Generator) -> np.ndarray:
        return first_weights(self.network, self.sizes, rng)

    def outputs(self, weights: Any) -> tuple[Any, Any]:
        """Means and log spreads of the coordinates of every member."""
        told = feed_forward(self.network, Plated((), weights), self.inputs, self.sizes).data
        mean, log_sd = jnp.split(told, 2, axis=-1)
        return mean, jnp.maximum(log_sd - 1.0, SMALLEST)


def amortised_of(joint: LogJoint, approximation: typed.Approximation | None) -> tuple[Amortised, ...]:
    """The variables whose posteriors are a network's. Raises AimError where one has no coordinates for each member."""
    return tuple(_amortised(joint, a) for a in (approximation.amortised if approximation else ()))


def encoded(
    bound: BoundModel, written: Sequence[typed.Amortisation], weights: Mapping[str, np.ndarray], draws: Mapping[str, np.ndarray],
    count: int, rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Draws of the variables whose posterior a learnt network tells, of the members that a model is bound to. `draws` are those of what
    they have in common."""
    joint = log_joint_of(bound)
    key = jax.random.PRNGKey(int(rng.integers(2**31)))
    found: dict[str, np.ndarray] = {}
    for one in written:
        told = _amortised(joint, one)
        site = next(s for s in joint.sites if s.name == one.variable)
        mean, log_sd = told.outputs(jnp.asarray(weights[one.network.name]))
        noise = jax.random.normal(jax.random.fold_in(key, len(found)), (count, *mean.shape))

        def value(u: Any, common: Mapping[str, Any], site: Any = site) -> Any:
            evaluator = joint.evaluator({**joint.base, **common}, weights)
            return site.put(joint.base[site.name], joint.entries(site, u.reshape(site.coordinates), evaluator)[0])

        found[one.variable] = np.asarray(jax.vmap(value)(mean + jnp.exp(log_sd) * noise, {n: jnp.asarray(v) for n, v in draws.items()}))
    return found


def _amortised(joint: LogJoint, written: typed.Amortisation) -> Amortised:
    site = next((s for s in joint.sites if s.name == written.variable), None)
    if site is None or site.mask is not None:
        text = f"`{written.variable}` is not wholly latent and continuous, so a network cannot tell its posterior"
        raise AimError([Diagnostic("AIM0745", text, written.span, "leave out `by network`")])
    start = joint.starts[site.name]
    known = {n: v for n, v in joint.base.items() if n not in joint.structure.latent}
    evaluator = Evaluator(joint.bound.sizes, known)
    loops: dict[str, Plated] = {}
    for loop in written.loops:
        loops[loop.name] = evaluator.loop_index(loop, loops, fresh=False)
    inputs = evaluator.number(written.argument, loops)
    lengths = {n: i.data.shape[0] for n, i in loops.items()}
    inputs = Plated(tuple(lengths), inputs.arranged(tuple(lengths), lengths))
    members = int(np.prod(list(lengths.values()), dtype=int))
    last = written.network.widths[-1]
    outputs = typed.Constant(2 * site.size // max(1, members), span=last.span, type=last.type)
    network = replace(written.network, widths=(*written.network.widths[:-1], outputs))
    return Amortised(site.name, network, inputs, np.arange(start, start + site.size), dict(joint.bound.sizes))
