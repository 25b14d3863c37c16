"""What a `test` expects of an agent's run: what was done, seen and so at a step, what was believed, and what was learnt in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.agents.evaluation import Factor
from ppl.agents.rows import by_variable
from ppl.agents.trace import Trace
from ppl.engines.checks import FACTS, RESULTS, BeliefMeaning, compare, expect_belief, failure, no_member, ordinal, refuse_word, written
from ppl.graph.arithmetic import compute, named
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.syntax import tree


def expect_of_trace(item: tree.Expect, trace: Trace) -> list[str]:
    """What to say where the expectation does not hold: nothing where it does."""
    meaning = _Meaning(trace, _learnt(trace))
    if item.relation == "~":
        _refuse_steps(item.subject, trace)
        return expect_belief(item, meaning.learnt)
    if item.relation == "=":
        assert item.value is not None
        got, wanted = compute(item.subject, meaning), compute(item.value, meaning)
        within = float(compute(item.within, meaning)) if item.within is not None else None
        got, wanted = _alike(got, wanted)
        return compare(item, item.subject.span.text, np.asarray(got), np.asarray(wanted), within)
    subject = item.subject
    if isinstance(subject, tree.Binary) and subject.operator in ("==", "!="):
        left, right = _alike(compute(subject.left, meaning), compute(subject.right, meaning))
        if np.all(np.asarray(left) == np.asarray(right)) == (subject.operator == "=="):
            return []
        return [failure(item, f"expected `{subject.span.text}`, which does not hold: `{subject.left.span.text}` is {left}")]
    if isinstance(subject, tree.Name):
        raise AimError(
            [Diagnostic("AIM0801", "of a run it can be expected what is done, seen or believed at a step: go[0] = cue", item.span)]
        )
    holds = compute(subject, meaning)
    refuse_word(holds, subject)
    if np.all(holds):
        return []
    told = f": {compute(subject.left, meaning)} {subject.operator} …" if isinstance(subject, tree.Binary) else ""
    return [failure(item, f"expected `{subject.span.text}`, which does not hold{told}")]


def _refuse_steps(subject: tree.Expression, trace: Trace) -> None:
    """What was so at a step is no posterior: only learnt tables have one."""
    network, (name, _) = trace.program.network, named(subject)
    if name in network.agent.roles:
        real = any(f.real for f in network.factor.values() if f.variable.name == name)
        hint = f"expect mean({subject.span.text}) = …" if real else f"expect probability({subject.span.text} == …) = …"
        message = f"`{name}` has a belief at each step, and `~` is for the tables that are learnt"
        raise AimError([Diagnostic("AIM0803", message, subject.span, hint)])


def _alike(got: Any, wanted: Any) -> tuple[Any, Any]:
    """Members that are numbers compare with numbers."""
    if np.ndim(got) or np.ndim(wanted):
        return (str(got), str(wanted)) if isinstance(got, str) or isinstance(wanted, str) else (got, wanted)
    if isinstance(got, str) != isinstance(wanted, str):
        return (got, written(wanted)) if isinstance(got, str) else (written(got), wanted)
    return got, wanted


def _learnt(trace: Trace) -> BeliefMeaning:
    """What was believed of the learnt tables in the end."""
    network, beliefs = trace.program.network, trace.beliefs_at(trace.steps - 1)
    return BeliefMeaning({name: beliefs[name] for name in network.learnt}, network.model.variables)


@dataclass(frozen=True)
class _Meaning:
    """What names mean: the member that a state, an action or an outcome had at a step; `free_energy`; probabilities of members; moments
    of learnt tables."""

    trace: Trace
    learnt: BeliefMeaning

    def __call__(self, e: tree.Expression) -> Any:
        if isinstance(e, tree.Call):
            if e.function.name == "probability":
                return self._probability(e)
            real = self._moment(e) if e.function.name in ("mean", "sd", "var") else None
            return real if real is not None else self.learnt(e)
        name, indices = named(e)
        if name == "free_energy":
            values = np.asarray(self.trace.told.free_energy[0])
            return values[self._step(indices[0], e)] if indices else values
        network = self.trace.program.network
        if name not in network.agent.roles:
            if isinstance(e, tree.Index) or name in (*RESULTS, *FACTS):
                known = ", ".join([*network.agent.roles, "free_energy"])
                raise AimError([Diagnostic("AIM0803", f"there is no `{name}` of a run", e.span, f"at a step there is {known}")])
            return None
        factor, step, entry = self._addressed(e)
        told = next((of for of in (self.trace.states, self.trace.actions, self.trace.observations) if factor.variable.name in of), None)
        if told is None:
            raise AimError([Diagnostic("AIM0803", f"`{factor.name}` is not known in this run", e.span, f"expect of mean({e.span.text})")])
        values = told[factor.name][0] if self.trace.episodes > 1 else told[factor.name]
        return np.asarray(values[step], float)[entry] if factor.real else str(values[step])

    def _addressed(self, e: tree.Expression) -> tuple[Factor, int, tuple[int, ...]]:
        """The factor and the step of `go[0]`, of `pull[2][0]` in a plate, and the entry of a vector: `x[3][0]`."""
        name, indices = named(e)
        network = self.trace.program.network
        own = [one for f in network.factor.values() if f.variable.name == name for one in f.singles]
        if not own:
            known = did_you_mean(str(name), network.agent.roles) or "there is " + ", ".join(network.agent.roles)
            raise AimError([Diagnostic("AIM0803", f"there is no `{name}` in this run", e.span, known)])
        plates = own[0].variable.plates
        entries = indices[plates + 1 :]
        if not 0 < len(indices) - plates <= len(own[0].variable.type.axes) - plates + 1:
            raise AimError([Diagnostic("AIM0801", f"`{e.span.text}` needs the number of a step", e.span, f"write {e.span.text}[0]")])
        place = tuple(ordinal(compute(i, self), own[0].variable.type.axes[k].set) for k, i in enumerate(indices[:plates]))
        factor = next((f for f in own if f.place == place), None)
        if factor is None:
            raise AimError([Diagnostic("AIM0803", f"there is no `{e.span.text}` in this run", e.span)])
        found = tuple(ordinal(compute(i, self), factor.variable.type.axes[plates].set) for i in entries)
        if any(isinstance(k, str) or not 0 <= k < factor.size for k in found):
            raise AimError([Diagnostic("AIM0803", f"`{factor.name}` has {factor.size} numbers, counted from 0", e.span)])
        return factor, self._step(indices[plates], e), found

    def _step(self, index: tree.Expression, e: tree.Expression) -> int:
        step = compute(index, self)
        if isinstance(step, str) or not 0 <= int(step) < self.trace.steps:
            raise AimError([Diagnostic("AIM0803", f"there is no step `{index.span.text}`: the run has {self.trace.steps}, from 0", e.span)])
        return int(step)

    def _probability(self, e: tree.Call) -> np.ndarray:
        """`probability(side[1] == left_good)`: what was believed after the outcomes of that step."""
        comparison = e.arguments[0].value
        if not isinstance(comparison, tree.Binary) or comparison.operator != "==":
            raise AimError(
                [Diagnostic("AIM0801", "`probability` takes a comparison with a member: probability(side[1] == left_good)", e.span)]
            )
        factor, step, _ = self._addressed(comparison.left)
        if self.trace.program.network.agent.roles[factor.variable.name] != "state":
            raise AimError([Diagnostic("AIM0803", f"there is no belief in `{factor.name}`: it is no state", comparison.left.span)])
        if factor.real:
            text = f"`{factor.name}` is real: expect of mean({comparison.left.span.text}) and sd({comparison.left.span.text})"
            raise AimError([Diagnostic("AIM0803", text, comparison.left.span)])
        members = factor.members
        member = written(compute(comparison.right, lambda _: None))
        if member not in members:
            raise no_member(factor.name, member, members, comparison.right.span)
        return np.asarray(self._belief(factor)[step][members.index(member)])

    def _belief(self, factor: Factor) -> np.ndarray:
        """The belief over a state at each step of the first episode."""
        return by_variable(self.trace.program.network.truth.factors, self.trace.told.beliefs, 2)[factor.name][0]

    def _moment(self, e: tree.Call) -> np.ndarray | None:
        """`mean(x[3])`, `sd(x[3][0])`: of the belief in a real state after the outcomes of that step."""
        subject = e.arguments[0].value
        name, _ = named(subject)
        if name not in {f.variable.name for f in self.trace.program.network.truth.real}:
            return None
        factor, step, entry = self._addressed(subject)
        both = np.asarray(self._belief(factor)[step], float)
        variance = np.diagonal(both[:, 1:])
        value = {"mean": both[:, 0], "var": variance, "sd": np.sqrt(np.maximum(variance, 0.0))}[e.function.name]
        return value[0] if factor.scalar else value[entry]
