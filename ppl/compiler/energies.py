"""The energy of a factor inside a program: E_q[log f], summed over its plates and over the states of what is discrete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppl.arrays.plated import Plated, contract
from ppl.compiler.blocks import Block
from ppl.compiler.expectations import Layout, Moments, Ready, ready, select, slots_value
from ppl.compiler.lowering import LoweredFactor
from ppl.factors.registry import factor


@dataclass(frozen=True)
class ReadyEnumeration:
    index: tuple[Plated, ...]
    dim: str
    variable: str


@dataclass(frozen=True)
class ReadyFactor:
    """A factor made ready: arrays are leaves, everything else is static."""

    slots: dict[str, dict[str, Ready]]
    weight: Plated
    constant: Any
    enumerations: tuple[ReadyEnumeration, ...]
    implementation: str
    sizes: tuple[tuple[str, int], ...]
    label: str
    defines: str
    variables: tuple[str, ...]


jax.tree_util.register_dataclass(ReadyEnumeration, data_fields=["index"], meta_fields=["dim", "variable"])
jax.tree_util.register_dataclass(
    ReadyFactor,
    data_fields=["slots", "weight", "constant", "enumerations"],
    meta_fields=["implementation", "sizes", "label", "defines", "variables"],
)


def ready_factor(lowered: LoweredFactor, layout: Layout) -> ReadyFactor:
    return ReadyFactor(
        slots={name: {k: ready(f, layout) for k, f in fs.items()} for name, fs in lowered.slots.items()},
        weight=lowered.weight,
        constant=np.asarray(lowered.constant),
        enumerations=tuple(ReadyEnumeration(e.index, e.dim, e.variable) for e in lowered.enumerations),
        implementation=lowered.factor.energy.__module__,
        sizes=tuple(lowered.sizes.items()),
        label=lowered.label,
        defines=lowered.statement.variable,
        variables=lowered.variables,
    )


def log_density_table(ready_one: ReadyFactor, moments: Moments, layout: Layout) -> Plated:
    """The expected log-density for each member of the plates and each state of what is enumerated, with its weight."""
    energy = factor(ready_one.implementation).energy(**slots_value(ready_one.slots, moments, layout))
    return energy * ready_one.weight


def table_of(enumerations: Sequence[ReadyEnumeration], block: Block, moments: Moments) -> Plated:
    """The probabilities of the enumerated variables of one block, over the factor's plates."""
    table = moments[block.name]["table"]
    batch = len(block.batch)
    named = {e.variable: e for e in enumerations}
    gone = tuple(batch + k for k, v in enumerate(block.variables) if v not in named)
    value = table.sum(axis=gone) if gone else table
    index = enumerations[0].index
    selected = select(value, range(len(index)), index)
    for variable in block.variables:
        if variable in named:
            selected = selected.axis_to_dim(0, named[variable].dim)
    return selected


def energy_value(ready_one: ReadyFactor, moments: Moments, layout: Layout) -> Any:
    """E_q[log f] in nats, the constant included."""
    table = log_density_table(ready_one, moments, layout)
    by_block: dict[str, list[ReadyEnumeration]] = {}
    for e in ready_one.enumerations:
        by_block.setdefault(layout.block_of(e.variable).name, []).append(e)
    tables = [table_of(es, layout.blocks[name], moments) for name, es in by_block.items()]
    sizes = dict(ready_one.sizes)
    present = {d for t in (table, *tables) for d in t.dims}
    count = float(np.prod([n for d, n in sizes.items() if d not in present], initial=1.0))
    total = contract(table, *tables, over=tuple(present)).data if tables else table.data.sum()
    return total * count + ready_one.constant
