"""Which entries of discrete variables are latent together: those that meet others keep their plates whole, or a box of them.

Where a discrete variable meets itself or another one in a statement, its observed entries stay in their places as evidence, and
entries that nothing observed depends on stay too where all its tables are known: they cost nothing and are told exactly. With
tables that are learnt such entries would loosen the bound, so there the smallest box of the needed ones is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ppl.compiler.latents import PREDICTED, LatentVariable
from ppl.graph.bound import BoundModel
from ppl.graph.references import potential_uses, statement_uses
from ppl.semantics import typed

Definitions = Mapping[str, Sequence[typed.DeterministicStatement]]
Masks = dict[str, np.ndarray]


def structured_variables(
    model: typed.TypedModel, statements: Sequence[typed.RandomStatement], discrete: set[str], definitions: Definitions
) -> set[str]:
    """Discrete variables that stand beside another place of a discrete variable in some statement or potential."""
    found: set[str] = set()
    for one in (*statements, *model.potentials):
        own = [(one.variable, one.indices)] if isinstance(one, typed.RandomStatement) else []
        read = statement_uses(one) if isinstance(one, typed.RandomStatement) else potential_uses(one)
        mentioned = {use for use in (*own, *(u for use in read for u in through(use, definitions))) if use[0] in discrete}
        if len(mentioned) > 1 or any(_many(use, model) for use in mentioned):
            found |= {name for name, _ in mentioned}
    return found


def _many(use: tuple[str, tuple[typed.TypedExpression, ...]], model: typed.TypedModel) -> bool:
    """Whether a mention is of many members at once."""
    name, indices = use
    return len(indices) < model.variables[name].plates or any(isinstance(i, typed.Slice) for i in indices)


def through(use: tuple[str, tuple], definitions: Definitions, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple]]:
    """What a mention reads: itself, or all that a computed variable is computed from."""
    if use[0] not in definitions:
        yield use
        return
    if use[0] in seen:
        return
    for definition in definitions[use[0]]:
        for inner in statement_uses(definition):
            yield from through(inner, definitions, (*seen, use[0]))


def kept_entries(
    bound: BoundModel,
    structured: set[str],
    statements: Sequence[typed.RandomStatement],
    definitions: Definitions,
    needed: Callable[[Masks], Masks],
    observed: Callable[[str], np.ndarray],
) -> Masks:
    """The needed entries of all variables, those of structured ones filled up. `needed` tells them given entries that are kept."""
    masks = needed({})
    latent = {n for n in structured if np.any(masks[n] & ~observed(n))}
    known = {n for n in masks if n in bound.values and observed(n).all()}
    whole = _with_known_tables(latent, known, statements, definitions)
    while True:
        filled = {n: np.ones_like(masks[n]) if n in whole else box(masks[n] | observed(n)) for n in latent}
        if all(np.array_equal(filled[n], masks[n]) for n in latent):
            return masks
        masks = needed(filled)


def _with_known_tables(
    latent: set[str], known: set[str], statements: Sequence[typed.RandomStatement], definitions: Definitions
) -> set[str]:
    """Those of the variables whose distributions depend on nothing unknown but each other."""
    whole = set(latent)
    while True:
        random = {s.variable for s in statements}
        wrong = {
            s.variable
            for s in statements
            if s.variable in whole
            for use in statement_uses(s)
            for name, _ in through(use, definitions)
            if name in random and name not in whole | known
        }
        if not wrong:
            return whole
        whole -= wrong


def box(mask: np.ndarray) -> np.ndarray:
    """The smallest box of entries that holds all of the mask."""
    filled = np.zeros_like(mask)
    filled[slices(mask)] = True
    return filled


def slices(mask: np.ndarray) -> tuple[slice, ...]:
    if not mask.ndim or not mask.any():
        return (slice(0, 0),) * mask.ndim
    return tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(mask))


def boxed(variable: LatentVariable, kept: np.ndarray, observed: np.ndarray, values: np.ndarray | None) -> LatentVariable:
    """The variable with these entries only, a box of its plates; the observed ones among them are evidence."""
    cut = slices(kept)
    evidence = np.where(observed, values, -1).astype(int)[cut] if values is not None and observed[cut].any() else None
    if kept.all():
        return replace(variable, evidence=evidence)
    plates = tuple(s.stop - s.start for s in cut)
    lookup = np.full(kept.shape, PREDICTED)
    lookup[cut] = np.arange(int(kept.sum())).reshape(plates)
    return replace(variable, plates=plates, lookup=lookup, corner=tuple(s.start for s in cut), evidence=evidence)
