"""How an agent believes and plans, in prose with reasons: what `ppl explain` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from ppl.agents.foresight import outcomes_of
from ppl.agents.policies import Policies
from ppl.agents.program import AgentProgram


@dataclass(frozen=True)
class AgentAccount:
    program: AgentProgram = field(repr=False)

    def __str__(self) -> str:
        network = self.program.network
        lines = [f"agent {network.model.name}"]
        for what, factors in (("states", network.states), ("outcomes", network.outcomes), ("actions", network.actions)):
            if factors:
                lines.append(f"{what}: " + ", ".join(f"{f.name} ({f.size})" for f in factors))
        lines += [f"believes {text}" for text in self._beliefs()]
        for name, table in network.learnt.items():
            lines.append(f"learns {name}: {counted(prod(table.shape), 'row')} of counts, after each step")
        return "\n".join([*lines, *self._planning()])

    def _beliefs(self) -> list[str]:
        """What is believed jointly, and why."""
        network, layout = self.program.network, self.program.perception.layout
        lines = []
        for states in layout.clusters:
            if len(states) > 1:
                joint = prod(network.factor[s].size for s in states)
                lines.append(f"{_listed(states)} jointly ({joint} joint states), because they meet in a table: exact")
        alone = [s[0] for s in layout.clusters if len(s) == 1 and not any(s[0] in split for split in layout.split)]
        if alone:
            lines.append(f"{_listed(alone)}{' each' if len(alone) > 1 else ''} by itself, because no table joins it with another: exact")
        for split in layout.split:
            size = prod(network.factor[s].size for s in split)
            lines.append(f"{_listed(split)} as independent ({size:.3g} joint states are too many): mean field, state by state")
        return lines

    def _planning(self) -> list[str]:
        program = self.program
        if program.options is None:
            return ["no plan: it perceives only"]
        network, lines, options = program.network, [], program.options
        for one in program.policies:
            if one.part.actions:
                lines.append(f"plans {_listed(one.part.actions)}: {self._policies(one)}")
        if len(lines) > 1:
            lines.append("    these reach no state in common, so that expected free energy is a sum and each is planned by itself")
        if program.budget is not None:
            bound = "its price couples them" if program.budget.binds else "more than can be spent, so its price is 0"
            lines.append(f"    within a budget of {program.budget.most:g} at each step: {bound}")
        if options.horizon > 1 and not options.sophisticated:
            lines.append("    beliefs ahead are predicted and not updated, so that the same information counts at each step;")
            lines.append("    sophisticated = true foresees what will be seen")
        for one in program.planner.sensed:
            columns = one.fixed.shape[1] * prod(network.factor[n].size for n in one.learnt)
            lines.append(f"senses {_listed(one.states)}: {counted(columns, 'kind')} of joint outcome, by what they say")
            if one.apart:
                lines.append("    their information is added to that of others: too many joint outcomes")
        preferred = list(dict.fromkeys(factor.name for _, factor, _ in network.said("prefer")))
        lines.append(f"prefers {_listed(preferred)}" if preferred else "prefers nothing: information alone counts")
        return [*lines, f"chooses by {self._choice()}"]

    def _policies(self, one: Policies) -> str:
        program = self.program
        assert program.options is not None
        steps = counted(one.horizon, "step")
        if program.options.sophisticated:
            outcomes = counted(outcomes_of(program.planner, one.part), "kind")
            return f"{counted(one.choices, 'action')} over {steps}, each later action chosen for each of {outcomes} of joint outcome"
        written = " that are written out" if one.written is not None else ""
        return f"{counted(one.count, 'policy', 'policies')}{written} of {steps}, one tree with shared beginnings"

    def _choice(self) -> str:
        """How the first action follows from G."""
        options, network = self.program.options, self.program.network
        assert options is not None
        weights = options.weights
        latent = " (the precision is latent: its Gamma prior is integrated out)" if len(weights.precision) > 1 else ""
        habit = "log habit " if network.agent.habit is not None or any(True for _ in network.said("habit")) else ""
        discount = f", discount {float(weights.discount):.4g}" if float(weights.discount) != 1 else ""
        return f"softmax({habit}− {float(weights.precision @ weights.precision_weights):.4g} · G){latent}{discount}"

    def program_text(self) -> str:
        """What one step computes: its parts in their order, and the array program that JAX makes of them."""
        import jax
        import jax.numpy as jnp

        program, network = self.program, self.program.network
        parts = [f"update the belief over {_listed(states)}" for states in program.perception.layout.clusters]
        parts += [f"count {name}" for name in network.learnt]
        with jax.enable_x64(True):
            now = (program.numbers, program.blank, jnp.zeros(len(network.actions), int), jnp.zeros(len(network.outcomes), int), False)
            rates = (1.0, 1.0)
            if program.options is None:
                array_program = jax.make_jaxpr(program.advance)(*now, rates)
            else:
                parts += [f"value the policies of {_listed(one.part.actions)}" for one in program.policies if one.part.actions]
                preferences = program.log_preferences(range(program.horizon))
                array_program = jax.make_jaxpr(program.step)(*now, preferences, rates)
        return "\n".join(["one step", *(f"  {part}" for part in parts), "", str(array_program)])


def counted(number: int, one: str, several: str = "") -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def account(program: AgentProgram) -> AgentAccount:
    return AgentAccount(program)
