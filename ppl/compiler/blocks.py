"""Blocks: which latent variables share one factor of the approximation, and how each block is laid out.

Latent Normals that meet in one affine mean form one Gaussian block; discrete variables that meet, at the same members of their
plates, form one table; every other variable is a block of its own. A plate whose members never meet inside a block is
kept apart as a batch axis: independent given the other blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ppl.compiler.chains import Chain, chain_of
from ppl.compiler.discrete_blocks import Discrete, discrete_groups
from ppl.compiler.discrete_chains import DiscreteChain
from ppl.compiler.discrete_networks import DiscreteNetwork
from ppl.compiler.discrete_structure import axes_of
from ppl.compiler.enumerations import same_index
from ppl.compiler.forests import Forest, forest_of
from ppl.compiler.forms import SmoothAtom
from ppl.compiler.joining import joining_forms, own_atoms
from ppl.compiler.latents import DISCRETE, GAUSSIAN, LatentVariable
from ppl.compiler.lowering import LoweredFactor, SecondMoment, terms_of
from ppl.semantics.typed import Approximation
from ppl.source.diagnostics import AimError, Diagnostic

LARGEST_DENSE = 4000


PAIRED = {"Gamma": "mean", "InverseGamma": "reciprocal", "Wishart": "mean", "InverseWishart": "inverse"}  # statistics that are precisions


@dataclass(frozen=True)
class Block:
    """`batch` are the lengths of the batch axes; `batch_axes` says which axis of each variable each of them is.

    A Gaussian block holds `size` numbers for each member of the batch; `positions` says where each of a variable's other axes'
    entries is. A discrete block is a table with an axis for each variable.
    """

    name: str
    kind: str  # "Gaussian", "Gaussian chain", "Gaussian forest", "table", "discrete structure", or the name of a family
    variables: tuple[str, ...]
    batch: tuple[int, ...]
    batch_axes: dict[str, tuple[int, ...]]
    size: int = 0
    tied: tuple[bool, ...] = ()  # batch axes of a Gaussian block along which its covariance is the same
    positions: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    cardinalities: tuple[int, ...] = ()
    chain: Chain | None = None
    forest: Forest | None = None
    structure: DiscreteChain | DiscreteNetwork | None = None  # of a discrete block that is no table
    point: bool = False  # a point mass stands for it: `q(a): point`
    absent: np.ndarray | None = field(default=None, repr=False)  # numbers of a Gaussian block that are not latent: they stand apart
    members: np.ndarray | None = field(default=None, repr=False)  # of its numbers, where only those of one member are joint: which
    turns: np.ndarray | None = field(default=None, repr=False)  # of a table whose members meet: when each is updated

    @property
    def numbers(self) -> tuple[int, ...]:
        """The shape of the numbers of a Gaussian block at each member of the batch, those of a border left out."""
        if self.chain is not None:
            return self.chain.length, self.chain.width
        return (self.size,) if self.forest is None else (self.forest.nodes, self.forest.width)

    @property
    def is_pair(self) -> bool:
        """Whether it is a location beside its precision."""
        return self.kind.startswith("Normal–")


def choose_blocks(
    latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor], approximation: Approximation | None
) -> tuple[Block, ...]:
    """The blocks, in the order in which they are updated: those of parameters first, discrete ones last."""
    group = named_groups(approximation)
    members: dict[str, list[str]] = {name: [name] for name in latents}  # by variable, shared between those that are joined
    apart = _kept_apart(factors)

    def may_join(a: str, b: str) -> bool:
        union = [*members[a], *members[b]]
        clash = any(frozenset(pair) in apart for pair in itertools.combinations(union, 2))
        return group.get(a) == group.get(b) and not clash

    for a, b in _meetings(latents, factors):
        if members[a] is not members[b] and may_join(a, b):
            joined = [n for n in latents if n in members[a] or n in members[b]]
            for name in joined:
                members[name] = joined
    joined = list({id(names): names for names in members.values()}.values())
    apart_by_user = approximation.separate if approximation else ()
    blocks = [lay_out([latents[n] for n in names], factors, apart_by_user) for names in joined if latents[names[0]].family not in DISCRETE]
    discrete = discrete_groups(latents, factors, lambda a, b: group.get(a) == group.get(b), apart_by_user)
    blocks += [_lay_out_discrete(one, latents) for one in discrete]
    return tuple(sorted(blocks, key=lambda b: _turn(b, factors)))


def _turn(block: Block, factors: Sequence[LoweredFactor]) -> int:
    """Of Normals that are multiplied the block with the most members comes first, and all of them before what they depend on: the
    others then answer to data, and not to the random start of their partner."""
    multiplied = {name for f in factors for t in f.terms() if len(t.atoms) > 1 for name in t.variables}
    if not block.positions or not multiplied & set(block.variables):
        return 0
    return -sum(int(np.prod(block.batch, dtype=int)) * p.size for p in block.positions.values())


def _kept_apart(factors: Sequence[LoweredFactor]) -> set[frozenset[str]]:
    """Pairs of variables that no block holds together: those that are multiplied, and those in different slots of a factor."""
    found = set()
    for factor in factors:
        for one, other in itertools.chain.from_iterable(itertools.combinations(t.atoms, 2) for t in factor.terms()):
            found |= {frozenset(pair) for pair in itertools.product(one.variables, other.variables)}
        slots = [{v for f in features.values() for t in terms_of(f) for v in t.variables} for features in factor.slots.values()]
        for one, other in itertools.combinations(slots, 2):
            found |= {frozenset(pair) for pair in itertools.product(one, other)}
    return found


def in_form(blocks: Sequence[Block], approximation: Approximation | None) -> tuple[Block, ...]:
    """The blocks in the forms that the user gives: point masses, or the family that a block has anyway. Raises AimError."""
    forms = approximation.forms if approximation else {}
    refused, found = [], []
    for block in blocks:
        wanted = {forms[v] for v in block.variables if v in forms}
        if wanted == {"point"} and all(v in forms for v in block.variables) and block.structure is None and len(block.cardinalities) <= 1:
            block = replace(block, point=True)
        elif wanted - {block.kind, *(("Normal", "MvNormal") if block.positions else ())}:
            assert approximation is not None
            text = f"`q({block.name})` cannot be of the form {', '.join(sorted(wanted))}: the block is a {block.kind}"
            refused.append(Diagnostic("AIM0720", text, approximation.span))
        found.append(block)
    if refused:
        raise AimError(refused)
    return tuple(found)


def named_groups(approximation: Approximation | None) -> dict[str, int]:
    return {n: k for k, names in enumerate(approximation.blocks if approximation else ()) for n in names}


def _kind(variable: LatentVariable) -> str:
    return "Gaussian" if variable.family in GAUSSIAN else "table" if variable.family in DISCRETE else variable.family


def _meetings(latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]) -> list[tuple[str, str]]:
    """Pairs of variables that one block should hold; first those whose plates are alike, so that these stay apart in the block."""
    pairs: dict[tuple[str, str], None] = {}
    for factor in factors:
        for form in joining_forms(factor):
            names = list(dict.fromkeys(a.variable for a in own_atoms(form, latents)))
            pairs |= dict.fromkeys(itertools.combinations(names, 2))
    return sorted(pairs, key=lambda pair: -len(set(latents[pair[0]].labels) & set(latents[pair[1]].labels)))


def _lay_out_discrete(one: Discrete, latents: Mapping[str, LatentVariable]) -> Block:
    names, variables = one.variables, [latents[n] for n in one.variables]
    name, sizes = ", ".join(names), tuple(v.cardinality for v in variables)
    if one.structure is None:
        axes = {v.name: tuple(range(len(v.plates))) for v in variables}
        return Block(name, "table", names, variables[0].plates, axes, cardinalities=sizes, turns=one.turns)
    axes = axes_of(variables, one.structure.batch_labels)
    return Block(name, "discrete structure", names, one.structure.batch, axes, cardinalities=sizes, structure=one.structure)


def lay_out(variables: list[LatentVariable], factors: Sequence[LoweredFactor], separate: Container[str] = ()) -> Block:
    """Variables of one kind as one block; the members of those that are to be separate are independent in it."""
    names = tuple(v.name for v in variables)
    kind = _kind(variables[0])
    if kind != "Gaussian":
        axes = {variables[0].name: tuple(range(len(variables[0].plates)))}
        return Block(names[0], kind, names, variables[0].plates, axes)
    apart = [axis for axis in _shared_axes(variables) if _apart(axis, factors)]
    axes = {v.name: tuple(axis[v.name] for axis in apart) for v in variables}
    batch = tuple(variables[0].plates[k] for k in axes[names[0]])
    tied = tuple(_is_tied({n: axes[n][k] for n in names}, batch[k], factors) for k in range(len(batch)))
    forest = None if any(n in separate for n in names) else forest_of(variables, axes, factors)
    if forest is not None:
        return _as_forest(variables, batch, axes, forest)
    chain = chain_of(variables, axes, factors)
    if chain is not None:
        inner = {v.name: (*axes[v.name], *((chain.times[v.name],) if v.name in chain.times else ())) for v in variables}
        tracks = [[v for v in variables if (v.name in chain.times) == moving] for moving in (True, False)]
        positions = {name: places for track in tracks for name, places in _positions(track, inner)[0].items()}
        absent = _absent(variables, axes, positions, (*batch, chain.length, chain.width), chain)
        untied = (False,) * len(batch)
        shape = (chain.length * chain.width + chain.border,)
        members = _members(variables, axes, positions, shape, separate, chain)
        made = Block(", ".join(names), "Gaussian chain", names, batch, axes, 0, untied, positions, chain=chain, absent=absent)
        return replace(made, members=members)
    positions, size = _positions(variables, axes)
    if size > LARGEST_DENSE:
        text = (
            f"the Normal variables {', '.join(f'`{n}`' for n in names)} would form one block of {size} numbers, more than {LARGEST_DENSE}"
        )
        raise AimError([Diagnostic("AIM0722", text, variables[0].span, "such large joint blocks are not supported yet")])
    absent = _absent(variables, axes, positions, (*batch, size), None)
    members = _members(variables, axes, positions, (size,), separate, None)
    return Block(", ".join(names), kind, names, batch, axes, size, tied, positions, absent=absent, members=members)


def _as_forest(variables: Sequence[LatentVariable], batch: tuple[int, ...], axes: dict[str, tuple[int, ...]], forest: Forest) -> Block:
    """A block over nested plates. Nodes with fewer numbers than others have places that are absent."""
    names = tuple(v.name for v in variables)
    positions = _positions([v for v in variables if v.name not in forest.first], axes)[0]
    absent, filled = np.ones((*batch, forest.nodes, forest.width), bool), dict[int, int]()
    for v in (v for v in variables if v.name in forest.first):
        first, members, count = forest.first[v.name], int(np.prod(forest.lengths[v.name], dtype=int)), int(np.prod(v.event, dtype=int))
        at = filled.get(first, 0)
        filled[first] = at + count
        positions[v.name] = np.arange(at, at + count).reshape(v.event)
        given = np.zeros(v.plates + v.event, bool) if v.given is None else ~np.isnan(v.given)
        given = np.moveaxis(given, (*axes[v.name], *forest.axes[v.name]), range(len(v.plates)))
        absent[..., first : first + members, at : at + count] = given.reshape((*batch, members, count))
    untied = (False,) * len(batch)
    made = Block(", ".join(names), "Gaussian forest", names, batch, axes, 0, untied, positions, forest=forest)
    return replace(made, absent=absent if absent.any() else None)


def _absent(
    variables: list[LatentVariable],
    axes: Mapping[str, tuple[int, ...]],
    positions: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    chain: Chain | None,
) -> np.ndarray | None:
    """Which numbers of a Gaussian block are not latent: given ones of vectors, and steps of a chain that a variable lacks."""
    found = np.zeros(shape, bool)
    for v in variables:
        moving = () if chain is None else (chain.times[v.name],) if v.name in chain.times else None
        if moving is None:
            continue
        first = (*axes[v.name], *moving)
        given = np.zeros(v.plates + v.event, bool) if v.given is None else ~np.isnan(v.given)
        given = np.moveaxis(given, first, range(len(first)))
        flat = given.reshape(given.shape[: len(first)] + (-1,))
        places = positions[v.name].ravel()
        if moving:
            found[..., places] = True
            found[..., : v.plates[moving[0]], places] = flat
        else:
            found[..., places] = flat
    return found if found.any() else None


def _members(
    variables: list[LatentVariable],
    axes: Mapping[str, tuple[int, ...]],
    positions: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    separate: Container[str],
    chain: Chain | None,
) -> np.ndarray | None:
    """Which member of its plates each number belongs to (of a chain step by step, the border last), where some are to be separate; those
    at the same members are joint, and a variable that is written whole stays so. None where all are joint anyway."""
    found, seen = np.zeros(shape, int), {}
    for v in variables:
        left = [k for k in range(len(v.plates)) if k not in axes[v.name]]
        for place in np.ndindex(*(v.plates[k] for k in left)):
            own = tuple(sorted((v.labels[k], at) for k, at in zip(left, place, strict=True))) if v.name in separate else v.name
            inner = place
            before = 0
            if chain is not None and v.name in chain.times:
                time = left.index(chain.times[v.name])
                inner, before = place[:time] + place[time + 1 :], place[time] * chain.width
            elif chain is not None:
                before = chain.length * chain.width
            found[before + positions[v.name][inner]] = seen.setdefault(own, len(seen))
    return found if len(seen) > 1 and any(v.name in separate for v in variables) else None


def _positions(variables: list[LatentVariable], axes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, np.ndarray], int]:
    """Where the entries of each variable's other axes are, one variable after another, and how many there are."""
    positions, size = {}, 0
    for v in variables:
        inner = tuple(n for k, n in enumerate(v.plates) if k not in axes[v.name]) + v.event
        count = int(np.prod(inner, dtype=int))
        positions[v.name] = np.arange(size, size + count).reshape(inner)
        size += count
    return positions, size


def _shared_axes(variables: list[LatentVariable]) -> list[dict[str, int]]:
    """Axes that all the variables have, each as the place of it in every variable's plates."""
    if len(variables) == 1:
        return [{variables[0].name: k} for k in range(len(variables[0].plates))]
    labels = [label for label in variables[0].labels if all(v.labels.count(label) == 1 for v in variables)]
    return [{v.name: v.labels.index(label) for v in variables} for label in labels]


def _apart(axis: Mapping[str, int], factors: Sequence[LoweredFactor]) -> bool:
    """Whether the members along this axis never meet in a factor of the block."""
    for factor in factors:
        for form in joining_forms(factor):
            places = [a.index[axis[a.variable]] for a in own_atoms(form, axis)]
            if any(p.rank for p in places) or not all(same_index(places[0], p) for p in places):
                return False
    return True


def _is_tied(axis: Mapping[str, int], length: int, factors: Sequence[LoweredFactor]) -> bool:
    """Whether the block's precision is the same for all members of a batch axis: nothing beside an offset knows the member."""
    for factor in factors:
        for slot, features in factor.slots.items():
            for feature in features.values():
                if any(own_atoms(a.form, axis) for t in terms_of(feature) for a in t.atoms if isinstance(a, SmoothAtom)):
                    return False
                if isinstance(feature, SecondMoment) and not _knows_no_member(feature, slot, factor, axis, length):
                    return False
    return True


def _knows_no_member(feature: SecondMoment, slot: str, factor: LoweredFactor, axis: Mapping[str, int], length: int) -> bool:
    places = [a.index[axis[a.variable]] for a in own_atoms(feature.form, axis)]
    if not places:
        return True
    if places[0].start != 0 or places[0].data.shape != (length,):
        return False
    (dim,) = places[0].dims
    if dim in {e.dim for e in factor.enumerations}:  # states have different probabilities
        return False
    others = [f for name, fs in factor.slots.items() if name != slot for f in fs.values()]
    coefficients = [t.coefficient for t in feature.form.terms if set(t.variables) & set(axis)]
    strangers = [a for t in feature.form.terms if set(t.variables) & set(axis) for a in t.atoms if not set(a.variables) & set(axis)]
    indices = [i for e in factor.enumerations for i in e.index]
    return not any(dim in one.dims for one in (*others, *coefficients, *strangers, *indices))
