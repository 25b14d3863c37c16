"""How an agent believes and plans, in prose with reasons: what `ppl explain` prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from ppl.agents.foresight import outcomes_of
from ppl.agents.program import AgentProgram


@dataclass(frozen=True)
class AgentAccount:
    program: AgentProgram = field(repr=False)

    def __str__(self) -> str:
        program = self.program
        network, layout = program.network, program.perception.layout
        lines = [f"agent {network.model.name}"]
        lines.append("states: " + ", ".join(f"{f.name} ({f.size})" for f in network.states))
        for states in layout.clusters:
            size = prod(network.factor[s].size for s in states)
            if len(states) > 1:
                lines.append(f"believed jointly: {', '.join(states)} ({size} joint states), because they meet in a table: exact")
        alone = [s[0] for s in layout.clusters if len(s) == 1 and not any(s[0] in split for split in layout.split)]
        if alone:
            lines.append(f"believed by {'itself' if len(alone) == 1 else 'themselves'}: {', '.join(alone)}: exact")
        for split in layout.split:
            size = prod(network.factor[s].size for s in split)
            lines.append(f"believed as independent: {', '.join(split)} ({size:.3g} joint states are too many): mean field, state by state")
        for name, table in network.learnt.items():
            rows = prod(table.shape)
            lines.append(f"learnt: {name}, {rows} {'row' if rows == 1 else 'rows'} of counts, after each step")
        lines += self._planning()
        return "\n".join(lines)

    def _planning(self) -> list[str]:
        program = self.program
        if program.options is None:
            return ["no plan: it perceives only"]
        network, lines = program.network, []
        weights = program.options.weights
        for one in program.policies:
            if not one.part.actions:
                continue
            names = ", ".join(one.part.actions)
            if program.options.sophisticated:
                follows = f"each later action chosen for each of {outcomes_of(program.planner, one.part)} outcomes that tell states apart"
                lines.append(f"plans {names}: {one.choices} actions over {one.horizon} steps, {follows}")
            else:
                written = " that are written out" if one.written is not None else ""
                lines.append(f"plans {names}: {one.count} policies{written} of {one.horizon} steps, one tree with shared beginnings")
        if sum(bool(p.part.actions) for p in program.policies) > 1:
            lines.append("    these reach no state in common, so that expected free energy is a sum and each is planned by itself")
        if program.budget is not None:
            bound = "its price couples them" if program.budget.binds else "more than can be spent, so its price is 0"
            lines.append(f"    within a budget of {program.budget.most:g} at each step: {bound}")
        for one in program.planner.sensed:
            columns = one.fixed.shape[1] * prod(network.factor[n].size for n in one.learnt)
            lines.append(f"outcomes that tell of {', '.join(one.states)}: {columns} kinds of joint outcome that differ in what they say")
            if one.apart:
                lines.append("    their information is added to that of others: too many joint outcomes")
        latent = " (latent: its Gamma prior is integrated out)" if len(weights.precision) > 1 else ""
        precision = f"{float(weights.precision @ weights.precision_weights):.4g}{latent}"
        lines.append(f"chooses by softmax(log habit - {precision} · G), discount {float(weights.discount):.4g}")
        return lines


def account(program: AgentProgram) -> AgentAccount:
    return AgentAccount(program)
