"""Values without common coordinates, taken apart: each kind of value is a hidden variable of its own, and the variable is computed.

`x ~ match z: a -> Normal(…); b -> Poisson(…)` is `x·0 ~ Normal(…)`, `x·1 ~ Poisson(…)` and `x = match z: a -> x·0; b -> x·1`, which is
the same in law: what `z` does not choose integrates to 1. A mixture has a hidden index. Counts with a total are Binomials one after
another, each of what the ones before left over. Where some entries are given, their statement stays, of a variable of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import widen
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.parts import applied
from ppl.compiler.rewrites import HIDDEN
from ppl.graph.bound import BoundModel
from ppl.semantics import typed
from ppl.semantics.typed import DistributionCall, IndexSet, RandomStatement, TypedExpression, ValueType, Variable

KINDS = {"count": "int", "binary": "bool"}  # of values, by support
WITH_TOTAL = ("Multinomial", "DirichletMultinomial")
Pattern = tuple[tuple[int | float, ...] | None, ...]


def must_be_separated(statements: Iterable[RandomStatement]) -> bool:
    """Whether the values that these may give a variable have no common coordinates."""
    kinds = {kind for s in statements for kind in _kinds(s.distribution)}
    return len(kinds) > 1 or bool(kinds & {"total", "computed"})


def _kinds(distribution: Any) -> Iterator[str]:
    if isinstance(distribution, typed.DistributionChoice):
        for _, call in distribution.arms:
            yield from _kinds(call)
    elif distribution.name == "Ordered":
        yield "increasing"
    elif distribution.components:
        for component in distribution.components:
            yield from _kinds(component)
    elif distribution.name in WITH_TOTAL:
        yield "total"
    else:
        support = DISTRIBUTIONS[distribution.name].support
        discrete = support in ("binary", "member", "count")
        known = {"LKJ": "corr", "Delta": "computed"}.get(distribution.name)
        yield known or ("discrete" if discrete else support if support in ("simplex", "posdef") else "numbers")


def separated(bound: BoundModel, names: Iterable[str]) -> BoundModel:
    """The model in which these variables are computed from hidden ones."""
    for name in names:
        bound = _Separation(bound, name).made()
    return bound


@dataclass
class _Separation:
    bound: BoundModel
    name: str
    statements: list[typed.TypedStatement] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)
    sets: dict[str, IndexSet] = field(default_factory=dict)

    @property
    def variable(self) -> Variable:
        return self.bound.model.variables[self.name]

    def made(self) -> BoundModel:
        model, bound = self.bound.model, self.bound
        for statement in model.statements:
            if statement.variable != self.name:
                self.statements.append(statement)
            elif isinstance(statement, RandomStatement):
                self.take_apart(statement)
        variables: dict[str, Variable] = {}
        for name, variable in model.variables.items():
            if name == self.name:
                variables |= self.variables
                variable = replace(variable, role="deterministic")
            variables[name] = variable
        values, observed = dict(bound.values), dict(bound.observed)
        sizes = {**bound.sizes, **{k: s.size for k, s in self.sets.items() if s.size is not None}}
        if self.name in values:
            value, mask = values.pop(self.name), observed.pop(self.name)
            values[self.hidden_name("seen")], observed[self.hidden_name("seen")] = value, mask
            filled = np.where(widen(mask, value.ndim), value, 0)
            values |= {self.hidden_name("given"): filled, self.hidden_name("is given"): mask * 1.0}
        changed = replace(model, variables=variables, sets={**model.sets, **self.sets}, statements=tuple(self.statements))
        return replace(bound, model=changed, sizes=sizes, values=values, observed=observed)

    # ------------------------------------------------------------ one statement
    def take_apart(self, statement: RandomStatement) -> None:
        value = self.value_of(statement, statement.distribution)
        if self.name in self.bound.values:
            axes = self.variable.type.axes[: self.variable.plates]
            seen = self.entry("seen", statement, self.variable.type)
            self.statements.append(replace(statement, variable=seen))
            given = self.entry("given", statement, self.variable.type, role="parameter")
            flag = self.entry("is given", statement, ValueType("real", axes), role="parameter")
            chosen = [self.at(name, statement) for name in (flag, given)]
            value = typed.Apply("if", (*chosen, value), span=statement.span, type=value.type)
        self.statements.append(typed.DeterministicStatement(self.name, statement.indices, statement.loops, value, span=statement.span))

    def value_of(self, statement: RandomStatement, distribution: Any) -> TypedExpression:
        """What a distribution gives, as an expression of hidden variables."""
        if isinstance(distribution, typed.DistributionChoice):
            return self.select(statement, distribution.subjects, [(p, self.value_of(statement, c)) for p, c in distribution.arms])
        if distribution.name == "Delta":
            return distribution.arguments["value"]
        if distribution.name == "Mixture":
            which = self.index_of(statement, distribution)
            arms = [(((k,),), self.value_of(statement, c)) for k, c in enumerate(distribution.components)]
            return self.select(statement, (which,), arms)
        if distribution.name in WITH_TOTAL:
            return self.one_by_one(statement, distribution)
        inner = next(_innermost(distribution))
        support = DISTRIBUTIONS[inner.name].support
        kind = ValueType(KINDS.get(support, support), self.variable.type.axes, self.variable.type.member_of)  # type: ignore[arg-type]
        return self.drawn(statement, distribution, kind)

    def drawn(self, statement: RandomStatement, call: DistributionCall, kind: ValueType) -> TypedExpression:
        name = self.entry(str(len(self.variables)), statement, kind)
        self.statements.append(replace(statement, variable=name, distribution=call))
        return self.at(name, statement)

    def select(
        self, statement: RandomStatement, subjects: tuple[Any, ...], arms: Sequence[tuple[Pattern, TypedExpression]]
    ) -> TypedExpression:
        kind = replace(self.variable.type, axes=self.variable.type.axes[self.variable.plates :])
        return typed.Select(subjects, tuple(typed.SelectArm(p, e) for p, e in arms), span=statement.span, type=kind)

    def index_of(self, statement: RandomStatement, mixture: DistributionCall) -> TypedExpression:
        """The hidden index of a mixture's component."""
        name = self.hidden_name(f"which {len(self.variables)}")
        components = IndexSet(name, size=len(mixture.components), span=statement.span)
        self.sets[name] = components
        call = DistributionCall("Categorical", {"p": mixture.arguments["weights"]}, span=mixture.span)
        return self.drawn(statement, call, ValueType("member", self.variable.type.axes[: self.variable.plates], components))

    def one_by_one(self, statement: RandomStatement, call: DistributionCall) -> TypedExpression:
        """The counts of a Multinomial, each a Binomial of what is left; the last is the rest."""
        size, span = self.bound.shape(self.variable)[-1], statement.span
        plates = self.variable.type.axes[: self.variable.plates]
        shares = [self.share(call, k, size) for k in range(size)]
        left, counts = call.arguments["n"], []
        for k in range(size - 1):
            rest = shares[k + 1]
            for share in shares[k + 2 :]:
                rest = applied(span, "add", rest, share)
            n = applied(span, "max", left, 0.0) if k else left
            if call.name == "Multinomial":
                p = applied(span, "divide", shares[k], applied(span, "add", shares[k], rest))
                one = DistributionCall("Binomial", {"n": n, "p": p}, span=call.span)
            else:
                one = DistributionCall("BetaBinomial", {"n": n, "a": shares[k], "b": rest}, span=call.span)
            counts.append(self.drawn(statement, one, ValueType("int", plates)))
            left = applied(span, "subtract", left, counts[-1])
        return typed.Stack((*counts, left), span=span, type=ValueType("int", self.variable.type.axes[self.variable.plates :]))

    def share(self, call: DistributionCall, k: int, size: int) -> TypedExpression:
        """One entry of the probabilities, or of the concentrations."""
        whole = call.arguments["p" if call.name == "Multinomial" else "concentration"]
        place = typed.Constant(k, span=call.span, type=ValueType("int"))
        if isinstance(whole, typed.Stack) and len(whole.items) == size:
            return whole.items[k]
        return typed.Indexed(whole, (place,), span=call.span, type=ValueType("positive"))

    # ------------------------------------------------------------ hidden variables
    def hidden_name(self, suffix: str) -> str:
        return f"{self.name}{HIDDEN}{suffix}"

    def entry(self, suffix: str, statement: RandomStatement, kind: ValueType, role: Any = "random") -> str:
        name = self.hidden_name(suffix)
        self.variables[name] = Variable(name, role, kind, self.variable.plates, span=statement.span)
        return name

    def at(self, name: str, statement: RandomStatement) -> TypedExpression:
        """A hidden variable at the statement's place."""
        kind = self.variables[name].type
        whole = typed.VariableReference(name, span=statement.span, type=kind)
        if not statement.indices:
            return whole
        return typed.Indexed(whole, statement.indices, span=statement.span, type=replace(kind, axes=kind.axes[self.variable.plates :]))


def _innermost(call: DistributionCall) -> Iterator[DistributionCall]:
    """The distributions inside truncations and orders."""
    if not call.components:
        yield call
    for component in call.components:
        yield from _innermost(component)
