"""The policies of a part: all sequences of joint actions, or those that are written out, with their prior probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import Part
from ppl.agents.network import AgentNetwork
from ppl.agents.planning import log_sum
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

MOST_POLICIES = 10_000_000


@dataclass(frozen=True)
class Policies:
    """`kept` says for each level of the tree which of its nodes go on, where policies are written out; `log_weight` is the log of a
    habit over whole policies, in their order."""

    part: Part
    horizon: int
    sizes: tuple[int, ...]  # of the part's actions
    written: tuple[tuple[int, ...], ...] | None = None
    kept: tuple[np.ndarray, ...] | None = field(default=None, repr=False)
    log_weight: np.ndarray | None = field(default=None, repr=False)

    @property
    def choices(self) -> int:
        return int(np.prod(self.sizes, dtype=int))

    @property
    def count(self) -> int:
        return len(self.written) if self.written is not None else self.choices**self.horizon

    def split(self, joint: Any) -> dict[str, Any]:
        """The places of the single actions in joint ones."""
        found = {}
        for k in range(len(self.sizes))[::-1]:
            found[self.part.actions[k]] = joint % self.sizes[k] if k else joint
            joint = joint // self.sizes[k] if k else joint
        return found

    def steps(self) -> np.ndarray:
        """The joint action of each step of each policy: policies × horizon."""
        if self.written is not None:
            return np.asarray(self.written)
        return np.stack(np.unravel_index(np.arange(self.count), (self.choices,) * self.horizon), axis=-1)

    def first(self, probabilities: Any) -> Any:
        """The probability of each first joint action; policies are along the last axis."""
        if self.written is None:
            return probabilities.reshape(*probabilities.shape[:-1], self.choices, -1).sum(axis=-1)
        return jnp.zeros((*probabilities.shape[:-1], self.choices)).at[..., np.asarray(self.written)[:, 0]].add(probabilities)

    def log_first(self, log_probabilities: Any, action: Any) -> Any:
        """The log of the probability that this joint action comes first; policies are along the last axis."""
        begins = jnp.asarray(self.steps()[:, 0]) == jnp.asarray(action)[..., None]
        return log_sum(jnp.where(begins, log_probabilities, -jnp.inf))

    def log_prior(self, log_habit: Any) -> Any:
        """The log prior of each policy from that of each joint action."""
        total = jnp.zeros(1)
        for k in range(self.horizon):
            total = (total[:, None] + log_habit).reshape(-1)
            total = total if self.kept is None else total[self.kept[k]]
        return total if self.log_weight is None else total + self.log_weight


def policies_of(network: AgentNetwork, part: Part, horizon: int) -> Policies:
    """The policies of a part. Raises `AimError` where those that are written out have another length, or where there are too many."""
    sizes = tuple(network.factor[a].size for a in part.actions)
    planning, habit = network.agent.planning, network.agent.habit
    choices = int(np.prod(sizes, dtype=int))
    entries = planning.policies if planning is not None and part.actions else None
    for entry in (*(entries or ()), *((habit if part.actions else None) or ())):
        if len(entry.actions) != horizon:
            text = f"this policy has {len(entry.actions)} step{'s' if len(entry.actions) != 1 else ''}, and the horizon is {horizon}"
            raise AimError([Diagnostic("AIM0405", text, entry.span, f"write {horizon} actions")])
    written = tuple(dict.fromkeys(e.actions for e in entries)) if entries is not None else None
    if habit and part.actions:
        if written is None and choices**horizon > 4096:
            written = tuple(dict.fromkeys(e.actions for e in habit))
        return _weighted(network, Policies(part, horizon, sizes, written, _levels(written, choices)), habit)
    if written is None and choices**horizon > MOST_POLICIES:
        text = f"{choices} actions over {horizon} steps make {choices**horizon:.3g} policies, which are too many to value one by one"
        raise AimError(
            [Diagnostic("AIM0415", text, planning.span if planning else None, "a shorter horizon, or policies written out: policies = […]")]
        )
    return Policies(part, horizon, sizes, written, _levels(written, choices))


def _levels(written: tuple[tuple[int, ...], ...] | None, choices: int) -> tuple[np.ndarray, ...] | None:
    """For each level the places, among the children of the nodes before, of the beginnings that some policy has."""
    if written is None:
        return None
    levels: list[np.ndarray] = []
    above: dict[tuple[int, ...], int] = {(): 0}
    for k in range(len(written[0])):
        here = list(dict.fromkeys(policy[: k + 1] for policy in written))
        levels.append(np.array([above[one[:-1]] * choices + one[-1] for one in here]))
        above = {one: place for place, one in enumerate(here)}
    return tuple(levels)


def _weighted(network: AgentNetwork, policies: Policies, habit: tuple[typed.PolicyEntry, ...]) -> Policies:
    order = {tuple(int(a) for a in policy): place for place, policy in enumerate(policies.steps())}
    weights = np.zeros(policies.count)
    for entry in habit:
        if entry.actions not in order:
            text = "this policy has a habit, and is not among the `policies` that are planned"
            raise AimError([Diagnostic("AIM0404", text, entry.span, "add it there, or take its habit away")])
        if entry.weight is not None:
            weights[order[entry.actions]] += float(network.number(entry.weight))
    if not weights.sum() > 0:
        raise AimError([Diagnostic("AIM0404", "none of the policies that are planned has a habit", habit[0].span)])
    with np.errstate(divide="ignore"):
        log_weight = np.log(weights / weights.sum())
    return Policies(policies.part, policies.horizon, policies.sizes, policies.written, policies.kept, log_weight)
