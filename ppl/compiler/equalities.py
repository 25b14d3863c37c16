"""An observed `Delta` is an equality, `b = e`: it is solved for one latent variable in it, where there is one.

Its density is that of `e` as a random variable, at `b`. Where nothing latent is in `e` the equality holds or the data are impossible;
of what is discrete, or moves by steps, it is a potential, 0 or -inf. An entry of `e` that stands in it once, below steps that can be
undone, is a function of `b` and the rest: it is then known with them, with the derivative of that function; or it is Normal, `e` affine
in it, and `b` is Normal given the rest; or it is computed of the rest and has its density there. What is left over is a condition: the
latent variables lie on the surface where it holds, which a sampler can walk on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.inversion import Solution, solve
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.parts import applied, mapped, name_of, references_in, with_indices
from ppl.compiler.ranges import WITHIN, is_stepwise, range_of
from ppl.compiler.rewrites import HIDDEN, SEEN
from ppl.compiler.statements import deterministic_definitions
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import sizes_of
from ppl.graph.references import statement_uses, uses
from ppl.graph.supports import check_observed, part_of
from ppl.graph.values import first, place_text
from ppl.semantics import typed
from ppl.semantics.typed import Axis, Constant, DistributionCall, IndexSet, Loop, RandomStatement, TypedExpression, ValueType
from ppl.source.diagnostics import AimError, Diagnostic, Findings

DISCRETE = ("binary", "member", "count")
MOST_CONDITIONS = 100  # equalities that a sampler keeps at every step


def solved(bound: BoundModel, *, surfaces: bool = False) -> tuple[BoundModel, tuple[str, ...]]:
    """The model without observed Deltas, and the reasons. With `surfaces`, what would leave a variable values outside of its support
    is a condition beside the statements. Raises AimError where one cannot be met, or not be solved."""
    reasons: list[str] = []
    for statement in bound.model.statements:
        if isinstance(statement, RandomStatement) and statement.variable in bound.observed and _value_of(statement) is not None:
            equality = _Equality(statement, bound, surfaces)
            if not np.all(bound.observed[statement.variable]):
                equality = equality.of_the_given()
            bound, reason = equality.solved()
            reasons.append(reason)
    return bound, tuple(reasons)


def _value_of(statement: RandomStatement) -> TypedExpression | None:
    call = statement.distribution
    return call.arguments["value"] if isinstance(call, DistributionCall) and call.name == "Delta" else None


@dataclass(frozen=True)
class _Equality:
    statement: RandomStatement
    bound: BoundModel
    surfaces: bool = False

    def solved(self) -> tuple[BoundModel, str]:
        name, value = self.told, _value_of(self.statement)
        assert value is not None
        latent = self.latent_in([value])
        if not latent:
            self.must_hold(value)
            return self.known((), ()), f"`{name}` is given, and is what its `Delta` says"
        value = self.inlined(value)
        if is_stepwise(value, lambda n: self.is_latent(n) and not self.is_discrete(n)):
            holds = self.apply("log", self.apply("equal", value, self.target))
            potential = typed.Potential(self.statement.loops, holds, span=self.statement.span)
            return self.known((), (potential,)), f"`{name}` is given: states that say another value are impossible"
        found = [(pivot, solution) for pivot in reversed(self.references(value)) if (solution := solve(value, pivot, self.target))]
        for pivot, solution in found:
            others = self.latent_in([solution.value])
            if not others and self.speaks_once(pivot):
                return self.entry_known(pivot, solution), f"`{name_of(pivot)}` is known by `{name}`"
            if others and solution.coefficient is not None and self.may_be_replaced(pivot, others):
                return self.replaced(value, pivot, solution), f"`{name_of(pivot)}` is solved for, by `{name}` and the rest"
        free = [(p, s) for p, s in found if self.covers(p) and not self.depends_on(self.latent_in([s.value]), name_of(p))]
        inside = [(p, s) for p, s in free if self.is_inside(p, s)]
        discrete = any(self.is_discrete(n) for n in latent)
        many = int(np.prod(list(sizes_of(self.loops).values()), dtype=int)) > MOST_CONDITIONS
        for pivot, solution in inside or (free if discrete or many or not self.surfaces else []):
            return self.density(pivot, solution), f"`{name_of(pivot)}` is solved for, by `{name}` and the rest"
        if discrete or not self.surfaces:
            raise self.refused(f"`{name}` is observed, and its `Delta` cannot be solved for one latent variable", "use `nuts`")
        return self.condition(value), f"`{name}` is given: what is latent is on the surface where its `Delta` says so"

    @property
    def told(self) -> str:
        return self.statement.variable.partition(HIDDEN)[0]

    def of_the_given(self) -> _Equality:
        """The same of the members that are given, of a hidden variable: the others are computed."""
        name, loops, span = self.statement.variable, self.loops, self.statement.span
        value, variable = _value_of(self.statement), self.bound.model.variables[self.statement.variable]
        given, values = self.bound.observed[name], self.bound.values[name]
        if values.dtype.kind == "f" and not np.isnan(values[~given]).all():
            raise self.refused(
                f"some numbers of a vector of `{name}` are given, and others are not", "give the whole vector, or none of it"
            )
        sizes = sizes_of(loops)
        evaluator = LatentEvaluator(self.bound, {}, {})
        place = tuple(evaluator.index(i, None, loops).arranged(tuple(sizes), sizes) for i in self.statement.indices)
        where = np.nonzero(np.broadcast_to(given[place], tuple(sizes.values())))
        members = IndexSet(f"{name}{HIDDEN}given", len(where[0]))
        loop = Loop(f"{name}{HIDDEN}member", members)
        own = typed.IndexReference(loop.name, span=span, type=ValueType("member", (), members))
        variables, known, names = {}, {}, {}
        for k, one in enumerate(self.statement.loops):
            kind = ValueType("member", (Axis(members),), one.set)
            place_of = typed.Variable(f"{name}{HIDDEN}{one.name}", "input", kind, 1, span=span)
            variables[place_of.name], known[place_of.name] = place_of, loops[one.name].data[where[k]]
            whole = typed.VariableReference(place_of.name, span=span, type=kind)
            names[one.name] = typed.Indexed(whole, (own,), span=span, type=replace(kind, axes=()))
        target = typed.Variable(
            f"{name}{HIDDEN}given",
            "random",
            replace(variable.type, axes=(Axis(members), *variable.type.axes[variable.plates :])),
            1,
            span=span,
        )
        variables[target.name] = target
        at = tuple(p[where] for p in place)
        known[target.name] = values[at]
        assert value is not None
        call = DistributionCall("Delta", {"value": with_indices(value, names)}, span=span)
        statement = RandomStatement(target.name, (own,), (loop,), call, span=span)
        computed = typed.DeterministicStatement(name, self.statement.indices, self.statement.loops, value, span=span)
        model = self.bound.model
        statements = [s for old in model.statements for s in ((computed, statement) if old is self.statement else (old,))]
        variables[name] = replace(variable, role="deterministic")
        bound = replace(
            self.bound,
            model=replace(
                model, statements=tuple(statements), variables={**model.variables, **variables}, sets={**model.sets, members.key: members}
            ),
            sizes={**self.bound.sizes, members.key: len(where[0])},
            values={n: v for n, v in self.bound.values.items() if n != name} | known,
            observed={n: o for n, o in self.bound.observed.items() if n != name} | {target.name: np.ones(len(where[0]), bool)},
        )
        return replace(self, statement=statement, bound=bound)

    def refused(self, text: str, hint: str) -> AimError:
        return AimError([Diagnostic("AIM0727", text, self.statement.span, hint)])

    # ------------------------------------------------------------ expressions
    @property
    def target(self) -> TypedExpression:
        """`b` at the statement's place."""
        variable = self.bound.model.variables[self.statement.variable]
        whole = typed.VariableReference(variable.name, span=self.statement.span, type=variable.type)
        kind = replace(variable.type, axes=variable.type.axes[len(self.statement.indices) :])
        return typed.Indexed(whole, self.statement.indices, span=self.statement.span, type=kind) if self.statement.indices else whole

    def apply(self, function: str, *arguments: TypedExpression | float) -> TypedExpression:
        return applied(self.statement.span, function, *arguments)

    def inlined(self, e: TypedExpression) -> TypedExpression:
        """With what is computed written out, where one statement with the loops' own indices computes it."""
        definitions = deterministic_definitions(self.bound.model)

        def written_out(part: Any) -> Any:
            name = name_of(part)
            statements = definitions.get(name, [])
            indices = part.indices if isinstance(part, typed.Indexed) else ()
            if len(statements) != 1 or name == self.statement.variable:
                return None
            names = [i.name for i in statements[0].indices if isinstance(i, typed.IndexReference)]
            if len(names) != len(statements[0].indices) or len(names) != len(indices):
                return None
            return self.inlined(with_indices(statements[0].value, dict(zip(names, indices, strict=True))))

        return mapped(e, written_out)

    def latent_in(self, expressions: Iterable[TypedExpression]) -> set[str]:
        """The random variables that are not given, also behind definitions."""
        definitions = deterministic_definitions(self.bound.model)
        queue, seen = [n for e in expressions for n, _ in uses(e)], set()
        while queue:
            name = queue.pop()
            if name not in seen:
                seen.add(name)
                if name not in self.bound.values:
                    queue += [n for d in definitions.get(name, ()) for n, _ in statement_uses(d)]
        return {n for n in seen if n not in definitions and self.is_latent(n)}

    def is_latent(self, name: str) -> bool:
        return self.bound.model.variables[name].role == "random" and not np.all(self.bound.observed.get(name, False))

    def is_discrete(self, name: str) -> bool:
        calls = [s.distribution for s in self.statements_of(name)]
        return all(isinstance(c, DistributionCall) and DISTRIBUTIONS[c.name].support in DISCRETE for c in calls)

    def statements_of(self, name: str) -> list[RandomStatement]:
        return [s for s in self.bound.model.statements if isinstance(s, RandomStatement) and s.variable == name]

    def references(self, e: TypedExpression) -> list[TypedExpression]:
        """The mentions of wholly latent variables, by what was defined first; those that stand in it once."""
        names = [n for n, _ in uses(e)]
        order = list(self.bound.model.variables)
        found = [r for r in references_in(e) if names.count(name_of(r)) == 1 and name_of(r) not in self.bound.values]
        return sorted((r for r in found if self.is_latent(name_of(r))), key=lambda r: order.index(name_of(r)))

    # ------------------------------------------------------------ what stands in its place
    def computed(self, e: TypedExpression, loops: Mapping[str, Any]) -> np.ndarray:
        """A known expression over the members of the statement."""
        evaluator = LatentEvaluator(self.bound, {}, deterministic_definitions(without(self.bound, self.statement)))
        sizes = sizes_of(loops)
        with np.errstate(all="ignore"):
            return np.asarray(evaluator.number(e, loops).arranged(tuple(sizes), sizes))

    @property
    def loops(self) -> dict[str, Any]:
        return LatentEvaluator(self.bound, {}, {}).loops_of(self.statement)

    def must_hold(self, e: TypedExpression) -> None:
        loops = self.loops
        said, given = np.broadcast_arrays(self.computed(e, loops), self.computed(self.target, loops))
        wrong = ~np.isclose(said, given, rtol=1e-9, atol=1e-12)
        if wrong.any():
            at = first(wrong)
            place = place_text(self.bound.model.variables[self.statement.variable], self.entry_at(at))
            text = f"{place} is {given[at]:.6g}, but a Delta here is {said[at]:.6g}"
            raise AimError([Diagnostic("AIM0615", text, self.statement.span, "leave it out of the data")])

    def entry_at(self, at: tuple[int, ...]) -> tuple[int, ...]:
        evaluator, loops = LatentEvaluator(self.bound, {}, {}), self.loops
        sizes = sizes_of(loops)
        place = [evaluator.index(i, None, loops).arranged(tuple(sizes), sizes) for i in self.statement.indices]
        return (*(int(p[at[: len(sizes)]]) for p in place), *at[len(sizes) :])

    def known(self, statements: tuple[typed.TypedStatement, ...], potentials: tuple[typed.Potential, ...], **changes: Any) -> BoundModel:
        """The model in which `b` is given without a distribution, and these stand in the place of its statement."""
        model, name = self.bound.model, self.statement.variable
        variables = {**model.variables, name: replace(model.variables[name], role="parameter"), **changes.get("variables", {})}
        gone = changes.get("gone", ())
        kept = [s for s in model.statements if s is not self.statement and not any(s is g for g in gone)]
        observed = {n: o for n, o in self.bound.observed.items() if n != name} | changes.get("observed", {})
        changed = replace(model, variables=variables, statements=(*kept, *statements), potentials=(*model.potentials, *potentials))
        return replace(self.bound, model=changed, observed=observed, values={**self.bound.values, **changes.get("values", {})})

    def place_of(self, pivot: TypedExpression) -> tuple[np.ndarray, ...]:
        """The entries of the pivot's variable that the statement speaks of."""
        loops, sizes = self.loops, sizes_of(self.loops)
        evaluator = LatentEvaluator(self.bound, {}, {})
        indices = pivot.indices if isinstance(pivot, typed.Indexed) else ()
        return tuple(evaluator.index(i, None, loops).arranged(tuple(sizes), sizes) for i in indices)

    def covered(self, pivot: TypedExpression) -> np.ndarray:
        """How often the statement speaks of each entry of the pivot's variable, over its plates."""
        variable = self.bound.model.variables[name_of(pivot)]
        seen = np.zeros(self.bound.shape(variable)[: variable.plates], int)
        indices = pivot.indices if isinstance(pivot, typed.Indexed) else ()
        if len(indices) > variable.plates or any(any(True for _ in uses(i)) and self.latent_in([i]) for i in indices):
            return seen
        sizes = tuple(sizes_of(self.loops).values())
        np.add.at(seen, tuple(np.broadcast_to(p, sizes) for p in self.place_of(pivot)), 1 if indices else int(np.prod(sizes, dtype=int)))
        return seen

    def covers(self, pivot: TypedExpression) -> bool:
        """Whether the statement speaks of every entry of the pivot's variable, once, by its loops' own indices."""
        plain = all(isinstance(i, typed.IndexReference | Constant) for i in getattr(pivot, "indices", ()))
        return plain and bool((self.covered(pivot) == 1).all())

    def speaks_once(self, pivot: TypedExpression) -> bool:
        seen = self.covered(pivot)
        return bool((seen <= 1).all() and seen.any())

    def depends_on(self, others: set[str], name: str) -> bool:
        return name in others or any(name in self.ancestors(other) for other in others)

    def is_inside(self, pivot: TypedExpression, solution: Solution) -> bool:
        """Whether the pivot is in its support, whatever the rest is."""
        supports = {_support(s) for s in self.statements_of(name_of(pivot))}
        found = range_of(solution.value, self.known_range, self.is_latent)
        return supports <= set(WITHIN) and all(found in WITHIN[s] for s in supports)

    def known_range(self, e: TypedExpression) -> str | None:
        try:
            values = self.computed(e, self.loops)
        except KeyError:  # the index of a sum inside the statement
            return None
        if not np.isfinite(values).all():
            return None
        return "real" if (values <= 0).any() else "positive" if (values >= 1).any() else "unit"

    def entry_known(self, pivot: TypedExpression, solution: Solution) -> BoundModel:
        """The pivot's entries are known: its statement is that of what was seen, and the pivot is computed."""
        name, loops = name_of(pivot), self.loops
        variable = self.bound.model.variables[name]
        indices = pivot.indices if isinstance(pivot, typed.Indexed) else ()
        place = self.place_of(pivot)
        shape = self.bound.shape(variable)
        values = np.full(shape, np.nan)
        values[place] = self.computed(solution.value, loops)
        seen = self.covered(pivot) == 1
        if not np.isfinite(values[seen]).all():
            at = tuple(np.argwhere(seen)[first(~np.isfinite(values[seen]))[0]])
            text = f"no value of {place_text(variable, at)} gives the `{self.told}` that is observed"
            raise AimError([Diagnostic("AIM0615", text, self.statement.span, "look for a value outside of what the expression can be")])
        number = Constant(float(np.sum(self.computed(solution.log_derivative, loops))), span=self.statement.span, type=ValueType())
        potentials = (typed.Potential((), number, span=self.statement.span),)
        if not seen.all():
            _check(tuple(self.statements_of(name)), variable, values, seen, self.bound)
            return self.known((), potentials, values={name: values}, observed={name: seen})
        hidden = replace(variable, name=name + SEEN)
        seen_statements = tuple(replace(s, variable=hidden.name) for s in self.statements_of(name))
        _check(seen_statements, variable, values, seen, self.bound)
        return self.known(
            (typed.DeterministicStatement(name, indices, self.statement.loops, solution.value, span=self.statement.span), *seen_statements),
            potentials,
            gone=self.statements_of(name),
            variables={name: replace(variable, role="deterministic"), hidden.name: hidden},
            values={hidden.name: values},
            observed={hidden.name: np.ones(shape[: variable.plates], bool)},
        )

    def density(self, pivot: TypedExpression, solution: Solution) -> BoundModel:
        """The pivot is computed of the rest, and has its density at what it is."""
        name, own = name_of(pivot), self.statement
        variable = self.bound.model.variables[name]
        hidden = replace(variable, name=name + SEEN, role="deterministic")
        indices = pivot.indices if isinstance(pivot, typed.Indexed) else ()
        computed = [typed.DeterministicStatement(n, indices, own.loops, solution.value, span=own.span) for n in (name, hidden.name)]
        return self.known(
            (*computed, *(replace(s, variable=hidden.name) for s in self.statements_of(name))),
            (typed.Potential(own.loops, solution.log_derivative, span=own.span),),
            gone=self.statements_of(name),
            variables={name: replace(variable, role="deterministic"), hidden.name: hidden},
        )

    def condition(self, value: TypedExpression) -> BoundModel:
        """The equality as a condition beside the statements."""
        bound = self.known((), ())
        one = typed.Potential(self.statement.loops, self.apply("subtract", value, self.target), span=self.statement.span)
        return replace(bound, equalities=(*bound.equalities, one))

    def may_be_replaced(self, pivot: TypedExpression, others: set[str]) -> bool:
        """Whether the pivot is a scalar Normal in the same plates as `b`, and no other variable of `e` depends on it."""
        name, statements = name_of(pivot), self.statements_of(name_of(pivot))
        if len(statements) != 1 or name in others:
            return False
        one, indices = statements[0], pivot.indices if isinstance(pivot, typed.Indexed) else ()
        own = {loop.name: loop for loop in self.statement.loops}
        named = [own.get(i.name) if isinstance(i, typed.IndexReference) else None for i in indices]
        there = {loop.name: loop for loop in one.loops}
        theirs = [there.get(i.name) if isinstance(i, typed.IndexReference) else None for i in one.indices]
        alike = len(named) == len(theirs) == len(own) == len(there) and all(
            a is not None and b is not None and (a.set, a.low, a.high) == (b.set, b.low, b.high) for a, b in zip(named, theirs, strict=True)
        )
        behind = {n for other in others for n in self.ancestors(other)}
        call = one.distribution
        return isinstance(call, DistributionCall) and call.name == "Normal" and alike and name not in behind

    def ancestors(self, name: str) -> set[str]:
        """The variables that the definition of one mentions, directly or through others."""
        found, queue = set(), [name]
        while queue:
            one = queue.pop()
            for s in self.bound.model.statements:
                if s.variable == one:
                    new = {n for n, _ in statement_uses(s)} - found
                    found |= new
                    queue += new
        return found

    def replaced(self, value: TypedExpression, pivot: TypedExpression, solution: Solution) -> BoundModel:
        """`b` is Normal around `e` at the mean of the pivot, which is computed from it."""
        name = name_of(pivot)
        (prior,) = self.statements_of(name)
        call, coefficient = prior.distribution, solution.coefficient
        assert isinstance(call, DistributionCall) and coefficient is not None
        indices = pivot.indices if isinstance(pivot, typed.Indexed) else ()
        names = {i.name: j for i, j in zip(prior.indices, indices, strict=True) if isinstance(i, typed.IndexReference)}
        arguments = {n: with_indices(e, names) for n, e in call.arguments.items()}
        (spread,) = (n for n in arguments if n != "mean")
        scale = self.apply("abs", coefficient)
        square = self.apply("multiply", coefficient, coefficient)
        made = {
            "sd": lambda e: self.apply("multiply", e, scale),
            "var": lambda e: self.apply("multiply", e, square),
            "precision": lambda e: self.apply("divide", e, square),
        }[spread](arguments[spread])
        mean = mapped(value, lambda part: arguments["mean"] if part is pivot else None)
        normal = replace(self.statement, distribution=DistributionCall("Normal", {"mean": mean, spread: made}, span=self.statement.span))
        computed = typed.DeterministicStatement(name, indices, self.statement.loops, solution.value, span=prior.span)
        model = self.bound.model
        statements = [s for s in model.statements if s is not prior and s is not self.statement]
        variables = {**model.variables, name: replace(model.variables[name], role="deterministic")}
        return replace(self.bound, model=replace(model, variables=variables, statements=(*statements, normal, computed)))


def without(bound: BoundModel, statement: RandomStatement) -> typed.TypedModel:
    """The model without this statement, so that its variable is what was given."""
    return replace(bound.model, statements=tuple(s for s in bound.model.statements if s is not statement))


def _support(statement: RandomStatement) -> str:
    call = statement.distribution
    bounded = ("Uniform", "TruncatedNormal", "VonMises", "Pareto")
    return DISTRIBUTIONS[call.name].support if isinstance(call, DistributionCall) and call.name not in bounded else ""


def _check(
    statements: tuple[RandomStatement, ...], variable: typed.Variable, values: np.ndarray, seen: np.ndarray, bound: BoundModel
) -> None:
    """Raises AimError where a value that follows is outside of its support."""
    findings = Findings()
    for statement in statements:
        evaluator = LatentEvaluator(bound, {}, {})
        part = part_of(statement, variable, values, seen, evaluator)
        if part is not None:
            check_observed(statement, part, variable, "", findings)
    findings.raise_errors()
