"""The factors of a posterior as results tell them: which entries depend on each other, and joint Normals entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.gaussian_forest_kind import dense
from ppl.compiler.kinds import in_plate_order
from ppl.compiler.latents import LatentVariable
from ppl.compiler.pairs import PAIRS
from ppl.compiler.plan import Plan
from ppl.compiler.statements import random_statements
from ppl.graph.references import reached
from ppl.results.joint import JointBlock

MOST_DENSE = 1000  # numbers of a forest that are told one by one


def joint_blocks(plan: Plan, state: Any) -> tuple[JointBlock, ...]:
    """One for each block of the plan; of a block whose batch is independent too, one for each member that holds several entries."""
    return tuple(one for block in plan.blocks for one in _of_block(block, plan, state))


def _of_block(block: Block, plan: Plan, state: Any) -> Iterator[JointBlock]:
    *locations, last = [plan.latents[name] for name in block.variables]
    whole = all(v.lookup is None and v.given is None for v in (*locations, last))
    each_alone = not locations and int(np.prod(block.batch, dtype=int)) == int(np.prod(last.plates, dtype=int))
    if block.kind == "Gaussian" and whole and not each_alone:
        moments = state["moments"][block.name]
        yield JointBlock(block.variables, False, *_entries(block, (*locations, last), moments["mean"], moments["cov"]))
    elif block.kind in PAIRS and whole:
        yield _pair(block, locations, last, state["moments"][block.name])
    elif block.forest is not None and whole:
        yield from _of_forest(block, (*locations, last), state["moments"][block.name], state["natural"][block.name])
    elif block.chain is not None and whole:
        yield JointBlock(block.variables, False, *_last_entries(block, (*locations, last), state["moments"][block.name]))
    else:
        alone = each_alone and (whole or not _has_latent_parents(last.name, plan))
        yield JointBlock(block.variables, alone, apart=tuple(block.batch_axes.get(v.name, ()) for v in (*locations, last)))


def _of_forest(block: Block, variables: tuple[LatentVariable, ...], moments: Any, natural: Any) -> Iterator[JointBlock]:
    """All its numbers where they are few; of a large one the border alone, which new members of its plates meet."""
    assert block.forest is not None
    if block.forest.nodes * block.forest.width <= MOST_DENSE:
        yield JointBlock(block.variables, False, *_entries(*dense(block, variables, moments, natural)))
        return
    border = tuple(v for v in variables if v.name not in block.forest.first)
    if border:
        alone = replace(block, variables=tuple(v.name for v in border), size=block.forest.border, forest=None, absent=None)
        mean, cov = (np.asarray(moments[f"border {key}"], float) for key in ("mean", "cov"))
        yield JointBlock(alone.variables, False, *_entries(alone, border, mean, cov))
    yield JointBlock(tuple(block.forest.first), False)


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


def _last_entries(
    block: Block, variables: tuple[LatentVariable, ...], moments: Any
) -> tuple[tuple[tuple[str, tuple[int, ...]], ...], np.ndarray, np.ndarray]:
    """Of a chain the border and the last two groups of steps that stand together: later steps read nothing before them."""
    chain = block.chain
    assert chain is not None
    size, steps = chain.lag * chain.width, chain.length // chain.lag
    told = {name: np.asarray(value, float) for name, value in moments.items()}
    groups = range(max(0, steps - 2), steps)
    numbers = len(groups) * size + chain.border
    mean, cov = np.zeros((*block.batch, numbers)), np.zeros((*block.batch, numbers, numbers))
    each = told["mean"].reshape((*block.batch, steps, size))
    for k, group in enumerate(groups):
        at = slice(k * size, (k + 1) * size)
        mean[..., at], cov[..., at, at] = each[..., group, :], told["cov"][..., group, :, :]
    if len(groups) == 2:
        cov[..., :size, size : 2 * size] = told["cross"][..., steps - 2, :, :]
        cov[..., size : 2 * size, :size] = np.swapaxes(told["cross"][..., steps - 2, :, :], -1, -2)
    if chain.border:
        at = slice(len(groups) * size, numbers)
        mean[..., at], cov[..., at, at] = told["border mean"], told["border cov"]
        for k, group in enumerate(groups):
            cov[..., k * size : (k + 1) * size, at] = told["border cross"][..., group, :, :]
            cov[..., at, k * size : (k + 1) * size] = np.swapaxes(told["border cross"][..., group, :, :], -1, -2)
    places = _last_places(block, variables, groups[0] * chain.lag, len(groups) * size)
    kept = np.array(sorted(places), int)
    whole = np.zeros((len(kept), len(kept)))
    for member in np.ndindex(block.batch):
        first = int(np.ravel_multi_index(member, block.batch)) * numbers if block.batch else 0
        mine = np.nonzero((kept >= first) & (kept < first + numbers))[0]
        whole[np.ix_(mine, mine)] = cov[member][np.ix_(kept[mine] - first, kept[mine] - first)]
    return tuple(places[k] for k in kept), mean.reshape(-1)[kept], whole


def _last_places(block: Block, variables: tuple[LatentVariable, ...], first: int, border: int) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Which entry each number of the last steps, and of the border after them, is."""
    chain = block.chain
    assert chain is not None
    count = border + chain.border
    order = np.arange(int(np.prod(block.batch, dtype=int)) * count).reshape(*block.batch, count)
    found: dict[int, tuple[str, tuple[int, ...]]] = {}
    for one in variables:
        time = chain.times.get(one.name)
        numbers = order[..., border:] if time is None else order[..., :border].reshape((*block.batch, -1, chain.width))
        if time is not None:
            numbers = numbers[..., : max(0, one.plates[time] - first), :]
        axes = (*block.batch_axes[one.name], *(() if time is None else (time,)))
        placed = np.moveaxis(numbers[..., block.positions[one.name]], range(len(axes)), axes)
        for place in np.ndindex(placed.shape):
            at = place if time is None else (*place[:time], place[time] + first, *place[time + 1 :])
            found[int(placed[place])] = (one.name, at)
    return found


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
