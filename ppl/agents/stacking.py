"""Which plates of an agent are stacked: members that differ in numbers alone are one factor with an axis of members.

A plate of states, actions or outcomes is stacked where every statement about it runs over the whole plate and reads, of what an agent
goes through, the running member alone. Its members are then independent copies of one small agent, and what is computed for one is
computed for all by a map over the axis. The typed statements tell it before any table is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ppl.agents.parameters import behind, read_by
from ppl.graph.bound import BoundModel
from ppl.semantics import typed
from ppl.semantics.walking import variables_in

Read = tuple[str, bool]  # a state, an action or an outcome, and whether it is read at the running member


def stacked_plates(bound: BoundModel, learnt: Collection[str], apart: Collection[str] = ()) -> dict[str, tuple[int, ...]]:
    """The variables whose plates are stacked, with the lengths of these. `learnt` are the random tables of the agent; those `apart` are
    not stacked, nor what is linked to them."""
    agent = bound.model.agent
    assert agent is not None
    reading = _Reading(bound.model)
    group, alone = {name: {name} for name in agent.roles}, set(apart)
    for name, reads, forbids in _said(reading, learnt):
        for other, aligned in reads:
            merged = group[name] | group[other] if aligned else group[name]
            group.update(dict.fromkeys(merged, merged))
            alone |= set() if aligned else {name, other}
        alone |= {name} if forbids else set()
    shapes = {name: _shape(bound, name) for name in agent.roles}
    alone |= {name for name, shape in shapes.items() if not shape or 0 in shape}
    alone |= {name for name, role in agent.roles.items() if role == "action" and bound.model.variables[name].type.member_of is None}
    return {name: shape for name, shape in shapes.items() if not group[name] & alone}


def _said(reading: _Reading, learnt: Collection[str]) -> Iterator[tuple[str, list[Read], bool]]:
    """For each statement, and each term of a budget: what it is about, what it reads, and whether it forbids a stack."""
    model = reading.model
    assert model.agent is not None
    for s in model.agent.statements:
        said = s.value if s.value is not None else s.distribution
        forbids = not covers(s, model) or bool(read_by(s, model) & set(learnt))
        yield s.variable, list(reading.reads(said, tuple(loop.name for loop in s.loops))), forbids
    planning = model.agent.planning
    if planning is not None and planning.budget is not None:
        for term in terms_of(planning.budget):
            whole = isinstance(term, typed.Comprehension) and all(map(_complete, term.loops))
            body, loops = (term.body, tuple(loop.name for loop in term.loops)) if whole else (term, ())
            for name, aligned in reading.reads(body, loops) if not is_total(term) else ():
                yield name, [], not aligned


def _shape(bound: BoundModel, name: str) -> tuple[int, ...]:
    variable = bound.model.variables[name]
    axes = variable.type.axes[: variable.plates]
    return tuple(bound.length(axis) for axis in axes) if all(a.set is not None and not a.extra for a in axes) else ()


def covers(statement: typed.AgentStatement | typed.DeterministicStatement, model: typed.TypedModel) -> bool:
    """Whether one statement speaks of every member of its plates, by their running indices in order."""
    axes = model.variables[statement.variable].type.axes
    names = tuple(loop.name for loop in statement.loops)
    sets = all(loop.set.key == axis.set.key for loop, axis in zip(statement.loops, axes, strict=False) if axis.set is not None)
    return _names(statement.indices) == names and sets and all(map(_complete, statement.loops))


def _complete(loop: typed.Loop) -> bool:
    return loop.low is None and loop.high is None


def _names(indices: tuple[typed.TypedExpression, ...]) -> tuple[str | None, ...]:
    return tuple(i.name if isinstance(i, typed.IndexReference) else None for i in indices)


def terms_of(condition: typed.TypedExpression) -> Iterator[Any]:
    """The summands on both sides of a budget."""
    parts = condition.arguments if isinstance(condition, typed.Apply) and condition.function != "sum" else ()
    if isinstance(condition, typed.Apply) and condition.function in ("add", "less", "less_equal", "greater", "greater_equal"):
        for part in parts:
            yield from terms_of(part)
    else:
        yield condition


def is_total(term: typed.TypedExpression) -> bool:
    """`sum(a)`: over all members of a plate."""
    return isinstance(term, typed.Apply) and term.function == "sum" and isinstance(term.arguments[0], typed.VariableReference)


@dataclass(frozen=True)
class _Reading:
    """What expressions read of what an agent goes through, also by what is computed from it."""

    model: typed.TypedModel

    @property
    def roles(self) -> Mapping[str, str]:
        assert self.model.agent is not None
        return self.model.agent.roles

    def reads(self, value: Any, loops: tuple[str, ...]) -> Iterator[Read]:
        """Each state, action or outcome in a typed value, and whether it is read at the running members of these loops."""
        match value:
            case typed.Indexed(base=typed.VariableReference(name=name), indices=indices):
                yield from self._variable(name, indices, loops)
                yield from self.reads(indices, loops)
            case typed.VariableReference(name=name):
                yield from self._variable(name, (), loops)
            case tuple() | list():
                for item in value:
                    yield from self.reads(item, loops)
            case dict():
                yield from self.reads(tuple(value.values()), loops)
            case _:
                for name in getattr(value, "__dataclass_fields__", ()):
                    if "span" not in name and name != "type":
                        yield from self.reads(getattr(value, name), loops)

    def _variable(self, name: str, indices: tuple[typed.TypedExpression, ...], loops: tuple[str, ...]) -> Iterator[Read]:
        plates = self.model.variables[name].plates
        aligned = plates > 0 and _names(indices[:plates]) == loops
        if name in self.roles:
            yield name, aligned
            return
        hidden = behind({name}, self.model) & set(self.roles)
        for s in self.model.statements if hidden else ():
            if s.variable == name and isinstance(s, typed.DeterministicStatement):
                if aligned and covers(s, self.model):
                    yield from self.reads(s.value, tuple(loop.name for loop in s.loops))
                else:
                    yield from ((other, False) for other in behind(variables_in(s.value), self.model) & set(self.roles))
