"""The checks that travel with a model: `test` blocks, each `expect` against a fresh fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ppl.arrays.plated import Plated, known
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.factors.registry import factor
from ppl.graph.arithmetic import compute, named
from ppl.graph.functions import apply_known
from ppl.results.belief import Belief
from ppl.results.posterior import Posterior
from ppl.semantics.typed import IndexSet, Variable
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

TOLERANCE = 1e-6
MOMENTS = {"mean": "mean", "sd": "sd", "var": "var", "mode": "mode"}
RESULTS = ("status", "log_evidence", "elbo", "free_energy", "iterations")
FACTS = ("exact", "converged")


@dataclass(frozen=True)
class TestResult:
    """One `test` block: whether every expectation held, and what to say of those that did not."""

    __test__ = False

    title: str
    file: str
    passed: bool
    seconds: float
    messages: list[str] = field(default_factory=list)
    span: Span | None = None


Expectation = Callable[[tree.Expect], list[str]]


def run_test(test: tree.TestDeclaration, perform: Callable[[tree.FitLine | tree.RunLine], Expectation]) -> TestResult:
    """Runs the lines of a test in their order; an expectation speaks of the fit or the run above it.

    `perform` does what a `fit` or `run` line says, and gives what tells whether something holds of it.
    """
    start, messages = time.perf_counter(), []
    holds: Expectation | None = None
    for item in test.items:
        try:
            if not isinstance(item, tree.Expect):
                holds = perform(item)
            elif holds is None:
                raise AimError([Diagnostic("AIM0121", "an expectation needs a `fit` or `run` line above it", item.span)])
            else:
                messages += holds(item)
        except AimError as error:
            messages += [str(d) for d in error.diagnostics]
            if not isinstance(item, tree.Expect):
                break
    return TestResult(test.title, test.span.source.name, not messages, time.perf_counter() - start, messages, test.span)


def expect(item: tree.Expect, posterior: Posterior) -> list[str]:
    """What to say where the expectation does not hold: nothing where it does."""
    lookup = _Meaning(posterior, posterior.plan.bound.model.variables, posterior)
    if item.relation == "~":
        return expect_belief(item, lookup)
    if item.relation == "=":
        assert item.value is not None
        got, wanted = np.asarray(compute(item.subject, lookup)), np.asarray(compute(item.value, lookup))
        within = float(compute(item.within, lookup)) if item.within is not None else None
        return compare(item, item.subject.span.text, got, wanted, within)
    if isinstance(item.subject, tree.Name) and item.subject.name in FACTS:
        if getattr(posterior, item.subject.name):
            return []
        told = "an approximation was made" if item.subject.name == "exact" else f"the fit ended with `{posterior.status}`"
        return [failure(item, f"expected `{item.subject.name}`, but {told}")]
    holds = np.asarray(compute(item.subject, lookup))
    refuse_word(holds, item.subject)
    if holds.all():
        return []
    sides = ""
    if isinstance(item.subject, tree.Binary):
        sides = f": {_shown(compute(item.subject.left, lookup))} {item.subject.operator} {_shown(compute(item.subject.right, lookup))}"
    return [failure(item, f"expected `{item.subject.span.text}`, which does not hold{sides}")]


class Beliefs(Protocol):
    """Beliefs by name: a posterior, or what an agent believes at a step."""

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Belief: ...

    def __iter__(self) -> Iterator[str]: ...


@dataclass(frozen=True)
class BeliefMeaning:
    """What names mean where an expectation speaks of beliefs: moments, quantiles, probabilities of members."""

    beliefs: Beliefs
    variables: Mapping[str, Variable]

    def __call__(self, e: tree.Expression) -> Any:
        if not isinstance(e, tree.Call):
            return None
        if e.arguments and e.function.name in (*MOMENTS, "quantile", "median"):
            subject = e.arguments[0].value
            name, indices = named(subject)
            if name is None:
                return None
            belief = self.belief(name, subject)
            if len(e.arguments) != 1 + (e.function.name == "quantile"):
                takes = "a variable and a probability" if e.function.name == "quantile" else "one variable"
                raise AimError([Diagnostic("AIM0801", f"`{e.function.name}` of a belief takes {takes}", e.span)])
            value = self.moment(e, belief)
            return self.entry(name, np.asarray(value), indices, subject)
        return self.probability(e) if e.function.name == "probability" else None

    def moment(self, e: tree.Call, belief: Belief) -> Any:
        """A moment or a quantile of a belief. Raises AimError for those that it does not have."""
        try:
            if e.function.name not in ("quantile", "median"):
                return getattr(belief, MOMENTS[e.function.name])
            return belief.quantile(0.5 if e.function.name == "median" else float(compute(e.arguments[-1].value, self)))
        except ValueError as error:
            raise AimError([Diagnostic("AIM0801", str(error), e.span)]) from None

    def belief(self, name: str | None, subject: tree.Expression) -> Belief:
        """The belief of this name. Raises AimError where there is none."""
        if name is None or name not in self.beliefs:
            listed = "beliefs: " + (", ".join(self.beliefs) or "none")
            raise AimError([Diagnostic("AIM0803", f"there is no belief in `{subject.span.text}`", subject.span, listed)])
        return self.beliefs[name]

    def entry(self, name: str, value: np.ndarray, indices: tuple[tree.Expression, ...], subject: tree.Expression) -> np.ndarray:
        """The entry of a belief at these indices, numbers or members. Raises AimError where there is none."""
        axes = self.variables[name.rstrip("'")].type.axes
        sets = [*(axis.set for axis in axes), *(None for _ in indices[len(axes) :])]
        place = [ordinal(compute(index, self), own) for index, own in zip(indices, sets, strict=False)]
        if len(place) > value.ndim or any(isinstance(i, str) or not 0 <= i < n for i, n in zip(place, value.shape, strict=False)):
            text = f"there is no entry `{subject.span.text}`: the shape is {list(value.shape)}"
            raise AimError([Diagnostic("AIM0803", text, subject.span)])
        return value[tuple(int(i) for i in place)]

    def probability(self, e: tree.Call) -> np.ndarray:
        """`probability(z[0] == cue)`: the probability of a member."""
        comparison = e.arguments[0].value
        if not isinstance(comparison, tree.Binary) or comparison.operator != "==":
            raise AimError([Diagnostic("AIM0801", "`probability` takes a comparison with a member: `probability(z[0] == 1)`", e.span)])
        name, indices = named(comparison.left)
        belief = self.belief(name, comparison.left)
        assert name is not None
        if belief.family not in ("Categorical", "Bernoulli"):
            text = f"`{name}` has no members with a probability each: it is {described(belief)}"
            raise AimError([Diagnostic("AIM0803", text, comparison.left.span)])
        p = np.asarray(belief.params["p"])
        p = np.stack([1 - p, p], axis=-1) if belief.family == "Bernoulli" else p
        members = belief.members or tuple(map(str, range(p.shape[-1])))
        member = written(compute(comparison.right, lambda _: None))
        if member not in members:
            raise no_member(name, member, members, comparison.right.span)
        return self.entry(name, p, indices, comparison.left)[..., members.index(member)]


def ordinal(at: Any, own: IndexSet | None) -> Any:
    """The place along an axis that a member or its number names; what is no member as it is."""
    if isinstance(at, str):
        return own.members.index(at) if own is not None and own.members and at in own.members else at
    return int(at) - (own.low if own is not None else 0)


def described(belief: Belief) -> str:
    """What a belief is, in a sentence."""
    return {"Draws": "known by draws", "Delta": "known by its value"}.get(belief.family, f"a {belief.family}")


def refuse_word(value: Any, subject: tree.Expression) -> None:
    """A member is neither true nor false, so that nothing is expected of it alone."""
    if np.asarray(value).dtype.kind in "USO":
        told = f"`{subject.span.text}` is a member of a set, which neither holds nor fails"
        raise AimError([Diagnostic("AIM0801", told, subject.span, f"expect {subject.span.text} == …")])


def written(member: Any) -> str:
    """A member as the file writes it."""
    return member if isinstance(member, str) else f"{float(member):.10g}"


def no_member(name: str, member: str, members: Sequence[str], span: Span) -> AimError:
    hint = did_you_mean(member, members) or f"it has {', '.join(members)}"
    return AimError([Diagnostic("AIM0110", f"`{name}` has no member `{member}`", span, hint)])


@dataclass(frozen=True)
class _Meaning(BeliefMeaning):
    """Of a fit its results too, sizes, and what was given; a variable that is believed has no value of its own."""

    posterior: Posterior

    def __call__(self, e: tree.Expression) -> Any:
        if isinstance(e, tree.Name) and e.name in RESULTS:
            return self._result(e)
        if isinstance(e, tree.Call):
            return super().__call__(e)
        name, indices = named(e)
        if name is None:
            return None
        bound = self.posterior.plan.bound
        if name in self.beliefs or (name in self.variables and name not in bound.values):
            text = f"`{name}` is believed, and has no value that could be compared"
            raise AimError([Diagnostic("AIM0801", text, e.span, f"expect mean({e.span.text}) = …, or {e.span.text} ~ …")])
        if name in self.variables and self.variables[name].type.kind != "member":
            return self.entry(name, np.asarray(bound.values[name]), indices, e)
        return np.asarray(bound.sizes[name]) if name in bound.sizes and not indices else None

    def _result(self, e: tree.Name) -> np.ndarray:
        value = getattr(self.posterior, e.name)
        if value is None:
            text = f"`{e.name}` is not known: the posterior is an approximation"
            raise AimError([Diagnostic("AIM0802", text, e.span, "expect `elbo` instead")])
        return np.asarray(value)


def expect_belief(item: tree.Expect, meaning: BeliefMeaning) -> list[str]:
    """`expect theta ~ Beta(4, 2)`: the whole belief, by its parameters."""
    name, indices = named(item.subject)
    belief = meaning.belief(name, item.subject)
    assert name is not None
    family, wanted = _wanted(item, belief, meaning)
    if belief.family != family:
        return [failure(item, f"expected `{name}` to be a {family}, but it is {described(belief)}")]
    within = float(compute(item.within, meaning)) if item.within is not None else None
    messages = []
    for key, value in wanted.items():
        got = meaning.entry(name, np.asarray(belief.params[key]), indices, item.subject)
        messages += compare(item, f"{key} of {name}", got, np.asarray(value), within)
    return messages


def _wanted(item: tree.Expect, belief: Belief, lookup: BeliefMeaning) -> tuple[str, dict[str, Any]]:
    """The family that is expected and its parameters as results report them, whatever parametrisation was written."""
    table = _table(item.value)
    if table is not None:
        weights = {str(compute(e.key, lambda _: None)): float(compute(e.value, lookup)) for e in table.entries}
        members = belief.members or tuple(map(str, range(np.shape(belief.params.get("p", [0]))[-1])))
        return "Categorical", {"p": np.array([weights.get(m, 0.0) for m in members])}
    if not isinstance(item.value, tree.Call) or DISTRIBUTIONS[item.value.function.name].implementation is None:
        raise AimError([Diagnostic("AIM0801", "this is no distribution that a belief can be compared with", item.span)])
    signature = DISTRIBUTIONS[item.value.function.name]
    kind = factor(signature.implementation or "")
    canonical = {}
    for k, argument in enumerate(item.value.arguments):
        parameter = argument.name or signature.slots[k][0].name
        target, steps = kind.conversions.get(parameter, (parameter, ()))
        value = Plated((), np.asarray(compute(argument.value, lookup), float))
        for function, *others in steps:
            value = apply_known(function, [value, *(known(o) for o in others)])
        canonical[target] = value.data
    return kind.family, kind.reported(**canonical)


def _table(written: tree.Expression | None) -> tree.TableLiteral | None:
    """`{wet: 0.4, dry: 0.6}`, alone or in `Categorical(…)`."""
    if isinstance(written, tree.Call) and written.function.name == "Categorical" and len(written.arguments) == 1:
        written = written.arguments[0].value
    return written if isinstance(written, tree.TableLiteral) else None


def compare(item: tree.Expect, what: str, got: np.ndarray, wanted: np.ndarray, within: float | None) -> list[str]:
    if got.dtype.kind in "US" or wanted.dtype.kind in "US":
        return [] if np.array_equal(got, wanted) else [failure(item, f"{what} is {got}, expected {wanted}")]
    try:
        got, wanted = np.broadcast_arrays(got, wanted)
    except ValueError:
        return [failure(item, f"{what} has the shape {list(got.shape)}, expected {list(wanted.shape)}")]
    limit = within if within is not None else TOLERANCE * np.maximum(1.0, np.abs(wanted))
    gap = np.abs(got - wanted)
    if np.all(gap <= limit):
        return []
    worst = np.unravel_index(np.argmax(np.where(np.isnan(gap), np.inf, gap - limit)), gap.shape) if gap.shape else ()
    at = "".join(f"[{i}]" for i in worst)
    return [
        failure(
            item,
            f"{what}{at} is {_shown(got[worst])}, expected {_shown(wanted[worst])} within {np.broadcast_to(limit, gap.shape)[worst]:.3g}",
        )
    ]


def _shown(value: Any) -> str:
    array = np.asarray(value)
    return f"{float(array):.10g}" if array.ndim == 0 else np.array2string(array, threshold=8, precision=6)


def failure(item: tree.Expect, text: str) -> str:
    return str(Diagnostic("AIM0804", text, item.span))
