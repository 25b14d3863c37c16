"""Evaluation of typed expressions inside a program that JAX traces: latent variables are whole arrays, plates are axes.

A reference to a discrete variable that is summed over is one more plate, `z=1`, that runs over its states. A deterministic
variable is computed once as a whole array, unless it depends on a state: then its definition is put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, known, namespace, shift
from ppl.engines.numpyro_bridge.distributions import Valued
from ppl.engines.numpyro_bridge.structure import Structure
from ppl.graph.evaluate import Evaluator, changing, fits, index_value, sizes_of
from ppl.graph.functions import apply_known
from ppl.graph.networks import feed_forward
from ppl.semantics import typed
from ppl.semantics.walking import inside
from ppl.source.diagnostics import AimError, Diagnostic

IN_TURN = "`use nuts`, which can draw states in turn"
MOST_TOGETHER = 12  # members of discrete variables whose states are summed over jointly
Distribution = typed.DistributionCall | typed.DistributionChoice


@dataclass(frozen=True)
class State:
    """A reference to members of a discrete variable: the plate that runs over their states, and which members they are."""

    dim: str
    variable: str
    indices: tuple[Plated, ...]


@dataclass
class TracingEvaluator(Evaluator):
    """`values` are whole arrays, known or traced; `states` collects what one statement refers to among enumerated variables."""

    structure: Structure = field(kw_only=True)
    networks: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    computed: dict[str, Any] = field(default_factory=dict, kw_only=True)
    states: dict[str, State] = field(default_factory=dict, kw_only=True)

    def fresh(self) -> TracingEvaluator:
        """For another statement: the same values, no states yet."""
        return TracingEvaluator(
            self.sizes, self.values, self.plates, structure=self.structure, networks=self.networks, computed=self.computed
        )

    # ------------------------------------------------------------ variables
    def reference(self, name: str, indices: tuple[Plated, ...], span: Any) -> Plated:
        if name in self.structure.enumerated:
            return self.state(name, indices, span)
        if name in self.structure.definitions and name in self.structure.on_states:
            return self.inlined(name, indices, span)
        whole = self.whole(name)
        return index_value(whole, tuple(_inside(i, n) for i, n in zip(indices, whole.shape, strict=False)))

    def whole(self, name: str) -> Plated:
        """All entries of a variable."""
        if name not in self.structure.definitions:
            return Plated((), self.values[name])
        if name not in self.computed:
            group = self.structure.recursion_of(name)
            if group is None:
                self.computed[name] = self.assembled(name)
            else:
                from ppl.engines.numpyro_bridge.recursion import run_recursion

                self.computed.update(run_recursion(group, self))
        return Plated((), self.computed[name])

    def assembled(self, name: str) -> Any:
        """A deterministic variable from its statements, as one array."""
        shape = self.structure.bound.shape(self.structure.bound.model.variables[name])
        array = None
        for statement in self.structure.definitions[name]:
            loops = self.loops_of(statement)
            value = self.number(statement.value, loops)
            array = self.placed(array, shape, statement.indices, loops, value)
        return array

    def placed(
        self, array: Any, shape: tuple[int, ...], indices: tuple[typed.TypedExpression, ...], loops: Mapping[str, Plated], value: Plated
    ) -> Any:
        """The array with what a statement defines at its place; where that is everything in order, the value itself."""
        sizes = sizes_of(loops)
        data = value.arranged(tuple(sizes), sizes)
        xp = namespace(data, array) if array is not None else namespace(data)
        place = tuple(self.index(i, None, loops) for i in indices)
        in_order = tuple(p.dims[0] if p.start == 0 and p.dims else None for p in place) == tuple(sizes)
        if in_order and tuple(sizes.values()) == shape[: len(sizes)]:
            return xp.broadcast_to(data, shape) if data.shape != shape else data
        array = xp.zeros(shape, data.dtype) if array is None else xp.asarray(array)
        at = tuple(p.arranged(tuple(sizes)) for p in place)
        if xp is not np:
            return array.at[at].set(data)
        array[at] = data
        return array

    def loops_of(self, statement: typed.TypedStatement | typed.Potential, *, fresh: bool = True) -> dict[str, Plated]:
        return super().loops_of(statement, fresh=fresh)

    # ------------------------------------------------------------ discrete variables that are summed over
    def state(self, name: str, indices: tuple[Plated, ...], span: Any) -> Plated:
        """The states of the members that are referred to, along a plate of their own."""
        variable, size = self.structure.bound.model.variables[name], self.structure.enumerated[name]
        if len(indices) < len(variable.type.axes):
            return self.all_states(name, indices, span)
        unknown = [bool(i.rank or not isinstance(i.data, np.ndarray) or set(i.dims) & set(self.states)) for i in indices]
        if any(unknown):  # which of its members this is depends on what is latent: it is chosen among all of them
            first = unknown.index(True)
            return index_value(self.all_states(name, indices[:first], span), indices[first:])
        dim = next((s.dim for s in self.states.values() if s.variable == name and _same(s.indices, indices)), None)
        if dim is None:
            dim = f"{name}={len(self.states)}"
            self.states[dim] = State(dim, name, indices)
        return Plated((dim,), self.structure.state_values(name, size))

    def all_states(self, name: str, indices: tuple[Plated, ...], span: Any) -> Plated:
        """Whole axes of an enumerated variable: each member along a plate of its own, which few members allow."""
        shape = self.structure.bound.shape(self.structure.bound.model.variables[name])
        missing = shape[len(indices) :]
        if np.prod(missing, dtype=int) > MOST_TOGETHER:
            raise self._too_many(int(np.prod(missing)), span)
        if not missing:
            return self.state(name, indices, span)
        return self.stacked([self.all_states(name, (*indices, known(np.asarray(k))), span) for k in range(missing[0])], span)

    def comprehension(self, e: typed.Comprehension, loops: Mapping[str, Plated]) -> Any:
        """What is reduced over members whose states are summed over needs each along a plate of its own: they are taken one by one."""
        if (e.function == "mean" and changing(e.loops)) or not self._over_states(e):
            return super().comprehension(e, loops)
        inner = dict(loops)
        for loop in e.loops:
            inner[loop.name] = self.loop_index(loop, inner)
        names = [loop.name for loop in e.loops]
        lengths = [inner[name].data.shape[0] for name in names]
        if np.prod(lengths) > MOST_TOGETHER:
            raise self._too_many(int(np.prod(lengths)), e.span)
        items = []
        for place in np.ndindex(*lengths):
            at = {name: known(inner[name].data[k]) for name, k in zip(names, place, strict=True)}
            items.append(self.body_of(e, {**inner, **at}))
        return self.call(e.function, [self.stacked(items, e.span)], e.span)

    def _over_states(self, e: typed.Comprehension) -> bool:
        """Whether the body of a comprehension refers, at an index of its loops, to what is summed over."""
        names = {loop.name for loop in e.loops}
        on_states = {*self.structure.enumerated, *self.structure.on_states}
        return any(
            isinstance(one.base, typed.VariableReference)
            and one.base.name in on_states
            and any(i.name in names for i in inside(one.indices, typed.IndexReference))
            for one in inside(e.body, typed.Indexed)
        )

    def _too_many(self, members: int, span: Any) -> AimError:
        text = f"a sum over states would need those of {members} members at once"
        return AimError([Diagnostic("AIM0742", text, span, f"refer to its members one by one, or {IN_TURN}")])

    def inlined(self, name: str, indices: tuple[Plated, ...], span: Any) -> Plated:
        """A definition at the members that are asked for; of several statements the one that defines each."""
        value = None
        statements = self.structure.definitions[name]
        for statement in statements:
            own = len(statement.indices)
            if len(indices) < own:
                shape = self.structure.bound.shape(self.structure.bound.model.variables[name])
                items = [self.inlined(name, (*indices, known(np.asarray(k))), span) for k in range(shape[len(indices)])]
                return self.stacked(items, span)
            loops, holds = self.bound_loops(statement, indices)
            part = index_value(self.number(statement.value, loops), indices[own:])
            value = part if value is None else apply_known("if", [holds, part, value])
        assert value is not None
        return value

    def bound_loops(self, statement: typed.DeterministicStatement, indices: tuple[Plated, ...]) -> tuple[dict[str, Plated], Plated]:
        """The loops' indices at which a statement defines these members, and where it does."""
        loops: dict[str, Plated] = {}
        holds = known(np.asarray(1.0))
        ranges = self.loops_of(statement)
        for place, index in zip(statement.indices, indices, strict=False):
            base, offset = base_and_offset(place)
            if base is None:
                holds = holds * apply_known("equal", [index, self.index(place, None, {})])
                continue
            wanted, span = shift(index, -offset), ranges[base].data
            holds = (
                holds * apply_known("greater_equal", [wanted, known(span.min())]) * apply_known("less_equal", [wanted, known(span.max())])
            )
            loops[base] = _inside(wanted, int(span.max()) + 1)
        return {**ranges, **loops}, holds

    # ------------------------------------------------------------ networks and distributions
    def evaluate(self, e: typed.TypedExpression, loops: Mapping[str, Plated]) -> Any:
        if isinstance(e, typed.NetworkCall):
            network = self.structure.bound.model.networks[e.network]
            return feed_forward(network, Plated((), self.networks[e.network]), self.number(e.argument, loops), self.sizes)
        return super().evaluate(e, loops)

    def distribution(self, call: Any, loops: Mapping[str, Plated], child: Plated | None = None) -> Valued:
        """A distribution with the values of its arguments. `child` is what it is a distribution of, where that is known."""
        if isinstance(call, typed.DistributionChoice):
            subjects = [self.evaluate(s, loops) for s in call.subjects]
            arms = tuple(self.distribution(arm, loops, child) for _, arm in call.arms)
            return Valued("Choice", {}, arms, tuple(fits(subjects, patterns) for patterns, _ in call.arms))
        arguments = {name: self.number(e, loops) for name, e in call.arguments.items()}
        if call.name in ("Multinomial", "DirichletMultinomial") and "n" not in arguments:
            assert child is not None
            arguments["n"] = child.sum_value()
        return Valued(call.name, arguments, tuple(self.distribution(c, loops, child) for c in call.components))


def _inside(index: Plated, size: int) -> Plated:
    """An index kept within its axis: beyond it stands only what a condition does not choose."""
    if index.start is not None and index.data.size and (index.start < 0 or index.start + index.data.shape[0] > size):
        return Plated(index.dims, np.clip(index.data, 0, size - 1))
    return index


def _same(a: tuple[Plated, ...], b: tuple[Plated, ...]) -> bool:
    return all(x.dims == y.dims and np.array_equal(x.data, y.data) for x, y in zip(a, b, strict=True))


def base_and_offset(place: typed.TypedExpression) -> tuple[str | None, int]:
    """The loop and the offset of an index on the left: `t + 1`; None for a constant."""
    match place:
        case typed.IndexReference(name=name):
            return name, 0
        case typed.Apply(function="add" | "subtract" as sign, arguments=(typed.IndexReference(name=name), typed.Constant(value=by))):
            return name, int(by) if sign == "add" else -int(by)
    return None, 0
