"""Expressions of an agent over every combination of the states and actions that they mention.

A state stands for the running index of a plate of its own name, so that an expression's value has one axis for each state and
action that it names and no other: sparse dependencies are what the statements say. A member of a plate is a factor of its own,
`m[2]`, or one of the members of a stacked factor `m`, whose statements are evaluated once for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, elementwise, known, running, stack
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator, fits, index_value
from ppl.graph.functions import apply_known
from ppl.graph.values import place_text
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class Factor:
    """One state, action or outcome. A member of a plate stands by itself, or all of them together where their plates are stacked."""

    name: str  # "place", "m[2]", stacked "m"
    variable: typed.Variable = field(repr=False)
    place: tuple[int, ...]
    size: int  # of its set; of a real one how many numbers it is
    shape: tuple[int, ...] = ()  # of the plates that are stacked

    @property
    def count(self) -> int:
        """How many members it stands for."""
        return prod(self.shape)

    @property
    def member(self) -> Factor:
        """One of its members, whichever."""
        return replace(self, shape=()) if self.shape else self

    @cached_property
    def singles(self) -> tuple[Factor, ...]:
        """Its members, each by itself."""
        if not self.shape:
            return (self,)
        return tuple(Factor(place_text(self.variable, p), self.variable, p, self.size) for p in np.ndindex(*self.shape))

    @property
    def real(self) -> bool:
        """Whether it is a number, or a vector of numbers, and no member of a set."""
        return self.variable.type.member_of is None

    @property
    def scalar(self) -> bool:
        """Whether it is one number."""
        return self.real and len(self.variable.type.axes) == self.variable.plates

    @property
    def members(self) -> tuple[str, ...]:
        """The names of its members; numbered ones by their numbers."""
        own = self.variable.type.member_of
        names = own.members if own is not None else None
        low = own.low if own is not None else 0
        return names or tuple(str(low + k) for k in range(self.size))


def factors_of(variable: typed.Variable, bound: BoundModel, stacked: Mapping[str, tuple[int, ...]]) -> list[Factor]:
    """The factors of a state, an action or an outcome: one for each member of its plates, or one where these are stacked."""
    own = variable.type.member_of
    size = bound.sizes[own.key] if own is not None else prod(bound.length(axis) for axis in variable.type.axes[variable.plates :])
    if variable.name in stacked:
        return [Factor(variable.name, variable, (), size, stacked[variable.name])]
    plates = [range(bound.length(axis)) for axis in variable.type.axes[: variable.plates]]
    return [Factor(place_text(variable, place), variable, place, size) for place in itertools.product(*plates)]


@dataclass
class AgentEvaluator(Evaluator):
    """`values` hold what is known; `factors` the states and actions by name and place; `model` says what is deterministic."""

    model: typed.TypedModel = field(kw_only=True)
    factors: Mapping[tuple[str, tuple[int, ...]], Factor] = field(kw_only=True)

    def reference(self, name: str, indices: tuple[Plated, ...], span: Any) -> Any:
        if name in self.values:
            return _entry(known(self.values[name]), indices)
        variable = self.model.variables[name]
        if variable.role == "deterministic":
            return self._defined(variable, indices, span)
        if not any(variable.name == own for own, _ in self.factors):
            raise KeyError(name)
        return self._factor(variable, indices)

    def _factor(self, variable: typed.Variable, indices: tuple[Plated, ...]) -> Plated:
        """The running index of a state or action; of a plate of them, all together, or the one that an index chooses. In a statement
        about a stacked plate the index is that of the running member."""
        stacked = self.factors.get((variable.name, ()))
        if stacked is not None and stacked.shape:
            return running(stacked.name, 0, stacked.size)
        fixed = _fixed(indices[: variable.plates])
        if fixed is not None and len(fixed) == variable.plates:
            factor = self.factors[variable.name, fixed]
            return running(factor.name, 0, factor.size)
        whole = self._stacked(variable, ())
        return index_value(whole, indices)

    def _stacked(self, variable: typed.Variable, place: tuple[int, ...]) -> Plated:
        if len(place) == variable.plates:
            factor = self.factors[variable.name, place]
            return running(factor.name, 0, factor.size)
        axis = variable.type.axes[len(place)]
        length = self.sizes[axis.set.key] + axis.extra if axis.set is not None else axis.size or 0
        return stack([self._stacked(variable, (*place, k)) for k in range(length)])

    def _defined(self, variable: typed.Variable, indices: tuple[Plated, ...], span: Any) -> Any:
        """A deterministic variable, computed where it is used; a member of a plate by putting its index for that of the loop."""
        for statement in self.model.statements:
            if statement.variable != variable.name or not isinstance(statement, typed.DeterministicStatement):
                continue
            names = {loop.name for loop in statement.loops}
            places = statement.indices
            if all(isinstance(p, typed.IndexReference) and p.name in names for p in places) and len(indices) >= len(places):
                loops = {p.name: i for p, i in zip(places, indices, strict=False) if isinstance(p, typed.IndexReference)}
                return index_value(self.evaluate(statement.value, loops), indices[len(places) :])
            if places and len(indices) < len(places):
                return self._whole(variable, indices, span)
        return self._piecewise(variable, indices, span)

    def _whole(self, variable: typed.Variable, indices: tuple[Plated, ...], span: Any) -> Plated:
        """The remaining plates of a deterministic variable as an axis of the value."""
        axis = variable.type.axes[len(indices)]
        length = self.sizes[axis.set.key] + axis.extra if axis.set is not None else axis.size or 0
        return stack([self._defined(variable, (*indices, known(k)), span) for k in range(length)])

    def _piecewise(self, variable: typed.Variable, indices: tuple[Plated, ...], span: Any) -> Any:
        """Several statements with constant indices: the one whose place this is."""
        fixed = _fixed(indices[: variable.plates])
        for statement in self.model.statements:
            if statement.variable == variable.name and isinstance(statement, typed.DeterministicStatement):
                own = _fixed(tuple(self.index(i, variable.type.axes[k], {}) for k, i in enumerate(statement.indices)))
                if own is not None and own == fixed:
                    return index_value(self.evaluate(statement.value, {}), indices[variable.plates :])
        raise KeyError(variable.name)

    def members_of(self, statement: typed.AgentStatement) -> Iterator[tuple[Factor, dict[str, Plated]]]:
        """The factors that a statement speaks of, each with the values of its indices: all members of a stacked plate at once."""
        stacked = self.factors.get((statement.variable, ()))
        if stacked is not None and stacked.shape:
            yield stacked, self.loops_of(statement)
            return
        for loops in plate_members(statement.loops, self):
            yield self.factors[statement.variable, self.place_of(statement, loops)], loops

    def place_of(self, statement: typed.AgentStatement, loops: Mapping[str, Plated]) -> tuple[int, ...]:
        """The place, among the plates of its variable, of what a statement speaks of at these values of its indices."""
        axes = self.model.variables[statement.variable].type.axes
        return tuple(int(self.index(i, axes[k], loops).data) for k, i in enumerate(statement.indices))

    # ------------------------------------------------------------ members and their probabilities
    def ordinal(self, e: typed.TypedExpression, own: typed.IndexSet, loops: Mapping[str, Plated]) -> Plated:
        """The place in its set of a member, or of a number that names one."""
        return self.index(e, typed.Axis(own), loops)

    def probabilities(self, statement: typed.AgentStatement, size: int, own: typed.IndexSet, loops: Mapping[str, Plated]) -> Plated:
        """The table of a statement: its value has one axis, over the members. A member outside of its set is a row of zeros."""
        if statement.value is not None:
            return _one_hot(self.ordinal(statement.value, own, loops), size)
        assert statement.distribution is not None
        return self.distribution(statement.distribution, size, own, loops)

    def distribution(self, call: Any, size: int, own: typed.IndexSet, loops: Mapping[str, Plated]) -> Plated:
        if isinstance(call, typed.DistributionChoice):
            subjects = [self.evaluate(s, loops) for s in call.subjects]
            tables = [self.distribution(arm, size, own, loops) for _, arm in call.arms]
            chosen = tables[-1]
            for (patterns, _), table in list(zip(call.arms, tables, strict=True))[-2::-1]:
                chosen = apply_known("if", [fits(subjects, patterns), table, chosen])
            return chosen
        values = {name: self.number(value, loops) for name, value in call.arguments.items() if name != "value"}
        match call.name, *values:
            case "Categorical", "p":
                return values["p"]
            case "Categorical", "logits":
                return apply_known("softmax", [values["logits"]])
            case "Bernoulli", ("p" | "logit" | "probit") as given:
                link = {"logit": "sigmoid", "probit": "normal_cdf"}
                p = values[given] if given == "p" else apply_known(link[given], [values[given]])
                return stack([1.0 - p, p])
            case "Delta", *_:
                return _one_hot(self.ordinal(call.arguments["value"], own, loops), size)
        raise NotImplementedError(call.name)


def _entry(value: Plated, indices: tuple[Plated, ...]) -> Any:
    """The value at these indices; NaN (of members -1) where one lies outside of its axis, which an `if` around it may exclude."""
    lengths = np.shape(value.data)[len(value.dims) :]
    clipped, inside = [], known(1.0)
    for index, length in zip(indices, lengths, strict=False):
        places = np.asarray(index.data)
        if index.rank or ((places >= 0) & (places < length)).all():
            clipped.append(index)
            continue
        inside = inside * Plated(index.dims, ((places >= 0) & (places < length)) * 1.0)
        clipped.append(Plated(index.dims, np.clip(places, 0, length - 1)))
    found = index_value(value, tuple(clipped))
    nowhere = known(-1 if found.data.dtype.kind in "iu" else np.nan)
    return apply_known("if", [inside, found, nowhere]) if inside.dims or not inside.data.all() else found


def _fixed(indices: tuple[Plated, ...]) -> tuple[int, ...] | None:
    """The indices as whole numbers, where each is one."""
    if any(i.dims or i.rank for i in indices):
        return None
    return tuple(int(i.data) for i in indices)


def _one_hot(ordinal: Plated, size: int) -> Plated:
    return elementwise(lambda a: (a[..., None] == np.arange(size)) * 1.0, Plated(ordinal.dims, ordinal.data))


def plate_members(loops: tuple[typed.Loop, ...], evaluator: Evaluator) -> Iterator[dict[str, Plated]]:
    """Each member of the plates around a statement, as values of their indices."""
    if not loops:
        yield {}
        return
    for outer in plate_members(loops[:-1], evaluator):
        index = evaluator.loop_index(loops[-1], outer)
        for k in np.asarray(index.data):
            yield {**outer, loops[-1].name: known(int(k))}


def by_member(table: Plated, statement: typed.AgentStatement, factor: Factor) -> tuple[tuple[str, ...], Any]:
    """The named axes of what a statement says, and its array; of a stacked factor the members come first, as one axis."""
    if not factor.shape:
        return tuple(table.dims), table.data
    plates = tuple(loop.name for loop in statement.loops)
    rest = tuple(d for d in table.dims if d not in plates)
    sizes = dict(zip(plates, factor.shape, strict=True)) | {d: table.sizes[d] for d in rest}
    data = table.arranged((*plates, *rest), sizes)
    return rest, data.reshape(factor.count, *data.shape[len(plates) :])


def refuse_twice(factor: Factor, said: Mapping[str, Any], statement: typed.AgentStatement) -> None:
    """One statement of a role speaks of each member of a plate."""
    if factor.name in said:
        what = {"next": "transitions", "prefer": "preferences", "habit": "habits"}.get(statement.role, "definitions")
        raise AimError([Diagnostic("AIM0410", f"`{factor.name}` has two {what}", statement.span, "write one, with match")])
