"""The factors of a posterior as results tell them: which entries depend on each other, and joint Normals entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.kinds import in_plate_order
from ppl.compiler.latents import LatentVariable
from ppl.compiler.pairs import PAIRS
from ppl.compiler.plan import Plan, random_statements
from ppl.engines.forward import reached
from ppl.results.joint import JointBlock


def joint_blocks(plan: Plan, state: Any) -> tuple[JointBlock, ...]:
    """One for each block of the plan; of a block whose batch is independent too, one for each member that holds several entries."""
    return tuple(one for block in plan.blocks for one in _of_block(block, plan, state))


def _of_block(block: Block, plan: Plan, state: Any) -> Iterator[JointBlock]:
    *locations, last = [plan.latents[name] for name in block.variables]
    whole = all(v.lookup is None for v in (*locations, last))
    each_alone = not locations and int(np.prod(block.batch, dtype=int)) == int(np.prod(last.plates, dtype=int))
    if block.kind == "Gaussian" and whole and not each_alone:
        moments = state["moments"][block.name]
        yield JointBlock(block.variables, False, *_entries(block, (*locations, last), moments["mean"], moments["cov"]))
    elif block.kind in PAIRS and whole:
        yield _pair(block, locations, last, state["moments"][block.name])
    else:
        yield JointBlock(block.variables, each_alone and (whole or not _has_latent_parents(last.name, plan)))


def _has_latent_parents(name: str, plan: Plan) -> bool:
    """Whether the entries that are predicted depend on what is latent: their beliefs do not say how."""
    statements = [s for s in random_statements(plan.bound.model) if s.variable == name]
    return any(reached(s, plan.definitions) & {*plan.latents, *plan.predicted} - {name} for s in statements)


def _pair(block: Block, locations: list[LatentVariable], precision: LatentVariable, moments: Any) -> JointBlock:
    """A location whose covariance is divided by a precision that is latent too."""
    first, axes = locations[0], block.batch_axes
    mean, scaled = np.asarray(moments["location"], float), np.asarray(moments["scaled"], float)
    made = JointBlock(block.variables, False, precision=precision.name, inverted=PAIRS[block.kind].sign < 0.0)
    if len(locations) == 1 and int(np.prod(first.plates, dtype=int)) == int(np.prod(block.batch, dtype=int)):
        spread = scaled if first.event and not precision.event else scaled[..., 0, 0]
        along = tuple(axes[first.name][axes[precision.name].index(k)] for k in range(len(precision.plates)))
        centre = in_plate_order(mean[..., block.positions[first.name]], first, block)
        return replace(made, mean=centre, cov=in_plate_order(spread, first, block), along=along)
    if precision.event:
        return made
    entries, centre, cov = _entries(block, tuple(locations), mean, scaled)
    own = block.batch[: len(precision.plates)]
    members = in_plate_order(np.arange(int(np.prod(own, dtype=int))).reshape(own), precision, block)
    place = {int(members[p]): p for p in np.ndindex(members.shape)}
    each = len(centre) // max(len(place), 1)
    return replace(made, entries=entries, mean=centre, cov=cov, places=tuple(place[k // each] for k in range(len(centre))))


def _entries(
    block: Block, variables: tuple[LatentVariable, ...], mean: Any, cov: Any
) -> tuple[tuple[tuple[str, tuple[int, ...]], ...], np.ndarray, np.ndarray]:
    """The numbers of a block by name and place, with their mean and covariance: that of independent members is 0."""
    members = int(np.prod(block.batch, dtype=int))
    order = np.arange(members * block.size).reshape(*block.batch, block.size)
    entries: dict[int, tuple[str, tuple[int, ...]]] = {}
    for one in variables:
        numbers = in_plate_order(order[..., block.positions[one.name]], one, block)
        entries |= {int(numbers[place]): (one.name, place) for place in np.ndindex(numbers.shape)}
    whole = np.zeros((members * block.size, members * block.size))
    for k, part in enumerate(np.broadcast_to(cov, (*block.batch, block.size, block.size)).reshape(members, block.size, block.size)):
        at = slice(k * block.size, (k + 1) * block.size)
        whole[at, at] = part
    return tuple(entries[k] for k in range(len(whole))), np.asarray(mean, float).reshape(-1), whole
