"""How probable recorded actions are under an agent: the log of q(action | what it saw and did before), summed over steps.

The agent goes through the record by its own perception and learning, as one compiled loop, and plans at all steps side by side: what it
did is known, so that no plan waits for another. The probability of an action is that of all policies that begin with it. Outcomes are
given and not scored: they are the world's, not the agent's. All is a differentiable function of the agent's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.kinds import Valued
from ppl.agents.loop import window
from ppl.agents.network import SUM_TOLERANCE, build
from ppl.agents.planning import MOST_AT_ONCE
from ppl.agents.program import ACCEPTED_LOSS, FOLLOWED, AgentProgram, program_of
from ppl.agents.record import Record
from ppl.graph.bound import BoundModel


class Told(NamedTuple):
    """Of each step of each episode: the log probability of what was done (0 where nothing was), the free energy of what was seen, and
    what outcomes that were passed over in planning can change in G. `sound` says whether all probabilities are such."""

    log_probability: Any
    free_energy: Any
    loss: Any
    sound: Any


@dataclass(frozen=True, eq=False)
class Behaviour:
    """A record of an agent whose parameters are not known. `stand_ins` are possible values of these, by name."""

    bound: BoundModel
    record: Record = field(repr=False)
    stand_ins: Mapping[str, Any] = field(repr=False)
    rates: tuple[float, float] = (1.0, 1.0)
    followed: int = FOLLOWED

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The log probability of all recorded actions in nats; -inf where these parameters make no agent, or what was seen impossible."""
        told = self.told(values)
        possible = told.sound & jnp.isfinite(told.free_energy).all()
        total = told.log_probability.sum()
        return jnp.where(possible & ~jnp.isnan(total), total, -jnp.inf)

    def told(self, values: Mapping[str, Any]) -> Told:
        """All that the record says step by step at these values of the parameters."""
        program, record = self.program(values), self.distinct
        numbers = program.numbers
        preferences = program.log_preferences(np.arange(record.steps + program.horizon))
        memories, free_energy = jax.vmap(lambda seen, done: self._believed(program, numbers, seen, done))(record.seen, record.done)
        steps = np.broadcast_to(np.arange(record.steps), record.seen.shape[:2]).reshape(-1)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), memories)

        def plan(at: tuple[Any, Any]) -> tuple[Valued, ...]:
            memory, step = at
            ahead = {n: window(v, step, program.horizon) for n, v in preferences.items()}
            return program.plan(numbers, memory, ahead, self.followed if program.foresees else None).parts

        valued = over_many(plan, (flat, steps), MOST_AT_ONCE // self._size(program))
        logs = sum((self._scored(program, k, v, record) for k, v in enumerate(valued)), jnp.zeros(len(steps)))
        loss = sum((v.loss.max() for v in valued), jnp.zeros(()))
        return Told(logs.reshape(record.seen.shape[:2])[self.like], free_energy[self.like], loss, _sound(program, preferences))

    @cached_property
    def _unique(self) -> tuple[Record, np.ndarray]:
        whole = np.concatenate([self.record.seen, self.record.done], axis=-1)
        _, chosen, like = np.unique(whole.reshape(len(whole), -1), axis=0, return_index=True, return_inverse=True)
        return replace(self.record, seen=self.record.seen[chosen], done=self.record.done[chosen]), np.ravel(like)

    @property
    def distinct(self) -> Record:
        """The episodes that differ: what is the same in several is computed once."""
        return self._unique[0]

    @property
    def like(self) -> np.ndarray:
        """Which of the distinct episodes each one is."""
        return self._unique[1]

    def _believed(self, program: AgentProgram, numbers: Any, seen: Any, done: Any) -> tuple[Any, Any]:
        """The memory after each step of one episode, and the free energy of what was seen."""
        blank = jax.tree.map(jnp.asarray, program.begun(numbers))

        def step(memory: Any, now: tuple[Any, Any, Any]) -> tuple[Any, Any]:
            memory, free_energy = program.advance(numbers, memory, now[1], now[2], rates=self.rates, first=now[0])
            return memory, (memory, free_energy)

        first, before = np.arange(len(seen)) == 0, jnp.maximum(jnp.roll(done, 1, axis=0), 0)
        return jax.lax.scan(step, blank, (first, before, seen))[1]

    def _size(self, program: AgentProgram) -> int:
        """The numbers in the beliefs of the largest level of one step's tree."""
        states = max(1, sum(f.size * f.count for f in program.network.states))
        return max(
            states * p.count * p.part.count * (self.followed ** (program.horizon - 1) if program.foresees else 1) for p in program.policies
        )

    def program(self, values: Mapping[str, Any]) -> AgentProgram:
        """The agent with these values of its parameters."""
        known = {name: values[name] for name in self.stand_ins}
        return program_of(build(self.bound, known, stand_ins=self.stand_ins))

    def _scored(self, program: AgentProgram, part: int, valued: Valued, record: Record) -> Any:
        """The log probability of what was done among the actions of one part."""
        policies = program.policies[part]
        if not policies.part.actions:
            return 0.0
        at, members = program.network.done.placed, (policies.part.count,) if policies.part.shape else ()
        places = [record.done[..., at[a]].reshape(-1, *members) for a in policies.part.actions]
        joint = np.ravel_multi_index([np.maximum(p, 0) for p in places], policies.sizes)
        logs = program.options.weights.log_choice(valued.log_prior, valued.energy)  # type: ignore[union-attr]
        if program.foresees:
            found = jnp.take_along_axis(logs, joint[..., None], axis=-1)[..., 0]
        else:
            found = policies.log_first(logs, joint)
        scored = jnp.where(np.all([p >= 0 for p in places], axis=0), found, 0.0)
        return scored.sum(axis=-1) if members else scored

    def followed_enough(self, tried: Sequence[Mapping[str, Any]]) -> tuple[Behaviour, list[Told]]:
        """The same with so many outcomes followed in planning that nothing is lost at these values, and what the record says there."""
        program = self.program(tried[0])
        most = program.most_followed if program.foresees else 1
        behaviour = replace(self, followed=min(FOLLOWED, most))
        while True:
            look = jax.jit(behaviour.told)
            told = [look(dict(values)) for values in tried]
            if behaviour.followed >= most or max(float(t.loss) for t in told) <= ACCEPTED_LOSS:
                return behaviour, told
            behaviour = replace(behaviour, followed=min(4 * behaviour.followed, most))


def over_many(function: Any, arguments: Any, most: int) -> Any:
    """The function of each entry along the first axis: at once where they are few enough, otherwise so many at a time."""
    count = jax.tree.leaves(arguments)[0].shape[0]
    return jax.vmap(function)(arguments) if count <= most else jax.lax.map(function, arguments, batch_size=max(1, most))


def _sound(program: AgentProgram, preferences: Mapping[str, Any]) -> Any:
    """Whether all that depends on parameters is what it must be: rows of probabilities, and weights that are not negative."""
    network, found = program.network, jnp.array(True)
    for table in (*network.initial.values(), *network.transitions.values(), *network.observations.values()):
        if not isinstance(table.known, np.ndarray):
            learnt = np.zeros(table.known.shape[:-1], bool)
            for rows in table.rows.values():
                learnt |= rows >= 0
            found &= (_is_row(table.known) | learnt).all()
    for logs in (*preferences.values(), *network.log_habits().values()):
        found &= _is_row(jnp.exp(logs)).all()
    for table in network.learnt.values():
        found &= (jnp.asarray(table.concentration) > 0).all()
    return found & jnp.stack([jnp.all(jnp.asarray(w) >= 0) for w in program.options.weights]).all()  # type: ignore[union-attr]


def _is_row(p: Any) -> Any:
    return (p >= 0).all(axis=-1) & (jnp.abs(p.sum(axis=-1) - 1) <= SUM_TOLERANCE)
