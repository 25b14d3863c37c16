"""Streaming: a posterior becomes the prior of what comes next, written as statements of the model.

What is shared between old and new data gets its belief as its distribution, with known parameters; a joint Normal is written
entry by entry, each given those before it. What was observed and has no new value is a constant: its likelihood is in the prior
already. Where the posterior was exact, the result is that of all data together (Broderick et al. 2013 where it was not).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.compiler.plan import deterministic_definitions, random_statements
from ppl.engines.forward import recursive_axes
from ppl.engines.rebinding import given_shapes, plate_keys, rebind
from ppl.families.registry import FAMILIES
from ppl.graph.bound import BoundModel
from ppl.results.joint import JointBlock
from ppl.results.posterior import Posterior
from ppl.results.questions import NewData
from ppl.semantics import typed
from ppl.semantics.interventions import intervene
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.text import Span

MOST_ENTRIES = 200  # of a joint Normal that is written out
REAL = typed.ValueType("real")


def prior_from(posterior: Posterior, old: BoundModel, new: NewData) -> BoundModel:
    """The model with the posterior as its prior, bound to the new data. Raises AimError where the posterior has no such form."""
    fresh = rebind(old, new).fresh
    _refuse_time(old, fresh)
    shared = [n for n in posterior.names if _is_shared(n, old, fresh)]
    constants = [n for n in old.observed if not fresh & set(plate_keys(old.model.variables[n]))]
    _refuse_half_observed(constants, given_shapes(new), old)
    priors = _Priors(old)
    for block in _blocks(posterior, shared):
        priors.add(block, posterior)
    cut = intervene(old.model, constants)
    model = replace(
        cut,
        variables={**cut.variables, **priors.inputs},
        statements=(*priors.statements, *(s for s in cut.statements if s.variable not in priors.named)),
    )
    latest = replace(
        old, model=model, values={**old.values, **priors.values}, observed={k: v for k, v in old.observed.items() if k not in constants}
    )
    return rebind(latest, replace(new, along=tuple(fresh)), model=model).bound


def _is_shared(name: str, old: BoundModel, fresh: frozenset[str]) -> bool:
    """Whether a variable is latent and stays: none of its plates gets new members."""
    random = {s.variable for s in random_statements(old.model)}
    return name in random and name not in old.observed and not fresh & set(plate_keys(old.model.variables[name]))


def _refuse_time(old: BoundModel, fresh: frozenset[str]) -> None:
    for key in sorted(recursive_axes(old.model, deterministic_definitions(old.model))):
        text = f"`{key}` is a time axis: an update cannot go on with a series, whose last state is no variable that is shared"
        raise AimError([Diagnostic("AIM0812", text, None, "fit the longer series; what has not happened yet is told by `predict`")])


def _refuse_half_observed(constants: list[str], given: Collection[str], old: BoundModel) -> None:
    for name in constants:
        if name in given or not np.all(old.observed[name]):
            what = "was observed before and has no plate of new members" if name in given else "is observed in part and shared"
            text = f"`{name}` {what}, so that it cannot be updated"
            raise AimError([Diagnostic("AIM0812", text, None, "fit all data together")])


def _blocks(posterior: Posterior, shared: list[str]) -> Iterator[JointBlock]:
    """How the shared variables depend on each other; those of which nothing was learnt keep their statements. Raises AimError where
    the dependence is not known, or reaches to what is not shared."""
    if posterior.joint_blocks is None:
        raise _no_form(shared, "is known by draws")
    left = set(shared)
    for block in posterior.joint_blocks():
        mine = [n for n in block.variables if n in left]
        if mine and len(mine) < len(block.variables):
            raise _no_form(
                mine, f"is joint with {_listed(n for n in block.variables if n not in left)}, which new members have of their own"
            )
        if mine:
            yield block


def _no_form(names: Sequence[str], why: str) -> AimError:
    text = f"the posterior of {_listed(names)} {why}, so that it cannot be written as a prior"
    return AimError([Diagnostic("AIM0812", text, None, "fit all data together")])


def _listed(names: Any) -> str:
    return ", ".join(f"`{n}`" for n in names)


@dataclass
class _Priors:
    """The statements that replace the priors, with the inputs that hold their parameters."""

    old: BoundModel
    statements: list[typed.RandomStatement] = field(default_factory=list)
    inputs: dict[str, typed.Variable] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    def add(self, block: JointBlock, posterior: Posterior) -> None:
        self.named |= set(block.variables)
        if block.independent:
            self._by_family(block.variables[0], posterior)
            return
        if block.precision:
            self._by_family(block.precision, posterior)
        if block.precision and not block.entries and block.mean is not None:
            self._by_pair(block)
        elif block.mean is not None and len(block.entries) <= MOST_ENTRIES:
            self._by_entries(block)
        else:
            raise _no_form(
                block.variables, "is joint, in a form that has no statement" if block.mean is None else "is too large a joint Normal"
            )

    def _by_family(self, name: str, posterior: Posterior) -> None:
        """`theta[k] ~ Beta(a[k], b[k])`, whose parameters are those of the belief."""
        variable, belief = self.old.model.variables[name], posterior[name]
        if belief.family not in FAMILIES:
            raise _no_form([name], "is known by draws")
        span, plates = variable.span, variable.type.axes[: variable.plates]
        loops, indices = _members(variable)
        arguments = {}
        for parameter, value in belief.params.items():
            own = np.asarray(value, float)
            rank = FAMILIES[belief.family].parameter_rank.get(parameter, 0)
            event = variable.type.axes[variable.plates :] or (_states(variable),)
            inner = tuple(event[min(k, len(event) - 1)] for k in range(rank))
            arguments[parameter] = self._input(f"{name}'s prior {parameter}", own, (*plates, *inner), indices, span)
        call = typed.DistributionCall(belief.family, arguments, span=span)
        self.statements.append(typed.RandomStatement(name, indices, loops, call, span=span))

    def _by_pair(self, block: JointBlock) -> None:
        """`mu[k] ~ Normal(m[k], precision = c[k] * tau[k])`, or of vectors with a matrix."""
        assert block.mean is not None and block.cov is not None
        name, variable = block.variables[0], self.old.model.variables[block.variables[0]]
        loops, indices = _members(variable)
        span, plates = variable.span, variable.type.axes[: variable.plates]
        inner = () if block.cov.ndim == len(plates) else variable.type.axes[variable.plates :] * 2
        factor = np.linalg.inv(block.cov) if inner else 1.0 / block.cov
        weight = self._input(f"{name}'s prior weight", factor, (*plates, *inner), indices, span)
        mean = self._input(f"{name}'s prior mean", block.mean, variable.type.axes, indices, span)
        scale = self._reference(block.precision, tuple(indices[k] for k in block.along), span)
        arguments = {"mean": mean, "precision": _apply("multiply", weight, _precision(block, scale))}
        family = "MvNormal" if variable.plates < len(variable.type.axes) else "Normal"
        self.statements.append(typed.RandomStatement(name, indices, loops, typed.DistributionCall(family, arguments, span=span), span=span))

    def _input(
        self, name: str, value: np.ndarray, axes: tuple[typed.Axis, ...], indices: tuple[typed.TypedExpression, ...], span: Span
    ) -> typed.TypedExpression:
        kind = typed.ValueType("real", axes)
        self.inputs[name] = typed.Variable(name, "input", kind, span=span)
        self.values[name] = value
        whole = typed.VariableReference(name, span=span, type=kind)
        return typed.Indexed(whole, indices, span=span, type=typed.ValueType("real", axes[len(indices) :])) if indices else whole

    def _by_entries(self, block: JointBlock) -> None:
        """Each entry Normal given those before it: the regression that a Cholesky factor L of the covariance holds."""
        assert block.mean is not None and block.cov is not None
        root = np.linalg.cholesky(block.cov)
        scale = np.diag(root)
        weights = np.eye(len(root)) - np.diag(scale) @ np.linalg.inv(root)  # x_i - m_i = Σ_j W_ij (x_j - m_j) + L_ii ε_i
        constants = block.mean - weights @ block.mean
        for i, (name, place) in enumerate(block.entries):
            variable = self.old.model.variables[name]
            if variable.plates < len(variable.type.axes):
                raise _no_form([name], "is a vector that is joint with other variables")
            span = variable.span
            mean: typed.TypedExpression = _constant(constants[i], span)
            for j in range(i):
                term = _apply("multiply", _constant(weights[i, j], span), self._entry(*block.entries[j], span))
                mean = _apply("add", mean, term)
            spread = {"sd": _constant(scale[i], span)}
            if block.precision:
                own = _precision(block, self._entry(block.precision, block.places[i], span))
                spread = {"precision": _apply("multiply", _constant(scale[i] ** -2, span), own)}
            call = typed.DistributionCall("Normal", {"mean": mean, **spread}, span=span)
            self.statements.append(typed.RandomStatement(name, self._place(name, place, span), (), call, span=span))

    def _entry(self, name: str, place: tuple[int, ...], span: Span) -> typed.TypedExpression:
        return self._reference(name, self._place(name, place, span), span)

    def _reference(self, name: str, indices: tuple[typed.TypedExpression, ...], span: Span) -> typed.TypedExpression:
        kind = self.old.model.variables[name].type
        whole = typed.VariableReference(name, span=span, type=kind)
        return typed.Indexed(whole, indices, span=span, type=replace(kind, axes=kind.axes[len(indices) :])) if indices else whole

    def _place(self, name: str, place: tuple[int, ...], span: Span) -> tuple[typed.TypedExpression, ...]:
        """Members by their ordinals."""
        axes = self.old.model.variables[name].type.axes
        sets = [axis.set or typed.IndexSet(str(k)) for k, axis in enumerate(axes)]
        return tuple(typed.Member(s, i, span=span, type=typed.ValueType("member", (), s)) for s, i in zip(sets, place, strict=True))


def _precision(block: JointBlock, value: typed.TypedExpression) -> typed.TypedExpression:
    """The precision of a pair, from the value of its variable."""
    if not block.inverted:
        return value
    return _apply("inverse", value) if value.type.axes else _apply("divide", _constant(1.0, value.span), value)


def _states(variable: typed.Variable) -> typed.Axis:
    """The axis of a table of a member's probabilities."""
    return typed.Axis(variable.type.member_of)


def _members(variable: typed.Variable) -> tuple[tuple[typed.Loop, ...], tuple[typed.TypedExpression, ...]]:
    """Loops over all members of a variable, and its indices there."""
    loops = tuple(_loop(f"{variable.name} {k}", axis, variable.span) for k, axis in enumerate(variable.type.axes[: variable.plates]))
    return loops, tuple(_index(loop, variable.span) for loop in loops)


def _loop(name: str, axis: typed.Axis, span: Span) -> typed.Loop:
    index_set = axis.set or typed.IndexSet(name, axis.size)
    return typed.Loop(name, index_set, high=_size_of(axis, span) if axis.extra else None)


def _size_of(axis: typed.Axis, span: Span) -> typed.TypedExpression:
    assert axis.set is not None
    return _apply("add", typed.SizeOf(axis.set, span=span, type=REAL), typed.Constant(axis.extra, span=span, type=REAL))


def _index(loop: typed.Loop, span: Span) -> typed.TypedExpression:
    return typed.IndexReference(loop.name, span=span, type=typed.ValueType("member", (), loop.set))


def _constant(value: float, span: Span) -> typed.TypedExpression:
    return typed.Constant(float(value), span=span, type=REAL)


def _apply(function: str, *arguments: typed.TypedExpression) -> typed.TypedExpression:
    return typed.Apply(function, arguments, span=arguments[0].span, type=REAL)
