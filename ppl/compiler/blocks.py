"""Blocks: which latent variables share one factor of the approximation, and how each block is laid out.

Latent Normals that meet in one affine mean form one Gaussian block; discrete variables that meet, at the same members of their
plates, form one table; every other variable is a block of its own. A plate whose members never meet inside a block is
kept apart as a batch axis: independent given the other blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.forms import Term
from ppl.compiler.latents import DISCRETE, GAUSSIAN, LatentVariable
from ppl.compiler.lowering import LoweredFactor, SecondMoment, same_index, same_place
from ppl.semantics.typed import Approximation
from ppl.source.diagnostics import AimError, Diagnostic

LARGEST_DENSE = 4000
LARGEST_TABLE = 4096


@dataclass(frozen=True)
class Block:
    """`batch` are the lengths of the batch axes; `batch_axes` says which axis of each variable each of them is.

    A Gaussian block holds `size` numbers for each member of the batch; `positions` says where each of a variable's other axes'
    entries is. A discrete block is a table with an axis for each variable.
    """

    name: str
    kind: str  # "Gaussian", "table", or the name of a family
    variables: tuple[str, ...]
    batch: tuple[int, ...]
    batch_axes: dict[str, tuple[int, ...]]
    size: int = 0
    positions: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    cardinalities: tuple[int, ...] = ()


def choose_blocks(
    latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor], approximation: Approximation | None
) -> tuple[Block, ...]:
    """The blocks, in the order in which they are updated: those of parameters first, discrete ones last."""
    group = _named_groups(approximation)
    _check_mixed(latents, approximation)
    members: dict[str, list[str]] = {name: [name] for name in latents}  # by variable, shared between those that are joined
    apart = _kept_apart(factors)

    def may_join(a: str, b: str) -> bool:
        union = [*members[a], *members[b]]
        states = np.prod([float(max(latents[n].cardinality, 1)) for n in union])
        clash = any(frozenset(pair) in apart for pair in itertools.combinations(union, 2))
        return group.get(a) == group.get(b) and bool(states <= LARGEST_TABLE) and not clash

    for names in _meetings(latents, factors):
        for a, b in itertools.pairwise(names):
            if members[a] is not members[b] and may_join(a, b):
                joined = [n for n in latents if n in members[a] or n in members[b]]
                for name in joined:
                    members[name] = joined
    joined = list({id(names): names for names in members.values()}.values())
    blocks = [_lay_out([latents[n] for n in names], factors) for names in joined]
    _check_separate(blocks, latents, approximation)
    return tuple(sorted(blocks, key=lambda b: b.kind == "table"))


def _kept_apart(factors: Sequence[LoweredFactor]) -> set[frozenset[str]]:
    """Pairs of discrete variables that some factor joins at different members of their plates: no table holds both."""
    found = set()
    for factor in factors:
        for a, b in itertools.combinations(factor.enumerations, 2):
            if not same_place(a.index, b.index):
                found.add(frozenset((a.variable, b.variable)))
    return found


def _check_separate(blocks: Sequence[Block], latents: Mapping[str, LatentVariable], approximation: Approximation | None) -> None:
    """`q(a[n])` holds where the members of the plate are apart anyway; other factorisations over a plate have no form yet."""
    for name in approximation.separate if approximation else ():
        block = next((b for b in blocks if name in b.variables), None)
        if block is not None and len(block.batch) < len(latents[name].plates):
            assert approximation is not None
            text = f"the members of `{name}` meet in one mean: a posterior that keeps them apart, `q({name}[…])`, is not supported yet"
            raise AimError([Diagnostic("AIM0728", text, approximation.span, f"write q({name})")])


def _named_groups(approximation: Approximation | None) -> dict[str, int]:
    return {n: k for k, names in enumerate(approximation.blocks if approximation else ()) for n in names}


def _check_mixed(latents: Mapping[str, LatentVariable], approximation: Approximation | None) -> None:
    """Blocks that join variables of different families have no form yet."""
    for names in approximation.blocks if approximation else ():
        kinds = {_kind(latents[n]) if _kind(latents[n]) in ("Gaussian", "table") else n for n in names if n in latents}
        if len(kinds) > 1:
            assert approximation is not None
            text = f"`q({', '.join(names)})` joins variables of different families, which is not supported yet"
            raise AimError(
                [Diagnostic("AIM0721", text, approximation.span, "give each a block of its own: " + " ".join(f"q({n})" for n in names))]
            )


def _kind(variable: LatentVariable) -> str:
    return "Gaussian" if variable.family in GAUSSIAN else "table" if variable.family in DISCRETE else variable.family


def _gaussian_terms(factor: LoweredFactor, latents: Mapping[str, LatentVariable]) -> Iterable[list[Term]]:
    for feature in factor.features():
        if isinstance(feature, SecondMoment):
            yield list(feature.form.terms)


def _meetings(latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]) -> Iterable[list[str]]:
    """Sets of variables that one block should hold."""
    for factor in factors:
        for terms in _gaussian_terms(factor, latents):
            yield list(dict.fromkeys(t.variable for t in terms))
        together: list[list] = []
        for e in factor.enumerations:
            for others in together:
                first = others[0]
                if latents[first.variable].plates == latents[e.variable].plates and same_place(first.index, e.index):
                    others.append(e)
                    break
            else:
                together.append([e])
        for enumerations in together:
            if np.prod([e.size for e in enumerations]) <= LARGEST_TABLE:
                yield [e.variable for e in enumerations]


def _lay_out(variables: list[LatentVariable], factors: Sequence[LoweredFactor]) -> Block:
    names = tuple(v.name for v in variables)
    kind = _kind(variables[0])
    if kind == "table":
        axes = {v.name: tuple(range(len(v.plates))) for v in variables}
        return Block(", ".join(names), kind, names, variables[0].plates, axes, cardinalities=tuple(v.cardinality for v in variables))
    if kind != "Gaussian":
        _check_one_place(variables[0], factors)
        axes = {variables[0].name: tuple(range(len(variables[0].plates)))}
        return Block(names[0], kind, names, variables[0].plates, axes)
    labels = [label for label in variables[0].labels if _apart(label, variables, factors)]
    axes = {v.name: tuple(v.labels.index(label) for label in labels) for v in variables}
    batch = tuple(variables[0].plates[k] for k in axes[names[0]])
    positions, size = {}, 0
    for v in variables:
        inner = tuple(n for k, n in enumerate(v.plates) if k not in axes[v.name]) + v.event
        count = int(np.prod(inner, dtype=int))
        positions[v.name] = np.arange(size, size + count).reshape(inner)
        size += count
    if size > LARGEST_DENSE:
        text = (
            f"the Normal variables {', '.join(f'`{n}`' for n in names)} would form one block of {size} numbers, more than {LARGEST_DENSE}"
        )
        raise AimError([Diagnostic("AIM0722", text, variables[0].span, "such large joint blocks are not supported yet")])
    return Block(", ".join(names), kind, names, batch, axes, size, positions)


def _apart(label: str, variables: list[LatentVariable], factors: Sequence[LoweredFactor]) -> bool:
    """Whether the members of this plate never meet in a factor of the block."""
    if any(v.labels.count(label) != 1 for v in variables):
        return False
    axis = {v.name: v.labels.index(label) for v in variables}
    for factor in factors:
        for terms in _gaussian_terms(factor, {}):
            places = [t.index[axis[t.variable]] for t in terms if t.variable in axis]
            if any(p.rank for p in places) or not all(same_index(places[0], p) for p in places):
                return False
    return True


def _check_one_place(variable: LatentVariable, factors: Sequence[LoweredFactor]) -> None:
    """A factor may touch a variable of such a family at one member of its plates only."""
    for factor in factors:
        places: list[tuple[Plated, ...]] = [t.index[: len(variable.plates)] for t in factor.terms() if t.variable == variable.name]
        for place in places[1:]:
            if not same_place(places[0], place):
                text = f"this statement joins two members of `{variable.name}`, which is not supported yet"
                raise AimError([Diagnostic("AIM0723", text, factor.statement.span)])
        if any(i.rank for place in places for i in place):
            text = f"this statement joins all members of `{variable.name}`, which is not supported yet"
            raise AimError([Diagnostic("AIM0723", text, factor.statement.span)])
