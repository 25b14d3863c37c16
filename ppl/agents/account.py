"""How an agent believes and plans, in prose with reasons: what `ppl explain` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from math import prod

from ppl.agents.clusters import Layout
from ppl.agents.evaluation import Factor
from ppl.agents.foresight import outcomes_of
from ppl.agents.network import AgentNetwork
from ppl.agents.policies import Policies
from ppl.agents.program import AgentProgram
from ppl.source.html import Shown


@dataclass(frozen=True, repr=False)
class AgentAccount(Shown):
    program: AgentProgram = field(repr=False)

    def __str__(self) -> str:
        network = self.program.network
        lines = [f"agent {network.model.name}"]
        for what, factors in (("states", network.truth.factors), ("outcomes", network.seen.factors), ("actions", network.done.factors)):
            if factors:
                lines.append(f"{what}: " + ", ".join(_sized(f) for f in factors))
        lines += [f"believes {text}" for text in (*self._beliefs(), *self._reals())]
        for name, table in network.learnt.items():
            lines.append(f"learns {name}: {counted(prod(table.shape), 'row')} of counts, after each step")
        return "\n".join([*lines, *self._planning()])

    def _beliefs(self) -> list[str]:
        """What is believed jointly, and why."""
        return [line for kind in self.program.kinds for line in self._believed(kind.network, kind.perception.layout)]

    def _believed(self, network: AgentNetwork, layout: Layout) -> list[str]:
        lines = []
        each = _each(network.shape)
        for states in layout.clusters:
            if len(states) > 1:
                joint = prod(network.factor[s].size for s in states)
                lines.append(f"{_listed(states)}{each} jointly ({joint} joint states), because they meet in a table: exact")
        alone = [s[0] for s in layout.clusters if len(s) == 1 and not any(s[0] in split for split in layout.split)]
        if alone:
            lines.append(f"{_listed(alone)}{each or ' each' * (len(alone) > 1)} by itself, because no table joins it with another: exact")
        for split in layout.split:
            size = prod(network.factor[s].size for s in split)
            lines.append(f"{_listed(split)}{each} as independent ({size:.3g} joint states are too many): mean field, state by state")
        return lines

    def _reals(self) -> list[str]:
        """Real states: how they are believed."""
        reals, lines = self.program.network.reals, []
        for cluster in reals.clusters if reals is not None else ():
            if not cluster.states:
                continue
            names = ", ".join(f.name if f.scalar else f"{f.name}[{f.size}]" for f in cluster.states)
            how = "exact (Kalman filter)" if cluster.affine else "linearised where the belief stands (extended Kalman filter): not exact"
            lines.append(f"{names} as real states, one Gaussian belief: {how}")
        return lines

    def _planning(self) -> list[str]:
        program = self.program
        if program.options is None:
            return ["no plan: it perceives only"]
        network, lines, options = program.network, [], program.options
        for one in program.policies:
            if one.part.real_actions:
                lines.append(self._continuous(one))
            if one.part.actions:
                lines.append(f"plans {_listed(one.part.actions)}{_each(one.part.shape)}: {self._policies(one)}")
        if sum(one.part.acts * one.part.count for one in program.policies) > 1:
            lines.append("    these reach no state in common, so that expected free energy is a sum and each is planned by itself")
        if program.budget is not None:
            bound = "its price couples them" if program.budget.binds else "more than can be spent, so its price is 0"
            lines.append(f"    within a budget of {program.budget.most:g} at each step: {bound}")
        if options.horizon > 1 and not options.sophisticated and network.reals is None:
            lines.append("    beliefs ahead are predicted and not updated, so that the same information counts at each step;")
            lines.append("    sophisticated = true foresees what will be seen")
        for one, shape in ((one, kind.network.shape) for kind in program.kinds for one in kind.planner.sensed):
            columns = one.fixed.shape[-1] * prod(network.factor[n].size for n in one.learnt)
            lines.append(f"senses {_listed(one.states)}{_each(shape)}: {counted(columns, 'kind')} of joint outcome, by what they say")
            if one.apart:
                lines.append("    their information is added to that of others: too many joint outcomes")
        said = [*network.said("prefer"), *(network.reals.said("prefer") if network.reals is not None else ())]
        preferred = list(dict.fromkeys(factor.name for _, factor, _ in said))
        lines.append(f"prefers {_listed(preferred)}" if preferred else "prefers nothing: information alone counts")
        return [*lines, f"chooses by {self._choice()}"]

    def _policies(self, one: Policies) -> str:
        program = self.program
        assert program.options is not None
        steps = counted(one.horizon, "step")
        if program.options.sophisticated:
            kind = next(kind for kind in program.kinds if one in kind.policies)
            outcomes = counted(outcomes_of(kind.planner, one.part), "kind")
            return f"{counted(one.choices, 'action')} over {steps}, each later action chosen for each of {outcomes} of joint outcome"
        written = " that are written out" if one.written is not None else ""
        return f"{counted(one.count, 'policy', 'policies')}{written} of {steps}, one tree with shared beginnings"

    def _choice(self) -> str:
        """How the first action follows from G."""
        options, network = self.program.options, self.program.network
        assert options is not None
        weights = options.weights
        latent = " (the precision is latent: its Gamma prior is integrated out)" if len(weights.precision) > 1 else ""
        habit = "log habit " if network.agent.habit is not None or any(s.role == "habit" for s in network.agent.statements) else ""
        discount = f", discount {float(weights.discount):.4g}" if float(weights.discount) != 1 else ""
        return f"softmax({habit}− {float(weights.precision @ weights.precision_weights):.4g} · G){latent}{discount}"

    def _continuous(self, one: Policies) -> str:
        """How real actions are chosen."""
        factors = self.program.network.factor
        count = one.horizon * sum(factors[name].size for name in one.part.real_actions)
        each = f" for each of {one.count} policies" if one.part.actions else ""
        names = ", ".join(one.part.real_actions)
        return f"plans {names}: {count} real numbers over {one.horizon} steps{each}, where G is lowest, by Newton steps on its gradient"

    def program_text(self) -> str:
        """What one step computes: its parts in their order, and the array program that JAX makes of them."""
        import jax

        program, network = self.program, self.program.network
        believed = [(kind.network.shape, states) for kind in program.kinds for states in kind.perception.layout.clusters]
        parts = [f"update the belief over {_listed(states)}{_each(shape)}" for shape, states in believed]
        clusters = network.reals.clusters if network.reals is not None else ()
        parts += [f"update the Gaussian belief over {_listed(f.name for f in one.states)}" for one in clusters]
        parts += [f"count {name}" for name in network.learnt]
        with jax.enable_x64(True):
            now = (program.numbers, program.blank, network.done.zero, network.seen.blank)
            rates = (1.0, 1.0)
            if program.options is None:
                array_program = jax.make_jaxpr(partial(program.advance, rates=rates, first=False))(*now)
            else:
                acting = [one.part for one in program.policies if one.part.actions]
                parts += [f"value the policies of {_listed(part.actions)}{_each(part.shape)}" for part in acting]
                preferences = program.log_preferences(range(program.horizon))
                array_program = jax.make_jaxpr(partial(program.step, rates=rates, first=False))(*now, preferences)
        return "\n".join(["one step", *(f"  {part}" for part in parts), "", str(array_program)])


def counted(number: int, one: str, several: str = "") -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def _sized(f: Factor) -> str:
    what = "real" if f.scalar else f"real[{f.size}]"
    return f"{f.name} ({what if f.real else f.size}){_each(f.shape)}"


def _each(shape: tuple[int, ...]) -> str:
    """Of how many members something is told."""
    return f" of each of {prod(shape)} members" if shape else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def account(program: AgentProgram) -> AgentAccount:
    return AgentAccount(program)
