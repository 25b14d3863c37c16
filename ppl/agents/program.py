"""An agent as pure compiled functions of its memory: `advance`, `plan`, and both as one `step`.

Numbers that do not change are an argument of these functions: whoever compiles them says whether agents of one structure shall share
what is compiled, or the numbers of one agent become its constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.budget import Budget, budget_of, priced, whole_actions
from ppl.agents.clusters import MOST_JOINT_STATES, lay_out
from ppl.agents.foresight import foresee, outcomes_of
from ppl.agents.kalman import RealPerception
from ppl.agents.network import AgentNetwork
from ppl.agents.options import Options, options_of
from ppl.agents.perception import Memory, Perception, Tables, known_tables, tables_of
from ppl.agents.planning import MOST_AT_ONCE, TERMS, Planner, Scene
from ppl.agents.policies import Policies, policies_of
from ppl.agents.prospects import RealPlanner, preferences
from ppl.engines.precision import with_precision
from ppl.engines.vmp import MEDIUM, compiler_options
from ppl.results.belief import Belief
from ppl.semantics.typed import IndexReference
from ppl.semantics.walking import inside
from ppl.source.diagnostics import AimError, Diagnostic

FOLLOWED = 8  # outcomes of each node that are followed at first
ACCEPTED_LOSS = 1e-9
AS_GOOD = 1e4  # units of rounding within which two probabilities are the same
MOST_CONSTANTS = 50_000  # numbers
OFTEN = 1000  # how often a mind is taken to perceive and plan
SMALL_PRODUCTS = {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_multi_thread_eigen": False}  # no library is called for them


class Numbers(NamedTuple):
    """Everything numeric that an agent is made of."""

    known: Tables
    counts: dict[str, Any]  # of what is learnt, before anything was
    fixed: tuple[Any, ...]
    log_habits: tuple[Any, ...]  # by part: of each joint action
    weights: Any
    scene: Scene | None = None  # where nothing that is learnt, and no time step, changes it


class Valued(NamedTuple):
    """The policies of one part: `terms` are policies × (pragmatic, epistemic, novelty, ambiguity), discounted; `first` is the
    probability of each first joint action; `loss` bounds what outcomes that were passed over can change in G, and tells how much lower
    it may be at other real actions; `actions` are the real ones of each policy, steps × numbers, by name."""

    terms: Any
    energy: Any
    log_prior: Any
    probabilities: Any
    first: Any
    loss: Any
    actions: Any = ()


class Planned(NamedTuple):
    """The policies of each part, the first action of each of the agent's actions, and the price of each step under a budget."""

    parts: tuple[Valued, ...]
    action: Any
    price: Any


@dataclass(frozen=True, eq=False)
class AgentProgram:
    network: AgentNetwork
    options: Options | None

    # ------------------------------------------------------------ parts
    @cached_property
    def perception(self) -> Perception:
        whole = self.options is not None and self.options.sophisticated
        return Perception(self.network, lay_out(self.network, whole_parts=whole))

    @cached_property
    def real_perception(self) -> RealPerception | None:
        reals = self.network.reals
        return RealPerception(reals, self.network.done, self.network.seen) if reals is not None else None

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
        return tuple(policies_of(self.network, part, self.horizon if part.acts else 1) for part in self.planner.layout.parts)

    @cached_property
    def budget(self) -> Budget | None:
        return budget_of(self.network, self.planner.layout.parts)

    @property
    def foresees(self) -> bool:
        """Whether later actions are chosen for each outcome that may be seen."""
        return self.options is not None and self.options.sophisticated

    @property
    def horizon(self) -> int:
        return self.options.horizon if self.options is not None else 0

    @cached_property
    def numbers(self) -> Numbers:
        counts = {name: table.concentration for name, table in self.network.learnt.items()}
        if self.options is None:
            return Numbers(known_tables(self.network), counts, (), (), None)
        fixed = tuple(one.fixed for one in self.planner.sensed)
        known = known_tables(self.network)
        return Numbers(known, counts, fixed, self._habits(), self.options.weights, self._scene(known, fixed))

    def _scene(self, known: Tables, fixed: tuple[Any, ...]) -> Scene | None:
        """What is the same at every node and every step, computed once."""
        if self.network.learnt or self.network.fitted or self._timed:
            return None
        logs = self.network.log_preferences(np.zeros(1, int))
        scene = with_precision(np.float64, self.planner.scene)(known, fixed, {}, logs)
        return jax.tree.map(np.asarray, scene._replace(tables=None))  # which are those of `known`

    def _habits(self) -> tuple[Any, ...]:
        """The log prior of each joint action of each part, normalised; uniform where there is no habit."""
        logs, found = self.network.log_habits(), []
        for part in self.planner.layout.parts:
            total: Any = np.zeros(1)
            for name in part.actions:
                size = self.network.factor[name].size
                total = (total[:, None] + logs.get(name, np.full(size, -np.log(size)))).reshape(-1)
            found.append(total)
        self._refuse_hopeless(found)
        return tuple(found)

    def _refuse_hopeless(self, log_habits: list[Any]) -> None:
        """Raises `AimError` where every policy that is written out has an action that a habit rules out."""
        for policies, habit in zip(self.policies, log_habits, strict=True):
            if policies.written is None or not isinstance(habit, np.ndarray):
                continue
            if np.isneginf(habit[np.asarray(policies.written)]).any(axis=1).all():
                assert self.network.agent.planning is not None
                text = "none of the policies that are planned has a habit: each has an action whose habit is 0"
                raise AimError([Diagnostic("AIM0404", text, self.network.agent.planning.span, "give their actions a probability")])

    # ------------------------------------------------------------ pure functions
    def advance(self, numbers: Numbers, memory: Memory, action: Any, seen: Any, *, rates: Any, first: Any) -> tuple[Memory, Any]:
        """The memory after an action and what was seen then (`first`: at the beginning, known beforehand or not), and the free energy."""
        done, looked = self.network.done, self.network.seen
        found, free_energy = self.perception.advance(
            numbers.known, numbers.counts, memory, done.places(action), looked.places(seen), first, rates
        )
        if self.real_perception is None:
            return found, free_energy
        reals, more = self.real_perception.advance(memory.reals, action, seen, first)
        return found._replace(reals=reals), free_energy + more

    def smoothed_pair(self, numbers: Numbers, before: Memory, action: Any, later: Any) -> Any:
        """The belief at a step given the same that the belief at the next step is given."""
        tables, places = tables_of(self.network, numbers.known, before.learnt), self.network.done.places(action)
        predicted = self.perception.predict(before.beliefs, places, tables)
        beliefs = self.perception.smoothed(before.beliefs, places, predicted, later.beliefs, tables)
        real = self.real_perception
        return later._replace(beliefs=beliefs, reals=real.smoothed(before.reals, action, later.reals) if real is not None else ())

    def plan(self, numbers: Numbers, memory: Memory, log_preferences: dict[str, Any], followed: int | None = None) -> Planned:
        """The policies of each part, of a sophisticated agent its first actions (with `followed` outcomes at each node), and the action
        that follows: the most probable first one, of equal ones the first; under a budget one that keeps it."""
        assert self.options is not None
        real = self.network.reals.factors if self.network.reals is not None else ()
        preferred = {name: log_preferences[name] for name in log_preferences if name in real}
        discrete = {name: logs for name, logs in log_preferences.items() if name not in real}
        if numbers.scene is not None:
            scene = numbers.scene._replace(tables=numbers.known)
        else:
            scene = self.planner.scene(numbers.known, numbers.fixed, memory.learnt, discrete)
        if self.options.sophisticated:
            parts = [self._foreseen(k, numbers, memory, scene, followed) for k in range(len(self.policies))]
        else:
            parts = [self._listed(k, numbers, memory, scene, preferred) for k in range(len(self.policies))]
        if self.budget is None:
            return Planned(tuple(parts), self.row(parts, [first_best(one.first) for one in parts]), jnp.zeros(0))
        steps = 1 if self.options.sophisticated else self.horizon
        priced_parts, price = priced(parts, self.policies, self.budget, numbers.weights, steps)
        whole = whole_actions(parts, self.policies, self.budget, numbers.weights, price)
        return Planned(tuple(priced_parts), self.row(priced_parts, whole), price)

    def _listed(self, place: int, numbers: Numbers, memory: Memory, scene: Any, preferred: Mapping[str, Any]) -> Valued:
        policies, weights = self.policies[place], numbers.weights
        part, log_prior = policies.part, policies.log_prior(numbers.log_habits[place])
        terms, loss, actions = self.planner.policies(part, memory.beliefs, scene, weights.discount, policies.kept), 0.0, ()
        if part.reals or part.real_actions:
            assert self.network.reals is not None
            planner = RealPlanner(self.network.reals, policies.horizon)
            more, actions, log_habit, loss = planner.values(part, memory.reals, preferred, weights, policies.steps(), policies.sizes)
            terms, log_prior = terms + more, log_prior + log_habit
        energy = weights.energy(terms)
        if not part.acts:
            return _passive(terms, energy)
        probabilities = weights.choice(log_prior, energy)
        first = policies.first(probabilities)
        return Valued(terms, energy, log_prior, probabilities, first, jnp.zeros_like(energy) + loss, actions)

    def _foreseen(self, place: int, numbers: Numbers, memory: Memory, scene: Any, followed: int | None) -> Valued:
        policies, habit, weights = self.policies[place], numbers.log_habits[place], numbers.weights
        if not policies.part.clusters:
            one = self.planner.of_no_state(policies.part, scene, weights.discount)
            terms = jnp.broadcast_to(one, (policies.choices, len(TERMS)))
            return self._chosen(terms, weights.energy(terms), habit, weights)
        root = {k: memory.beliefs[k][None] for k in policies.part.clusters}
        columns = outcomes_of(self.planner, policies.part)
        most = min(columns, followed or self.most_followed(place))
        found = foresee(self.planner, policies.part, root, scene, weights, habit, most)
        terms, energy, loss = (x[0] for x in found)
        if not policies.part.actions:
            return _passive(terms, energy)._replace(loss=loss)
        return self._chosen(terms, energy, habit, weights)._replace(loss=loss)

    def _chosen(self, terms: Any, energy: Any, habit: Any, weights: Any) -> Valued:
        """First actions alone, valued."""
        probabilities = weights.choice(habit, energy)
        return Valued(terms, energy, habit, probabilities, probabilities, jnp.zeros_like(energy))

    def most_followed(self, place: int) -> int:
        """How many outcomes of each node of a part's tree can be followed."""
        part = self.policies[place].part
        columns, levels = outcomes_of(self.planner, part), self.horizon - 1
        if levels == 0:
            return columns
        states = int(np.prod([self.planner.sizes[s] for k in part.clusters for s in self.planner.layout.clusters[k]]))
        room = 64 * MOST_AT_ONCE / (states * self.planner.choices(part))
        return max(1, min(columns, int(room ** (1 / levels) / self.planner.choices(part))))

    def drawn(self, valued: tuple[Valued, ...], chances: Any) -> Any:
        """The first action of each part that a random number in [0, 1) draws by its probability, as a row of actions."""
        joint = [(chances[k] * one.first.sum() >= jnp.cumsum(one.first)[:-1]).sum() for k, one in enumerate(valued)]
        return self.row(valued, joint)

    def row(self, parts: Sequence[Valued], joint: list[Any]) -> Any:
        """First joint actions of the parts as a row of actions: real ones are those of the best policy that begins so."""
        done, numbers = self.network.done, {}
        for policies, one, place in zip(self.policies, parts, joint, strict=True):
            for name in policies.part.real_actions:
                policy = jnp.argmax(jnp.where(policies.steps()[:, 0] == place, one.probabilities, -1.0))
                numbers[name] = one.actions[name][policy, 0]
        return done.joined(self.spread(joint), jnp.concatenate([*(numbers[f.name] for f in done.real), jnp.zeros(0)]))

    def spread(self, joint: list[Any]) -> Any:
        """The joint action of each part as the members of the single ones."""
        names, found = [f.name for f in self.network.actions], {}
        for policies, place in zip(self.policies, joint, strict=True):
            for k in range(len(policies.sizes))[::-1]:
                found[policies.part.actions[k]] = place % policies.sizes[k] if k else place
                place = place // policies.sizes[k] if k else place
        return jnp.stack([jnp.asarray(found[name]) for name in names]) if names else jnp.zeros(0, int)

    def step(self, numbers: Numbers, memory: Memory, action: Any, seen: Any, log_preferences: Any, *, rates: Any, first: Any) -> Any:
        """Perceive, plan and act in one: the new memory, the free energy, the policies, the action."""
        memory, free_energy = self.advance(numbers, memory, action, seen, rates=rates, first=first)
        planned = self.plan(numbers, memory, log_preferences)
        return memory, free_energy, planned, planned.action

    @property
    def blank(self) -> Memory:
        """The memory before the first step."""
        return self.remembering(self.perception.blank(self.numbers.counts))

    def remembering(self, memory: Memory) -> Memory:
        """A memory that was made without real states, with those before the first step."""
        return memory._replace(reals=self.real_perception.blank) if self.real_perception is not None else memory

    # ------------------------------------------------------------ reports
    def marginals(self, memory: Memory) -> dict[str, Any]:
        """The belief over each state by itself: of a real one its mean beside its covariance."""
        found = {f.name: self.perception.marginal(memory.beliefs, (f.name,)) for f in self.network.states}
        return found | (self.real_perception.marginals(memory.reals) if self.real_perception is not None else {})

    def beliefs(self, marginals: Mapping[str, Any], learnt: Mapping[str, Any]) -> dict[str, Belief]:
        """Beliefs by variable: members of a plate of states stand in one belief; what is learnt as its own family."""
        found = {}
        for variable in dict.fromkeys(f.variable.name for f in self.network.states):
            own = [f for f in self.network.states if f.variable.name == variable]
            p = np.stack([np.asarray(marginals[f.name], float) for f in own])
            plates = [self.network.bound.length(axis) for axis in own[0].variable.type.axes[: own[0].variable.plates]]
            found[variable] = Belief(variable, "Categorical", {"p": p.reshape(*plates, -1)}, own[0].members)
        for variable in dict.fromkeys(f.variable.name for f in self.network.truth.real):
            found[variable] = self._real_belief(variable, marginals)
        for name, table in self.network.learnt.items():
            counts = np.asarray(learnt[name], float)
            if table.pair:
                found[name] = Belief(name, "Beta", {k: counts[:, c].reshape(table.shape) for k, c in (("a", 1), ("b", 0))})
            else:
                found[name] = Belief(name, "Dirichlet", {"concentration": counts.reshape(*table.shape, -1)})
        return found

    def _real_belief(self, variable: str, marginals: Mapping[str, Any]) -> Belief:
        own = [f for f in self.network.truth.real if f.variable.name == variable]
        plates = [1 + max(f.place[k] for f in own) for k in range(own[0].variable.plates)]
        both = np.stack([np.asarray(marginals[f.name], float) for f in own])
        both = both.reshape(*plates, *both.shape[1:])
        if own[0].scalar:
            return Belief(variable, "Normal", {"mean": both[..., 0, 0], "sd": np.sqrt(np.maximum(both[..., 0, 1], 0.0))})
        return Belief(variable, "MvNormal", {"mean": both[..., 0], "cov": both[..., 1:]})

    # ------------------------------------------------------------ compiled
    @cached_property
    def _compiled(self) -> dict[Any, Callable[..., Any]]:
        return {}

    def compiled(self, name: str, **static: Any) -> Callable[..., Any]:
        """One of the pure functions, at the numbers of this agent, compiled for each of the shapes that it is called with."""
        key = (name, *static.items())
        if key not in self._compiled:
            self._compiled[key] = self._compile(partial(getattr(self, name), **static))
        return self._compiled[key]

    def _compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Few numbers are constants, from which the compiler takes what it can compute beforehand; many are arguments."""
        options = self.compiler_options(OFTEN)
        if sum(np.size(leaf) for leaf in jax.tree.leaves(self.numbers)) > MOST_CONSTANTS:
            return partial(jax.jit(function, compiler_options=options), self.numbers)
        return jax.jit(lambda *args: function(jax.tree.map(jnp.asarray, self.numbers), *args), compiler_options=options)

    def compiler_options(self, times: int) -> dict[str, Any]:
        """What the compiler is told of a program that is used so many times: passes that take longer than they save are left out."""
        nodes = sum(p.count for p in self.policies) if self.options is not None else 1
        states = max(1, sum(f.size for f in self.network.states))
        options = compiler_options(np.empty(min(MEDIUM - 1, nodes * states * times)))
        return {**options, **SMALL_PRODUCTS} if options and times >= OFTEN else options

    def log_preferences(self, times: Any) -> dict[str, Any]:
        """Those of these steps; of one alone where the time step is in none of them."""
        at = np.asarray(times) if self._timed else np.zeros(1, int)
        real = preferences(self.network.reals, at) if self.network.reals is not None else {}
        return {**self.network.log_preferences(at), **real}

    @cached_property
    def _timed(self) -> bool:
        """Whether a preference uses the time step."""
        preferring = [s for s in self.network.agent.statements if s.role == "prefer"]
        return any(i.name == s.time for s in preferring for i in inside(s.distribution, IndexReference))


def program_of(network: AgentNetwork) -> AgentProgram:
    return AgentProgram(network, options_of(network))


def _passive(terms: Any, energy: Any) -> Valued:
    """A part without actions: what it adds is the same whatever is done."""
    one = jnp.ones(1)
    return Valued(terms, energy, jnp.zeros(1), one, one, jnp.zeros(1))


def first_best(probabilities: Any) -> Any:
    """The place of the first of them (`jnp.argmax` of a few numbers costs two microseconds more)."""
    return jnp.where(best(probabilities), jnp.arange(probabilities.shape[0]), probabilities.shape[0]).min()


def best(probabilities: Any) -> Any:
    """Which are the largest: those that rounding alone tells apart count as equal."""
    close = AS_GOOD * jnp.finfo(probabilities.dtype).eps
    return probabilities >= probabilities.max() * (1 - close)
