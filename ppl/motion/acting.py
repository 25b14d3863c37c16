"""Action: what descends the free energy of what is sensed while the world moves (Friston, Daunizeau, Kilner & Kiebel 2010).

An action moves against the gradient of the free energy that is left in what is sensed, `ȧ = -(∂ỹ/∂a)ᵀ Π ε` per bin, through the world's
sensors. World and actions are one flow; for each bin one step `(exp(J) - 1) J⁻¹ ẋ` is taken (Ozaki 1992), which is exact where the flow
is linear. In the scheme `mode` the belief is settled at each moment given the motion that is sensed; in `flow` it is part of the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.motion.block import Moment, MotionBlock
from ppl.motion.exponential import exponential
from ppl.motion.flow import Flow
from ppl.motion.least_squares import expand, step
from ppl.motion.mode import Mode
from ppl.motion.plan import MotionPlan
from ppl.motion.process import Process
from ppl.motion.series import over_series
from ppl.motion.starts import start_of
from ppl.numerics.compilation import lightly
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True, eq=False)
class SensedBlock(MotionBlock):
    """A block to whose sensors motion itself was given, with no samples around it."""

    sensed: Mapping[str, np.ndarray] = field(repr=False, kw_only=True)

    @cached_property
    def moments(self) -> Moment:
        known = super().moments
        return Moment(self.sensed, known.inputs, known.time, known.member)


def act(plan: MotionPlan, seed: int) -> tuple[MotionPlan, dict[str, np.ndarray]]:
    """The plan with what was sensed for data, and by name all that came of the world and the actions."""
    assert plan.process is not None
    if plan.process.actions:
        _refuse_numb(plan.process)
    happened, sensed, believed = Loop(plan.block, plan.process).run(seed)
    return sensed_plan(plan, sensed, happened, believed)


def sensed_plan(
    plan: MotionPlan, sensed: Mapping[str, np.ndarray], happened: Mapping[str, np.ndarray], believed: np.ndarray
) -> tuple[MotionPlan, dict[str, np.ndarray]]:
    """`sensed` is the motion of each sensor, (series, T, derivatives, size); `happened` by name what else came about; `believed` are the
    unknowns meanwhile, (series, T, width)."""
    block, bound = plan.block, plan.bound
    happened = {**happened, **{n: rows[:, :, 0] for n, rows in sensed.items()}}
    known = {n: v.reshape(bound.shape(bound.model.variables[n])) for n, v in happened.items()}
    given = {n: known[n] for n in sensed}
    masks = {n: np.ones(v.shape[: bound.model.variables[n].plates], bool) for n, v in given.items()}
    bound = replace(bound, values={**bound.values, **given}, observed={**bound.observed, **masks})
    whole = SensedBlock(bound, block.motion, block.options, block.known, sensed=sensed)
    return replace(plan, bound=bound, block=whole, followed=believed if plan.engine == "flow" else None), known


def _refuse_numb(process: Process) -> None:
    """An action that no sensor feels at once has no gradient to follow."""
    block, member = process.block, process.block.members[0]
    rng = np.random.default_rng(0)
    driven = {"noise": {n: v[0, 0] for n, v in process.noise(rng).items()}, "inputs": {n: v[0] for n, v in block.moments.inputs.items()}}
    states = process.start(member, jnp.asarray(rng.standard_normal(process.scheme.starts)))
    actions = {n: jnp.asarray(rng.standard_normal(block.shape(n))) for n in process.actions}
    slopes = jax.jit(jax.jacfwd(lambda a: process.motion(states, a, driven, 0.0, member)[1]), compiler_options=lightly())(actions)
    for name in process.actions:
        if not any(np.any(np.asarray(by_action[name])) for by_action in slopes.values()):
            text = f"no sensor feels the action `{name}`, neither by its value nor by its derivatives up to order {process.count - 1}"
            hint = (
                "raise `order_observed`" if block.options.smoothness else "give the block a smoothness above 0, so that it has derivatives"
            )
            raise AimError([Diagnostic("AIM0713", text, block.bound.model.variables[name].span, hint)])


@dataclass(frozen=True, eq=False)
class Loop:
    """`block` is what the model believes, `process` what happens."""

    block: MotionBlock
    process: Process

    def run(self, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
        """What the world's states and the actions were, (series, T, …), what was sensed, its derivatives (in bins) before the size, and
        the unknowns that were believed."""
        rng, members = stream(seed, "motion"), self.block.members
        white = rng.standard_normal((len(members), self.process.scheme.starts))
        noise = self.process.noise(rng)
        beside = {"inputs": self.process.block.moments.inputs, "believed": self.block.moments.inputs}
        now, rows = over_series(self._begun)(jnp.asarray(white), members), []
        for bin in range(self.block.bins):
            shared = {n: {k: v[bin] for k, v in inputs.items()} for n, inputs in beside.items()} | {"time": float(bin)}
            now, row = self.step(now, {n: v[:, bin] for n, v in noise.items()}, shared)
            rows.append(row)
        states, actions, sensed, believed = jax.tree.map(lambda *each: np.stack(each, axis=1), *rows)
        return {**{n: v[:, :, 0] for n, v in states.items()}, **actions}, sensed, believed

    def _begun(self, white: Any, member: Any) -> Any:
        """World, actions and belief before the first bin."""
        actions = {n: jnp.zeros(self.process.block.shape(n)) for n in self.process.actions}
        return self.process.start(member, white), actions, start_of(self.block, self.block.known, member).guess

    @cached_property
    def step(self) -> Any:
        """All series one bin on, and what was there. A program of its own: a loop around it within one takes twice as long to compile."""

        def one(now: Any, noise: Any, bin: Any, member: Any) -> Any:
            states, actions, guess = now
            perception, driven = perception_of(self.block, member), {"noise": noise, "inputs": bin["inputs"]}
            sensed = self.process.motion(states, actions, driven, bin["time"], member)[1]
            u = perception.believed(sensed, guess, bin)
            *after, moved = self._moved(states, actions, driven, u, bin, perception)
            return (*after, perception.onward(u, moved)), (states, actions, sensed, u)

        def all_series(now: Any, noise: Any, shared: Any) -> Any:
            return over_series(lambda now, noise, member: one(now, noise, shared, member))(now, noise, self.block.members)

        return jax.jit(all_series, compiler_options=lightly())

    def _moved(self, states: Any, actions: Any, driven: Any, u: Any, bin: Any, perception: Settled | Flowing) -> Any:
        """World, actions and what of the belief moves with them, one bin later; what drives them moves as its derivatives say."""
        flat, back = jax.flatten_util.ravel_pytree((states, actions, perception.moving(u, bin)))
        beside, whole = jax.flatten_util.ravel_pytree((driven, bin["time"]))

        def flow(point: Any) -> Any:
            (states, actions, moving), (driven, time) = back(point[: len(flat)]), whole(point[len(flat) :])

            def felt(actions: Any) -> tuple[Any, Any]:
                rates, sensed = self.process.motion(states, actions, driven, time, perception.member)
                return sensed, rates

            sensed, pulled, rates = jax.vjp(felt, actions, has_aux=True)
            slope, onward = perception.felt(moving, sensed, time, u, bin)
            pull = jax.tree.map(jnp.negative, pulled(slope)[0])
            moved = jax.tree.map(lambda r: r * self.block.options.dt, rates), pull, onward
            ahead = jax.tree.map(lambda rows: jnp.concatenate([rows[1:], jnp.zeros_like(rows[:1])]), driven), jnp.ones(())
            return jnp.concatenate([jax.flatten_util.ravel_pytree(each)[0] for each in (moved, ahead)])

        return back(flat + taken(flow, jnp.concatenate([flat, beside]))[: len(flat)])


def taken(flow: Callable[[Any], Any], point: Any) -> Any:
    """The step of a flow over a bin, `(exp(J) - 1) J⁻¹ ẋ`."""
    jacobian, value = jax.jacfwd(lambda x: (flow(x),) * 2, has_aux=True)(point)
    top = jnp.zeros((1, len(point) + 1))
    return exponential(jnp.concatenate([top, jnp.concatenate([value[:, None], jacobian], axis=1)]))[1:, 0]


def perception_of(block: MotionBlock, member: Any) -> Settled | Flowing:
    """How a scheme perceives while it acts."""
    if block.motion.scheme == "flow":
        return Flowing(Flow(block), member)
    return Settled(Mode(block, False), member, block.embedding.expansions[0])


@dataclass(frozen=True, eq=False)
class Settled:
    """What is believed at a moment of one series, given the motion that is sensed: the mode, which is nothing that moves by itself."""

    mode: Mode
    member: Any
    expansion: Any

    def _there(self, sensed: Any, bin: Any) -> tuple[Any, ...]:
        known = self.mode.block.known
        there = {"data": sensed, "inputs": bin["believed"], "time": bin["time"], "mask": {}, "expansion": self.expansion}
        return there, self.member, self.mode.residuals.noise(known, self.member), start_of(self.mode.block, known, self.member), known

    def believed(self, sensed: Any, guess: Any, bin: Any) -> Any:
        """The mode, looked for from a guess."""
        there, *rest = self._there(sensed, bin)
        return self.mode.belief_at(there, guess, *rest).mean

    def onward(self, u: Any, moved: Any) -> Any:
        """Where the next is looked for."""
        return self.mode.shift @ u

    def moving(self, u: Any, bin: Any) -> Any:
        return ()

    def felt(self, moving: Any, sensed: Any, time: Any, u: Any, bin: Any) -> tuple[Any, Any]:
        """The slope of the free energy that is left, by sensor; and how what moves goes on."""
        return jax.grad(lambda y: self._energy(self._followed(u, y, bin), y, bin))(sensed), ()

    def _energy(self, u: Any, sensed: Any, bin: Any) -> Any:
        """½ εᵀ Π ε."""
        errors = self.mode.errors_at(u, *self._there(sensed, bin))
        return 0.5 * errors @ errors

    def _followed(self, u: Any, sensed: Any, bin: Any) -> Any:
        """One more step from the mode: none for the motion that it was found for; its slope says how the mode moves (implicit function)."""
        free = 1.0 - start_of(self.mode.block, self.mode.block.known, self.member).pinned * (bin["time"] == 0)
        there = self._there(sensed, bin)
        _, gradient, curvature = expand(lambda v: self.mode.errors_at(v, *there), u, free)
        return u + step(gradient, jax.lax.stop_gradient(curvature), 0.0) * free


@dataclass(frozen=True, eq=False)
class Flowing:
    """What is believed moves with the world, down the gradient of the free energy in its own frame."""

    flow: Flow
    member: Any

    def believed(self, sensed: Any, guess: Any, bin: Any) -> Any:
        """What the flow has brought."""
        return guess

    def onward(self, u: Any, moved: Any) -> Any:
        return moved[0]

    def moving(self, u: Any, bin: Any) -> Any:
        """The unknowns, and what the model knows of its inputs."""
        return u, bin["believed"]

    def felt(self, moving: Any, sensed: Any, time: Any, u: Any, bin: Any) -> tuple[Any, Any]:
        """The slope of the free energy by sensor; and how what moves goes on."""
        u, inputs = moving
        slope, rate = self.flow.pulls(u, Moment(sensed, inputs, time, self.member), self.flow.block.known)
        return slope, (rate, jax.tree.map(lambda rows: jnp.concatenate([rows[1:], jnp.zeros_like(rows[:1])]), inputs))
