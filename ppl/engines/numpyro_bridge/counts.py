"""How far a count without an end is summed: until nothing that matters lies beyond.

The values that are kept are doubled until their upper half has no probability left. As the tails of counts fall faster than 1/k², no
more lies beyond the end than in that half. Where a count depends on continuous variables, this is asked at a mode of theirs before
the fit, and of the whole posterior after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.engines.numpyro_bridge.discrete import IMPOSSIBLE
from ppl.engines.numpyro_bridge.joint import LogJoint, log_joint_of
from ppl.engines.numpyro_bridge.starts import starting_points
from ppl.engines.numpyro_bridge.structure import FIRST_COUNTS, Drawn
from ppl.graph.bound import BoundModel
from ppl.graph.networks import first_weights

NOTHING = 1e-13  # probability of an upper half that is none
LITTLE = 1e-5  # of the posterior, below which nobody sees the difference
MOST_DRAWN = 2**12  # values of a count that are weighed for each draw
MOST_ENTRIES = 2**22  # of a table of states
Tables = Mapping[str, Any]


def counted(bound: BoundModel, *, standardise: bool = True, drawn: Drawn = "nothing") -> LogJoint:
    """The log joint, with every count that is not `drawn` summed as far as it matters."""
    joint = log_joint_of(bound, standardise=standardise, counts=_first(bound), drawn=drawn)
    while joint.structure.endless and drawn == "nothing":
        tables = _at_a_mode(joint)
        short = _short(joint, tables, NOTHING) if tables is not None else joint.structure.endless
        longer = _longer(joint, short, standardise)
        if longer is None:
            return joint
        joint = longer
    return joint


def _longer(joint: LogJoint, short: frozenset[str], standardise: bool = True) -> LogJoint | None:
    """The log joint with twice the values of these counts; None where there are none, or the tables would be too large."""
    sizes = {n: joint.structure.enumerated[n] * (2 if n in short else 1) for n in joint.structure.endless}
    found = log_joint_of(joint.bound, standardise=standardise, counts=sizes) if short else None
    return found if found is not None and _largest_table(found) <= MOST_ENTRIES else None


def still_longer(joint: LogJoint, tables: Tables) -> LogJoint | None:
    """The log joint with more values, where the posterior's probabilities of states say that some that matter are left out."""
    return _longer(joint, _short(joint, tables, LITTLE))


def taken_further(joint: LogJoint, draws: np.ndarray) -> LogJoint | None:
    """The log joint with twice the values of the counts that are drawn, where some draw was among the larger half; None where none was, or
    more would take too long."""
    sizes = joint.structure.drawn
    at = joint.starts
    far = {
        s.name
        for s in joint.sites
        if s.name in joint.structure.capped and draws[..., at[s.name] : at[s.name] + s.size].max() >= s.states / 2
    }
    if not far or max(sizes[n] for n in far) >= MOST_DRAWN:
        return None
    return log_joint_of(joint.bound, counts={n: sizes[n] * (2 if n in far else 1) for n in joint.structure.capped}, drawn="all")


def beyond(joint: LogJoint, tables: Tables) -> dict[str, float]:
    """For each count without an end the largest probability, over its members, of the upper half of what is kept."""
    latent = joint.structure.latent
    return {n: float(_upper_half(tables[n])[latent[n]].max()) for n in joint.structure.endless}


def left_out(joint: LogJoint, tables: Tables) -> list[str]:
    """A warning for each count of which more may be left out than nobody sees."""
    sizes = joint.structure.enumerated
    return [
        f"`{n}` is summed over 0 to {sizes[n] - 1}, of which the upper half has the probability {mass:.2g}: as much may lie beyond"
        for n, mass in beyond(joint, tables).items()
        if mass > LITTLE
    ]


def _short(joint: LogJoint, tables: Tables, limit: float) -> frozenset[str]:
    return frozenset(n for n, mass in beyond(joint, tables).items() if not mass <= limit)


def _upper_half(table: Any) -> np.ndarray:
    return np.asarray(table)[..., np.shape(table)[-1] // 2 :].sum(axis=-1)


def _first(bound: BoundModel) -> dict[str, int]:
    """Where some counts are given, twice the largest of them."""
    most = {n: np.nanmax(v, initial=0) for n, v in bound.values.items() if n in bound.observed and v.dtype.kind == "f"}
    return {n: max(FIRST_COUNTS, 2 ** int(np.ceil(np.log2(2.0 * m + 2.0)))) for n, m in most.items()}


def _at_a_mode(joint: LogJoint) -> Tables | None:
    """The probabilities of the states at a point of high density; None where there is none, as the data need larger counts."""
    networks = joint.bound.model.networks
    weights = {n: jnp.asarray(first_weights(networks[n], joint.bound.sizes, np.random.default_rng(0))) for n in joint.weights}
    (u,) = starting_points(joint, 1, 0, weights)

    @jax.jit
    def told(u: Any) -> tuple[Any, Any]:
        values, learnt, _ = joint.constrain(u, weights)
        return joint(u, weights), joint.probabilities(values, learnt)

    density, tables = told(jnp.asarray(u))
    return tables if density > 0.1 * IMPOSSIBLE else None


def _largest_table(joint: LogJoint) -> int:
    """The entries of the largest table that a statement makes, found without making it."""

    def shapes() -> list[Any]:
        values, learnt, _ = joint.constrain(jnp.zeros(joint.size), {n: jnp.zeros(k) for n, k in joint.weights.items()})
        return [t.expanded().data for t in joint.terms(values, learnt) if t.states]

    return max(int(np.prod(a.shape)) for a in jax.eval_shape(shapes))
