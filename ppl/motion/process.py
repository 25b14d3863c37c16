"""The world of a block: states that follow their equations, driven by actions, inputs and noise; and the motion that sensors get of it.

What is sensed at a moment is a sensor with its derivatives, along the world's own flow with the action held as it is: the chain rule goes
through the world's equations. Noise and inputs have derivatives as well, from their embedding. A statement with `=` has no noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from ppl.graph.bound import BoundModel
from ppl.motion import roughness
from ppl.motion.block import Line, MotionBlock
from ppl.motion.jets import derivatives
from ppl.motion.options import MotionOptions
from ppl.motion.smooth import NUGGET, Smooth
from ppl.motion.starts import start_of

Driven = dict[str, dict[str, Any]]
"""`noise` by line and `inputs`, each with its derivatives (in bins) first."""


@dataclass(frozen=True, eq=False)
class Process:
    """`block` holds the world's statements as if they were those of a block that `smooth` follows."""

    block: MotionBlock

    @cached_property
    def scheme(self) -> Smooth:
        return Smooth(self.block, False)

    @property
    def actions(self) -> tuple[str, ...]:
        return self.block.motion.actions

    @property
    def count(self) -> int:
        """How many derivatives of a sensor are sensed, the 0th among them."""
        return self.block.options.order_observed + 1 if self.block.options.smoothness else 1

    @property
    def account(self) -> list[str]:
        """A line for each statement, as `ppl explain` prints it."""
        noise = {line.name: "without noise" if line.certain else "with noise of its own" for line in self.block.lines}
        return [f"    {line.name}: {'sensor' if line.role == 'sensor' else 'moves'}, {noise[line.name]}" for line in self.block.lines]

    # ------------------------------------------------------------ where it begins, and what drives it
    def start(self, member: Any, white: Any) -> dict[str, Any]:
        """The states at the first bin, (order, size), those below the highest derivative; velocities are 0."""
        start, found, at = start_of(self.block, self.block.known, member), {}, 0
        for x in self.block.unknowns:
            order = self.scheme.orders.get(x.name, 0)
            if order:
                found[x.name] = jnp.zeros((order, x.size)).at[0].set(start.draw(x, white[at : at + x.size]))
                at += x.size
        return found

    def noise(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """(series, T, derivatives, size) of each line, in bins: a series with the block's roughness, embedded."""
        found = {}
        for line in self.block.lines:
            white = rng.standard_normal((len(self.block.members), self.block.bins, line.size))
            if line.certain:
                found[line.name] = np.zeros((*white.shape[:2], self.count, line.size))
                continue
            upper = [np.linalg.cholesky(np.linalg.inv(self._precision(line, m))).T for m in self.block.members]
            series = np.linalg.cholesky(self._correlation) @ white @ np.stack(upper)
            found[line.name] = np.stack([self.block.embedding.derivatives(one)[:, : self.count] for one in series])
        return found

    def _precision(self, line: Line, member: Any) -> np.ndarray:
        return np.asarray(self.block.precision(line, self.block.known, member))

    @cached_property
    def _correlation(self) -> np.ndarray:
        bins = np.arange(self.block.bins, dtype=float)
        return roughness.autocorrelation(bins[:, None] - bins, self.block.options.smoothness) + NUGGET * np.eye(len(bins))

    # ------------------------------------------------------------ how it moves
    def motion(self, states: Any, actions: Any, driven: Driven, time: Any, member: Any) -> tuple[Any, dict[str, Any]]:
        """The rates of the states, in units of time, and what is sensed by sensor, (count, size), in bins."""
        dt, outside = self.block.options.dt, {**self.block.known, **actions}
        beside = [self._beside(driven, time, k) for k in range(self.count)]
        flat, back = jax.flatten_util.ravel_pytree((states, beside[0]))
        equations = [line for line in self.block.lines if line.role == "equation"]

        def at(point: Any) -> dict[str, Any]:
            there, (noises, inputs, now) = back(point)
            by_variable = {line.statement.variable: noises[line.name] for line in self.scheme.driven}
            return {line.name: mean for line, mean in self.scheme.means(there, by_variable, inputs, now, member, outside)}

        def highest(point: Any) -> Any:
            means, (_, (noises, _, _)) = at(point), back(point)
            return jnp.concatenate([jnp.zeros(0), *(means[line.name] + noises[line.name] for line in equations)])

        rows, curve = {name: list(values) for name, values in states.items()}, [flat]
        ends = np.cumsum([0, *(line.size for line in equations)])
        for level in range(max(self.count - 1, 1)):
            top = derivatives(highest, jnp.stack(curve))[level]
            for line, (a, b) in zip(equations, pairwise(ends), strict=True):
                rows[line.statement.variable].append(top[a:b])
            if level + 1 < self.count:
                ahead = {n: jnp.stack(r[level + 1 : level + 1 + self.scheme.orders[n]]) for n, r in rows.items()}
                curve.append(jax.flatten_util.ravel_pytree((ahead, beside[level + 1]))[0])
        rates = {n: jnp.stack(r[1 : 1 + self.scheme.orders[n]]) for n, r in rows.items()}
        means = derivatives(lambda p: jnp.concatenate([at(p)[line.name] for line in self.scheme.sensors]), jnp.stack(curve))
        means = means * dt ** np.arange(self.count)[:, None]
        places = pairwise(np.cumsum([0, *(line.size for line in self.scheme.sensors)]))
        sensed = {line.name: means[:, a:b] + driven["noise"][line.name] for line, (a, b) in zip(self.scheme.sensors, places, strict=True)}
        return rates, sensed

    def _beside(self, driven: Driven, time: Any, k: int) -> Any:
        """The k-th derivatives, in units of time, of all that drives the world."""
        scale = self.block.options.dt**k
        noises = {line.name: driven["noise"][line.name][k] / scale for line in self.scheme.driven}
        inputs = {n: (rows[k] if k < len(rows) else jnp.zeros_like(rows[0])) / scale for n, rows in driven["inputs"].items()}
        now = (jnp.asarray(time, float), jnp.ones(()) / scale, jnp.zeros(()))[min(k, 2)]
        return noises, inputs, now


def process_of(bound: BoundModel, options: MotionOptions, known: Mapping[str, Any]) -> Process:
    """The process that the `world` of a block describes."""
    motion = bound.model.motion
    assert motion is not None and motion.world is not None
    return Process(MotionBlock(bound, replace(motion, part=motion.world.part, scheme="smooth"), options, known))


def with_world(bound: BoundModel) -> BoundModel:
    """The states of the world beside the variables of the model."""
    model = bound.model
    assert model.motion is not None
    return replace(bound, model=replace(model, variables={**model.variables, **model.motion.happening}))
