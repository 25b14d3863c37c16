"""Small structures of discrete variables: trees, grids and other networks, summed out entry by entry where that is affordable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ppl.compiler.discrete_structure import Cell, Pattern, axes_of, batch_labels, cell_numbers, cells_of, patterns_of, places, whole
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.families.elimination_order import elimination_cost

MOST_CELLS = 256
MOST_TABLES = 1200
LARGEST_ELIMINATED = 2**18  # entries of one table
MOST_OPERATIONS = 2**22  # entries that are summed, for all the batch together


@dataclass(frozen=True)
class DiscreteNetwork:
    """`scopes[k][m]` are the cells of the m-th table of a pattern; its plates are the batch axes (`batched`) and the others."""

    batch: tuple[int, ...]
    batch_labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    cardinalities: tuple[int, ...]
    patterns: tuple[Pattern, ...]
    batched: tuple[tuple[int, ...], ...]  # for each pattern and batch axis the plate that runs along it
    scopes: tuple[tuple[tuple[int, ...], ...], ...] = field(repr=False)
    order: tuple[int, ...] = field(repr=False)
    largest_table: int = 0
    operations: int = 0

    @property
    def signature(self) -> tuple:
        """Everything that a compiled program depends on."""
        patterns = tuple(p.signature for p in self.patterns)
        return self.batch, self.cells, self.cardinalities, self.batched, self.scopes, self.order, patterns

    @property
    def described(self) -> str:
        what = f"network of {len(self.cells)} discrete variables"
        return f"{what}, summed out one by one: tables of at most {self.largest_table} entries, {self.operations} in all"


def discrete_network(variables: Sequence[LatentVariable], factors: Sequence[LoweredFactor]) -> DiscreteNetwork | None:
    """The network of these variables, where summing it out is affordable."""
    patterns = patterns_of(factors, [v.name for v in variables])
    batch = [label for label in batch_labels(variables, patterns) if _is_whole(label, variables, patterns)]
    count = sum(math.prod(n for label, n in zip(v.labels, v.plates, strict=True) if label not in batch) for v in variables)
    batch_axes = axes_of(variables, batch)
    lengths = tuple(variables[0].plates[k] for k in batch_axes[variables[0].name])
    if count > MOST_CELLS or sum(math.prod(p.sizes) for p in patterns) > MOST_TABLES * math.prod(lengths):
        return None
    cells = cells_of(variables, batch)
    sizes = {v.name: v.cardinality for v in variables}
    cardinalities = tuple(sizes[name] for name, _ in cells)
    scopes, batched = [], []
    for pattern in patterns:
        along = tuple(int(index.dims[0]) for index in places(pattern, batch_axes).axes[0])
        numbers = np.stack(cell_numbers(pattern, variables, batch, cells), axis=-1).reshape(*pattern.sizes, -1)
        one = numbers[tuple(0 if k in along else slice(None) for k in range(len(pattern.sizes)))]
        batched.append(along)
        scopes.append(tuple(tuple(int(c) for c in row) for row in one.reshape(-1, numbers.shape[-1])))
    if sum(map(len, scopes)) > MOST_TABLES:
        return None
    unary = [(k,) for k in range(len(cells))]
    cost = elimination_cost([*unary, *(scope for of_one in scopes for scope in of_one)], dict(enumerate(cardinalities)))
    if cost.largest_table > LARGEST_ELIMINATED or cost.operations * math.prod(lengths) > MOST_OPERATIONS:
        return None
    order = tuple(int(k) for k in cost.order)  # type: ignore[arg-type]
    return DiscreteNetwork(
        lengths, tuple(batch), cells, cardinalities, patterns, tuple(batched), tuple(scopes), order, cost.largest_table, cost.operations
    )


def _is_whole(label: str, variables: Sequence[LatentVariable], patterns: Sequence[Pattern]) -> bool:
    """Whether every pattern runs along all of this plate, by a plate that says nothing else."""
    axes = axes_of(variables, [label])
    length = variables[0].plates[axes[variables[0].name][0]]
    for pattern in patterns:
        ((first,), *_) = places(pattern, axes).axes
        if not whole(first, length):
            return False
        for name, index in zip(pattern.variables, pattern.index, strict=True):
            if any(first.dims[0] in i.dims for k, i in enumerate(index) if k != axes[name][0]):
                return False
    return True
