"""What takes part in inference: the missing entries on which something observed depends.

A missing entry that nothing observed depends on integrates to 1: it leaves the posterior of everything else as it is, so it is
left out and predicted afterwards. To leave it in would only loosen the bound of a mean-field posterior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.recursions import recursions
from ppl.graph.bound import BoundModel
from ppl.graph.cells import absent_cells
from ppl.graph.evaluate import Evaluator, changing, sizes_of
from ppl.graph.references import potential_uses, statement_uses, uses
from ppl.semantics import typed

Definitions = Mapping[str, Sequence[typed.DeterministicStatement]]
ROWS = "rows"


def needed_entries(
    bound: BoundModel,
    statements: Sequence[typed.RandomStatement],
    definitions: Definitions,
    kept: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """For each random variable which entries (of its plates) are needed: a mask, observed ones among them. `kept` ones are.

    A statement of what is computed is its density there: what is behind it is needed."""
    model = bound.model
    names = list(dict.fromkeys(s.variable for s in statements))
    shapes = {n: bound.shape(model.variables[n])[: model.variables[n].plates] for n in names}
    needed = {n: np.zeros(shapes[n], bool) for n in names}
    settled = {n: np.asarray(bound.observed[n]).copy() if n in bound.observed else np.zeros(shapes[n], bool) for n in names}
    for name in set(names) & set(definitions):
        settled[name][...] = True
    for name, mask in {**given_in_part(bound), **(kept or {})}.items():
        needed[name] |= mask
        settled[name] |= mask
    for name, place in _potential_marks(bound, definitions):
        needed[name][place] = settled[name][place] = True
    earlier = [r for s in statements for r in recursions(s)]
    changed = True
    while changed:
        changed = False
        for statement in reversed(statements):
            for name, place in _marks(statement, settled[statement.variable], bound, definitions):
                before = needed[name][place]
                if not np.all(before):
                    needed[name][place] = True
                    settled[name][place] = True
                    changed = True
        for one in earlier:
            changed |= one.fill(needed, settled, bound)
    for name in recursive(statements, definitions):
        if model.variables[name].type.kind not in ("member", "bool"):  # what is discrete is filled up by its structure
            needed[name][...] = bool(needed[name].any())
    for name, absent in absent_cells(model, bound.sizes, bound.values).items():
        if name in needed:
            needed[name] &= ~absent
    return {n: mask for n, mask in needed.items() if n not in definitions}


def given_in_part(bound: BoundModel) -> dict[str, np.ndarray]:
    """Vectors of which some numbers are observed: they are inferred, and what they depend on with them."""
    found = {}
    for name, observed in bound.observed.items():
        variable, value = bound.model.variables[name], bound.values[name]
        if value.ndim > variable.plates and value.dtype.kind == "f" and not observed.all():
            some = ~np.isnan(value).all(axis=tuple(range(variable.plates, value.ndim)))
            if (some & ~observed).any():
                found[name] = some & ~observed
    return found


def recursive(statements: Sequence[typed.RandomStatement], definitions: Definitions) -> set[str]:
    """Variables that depend on entries of themselves: a sequence is inferred as a whole, its end with it, which costs nothing."""
    reads: dict[str, set[str]] = {}
    for statement in statements:
        names = {u for name, _ in statement_uses(statement) for u in _behind(name, definitions)}
        reads.setdefault(statement.variable, set()).update(names)
    return {name for name in reads if name in _reached(name, reads)}


def _behind(name: str, definitions: Definitions) -> set[str]:
    return _reached(name, {n: {u for d in ds for u, _ in statement_uses(d)} for n, ds in definitions.items()}) or {name}


def _reached(name: str, reads: Mapping[str, set[str]]) -> set[str]:
    """All that a variable reads, directly or not."""
    found, queue = set(), list(reads.get(name, ()))
    while queue:
        one = queue.pop()
        if one not in found:
            found.add(one)
            queue += reads.get(one, ())
    return found


def _potential_marks(bound: BoundModel, definitions: Definitions) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What stands in a potential is needed."""
    for potential in (*bound.model.potentials, *bound.equalities):
        evaluator = Evaluator(bound.sizes, bound.values)
        loops, some = evaluator.loops_of(potential), changing(potential.loops)
        if some:
            loops = _members(loops, np.ones(tuple(sizes_of(loops).values()), bool))
        for name, indices in potential_uses(potential):
            if name in definitions:
                yield from _through(name, bound, definitions)
            elif bound.model.variables[name].role == "random":
                variable = bound.model.variables[name]
                place = tuple(_place(i, loops, evaluator, bound, whole=not some) for i in indices[: variable.plates])
                yield name, place if some else _combinations(place, bound.shape(variable))


def _marks(
    statement: typed.RandomStatement, settled: np.ndarray, bound: BoundModel, definitions: Definitions
) -> Iterator[tuple[str, tuple[np.ndarray | slice, ...]]]:
    """The entries of random variables that the statement reads where what it defines is observed or needed."""
    if not settled.any():
        return
    evaluator = Evaluator(bound.sizes, bound.values)
    loops = evaluator.loops_of(statement)
    rows = None if settled.all() else _rows(statement, settled, loops, evaluator)
    if rows is not None:
        loops = rows
        if any(not index.data.size for index in loops.values()):
            return
    if statement.variable in definitions:  # what has a density at what it is computed to be
        yield from _through(statement.variable, bound, definitions)
    for name, indices in statement_uses(statement):
        if name in definitions:
            yield from _through(name, bound, definitions)
        elif bound.model.variables[name].role == "random":
            variable = bound.model.variables[name]
            place = tuple(_place(i, loops, evaluator, bound, whole=rows is None) for i in indices[: variable.plates])
            yield name, _combinations(place, bound.shape(variable)) if rows is None else place


def _combinations(place: tuple[np.ndarray | slice, ...], lengths: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Every combination of the places along each axis."""
    return np.ix_(*(np.arange(lengths[k])[p] if isinstance(p, slice) else np.unique(p) for k, p in enumerate(place)))


def _through(name: str, bound: BoundModel, definitions: Definitions, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """All that a deterministic variable reads."""
    for definition in definitions[name]:
        for used, _ in statement_uses(definition):
            if used in definitions and used not in seen:
                yield from _through(used, bound, definitions, (*seen, name))
            elif used not in definitions and bound.model.variables[used].role == "random":
                yield used, ()


def _rows(
    statement: typed.RandomStatement, settled: np.ndarray, loops: dict[str, Plated], evaluator: Evaluator
) -> dict[str, Plated] | None:
    """The loops' members for which the statement defines an entry that is settled; None where that is every combination of them."""
    sizes = sizes_of(loops)
    place = tuple(evaluator.index(i, None, loops).arranged(tuple(sizes), sizes) for i in statement.indices)
    mask = settled[place]
    if mask.all() and not changing(statement.loops):
        return None
    if not sizes:  # a single member, which takes no part
        return {"": Plated((ROWS,), np.zeros(0, int))}
    return _members(loops, mask)


def _members(loops: Mapping[str, Plated], mask: np.ndarray) -> dict[str, Plated]:
    """The loops' members where a mask over their plates holds, one after the other."""
    where = dict(zip(sizes_of(loops), np.nonzero(mask), strict=True))
    return {n: Plated((ROWS,), i.data[where[i.dims[0]]]) for n, i in loops.items()}


def _place(
    e: typed.TypedExpression, loops: Mapping[str, Plated], evaluator: Evaluator, bound: BoundModel, *, whole: bool
) -> np.ndarray | slice:
    """The entries along one axis: all of them where the index is latent, or a loop of its own, or the whole loop."""
    if whole and isinstance(e, typed.IndexReference):
        index = loops.get(e.name)
        if index is not None and index.start is not None:
            return slice(index.start, index.start + index.data.shape[0])
    if isinstance(e, typed.Slice) or any(not _given(name, bound) for name, _ in uses(e)):
        return slice(None)
    try:
        value = evaluator.index(e, None, loops)
    except KeyError:  # the index of a sum inside the statement
        return slice(None)
    return value.data if not value.rank or whole else slice(None)


def _given(name: str, bound: BoundModel) -> bool:
    return name in bound.values and bool(np.all(bound.observed.get(name, True)))
