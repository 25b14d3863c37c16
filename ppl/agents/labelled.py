"""A trace as an xarray Dataset: every array with the names of its axes and of their members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.agents.policy_plan import MOST_LISTED, policy_text
from ppl.results.extras import needs

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
        for f in columns.factors if rows.shape[-1] else ():
            series = columns.series(f, rows)
            yield f.name + suffix, ((*DIMS, f"entry of {f.name}")[: series.ndim], series)


def _believed(trace: Trace, coordinates: dict[str, Any]) -> dict[str, Array]:
    network, beliefs = trace.program.network, trace.told.beliefs
    arrays: dict[str, Array] = {}
    for f in network.states:
        arrays[f"belief {f.name}"] = ((*DIMS, f"member of {f.name}"), beliefs[f.name])
        coordinates[f"member of {f.name}"] = list(f.members)
    for f in network.truth.real:
        mean, deviation = beliefs[f.name][..., 0], np.sqrt(np.diagonal(beliefs[f.name][..., 1:], axis1=-2, axis2=-1))
        for what, value in (("mean", mean), ("sd", deviation)):
            arrays[f"{what} {f.name}"] = (DIMS, value[..., 0]) if f.scalar else ((*DIMS, f"entry of {f.name}"), value)
    return arrays


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
