"""Questions to a posterior that need its model: likelihoods, predictions, further data. All are answered from joint draws.

The draws may come from any engine, or from a file: nothing here asks how they were made. What answers is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.engines.new_data import Learnt
from ppl.engines.rebinding import arrays_of, written
from ppl.graph.bound import BoundModel
from ppl.results.axes import Axis
from ppl.results.posterior import Posterior
from ppl.results.questions import Draws, Front, NewData, Pointwise, after
from ppl.semantics.typed import TypedModel, Variable
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean


@dataclass(frozen=True)
class ModelQuestions:
    """`fit` fits a model with its data by the engine that made the posterior; `texts` tells how the model is written, for storage.

    `known` is the part of the model's bound, nats, that the posterior's own leaves out: that of data before an update."""

    bound: BoundModel
    fit: Callable[[BoundModel], Posterior] = field(repr=False)
    texts: Callable[[], dict[str, Any]] = field(repr=False)
    known: float = 0.0
    learnt: Learnt = field(default_factory=Learnt, repr=False)

    @property
    def front(self) -> Front:
        """Entries at the beginning of a series that stand for the one before an update."""
        return self.bound.model.begun

    def axes(self, name: str) -> tuple[Axis, ...]:
        return axes_of(self._without_front(self.variable(name)))

    def time(self, name: str) -> int | None:
        sets = {k: axis.set.key for k, axis in enumerate(self.variable(name).type.axes) if axis.set is not None}
        onward = [k for k, key in sets.items() if key in self.onward] or list(sets)
        return onward[0] if len(onward) == 1 else None

    @property
    def onward(self) -> set[str]:
        """The keys of the sets along which the model goes on from its past."""
        from ppl.compiler.statements import deterministic_definitions
        from ppl.engines.forward import recursive_axes

        model = self.bound.model
        return recursive_axes(model, deterministic_definitions(model))

    def observed(self) -> dict[str, np.ndarray]:
        return {name: _numbers(value) for name, value in self._values().items() if name in self.bound.observed}

    def constants(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in self._values().items() if name not in self.bound.observed}

    def _values(self) -> dict[str, np.ndarray]:
        return {name: value[after(name, self.front)] for name, value in self.bound.values.items()}

    def _without_front(self, variable: Variable) -> Variable:
        axis, count = self.front.get(variable.name, (0, 0))
        axes = tuple(replace(a, extra=a.extra - count) if k == axis and count else a for k, a in enumerate(variable.type.axes))
        return replace(variable, type=replace(variable.type, axes=axes))

    @property
    def shown(self) -> TypedModel:
        """The model whose variables have the axes that new data have."""
        variables = self.bound.model.variables
        return replace(self.bound.model, variables={n: self._without_front(v) for n, v in variables.items()})

    def _with_front(self, new: NewData) -> NewData:
        """What is given for a series again, with what comes first."""
        if not self.front:
            return new
        given = arrays_of(new)
        for name in given.keys() & self.front.keys() & self.bound.values.keys():
            axis, count = self.front[name]
            before = written(self.variable(name), self.bound.values[name]).take(range(count), axis=axis)
            given[name] = np.concatenate([before, given[name]], axis=axis)
        return replace(new, values={n: v for n, v in given.items() if n in new.values or n in self.bound.model.variables}, table=None)

    def record(self) -> dict[str, Any]:
        return {
            **self.texts(),
            "sizes": self.bound.sizes,
            "values": self.bound.values,
            "observed": self.bound.observed,
            "known": self.known,
        }

    def log_likelihood(self, draws: Draws, new: NewData, seed: int) -> dict[str, Pointwise]:
        from ppl.engines.new_data import likelihoods

        found = likelihoods(self.bound, draws, self._with_front(new), seed, self.learnt)
        like = {name: self.variable(one.like) for name, one in found.items()}
        return {
            name: Pointwise(one.values[:, *after(one.like, self.front)], self.axes(one.like)[: like[name].plates])
            for name, one in found.items()
        }

    def predict(self, draws: Draws, new: NewData, seed: int, name: str | None, count: int) -> dict[str, np.ndarray]:
        from ppl.engines.new_data import predictions

        for given in new.values.keys() - self.learnt.seen:
            if given in self.bound.model.variables and self.bound.model.variables[given].role == "random":
                text = f"`{given}` is random: predictions are given inputs and sizes"
                raise AimError([Diagnostic("AIM0811", text, None, f"to condition on `{given}`, give it to `update` or to `fit`")])
        wanted = None if name is None else self.variable(name).name
        found = predictions(self.bound, draws, self._with_front(new), seed, wanted, count, self.learnt)
        return {n: value[:, *after(n, self.front)] for n, value in found.items()}

    def update(self, posterior: Posterior, new: NewData) -> Posterior:
        from ppl.engines.streaming import updated

        return updated(posterior, self, new)

    def variable(self, name: str) -> Variable:
        variables = self.bound.model.variables
        if name not in variables:
            hint = did_you_mean(name, variables) or "it has " + ", ".join(f"`{n}`" for n in variables)
            raise AimError([Diagnostic("AIM0803", f"model `{self.bound.model.name}` has no variable `{name}`", None, hint)])
        return variables[name]


def axes_of(variable: Variable) -> tuple[Axis, ...]:
    """The axes of a variable with the names of their sets; those of a value that has no set are numbered."""
    found = []
    for k, axis in enumerate(variable.type.axes):
        if axis.set is None:
            found.append(Axis(f"{variable.name}_dim_{k - variable.plates}"))
        else:
            key = axis.set.key + (f"+{axis.extra}" if axis.extra else "")
            found.append(Axis(key, axis.set.members if not axis.extra else None, axis.set.low))
    return tuple(found)


def _numbers(value: np.ndarray) -> np.ndarray:
    """Values with NaN where one is missing; members by their ordinals."""
    return np.where(value < 0, np.nan, value) if value.dtype.kind in "iu" else value
