"""An agent as pure compiled functions of its memory: `advance`, `plan`, and both as one `step`.

Each function asks the kinds of the agent side by side. Numbers that do not change are an argument of these functions, so that agents of
one structure share what is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.budget import Budget, budget_of, priced, whole_actions
from ppl.agents.evaluation import Factor
from ppl.agents.kinds import Kind, Numbers, Valued
from ppl.agents.network import AgentNetwork
from ppl.agents.options import Options, options_of
from ppl.agents.perception import Memory
from ppl.agents.policies import Policies
from ppl.agents.prospects import preferences, refuse_infinite
from ppl.agents.rows import by_variable
from ppl.agents.sharing import Shared, content, shapes, shared
from ppl.engines.vmp import MEDIUM, compiler_options
from ppl.numerics.compilation import without_libraries
from ppl.results.belief import Belief
from ppl.semantics.walking import indices_in
from ppl.source.diagnostics import AimError, Diagnostic

FOLLOWED = 8  # outcomes of each node that are followed at first
ACCEPTED_LOSS = 1e-9
AS_GOOD = 1e4  # units of rounding within which two probabilities are the same
OFTEN = 1000  # how often a mind is taken to perceive and plan


class AgentNumbers(NamedTuple):
    """Everything numeric that the agent is made of: kind by kind, and what its actions cost together."""

    kinds: tuple[Numbers, ...]
    budget: Budget | None = None


class Planned(NamedTuple):
    """The policies of each part, the first action of each of the agent's actions, and the price of each step under a budget."""

    parts: tuple[Valued, ...]
    action: Any
    price: Any


@dataclass(frozen=True, eq=False)
class AgentProgram:
    network: AgentNetwork
    options: Options | None

    # ------------------------------------------------------------ kinds and their parts
    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(Kind(network, self.options, self._timed) for network in self.network.kinds)

    @cached_property
    def policies(self) -> tuple[Policies, ...]:
        """The policies of each part, kind by kind."""
        return tuple(policies for kind in self.kinds for policies in kind.policies)

    @cached_property
    def budget(self) -> Budget | None:
        return budget_of(self.network, [policies.part for policies in self.policies])

    @property
    def foresees(self) -> bool:
        """Whether later actions are chosen for each outcome that may be seen."""
        return self.options is not None and self.options.sophisticated

    @property
    def horizon(self) -> int:
        return self.options.horizon if self.options is not None else 0

    @property
    def most_followed(self) -> int:
        """How many outcomes of each node of its trees can be followed."""
        return max((kind.most_followed(k) for kind in self.kinds for k in range(len(kind.policies))), default=1)

    @cached_property
    def numbers(self) -> AgentNumbers:
        kinds = tuple(kind.numbers for kind in self.kinds)
        return AgentNumbers(kinds, self.budget if self.options is not None else None)

    @property
    def counts(self) -> dict[str, Any]:
        """Those of what is learnt, before anything was."""
        return {name: table.concentration for name, table in self.network.learnt.items()}

    def _each(self, memory: Memory) -> Iterator[Memory]:
        """The memory of each kind."""
        for kind, beliefs, reals in zip(self.kinds, memory.beliefs, memory.reals, strict=True):
            yield Memory(beliefs, {name: memory.learnt[name] for name in kind.network.learnt}, reals)

    # ------------------------------------------------------------ pure functions
    def advance(self, numbers: AgentNumbers, memory: Memory, action: Any, seen: Any, *, rates: Any, first: Any) -> tuple[Memory, Any]:
        """The memory after an action and what was seen then (`first`: at the beginning, known beforehand or not), and the free energy."""
        found, total = [], 0.0
        for kind, own, before in zip(self.kinds, numbers.kinds, self._each(memory), strict=True):
            done = self.network.done.of_members(action, kind.network.done, kind.network.shape)
            looked = self.network.seen.of_members(seen, kind.network.seen, kind.network.shape)
            after, free_energy = kind.advance(own, before, done, looked, rates=rates, first=first)
            found.append(after)
            total = total + free_energy
        return _together(found), total

    def smoothed_pair(self, numbers: AgentNumbers, before: Memory, action: Any, later: Memory) -> Memory:
        """The belief at a step given the same that the belief at the next step is given."""
        found = []
        for kind, own, one, other in zip(self.kinds, numbers.kinds, self._each(before), self._each(later), strict=True):
            done = self.network.done.of_members(action, kind.network.done, kind.network.shape)
            found.append(kind.smoothed_pair(own, one, done, other))
        return _together(found)

    def plan(self, numbers: AgentNumbers, memory: Memory, log_preferences: Mapping[str, Any], followed: int | None = None) -> Planned:
        """The policies of each part, of a sophisticated agent its first actions (with `followed` outcomes at each node), and the action
        that follows: the most probable first one, of equal ones the first; under a budget one that keeps it."""
        parts = [
            one
            for kind, own, held in zip(self.kinds, numbers.kinds, self._each(memory), strict=True)
            for one in kind.plan(own, held, log_preferences, followed)
        ]
        if numbers.budget is None:
            joint = [first_best(one.first) for one in parts]
            return Planned(tuple(parts), self.row(parts, joint), jnp.zeros(0))
        weights = [one for own in numbers.kinds for one in own.weights]
        steps = 1 if self.foresees else self.horizon
        priced_parts, price = priced(parts, self.policies, numbers.budget, weights, steps)
        whole = whole_actions(parts, self.policies, numbers.budget, weights, price)
        return Planned(tuple(priced_parts), self.row(priced_parts, whole), price)

    def refuse_unvalued(self, parts: Sequence[Valued]) -> None:
        """Raises `AimError` where what policies are worth is no number."""
        energies = [np.asarray(one.energy) for one in parts]
        if self.network.reals is not None:
            refuse_infinite(self.network.reals, energies)
        if any(np.isnan(energy).any() for energy in energies):
            assert self.network.agent.planning is not None
            text = "what a policy is worth is not a number: weights, discounts or preferences are too large for it"
            raise AimError([Diagnostic("AIM0244", text, self.network.agent.planning.span, "a discount is 1 or less, weights are about 1")])

    @property
    def chances(self) -> int:
        """How many random numbers draw an action."""
        return sum(policies.part.count for policies in self.policies) if self.options is not None else 0

    def drawn(self, valued: tuple[Valued, ...], chances: Any) -> Any:
        """The first action of each part that a random number in [0, 1) draws by its probability, as a row of actions."""
        joint, start = [], 0
        for policies, one in zip(self.policies, valued, strict=True):
            own = chances[start : start + policies.part.count].reshape(one.first.shape[:-1])
            below = jnp.cumsum(one.first, axis=-1)[..., :-1]
            joint.append(((own * one.first.sum(axis=-1))[..., None] >= below).sum(axis=-1))
            start += policies.part.count
        return self.row(valued, joint)

    def row(self, parts: Sequence[Valued], joint: list[Any]) -> Any:
        """First joint actions of the parts as a row of actions: real ones are those of the best policy that begins so."""
        places, numbers = {}, {}
        for policies, one, place in zip(self.policies, parts, joint, strict=True):
            places |= policies.split(place)
            for name in policies.part.real_actions:
                policy = jnp.argmax(jnp.where(policies.steps()[:, 0] == place, one.probabilities, -1.0))
                numbers[name] = one.actions[name][policy, 0]
        return self.network.done.from_parts(places, numbers, jnp)

    def step(self, numbers: AgentNumbers, memory: Memory, action: Any, seen: Any, log_preferences: Any, *, rates: Any, first: Any) -> Any:
        """Perceive, plan and act in one: the new memory, the free energy, the policies, the action."""
        memory, free_energy = self.advance(numbers, memory, action, seen, rates=rates, first=first)
        planned = self.plan(numbers, memory, log_preferences)
        return memory, free_energy, planned, planned.action

    @property
    def blank(self) -> Memory:
        """The memory before the first step."""
        return self.begun(self.numbers)

    def begun(self, numbers: AgentNumbers) -> Memory:
        """The memory before the first step, with these numbers."""
        return _together([kind.blank(own.counts) for kind, own in zip(self.kinds, numbers.kinds, strict=True)])

    # ------------------------------------------------------------ reports
    def marginals(self, memory: Memory) -> dict[str, Any]:
        """The belief over each state by itself: of a real one its mean beside its covariance."""
        found: dict[str, Any] = {}
        for kind, own in zip(self.kinds, self._each(memory), strict=True):
            found |= kind.marginals(own)
        return found

    def beliefs(self, marginals: Mapping[str, Any], learnt: Mapping[str, Any]) -> dict[str, Belief]:
        """Beliefs by variable: members of a plate of states stand in one belief; what is learnt as its own family."""
        truth, found = self.network.truth, {}
        for name, p in by_variable(truth.discrete, marginals).items():
            own = next(f for f in truth.discrete if f.variable.name == name)
            found[name] = Belief(name, "Categorical", {"p": np.asarray(p, float)}, own.members)
        for name, both in by_variable(truth.real, marginals).items():
            found[name] = _real_belief(next(f for f in truth.real if f.variable.name == name), np.asarray(both, float))
        for name, table in self.network.learnt.items():
            counts = np.asarray(learnt[name], float)
            if table.pair:
                found[name] = Belief(name, "Beta", {k: counts[:, c].reshape(table.shape) for k, c in (("a", 1), ("b", 0))})
            else:
                found[name] = Belief(name, "Dirichlet", {"concentration": counts.reshape(*table.shape, -1)})
        return found

    # ------------------------------------------------------------ compiled
    def compiled(self, name: str, **static: Any) -> Callable[..., Any]:
        """One of the pure functions, at the numbers of this agent, compiled for each of the shapes that it is called with."""
        constant = self._shared.first is not None and self._shared.first == self._content
        function = self._shared.function((name, *static.items(), constant), lambda: self._compile(name, static, constant))
        return function if constant else partial(function, self.numbers)

    def _compile(self, name: str, static: Mapping[str, Any], constant: bool) -> Callable[..., Any]:
        function, options = partial(getattr(self, name), **static), self.compiler_options(OFTEN)
        if not constant:
            return jax.jit(function, compiler_options=options)
        return jax.jit(lambda *args: function(jax.tree.map(jnp.asarray, self.numbers), *args), compiler_options=options)

    @cached_property
    def _content(self) -> bytes | None:
        return content(self.numbers)

    @cached_property
    def _shared(self) -> Shared:
        """The compiled functions: those of all agents that differ in numbers alone. Rules of real states hold numbers of their own, so
        that such an agent has its functions for itself."""
        if self.network.reals is not None or self.network.fitted:
            return Shared(self.network.model, self._content)
        kinds = tuple(kind.structure for kind in self.kinds)
        return shared(self.network.model, (kinds, shapes(self.numbers)), self._content)

    def compiler_options(self, times: int) -> dict[str, Any]:
        """What the compiler is told of a program that is used so many times: passes that take longer than they save are left out."""
        nodes = sum(p.count * p.part.count for p in self.policies) if self.options is not None else 1
        states = max(1, sum(f.size for f in self.network.states))
        options = compiler_options(np.empty(min(MEDIUM - 1, nodes * states * times)))
        return {**options, **without_libraries()} if times >= OFTEN else options

    def log_preferences(self, times: Any) -> dict[str, Any]:
        """Those of these steps; of one alone where the time step is in none of them. Kinds that have theirs among their numbers are not
        told them again."""
        at = np.asarray(times) if self._timed else np.zeros(1, int)
        real = preferences(self.network.reals, at) if self.network.reals is not None else {}
        known = all(own.scene is not None for own in self.numbers.kinds)
        return {**({} if known else self.network.log_preferences(at)), **real}

    @cached_property
    def _timed(self) -> bool:
        """Whether a preference uses the time step."""
        preferring = [s for s in self.network.agent.statements if s.role == "prefer"]
        return any(s.time in indices_in(s.distribution) for s in preferring)


def program_of(network: AgentNetwork) -> AgentProgram:
    return AgentProgram(network, options_of(network))


def _together(memories: Sequence[Memory]) -> Memory:
    """The memories of the kinds as that of the agent."""
    learnt = {name: counts for memory in memories for name, counts in memory.learnt.items()}
    return Memory(tuple(m.beliefs for m in memories), learnt, tuple(m.reals for m in memories))


def _real_belief(factor: Factor, both: np.ndarray) -> Belief:
    if factor.scalar:
        return Belief(factor.variable.name, "Normal", {"mean": both[..., 0, 0], "sd": np.sqrt(np.maximum(both[..., 0, 1], 0.0))})
    return Belief(factor.variable.name, "MvNormal", {"mean": both[..., 0], "cov": both[..., 1:]})


def first_best(probabilities: Any) -> Any:
    """The place of the first of them (`jnp.argmax` of a few numbers costs two microseconds more); the last where none is a number."""
    count = probabilities.shape[-1]
    return jnp.where(best(probabilities), jnp.arange(count), count - 1).min(axis=-1)


def best(probabilities: Any) -> Any:
    """Which are the largest: those that rounding alone tells apart count as equal."""
    close = AS_GOOD * jnp.finfo(probabilities.dtype).eps
    return probabilities >= probabilities.max(axis=-1, keepdims=True) * (1 - close)
