"""Which blocks form conjugate pairs: a location whose statements all have known multiples of one variable as their precision.

Locations that share a precision stand together with it. A plate of locations may share it too: the axes of the batch that the
precision lacks are put last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import PAIRED, Block, lay_out, named_groups
from ppl.compiler.enumerations import same_index
from ppl.compiler.forms import Atom, Form
from ppl.compiler.joining import joining_forms, own_atoms
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.semantics.typed import Approximation
from ppl.source.diagnostics import AimError, Diagnostic

LARGEST = 1000  # numbers of locations that stand together because they share a precision


def paired(
    blocks: Sequence[Block],
    latents: Mapping[str, LatentVariable],
    factors: Sequence[LoweredFactor],
    approximation: Approximation | None,
) -> tuple[Block, ...]:
    """The blocks, those joined that form a pair and that the user does not keep apart, or asks for in a form of their own."""
    group, forms = named_groups(approximation), set(approximation.forms if approximation else ())
    found = list(blocks)
    for precision in (b for b in blocks if b.kind in PAIRED):
        name = precision.variables[0]
        locations = [b for b in found if b.kind == "Gaussian" and group.get(b.variables[0]) == group.get(name)]
        locations = [b for b in locations if not forms & {*b.variables, name} and _pair_of(b, precision, latents, factors)]
        if not locations:
            continue
        pair = _all_together(locations, precision, latents, factors)
        if pair is None:
            locations = locations[:1]
            pair = _pair_of(locations[0], precision, latents, factors)
        assert pair is not None
        found[found.index(locations[0])] = pair
        for one in (*locations[1:], precision):
            found.remove(one)
    _check_joint(found, factors, approximation)
    return tuple(found)


def _all_together(
    locations: Sequence[Block], precision: Block, latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]
) -> Block | None:
    """The pair of all locations that share a precision; None where they have none together, or are too many numbers."""
    if len(locations) == 1:
        return None
    variables = [latents[n] for b in locations for n in b.variables]
    if sum(int(np.prod(v.plates + v.event, dtype=int)) for v in variables) > LARGEST:
        return None
    whole = lay_out(variables, factors)
    return _pair_of(whole, precision, latents, factors) if whole.kind == "Gaussian" else None


def _check_joint(blocks: Sequence[Block], factors: Sequence[LoweredFactor], approximation: Approximation | None) -> None:
    """What the user names together is in one block, or in several that no statement joins: these are independent given the others."""
    for names in approximation.blocks if approximation else ():
        own = [b for b in blocks if set(b.variables) & set(names)]
        if any(sum(bool(set(b.variables) & set(f.variables)) for b in own) > 1 for f in factors):
            assert approximation is not None
            text = f"`q({', '.join(names)})` joins variables that are no conjugate pair: their block has no message"
            hint = "give each a block of its own, " + " ".join(f"q({n})" for n in names) + ", or leave the choice of the engine open"
            raise AimError([Diagnostic("AIM0721", text, approximation.span, hint)])


# ------------------------------------------------------------------ what is a pair
def _pair_of(location: Block, precision: Block, latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]) -> Block | None:
    """The block of both, where they are a pair."""
    scale, variables = latents[precision.variables[0]], set(location.variables)
    vectors = len(scale.event) == 2
    if (
        location.absent is not None
        or location.members is not None
        or (vectors and any(latents[v].event != scale.event[:1] for v in variables))
    ):
        return None
    places: list[list[set[int]]] = []  # for each factor, which axes of the batch each plate of the precision may be
    for factor in (f for f in factors if variables & set(f.variables)):
        atom, forms = _multiplied(factor, scale), list(joining_forms(factor))
        if atom is None or len(forms) != 1 or not _is_affine(forms[0], variables):
            return None
        if vectors and not (_is_scalar_multiple(factor, atom) and _is_whole(forms[0])):
            return None
        own = own_atoms(forms[0], variables)
        places.append([_axes_at(index, own, location) for index in atom.index[: len(scale.plates)]])
    along = _chosen(places, precision.batch, location.batch) if places else None
    return _joined(location, precision, along) if along is not None else None


def _multiplied(factor: LoweredFactor, scale: LatentVariable) -> Atom | None:
    """The one statistic of which the factor's precision is a known multiple, where it is that of one member of the variable."""
    mean = factor.slots.get("precision", {}).get("mean")
    if not isinstance(mean, Form) or len(mean.terms) != 1 or np.any(mean.offset.data) or len(mean.terms[0].atoms) != 1:
        return None
    (atom,) = mean.terms[0].atoms
    if not isinstance(atom, Atom) or atom.variable != scale.name or atom.statistic != PAIRED[scale.family]:
        return None
    return None if any(i.rank for i in atom.index[: len(scale.plates)]) or mean.terms[0].coefficient.shape[-1] != 1 else atom


def _is_affine(form: Form, variables: set[str]) -> bool:
    """Whether everything latent in a form is of these variables, one in each term."""
    return all(len(t.atoms) == 1 and isinstance(t.atoms[0], Atom) and t.atoms[0].variable in variables for t in form.terms)


def _is_scalar_multiple(factor: LoweredFactor, atom: Atom) -> bool:
    """Whether the precision is the whole matrix times a number."""
    mean = factor.slots["precision"]["mean"]
    assert isinstance(mean, Form)
    whole = _runs(atom.index[-2], 0) and _runs(atom.index[-1], 1)
    return whole and _is_same(mean.terms[0].coefficient, 0) and _is_same(mean.terms[0].coefficient, 1)


def _is_whole(form: Form) -> bool:
    """Whether a form sums whole vectors of variables, each times a number."""
    atoms = [a for t in form.terms for a in t.atoms if isinstance(a, Atom)]
    numbers = all(_is_same(t.coefficient, 0) for t in form.terms) and all(_is_same(i, 0) for a in atoms for i in a.index[:-1] if i.rank)
    return numbers and all(_runs(a.index[-1], 0) for a in atoms)


def _runs(index: Plated, axis: int) -> bool:
    """Whether an index with value axes is 0, 1, … along one of them."""
    if not index.rank:
        return False
    steps = np.arange(index.shape[axis]).reshape([-1 if k == axis else 1 for k in range(index.rank)])
    return bool((index.data == steps).all())


def _is_same(value: Plated, axis: int) -> bool:
    """Whether a value does not change along one of its axes."""
    moved = np.moveaxis(value.data, len(value.dims) + axis, 0)
    return bool((moved == moved[:1]).all())


def _axes_at(index: Plated, atoms: Sequence[Atom], location: Block) -> set[int]:
    """Axes of the batch of a location at which all its references are to the same members as this one."""
    axes = location.batch_axes
    return {k for k in range(len(location.batch)) if all(same_index(index, a.index[axes[a.variable][k]]) for a in atoms)}


def _chosen(places: Sequence[Sequence[set[int]]], plates: tuple[int, ...], batch: tuple[int, ...]) -> tuple[int, ...] | None:
    """An axis of the batch for each plate of the precision, the same in all factors."""
    along: list[int] = []
    for plate, size in enumerate(plates):
        possible = set.intersection(*(one[plate] for one in places)) - set(along)
        fitting = [k for k in sorted(possible) if batch[k] == size]
        if not fitting:
            return None
        along.append(fitting[0])
    return tuple(along)


def _joined(location: Block, precision: Block, along: tuple[int, ...]) -> Block:
    variables = (*location.variables, *precision.variables)
    order = (*along, *(k for k in range(len(location.batch)) if k not in along))
    axes = {n: tuple(one[k] for k in order) for n, one in location.batch_axes.items()}
    return replace(
        location,
        name=", ".join(variables),
        kind=f"Normal–{precision.kind}",
        variables=variables,
        batch=tuple(location.batch[k] for k in order),
        batch_axes={**axes, precision.variables[0]: tuple(range(len(along)))},
        tied=(False,) * len(location.batch),
    )
