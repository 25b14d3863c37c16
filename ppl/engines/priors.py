"""Beliefs as statements: the priors of what is shared, or of where a series goes on, with known parameters.

A joint Normal is written value by value, each given those before it; a pair of a location and its precision as that pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.engines.continuing import Series
from ppl.families.registry import FAMILIES
from ppl.results.belief import Belief
from ppl.results.joint import JointBlock
from ppl.results.posterior import Posterior
from ppl.semantics import typed
from ppl.source.text import Span

MOST_ENTRIES = 200  # of a joint Normal that is written out
REAL = typed.ValueType("real")
Place = tuple[int, ...]


class NoPrior(Exception):
    """No statement says this posterior; the message is why."""


def no_form(names: Any, why: str) -> NoPrior:
    return NoPrior(f"the posterior of {listed(names)} {why}, so that it cannot be written as a prior")


def listed(names: Any) -> str:
    return ", ".join(f"`{n}`" for n in names)


@dataclass
class Priors:
    """The statements that replace priors, with the inputs that hold their parameters.

    `variables` are those of the new model, of which `shared` stay whole; of those along the `series` the last entries do: `told` are
    the ones that have a statement here.
    """

    variables: Mapping[str, typed.Variable]
    posterior: Posterior
    shared: frozenset[str]
    series: Series | None
    statements: list[typed.RandomStatement] = field(default_factory=list)
    inputs: dict[str, typed.Variable] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    told: set[tuple[str, Place]] = field(default_factory=set)

    def add(self, block: JointBlock) -> None:
        """The statements of what is kept of a block. Raises NoPrior where there are none that say it."""
        shared = [n for n in block.variables if n in self.shared]
        self.named |= set(shared)
        if block.independent and shared:
            self._by_family(block.variables[0])
        elif block.entries and block.mean is not None:
            self._by_entries(block)
        elif block.precision and block.mean is not None:
            self._by_pair(block, shared)
        else:
            self._by_marginals(block, shared)

    def _by_family(self, name: str) -> None:
        """`theta[k] ~ Beta(a[k], b[k])`, whose parameters are those of the belief."""
        variable, belief = self.variables[name], self._belief(name)
        loops, indices = _members(variable)
        self._family(name, belief, belief.params, indices, variable.type.axes[: variable.plates], loops)

    def _belief(self, name: str) -> Belief:
        belief = self.posterior.believe(name)
        if belief.family not in FAMILIES:
            raise no_form([name], "is known by draws")
        return belief

    def _family(
        self,
        name: str,
        belief: Belief,
        params: Mapping[str, Any],
        indices: tuple[typed.TypedExpression, ...],
        plates: tuple[typed.Axis, ...],
        loops: tuple[typed.Loop, ...] = (),
        tag: str = "",
    ) -> None:
        variable = self.variables[name]
        span, arguments = variable.span, {}
        for parameter, value in params.items():
            rank = FAMILIES[belief.family].parameter_rank.get(parameter, 0)
            event = variable.type.axes[variable.plates :] or (_states(variable),)
            inner = tuple(event[min(k, len(event) - 1)] for k in range(rank))
            running = indices if plates else ()
            arguments[parameter] = self._input(
                f"{name}{tag}'s prior {parameter}", np.asarray(value, float), (*plates, *inner), running, span
            )
        call = typed.DistributionCall(belief.family, arguments, span=span)
        self.statements.append(typed.RandomStatement(name, indices, loops, call, span=span))

    def _by_marginals(self, block: JointBlock, shared: list[str]) -> None:
        """One by one, where no two entries that are kept depend on each other."""
        if shared:
            raise no_form(block.variables, "is joint, in a form that has no statement")
        seen: set[Place] = set()
        for k, name in enumerate(block.variables):
            for place, now in (
                self.series.last(name, self.posterior.believe(name).plates) if self.series and name in self.series.axes else ()
            ):
                member = tuple(place[axis] for axis in block.apart[k]) if block.apart else ()
                if member in seen and not block.independent:
                    raise no_form(block.variables, "is joint, in a form that has no statement")
                seen.add(member)
                belief = self._belief(name)
                here = {key: np.asarray(value)[place] for key, value in belief.params.items()}
                self._family(name, belief, here, self._place(name, now), (), tag=f"{list(now)}")
                self.told.add((name, now))

    def _by_pair(self, block: JointBlock, shared: list[str]) -> None:
        """`mu[k] ~ Normal(m[k], precision = c[k] * tau[k])`, or of vectors with a matrix."""
        assert block.mean is not None and block.cov is not None
        if not shared:
            return
        if len(shared) < len(block.variables):
            raise no_form(block.variables, "is joint, in a form that has no statement")
        self._by_family(block.precision)
        name, variable = block.variables[0], self.variables[block.variables[0]]
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

    def _now(self, name: str, place: Place) -> Place | None:
        return self.series.place(name, place) if self.series and name in self.series.axes else None

    # ------------------------------------------------------------ joint Normals
    def _by_entries(self, block: JointBlock) -> None:
        """Each value Normal given those before it: x_i - m_i = Σ_j W_ij (x_j - m_j) + ε_i, of whole vectors at a time."""
        assert block.mean is not None and block.cov is not None
        values: dict[tuple[str, Place], list[int]] = {}
        for k, (name, place) in enumerate(block.entries):
            plates = self.variables[name].plates
            now = place if name in self.shared else self._now(name, place)
            if now is not None:
                values.setdefault((name, now[:plates]), []).append(k)
        values = dict(sorted(values.items(), key=lambda item: item[0][0] not in self.shared))  # what is shared reads no series
        if sum(map(len, values.values())) > MOST_ENTRIES:
            raise no_form(block.variables, "is too large a joint Normal")
        if block.precision and values:
            if block.precision not in self.shared:
                raise no_form(block.variables, "is joint, in a form that has no statement")
            self._by_family(block.precision)
        before: list[int] = []
        for n, ((name, place), numbers) in enumerate(values.items()):
            self._value(n, name, place, numbers, before, list(values.items())[:n], block)
            before += numbers
            if name not in self.shared:
                self.told.add((name, place))

    def _value(
        self, n: int, name: str, place: Place, own: list[int], before: list[int], parents: list[tuple[tuple[str, Place], list[int]]],
        block: JointBlock,
    ) -> None:  # fmt: skip
        assert block.mean is not None and block.cov is not None
        variable, span = self.variables[name], self.variables[name].span
        cov = block.cov
        weights = np.linalg.solve(cov[np.ix_(before, before)], cov[np.ix_(before, own)]).T if before else np.zeros((len(own), 0))
        spread = cov[np.ix_(own, own)] - weights @ cov[np.ix_(before, own)]
        constant = block.mean[own] - weights @ block.mean[before]
        vector = variable.plates < len(variable.type.axes)
        axes = variable.type.axes[variable.plates :]
        label = f"{name}{list(place)}'s prior"
        mean = self._input(f"{label} mean", constant, axes, (), span) if vector else _constant(constant[0], span)
        at = 0
        for k, ((parent, there), numbers) in enumerate(parents):
            part = weights[:, at : at + len(numbers)]
            at += len(numbers)
            if np.any(part):
                mean = _apply("add", mean, self._term(f"{label} weight {k}", part, parent, there, vector, axes, span))
        if block.precision and vector:
            raise no_form(block.variables, "is joint, in a form that has no statement")
        if vector:
            arguments = {"mean": mean, "cov": self._input(f"{label} cov", spread, (*axes, *axes), (), span)}
        elif block.precision:
            scale = self._reference(block.precision, self._place(block.precision, block.places[own[0]]), span)
            arguments = {"mean": mean, "precision": _apply("multiply", _constant(1.0 / spread[0, 0], span), _precision(block, scale))}
        else:
            arguments = {"mean": mean, "sd": _constant(np.sqrt(spread[0, 0]), span)}
        call = typed.DistributionCall("MvNormal" if vector else "Normal", arguments, span=span)
        self.statements.append(typed.RandomStatement(name, self._place(name, place), (), call, span=span))

    def _term(
        self, label: str, weights: np.ndarray, parent: str, place: Place, vector: bool, axes: tuple[typed.Axis, ...], span: Span
    ) -> typed.TypedExpression:
        """What one value before adds to the mean."""
        own = self.variables[parent]
        inner = own.type.axes[own.plates :]
        value = self._reference(parent, self._place(parent, place), span)
        if not vector and not inner:
            return _apply("multiply", _constant(weights[0, 0], span), value)
        if not vector:
            return _apply("dot", self._input(label, weights[0], inner, (), span), value)
        if not inner:
            return _apply("multiply", self._input(label, weights[:, 0], axes, (), span), value)
        return _apply("matmul", self._input(label, weights, (*axes, *inner), (), span), value, axes=axes)

    # ------------------------------------------------------------ expressions
    def _input(
        self, name: str, value: np.ndarray, axes: tuple[typed.Axis, ...], indices: tuple[typed.TypedExpression, ...], span: Span
    ) -> typed.TypedExpression:
        kind = typed.ValueType("real", axes)
        self.inputs[name] = typed.Variable(name, "input", kind, span=span)
        self.values[name] = value
        whole = typed.VariableReference(name, span=span, type=kind)
        return typed.Indexed(whole, indices, span=span, type=typed.ValueType("real", axes[len(indices) :])) if indices else whole

    def _reference(self, name: str, indices: tuple[typed.TypedExpression, ...], span: Span) -> typed.TypedExpression:
        kind = self.variables[name].type
        whole = typed.VariableReference(name, span=span, type=kind)
        return typed.Indexed(whole, indices, span=span, type=replace(kind, axes=kind.axes[len(indices) :])) if indices else whole

    def _place(self, name: str, place: Place) -> tuple[typed.TypedExpression, ...]:
        """Members by their ordinals."""
        span, axes = self.variables[name].span, self.variables[name].type.axes
        sets = [axis.set or typed.IndexSet(str(k)) for k, axis in enumerate(axes)]
        return tuple(typed.Member(s, i, span=span, type=typed.ValueType("member", (), s)) for s, i in zip(sets, place, strict=False))


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


def _apply(function: str, *arguments: typed.TypedExpression, axes: tuple[typed.Axis, ...] | None = None) -> typed.TypedExpression:
    """Elementwise of arguments of one shape and numbers, unless `axes` are given."""
    shape = max((a.type.axes for a in arguments), key=len) if axes is None and function != "dot" else axes or ()
    return typed.Apply(function, arguments, span=arguments[0].span, type=typed.ValueType("real", shape))
