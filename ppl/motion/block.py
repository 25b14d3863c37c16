"""A block with its data: the unknowns at a moment, and the errors of its statements there.

Every statement is one kind of thing: something (a derivative of a state, or data) with its derivatives, a mean that the chain rule
differentiates as often, and noise between the two. What the schemes differ in is what they do with these errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.factors.registry import factor
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import sizes_of
from ppl.graph.functions import apply_known
from ppl.motion.embedding import Embedding, embedding
from ppl.motion.evaluation import MotionEvaluator, inputs_of
from ppl.motion.jets import derivatives
from ppl.motion.options import MotionOptions
from ppl.semantics import typed
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic

MANY_BINS = 10_000

Outside = Mapping[str, Any]
"""Values of all that stands outside of the block, whole, by name."""


@dataclass(frozen=True)
class Unknown:
    """A state or a hidden cause of one series: `count` derivatives from the 0th, each of this shape, from `start` of the vector on."""

    name: str
    shape: tuple[int, ...]
    count: int
    start: int
    is_cause: bool = False

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def stop(self) -> int:
        return self.start + self.count * self.size

    def of(self, vector: Any) -> Any:
        """Its derivatives, (count, size), from the vector of all unknowns."""
        return vector[..., self.start : self.stop].reshape(*vector.shape[:-1], self.count, self.size)


@dataclass(frozen=True)
class Line:
    """A statement of the block: the noise of `variable`'s derivative of this `order`, in so many derivatives (`count`). One with `=` is
    `certain`: it has none."""

    statement: typed.MotionStatement = field(repr=False)
    role: Literal["equation", "cause", "sensor"]
    order: int
    count: int
    plates: tuple[int, ...]
    shape: tuple[int, ...]  # of the plates inside of the block and of a value

    @property
    def name(self) -> str:
        return self.statement.variable + "'" * self.order

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def certain(self) -> bool:
        return self.statement.distribution is None


@dataclass(frozen=True)
class Moment:
    """What is known at a bin of a series: derivatives (in bins) of data by sensor and of inputs, the time and the member of each plate."""

    data: Mapping[str, Any]
    inputs: Mapping[str, Any]
    time: Any
    member: Any


@dataclass(frozen=True, eq=False)
class MotionBlock:
    """`known` are values of parameters and inputs, and of what follows from them."""

    bound: BoundModel
    motion: typed.TypedMotion
    options: MotionOptions
    known: Mapping[str, Any] = field(repr=False)

    # ------------------------------------------------------------ what there is
    @property
    def sizes(self) -> Mapping[str, int]:
        return self.bound.sizes

    @cached_property
    def bins(self) -> int:
        return self.sizes[self.motion.loop.set.key]

    @cached_property
    def series(self) -> tuple[int, ...]:
        """The lengths of the plates around the block."""
        return tuple(self.sizes[loop.set.key] for loop in self.motion.plates)

    @cached_property
    def definitions(self) -> dict[str, typed.MotionStatement]:
        return {s.variable: s for s in self.motion.part.statements if s.value is not None and s.variable not in self.motion.part.states}

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a variable of the block, at one bin of one series."""
        full = self.bound.shape(self.bound.model.variables[name])
        return full[len(self.series) + 1 :]

    @cached_property
    def unknowns(self) -> tuple[Unknown, ...]:
        orders = {s.variable: s.order for s in self.motion.part.statements}
        causes = {name for name, order in orders.items() if order == 0}
        found, start = [], 0
        for name in self.motion.part.states:
            order = self.options.order_causes if name in causes else self.options.order
            order = orders[name] if self.motion.scheme == "smooth" else order
            found.append(Unknown(name, self.shape(name), order + 1, start, name in causes))
            start = found[-1].stop
        return tuple(found)

    @property
    def width(self) -> int:
        return self.unknowns[-1].stop if self.unknowns else 0

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        states, options = self.motion.part.states, self.options
        found = []
        for s in self.motion.part.statements:
            if s.variable in self.definitions:
                continue
            if s.variable not in states:
                role, count = "sensor", (options.order_observed if options.smoothness else 0) + 1
            elif s.order:
                role, count = "equation", options.order - s.order + 1
            else:
                role, count = "cause", options.order_causes + 1
            shape = self.shape(s.variable)
            plates = len(s.indices) - len(self.series)
            found.append(Line(s, role, s.order, count, shape[:plates], shape))
        return tuple(found)

    # ------------------------------------------------------------ what is known at each bin
    @cached_property
    def embedding(self) -> Embedding:
        return embedding(self.options.order_observed, self.bins)

    def by_series(self, name: str) -> np.ndarray:
        """The values of a sensor, (series, T, …); NaN where one is missing."""
        value = np.asarray(self.bound.values.get(name, np.nan), float)
        full = np.broadcast_to(value, self.bound.shape(self.bound.model.variables[name]))
        return full.reshape(prod(self.series), self.bins, -1)

    @cached_property
    def members(self) -> np.ndarray:
        """The members of the plates around the block, one row for each series."""
        return np.asarray(list(product(*(range(n) for n in self.series))), int).reshape(prod(self.series), len(self.series))

    @cached_property
    def moments(self) -> Moment:
        """Those of all bins: inputs with the bins first, data with the series before them."""
        data = {line.name: self._derivatives(self.by_series(line.name)) for line in self.lines if line.role == "sensor"}
        causes = embedding(min(self.options.order_causes, self.bins - 1), self.bins)
        inputs = {}
        for name, place in inputs_of(self.motion):
            if name not in self.known:
                text = f"`{name}` is read at each bin, so it is known: an input, or what follows from inputs"
                raise AimError(
                    [Diagnostic("AIM0712", text, self.motion.span, f"declare it: input {name}: real[{self.motion.loop.set.key}]")]
                )
            inputs[f"{name}@{place}"] = causes.derivatives(np.moveaxis(np.asarray(self.known[name], float), place, 0))
        return Moment(data, inputs, np.arange(self.bins, dtype=float), self.members)

    def _derivatives(self, record: np.ndarray) -> np.ndarray:
        """(series, T, order + 1, size); what is missing counts as 0 here, and its weight elsewhere."""
        return np.stack([self.embedding.derivatives(np.nan_to_num(one)) for one in record])

    # ------------------------------------------------------------ errors at a moment
    def error(self, line: Line, u: Any, moment: Moment, outside: Outside, *, count: int | None = None) -> Any:
        """(count, size): target minus mean and their derivatives, in bins, of one series at one bin."""
        count = count or line.count
        return self.target(line, u, moment, count) - derivatives(self.mean(line, outside, moment), self.curve(u, moment, count))

    def target(self, line: Line, u: Any, moment: Moment, count: int) -> Any:
        """What the noise is added to, with its derivatives; beyond the last that there is stand zeros."""
        if line.role == "sensor":
            return moment.data[line.name][:count]
        unknown = next(x for x in self.unknowns if x.name == line.statement.variable)
        return _padded(unknown.of(u)[line.order :], count) / self.options.dt**line.order

    @cached_property
    def read(self) -> tuple[tuple[Unknown, int], ...]:
        """The derivatives of states that stand in some expression of the block."""
        named = variables_in(self.motion.part.statements)
        return tuple((x, k) for x in self.unknowns for k in range(x.count) if k == 0 or x.name + "'" * k in named)

    def curve(self, u: Any, moment: Moment, count: int) -> Any:
        """(count, …): all that a mean may read at this moment, with its derivatives."""
        parts = [_padded(x.of(u)[k:], count) / self.options.dt**k for x, k in self.read]
        parts += [_padded(jnp.asarray(moment.inputs[key]).reshape(moment.inputs[key].shape[0], -1), count) for key in sorted(moment.inputs)]
        clock = jnp.zeros((2, 1)).at[0, 0].set(moment.time).at[1, 0].set(1.0)
        return jnp.concatenate([*parts, _padded(clock, count)], axis=1)

    def values(self, point: Any, moment: Moment, outside: Outside) -> dict[str, Any]:
        """The names that expressions read, at a point of the curve."""
        values, at = dict(outside), 0
        for x, k in self.read:
            values[x.name + "'" * k] = point[at : at + x.size].reshape(x.shape)
            at += x.size
        for key in sorted(moment.inputs):
            shape = moment.inputs[key].shape[1:]
            values[key] = point[at : at + prod(shape)].reshape(shape)
            at += prod(shape)
        values[f"{self.motion.loop.name}@"] = point[at]
        for k, loop in enumerate(self.motion.plates):
            values[f"{loop.name}@"] = moment.member[k]
        return values

    def mean(self, line: Line, outside: Outside, moment: Moment) -> Any:
        """The mean of a statement as a function of a point of the curve."""
        return lambda point: self.mean_at(line, self.values(point, moment, outside))

    def mean_at(self, line: Line, values: Mapping[str, Any]) -> Any:
        call, mean = line.statement.distribution, line.statement.value
        if mean is None:
            assert isinstance(call, typed.DistributionCall)
            mean = call.arguments["mean"]
        return self.number(line.statement, mean, values, line.shape).reshape(-1)

    def number(self, statement: typed.MotionStatement, e: typed.TypedExpression, values: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
        """The value of an expression of a statement, over the plates inside of the block and the axes of a value."""
        value, dims, lengths = self._over_plates(statement, e, values)
        return jnp.broadcast_to(jnp.asarray(value.arranged(dims, lengths), float), shape)

    def _over_plates(
        self, statement: typed.MotionStatement, e: typed.TypedExpression, values: Mapping[str, Any]
    ) -> tuple[Plated, tuple[str, ...], dict[str, int]]:
        evaluator = MotionEvaluator(self.sizes, values, motion=self.motion, definitions=self.definitions)
        loops = evaluator.moment_loops
        inner = [loop for loop in statement.loops if loop not in self.motion.plates]
        for loop in inner:
            loops[loop.name] = evaluator.loop_index(loop, loops, fresh=False)
        names = [i.name for i in statement.indices if isinstance(i, typed.IndexReference) and i.name in {loop.name for loop in inner}]
        dims = tuple(loops[name].dims[0] for name in names)
        return evaluator.number(e, loops), dims, sizes_of({name: loops[name] for name in names})

    # ------------------------------------------------------------ noise
    def precision(self, line: Line, outside: Outside, member: Any) -> Any:
        """(size, size): of the noise itself."""
        call = line.statement.distribution
        assert isinstance(call, typed.DistributionCall)
        kind = factor(DISTRIBUTIONS[call.name].implementation or "")
        (name, given), *_ = [(n, a) for n, a in call.arguments.items() if n != "mean"]
        values = self._without_moment(outside, member)
        value, dims, lengths = self._over_plates(line.statement, given, values)
        for function, *others in kind.conversions.get(name, ("precision", ()))[1]:
            value = apply_known(function, [value, *(Plated((), np.asarray(o)) for o in others)])
        scalar = call.name == "Normal"
        array = jnp.asarray(value.arranged(dims, lengths), float)
        if scalar:
            return jnp.diag(jnp.broadcast_to(array, line.shape).reshape(-1))
        count, width = prod(line.plates), line.shape[-1]
        blocks = jnp.broadcast_to(array, (*line.plates, width, width)).reshape(count, width, width)
        full = jnp.eye(count)[:, None, :, None] * blocks[:, :, None, :]
        return full.reshape(line.size, line.size)

    def _without_moment(self, outside: Outside, member: Any) -> dict[str, Any]:
        time = {f"{self.motion.loop.name}@": jnp.nan}
        return {**outside, **time, **{f"{loop.name}@": member[k] for k, loop in enumerate(self.motion.plates)}}


def level(block: MotionBlock, runs: int) -> int:
    """How well a program is compiled that runs so often over all bins: where these are few, passes take longer than they save."""
    return 1 if block.bins * prod(block.series) * runs > MANY_BINS else 0


def _padded(values: Any, count: int) -> Any:
    """The first rows, with zeros after the last."""
    have = min(values.shape[0], count)
    rest = jnp.zeros((count - have, *values.shape[1:]))
    return jnp.concatenate([jnp.asarray(values[:have], float), rest]) if have < count else jnp.asarray(values[:have], float)
