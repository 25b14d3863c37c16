"""Lowering: each random statement becomes a factor whose slots are quantities over named plates.

A plate whose members differ in what is observed is split, so that every reference in a part is wholly known or wholly latent;
the split is found by evaluation: a mixed reference raises `Mixed`, and both parts are tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, known, shift, widen
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.enumerations import EnumeratingEvaluator, Enumeration, Mixed, indices_of, members_of, split_until_plain
from ppl.compiler.forms import Form, Term
from ppl.compiler.latents import DISCRETE, OBSERVED, PREDICTED, LatentVariable, latent_reference
from ppl.compiler.quantities import Featured, Gaussian, NotConjugate, Quantity, known_feature
from ppl.compiler.quantity_functions import apply_quantity
from ppl.compiler.supports import outside
from ppl.factors.factor import Factor
from ppl.factors.registry import factor
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator, index_value, sizes_of
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

LARGEST_INDICATOR = 64


@dataclass(frozen=True)
class SecondMoment:
    """E[e²] (`square`) or E[e eᵀ] (`outer`) of an affine form of Normal variables.

    `spread` is a known variance (or covariance) beside that of the form: the scatter of data that were averaged. `rows` names
    plates to sum over, with the number that each sum is divided by.
    """

    form: Form
    outer: bool
    spread: Plated | None = None
    rows: tuple[tuple[str, float], ...] = ()

    @property
    def dims(self) -> tuple[str, ...]:
        gone = {name for name, _ in self.rows}
        return tuple(d for d in self.form.dims if d not in gone)


Feature = Plated | Form | SecondMoment


def terms_of(feature: Feature) -> tuple[Term, ...]:
    form = feature.form if isinstance(feature, SecondMoment) else feature
    return form.terms if isinstance(form, Form) else ()


@dataclass(frozen=True)
class LoweredFactor:
    """`sizes` are those of all its plates, enumerated ones included; `constant` is what does not depend on anything latent."""

    label: str
    statement: typed.RandomStatement | typed.Potential
    factor: Factor
    slots: dict[str, dict[str, Feature]]
    enumerations: tuple[Enumeration, ...]
    sizes: dict[str, int]
    constant: float = 0.0
    weight: Plated = field(default_factory=lambda: Plated((), np.asarray(1.0)))  # how many members of a plate each one stands for

    @property
    def defines(self) -> str:
        """The variable whose distribution it is; none where it is a potential or evidence."""
        return self.statement.variable if isinstance(self.statement, typed.RandomStatement) else ""

    @property
    def plates(self) -> tuple[str, ...]:
        enumerated = {e.dim for e in self.enumerations}
        return tuple(d for d in self.sizes if d not in enumerated)

    def features(self) -> Iterator[Feature]:
        return (f for slot in self.slots.values() for f in slot.values())

    def terms(self) -> Iterator[Term]:
        for feature in self.features():
            yield from terms_of(feature)

    @property
    def variables(self) -> tuple[str, ...]:
        """The latent variables that it touches."""
        return tuple(dict.fromkeys([v for t in self.terms() for v in t.variables] + [e.variable for e in self.enumerations]))


class LatentEvaluator(EnumeratingEvaluator):
    """Evaluation where some variables are latent: a reference to one is a quantity, or a plate over its states."""

    def __init__(
        self, bound: BoundModel, latents: Mapping[str, LatentVariable], definitions: Mapping[str, list[typed.DeterministicStatement]]
    ):
        super().__init__(bound.sizes, bound.values)
        self.bound, self.latents, self.definitions = bound, latents, definitions
        self.enumerations: dict[str, Enumeration] = {}  # by the name of their plate

    def reference(self, name: str, indices: tuple[Plated, ...], span: Any) -> Any:
        if any(not isinstance(i, Plated) for i in indices):
            raise NotConjugate("an index that is a latent real value")
        if name in self.definitions:
            return self.deterministic(name, indices, span)
        if name not in self.latents:
            return index_value(known(self.values[name]), indices)
        variable = self.latents[name]
        if variable.lookup is None:
            return self.latent(variable, indices)
        return self.partly_observed(variable, indices)

    def latent(self, variable: LatentVariable, indices: tuple[Plated, ...]) -> Any:
        if variable.family not in DISCRETE:
            return latent_reference(variable, indices)
        if len(indices) < len(variable.plates) or any(i.rank for i in indices):
            return self.enumerate_all(variable, indices)
        return self.enumerate(variable, indices)

    def partly_observed(self, variable: LatentVariable, indices: tuple[Plated, ...]) -> Any:
        places = np.asarray(variable.lookup)
        plates = places.ndim
        given, rest = indices[:plates], indices[plates:]
        where = index_value(known(places), given)
        if (where.data == OBSERVED).all():
            return index_value(known(self.values[variable.name]), indices)
        if variable.corner is not None and not (where.data == PREDICTED).any():
            inside = (shift(i, -k) for i, k in zip(given, variable.corner, strict=True))
            return self.latent(replace(variable, lookup=None), (*inside, *rest))
        enumerated = {e.dim for e in self.enumerations.values()}
        if where.rank == 0 and not enumerated & set(where.dims):
            for kind in (PREDICTED, OBSERVED):
                if (where.data == kind).any():
                    raise Mixed(where.map(lambda a, k=kind: a == k))
            return self.latent(replace(variable, lookup=None), (indices_of(where), *rest))
        if (where.data == PREDICTED).any():
            raise NotConjugate(f"all of `{variable.name}`, of which some entries are predicted")
        if variable.family in DISCRETE:
            raise NotConjugate(f"`{variable.name}` over a whole plate at once, where some of its members are latent")
        quantity = latent_reference(variable, (where.map(lambda a: np.maximum(a, 0)), *rest))
        if (where.data >= 0).all():
            return quantity
        values = self.values[variable.name]
        filled = np.where(widen(places >= 0, values.ndim), 0.5, values)  # a number that has a logarithm and a reciprocal
        data = index_value(known(filled), indices)
        return apply_quantity("if", [where.map(lambda a: (a < 0) * 1.0), data, quantity])

    def deterministic(self, name: str, indices: tuple[Plated, ...], span: Any) -> Any:
        """The definition, evaluated at the members that the reference asks for."""
        statements = self.definitions[name]
        if len(statements) == 1:
            return self.defined(statements[0], indices)
        chosen = [s for s in statements if self.covers(s, indices)]
        if len(chosen) == 1:
            return self.defined(chosen[0], indices)
        first = statements[0]
        if len(first.indices) == 1 and not indices and all(not s.loops for s in statements):
            return self.stacked([self.defined(s, self.own_indices(s)) for s in statements], span)
        return index_value(self.assembled(name), indices)

    def assembled(self, name: str) -> Plated:
        """A deterministic variable whose statements are all known, whole; plates that are not theirs (draws) stay plates."""
        parts = []
        for statement in self.definitions[name]:
            loops = self.loops_of(statement)
            value = self.evaluate(statement.value, loops)
            if not isinstance(value, Plated):
                raise NotConjugate(f"`{name}`, which several statements define, at an index that may belong to any of them")
            parts.append((value, loops, self.place_of(statement, loops)))
        sizes = {d: n for value, loops, _ in parts for d, n in value.sizes.items() if d not in sizes_of(loops)}
        array = np.full((*sizes.values(), *self.bound.shape(self.bound.model.variables[name])), np.nan)
        for value, loops, place in parts:
            full = {**sizes, **sizes_of(loops)}
            array[(slice(None),) * len(sizes) + place] = value.arranged(tuple(full), full)
        return Plated(tuple(sizes), array)

    def place_of(self, statement: typed.TypedStatement, loops: Mapping[str, Plated]) -> tuple[np.ndarray, ...]:
        """Where a statement's members stand in the array of its variable."""
        sizes = sizes_of(loops)
        return tuple(self.index(i, None, loops).arranged(tuple(sizes), sizes) for i in statement.indices)

    def own_indices(self, statement: typed.TypedStatement) -> tuple[Plated, ...]:
        return tuple(self.evaluate(i, {}) for i in statement.indices)

    def covers(self, statement: typed.DeterministicStatement, indices: tuple[Plated, ...]) -> bool:
        """Whether the statement defines exactly the (constant) members that are asked for."""
        loops = self.loops_of(statement)
        for place, index in zip(statement.indices, indices, strict=False):
            mine = set(np.ravel(self.evaluate(place, loops).data).tolist())
            if not set(np.ravel(index.data).tolist()) <= mine:
                return False
        return len(indices) >= len(statement.indices)

    def defined(self, statement: typed.DeterministicStatement, indices: tuple[Plated, ...]) -> Any:
        """The value at these indices; plates that they leave out become the first axes of the value."""
        own = len(statement.indices)
        if any(i.rank for i in indices[:own]):
            raise NotConjugate(f"a slice of `{statement.variable}`, which is defined in a plate")
        loops: dict[str, Plated] = {}
        for place, index in zip(statement.indices, indices, strict=False):
            loops.update(_bound_loop(place, index))
        left = {}
        for loop in statement.loops:
            if loop.name not in loops:
                loops[loop.name] = left[loop.name] = self.loop_index(loop, loops)
        outer = {d for name, i in loops.items() if name not in left for d in i.dims}
        value = self.apart(lambda: self.over_axes(statement, loops, left), lambda: self.one_by_one(statement, loops, left), outer)
        return index_value(value, indices[own:])

    def over_axes(self, statement: typed.DeterministicStatement, loops: Mapping[str, Plated], left: Mapping[str, Plated]) -> Any:
        value = self.evaluate(statement.value, loops)
        for place, index in enumerate(left.values()):
            value = plate_to_axis(value, index.dims[0], place, index.data.shape[0])
        return value

    def one_by_one(self, statement: typed.DeterministicStatement, loops: Mapping[str, Plated], left: Mapping[str, Plated]) -> Any:
        """The same member by member, as each has states of its own."""
        flat = self.stacked([self.evaluate(statement.value, {**loops, **one}) for one in members_of(left)], statement.span)
        if not isinstance(flat, Plated):
            raise NotConjugate(f"`{statement.variable}` over a whole plate at once, where it depends on states that are latent")
        shape = tuple(i.data.shape[0] for i in left.values())
        return flat.map(lambda a: a.reshape(a.shape[: len(flat.dims)] + shape + flat.shape[1:]))

    def apply(self, function: str, arguments: list[Any], span: Any) -> Any:
        if function == "if" and isinstance(arguments[0], Plated) and any(isinstance(a, Featured) for a in arguments[1:]):
            chosen = self.chosen(*arguments)
            if chosen is not None:
                return chosen
        try:
            return apply_quantity(function, arguments)
        except NotConjugate as refusal:
            if getattr(refusal, "span", None) is None:
                refusal.span = span  # type: ignore[attr-defined]
            raise

    def chosen(self, condition: Plated, then: Any, otherwise: Any) -> Any:
        """The side that a known condition takes, so that a factor touches no other; where it takes both, the plate is split."""
        if condition.rank or {e.dim for e in self.enumerations.values()} & set(condition.dims):
            return None
        holds = condition.data != 0
        if holds.any() and not holds.all():
            raise Mixed(condition.map(lambda a: a != 0))
        return then if holds.all() else otherwise


def _bound_loop(place: typed.TypedExpression, index: Plated) -> dict[str, Plated]:
    """The loop's index where a definition of `m[t]`, `m[t + 1]` or `m[0]` is asked for `m[index]`."""
    match place:
        case typed.IndexReference(name=name):
            return {name: index}
        case typed.Constant() | typed.Member():
            return {}
        case typed.Apply(function="add" | "subtract" as sign, arguments=(typed.IndexReference(name=name), typed.Constant(value=by))):
            return {name: shift(index, -int(by) if sign == "add" else int(by))}
    raise NotConjugate("a definition at a computed index")


def plate_to_axis(value: Any, name: str, place: int, size: int) -> Any:
    """A plate becomes an axis of the value, after those that did before it."""
    if isinstance(value, Plated):
        if name in value.dims:
            return value.dim_to_axis(name, place)
        wide = value.insert_axis(place)
        at = len(value.dims) + place
        return Plated(wide.dims, np.broadcast_to(wide.data, wide.data.shape[:at] + (size,) + wide.data.shape[at + 1 :]))
    if isinstance(value, Gaussian):
        if value.rank != place:
            raise NotConjugate("a vector of latent values that is defined in a plate and used as a whole")
        return Gaussian(value.affine.dim_to_axis(name, size))
    assert isinstance(value, Featured)
    if value.rank != place:
        raise NotConjugate("a vector of latent values that is defined in a plate and used as a whole")
    return replace(value, features={k: f.dim_to_axis(name, size) for k, f in value.features.items()})


# ------------------------------------------------------------------ statements to factors
def lower_statement(
    statement: typed.RandomStatement,
    bound: BoundModel,
    latents: Mapping[str, LatentVariable],
    definitions: Mapping[str, list[typed.DeterministicStatement]],
) -> list[LoweredFactor]:
    """The factors of a statement, one for each way in which its members are observed; predicted members are left out."""
    loops = LatentEvaluator(bound, latents, definitions).loops_of(statement)
    try:
        return split_until_plain(loops, lambda part: _lower_part(statement, bound, latents, definitions, part))
    except NotConjugate as refusal:
        assert isinstance(statement.distribution, typed.DistributionCall)
        raise AimError([_refusal(statement, statement.distribution, refusal)]) from None


def _lower_part(statement, bound, latents, definitions, loops) -> LoweredFactor | None:
    evaluator = LatentEvaluator(bound, latents, definitions)
    call = statement.distribution
    kind = factor(DISTRIBUTIONS[call.name].implementation)
    target = tuple(evaluator.index(i, None, loops) for i in statement.indices)
    child = _child(statement.variable, target, evaluator, bound)
    if child is None:
        return None
    try:
        arguments = canonical_arguments(call, kind, evaluator, loops)
        if "n" in kind.parameters and "n" not in arguments:
            arguments["n"] = child.sum_value() if isinstance(child, Plated) else None
        constant = 0.0
        enumerated = {e.variable for e in evaluator.enumerations.values()}
        if kind.base_measure is not None and isinstance(child, Plated) and statement.variable not in enumerated:
            constant = _base_measure(kind, child, arguments, loops)
        slots = {name: arguments[name] for name in kind.slots if name in arguments}
        if "x" in kind.slots:
            slots["x"] = child
        for name, (left, right) in kind.differences.items():
            sides = {**arguments, "x": child}
            slots[name] = evaluator.call("subtract", [sides[left], sides[right]], statement.span)
        if "one_hot" in kind.slots.get("x", ()):
            slots["x"], slots["p"] = _indicators(slots["x"], slots["p"])
        features = {name: {f: _feature(slots[name], f, kind, name) for f in wanted} for name, wanted in kind.slots.items()}
        _refuse_in_two_slots(features)
    except NotConjugate as refusal:
        raise AimError([_refusal(statement, call, refusal)]) from None
    sizes = sizes_of(loops)
    for enumeration in evaluator.enumerations.values():
        sizes[enumeration.dim] = enumeration.size
    return LoweredFactor(
        label=f"{statement.variable} ~ {call.name}",
        statement=statement,
        factor=kind,
        slots=features,
        enumerations=tuple(evaluator.enumerations.values()),
        sizes=sizes,
        constant=constant,
    )


def _refuse_in_two_slots(slots: Mapping[str, Mapping[str, Feature]]) -> None:
    """A factor's slots are independent of each other: a variable that stands in two of them has no expectation here."""
    seen: dict[str, str] = {}
    for slot, features in slots.items():
        for feature in features.values():
            for name in (v for term in terms_of(feature) for v in term.variables):
                if seen.setdefault(name, slot) != slot:
                    raise NotConjugate(f"`{name}` in two places at once")


def _refusal(statement: typed.RandomStatement, call: typed.DistributionCall, refusal: NotConjugate) -> Diagnostic:
    span = getattr(refusal, "span", None) or call.span or statement.span
    return Diagnostic(
        "AIM0720",
        f"there is no message for this statement yet: it needs {refusal}",
        span,
        f"in `{statement.variable} ~ {call.name}`; this form is not supported yet",
    )


def _child(name: str, target: tuple[Plated, ...], evaluator: LatentEvaluator, bound: BoundModel) -> Any:
    """What the statement defines: data, a quantity, or None where it takes no part in inference."""
    if name in evaluator.latents:
        lookup = evaluator.latents[name].lookup
        if lookup is not None and (index_value(known(lookup), target).data == PREDICTED).all():
            return None
        return evaluator.reference(name, target, None)
    if name not in bound.values:
        return evaluator.reference(name, target, None) if name in evaluator.definitions else None
    seen = index_value(known(bound.observed[name]), target)
    if seen.data.all():
        return index_value(known(bound.values[name]), target)
    if seen.data.any():
        raise Mixed(seen)
    return None


def canonical_arguments(call: typed.DistributionCall, kind: Factor, evaluator: Evaluator, loops: Mapping[str, Plated]) -> dict[str, Any]:
    """The arguments, turned into the parameters that the factor is written in. Raises AimError where one leaves its support."""
    arguments: dict[str, Any] = {}
    for name, expression in call.arguments.items():
        value = evaluator.number(expression, loops)
        told = outside(call.name, name, np.asarray(value.data, float)) if isinstance(value, Plated) else ""
        if told:
            text = f"`{name}` of `{call.name}` must be {told}, and is not for some members, or values of what is latent"
            raise AimError([Diagnostic("AIM0732", text, expression.span)])
        target, steps = kind.conversions.get(name, (name, ()))
        for function, *others in steps:
            value = evaluator.call(function, [value, *(known(o) for o in others)], expression.span)
        if isinstance(value, Plated) and np.any(np.isinf(value.data)):
            text = f"the `{name}` of this {kind.name} is {'0 or ' if steps else ''}not finite for some members or states"
            raise AimError([Diagnostic("AIM0730", text, expression.span, "keep it away from 0" if steps else "")])
        arguments[target] = value
    if kind.requires is not None and all(isinstance(v, Plated) for v in arguments.values()):
        wrong = kind.requires(**{k: v.data for k, v in arguments.items()})
        if wrong:
            raise AimError([Diagnostic("AIM0618", wrong, call.span)])
    return arguments


def _indicators(member: Any, table: Any) -> tuple[Plated, Any]:
    """A known member as indicators of the table's entries; of a large table only the entry is taken."""
    if not isinstance(member, Plated):
        raise NotConjugate("a member that is no discrete variable")
    size = table.shape[-1] if isinstance(table, Plated) else table.form("log").shape[-1]
    if size <= LARGEST_INDICATOR or member.start is not None:
        return member.map(lambda k: (np.asarray(k)[..., None] == np.arange(size)) * 1.0), table
    return Plated((), np.ones(1)), table.take(-1 if isinstance(table, Plated) else table.rank - 1, member.insert_axis(0))


def _base_measure(kind: Factor, child: Plated, arguments: dict[str, Any], loops: Mapping[str, Plated]) -> float:
    """Σ log h(x) over the members of the loops."""
    assert kind.base_measure is not None
    held = [arguments[p] for p in kind.parameters if kind.slots.get(p) == ("value",)]
    own = {d for index in loops.values() for d in index.dims}
    if any(not isinstance(v, Plated) or not set(v.dims) <= own for v in held):
        raise NotConjugate(f"a known number of trials in a {kind.name}")
    dims = tuple(dict.fromkeys(d for index in loops.values() for d in index.dims))
    sizes = sizes_of(loops)
    values = [v.arranged(dims, sizes) for v in (child, *held)]
    return float(np.sum(kind.base_measure(*values)))


def _feature(value: Any, feature: str, kind: Factor, slot: str) -> Feature:
    if feature in ("square", "outer"):
        if isinstance(value, Plated):
            return SecondMoment(Form(value.map(lambda a: np.asarray(a, float))), feature == "outer")
        if isinstance(value, Gaussian):
            return SecondMoment(value.affine, feature == "outer")
        raise NotConjugate(f"a difference of {value.kind}")
    if isinstance(value, Quantity):
        try:
            return value.form(feature)
        except NotConjugate as refusal:
            raise NotConjugate(f"{refusal}, as the `{slot}` of a {kind.name}") from None
    if feature == "one_hot":
        return value
    return known_feature(value, feature)
