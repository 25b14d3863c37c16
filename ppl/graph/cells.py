"""The cells of a variable: the entries that its statements define.

Where ranges change with another index (`for i in N, j in 0..i`), and where a variable that is taken apart into hidden ones has members of
several kinds, these are fewer than its axes span; the others do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ppl.graph.evaluate import Evaluator, changing, sizes_of
from ppl.semantics.typed import DeterministicStatement, IndexReference, RandomStatement, TypedModel
from ppl.semantics.walking import variables_in


def absent_cells(model: TypedModel, sizes: Mapping[str, int], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each variable with fewer cells than its axes span, where there is none, over its plates."""
    if any(variables_in((s.loops, s.indices)) for s in model.statements if isinstance(s, RandomStatement | DeterministicStatement)):
        return _absent_cells(model, sizes, values)
    told, key = vars(model).setdefault("absent cells", {}), tuple(sizes.items())  # where sizes alone say it, those of the last ones
    if key not in told:
        told.clear()
        told[key] = _absent_cells(model, sizes, values)
    return told[key]


def _absent_cells(model: TypedModel, sizes: Mapping[str, int], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for statement in model.statements:
        if not isinstance(statement, RandomStatement | DeterministicStatement) or not _in_part(statement):
            continue
        name = statement.variable
        if name not in found:
            axes = model.variables[name].type.axes[: model.variables[name].plates]
            found[name] = np.ones(tuple(sizes[a.set.key] + a.extra if a.set is not None else a.size or 0 for a in axes), bool)
    for statement in model.statements if found else ():
        if isinstance(statement, RandomStatement | DeterministicStatement) and statement.variable in found:
            evaluator = Evaluator(sizes, values)
            loops = evaluator.loops_of(statement)
            plates = sizes_of(loops)
            place = tuple(evaluator.index(i, None, loops).arranged(tuple(plates), plates) for i in statement.indices)
            found[statement.variable][place] = False
    for name, (axis, count) in model.begun.items():  # what comes first in a series that goes on has been defined before
        if name in found:
            found[name][(slice(None),) * axis + (slice(count),)] = False
    return {name: mask for name, mask in found.items() if mask.any()}


def _in_part(statement: RandomStatement | DeterministicStatement) -> bool:
    """Whether a statement may leave entries to others, or to none."""
    return changing(statement.loops) or (bool(statement.indices) and not all(isinstance(i, IndexReference) for i in statement.indices))
