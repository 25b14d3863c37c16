"""An observed `Delta` is an equality, `b = e`: it is solved for one latent variable in it, exactly.

Its density is that of `e` as a random variable, at `b`. Where nothing latent is in `e` the equality holds or the data are impossible;
of discrete variables it is a potential, 0 or -inf. An entry of `e` that stands in it once, below steps that can be undone, is a
function of `b` and the rest: it is then known with them, with the derivative of that function; or it is Normal, `e` affine in it, and
`b` is Normal given the rest. What is left over has no solution in these terms and is refused.
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
from ppl.compiler.plan import deterministic_definitions
from ppl.compiler.rewrites import HIDDEN
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import sizes_of
from ppl.graph.references import statement_uses, uses
from ppl.graph.supports import check_observed, part_of
from ppl.graph.values import first, place_text
from ppl.semantics import typed
from ppl.semantics.typed import Constant, DistributionCall, RandomStatement, TypedExpression, ValueType
from ppl.source.diagnostics import AimError, Diagnostic, Findings

DISCRETE = ("binary", "member", "count")


def solved(bound: BoundModel) -> tuple[BoundModel, tuple[str, ...]]:
    """The model without observed Deltas, and the reasons. Raises AimError where one cannot be met, or not be solved."""
    reasons: list[str] = []
    for statement in bound.model.statements:
        if isinstance(statement, RandomStatement) and statement.variable in bound.observed and _value_of(statement) is not None:
            bound, reason = _Equality(statement, bound).solved()
            reasons.append(reason)
    return bound, tuple(reasons)


def _value_of(statement: RandomStatement) -> TypedExpression | None:
    call = statement.distribution
    return call.arguments["value"] if isinstance(call, DistributionCall) and call.name == "Delta" else None


@dataclass(frozen=True)
class _Equality:
    statement: RandomStatement
    bound: BoundModel

    def solved(self) -> tuple[BoundModel, str]:
        name, value = self.statement.variable, _value_of(self.statement)
        assert value is not None
        if not np.all(self.bound.observed[name]):
            raise self.refused(f"`{name}` is given in part", "give the whole of it, or leave the whole of it out")
        latent = self.latent_in([value])
        if not latent:
            self.must_hold(value)
            return self.known((), ()), f"`{name}` is given, and is what its `Delta` says"
        value = self.inlined(value)
        if all(self.is_discrete(n) for n in latent):
            holds = self.apply("log", self.apply("equal", value, self.target))
            potential = typed.Potential(self.statement.loops, holds, span=self.statement.span)
            return self.known((), (potential,)), f"`{name}` is given: states that say another value are impossible"
        for pivot in reversed(self.references(value)):
            solution = solve(value, pivot, self.target)
            if solution is None:
                continue
            others = self.latent_in([solution.value])
            if not others:
                return self.entry_known(pivot, solution), f"`{name_of(pivot)}` is known by `{name}`"
            if solution.coefficient is not None and self.may_be_replaced(pivot, others):
                return self.replaced(value, pivot, solution), f"`{name_of(pivot)}` is solved for, by `{name}` and the rest"
        raise self.refused(
            f"`{name}` is observed, and its `Delta` cannot be solved for one latent variable", "write a `Normal` with a small sd"
        )

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

    def entry_known(self, pivot: TypedExpression, solution: Solution) -> BoundModel:
        """The pivot's entries are known: its statement is that of what was seen, and the pivot is computed."""
        name, loops = name_of(pivot), self.loops
        variable, sizes = self.bound.model.variables[name], sizes_of(loops)
        evaluator = LatentEvaluator(self.bound, {}, {})
        indices = pivot.indices if isinstance(pivot, typed.Indexed) else ()
        place = tuple(evaluator.index(i, None, loops).arranged(tuple(sizes), sizes) for i in indices)
        shape = self.bound.shape(variable)
        seen = np.zeros(shape[: variable.plates], int)
        np.add.at(seen, place, 1)
        if (seen != 1).any():
            raise self.refused(f"`{self.statement.variable}` fixes some entries of `{name}` only, or one of them twice", "observe them")
        values = np.full(shape, np.nan)
        values[place] = self.computed(solution.value, loops)
        if not np.isfinite(values).all():
            at = first(~np.isfinite(values))
            text = f"no value of {place_text(variable, at)} gives the `{self.statement.variable}` that is observed"
            raise AimError([Diagnostic("AIM0615", text, self.statement.span, "look for a value outside of what the expression can be")])
        hidden = replace(variable, name=f"{name}{HIDDEN}seen")
        seen_statements = tuple(replace(s, variable=hidden.name) for s in self.statements_of(name))
        _check(seen_statements, variable, values, self.bound)
        number = Constant(float(np.sum(self.computed(solution.log_derivative, loops))), span=self.statement.span, type=ValueType())
        return self.known(
            (typed.DeterministicStatement(name, indices, self.statement.loops, solution.value, span=self.statement.span), *seen_statements),
            (typed.Potential((), number, span=self.statement.span),),
            gone=self.statements_of(name),
            variables={name: replace(variable, role="deterministic"), hidden.name: hidden},
            values={hidden.name: values},
            observed={hidden.name: np.ones(shape[: variable.plates], bool)},
        )

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


def _check(statements: tuple[RandomStatement, ...], variable: typed.Variable, values: np.ndarray, bound: BoundModel) -> None:
    """Raises AimError where a value that follows is outside of its support."""
    findings = Findings()
    for statement in statements:
        evaluator = LatentEvaluator(bound, {}, {})
        part = part_of(statement, variable, values, np.ones(values.shape[: variable.plates], bool), evaluator)
        if part is not None:
            check_observed(statement, part, variable, "", findings)
    findings.raise_errors()
