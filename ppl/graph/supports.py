"""Whether given values may be what they are said to be: inputs by their types, observations by the distributions that define them.

The first entry that may not is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, widen
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.graph.evaluate import Evaluator
from ppl.graph.references import distribution_name, loop_bounds, uses
from ppl.graph.sizes import contains
from ppl.graph.values import first, lengths, number_text, place_text
from ppl.semantics import typed
from ppl.source.diagnostics import Findings, Related


@dataclass(frozen=True)
class Rule:
    """`holds` says of each value whether it fits (over its own last axes, where the value is a vector or a matrix as a whole);
    `says` goes after "but a Beta" (it may depend on the place), `describe` before it."""

    holds: Callable[[np.ndarray], Any]
    says: str | Callable[[tuple[int, ...]], str]
    describe: Callable[[Any], str] = lambda value: f"is {number_text(value)}"


def _sums_to_one(values: np.ndarray) -> Any:
    return np.abs(values.sum(axis=-1) - 1.0) <= 1e-6


def _symmetric(values: np.ndarray) -> Any:
    return np.isclose(values, np.swapaxes(values, -1, -2), rtol=1e-6, atol=1e-10).all(axis=(-1, -2))


def _positive_definite(values: np.ndarray) -> Any:
    whole = np.where(np.isfinite(values), values, 0.0)
    return np.linalg.eigvalsh(whole)[..., 0] > 0 if whole.size else np.ones(whole.shape[:-2], bool)


def _whole(values: np.ndarray) -> Any:
    return values == np.floor(values)


_FINITE = Rule(np.isfinite, "is a finite number")
_SUM = Rule(_sums_to_one, "sums to 1", lambda value: f"sums to {number_text(float(value.sum()))}")
_POSDEF = (
    _FINITE,
    Rule(_symmetric, "is symmetric", lambda value: "is not symmetric"),
    Rule(_positive_definite, "is positive definite", lambda value: "is not positive definite"),
)
_SUPPORTS: dict[str, tuple[Rule, ...]] = {
    "real": (_FINITE,),
    "positive": (Rule(lambda x: (x > 0) & np.isfinite(x), "is a finite number above 0"),),
    "nonnegative": (Rule(lambda x: (x >= 0) & np.isfinite(x), "is a finite number from 0"),),
    "unit": (Rule(lambda x: (x > 0) & (x < 1), "is between 0 and 1, both excluded"),),
    "simplex": (Rule(lambda x: x > 0, "has entries above 0"), _SUM),
    "posdef": _POSDEF,
    "count": (Rule(lambda x: (x >= 0) & _whole(x) & np.isfinite(x), "is a count: 0, 1, 2, …"),),
    "binary": (Rule(lambda x: (x == 0) | (x == 1), "is 0 or 1"),),
}
_KINDS: dict[str, tuple[Rule, ...]] = _SUPPORTS | {
    "unit": (Rule(lambda x: (x >= 0) & (x <= 1), "is from 0 to 1"),),
    "simplex": (Rule(lambda x: x >= 0, "has no negative entries"), _SUM),
    "int": (Rule(_whole, "is a whole number"),),
    "bool": _SUPPORTS["binary"],
}


def check_type(variable: typed.Variable, value: np.ndarray, where: str, findings: Findings) -> None:
    """A parameter or an input against its type. A real parameter may be infinite: a bound."""
    kind = variable.type.kind
    if kind == "member" or (kind == "real" and variable.role == "parameter"):
        return
    for rule in _KINDS[kind]:
        message = _violation(rule, variable, value, None, f"a value of type {kind}")
        if message:
            findings.error("AIM0616", message, None, where=where, related=(Related(variable.span, "its type is here"),))
            return


def check_observed(statement: typed.RandomStatement, part: Part, variable: typed.Variable, where: str, findings: Findings) -> None:
    """What was observed of the part of a variable that one statement defines, against its distribution.

    Where the arms of a `match` or the components of a mixture differ in their supports, the engine has to say.
    """
    calls = arms(statement.distribution)
    supports = {support for call in calls for support in _supports(call)}
    if len(supports) != 1:
        return
    what = article(distribution_name(statement.distribution))
    for rule in (*_SUPPORTS.get(supports.pop(), ()), *_bounds(calls, part)):
        message = _violation(rule, variable, part.value, part.observed, what, part.start)
        if message:
            place = Related(statement.span, f"`{variable.name}` is defined here")
            findings.error("AIM0615", message, None, where=where, related=(place,))
            return


def check_arguments(statement: typed.RandomStatement, part: Part, variable: typed.Variable, findings: Findings) -> None:
    """Arguments that the given values settle, against the supports of their parameters: an `sd` of 0 among the inputs."""
    for call in arms(statement.distribution):
        for name, expression in call.arguments.items():
            support = DISTRIBUTIONS[call.name].parameters[name].support
            if support not in _KINDS or name in ("low", "high") or not any(True for _ in uses(expression)):
                continue  # bounds may be infinite; constants were checked with the file
            try:
                argument = part.known(expression)
            except np.linalg.LinAlgError as problem:
                findings.error("AIM0618", f"`{name}` cannot be computed from the given values: {str(problem).lower()}", expression.span)
                continue
            wrong = ((rule, _within(~np.asarray(rule.holds(argument)), part)) for rule in _KINDS[support]) if argument is not None else ()
            for rule, places in wrong:
                if places.any():
                    findings.error("AIM0618", _argument_message(rule, name, call, part, variable, argument, first(places)), expression.span)
                    break


def _within(wrong: np.ndarray, part: Part) -> np.ndarray:
    """What is wrong where there are cells."""
    if part.inside is None or not wrong.any():
        return wrong
    inside = part.inside.any(axis=tuple(k for k, n in enumerate(wrong.shape[: part.inside.ndim]) if n == 1), keepdims=True)
    return wrong & widen(np.asarray(inside), wrong.ndim)


def arms(distribution: typed.DistributionCall | typed.DistributionChoice) -> tuple[typed.DistributionCall, ...]:
    """The distributions that may stand there: one, or those in the arms of a `match`."""
    match distribution:
        case typed.DistributionCall():
            return (distribution,)
        case typed.DistributionChoice(arms=choices):
            return tuple(call for _, call in choices)


def article(name: str) -> str:
    """`a Normal`, `an Exponential`."""
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


# ------------------------------------------------------------------ the part of a variable that a statement defines
@dataclass(frozen=True)
class Part:
    """The entries that one statement defines (none where nothing is observed), from `start` on, and its loops over known values."""

    start: tuple[int, ...]
    names: tuple[str, ...]  # of the loops, in the order of the axes; constant indices have none
    loops: Mapping[str, Plated]
    evaluator: Evaluator
    value: np.ndarray
    observed: np.ndarray | None
    inside: np.ndarray | None = None  # where ranges that change with another index have cells, over `names`

    def known(self, expression: typed.TypedExpression) -> np.ndarray | None:
        """The expression beside the entries, an axis for each of theirs; None where it is not known.

        Raises `LinAlgError` where a matrix has no inverse, or no root.
        """
        if any(name not in self.evaluator.values for name, _ in uses(expression)):
            return None
        if contains(expression, typed.Text) or contains(expression, typed.NetworkCall):
            return None
        with np.errstate(all="ignore"):
            value = self.evaluator.number(expression, self.loops)
        return np.asarray(value.arranged(self.names), dtype=float)


def part_of(
    statement: typed.TypedStatement, variable: typed.Variable, value: np.ndarray | None, observed: np.ndarray | None, evaluator: Evaluator
) -> Part | None:
    """The part, or None where its loops depend on what is not known."""
    bounds = loop_bounds(statement.loops)
    if any(name not in evaluator.values for bound in bounds for name, _ in uses(bound)):
        return None
    loops: dict[str, Plated] = {}
    for loop in statement.loops:
        loops[loop.name] = evaluator.loop_index(loop, loops, fresh=False)
    indices = [evaluator.index(i, axis, loops) for i, axis in zip(statement.indices, variable.type.axes, strict=False)]
    if any(len(i.dims) > 1 or (i.dims and i.start is None) for i in indices):
        return None
    start = tuple(int(i.data) if not i.dims else int(i.start or 0) for i in indices)
    cut = tuple(slice(s, s + (i.data.size if i.dims else 1)) for s, i in zip(start, indices, strict=True))
    names = tuple(i.dims[0] if i.dims else f"at {place}" for place, i in enumerate(indices))
    value = np.zeros(0) if value is None else value[cut]
    mask = evaluator.inside(statement.loops, loops)
    inside = None if mask is None else mask.arranged(names) != 0
    return Part(start, names, loops, evaluator, value, None if observed is None else observed[cut], inside)


def computed(model: typed.TypedModel, known: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """What is known, with the deterministic variables that follow from it alone, where one statement defines them."""
    values = dict(known)
    definitions = Counter(statement.variable for statement in model.statements)
    for statement in model.statements:
        variable = model.variables[statement.variable]
        if not isinstance(statement, typed.DeterministicStatement) or definitions[variable.name] > 1 or variable.type.kind == "member":
            continue
        part = part_of(statement, variable, None, None, Evaluator(sizes, values))
        try:
            value = part.known(statement.value) if part is not None else None
        except np.linalg.LinAlgError:
            continue
        if part is None or value is None:
            continue
        counts = {name: loop.data.size for name, loop in part.loops.items()}
        whole = np.broadcast_to(value, (*(counts.get(name, 1) for name in part.names), *value.shape[len(part.names) :]))
        if whole.shape == lengths(variable.type.axes, sizes):
            values[variable.name] = whole
    return values


# ------------------------------------------------------------------ rules
def _supports(call: typed.DistributionCall) -> set[str]:
    """The support of a distribution; those of its components for a Mixture, a Truncated, an Ordered."""
    return {s for c in call.components for s in _supports(c)} if call.components else {DISTRIBUTIONS[call.name].support}


def _bounds(calls: tuple[typed.DistributionCall, ...], part: Part) -> Iterator[Rule]:
    """What the arguments say of the support, where they are known: `n` for counts, `low` and `high` for intervals."""
    if len(calls) != 1:
        return
    call = calls[0]
    known = {name: part.known(call.arguments[name]) for name in ("n", "low", "high") if name in call.arguments}
    n, low, high = known.get("n"), known.get("low"), known.get("high")
    if n is not None and DISTRIBUTIONS[call.name].axes:
        yield Rule(
            lambda x: x.sum(axis=-1) == n,
            lambda at: f"with n = {_at(n, at)} sums to {_at(n, at)}",
            lambda x: f"sums to {number_text(x.sum())}",
        )
    elif n is not None:
        yield Rule(lambda x: x <= n, lambda at: f"with n = {_at(n, at)} is at most {_at(n, at)}")
    if low is not None:
        yield Rule(lambda x: x >= low, lambda at: f"here is not below {_at(low, at)}")
    if high is not None:
        yield Rule(lambda x: x <= high, lambda at: f"here is not above {_at(high, at)}")


def _at(value: np.ndarray, place: tuple[int, ...]) -> str:
    """The entry at a place of an array that may have axes of length 1 there."""
    return number_text(value[tuple(i if n > 1 else 0 for i, n in zip(place, value.shape, strict=False))])


def _violation(
    rule: Rule, variable: typed.Variable, value: np.ndarray, observed: np.ndarray | None, what: str, start: tuple[int, ...] = ()
) -> str | None:
    """What is said of the first value that breaks the rule, and of how many more do."""
    holds = np.asarray(rule.holds(value))
    if observed is not None and not holds.all():
        holds = holds | ~observed.reshape(observed.shape + (1,) * (holds.ndim - observed.ndim))
    if holds.all():
        return None
    place = first(~holds)
    more = holds.size - int(holds.sum()) - 1
    shown = tuple(i + s for i, s in zip(place, start + (0,) * len(place), strict=False))
    said = rule.describe(value[place])
    says = rule.says if isinstance(rule.says, str) else rule.says(place)
    return f"{place_text(variable, shown)} {said}, but {what} {says}" + (f" (and {more} more)" if more else "")


def _argument_message(
    rule: Rule, name: str, call: typed.DistributionCall, part: Part, variable: typed.Variable, argument: Any, place: tuple[int, ...]
) -> str:
    """`sd` is 0 for y[3], but the sd of a Normal is a finite number above 0."""
    shown = tuple(i + s for i, s in zip(place, part.start, strict=False))
    says = rule.says if isinstance(rule.says, str) else rule.says(place)
    return f"`{name}` {rule.describe(argument[place])} for {place_text(variable, shown)}, but the {name} of {article(call.name)} {says}"
