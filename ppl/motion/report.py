"""Beliefs of what a block holds: states with their derivatives, what is computed of them, and sensors where samples are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.arrays.streams import stream
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.plan import deterministic_definitions
from ppl.engines.draws import drawn_variable
from ppl.engines.members import DRAW
from ppl.motion.block import Moment, MotionBlock, Outside, Unknown
from ppl.motion.plan import MotionPlan
from ppl.results.belief import Belief

DRAWS = 1000


@dataclass(frozen=True)
class MotionReport:
    """`mean` and `covariance` are of the unknowns at each bin, (series, T, width), in bins; `outside` holds what stands outside."""

    plan: MotionPlan
    mean: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)
    outside: Outside = field(repr=False)
    seed: int = 0

    @property
    def block(self) -> MotionBlock:
        return self.plan.block

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the model, derivatives after their states."""
        found: list[str] = []
        for name in self.plan.bound.model.variables:
            if name in self.derivatives:
                found += [n for n in self.derivatives_of(name)]
            elif name in self.block.definitions or name in {s.variable for s in self.plan.after}:
                found.append(name)
        return tuple(found)

    @cached_property
    def derivatives(self) -> Mapping[str, Unknown]:
        return {x.name: x for x in self.block.unknowns}

    def derivatives_of(self, name: str) -> tuple[str, ...]:
        return tuple(name + "'" * k for k in range(self.derivatives[name].count))

    # ------------------------------------------------------------ beliefs
    def believe(self, name: str) -> Belief:
        state = name.rstrip("'")
        if state in self.derivatives:
            return self._state(self.derivatives[state], len(name) - len(state))
        if name in self.block.definitions:
            return self._computed(name)
        return Belief(name, "Draws", {}, draws=self.joint_draws(DRAWS, self.seed)[name])

    def _state(self, x: Unknown, order: int) -> Belief:
        place = slice(x.start + order * x.size, x.start + (order + 1) * x.size)
        scale = self.block.options.dt**order
        return self._normal(x.name + "'" * order, self.mean[..., place] / scale, self.covariance[..., place, place] / scale**2)

    def _normal(self, name: str, mean: np.ndarray, covariance: np.ndarray) -> Belief:
        """Over the plates around the block, its bins, and those inside it."""
        variable = self.plan.bound.model.variables[name.rstrip("'")]
        shape = self.block.shape(variable.name)
        plates = variable.plates - len(self.block.series) - 1
        lead = (*self.block.series, self.block.bins)
        mean = mean.reshape(*lead, *shape)
        if plates == len(shape):
            variance = np.diagonal(covariance, axis1=-2, axis2=-1).reshape(mean.shape)
            return Belief(name, "Normal", {"mean": mean, "sd": np.sqrt(np.maximum(variance, 0.0))})
        width = int(np.prod(shape[plates:]))
        count = int(np.prod(shape[:plates], dtype=int))
        blocks = covariance.reshape(*covariance.shape[:2], count, width, count, width)
        own = np.stack([blocks[:, :, k, :, k, :] for k in range(count)], axis=2)
        return Belief(name, "MvNormal", {"mean": mean, "cov": own.reshape(*lead, *shape[:plates], width, width)})

    def _computed(self, name: str) -> Belief:
        """A definition of the block, linear about the mean."""
        mean, covariance = self._through(lambda moment: lambda u: self._definition(name, u, moment))
        return self._normal(name, mean, covariance)

    def _definition(self, name: str, u: Any, moment: Moment) -> Any:
        block, statement = self.block, self.block.definitions[name]
        assert statement.value is not None
        values = block.values(block.curve(u, moment, 1)[0], moment, self.outside)
        return block.number(statement, statement.value, values, block.shape(name)).reshape(-1)

    def _through(self, function: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance, bin by bin, of a function of the unknowns."""
        moments = self.block.moments

        def at(u: Any, covariance: Any, data: Any, inputs: Any, time: Any, member: Any) -> tuple[Any, Any]:
            value = function(Moment(data, inputs, time, member))
            slope = jax.jacfwd(value)(u)
            return value(u), slope @ covariance @ slope.T

        bins = jax.vmap(at, in_axes=(0, 0, 0, 0, 0, None))
        series = jax.jit(jax.vmap(bins, in_axes=(0, 0, 0, None, None, 0)))
        arrays = (jnp.asarray(self.mean), jnp.asarray(self.covariance), moments.data, moments.inputs, moments.time, moments.member)
        return tuple(np.asarray(a) for a in series(*arrays))  # type: ignore[return-value]

    # ------------------------------------------------------------ draws
    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of everything; derivatives at one bin are joint, bins are apart."""
        rng = stream(seed, "motion")
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
        u = self.mean + np.einsum("stij,nstj->nsti", root, rng.standard_normal((count, *self.mean.shape)))
        lead = (*self.block.series, self.block.bins)
        found: dict[str, np.ndarray] = {}
        for x in self.block.unknowns:
            for k, one in enumerate(np.moveaxis(x.of(u), -2, 0)):
                found[x.name + "'" * k] = (one / self.block.options.dt**k).reshape(count, *lead, *x.shape)
        for name in self.block.definitions:
            found[name] = self._drawn_definition(name, u).reshape(count, *lead, *self.block.shape(name))
        return found | self._after(found, count)

    def _drawn_definition(self, name: str, u: np.ndarray) -> np.ndarray:
        moments = self.block.moments

        def at(u: Any, data: Any, inputs: Any, time: Any, member: Any) -> Any:
            return self._definition(name, u, Moment(data, inputs, time, member))

        bins = jax.vmap(at, in_axes=(0, 0, 0, 0, None))
        series = jax.vmap(bins, in_axes=(0, 0, None, None, 0))
        draws = jax.jit(jax.vmap(series, in_axes=(0, None, None, None, None)))
        return np.asarray(draws(jnp.asarray(u), moments.data, moments.inputs, moments.time, moments.member))

    def _after(self, drawn: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
        """What is defined of the block's variables below it."""
        if not self.plan.after:
            return {}
        evaluator = LatentEvaluator(self.plan.bound, {}, deterministic_definitions(self.plan.bound.model))
        evaluator.values = dict(self.plan.bound.values) | {n: Plated((DRAW,), d) for n, d in drawn.items()}
        return {n: drawn_variable(n, evaluator, count) for n in dict.fromkeys(s.variable for s in self.plan.after)}
