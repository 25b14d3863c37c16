"""A mind: what an agent believes now, as an immutable value. Perceiving, planning and acting give new values and change none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ppl.agents.perception import Memory
from ppl.agents.policy_plan import PolicyPlan
from ppl.agents.program import ACCEPTED_LOSS, FOLLOWED, AgentProgram
from ppl.agents.record import one_step
from ppl.agents.rows import said, text
from ppl.arrays.streams import checked, stream
from ppl.engines.precision import with_precision
from ppl.results.belief import Belief
from ppl.source import html
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class Past:
    """One step that lies behind: the action that led to it, what was seen, and the memory after it."""

    action: np.ndarray
    seen: np.ndarray
    memory: Memory
    free_energy: float


@dataclass(frozen=True)
class Mind:
    """`t` counts the steps perceived; before the first, `beliefs` are the agent's prior."""

    program: AgentProgram = field(repr=False)
    seed: int = 0
    rates: tuple[float, float] = (1.0, 1.0)
    dtype: Any = np.float64
    pending: np.ndarray | None = None  # the action that was done since
    past: tuple[Past, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        checked(self.seed)

    @property
    def t(self) -> int:
        """The number of the present step, from 0; -1 before anything was perceived."""
        return len(self.past) - 1

    @property
    def free_energy(self) -> float | None:
        """Of the outcomes of the present step, in nats: -log p(o_t | o_<t) where the belief is exact."""
        return self.past[-1].free_energy if self.past else None

    # ------------------------------------------------------------ perception
    def perceive(self, **values: Any) -> Mind:
        """The mind after seeing these outcomes, by name. Actions may be given too: what was done before them.

        An outcome that is left out was not seen. Raises `AimError` for what is no member of its set, where nothing says what was done
        since the step before, and where the outcomes are impossible under the model.
        """
        seen, done = one_step(self.program.network, values)
        mind = (
            self if not self.program.network.done.known(done).any() else self.did(**{k: v for k, v in values.items() if self._is_action(k)})
        )
        return mind.saw(seen)

    def saw(self, seen: np.ndarray) -> Mind:
        """The same for a row of outcomes."""
        network = self.program.network
        actions = network.done.factors
        if self.past and actions and self.pending is None:
            names = ", ".join(f"{f.name} = …" for f in actions)
            message = "nothing says what was done since the step before"
            raise AimError([Diagnostic("AIM0414", message, None, f"perceive({names}, …), or use the mind that `did` or `step` gives")])
        action = self.pending if self.pending is not None else network.done.zero
        memory, free_energy = self._advanced(action, seen)
        if not np.isfinite(free_energy):
            told = ", ".join(f"{name} = {text(v)}" for name, v in network.seen.told(seen).items() if v is not None)
            message = f"step {len(self.past)}: {told} cannot happen under `{network.model.name}`"
            hint = "give outcomes that should not rule anything out a small probability"
            raise AimError([Diagnostic("AIM0805", message, None, hint)])
        return replace(self, pending=None, past=(*self.past, Past(action, seen, memory, free_energy)))

    def _advanced(self, action: np.ndarray, seen: np.ndarray) -> tuple[Memory, float]:
        program = self.program
        before = self.past[-1].memory if self.past else program.blank

        def compute() -> tuple[Memory, float]:
            memory, value = program.compiled("advance", first=not self.past, rates=self.rates)(before, action, seen)
            return memory, float(value)

        return with_precision(self.dtype, compute)()

    def did(self, **actions: Any) -> Mind:
        """The mind after these actions were done, by name: every action of the agent."""
        if not self.past:
            raise AimError(
                [Diagnostic("AIM0414", "no action comes before the first outcomes", None, "perceive what is seen at step 0 first")]
            )
        _, done = one_step(self.program.network, actions)
        missing = [name for name, value in self.program.network.done.told(done).items() if not said(value)]
        if missing:
            message = f"nothing says what `{missing[0]}` was"
            raise AimError([Diagnostic("AIM0414", message, None, f"give {missing[0]} = …")])
        return replace(self, pending=done)

    def _is_action(self, name: str) -> bool:
        return any(name in (f.name, f.variable.name) for f in self.program.network.done.factors)

    # ------------------------------------------------------------ beliefs
    @cached_property
    def memory(self) -> Memory:
        """The belief and the counts as arrays."""
        if self.past:
            return self.past[-1].memory
        network = self.program.network
        memory, _ = self._advanced(network.done.zero, network.seen.blank)
        return memory._replace(learnt=self.program.counts)

    @cached_property
    def beliefs(self) -> Mapping[str, Belief]:
        """The belief over each state, and over each table that is learnt, by name."""
        memory = self.memory
        return self.program.beliefs(with_precision(self.dtype, self.program.marginals)(memory), memory.learnt)

    def smoothed(self, window: int | None = None) -> list[Mapping[str, Belief]]:
        """The beliefs over states at each of the last `window` steps (all), given everything that was seen until now."""
        steps = self.past if window is None else self.past[-window:]
        program = self.program

        def compute() -> list[Any]:
            found, back = [steps[-1].memory], program.compiled("smoothed_pair")
            for before, after in list(pairwise(steps))[::-1]:
                found.append(back(before.memory, after.action, found[-1]))
            return [program.marginals(memory) for memory in found[::-1]]

        if not steps:
            return []
        marginals = with_precision(self.dtype, compute)()
        return [program.beliefs(own, step.memory.learnt) for own, step in zip(marginals, steps, strict=True)]

    # ------------------------------------------------------------ planning and acting
    def plan(self) -> PolicyPlan:
        """The policies from here on, valued by expected free energy. Raises `AimError` where the agent has no `plan`."""
        program = self.program
        if program.options is None:
            message = f"`{program.network.model.name}` has no plan"
            names = ", ".join(f.name for f in program.network.done.factors) or "a"
            raise AimError([Diagnostic("AIM0416", message, program.network.model.span, f"write plan {names} by efe(horizon = 1)")])
        return PolicyPlan(program.network, program.policies, self._planned(), program.options.sophisticated)

    def _planned(self) -> Any:
        program, memory = self.program, self.memory
        first = max(self.t, 0) + 1  # before anything was perceived, the belief is that of step 0
        preferences = program.log_preferences(np.arange(first, first + program.horizon))

        def compute() -> Any:
            assert program.options is not None
            if not program.options.sophisticated:
                return program.compiled("plan")(memory, preferences)
            most = program.most_followed
            followed = min(FOLLOWED, most)
            while True:
                planned = program.compiled("plan", followed=followed)(memory, preferences)
                if followed >= most or max(float(np.max(v.loss)) for v in planned.parts) <= ACCEPTED_LOSS:
                    return planned
                followed = min(4 * followed, most)

        import jax

        planned = jax.tree.map(np.asarray, with_precision(self.dtype, compute)())
        program.refuse_unvalued(planned.parts)
        return planned

    def act(self, plan: PolicyPlan | None = None, *, seed: int | None = None) -> Mapping[str, Any]:
        """The action by name: the most probable first one; with a seed one drawn by its probability. `did(**action)` does it."""
        plan = self.plan() if plan is None else plan
        return plan.action if seed is None else plan.draw(stream(seed, "action", self.t + 1))

    def step(self, **observations: Any) -> tuple[Mapping[str, Any], Mind]:
        """Perceives, plans and acts: the action by name, and the mind that has done it."""
        mind = self.perceive(**observations)
        action = mind.act()
        return action, mind.did(**action)

    def _repr_html_(self) -> str:
        rows = [(name, belief.family, _short(belief)) for name, belief in self.beliefs.items()]
        surprise = "" if self.free_energy is None else f", free energy {self.free_energy:.4g} nats"
        name = self.program.network.model.name
        return html.section(name, f"at step {self.t}{surprise}", html.table(("", "belief", ""), rows, left=3))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}: {_short(belief)}" for name, belief in self.beliefs.items())
        return f"<mind of {self.program.network.model.name} at step {self.t}: {told}>"


def _short(belief: Belief) -> str:
    if belief.family == "Normal" and not belief.plates:
        return f"{float(belief.mean):.3g} ± {float(belief.sd):.2g}"
    if belief.family != "Categorical" or belief.plates or belief.members is None:
        return belief.family
    p = belief.params["p"]
    return f"{belief.members[int(np.argmax(p))]} ({float(np.max(p)):.2f})"
