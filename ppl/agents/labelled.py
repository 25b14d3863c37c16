"""A trace as an xarray Dataset: every array with the names of its axes and of their members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.agents.policy_plan import MOST_LISTED, policy_text
from ppl.agents.rows import by_variable
from ppl.results.extras import needs
from ppl.semantics.typed import Variable

if TYPE_CHECKING:
    import xarray

    from ppl.agents.trace import Trace

DIMS = ("episode", "step")
Array = tuple[tuple[str, ...], Any]


def to_xarray(trace: Trace) -> xarray.Dataset:
    """The Dataset; `trace.to_xarray` says what is in it."""
    coordinates: dict[str, Any] = {"episode": np.arange(trace.episodes), "step": np.arange(trace.steps)}
    arrays: dict[str, Array] = dict(_happened(trace))
    for part in (_believed, _learnt, _planned):
        arrays |= part(trace, coordinates)
    arrays["free_energy"] = (DIMS, trace.told.free_energy)
    if trace.paid is not None:
        arrays["reward"] = (DIMS, trace.paid)
    return needs("xarray", "arviz").Dataset(arrays, coords=coordinates)


def _happened(trace: Trace) -> Iterator[tuple[str, Array]]:
    """What was seen, done and so."""
    network, told = trace.program.network, trace.told
    for columns, rows, suffix in ((network.seen, told.seen, ""), (network.done, told.action, ""), (network.truth, told.states, " (true)")):
        for name, series in columns.named(rows).items() if rows.shape[-1] else ():
            yield name + suffix, ((*DIMS, *_axes(network.model.variables[name], series.ndim - 2)), series)


def _believed(trace: Trace, coordinates: dict[str, Any]) -> dict[str, Array]:
    truth, arrays = trace.program.network.truth, {}
    factors = {f.variable.name: f for f in truth.factors}
    for name, belief in by_variable(truth.factors, trace.told.beliefs, 2).items():
        f = factors[name]
        if not f.real:
            arrays[f"belief {name}"] = ((*DIMS, *_axes(f.variable, f.variable.plates), f"member of {name}"), belief)
            coordinates[f"member of {name}"] = list(f.members)
            continue
        axes = _axes(f.variable, f.variable.plates + (not f.scalar))
        mean, deviation = belief[..., 0], np.sqrt(np.diagonal(belief[..., 1:], axis1=-2, axis2=-1))
        for what, value in (("mean", mean), ("sd", deviation)):
            arrays[f"{what} {name}"] = ((*DIMS, *axes), value[..., 0] if f.scalar else value)
    return arrays


def _axes(variable: Variable, count: int) -> tuple[str, ...]:
    """The names of the axes of a variable: its plates, then the entries of a vector."""
    names = [axis.set.key if axis.set is not None and k < variable.plates else "entry" for k, axis in enumerate(variable.type.axes)]
    return tuple(f"{name} of {variable.name}" for name in names[:count])


def _learnt(trace: Trace, coordinates: dict[str, Any]) -> dict[str, Array]:
    """The counts of the learnt tables after each step; those of a Beta by its parameters."""
    network, arrays = trace.program.network, {}
    for name, table in network.learnt.items():
        variable, counts = network.model.variables[name], np.asarray(trace.told.learnt[name])
        rows = tuple(f"axis {k} of {name}" for k in range(len(table.shape)))
        for dim, axis in zip(rows, variable.type.axes, strict=False):
            if axis.set is not None and axis.set.members is not None:
                coordinates[dim] = list(axis.set.members)
        last = f"count of {name}"
        coordinates[last] = ["b", "a"] if table.pair else list(network.told_of(name) or range(counts.shape[-1]))
        arrays[f"counts {name}"] = ((*DIMS, *rows, last), counts.reshape(*counts.shape[:2], *table.shape, counts.shape[-1]))
    return arrays


def _planned(trace: Trace, coordinates: dict[str, Any]) -> dict[str, Array]:
    """Expected free energy and probability of each policy."""
    if trace.program.options is None or not trace.whole_plans or trace.plan(0).count > MOST_LISTED:
        return {}
    plans = [[trace.plan(t, e) for t in range(trace.steps)] for e in range(trace.episodes)]
    if trace.program.network.reals is None or not trace.program.network.done.real:
        coordinates["policy"] = [policy_text(policy) for policy in plans[0][0].policies]
    dims = (*DIMS, "policy")
    return {
        "G": (dims, np.array([[plan.G for plan in row] for row in plans])),
        "probability": (dims, np.array([[plan.probabilities for plan in row] for row in plans])),
    }
