"""What the check of a model's statements has produced so far, and how a variable enters it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ppl.semantics.scope import ModelNames
from ppl.semantics.typed import (
    AgentStatement,
    Axis,
    DeterministicStatement,
    IndexSet,
    Planning,
    PolicyEntry,
    Potential,
    RandomStatement,
    TypedExpression,
    TypedMotion,
    ValueType,
    Variable,
)
from ppl.semantics.types import joined, name_type
from ppl.semantics.walking import inside
from ppl.source.diagnostics import Related
from ppl.source.text import Span
from ppl.syntax import tree


@dataclass
class Written:
    """The parts of a typed model, as the statements add to them."""

    statements: list[RandomStatement | DeterministicStatement] = field(default_factory=list)
    potentials: list[Potential] = field(default_factory=list)
    sizes: dict[str, TypedExpression | None] = field(default_factory=dict)
    exports: list[tree.Export] = field(default_factory=list)
    agent: list[AgentStatement] = field(default_factory=list)
    habit: tuple[PolicyEntry, ...] | None = None
    planning: Planning | None = None
    motion: TypedMotion | None = None


@dataclass(frozen=True)
class Definition:
    """What one statement says of the variable that it defines; `own_plates` are the first axes of `value` that are plates too."""

    name: str
    role: Literal["parameter", "input", "random", "deterministic"]
    value: ValueType
    plates: tuple[Axis, ...]
    span: Span
    own_plates: int = 0


def add_variable(definition: Definition, model: ModelNames) -> None:
    """The variable that a statement defines; further pieces of it must be of the same type."""
    name, value, plates = definition.name, definition.value, definition.plates
    if name in model.broken:
        return
    before = model.variables.get(name)
    if before is None:
        whole = ValueType(value.kind, (*plates, *value.axes), value.member_of)
        model.variables[name] = Variable(name, definition.role, whole, len(plates) + definition.own_plates, span=definition.span)
        return
    own = ValueType(before.type.kind, before.type.axes[len(plates) :], before.type.member_of)
    together = joined(own, value)
    if together is None or before.role != definition.role or before.plates != len(plates) + definition.own_plates:
        text = definition.span.text
        if together is None:
            message = f"`{text}` is {name_type(value)} here, {name_type(own)} above"
        else:
            message = f"`{name}` is {before.role} above" if before.role != definition.role else f"`{name}` has other plates above"
        model.findings.error("AIM0215", message, definition.span, related=(Related(before.span, "the first definition"),))
        return
    model.variables[name] = replace(before, type=ValueType(together.kind, (*plates, *together.axes), together.member_of))


def sets_used(model: ModelNames, written: Written) -> dict[str, IndexSet]:
    """Every set that axes, loops and members of the model use, by key."""
    found = {name: model.sets[name] for name in written.sizes}
    parts = (written.statements, written.potentials, tuple(model.networks.values()), written.agent, written.motion)
    for part in (tuple(model.variables.values()), *parts):
        found |= {index_set.key: index_set for index_set in inside(part, IndexSet)}
    for index_set in list(found.values()):
        if index_set.size_name is not None and index_set.size_name not in found:
            found[index_set.size_name] = model.sets.get(index_set.size_name, IndexSet(index_set.size_name, span=index_set.span))
    return found
