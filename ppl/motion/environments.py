"""Action in an environment of the user's, by the interface of Gymnasium: `reset`, `step`, and copies to be tried out.

What is sensed is motion, as in a world: here the derivatives of the polynomial through the sample and those that follow in a copy of the
environment (`copy.deepcopy`) in which the actions are held. How motion answers an action is told by copies with a little more and a little
less of it; they have the same noise, so that their difference holds none. Motion and actions, and in the scheme `flow` the belief, are one
linear flow, the slope of the free energy its pull, of which one step is taken for each bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import Error as CopyError
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import factorial
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from scipy.linalg import block_diag

from ppl.graph.bound import BoundModel
from ppl.motion.acting import perception_of, sensed_plan, taken
from ppl.motion.block import MotionBlock
from ppl.motion.plan import MotionPlan
from ppl.motion.starts import start_of
from ppl.numerics.compilation import lightly
from ppl.source.diagnostics import AimError, Diagnostic

CHANGE = 1e-3  # of an action that is tried out, relative to it where it is above 1


def act_in(plan: MotionPlan, environment: Any, seed: int) -> tuple[MotionPlan, dict[str, np.ndarray]]:
    """The plan with what was sensed for data, and by name the actions and samples of all bins, fewer where the environment ended."""
    _refuse(plan)
    block = plan.block
    loop = Loop(block, environment)
    motions, actions, believed = loop.run(seed)
    numb = [n for n in block.motion.actions if not loop.felt[n].any()]
    if numb:
        text = f"no sensor felt the action `{numb[0]}` in {len(motions)} bins, up to {max(loop.count - 1, 0)} bins after it"
        hint = (
            "raise `order_observed`" if block.options.smoothness else "give the block a smoothness above 0, so that there are derivatives"
        )
        raise AimError([Diagnostic("AIM0713", text, block.bound.model.variables[numb[0]].span, hint)])
    if len(motions) < block.bins:
        bound = _shorter(plan.bound, block.motion.loop.set.key, len(motions))
        plan = replace(plan, bound=bound, block=replace(block, bound=bound, known=_cut(block.known, plan.bound, bound)))
    sensed = {n: np.stack([m[n] for m in motions])[None] for n in motions[0]}
    return sensed_plan(plan, sensed, {n: np.stack([a[n] for a in actions])[None] for n in actions[0]}, np.stack(believed)[None])


def _refuse(plan: MotionPlan) -> None:
    block, wrong = plan.block, []
    if block.motion.plates:
        wrong.append(("one environment is one series, and plates stand around the block", "take the plates away"))
    if any(line.name in plan.bound.observed for line in block.lines):
        wrong.append(("samples are given, and what is sensed comes of the environment", "give none of them"))
    if wrong:
        raise AimError([Diagnostic("AIM0714", text, block.motion.span, hint) for text, hint in wrong])


def _shorter(bound: BoundModel, key: str, bins: int) -> BoundModel:
    """The model with the first bins of all that has them."""
    sizes = {**bound.sizes, key: bins}
    values = {}
    for name, value in bound.values.items():
        axes = [k for k, axis in enumerate(bound.model.variables[name].type.axes) if axis.set is not None and axis.set.key == key]
        values[name] = value[(*[slice(None)] * axes[0], slice(bins))] if axes else value
    return replace(bound, sizes=sizes, values=values)


def _cut(known: Mapping[str, np.ndarray], before: BoundModel, after: BoundModel) -> dict[str, np.ndarray]:
    """What is known, at the bins that there are."""
    shapes = {n: after.shape(after.model.variables[n]) for n in known if n in before.model.variables}
    return {n: v[tuple(slice(size) for size in shapes[n])] if n in shapes and np.ndim(v) else v for n, v in known.items()}


@dataclass(frozen=True, eq=False)
class Loop:
    """The model in one series of an environment. `felt` says how strongly each action was felt."""

    block: MotionBlock
    environment: Any
    felt: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def sensors(self) -> dict[str, tuple[int, ...]]:
        return {line.name: line.shape for line in self.block.lines if line.role == "sensor"}

    @cached_property
    def actions(self) -> dict[str, tuple[int, ...]]:
        """In the order of the file."""
        return {n: self.block.shape(n) for n in self.block.bound.model.variables if n in self.block.motion.actions}

    @cached_property
    def count(self) -> int:
        """How many derivatives of a sensor are sensed, the 0th among them."""
        return self.block.options.order_observed + 1 if self.block.options.smoothness else 1

    def run(self, seed: int) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]], list[np.ndarray]]:
        """The motion that was sensed at each bin, (count, size) in bins, the actions there, and where the belief stood before."""
        observed, _ = self.environment.reset(seed=seed)
        sample, motions, acted, believed, over = self._sample(observed), [], [], [], False
        action = {n: np.zeros(shape) for n, shape in self.actions.items()}
        guess = start_of(self.block, self.block.known, self.block.members[0]).guess
        self.felt.update({n: np.zeros(shape) for n, shape in self.actions.items()})
        for time in range(self.block.bins):
            motion = self._derivatives(self._ahead(action, sample))
            motions.append(dict(zip(self.sensors, np.split(motion, self._ends, axis=1), strict=True)))
            acted.append(action)
            believed.append(np.asarray(guess))
            if over or time + 1 == self.block.bins:
                break
            change, guess = self.react(motions[-1], self._answers(sample, action), guess, self._beside(time))
            action = {n: np.array(a + np.asarray(change[n])) for n, a in action.items()}
            observed, _, terminated, truncated, _ = self.environment.step(self._to_environment(action))
            sample, over = self._sample(observed), bool(terminated or truncated)
        return motions, acted, believed

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([int(np.prod(s)) for s in self.sensors.values()])[:-1]

    # ------------------------------------------------------------ what is sensed
    def _sample(self, observed: Any) -> dict[str, np.ndarray]:
        """Numbers by sensor, from a mapping or a vector in the order of the file."""
        given = dict(observed) if isinstance(observed, Mapping) else self._in_order(observed, self.sensors)
        found = {}
        for name, shape in self.sensors.items():
            value = np.asarray(given.get(name, np.nan), float)
            if value.size != int(np.prod(shape)) or not np.isfinite(value).all():
                told = "nothing" if name not in given else f"the shape {list(value.shape)}" if np.isfinite(value).all() else str(value)
                text = f"the environment gives {told} for the sensor `{name}`, which is {int(np.prod(shape))} finite numbers"
                raise AimError([Diagnostic("AIM0714", text, self.block.motion.span, "give a mapping by the names of the sensors")])
            found[name] = value.reshape(-1)
        return found

    def _in_order(self, observed: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        vector, sizes = np.asarray(observed, float).reshape(-1), [int(np.prod(s)) for s in shapes.values()]
        if len(vector) != sum(sizes):
            text = f"the environment's observation has {len(vector)} numbers; the sensors of this model have {sum(sizes)}"
            raise AimError([Diagnostic("AIM0714", text, self.block.motion.span, f"give a mapping: {', '.join(shapes)}")])
        return dict(zip(shapes, np.split(vector, np.cumsum(sizes)[:-1]), strict=True))

    def _derivatives(self, ahead: np.ndarray) -> np.ndarray:
        """Of the polynomial through samples from now on, in bins; what comes after the first axis stays as it is."""
        expansion = np.stack([np.arange(float(self.count)) ** j / factorial(j) for j in range(self.count)], axis=-1)
        return np.linalg.solve(expansion, ahead.reshape(self.count, -1)).reshape(ahead.shape)

    # ------------------------------------------------------------ how it answers actions
    def _answers(self, now: Mapping[str, np.ndarray], action: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By action, the slopes of the motion from now on in each of its numbers, which are held: (count, numbers sensed, numbers done)."""
        found = {}
        for name, shape in self.actions.items():
            columns = []
            for place in range(int(np.prod(shape))):
                ways = []
                for sign in (1.0, -1.0):
                    tried = {n: a.copy() for n, a in action.items()}
                    size = CHANGE * max(1.0, abs(float(action[name].reshape(-1)[place])))
                    tried[name].reshape(-1)[place] += sign * size
                    ways.append((sign * size, self._ahead(tried, now)))
                columns.append((ways[0][1] - ways[1][1]) / (ways[0][0] - ways[1][0]))
            found[name] = self._derivatives(np.stack(columns, axis=-1))
            self.felt[name] = np.maximum(self.felt[name], np.abs(found[name]).max(axis=(0, 1), initial=0.0).reshape(shape))
        return found

    def _ahead(self, action: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]) -> np.ndarray:
        """(count, numbers): the samples from now on, in a copy of the environment in which the action is held."""
        try:
            copied = deepcopy(self.environment)
        except (TypeError, NotImplementedError, CopyError) as problem:
            text = f"the environment cannot be copied, to try actions out: {problem}"
            hint = "give it a method __deepcopy__ that returns a model of itself"
            raise AimError([Diagnostic("AIM0714", text, self.block.motion.span, hint)]) from None
        rows = [now, *(self._sample(copied.step(self._to_environment(action))[0]) for _ in range(1, self.count))]
        return np.stack([np.concatenate(list(row.values())) for row in rows])

    def _to_environment(self, action: Mapping[str, np.ndarray]) -> Any:
        """By name where the environment's space of actions is a mapping, else as one vector in the order of the file."""
        space = getattr(self.environment, "action_space", None)
        if isinstance(getattr(space, "spaces", None), Mapping):
            return dict(action)
        vector = np.concatenate([action[n].reshape(-1) for n in self.actions])
        return vector.astype(getattr(space, "dtype", None) or float)

    # ------------------------------------------------------------ the reflex
    def _beside(self, time: int) -> dict[str, Any]:
        return {"believed": {k: v[time] for k, v in self.block.moments.inputs.items()}, "time": float(time)}

    @cached_property
    def react(self) -> Any:
        """The change of each action over a bin, and where the next belief is looked for."""
        perception = perception_of(self.block, self.block.members[0])

        def reaction(motion: Any, answers: Any, guess: Any, bin: Any) -> tuple[Any, Any]:
            u = perception.believed(motion, guess, bin)
            answer, named = self._flat(answers)
            sensed, back = jax.flatten_util.ravel_pytree(motion)
            flat, whole = jax.flatten_util.ravel_pytree((sensed, jnp.zeros(answer.shape[1]), perception.moving(u, bin), bin["time"]))

            def flow(point: Any) -> Any:
                """Motion goes on as its derivatives say, and as actions change it; actions follow the slope."""
                sensed, _, moving, time = whole(point)
                slope, onward = perception.felt(moving, back(sensed), time, u, bin)
                pull = -answer.T @ jax.flatten_util.ravel_pytree(slope)[0]
                return jax.flatten_util.ravel_pytree((self.shift @ sensed + answer @ pull, pull, onward, jnp.ones(())))[0]

            _, change, moved, _ = whole(flat + taken(flow, flat))
            return named(change), perception.onward(u, moved)

        return jax.jit(reaction, compiler_options=lightly(1))

    def _flat(self, answers: Any) -> tuple[Any, Any]:
        """The answers as a matrix, motion by action, as the motion is flattened; and actions from a vector."""
        places = [0, *self._ends, None]
        columns = []
        for name in self.actions:
            by_sensor = {s: answers[name][:, places[k] : places[k + 1]] for k, s in enumerate(self.sensors)}
            columns.append(jnp.concatenate([by_sensor[s].reshape(-1, by_sensor[s].shape[-1]) for s in sorted(by_sensor)]))
        ends = np.cumsum([int(np.prod(s)) for s in self.actions.values()])[:-1]
        shapes = self.actions
        return jnp.concatenate(columns, axis=1), lambda v: {
            n: part.reshape(shapes[n]) for n, part in zip(shapes, jnp.split(v, ends), strict=True)
        }

    @cached_property
    def shift(self) -> Any:
        """D, of a motion as it is flattened."""
        widths = (int(np.prod(self.sensors[n])) for n in sorted(self.sensors))
        return block_diag(*(np.kron(np.eye(self.count, k=1), np.eye(width)) for width in widths))
