"""The energy of a factor inside a program: E_q[log f], summed over its plates and over the states of what is discrete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppl.arrays.plated import Plated, contract
from ppl.compiler.blocks import Block
from ppl.compiler.discrete_structure import asked_of
from ppl.compiler.enumerations import same_place
from ppl.compiler.expectations import select, slots_value
from ppl.compiler.lowering import LoweredFactor
from ppl.compiler.ready import Layout, Moments, Ready, ready
from ppl.factors.registry import factor


@dataclass(frozen=True)
class ReadyEnumeration:
    """`place` is a number that those at the same members of their plates share."""

    index: tuple[Plated, ...]
    dim: str
    variable: str
    place: int


@dataclass(frozen=True)
class PatternSource:
    """Which of a structured block's arrays a factor reads, by its name among the moments, and the plates of that array."""

    block: str
    pattern: str
    dims: tuple[str, ...]


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
    patterns: tuple[PatternSource, ...] = ()


jax.tree_util.register_dataclass(ReadyEnumeration, data_fields=["index"], meta_fields=["dim", "variable", "place"])
jax.tree_util.register_dataclass(
    ReadyFactor,
    data_fields=["slots", "weight", "constant", "enumerations"],
    meta_fields=["implementation", "sizes", "label", "defines", "variables", "patterns"],
)


def ready_factor(lowered: LoweredFactor, layout: Layout) -> ReadyFactor:
    return ReadyFactor(
        slots={name: {k: ready(f, layout) for k, f in fs.items()} for name, fs in lowered.slots.items()},
        weight=lowered.weight,
        constant=np.asarray(lowered.constant),
        enumerations=tuple(ready_enumerations(lowered)),
        implementation=lowered.factor.energy.__module__,
        sizes=tuple(lowered.sizes.items()),
        label=lowered.label,
        defines=lowered.defines,
        variables=lowered.variables,
        patterns=tuple(pattern_sources(lowered, layout)),
    )


def ready_enumerations(lowered: LoweredFactor) -> Iterator[ReadyEnumeration]:
    for e in lowered.enumerations:
        place = next(k for k, other in enumerate(lowered.enumerations) if same_place(e.index, other.index))
        yield ReadyEnumeration(e.index, e.dim, e.variable, place)


def pattern_sources(lowered: LoweredFactor, layout: Layout) -> Iterator[PatternSource]:
    for name in dict.fromkeys(layout.block_of(e.variable).name for e in lowered.enumerations):
        block = layout.blocks[name]
        asked = asked_of(lowered, block.variables)
        if block.structure is not None and asked is not None:
            for number, pattern in enumerate(block.structure.patterns):
                if pattern.like(asked.pattern):
                    yield PatternSource(name, str(number), (*asked.plates, *asked.states))


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


def probabilities_of(ready_one: ReadyFactor, moments: Moments, layout: Layout) -> list[Plated]:
    """The probabilities of the states of all that is enumerated, as a product of these."""
    tables = [Plated(p.dims, moments[p.block][p.pattern]) for p in ready_one.patterns]
    structured = {p.block for p in ready_one.patterns}
    together: list[list[ReadyEnumeration]] = []  # at one place of one block
    for e in ready_one.enumerations:
        block = layout.block_of(e.variable)
        if block.name in structured:
            continue
        for others in together:
            if others[0].variable in block.variables and others[0].place == e.place:
                others.append(e)
                break
        else:
            together.append([e])
    return tables + [table_of(es, layout.block_of(es[0].variable), moments) for es in together]


def energy_value(ready_one: ReadyFactor, moments: Moments, layout: Layout) -> Any:
    """E_q[log f] in nats, the constant included."""
    table = log_density_table(ready_one, moments, layout)
    tables = probabilities_of(ready_one, moments, layout)
    sizes = dict(ready_one.sizes)
    present = {d for t in (table, *tables) for d in t.dims}
    count = float(np.prod([n for d, n in sizes.items() if d not in present], initial=1.0))
    total = contract(table, *tables, over=tuple(present)).data if tables else table.data.sum()
    return total * count + ready_one.constant
