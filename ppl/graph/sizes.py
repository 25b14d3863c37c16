"""The size of every index set, from what says one: declarations, sizes given by name, the shapes of values, defaults, members.

Each of them makes a claim; two claims that differ are an error that shows both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ppl.graph.evaluate import Evaluator
from ppl.graph.given import AllGiven, Given
from ppl.graph.references import loop_bounds, subexpressions, uses
from ppl.semantics.typed import Comprehension, IndexSet, SizeOf, Text, TypedExpression, TypedModel, Variable
from ppl.source.diagnostics import Diagnostic, Findings, Related


@dataclass(frozen=True)
class Claim:
    """Something that says a size: `full` is "y has 4 members of N", `short` is "y has 4"."""

    size: int
    full: str
    short: str
    where: str = ""
    variable: Variable | None = None


@dataclass
class _Ledger:
    """What is claimed and computed so far."""

    model: TypedModel
    given: AllGiven
    findings: Findings
    claims: dict[str, Claim] = field(default_factory=dict)
    defaults: dict[str, np.ndarray] = field(default_factory=dict)

    def claim(self, key: str, claim: Claim) -> None:
        """Enter a claim; where it differs from the one before, both are shown."""
        before = self.claims.setdefault(key, claim)
        if before.size == claim.size:
            return
        elsewhere = f" in {before.where}" if before.where and before.where != claim.where else ""
        places = tuple(Related(c.variable.span, f"`{c.variable.name}` is defined here") for c in (claim, before) if c.variable is not None)
        self.findings.error(
            "AIM0608", f"{claim.full}, {before.short}{elsewhere}", None, "both must be the same", where=claim.where, related=places
        )

    @property
    def sizes(self) -> dict[str, int]:
        """What is claimed, with the sets that reach to a size by its name."""
        sizes = {key: claim.size for key, claim in self.claims.items()}
        reaching = (s for s in self.model.sets.values() if s.size_name in sizes)
        return sizes | {s.key: max(0, sizes[root(s)[0]] - s.low) for s in reaching}

    @property
    def evaluator(self) -> Evaluator:
        """Of what is known: numbers as they were given, defaults as they were computed."""
        numbers = {g.variable.name: g.value for g in self.given.values if not g.indices and g.value.dtype.kind in "biuf"}
        return Evaluator(self.sizes, numbers | self.defaults)


@dataclass(frozen=True)
class Settled:
    """The sizes by the key of the set, and the defaults of parameters and inputs for which nothing was given."""

    sizes: dict[str, int]
    defaults: dict[str, np.ndarray]


def settle(model: TypedModel, given: AllGiven, findings: Findings) -> Settled:
    """All sizes and the defaults that are used, as far as anything determines them."""
    ledger = _Ledger(model, given, findings)
    for key, claim in (*_declared(model), *_by_name(model, given, findings), *_from_shapes(given.values)):
        ledger.claim(key, claim)
    _defaults(ledger)
    _reach(ledger)
    _defaults(ledger)
    return Settled(ledger.sizes, ledger.defaults)


def root(index_set: IndexSet) -> tuple[str, int]:
    """The name that the size of a set goes by, and by how much it is larger: `type Cell = 1..M` has M - 1 members."""
    return (index_set.key, 0) if index_set.size_name is None else (index_set.size_name, index_set.low)


def whole_number(value: np.ndarray, least: int) -> int | None:
    """The number, where it is a single whole one that is large enough."""
    if value.ndim or value.dtype.kind not in "iuf" or not np.isfinite(value) or value != np.floor(value) or value < least:
        return None
    return int(value)


# ------------------------------------------------------------------ claims
def _declared(model: TypedModel) -> Iterator[tuple[str, Claim]]:
    for key, index_set in model.sets.items():
        if index_set.size is not None:
            text = f"{key} has {index_set.size} by its definition"
            yield key, Claim(index_set.size, text, text)


def _by_name(model: TypedModel, given: AllGiven, findings: Findings) -> Iterator[tuple[str, Claim]]:
    for name, item in given.sizes.items():
        empty = any(g.value.size == 0 for g in given.values)
        size = whole_number(item.value, least=0 if empty else 1)
        if size is None:
            shown = "a list" if item.value.ndim else repr(item.value.item())
            findings.error("AIM0610", f"the size {name} is {shown}", None, f"a size is a whole number from 1: {name} = 3", where=item.where)
        else:
            key, more = root(model.sets[name]) if name in model.sets else (name, 0)
            yield key, Claim(size + more, f"{name} is {size}", f"{name} is {size}", item.where)


def _from_shapes(values: Iterable[Given]) -> Iterator[tuple[str, Claim]]:
    for item in values:
        axes = item.variable.type.axes[len(item.indices) :]
        value = item.value
        if value.ndim != len(axes) and not (value.size == 0 and value.ndim):
            continue  # the shape is refused where the value is bound
        for axis, length in zip(axes, value.shape, strict=False):
            if axis.set is None:
                continue
            key, more = root(axis.set)
            full = f"{item.written} has {length} members of {axis.set.key}{f' + {axis.extra}' if axis.extra else ''}"
            short = full if axis.extra else f"{item.written} has {length}"
            yield key, Claim(length - axis.extra + more, full, short, item.where, item.variable)


def _defaults(ledger: _Ledger) -> None:
    """Defaults of sizes, parameters and inputs, each as soon as all that it mentions is known."""
    named = {g.variable.name for g in ledger.given.values} | set(ledger.defaults)
    sizes = {key: e for key, e in ledger.model.sizes.items() if e is not None and not _by_itself(ledger.claims.get(key))}
    values = {v.name: v.default for v in ledger.model.variables.values() if v.default is not None and v.name not in named}
    moved = True
    while moved:
        evaluator = ledger.evaluator
        ready_sizes = [key for key, default in sizes.items() if _computable(default, evaluator)]
        ready_values = [name for name, default in values.items() if _computable(default, evaluator)]
        for key in ready_sizes:
            _default_size(key, sizes.pop(key), ledger)
        for name in ready_values:
            ledger.defaults[name] = np.asarray(evaluator.number(values.pop(name), {}).data)
            for key, claim in _from_shapes([Given(name, ledger.model.variables[name], ledger.defaults[name], "")]):
                ledger.claim(key, claim)
        moved = bool(ready_sizes or ready_values)


def _by_itself(claim: Claim | None) -> bool:
    """Whether the size was given by its name, or is a default already: that is no matter for the default then."""
    return claim is not None and claim.variable is None


def _default_size(key: str, default: TypedExpression, ledger: _Ledger) -> None:
    value = np.asarray(ledger.evaluator.evaluate(default, {}).data)
    size, before = whole_number(value, least=1), ledger.claims.get(key)
    if size is None:
        ledger.findings.error("AIM0610", f"the default of the size {key} is {value}", default.span, "a size is a whole number from 1")
    elif before is not None and before.size != size:
        place = Related(default.span, "the default is here")
        hint = f"give {key} = {before.size} if that is meant"
        ledger.findings.error("AIM0608", f"{before.full}, the default of {key} is {size}", None, hint, where=before.where, related=(place,))
    else:
        ledger.claims[key] = Claim(size, f"{key} is {size} by default", f"{key} is {size} by default")


def _computable(expression: TypedExpression, evaluator: Evaluator) -> bool:
    mentioned = all(name in evaluator.values for name, _ in uses(expression)) and all(key in evaluator.sizes for key in _sets(expression))
    return mentioned and not contains(expression, Text)


def contains(expression: TypedExpression, kind: type[TypedExpression]) -> bool:
    """Whether an expression of that kind stands anywhere in it."""
    return isinstance(expression, kind) or any(contains(inner, kind) for inner in subexpressions(expression))


def _sets(expression: TypedExpression) -> Iterator[str]:
    """The sets whose sizes an expression needs."""
    if isinstance(expression, SizeOf):
        yield expression.set.key
    if isinstance(expression, Comprehension):
        yield from (loop.set.key for loop in expression.loops if loop.high is None)
        for bound in loop_bounds(expression.loops):
            yield from _sets(bound)
    for inner in subexpressions(expression):
        yield from _sets(inner)


def _reach(ledger: _Ledger) -> None:
    """A set without a size reaches to the largest member that an index input holds."""
    largest: dict[str, tuple[IndexSet, int, Given]] = {}
    for item in ledger.given.values:
        index_set = item.variable.type.member_of
        if item.variable.role == "random" or index_set is None or index_set.size is not None or root(index_set)[0] in ledger.claims:
            continue
        numbers = item.value[np.isfinite(item.value)] if item.value.dtype.kind in "iuf" else np.zeros(0)
        if numbers.size and (index_set.key not in largest or numbers.max() > largest[index_set.key][1]):
            largest[index_set.key] = (index_set, int(numbers.max()), item)
    for index_set, member, item in largest.values():
        key, more = root(index_set)
        size = max(1, member + 1 - index_set.low)
        ledger.claim(key, Claim(size + more, f"{item.written} reaches to {member}", f"{item.written} reaches to {member}", item.where))
        message = f"{index_set.key} has {size} members: the largest member of {item.written} is {member}"
        ledger.findings.add(
            Diagnostic("AIM0617", message, None, f"give {key} = {size + more} to say so", severity="note", where=item.where)
        )


# ------------------------------------------------------------------ what nothing determines
def refuse_undetermined(model: TypedModel, sizes: Mapping[str, int], findings: Findings) -> None:
    """Every set must have a size: the error says which values would show it."""
    wanted = {root(s)[0]: s.span for s in model.sets.values() if s.size is None and not s.key.endswith("?")}
    inferred = {*model.motion.part.states, *model.motion.actions} if model.motion else set()
    for key in dict.fromkeys((*wanted, *model.sizes)):
        if key in sizes:
            continue
        holders = [v for v in model.variables.values() if v.role in ("input", "random") and key in _roots(v) and v.name not in inferred]
        names = " or ".join(f"`{v.name}`" for v in holders[:3])
        hint = f"give {names}, or the size: {key} = 10" if names else f"give it: {key} = 10"
        spans = [wanted.get(key), *(v.span for v in holders), model.span]
        findings.error("AIM0609", f"nothing determines the size of `{key}`", next(s for s in spans if s is not None), hint)


def _roots(variable: Variable) -> set[str]:
    """The names of the sizes that a value of the variable would show."""
    sets = [axis.set for axis in variable.type.axes]
    if variable.role == "input":
        sets.append(variable.type.member_of)
    return {root(s)[0] for s in sets if s is not None}
