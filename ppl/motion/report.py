"""Beliefs of what a block holds: states with their derivatives, what is computed of them, and sensors where samples are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.motion.block import Line, Moment, MotionBlock, Outside, Unknown
from ppl.motion.learnt import Learnt, root_of, spread
from ppl.motion.linearised import Linearised
from ppl.motion.missing import Missing
from ppl.motion.plan import MotionPlan
from ppl.motion.sensing import defined_at, followed
from ppl.numerics.compilation import lightly
from ppl.results.belief import Belief

DRAWS = 1000


@dataclass(frozen=True)
class MotionReport:
    """`linearised` holds the belief in the unknowns at each bin, and in what is latent outside of the block."""

    plan: MotionPlan
    linearised: Linearised
    seed: int = 0
    acted: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)  # what the world and the actions were, and what was sensed

    @cached_property
    def missing(self) -> Missing:
        return Missing(self.linearised, self.plan.engine == "smooth")

    @property
    def outside(self) -> Outside:
        """What stands outside of the block, at its mean."""
        return self.linearised.outside

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the unknowns whatever the parameters are."""
        learnt, conditional = self.learnt, self.linearised.conditional
        return conditional if learnt.moves is None else conditional + spread(learnt.moves, learnt.covariance)

    @property
    def learnt(self) -> Learnt:
        return self.linearised.learnt

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
            elif name in self._others:
                found.append(name)
        return tuple(found)

    @cached_property
    def _others(self) -> set[str]:
        """What has a belief and is no state."""
        after = {s.variable for s in self.plan.after}
        told = after | set(self.acted) | set(self.missing.lines) | set(self.block.definitions)
        return told | set(self.plan.latent) | set(self.learnt.parameters.defined)

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
        if name in self.acted:
            return Belief(name, "Delta", {"value": self.acted[name]})
        if name in self.block.definitions:
            return self._computed(name)
        if name in self.missing.lines:
            return self._sensed(self.missing.lines[name])
        if name in self.learnt.gammas:
            shape, rate = self.learnt.gammas[name]
            return Belief(name, "Gamma", {"shape": np.asarray(shape), "rate": np.asarray(rate)})
        for told, family, params in self.learnt.parameters.families(self.learnt.at, self.learnt.covariance):
            if told == name and family == "Normal":
                return Belief(name, family, params)
            if told == name:
                mean, spread = np.exp(params["mean"] + params["sd"] ** 2 / 2), np.expm1(params["sd"] ** 2)
                return Belief(name, "Draws", {}, draws=self.joint_draws(DRAWS, self.seed)[name], moments=(mean, mean**2 * spread))
        return Belief(name, "Draws", {}, draws=self.joint_draws(DRAWS, self.seed)[name])

    def _state(self, x: Unknown, order: int) -> Belief:
        place = slice(x.start + order * x.size, x.start + (order + 1) * x.size)
        scale = self.block.options.dt**order
        return self._normal(x.name + "'" * order, self.linearised.mean[..., place] / scale, self.covariance[..., place, place] / scale**2)

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
        return self._normal(name, *self.linearised.through(lambda u, moment, outside: defined_at(self.block, name, u, moment, outside)))

    # ------------------------------------------------------------ sensors
    def _sensed(self, line: Line) -> Belief:
        """Missing samples given those that there are."""
        belief = self._normal(line.name, *self.missing.moments(line))
        values = np.broadcast_to(self.plan.bound.values.get(line.name, np.nan), belief.mean.shape)
        observed = self.plan.bound.observed.get(line.name, np.zeros(belief.plates, bool))
        return replace(belief, observed=np.broadcast_to(observed, belief.plates), values=values)

    # ------------------------------------------------------------ draws
    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of everything; derivatives at one bin are joint, bins are apart given the parameters."""
        rng, learnt = stream(seed, "motion"), self.learnt
        change = rng.standard_normal((count, len(learnt.at))) @ root_of(learnt.covariance).T
        u = self.draws_of_unknowns(rng, count, change)
        gammas = {n: rng.gamma(a, 1 / b, count) for n, (a, b) in learnt.gammas.items()}
        outside = self._drawn_outside(learnt.at + change, gammas)
        lead = (*self.block.series, self.block.bins)
        found = {n: np.asarray(v) for n, v in outside.items() if n in self._others}
        found |= self.by_name(u)
        for name, line in self.missing.lines.items():
            found[name] = self.missing.drawn(line, u, change, rng).reshape(count, *lead, *line.shape)
        found |= {n: np.broadcast_to(v, (count, *v.shape)) for n, v in self.acted.items()}
        for name in self.block.definitions:
            found[name] = self._drawn_definition(name, u, outside).reshape(count, *lead, *self.block.shape(name))
        return found | followed(self.plan.bound, self.plan.after, found, count)

    def by_name(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """Draws of states and their derivatives, in units of time, from draws of the unknowns at any number of bins."""
        lead = (len(u), *self.block.series, u.shape[2])
        return {
            x.name + "'" * k: (one / self.block.options.dt**k).reshape(*lead, *x.shape)
            for x in self.block.unknowns
            for k, one in enumerate(np.moveaxis(x.of(u), -2, 0))
        }

    def draws_of_unknowns(self, rng: np.random.Generator, count: int, change: np.ndarray | None = None) -> np.ndarray:
        """(count, series, T, width), for these deviations of the coordinates from their mean."""
        learnt = self.learnt
        if change is None:
            change = rng.standard_normal((count, len(learnt.at))) @ root_of(learnt.covariance).T
        if learnt.path is not None:
            u = self.linearised.mean + learnt.path.draws(rng, count)
        else:
            u = self.linearised.mean + np.einsum(
                "stij,nstj->nsti", root_of(self.linearised.conditional), rng.standard_normal((count, *self.linearised.mean.shape))
            )
        return u if learnt.moves is None else u + np.einsum("stip,np->nsti", learnt.moves, change)

    def _drawn_outside(self, coordinates: np.ndarray, gammas: Mapping[str, np.ndarray]) -> dict[str, Any]:
        def at(u: Any, precisions: Any) -> dict[str, Any]:
            return self.learnt.parameters.outside(u, precisions)

        return jax.jit(jax.vmap(at), compiler_options=lightly(1))(jnp.asarray(coordinates), {n: jnp.asarray(g) for n, g in gammas.items()})

    def _drawn_definition(self, name: str, u: np.ndarray, outside: Any) -> np.ndarray:
        moments = self.block.moments

        def at(u: Any, data: Any, inputs: Any, time: Any, member: Any, outside: Any) -> Any:
            return defined_at(self.block, name, u, Moment(data, inputs, time, member), outside)

        bins = jax.vmap(at, in_axes=(0, 0, 0, 0, None, None))
        series = jax.vmap(bins, in_axes=(0, 0, None, None, 0, None))
        draws = jax.jit(jax.vmap(series, in_axes=(0, None, None, None, None, 0)), compiler_options=lightly(1))
        return np.asarray(draws(jnp.asarray(u), moments.data, moments.inputs, moments.time, moments.member, outside))
