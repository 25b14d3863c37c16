"""A trace: what an agent saw, believed, expected and did, step by step, for one episode or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ppl.agents.loop import Step
from ppl.agents.policy_plan import PolicyPlan
from ppl.agents.program import AgentProgram
from ppl.agents.rows import Columns, by_variable
from ppl.results.belief import Belief
from ppl.source import html
from ppl.source.diagnostics import AimError, Diagnostic

if TYPE_CHECKING:
    import xarray

EPISODES_SHOWN, STEPS_SHOWN = 3, 50  # in a notebook


@dataclass(frozen=True)
class Trace:
    """Arrays by variable have the axes steps, or episodes × steps where there are several episodes, then those of its plates. A member
    of a plate may be asked for by its own name, `m[2]`."""

    program: AgentProgram = field(repr=False)
    told: Step = field(repr=False)  # episodes × steps
    whole_plans: bool = True
    seed: int = 0
    paid: np.ndarray | None = field(default=None, repr=False)  # by an environment: episodes × steps

    @property
    def episodes(self) -> int:
        """How many there are."""
        return self.told.seen.shape[0]

    @property
    def steps(self) -> int:
        """How many there are in each episode."""
        return self.told.seen.shape[1]

    def single(self, episode: int) -> Trace:
        """The trace of one episode."""
        paid = None if self.paid is None else self.paid[episode : episode + 1]
        return replace(self, told=jax.tree.map(lambda x: x[episode : episode + 1], self.told), paid=paid)

    def _shaped(self, value: np.ndarray) -> np.ndarray:
        return value[0] if self.episodes == 1 else value

    def _named(self, columns: Columns, rows: np.ndarray) -> Mapping[str, np.ndarray]:
        return columns.named(self._shaped(rows)) if rows.shape[-1] else {}

    @cached_property
    def observations(self) -> Mapping[str, np.ndarray]:
        """What was seen, by the names of members, None where nothing was; numbers of real outcomes, NaN where nothing was."""
        return self._named(self.program.network.seen, self.told.seen)

    @cached_property
    def actions(self) -> Mapping[str, np.ndarray]:
        """What was done after each step."""
        return self._named(self.program.network.done, self.told.action)

    @cached_property
    def states(self) -> Mapping[str, np.ndarray]:
        """The true states of the world, where it is the agent's own model."""
        return self._named(self.program.network.truth, self.told.states)

    @cached_property
    def beliefs(self) -> Mapping[str, np.ndarray]:
        """The probability of each member of each state after what was seen: steps × members; the mean of a real one. `beliefs_at` has
        whole beliefs."""
        truth, told = self.program.network.truth, {name: self._shaped(value) for name, value in self.told.beliefs.items()}
        means = {f.name: told[f.name][..., 0, 0] if f.scalar else told[f.name][..., 0] for f in truth.real}
        return by_variable(truth.factors, told | means, 1 if self.episodes == 1 else 2)

    @cached_property
    def learnt(self) -> dict[str, np.ndarray]:
        """The counts of each learnt table: steps × rows × members."""
        return {name: self._shaped(value) for name, value in self.told.learnt.items()}

    @property
    def free_energy(self) -> np.ndarray:
        """Of each step, in nats."""
        return self._shaped(self.told.free_energy)

    @property
    def rewards(self) -> np.ndarray | None:
        """What the environment paid with what was seen at each step; None in the agent's own model. The agent does not see it."""
        return None if self.paid is None else self._shaped(self.paid)

    @cached_property
    def G(self) -> np.ndarray:
        """Expected free energy of every policy at each step; of the best one alone where there are too many to keep."""
        plans = [[self.plan_of(t, e) for t in range(self.steps)] for e in range(self.episodes)]
        listed = not self.steps or not plans[0][0].too_many
        found = np.stack([np.stack([p.G if listed else np.array([p.G_of_best]) for p in own]) for own in plans])
        return self._shaped(found)

    def plan(self, step: int, episode: int = 0) -> PolicyPlan:
        """The plan of a step. Raises `AimError` where the agent does not plan, or where plans were too many to keep."""
        if self.program.options is None or not self.whole_plans:
            why = "the agent does not plan" if self.program.options is None else "there were too many policies to keep"
            raise AimError([Diagnostic("AIM0416", f"the trace holds no plan: {why}", None)])
        return self.plan_of(step, episode)

    def plan_of(self, step: int, episode: int = 0) -> PolicyPlan:
        """The plan of a step, whose policies may be the best one alone."""
        planned = jax.tree.map(lambda x: x[episode, step], self.told.planned)
        options = self.program.options
        return PolicyPlan(self.program.network, self.program.policies, planned, options is not None and options.sophisticated)

    def beliefs_at(self, step: int, episode: int = 0) -> Mapping[str, Belief]:
        """Beliefs over states and learnt tables after what was seen at a step."""
        return self.program.beliefs(
            {n: v[episode, step] for n, v in self.told.beliefs.items()}, {n: v[episode, step] for n, v in self.told.learnt.items()}
        )

    def to_xarray(self) -> xarray.Dataset:
        """All that the trace holds, labelled by episode, step and member: observations, actions, states, beliefs, free energy, what was
        learnt as counts, and `G` and `probability` of each policy, where there are not too many."""
        from ppl.agents.labelled import to_xarray

        return to_xarray(self)

    def plot(self, kind: str = "beliefs", *, episode: int = 0, ax: Any = None) -> Any:
        """`beliefs`, `policies` (probabilities over time) or `G`: Matplotlib's axes."""
        from ppl.agents.plots import plot

        return plot(self, kind, episode=episode, ax=ax)

    def _repr_html_(self) -> str:
        from ppl.agents.report import cautions
        from ppl.agents.step_table import step_table

        parts = []
        for k in range(min(self.episodes, EPISODES_SHOWN)):
            head, *rows = step_table(self, k)
            more = [[f"… {len(rows) - STEPS_SHOWN} more", *("" for _ in head[1:])]] if len(rows) > STEPS_SHOWN else []
            parts += [html.line(f"episode {k}")] if self.episodes > 1 else []
            parts.append(html.table(head, [*rows[:STEPS_SHOWN], *more], left=len(head)))
            parts += map(html.line, cautions(self, k))
        if self.episodes > EPISODES_SHOWN:
            parts.append(html.line(f"… {self.episodes - EPISODES_SHOWN} more episodes"))
        return html.section(self.program.network.model.name, self._size, *parts)

    @property
    def _size(self) -> str:
        return f"{self.episodes} episode{'s' * (self.episodes > 1)} of {self.steps} steps"

    def __repr__(self) -> str:
        return f"<trace of {self.program.network.model.name}: {self._size}>"
