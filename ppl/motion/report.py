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
from ppl.motion.parameters import Parameters
from ppl.motion.plan import MotionPlan
from ppl.motion.residuals import Residuals
from ppl.motion.sensing import defined_at, followed, given_all, given_window, mean_of
from ppl.motion.smooth import Smooth
from ppl.numerics.compilation import lightly
from ppl.results.belief import Belief

DRAWS = 1000


@dataclass(frozen=True)
class Path:
    """How the unknowns at all bins move with those of the whole record, whose covariance is joint."""

    slopes: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)

    def draws(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Deviations from the mean, (count, series, T, width)."""
        white = rng.standard_normal((count, *self.covariance.shape[:2]))
        return np.einsum("stip,spq,nsq->nsti", self.slopes, _root(self.covariance), white, optimize=True)


@dataclass(frozen=True)
class Learnt:
    """The belief in what is latent outside of the block: a Normal of coordinates, with how the modes of the unknowns move with them,
    (series, T, width, coordinates), and Gammas by shape and rate."""

    parameters: Parameters
    at: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    moves: np.ndarray | None = field(default=None, repr=False)
    gammas: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    path: Path | None = field(default=None, repr=False)

    @property
    def precisions(self) -> dict[str, float]:
        return {n: a / b for n, (a, b) in self.gammas.items()}


@dataclass(frozen=True)
class MotionReport:
    """`mean` and `conditional` (covariance) are of the unknowns at each bin given what is `learnt`, (series, T, width), in bins."""

    plan: MotionPlan
    mean: np.ndarray = field(repr=False)
    conditional: np.ndarray = field(repr=False)
    learnt: Learnt
    seed: int = 0
    acted: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)  # what the world and the actions were, and what was sensed

    @cached_property
    def outside(self) -> Outside:
        """What stands outside of the block, at its mean."""
        return self.learnt.parameters.outside(jnp.asarray(self.learnt.at), self.learnt.precisions)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the unknowns whatever the parameters are."""
        moves = self.learnt.moves
        if moves is None:
            return self.conditional
        return self.conditional + np.einsum("stip,pq,stjq->stij", moves, self.learnt.covariance, moves)

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
        told = after | set(self.acted) | set(self._missing) | set(self.block.definitions)
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
        if name in self._missing:
            return self._sensed(self._missing[name])
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
        mean, covariance = self._through(lambda moment: lambda u: defined_at(self.block, name, u, moment, self.outside))
        return self._normal(name, mean, covariance)

    # ------------------------------------------------------------ sensors
    @cached_property
    def _missing(self) -> Mapping[str, Line]:
        """The sensors that lack samples."""
        lines = (line for line in self.block.lines if line.role == "sensor")
        return {line.name: line for line in lines if not np.isfinite(self.block.by_series(line.name)).all()}

    def _sensed(self, line: Line) -> Belief:
        """Missing samples given those that there are."""
        mean, covariance = self._smoothed(line) if self.plan.engine == "smooth" else self._in_window(line)
        belief = self._normal(line.name, mean, covariance)
        values = np.broadcast_to(self.plan.bound.values.get(line.name, np.nan), belief.mean.shape)
        observed = self.plan.bound.observed.get(line.name, np.zeros(belief.plates, bool))
        return replace(belief, observed=np.broadcast_to(observed, belief.plates), values=values)

    def _in_window(self, line: Line) -> tuple[np.ndarray, np.ndarray]:
        block, moments = self.block, self.block.moments
        masks = Residuals(block).masks[line.name]

        def at(u: Any, covariance: Any, data: Any, inputs: Any, time: Any, mask: Any, expansion: Any, member: Any) -> tuple[Any, Any]:
            moment = Moment(data, inputs, time, member)
            slope = jax.jacfwd(lambda v: given_window(block, line, v, moment, mask, expansion, self.outside)[0])(u)
            mean, noise = given_window(block, line, u, moment, mask, expansion, self.outside)
            return mean, noise + slope @ covariance @ slope.T

        bins = jax.vmap(at, in_axes=(0, 0, 0, 0, 0, 0, 0, None))
        series = jax.jit(jax.vmap(bins, in_axes=(0, 0, 0, None, None, 0, None, 0)), compiler_options=lightly(1))
        states = jnp.asarray(self.mean), jnp.asarray(self.covariance), moments.data, moments.inputs, moments.time
        return tuple(np.asarray(a) for a in series(*states, masks, block.embedding.expansions, moments.member))  # type: ignore[return-value]

    def _smoothed(self, line: Line) -> tuple[np.ndarray, np.ndarray]:
        assert self.learnt.path is not None
        block, path, scheme = self.block, self.learnt.path, Smooth(self.block, False)
        value = lambda moment: lambda u: mean_of(block, line, u, moment, self.outside)  # noqa: E731
        means, slopes = self._sloped(value)
        found = []
        for s, member in enumerate(block.members):
            noise = np.linalg.inv(np.asarray(block.precision(line, self.outside, member)))
            mean, weights, own = given_all(block.by_series(line.name)[s], means[s], scheme.correlation, noise)
            along = np.einsum("tirj,rjp->tip", weights, np.einsum("tiw,twp->tip", slopes[s], path.slopes[s]))
            spread = np.einsum("tip,pq,tjq->tij", along, path.covariance[s], along)
            found.append((mean, own + spread))
        return np.stack([m for m, _ in found]), np.stack([c for _, c in found])

    def _through(self, function: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance, bin by bin, of a function of the unknowns."""
        value, slope = self._sloped(function)
        return value, np.einsum("stiw,stwv,stjv->stij", slope, self.covariance, slope)

    def _sloped(self, function: Any) -> tuple[np.ndarray, np.ndarray]:
        """A function of the unknowns at the mean, and its slopes there."""
        moments = self.block.moments

        def at(u: Any, data: Any, inputs: Any, time: Any, member: Any) -> tuple[Any, Any]:
            value = function(Moment(data, inputs, time, member))
            return value(u), jax.jacfwd(value)(u)

        bins = jax.vmap(at, in_axes=(0, 0, 0, 0, None))
        series = jax.jit(jax.vmap(bins, in_axes=(0, 0, None, None, 0)), compiler_options=lightly(1))
        value, slope = series(jnp.asarray(self.mean), moments.data, moments.inputs, moments.time, moments.member)
        return np.asarray(value), np.asarray(slope)

    # ------------------------------------------------------------ draws
    def joint_draws(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of everything; derivatives at one bin are joint, bins are apart given the parameters."""
        rng, learnt = stream(seed, "motion"), self.learnt
        change = rng.standard_normal((count, len(learnt.at))) @ _root(learnt.covariance).T
        u = self.draws_of_unknowns(rng, count, change)
        gammas = {n: rng.gamma(a, 1 / b, count) for n, (a, b) in learnt.gammas.items()}
        outside = self._drawn_outside(learnt.at + change, gammas)
        lead = (*self.block.series, self.block.bins)
        found = {n: np.asarray(v) for n, v in outside.items() if n in self._others}
        for x in self.block.unknowns:
            for k, one in enumerate(np.moveaxis(x.of(u), -2, 0)):
                found[x.name + "'" * k] = (one / self.block.options.dt**k).reshape(count, *lead, *x.shape)
        found |= {n: np.broadcast_to(v, (count, *v.shape)) for n, v in self.acted.items()}
        for name in self.block.definitions:
            found[name] = self._drawn_definition(name, u, outside).reshape(count, *lead, *self.block.shape(name))
        return found | followed(self.plan.bound, self.plan.after, found, count)

    def draws_of_unknowns(self, rng: np.random.Generator, count: int, change: np.ndarray | None = None) -> np.ndarray:
        """(count, series, T, width), for these deviations of the coordinates from their mean."""
        learnt = self.learnt
        if change is None:
            change = rng.standard_normal((count, len(learnt.at))) @ _root(learnt.covariance).T
        if learnt.path is not None:
            u = self.mean + learnt.path.draws(rng, count)
        else:
            u = self.mean + np.einsum("stij,nstj->nsti", _root(self.conditional), rng.standard_normal((count, *self.mean.shape)))
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


def _root(covariance: np.ndarray) -> np.ndarray:
    """A with A Aᵀ the covariance, which may have no volume."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
