"""A kind: what stands by itself in an agent, or the members of a stacked plate, each of which is the same small agent with numbers of its
own. Perception, foresight and the values of policies are functions of one member, mapped over an axis of members where there are several:
numbers, memories and what comes back then have it in front. An agent is its kinds side by side, joined by what its parts may spend.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import MOST_JOINT_STATES, lay_out, stays
from ppl.agents.foresight import foresee, outcomes_of
from ppl.agents.gaussian import RealNumbers
from ppl.agents.kalman import RealPerception
from ppl.agents.network import AgentNetwork
from ppl.agents.options import Options, weights_of
from ppl.agents.perception import Memory, Perception, Tables, known_tables, tables_of
from ppl.agents.planning import MOST_AT_ONCE, TERMS, Planner, Scene, Weights
from ppl.agents.policies import Policies, policies_of
from ppl.agents.prospects import RealPlanner
from ppl.agents.sharing import entries, shapes, shared
from ppl.engines.precision import with_precision
from ppl.source.diagnostics import AimError, Diagnostic

MEMBERS = Memory._make((0, None, 0))  # which axes of a memory are the members': what is learnt is shared


class Numbers(NamedTuple):
    """Everything numeric that a kind is made of."""

    known: Tables
    counts: dict[str, Any]  # of what is learnt, before anything was
    fixed: tuple[Any, ...]
    log_habits: tuple[Any, ...]  # by part: of each joint action
    weights: tuple[Weights, ...]  # by part
    scene: Scene | None = None  # where nothing that is learnt, and no time step, changes it
    reals: RealNumbers | None = None  # where members differ


class Valued(NamedTuple):
    """The policies of one part: `terms` are policies × (pragmatic, epistemic, novelty, ambiguity), discounted; `first` is the
    probability of each first joint action; `loss` bounds what outcomes that were passed over can change in G, and tells how much lower
    it may be at other real actions; `actions` are the real ones of each policy, steps × numbers, by name. Of a kind all have the members
    in front."""

    terms: Any
    energy: Any
    log_prior: Any
    probabilities: Any
    first: Any
    loss: Any
    actions: Any = ()


@dataclass(frozen=True, eq=False)
class Kind:
    network: AgentNetwork  # of one member
    options: Options | None
    timed: bool  # whether a preference uses the time step

    # ------------------------------------------------------------ parts
    @cached_property
    def perception(self) -> Perception:
        whole = self.options is not None and self.options.sophisticated
        return Perception(self.network, lay_out(self.network, whole_parts=whole))

    @cached_property
    def real_perception(self) -> RealPerception | None:
        return self._real_perception(None) if self.network.reals is not None else None

    def _real_perception(self, numbers: RealNumbers | None) -> RealPerception:
        """Of one member, with its numbers where they are its own."""
        assert self.network.reals is not None
        return RealPerception(self.network.reals.at(numbers), self.network.done, self.network.seen)

    @cached_property
    def planner(self) -> Planner:
        assert self.options is not None
        if self.options.sophisticated and self.network.reals is not None:
            assert self.network.agent.planning is not None
            text = "outcomes that are real numbers cannot be foreseen one by one"
            raise AimError([Diagnostic("AIM0415", text, self.network.agent.planning.span, "leave `sophisticated` out")])
        planner = Planner(self.perception, self.options.horizon)
        if self.options.sophisticated:
            self._refuse_unforeseeable(planner)
        return planner

    def _refuse_unforeseeable(self, planner: Planner) -> None:
        agent, layout = self.network.agent, planner.layout
        assert agent.planning is not None
        if agent.planning.policies is not None or agent.habit is not None:
            what = "a habit over whole policies is" if agent.planning.policies is None else "`policies` are"
            text = f"{what} for plans that are not sophisticated: these choose each action anew"
            raise AimError([Diagnostic("AIM0405", text, agent.planning.span, "leave `sophisticated` out, or write a habit over actions")])
        many = any(prod(planner.sizes[s] for s in states) > MOST_JOINT_STATES for states in layout.clusters)
        if many or layout.split or any(one.apart for one in planner.sensed):
            text = "the states that are planned together are too many to foresee outcomes exactly"
            raise AimError([Diagnostic("AIM0415", text, agent.planning.span, "leave `sophisticated` out")])

    @cached_property
    def policies(self) -> tuple[Policies, ...]:
        assert self.options is not None
        horizon = self.options.horizon
        return tuple(policies_of(self.network, part, horizon if part.acts else 1) for part in self.planner.layout.parts)

    # ------------------------------------------------------------ numbers
    @cached_property
    def numbers(self) -> Numbers:
        counts = {name: table.concentration for name, table in self.network.learnt.items()}
        known = known_tables(self.network)
        reals = self.network.reals.numbers if self.network.reals is not None and self.network.shape else None
        if self.options is None:
            return Numbers(known, counts, (), (), (), None, reals)
        weights = tuple(weights_of(self.options, self.network, part) for part in self.planner.layout.parts)
        bare = Numbers(known, counts, tuple(one.fixed for one in self.planner.sensed), self._habits(), weights, None, reals)
        return bare._replace(scene=self._scene(bare))

    def _scene(self, numbers: Numbers) -> Scene | None:
        """What is the same at every node and every step, computed once."""
        if self.network.learnt or self.network.fitted or self.timed:
            return None
        logs = self.network.log_preferences(np.zeros(1, int))
        one = lambda numbers, logs: self.planner.scene(numbers.known, numbers.fixed, {}, logs)  # noqa: E731
        members = self.mapped(one, self._axes(numbers), 1)
        if self.network.shape:
            same = shared(self.network.model, (self.structure, shapes((numbers, logs))))
            members = same.function("scene", lambda own=members: jax.jit(own))
        scene = with_precision(np.float64, members)(numbers, logs)
        return jax.tree.map(np.asarray, scene._replace(tables=None))  # which are those of `known`

    def _habits(self) -> tuple[Any, ...]:
        """The log prior of each joint action of each part, normalised; uniform where there is no habit."""
        logs, found = self.network.log_habits(), []
        lead = (self.network.count,) if self.network.shape else ()
        for part in self.planner.layout.parts:
            total: Any = np.zeros((*lead, 1))
            for name in part.actions:
                size = self.network.factor[name].size
                own = logs.get(name, np.full(size, -np.log(size)))
                total = (total[..., :, None] + own[..., None, :]).reshape(*lead, -1)
            found.append(total)
        self._refuse_hopeless(found)
        return tuple(found)

    def _refuse_hopeless(self, log_habits: list[Any]) -> None:
        """Raises `AimError` where every policy that is written out has an action that a habit rules out."""
        for policies, habit in zip(self.policies, log_habits, strict=True):
            if policies.written is None or not isinstance(habit, np.ndarray):
                continue
            if np.isneginf(habit[..., np.asarray(policies.written)]).any(axis=-1).all(axis=-1).any():
                assert self.network.agent.planning is not None
                text = "none of the policies that are planned has a habit: each has an action whose habit is 0"
                raise AimError([Diagnostic("AIM0404", text, self.network.agent.planning.span, "give their actions a probability")])

    @cached_property
    def structure(self) -> Hashable:
        """All but numbers that what is traced depends on, with the agent's own statements."""
        network, layout = self.network, self.perception.layout
        factors = (network.states, network.actions, network.outcomes)
        found: tuple[Hashable, ...] = (
            network.shape,
            tuple(tuple((f.name, f.size, f.shape) for f in own) for own in factors),
            tuple(
                (name, t.parents, t.lead, stays(t), tuple(t.rows), entries(list(t.rows.values())))
                for tables in (network.initial, network.transitions, network.observations)
                for name, t in tables.items()
            ),
            tuple((t.name, t.shape, t.pair) for t in network.learnt.values()),
            layout,
            self.timed,
        )
        if self.options is None:
            return found
        told = tuple((one.clusters, one.states, one.sizes, one.learnt, one.apart) for one in self.planner.sensed)
        planned = tuple((p.part, p.horizon, p.sizes, p.written, entries((p.kept, p.log_weight))) for p in self.policies)
        return (*found, self.options.horizon, self.options.sophisticated, told, planned)

    # ------------------------------------------------------------ members
    def mapped(self, function: Callable[..., Any], *axes: Any) -> Callable[..., Any]:
        """A function of one member for all of them; `axes` say where its arguments have the members, None where they share them."""
        return jax.vmap(function, in_axes=axes) if self.network.shape else function

    def _axes(self, numbers: Numbers) -> Any:
        """Where numbers have the members."""
        weights = tuple(Weights._make((*(0 if np.ndim(w) else None for w in one[:4]), None, None)) for one in numbers.weights)
        return Numbers._make((0, None, 0, 0, weights, 0, 0))

    # ------------------------------------------------------------ pure functions
    def advance(self, numbers: Numbers, memory: Memory, action: Any, seen: Any, *, rates: Any, first: Any) -> tuple[Memory, Any]:
        """The memory after rows of actions and of what was seen then, and the free energy."""

        def one(numbers: Numbers, memory: Memory, action: Any, seen: Any) -> tuple[Memory, Any]:
            places, looked = self.network.done.places(action), self.network.seen.places(seen)
            found, free_energy = self.perception.advance(numbers.known, numbers.counts, memory, places, looked, first, rates)
            if self.real_perception is None:
                return found, free_energy
            reals, more = self._real_perception(numbers.reals).advance(memory.reals, action, seen, first)
            return found._replace(reals=reals), free_energy + more

        found, free_energy = self.mapped(one, self._axes(numbers), MEMBERS, 0, 0)(numbers, memory, action, seen)
        return found, free_energy.sum() if self.network.shape else free_energy

    def smoothed_pair(self, numbers: Numbers, before: Memory, action: Any, later: Memory) -> Memory:
        """The belief at a step given the same that the belief at the next step is given."""

        def one(numbers: Numbers, before: Memory, action: Any, later: Memory) -> Memory:
            tables, places = tables_of(self.network, numbers.known, before.learnt), self.network.done.places(action)
            predicted = self.perception.predict(before.beliefs, places, tables)
            beliefs = self.perception.smoothed(before.beliefs, places, predicted, later.beliefs, tables)
            if self.real_perception is None:
                return later._replace(beliefs=beliefs)
            reals = self._real_perception(numbers.reals).smoothed(before.reals, action, later.reals)
            return later._replace(beliefs=beliefs, reals=reals)

        return self.mapped(one, self._axes(numbers), MEMBERS, 0, MEMBERS)(numbers, before, action, later)

    def marginals(self, memory: Memory) -> dict[str, Any]:
        """The belief over each state by itself: of a real one its mean beside its covariance."""

        def one(memory: Memory) -> dict[str, Any]:
            found = {f.name: self.perception.marginal(memory.beliefs, (f.name,)) for f in self.network.states}
            return found | (self.real_perception.marginals(memory.reals) if self.real_perception is not None else {})

        return self.mapped(one, MEMBERS)(memory)

    def blank(self, counts: dict[str, Any]) -> Memory:
        """The memory before the first step: its belief is not read."""
        memory = self.perception.blank(counts)
        memory = memory._replace(reals=self.real_perception.blank) if self.real_perception is not None else memory
        if not self.network.shape:
            return memory
        wide = lambda x: np.broadcast_to(x, (self.network.count, *x.shape))  # noqa: E731
        return memory._replace(beliefs=jax.tree.map(wide, memory.beliefs), reals=jax.tree.map(wide, memory.reals))

    # ------------------------------------------------------------ plans
    def plan(self, numbers: Numbers, memory: Memory, log_preferences: Mapping[str, Any], followed: int | None) -> list[Valued]:
        """The policies of each part, of a sophisticated agent its first actions (with `followed` outcomes at each node)."""
        assert self.options is not None
        sophisticated = self.options.sophisticated

        def one(numbers: Numbers, memory: Memory, logs: Mapping[str, Any]) -> list[Valued]:
            real = self.network.reals.factors if self.network.reals is not None else ()
            discrete = {name: own for name, own in logs.items() if name not in real}
            if numbers.scene is not None:
                scene = numbers.scene._replace(tables=numbers.known)
            else:
                scene = self.planner.scene(numbers.known, numbers.fixed, memory.learnt, discrete)
            if sophisticated:
                return [self._foreseen(k, numbers, memory, scene, followed) for k in range(len(self.policies))]
            preferred = {name: own for name, own in logs.items() if name in real}
            return [self._listed(k, numbers, memory, scene, preferred) for k in range(len(self.policies))]

        own = {name: logs for name, logs in log_preferences.items() if name in self.network.factor}
        return self.mapped(one, self._axes(numbers), MEMBERS, 1)(numbers, memory, own)

    def _listed(self, place: int, numbers: Numbers, memory: Memory, scene: Any, preferred: Mapping[str, Any]) -> Valued:
        policies, weights = self.policies[place], numbers.weights[place]
        part, log_prior = policies.part, policies.log_prior(numbers.log_habits[place])
        terms, loss, actions = self.planner.policies(part, memory.beliefs, scene, weights.discount, policies.kept), 0.0, ()
        if part.reals or part.real_actions:
            assert self.network.reals is not None
            planner = RealPlanner(self.network.reals.at(numbers.reals), policies.horizon)
            more, actions, log_habit, loss = planner.values(part, memory.reals, preferred, weights, policies.steps(), policies.sizes)
            terms, log_prior = terms + more, log_prior + log_habit
        energy = weights.energy(terms)
        if not part.acts:
            return _passive(terms, energy)
        probabilities = weights.choice(log_prior, energy)
        first = policies.first(probabilities)
        return Valued(terms, energy, log_prior, probabilities, first, jnp.zeros_like(energy) + loss, actions)

    def _foreseen(self, place: int, numbers: Numbers, memory: Memory, scene: Any, followed: int | None) -> Valued:
        policies, habit, weights = self.policies[place], numbers.log_habits[place], numbers.weights[place]
        if not policies.part.clusters:
            one = self.planner.of_no_state(policies.part, scene, weights.discount)
            terms = jnp.broadcast_to(one, (policies.choices, len(TERMS)))
            return _chosen(terms, weights.energy(terms), habit, weights)
        root = {k: memory.beliefs[k][None] for k in policies.part.clusters}
        columns = outcomes_of(self.planner, policies.part)
        most = min(columns, followed or self.most_followed(place))
        found = foresee(self.planner, policies.part, root, scene, weights, habit, most)
        terms, energy, loss = (x[0] for x in found)
        if not policies.part.actions:
            return _passive(terms, energy)._replace(loss=loss)
        return _chosen(terms, energy, habit, weights)._replace(loss=loss)

    def most_followed(self, place: int) -> int:
        """How many outcomes of each node of a part's tree can be followed."""
        part, horizon = self.policies[place].part, self.planner.horizon
        columns, levels = outcomes_of(self.planner, part), horizon - 1
        if levels == 0:
            return columns
        states = int(np.prod([self.planner.sizes[s] for k in part.clusters for s in self.planner.layout.clusters[k]]))
        room = 64 * MOST_AT_ONCE / (states * self.planner.choices(part) * part.count)
        return max(1, min(columns, int(room ** (1 / levels) / self.planner.choices(part))))


def _chosen(terms: Any, energy: Any, habit: Any, weights: Any) -> Valued:
    """First actions alone, valued."""
    probabilities = weights.choice(habit, energy)
    return Valued(terms, energy, habit, probabilities, probabilities, jnp.zeros_like(energy))


def _passive(terms: Any, energy: Any) -> Valued:
    """A part without actions: what it adds is the same whatever is done."""
    one = jnp.ones(1)
    return Valued(terms, energy, jnp.zeros(1), one, one, jnp.zeros(1))
