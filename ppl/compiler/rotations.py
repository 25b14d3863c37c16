"""Parameter expansion inside a program: the matrix by which a group is turned, and the blocks after it.

The residuals that the group turns enter the bound by sums of their second moments alone, so these are computed once; each value of
R then costs as much as a few small matrices. All else is held, precisions too: a rotation that has them follow at once prunes what
a first guess of the noise leaves no room for. R climbs from the identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import Block
from ppl.compiler.expansion import WHOLE, Expansion, Moved, Roles
from ppl.compiler.expectations import second_value, slots_value
from ppl.compiler.kinds import kind_of
from ppl.compiler.lowering import LoweredFactor, SecondMoment
from ppl.compiler.ready import Layout, Ready, ReadySecond, ready, ready_second
from ppl.factors.registry import factor
from ppl.numerics.ascent import ascended

if TYPE_CHECKING:
    from ppl.compiler.program import State

EVALUATIONS = 30
LEAST = 1e-14  # rise of the bound, relative to itself, that a step must promise


@dataclass(frozen=True)
class ReadyMoved:
    """A factor whose residual is turned. The value of `second` is the residual's average second moment over the plates that nothing
    else knows; `places` are its axes in their order, each a plate or none, with a sign or 0; `degree` is that of a scale.
    """

    second: ReadySecond
    precision: dict[str, Ready]
    weight: Plated
    places: tuple[tuple[str, int, int], ...]  # plate ("" where it is an axis of the value), size, sign
    degree: int
    sizes: tuple[tuple[str, int], ...]
    implementation: str


@dataclass(frozen=True)
class ReadyExpansion:
    moved: tuple[ReadyMoved, ...]
    size: int
    roles: Roles


jax.tree_util.register_dataclass(
    ReadyMoved, data_fields=["second", "precision", "weight"], meta_fields=["places", "degree", "sizes", "implementation"]
)
jax.tree_util.register_dataclass(ReadyExpansion, data_fields=["moved"], meta_fields=["size", "roles"])


# ------------------------------------------------------------------ making ready
def ready_expansion(expansion: Expansion, factors: Sequence[LoweredFactor], layout: Layout) -> ReadyExpansion:
    joint = Layout(layout.latents, {n: _joined(b, _mixed_axis(b, expansion.roles)) for n, b in layout.blocks.items()})
    moved = tuple(_ready_moved(m, factors[m.factor], joint) for m in expansion.moved)
    return ReadyExpansion(moved, expansion.size, expansion.roles)


def _ready_moved(moved: Moved, lowered: LoweredFactor, layout: Layout) -> ReadyMoved:
    (feature,) = lowered.slots["residual"].values()
    assert isinstance(feature, SecondMoment)
    signs, form = dict(moved.places), feature.form
    axes = [("", n, signs.get(k, 0)) for k, n in enumerate(form.shape)]
    for place, sign in signs.items():
        if isinstance(place, str):
            axes.append((place, lowered.sizes[place], sign))
            form = form.dim_to_axis(place, lowered.sizes[place])
    known = {d for name, fs in lowered.slots.items() if name != "residual" for f in fs.values() for d in f.dims} | set(lowered.weight.dims)
    rows = tuple((d, float(lowered.sizes[d])) for d in form.dims if d not in known)
    wide = bool(axes)
    second = SecondMoment(form.flattened() if len(axes) > 1 else form, wide, None, rows)
    sizes = tuple((d, n) for d, n in lowered.sizes.items())
    precision = {k: ready(f, layout) for k, f in lowered.slots["precision"].items()}
    return ReadyMoved(
        ready_second(second, layout), precision, lowered.weight, tuple(axes), moved.degree, sizes, lowered.factor.energy.__module__
    )


# ------------------------------------------------------------------ members that are mixed, side by side
def _mixed_axis(block: Block, roles: Roles) -> int | None:
    """The batch axis of a block along which its members are mixed."""
    found = [block.batch_axes[n].index(a) for n, axes in roles if n in block.variables for a, _ in axes if a in block.batch_axes[n]]
    return found[0] if found else None


def _joined(block: Block, axis: int | None) -> Block:
    """The block of one variable with the members along a batch axis side by side in one member: a residual may ask how they meet."""
    if axis is None:
        return block
    (name,) = block.variables
    own, places = block.batch_axes[name], block.positions[name]
    at = own[axis] - sum(a < own[axis] for a in own)  # of the batch axis among the inner ones
    steps = np.arange(block.batch[axis]).reshape([-1 if k == at else 1 for k in range(places.ndim + 1)])

    def without(values: tuple) -> tuple:
        return values[:axis] + values[axis + 1 :]

    return replace(
        block,
        batch=without(block.batch),
        batch_axes={name: without(own)},
        size=block.batch[axis] * block.size,
        tied=without(block.tied),
        positions={name: steps * block.size + np.expand_dims(places, at)},
    )


def _joined_moments(moments: Mapping[str, Any], axis: int | None) -> Mapping[str, Any]:
    """The moments of a block with its members side by side: independent of each other."""
    if axis is None:
        return moments
    mean, cov = jnp.moveaxis(moments["mean"], axis, -2), jnp.moveaxis(moments["cov"], axis, -3)
    members, size = mean.shape[-2:]
    apart = jnp.eye(members, dtype=cov.dtype)[:, None, :, None] * cov[..., :, :, None, :]
    width = members * size
    return {"mean": mean.reshape((*mean.shape[:-2], width)), "cov": apart.reshape((*cov.shape[:-3], width, width))}


# ------------------------------------------------------------------ the bound as a function of the matrix
def _both(matrix: Any) -> dict[int, Any]:
    """What turns an axis of each sign."""
    return {1: matrix, -1: jnp.linalg.inv(matrix).T}


def _moved_energy(one: ReadyMoved, average: Plated, maps: Mapping[int, Any], precision: SimpleNamespace) -> Any:
    """The expected log-density of a factor whose residual is turned."""
    count = len(one.places)
    plates = "".join(chr(65 + k) for k in range(len(average.dims)))
    left, right, out, back = (letters[:count] for letters in ("abcde", "fghij", "klmno", "pqrst"))
    data = average.data.reshape(average.data.shape[: len(average.dims)] + 2 * tuple(n for _, n, _ in one.places))
    operands, spec, diagonal, first, last = [data], [plates + left + right], [], "", ""
    for k, (plate, _, sign) in enumerate(one.places):
        if plate:
            diagonal.append(plate)
        else:
            first, last = first + (out[k] if sign else left[k]), last + (back[k] if sign else right[k])
        if sign:
            operands += [maps[sign], maps[sign]]
            spec += [out[k] + left[k], (out[k] if plate else back[k]) + right[k]]
    ends = "".join(out[k] for k, (plate, _, _) in enumerate(one.places) if plate)
    turned = jnp.einsum(",".join(spec) + "->" + plates + ends + first + last, *operands)
    if one.degree:
        turned = turned * maps[1][0, 0] ** (2 * one.degree)
    second = Plated((*average.dims, *diagonal), turned)
    residual = SimpleNamespace(outer=second) if first else SimpleNamespace(square=second)
    table = factor(one.implementation).energy(residual=residual, precision=precision) * one.weight
    return table.data.sum() * float(np.prod([n for d, n in one.sizes if d not in table.dims], initial=1.0))


def _log_volume(expansion: ReadyExpansion, matrix: Any, state: State, layout: Layout) -> Any:
    """What the matrix adds to the entropies of the blocks."""
    logdet, total = jnp.linalg.slogdet(matrix)[1], jnp.zeros((), matrix.dtype)
    for name, axes in expansion.roles:
        variable, block = layout.latents[name], layout.block_of(name)
        numbers = int(np.prod(variable.plates + variable.event, dtype=int))
        for axis, sign in axes:
            if axis not in block.batch_axes[name]:
                total = total + sign * (numbers // expansion.size) * logdet
                continue
            mixed = _mixed(state["moments"][block.name]["cov"], block.batch_axes[name].index(axis), _both(matrix)[sign] ** 2)
            total = total + 0.5 * jnp.linalg.slogdet(mixed)[1].sum()
    return total


def _mixed(array: Any, axis: int, matrix: Any) -> Any:
    """Members of a batch mixed along an axis."""
    return jnp.moveaxis(jnp.tensordot(matrix, array, axes=(1, axis)), 0, axis)


# ------------------------------------------------------------------ a state after its best matrix
def expanded(expansion: ReadyExpansion, state: State, layout: Layout, dtype: Any) -> State:
    """The state turned by the matrix that raises the bound, or as it was where none does."""
    axes = {n: _mixed_axis(b, expansion.roles) for n, b in layout.blocks.items()}
    joint = Layout(layout.latents, {n: _joined(b, axes[n]) for n, b in layout.blocks.items()})
    side_by_side = {n: _joined_moments(m, axes.get(n)) for n, m in state["moments"].items()}
    averages = [second_value(m.second, side_by_side, joint) for m in expansion.moved]
    precisions = [slots_value({"precision": m.precision}, state["moments"], layout)["precision"] for m in expansion.moved]

    def matrix_at(point: Any) -> Any:
        return jnp.eye(expansion.size, dtype=dtype) + point.reshape(expansion.size, expansion.size)

    def worth(point: Any) -> Any:
        matrix = matrix_at(point)
        maps, total = _both(matrix), _log_volume(expansion, matrix, state, layout)
        for moved, average, precision in zip(expansion.moved, averages, precisions, strict=True):
            total = total + _moved_energy(moved, average, maps, precision)
        return total

    numbers = sum(np.prod(layout.latents[n].plates + layout.latents[n].event) for n, _ in expansion.roles)
    start = jnp.zeros(expansion.size**2, dtype)
    point, rise = ascended(worth, start, evaluations=EVALUATIONS, least=LEAST, curvature=float(numbers / expansion.size))
    new = _turned(expansion, matrix_at(point), state, layout)
    return jax.tree.map(lambda n, o: jnp.where(rise > 0, n, o), new, state)


def _turned(expansion: ReadyExpansion, matrix: Any, state: State, layout: Layout) -> State:
    changed, maps = {}, _both(matrix)
    for block in layout.blocks.values():
        roles = {n: axes for n, axes in expansion.roles if n in block.variables}
        if roles:
            inner, across = _block_maps(block, roles, maps, layout)
            former = {key: state[key][block.name] for key in ("moments", "natural", "entropy")}
            changed[block.name] = kind_of(block).mapped(block, former, inner, across)
    return {
        key: {name: changed[name][key] if name in changed else value for name, value in entries.items()}
        if key in ("moments", "natural", "entropy")
        else entries
        for key, entries in state.items()
    }


def _block_maps(
    block: Block, roles: Mapping[str, Sequence[tuple[int, int]]], maps: Mapping[int, Any], layout: Layout
) -> tuple[Any, tuple[int, Any] | None]:
    """The matrix that turns the numbers of each member of a block, and the batch axis along which members are mixed, if any."""
    size = block.chain.width if block.chain is not None else block.size
    inner, across = jnp.eye(size, dtype=maps[1].dtype), None
    for name, axes in roles.items():
        signs, variable, places = dict(axes), layout.latents[name], block.positions[name]
        taken = (*block.batch_axes[name], *((block.chain.times[name],) if block.chain is not None else ()))
        own = jnp.ones((1, 1), maps[1].dtype)
        if WHOLE in signs:
            own = maps[signs[WHOLE]] * jnp.eye(places.size, dtype=maps[1].dtype)
        else:
            for axis, length in enumerate(variable.plates + variable.event):
                if axis not in taken:
                    own = jnp.kron(own, maps[signs[axis]] if axis in signs else jnp.eye(length, dtype=own.dtype))
                elif axis in signs:
                    across = (block.batch_axes[name].index(axis), maps[signs[axis]])
        flat = places.ravel()
        inner = inner.at[flat[:, None], flat[None, :]].set(own)
    return inner, across
