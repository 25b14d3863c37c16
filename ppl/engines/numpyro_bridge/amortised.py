"""Amortised coordinates: for each member of a plate a network's outputs are the mean and the spread of its posterior."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge.joint import LogJoint
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


def _amortised(joint: LogJoint, written: typed.Amortisation) -> Amortised:
    site = next((s for s in joint.sites if s.name == written.variable), None)
    if site is None or site.mask is not None:
        text = f"`{written.variable}` is not wholly latent and continuous, so a network cannot tell its posterior"
        raise AimError([Diagnostic("AIM0745", text, written.span, "leave out `by network`")])
    start = sum(s.size for s in joint.sites[: joint.sites.index(site)])
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
