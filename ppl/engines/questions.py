"""Questions to a posterior that need its model: likelihoods, predictions, further data. All are answered from joint draws.

The draws may come from any engine, or from a file: nothing here asks how they were made. What answers is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.graph.bound import BoundModel
from ppl.results.axes import Axis
from ppl.results.posterior import Posterior
from ppl.results.questions import Draws, NewData, Pointwise
from ppl.semantics.typed import Variable
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean


@dataclass(frozen=True)
class ModelQuestions:
    """`fit` fits a model with its data by the engine that made the posterior; `texts` tells how the model is written, for storage."""

    bound: BoundModel
    fit: Callable[[BoundModel], Posterior] = field(repr=False)
    texts: Callable[[], dict[str, Any]] = field(repr=False)

    def axes(self, name: str) -> tuple[Axis, ...]:
        return axes_of(self.variable(name))

    def observed(self) -> dict[str, np.ndarray]:
        return {name: _numbers(value) for name, value in self.bound.values.items() if name in self.bound.observed}

    def constants(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in self.bound.values.items() if name not in self.bound.observed}

    def record(self) -> dict[str, Any]:
        return {**self.texts(), "sizes": self.bound.sizes, "values": self.bound.values, "observed": self.bound.observed}

    def log_likelihood(self, draws: Draws, new: NewData, seed: int) -> dict[str, Pointwise]:
        from ppl.engines.new_data import likelihoods

        self._refuse_networks("log_likelihood")
        found = likelihoods(self.bound, draws, new, seed)
        like = {name: self.variable(one.like) for name, one in found.items()}
        return {name: Pointwise(one.values, axes_of(like[name])[: like[name].plates]) for name, one in found.items()}

    def predict(self, draws: Draws, new: NewData, seed: int, name: str | None, count: int) -> dict[str, np.ndarray]:
        from ppl.engines.new_data import predictions

        self._refuse_networks("predict")
        for given in new.values:
            if given in self.bound.model.variables and self.bound.model.variables[given].role == "random":
                text = f"`{given}` is random: predictions are given inputs and sizes"
                raise AimError([Diagnostic("AIM0811", text, None, f"to condition on `{given}`, give it to `update` or to `fit`")])
        return predictions(self.bound, draws, new, seed, None if name is None else self.variable(name).name, count)

    def update(self, posterior: Posterior, new: NewData) -> Posterior:
        from ppl.engines.streaming import prior_from

        fitted = self.fit(prior_from(posterior, self.bound, new))
        if posterior.exact:
            return fitted
        status = "converged" if fitted.exact else fitted.status
        told = "the prior of this update is an approximate posterior, so that the result is not that of all data together"
        return replace(fitted, exact=False, status=status, warnings=(*fitted.warnings, told))

    def _refuse_networks(self, what: str) -> None:
        for network in self.bound.model.networks.values():
            text = f"`{what}` of a model with a network (`{network.name}`) is not supported: its weights are not among the draws"
            raise AimError([Diagnostic("AIM0731", text, network.span, "fit the new rows with missing outcomes: they are predicted")])

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
