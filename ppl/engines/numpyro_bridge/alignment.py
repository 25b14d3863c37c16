"""Terms that join discrete variables, brought to common plates: `z[n]` and `w[n]` share one, `z[t - 1]` and `z[t]` are a step apart.

Loops that run over the axes of several variables say which axes are the same plate. Where one term would need a plate twice
(`z[i]` with `z[j]`), or a member that is not at the loop's own index, there is no such form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge.structure import Structure
from ppl.engines.numpyro_bridge.terms import Term
from ppl.engines.numpyro_bridge.tracing import State

Classes = Mapping[tuple[str, int], str]  # from the axis of a variable to its plate
BEFORE = " before"  # after the name of a variable: its state one step earlier


@dataclass(frozen=True)
class Factor:
    """A table whose plates are axes with names, and so are the states of its variables. `along` is the plate of a step back."""

    table: Plated
    along: str | None = None


def plates_of(name: str, structure: Structure, classes: Classes) -> tuple[str, ...]:
    count = len(structure.bound.model.variables[name].type.axes)
    return tuple(classes.get((name, k), f"{name}/{k}") for k in range(count))


def aligned(terms: Sequence[Term], structure: Structure) -> tuple[list[Factor], Classes] | None:
    """The terms over common plates, or None."""
    if any(not _running(s) for t in terms for s in t.states.values()):
        return None
    classes = _classes(terms)
    lengths = _lengths(classes, structure)
    if lengths is None:
        return None
    factors = []
    for term in terms:
        factor = _placed(term, classes, lengths, structure)
        if factor is None:
            return None
        factors.append(factor)
    return factors, classes


def _running(state: State) -> bool:
    """Whether every index is a constant or a running one."""
    return all(not i.dims or i.start is not None for i in state.indices)


def _classes(terms: Sequence[Term]) -> dict[tuple[str, int], str]:
    """Axes that one loop runs over are one plate."""
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(axis: tuple[str, int]) -> tuple[str, int]:
        while parent.setdefault(axis, axis) != axis:
            axis = parent[axis]
        return axis

    for term in terms:
        runs: dict[str, tuple[str, int]] = {}
        for state in term.states.values():
            for k, index in enumerate(state.indices):
                axis = (state.variable, k)
                parent.setdefault(axis, axis)
                if index.dims:
                    parent[root(axis)] = root(runs.setdefault(index.dims[0], axis))
    return {axis: f"{root(axis)[0]}/{root(axis)[1]}" for axis in parent}


def _lengths(classes: Classes, structure: Structure) -> dict[str, int] | None:
    """The length of each plate; None where axes of one plate differ."""
    lengths: dict[str, int] = {}
    for (name, k), plate in classes.items():
        length = structure.bound.shape(structure.bound.model.variables[name])[k]
        if lengths.setdefault(plate, length) != length:
            return None
    return lengths


def _placed(term: Term, classes: Classes, lengths: Mapping[str, int], structure: Structure) -> Factor | None:
    """The term's table over whole plates, 0 where it says nothing; a state one step back has a name of its own."""
    runs: dict[str, tuple[str | None, int]] = {}  # plate → its loop and the last start
    for state in term.states.values():
        for k, index in enumerate(state.indices):
            plate = classes[state.variable, k]
            loop, start = (index.dims[0], index.start or 0) if index.dims else (None, int(index.data))
            before = runs.setdefault(plate, (loop, start))
            if before[0] != loop or abs(before[1] - start) > 1:
                return None
            runs[plate] = (loop, max(before[1], start))
    names: dict[str, str] = {}
    stepped: set[str] = set()
    for state in term.states.values():
        back = {}
        for k, index in enumerate(state.indices):
            plate = classes[state.variable, k]
            back[plate] = runs[plate][1] - (index.start or 0 if index.dims else int(index.data))
        steps = [plate for plate, lag in back.items() if lag]
        if len(steps) > 1:
            return None
        stepped |= set(steps)
        names[state.dim] = state.variable + BEFORE if steps else state.variable
    if len(stepped) > 1 or len(set(names.values())) < len(names):
        return None
    loops: dict[str, str] = {loop: plate for plate, (loop, _) in runs.items() if loop is not None}
    if len(loops) < sum(loop is not None for loop, _ in runs.values()):
        return None
    along = next(iter(stepped), None)
    still = _same_at_every_step(term, along, runs, lengths)
    table: Plated = term.expanded(*still)
    table = table.sum_dim(*(d for d in table.dims if d not in loops and d not in names))
    for plate, (loop, _) in runs.items():
        if loop is None:
            table = Plated((plate, *table.dims), table.data[None])
    table = Plated(tuple(loops.get(d, names.get(d, d)) for d in table.dims), table.data)
    for plate, (loop, start) in runs.items():
        if loop not in still:
            table = _padded(table, plate, start, lengths[plate])
    return Factor(table, along)


def _same_at_every_step(
    term: Term, along: str | None, runs: Mapping[str, tuple[str | None, int]], lengths: Mapping[str, int]
) -> tuple[str, ...]:
    """The loop of the steps where the term is one and the same at all of them: its axis stays of length 1."""
    if along is None:
        return ()
    loop, start = runs[along]
    if loop is None or start != 1 or term.lengths[loop] != lengths[along] - 1 or term.table.sizes[loop] != 1:
        return ()
    return (loop,)


def _padded(table: Plated, plate: str, start: int, length: int) -> Plated:
    if plate not in table.dims:
        raise AssertionError(f"a term without its plate {plate}")
    axis = table.dims.index(plate)
    widths = [(0, 0)] * table.data.ndim
    widths[axis] = (start, length - start - table.data.shape[axis])
    return Plated(table.dims, jnp.pad(table.data, widths))
