"""What is settled before anything is traced: which entries are latent, which variables are summed over, what defines what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.needed import needed_entries
from ppl.compiler.separated import must_be_separated, separated
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import Evaluator
from ppl.graph.references import statement_uses, uses
from ppl.graph.values import missing
from ppl.semantics import typed

Definitions = dict[str, tuple[typed.DeterministicStatement, ...]]
COUNTS, FINITE = "count", ("binary", "member")
Drawn = Literal["nothing", "finite", "all"]  # of discrete variables, whose states are drawn in turn and not summed over
FIRST_COUNTS = 64  # of a count without an end that are summed over, where nobody says how many


@dataclass(frozen=True)
class Structure:
    """`latent` are the needed entries of random variables that are not given, as masks over all axes of the value.

    `needed` masks are over the plates, and hold what is given too: the other entries are drawn afterwards. `enumerated` are the discrete
    variables with latent entries, by their number of states; those in `endless` have more, and are summed over so many only. Those that
    are `drawn` are not summed over: a sampler takes their states in turn; of the `capped` ones there are more than are looked at.
    """

    bound: BoundModel = field(repr=False)
    statements: tuple[typed.RandomStatement, ...] = field(repr=False)
    definitions: Definitions = field(repr=False)
    needed: Mapping[str, np.ndarray] = field(repr=False)
    latent: Mapping[str, np.ndarray] = field(repr=False)
    enumerated: Mapping[str, int]
    endless: frozenset[str] = frozenset()
    drawn: Mapping[str, int] = field(default_factory=dict)
    capped: frozenset[str] = frozenset()

    def of(self, name: str) -> tuple[typed.RandomStatement, ...]:
        return tuple(s for s in self.statements if s.variable == name)

    @cached_property
    def on_states(self) -> frozenset[str]:
        """Deterministic variables that depend on what is summed over."""
        return frozenset(n for n in self.definitions if self.reached(n) & set(self.enumerated))

    def reached(self, name: str) -> set[str]:
        """All that a variable's definitions mention, through other definitions too."""
        found: set[str] = set()
        queue = [name]
        while queue:
            for statement in self.definitions.get(queue.pop(), ()):
                for used, _ in statement_uses(statement):
                    if used not in found:
                        found.add(used)
                        queue.append(used)
        return found

    def recursion_of(self, name: str) -> tuple[str, ...] | None:
        """The deterministic variables that need each other at earlier indices, this one among them; None where it does not need itself."""
        if name not in self.reached(name):
            return None
        return tuple(n for n in self.definitions if n in self.reached(name) and name in self.reached(n))

    def state_values(self, name: str, size: int) -> np.ndarray:
        member = self.bound.model.variables[name].type.kind == "member"
        return np.arange(size) if member else np.arange(size, dtype=float)


def structure_of(bound: BoundModel, counts: Mapping[str, int] | None = None, *, whole: bool = False, drawn: Drawn = "nothing") -> Structure:
    """`counts` says how many values of a count without an end are looked at; with `whole` every entry is needed; counts without an end are
    drawn only with "all"."""
    statements, definitions = split(bound.model)
    needed = _needed(bound, statements, definitions, whole)
    latent = {n: mask for n in needed if n not in definitions and (mask := _latent(bound, n, needed[n])).any()}
    apart = [n for n in latent if must_be_separated(s for s in statements if s.variable == n)]
    if apart:
        return structure_of(separated(bound, apart), counts, whole=whole, drawn=drawn)
    states: dict[str, int | None] = {}
    for name in bound.model.variables:
        if name in latent and _discrete(name, statements):
            states[name] = _states(bound, [s for s in statements if s.variable == name], states)
    endless = frozenset(n for n, size in states.items() if size is None)
    sizes = {n: size or (counts or {}).get(n, FIRST_COUNTS) for n, size in states.items()}
    taken = {n: size for n, size in sizes.items() if drawn == "all" or (drawn == "finite" and n not in endless)}
    enumerated = {n: size for n, size in sizes.items() if n not in taken}
    capped = endless & set(taken)
    return Structure(bound, statements, definitions, needed, latent, enumerated, endless - capped, taken, capped)


def split(model: typed.TypedModel) -> tuple[tuple[typed.RandomStatement, ...], Definitions]:
    """Random and deterministic statements; `~ Delta(value)` defines its variable."""
    random: list[typed.RandomStatement] = []
    definitions: dict[str, list[typed.DeterministicStatement]] = {}
    for s in model.statements:
        if isinstance(s, typed.RandomStatement) and isinstance(s.distribution, typed.DistributionCall) and s.distribution.name == "Delta":
            value = s.distribution.arguments["value"]
            s = typed.DeterministicStatement(s.variable, s.indices, s.loops, value, span=s.span)
        if isinstance(s, typed.DeterministicStatement):
            definitions.setdefault(s.variable, []).append(s)
        else:
            random.append(s)
    return tuple(random), {n: tuple(d) for n, d in definitions.items()}


def calls(distribution: typed.DistributionCall | typed.DistributionChoice) -> Iterator[typed.DistributionCall]:
    """The distributions that a value may come from: those inside mixtures, truncations and choices."""
    match distribution:
        case typed.DistributionChoice(arms=arms):
            for _, call in arms:
                yield from calls(call)
        case typed.DistributionCall(components=components) if components:
            for component in components:
                yield from calls(component)
        case typed.DistributionCall():
            yield distribution


def _discrete(name: str, statements: tuple[typed.RandomStatement, ...]) -> bool:
    supports = {DISTRIBUTIONS[c.name].support for s in statements if s.variable == name for c in calls(s.distribution)}
    return bool(supports & {COUNTS, *FINITE})


def _needed(
    bound: BoundModel, statements: tuple[typed.RandomStatement, ...], definitions: Definitions, whole: bool
) -> dict[str, np.ndarray]:
    """The entries that are given, or on which something given depends."""
    variables = bound.model.variables
    kept = {s.variable: np.ones(bound.shape(variables[s.variable])[: variables[s.variable].plates], bool) for s in statements if whole}
    found = needed_entries(bound, statements, definitions, kept)
    computed = {s.variable for s in statements} & set(definitions)
    whole_ones = {n: np.ones(bound.shape(variables[n])[: variables[n].plates], bool) for n in computed}
    return {n: mask | bound.observed[n] if n in bound.observed else mask for n, mask in found.items()} | whole_ones


def _latent(bound: BoundModel, name: str, needed: np.ndarray) -> np.ndarray:
    """The entries of a variable that are inferred; of a vector that is observed in part, those of its numbers that are missing."""
    variable = bound.model.variables[name]
    shape = bound.shape(variable)
    wide = np.broadcast_to(needed.reshape(needed.shape + (1,) * (len(shape) - needed.ndim)), shape)
    if name not in bound.values:
        return wide
    return wide & missing(bound.values[name])


# ------------------------------------------------------------------ how many states
States = Mapping[str, int | None]
"""The number of states of the discrete variables that stand before; None of a count without an end."""


def _states(bound: BoundModel, statements: list[typed.RandomStatement], before: States) -> int | None:
    return _most(_states_of(bound, s, s.distribution, before) for s in statements)


def _most(numbers: Iterable[int | None]) -> int | None:
    found = list(numbers)
    return None if None in found else max(n for n in found if n is not None)


def _states_of(bound: BoundModel, statement: typed.RandomStatement, distribution: Any, before: States) -> int | None:
    if isinstance(distribution, typed.DistributionCall) and distribution.name == "Truncated":
        high = _known_most(bound, statement, distribution.arguments["high"])
        if high is not None and np.isfinite(high):
            return int(high) + 1
    return _most(_states_of_call(bound, statement, c, before) for c in calls(distribution))


def _states_of_call(bound: BoundModel, statement: typed.RandomStatement, call: typed.DistributionCall, before: States) -> int | None:
    support = DISTRIBUTIONS[call.name].support
    if support == "binary":
        return 2
    if support == "member":
        index_set = bound.model.variables[statement.variable].type.member_of
        assert index_set is not None
        return bound.sizes[index_set.key]
    if call.name not in ("Binomial", "BetaBinomial"):
        return None
    total = _at_most(call.arguments["n"], before)
    named = next((name for name, _ in uses(total)), "")
    if named in before and isinstance(total, typed.VariableReference | typed.Indexed):
        return before[named]
    most = _known_most(bound, statement, total)
    return None if most is None else int(most) + 1


def _at_most(total: typed.TypedExpression, before: States) -> typed.TypedExpression:
    """What is no less: of what latent counts leave of a total, `max(n - a, 0)`, the total."""
    match total:
        case typed.Apply(function="max", arguments=(inner, typed.Constant(value=0))):
            return _at_most(inner, before)
        case typed.Apply(function="subtract", arguments=(inner, other)) if {name for name, _ in uses(other)} & set(before):
            single = isinstance(other, typed.VariableReference | typed.Indexed)
            return _at_most(inner, before) if single else total
    return total


def _known_most(bound: BoundModel, statement: typed.RandomStatement, e: typed.TypedExpression) -> float | None:
    """The largest value of an expression over the loops, where it is known."""
    known = {n: v for n, v in bound.values.items() if n not in bound.observed or bound.observed[n].all()}
    if any(name not in known for name, _ in uses(e)):
        return None
    evaluator = Evaluator(bound.sizes, known)
    return float(np.max(evaluator.number(e, evaluator.loops_of(statement)).data, initial=0))
