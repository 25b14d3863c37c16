"""The closed loop of an agent and a world as one compiled program: a scan over steps, mapped over episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.program import ACCEPTED_LOSS, FOLLOWED, AgentProgram, Planned, Valued
from ppl.agents.worlds import World
from ppl.arrays.streams import stream
from ppl.engines.precision import with_precision

MOST_KEPT = 20_000_000  # numbers of plans that a trace keeps


class Step(NamedTuple):
    """What one step leaves behind. `action` is what was done, `chosen` what the plan says."""

    states: Any
    seen: Any
    action: Any
    chosen: Any
    beliefs: dict[str, Any]
    learnt: dict[str, Any]
    free_energy: Any
    planned: Planned


@dataclass(frozen=True)
class Loop:
    program: AgentProgram
    world: World
    rates: tuple[float, float] = (1.0, 1.0)
    whole_plans: bool = True
    followed: int | None = None

    def run(self, numbers: Any, preferences: Mapping[str, Any], given: Any, steps: Any, chances: Any = None) -> Step:
        """All steps of one episode, with a leading axis of steps. With `chances`, random numbers, actions are drawn."""
        network = self.program.network
        blank = jax.tree.map(jnp.asarray, self.program.begun(numbers))
        carry = (self.world.begin(given), blank, jnp.asarray(network.done.zero))
        count = jax.tree.leaves(steps)[0].shape[0]
        _, told = jax.lax.scan(lambda c, at: self._step(numbers, preferences, c, *at), carry, (jnp.arange(count), steps, chances))
        return told

    def _step(self, numbers: Any, preferences: Mapping[str, Any], carry: Any, step: Any, now: Any, chances: Any) -> tuple[Any, Step]:
        program, (state, memory, action) = self.program, carry
        columns = program.network.done
        seen = self.world.observe(state, now)
        memory, free_energy = program.advance(numbers, memory, action, seen, rates=self.rates, first=step == 0)
        planned = Planned((), jnp.asarray(columns.blank), jnp.zeros(0))
        if program.options is not None:
            ahead = jax.tree.map(lambda v: window(v, step, program.horizon), preferences)
            planned = program.plan(numbers, memory, ahead, self.followed)
        chosen = planned.action
        done = self.world.done(now)
        own = program.drawn(planned.parts, chances) if chances is not None and planned.parts else chosen
        action = jnp.where(columns.known(done), done, own)
        truth, marginals = self.world.states(state), program.marginals(memory)
        told = Step(truth, seen, action, chosen, marginals, memory.learnt, free_energy, planned._replace(parts=self._kept(planned.parts)))
        return (self.world.move(state, action, now), memory, action), told

    def _kept(self, valued: tuple[Valued, ...]) -> tuple[Valued, ...]:
        """The whole plans, or where they would be too many numbers those of the best policy alone."""
        if self.whole_plans:
            return valued

        def one(v: Valued) -> Valued:
            best = jnp.argmax(v.probabilities)
            return jax.tree.map(lambda x: x[best][None], v)._replace(first=v.first, loss=v.loss.max()[None])

        return tuple((jax.vmap(one) if p.part.shape else one)(v) for p, v in zip(self.program.policies, valued, strict=True))


def window(preferences: Any, step: Any, horizon: int) -> Any:
    """The preferences of the steps ahead; those that are the same at all steps have one row."""
    if preferences.shape[0] == 1:
        return preferences
    return jax.lax.dynamic_slice_in_dim(preferences, step + 1, horizon)


def run_loop(
    program: AgentProgram,
    world: World,
    *,
    steps: int,
    episodes: int = 1,
    seed: int = 0,
    rates: tuple[float, float] = (1.0, 1.0),
    dtype: Any = np.float64,
    drawn: bool = False,
) -> tuple[Step, bool]:
    """What every step of every episode leaves behind (episodes × steps first), and whether whole plans were kept. The agent's actions
    are the most probable ones, or `drawn` by their probabilities."""
    policies = sum(p.count * p.part.count for p in program.policies) if program.options is not None else 0
    whole = episodes * steps * policies * 8 <= MOST_KEPT
    preferences = program.log_preferences(np.arange(steps + program.horizon)) if program.options is not None else {}

    def compute() -> Step:
        given, now = world.data(episodes, steps, seed)
        most = program.most_followed if program.foresees else 1
        followed = min(FOLLOWED, most)
        while True:
            loop = Loop(program, world, rates, whole, followed if program.foresees else None)
            run = jax.jit(jax.vmap(loop.run, in_axes=(None, None, 0, 0, 0)))
            chances = stream(seed, "choices").random((episodes, steps, program.chances)) if drawn and program.options else None
            arguments = (program.numbers, preferences, given, now, chances)
            ready = run.lower(*arguments).compile(compiler_options=program.compiler_options(episodes * steps))
            told = jax.tree.map(np.asarray, ready(*arguments))
            if not program.foresees or followed >= most or max(float(np.max(v.loss)) for v in told.planned.parts) <= ACCEPTED_LOSS:
                return told
            followed = min(4 * followed, most)

    return with_precision(dtype, compute)(), whole
