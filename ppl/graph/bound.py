"""A model with its data: sizes settled, values in place, what is observed known entry by entry."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ppl.semantics.typed import Potential, TypedModel, Variable
from ppl.source.diagnostics import Diagnostic


@dataclass(frozen=True)
class BoundModel:
    """`values` holds parameters, inputs and observed variables, shaped by their axes: numbers as float64, members as ordinals
    (int64). A random variable is in `values` where any entry of it was given; `observed[name]` then says which entries were
    (one bool for each plate entry: a vector value counts as one, and as not given where a number of it is NaN). The observed entries
    of a `settled` variable are counted by a number among the potentials. `equalities` are conditions beside the statements: values that
    are 0, for each member of their loops."""

    model: TypedModel
    sizes: dict[str, int]  # by the key of the set
    values: dict[str, np.ndarray] = field(repr=False)
    observed: dict[str, np.ndarray] = field(repr=False)
    warnings: tuple[Diagnostic, ...] = ()
    settled: frozenset[str] = frozenset()
    equalities: tuple[Potential, ...] = ()

    def length(self, axis) -> int:
        """The number of members along an axis of a variable."""
        return self.sizes[axis.set.key] + axis.extra if axis.set is not None else axis.size

    def member_names(self, name: str) -> tuple[str, ...] | None:
        """What the members are called that a variable takes; None where they are called 0, 1, 2, … or it takes none."""
        index_set = self.model.variables[name].type.member_of
        return index_set.names(self.sizes[index_set.key]) if index_set is not None else None

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """The lengths of a variable's axes, those of the plates first."""
        return tuple(self.length(axis) for axis in variable.type.axes)
