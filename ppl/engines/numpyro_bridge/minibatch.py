"""Minibatches: at each step some members of a large plate stand for all of them.

With B of N members everything along the plate counts N / B times, so that on average over the choice it is the whole bound and its
gradient (Hoffman et al. 2013). Members have to be apart given what is common, and what is latent of each told by a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.engines.numpyro_bridge.guide import Guide
from ppl.engines.numpyro_bridge.joint import LogJoint, log_joint_of
from ppl.graph.bound import BoundModel
from ppl.graph.references import statement_expressions, uses
from ppl.semantics import typed
from ppl.semantics.walking import inside, variables_in
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.text import Span

LARGE = 1000  # members, from which on batches are taken without being asked
DEFAULT = 256


@dataclass(frozen=True)
class Minibatch:
    """`joint` and `guide` are those of `size` members; `data` is what runs along the plate, with the axis that does."""

    key: str
    whole: int
    size: int
    joint: LogJoint
    guide: Guide = field(repr=False)
    data: Mapping[str, tuple[int, np.ndarray]] = field(repr=False)
    inputs: tuple[tuple[int, Any], ...] = field(repr=False)  # of each encoder: its plate's axis, and what it sees of all members

    def rows(self, rng: np.random.Generator, steps: int) -> np.ndarray:
        """Members for each step: all of them in a random order, and again."""
        rounds = -(-steps * self.size // self.whole)
        order = np.concatenate([rng.permutation(self.whole) for _ in range(rounds)])
        return order[: steps * self.size].reshape(steps, self.size)

    def at(self, rows: Any) -> tuple[LogJoint, Guide]:
        """The log joint and the guide of these members."""
        base = {**self.joint.base} | {n: jnp.take(jnp.asarray(v), rows, axis=axis) for n, (axis, v) in self.data.items()}
        seen = [
            replace(one, inputs=replace(whole, data=jnp.take(jnp.asarray(whole.data), rows, axis=axis)))
            for one, (axis, whole) in zip(self.guide.amortised, self.inputs, strict=True)
        ]
        return replace(self.joint, base=base), replace(self.guide, amortised=tuple(seen))


def minibatch_of(joint: LogJoint, guide: Guide, asked: int, span: Span | None) -> Minibatch | None:
    """Batches of the largest plate; None where it is small, or was not asked for and cannot be had. Raises AimError where it was."""
    if not asked and not (joint.weights or guide.amortised):
        return None
    keys = {a.set.key: joint.bound.sizes[a.set.key] for n in joint.bound.observed for a in _plates(n, joint.bound) if a.set is not None}
    key = max(keys, key=lambda k: keys[k], default="")
    size = asked or (DEFAULT if keys.get(key, 0) >= LARGE else 0)
    if not size or not keys or size >= keys[key]:
        return None
    why = _in_the_way(joint, guide, key)
    if why:
        if asked:
            raise AimError([Diagnostic("AIM0510", f"there are no batches of `{key}`: {why}", span, "leave out `batch`")])
        return None
    return _minibatch(joint, guide, key, keys[key], size)


def _plates(name: str, bound: BoundModel) -> tuple[typed.Axis, ...]:
    variable = bound.model.variables[name]
    return variable.type.axes[: variable.plates]


def _along(joint: LogJoint, key: str) -> dict[str, int]:
    """The variables along a set, with the axis that is it."""
    variables = joint.bound.model.variables
    return {n: k for n, v in variables.items() for k, a in enumerate(v.type.axes) if a.set is not None and a.set.key == key}


def _in_the_way(joint: LogJoint, guide: Guide, key: str) -> str:
    """Why members of a plate cannot be taken apart from each other; empty where they can."""
    structure, model, along = joint.structure, joint.bound.model, _along(joint, key)
    told = {a.name for a in guide.amortised}
    if joint.beside is not None:
        return "the density holds more than the statements of the model"
    if structure.endless:
        return f"the counts of `{next(iter(structure.endless))}` have no end"
    for name in along:
        axes = [a for a in model.variables[name].type.axes if a.set is not None and a.set.key == key]
        if len(axes) > 1 or axes[0].extra:
            return f"`{name}` is of several members at once"
        if name in structure.latent and name not in told and name not in structure.enumerated:
            return f"no network tells the posterior of `{name}`"
        if name in joint.bound.observed and not joint.bound.observed[name].all():
            return f"`{name}` is observed in part"
    if any(n not in along for n in structure.enumerated):
        return f"`{next(n for n in structure.enumerated if n not in along)}` is summed over for all members together"
    for statement in (*model.statements, *model.potentials):
        mine = {loop.name for loop in statement.loops if loop.set.key == key}
        expressions = (statement.value,) if isinstance(statement, typed.Potential) else statement_expressions(statement)
        if any(s.set.key == key for e in expressions for s in inside(e, typed.SizeOf)):
            return f"the size of `{key}` is used as a number"
        if any(loop.set.key == key for e in expressions for c in inside(e, typed.Comprehension) for loop in c.loops):
            return f"a sum runs over all of `{key}`"
        if any(loop.set.key == key and (loop.low or loop.high) for loop in statement.loops):
            return f"a statement is of some members of `{key}` alone"
        read = [use for e in expressions for use in uses(e) if use[0] in along]
        for name, indices in read:
            index = indices[along[name]] if len(indices) > along[name] else None
            if not isinstance(index, typed.IndexReference) or index.name not in mine:
                return f"`{name}` is read at other members"
        if mine and not read and not isinstance(statement, typed.Potential) and statement.variable not in along:
            return f"`{statement.variable}` has no axis along `{key}`"
    if variables_in(tuple(n.prior for n in model.networks.values())) & along.keys():
        return "a prior of weights depends on members"
    return ""


def _minibatch(joint: LogJoint, guide: Guide, key: str, whole: int, size: int) -> Minibatch:
    bound, along = joint.bound, _along(joint, key)
    data = {n: (axis, bound.values[n]) for n, axis in along.items() if n in bound.values}

    def cut(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n: a.take(range(size), axis=along[n]) if n in along and a.ndim > along[n] else a for n, a in arrays.items()}

    small = replace(bound, sizes={**bound.sizes, key: size}, values=cut(bound.values), observed=cut(bound.observed))
    part = replace(log_joint_of(small), along=key, times=whole / size)
    starts, inputs, amortised = part.starts, [], []
    for one in guide.amortised:
        site = next(s for s in part.sites if s.name == one.name)
        places = np.arange(starts[one.name], starts[one.name] + site.size)
        axis = along[one.name]
        inputs.append((axis, one.inputs))
        few = replace(one.inputs, data=one.inputs.data.take(range(size), axis=axis))
        amortised.append(replace(one, inputs=few, places=places, sizes=small.sizes, times=whole / size))
    taken = np.concatenate([np.zeros(0, int), *(a.places for a in amortised)])
    common = np.setdiff1d(np.arange(part.size), taken)
    before = np.setdiff1d(np.arange(joint.size), np.concatenate([np.zeros(0, int), *(a.places for a in guide.amortised)]))
    now = dict(zip(before.tolist(), common.tolist(), strict=True))
    centre = np.zeros(part.size)
    centre[common] = guide.centre[before]
    free, points = (np.array([now[k] for k in old.tolist()], int) for old in (guide.free, guide.points))
    small_guide = replace(guide, size=part.size, free=free, points=points, centre=centre, amortised=tuple(amortised))
    return Minibatch(key, whole, size, part, small_guide, data, tuple(inputs))
