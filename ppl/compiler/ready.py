"""Making ready: the expected features of a factor as a tree of arrays with a static skeleton.

Data are then arguments of the compiled program and never constants in it. Indices that name a plate are slices, indices that
take everything are dropped, coefficients that are all 1 are not multiplied.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax
import numpy as np

from ppl.arrays.plated import Plated, indices, running
from ppl.compiler.blocks import Block
from ppl.compiler.chains import Chain
from ppl.compiler.enumerations import same_place
from ppl.compiler.forms import Atom, Form, SmoothAtom, Term
from ppl.compiler.latents import GAUSSIAN, LatentVariable
from ppl.compiler.lowering import Feature, SecondMoment
from ppl.compiler.quantities import NotConjugate

GAUSSIAN_PARTS = ("block", "chain", "node", "border", "pair")

jax.tree_util.register_dataclass(Plated, data_fields=["data"], meta_fields=["dims", "start"])


@dataclass(frozen=True)
class ReadyAtom:
    """Takes entries of a statistic: `outer` indexes its `axes` by plates, `inner` (flat) the entries of what is left.

    `source` is a variable and its statistic, or a Gaussian block and which part of it: "block"; "pair", beside its precision; of a
    chain, where time is the last of the outer axes, "chain" or "border"; of a forest, where nodes are, "node" or "border".
    """

    outer: tuple[Plated, ...]
    inner: Plated | None
    shape: tuple[int, ...]  # value axes (none, where the entries are the same for all of the value) and the term's own
    source: tuple[str, str]
    axes: tuple[int, ...]

    @property
    def is_gaussian(self) -> bool:
        return self.source[1] in GAUSSIAN_PARTS


@dataclass(frozen=True)
class ReadySmooth:
    """`E φ(form)`: `axes` are plates of the form that stand for the value axes of the term."""

    form: ReadySecond
    function: str
    axes: tuple[str, ...]


@dataclass(frozen=True)
class ReadyTerm:
    atoms: tuple[ReadyAtom | ReadySmooth, ...]
    coefficient: Plated | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ReadyForm:
    """An offset and the terms that are added to it."""

    offset: Plated
    terms: tuple[ReadyTerm, ...]


@dataclass(frozen=True)
class Side:
    """Terms of a form and which of their atoms belong to some blocks; `entries` has an atom for each block, those of the terms side
    by side: they are at the same time of a chain."""

    groups: tuple[tuple[int, tuple[int, ...]], ...]
    entries: tuple[ReadyAtom, ...]


@dataclass(frozen=True)
class Pairing:
    """Where the covariance of two entries of a chain is: neighbours at a fixed distance, or looked up one by one. In a forest the
    second is at the same node (0), at the parent of the first (1), or at its child (-1)."""

    distance: int = 0
    lookup: Plated | None = None


@dataclass(frozen=True)
class Part:
    """What a set of blocks adds together to the variance of a form: the form's derivative by all of them, squared.

    One part for each pair of sides: with `twice`, both orders of the pair count.
    """

    left: Side
    right: Side
    pairings: tuple[Pairing, ...]
    twice: bool


@dataclass(frozen=True)
class ReadySecond:
    form: ReadyForm
    parts: tuple[Part, ...]
    spread: Plated | None
    outer: bool
    rows: tuple[tuple[str, float], ...]


jax.tree_util.register_dataclass(ReadyAtom, data_fields=["outer", "inner"], meta_fields=["shape", "source", "axes"])
jax.tree_util.register_dataclass(ReadySmooth, data_fields=["form"], meta_fields=["function", "axes"])
jax.tree_util.register_dataclass(ReadyTerm, data_fields=["atoms", "coefficient"], meta_fields=["shape"])
jax.tree_util.register_dataclass(ReadyForm, data_fields=["offset", "terms"], meta_fields=[])
jax.tree_util.register_dataclass(Side, data_fields=["entries"], meta_fields=["groups"])
jax.tree_util.register_dataclass(Pairing, data_fields=["lookup"], meta_fields=["distance"])
jax.tree_util.register_dataclass(Part, data_fields=["left", "right", "pairings"], meta_fields=["twice"])
jax.tree_util.register_dataclass(ReadySecond, data_fields=["form", "parts", "spread"], meta_fields=["outer", "rows"])

Ready = Plated | ReadyForm | ReadySecond

#: The moments of each block: Gaussian (mean, covariance), others by statistic; keyed by block name.
Moments = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Layout:
    """Where each latent variable lives; `at_points`, where all that smooth functions are of has a known value, and no spread."""

    latents: Mapping[str, LatentVariable]
    blocks: Mapping[str, Block]  # by block name
    at_points: bool = False

    @property
    def signature(self) -> Hashable:
        """Everything that a compiled program depends on, as one value that can be compared."""
        variables = tuple((v.name, v.family, v.plates, v.event, v.cardinality) for v in self.latents.values())
        blocks = tuple(
            (
                b.name,
                b.kind,
                b.variables,
                b.batch,
                tuple(b.batch_axes.items()),
                b.tied,
                b.point,
                b.size,
                tuple(p.tobytes() for p in b.positions.values()),
                b.chain.signature if b.chain is not None else None,
                b.forest.signature if b.forest is not None else None,
                b.absent.tobytes() if b.absent is not None else None,
                b.members.tobytes() if b.members is not None else None,
                b.structure.signature if b.structure is not None else None,
                b.turns.tobytes() if b.turns is not None else None,
            )
            for b in self.blocks.values()
        )
        return variables, blocks, self.at_points

    def block_of(self, variable: str) -> Block:
        return next(b for b in self.blocks.values() if variable in b.variables)


# ------------------------------------------------------------------ making ready
def ready(feature: Feature, layout: Layout) -> Ready:
    if isinstance(feature, Plated):
        return feature
    if isinstance(feature, SecondMoment):
        return ready_second(replace(feature, form=positive(feature.form)), layout)
    return ready_form(feature, layout)


def ready_second(feature: SecondMoment, layout: Layout) -> ReadySecond:
    form = ready_form(feature.form, layout)
    return ReadySecond(form, _parts(form, layout), feature.spread, feature.outer, feature.rows)


def positive(form: Form) -> Form:
    """The form, or its negative where no coefficient is then left to multiply by: a square knows no sign."""
    return form.negated() if form.terms and all(np.all(t.coefficient.data == -1.0) for t in form.terms) else form


def ready_form(form: Form, layout: Layout) -> ReadyForm:
    """Terms in the same Gaussian blocks, at the same time of chains, stand side by side in one."""
    together: dict[Hashable, list[ReadyTerm]] = {}
    terms: list[ReadyTerm] = []
    for term in (t for whole in form.terms for t in _by_time(whole, layout)):
        atoms = [_ready_atom(a, layout) for a in term.atoms]
        made = ReadyTerm(tuple(atoms), _coefficient(term.coefficient, atoms), term.coefficient.shape)
        if all(isinstance(a, ReadyAtom) and a.is_gaussian for a in atoms):
            ordered = tuple(sorted((a for a in atoms if isinstance(a, ReadyAtom)), key=lambda a: a.source))
            together.setdefault(tuple(map(_place, ordered)), []).append(replace(made, atoms=ordered))
        else:
            terms.append(made)
    for parts in together.values():
        terms += _joined(parts)
    return ReadyForm(form.offset, tuple(terms))


def _place(atom: ReadyAtom) -> Hashable:
    """The part of a block that an atom is in, and its time in a chain or its node in a forest."""
    if atom.source[1] not in ("chain", "node"):
        return atom.source
    time = atom.outer[-1]
    return (*atom.source, time.dims, time.data.shape, time.data.tobytes())


def _by_time(term: Term, layout: Layout) -> list[Term]:
    """The term in as many as it takes entries of a chain at different times (`y[t - p..t]`)."""
    if not any(_has_many_times(a, layout) for a in term.atoms):
        return [term]
    shape = term.coefficient.shape
    found = []
    for place in np.ndindex(*shape):
        chosen = np.zeros(shape)
        chosen[place] = 1.0
        kept = Plated((), chosen) * term.coefficient
        atoms = tuple(replace(a, index=tuple(_entry(i, place) for i in a.index)) for a in term.atoms if isinstance(a, Atom))
        found.append(Term(atoms, kept.map(lambda d, p=place[-1]: d[..., p : p + 1])))
    return found


def _entry(index: Plated, place: tuple[int, ...]) -> Plated:
    """One entry of an index that has value axes; it is running where the entries are."""
    if not index.rank:
        return index
    chosen = index.data[(slice(None),) * len(index.dims) + place]
    return indices(index.dims[0], chosen) if len(index.dims) == 1 else Plated(index.dims, chosen)


def _has_many_times(atom: Atom | SmoothAtom, layout: Layout) -> bool:
    if not isinstance(atom, Atom) or layout.latents[atom.variable].family not in GAUSSIAN:
        return False
    chain = layout.block_of(atom.variable).chain
    axis = chain.times.get(atom.variable) if chain is not None else None
    return axis is not None and atom.index[axis].rank > 0


def _coefficient(value: Plated, atoms: Sequence[ReadyAtom | ReadySmooth]) -> Plated | None:
    """None where all are 1 and some atom has the value's axes without it."""
    spread = any(isinstance(a, ReadySmooth) or len(a.shape) == value.rank for a in atoms)
    return None if spread and not value.dims and bool(np.all(value.data == 1.0)) else value


def _ready_atom(atom: Atom | SmoothAtom, layout: Layout) -> ReadyAtom | ReadySmooth:
    if isinstance(atom, SmoothAtom):
        return _ready_smooth(atom, layout)
    shape = next((i.shape for i in atom.index if i.rank), (1,))
    variable = layout.latents[atom.variable]
    if variable.family in GAUSSIAN:
        return _ready_gaussian(atom, shape, layout.block_of(atom.variable))
    lengths = variable.statistic_shape(atom.statistic)
    axes = tuple(k for k, i in enumerate(atom.index) if not i.rank)
    rest = [k for k, i in enumerate(atom.index) if i.rank]
    inner = _flat([atom.index[k] for k in rest], tuple(lengths[k] for k in rest), shape)
    return ReadyAtom(_known(atom.index[k] for k in axes), inner, shape, (atom.variable, atom.statistic), axes)


def _known(outer: Iterable[Plated]) -> tuple[Plated, ...]:
    """Single entries that are the same for all members: they are known when the program is made."""
    return tuple(replace(i, start=int(i.data)) if not i.dims and not i.rank and i.data >= 0 else i for i in outer)


def _ready_smooth(atom: SmoothAtom, layout: Layout) -> ReadySmooth:
    form, names = atom.form, tuple(f"entry {k}" for k in range(atom.form.rank))
    for name, size in zip(names, atom.form.shape, strict=True):
        form = form.take(0, running(name, 0, size))
    return ReadySmooth(ready_second(SecondMoment(form, False), layout), atom.function, names)


def _flat(index: Sequence[Plated], lengths: tuple[int, ...], shape: tuple[int, ...]) -> Plated | None:
    """One index into the flattened remaining axes; None where it takes everything in order."""
    dims = tuple(dict.fromkeys(d for i in index for d in i.dims))
    total = np.zeros((1,) * len(dims) + shape, int)
    for i, length in zip(index, lengths, strict=True):
        total = total * length + i.arranged(dims)
    return _unless_whole(Plated(dims, np.broadcast_to(total, total.shape[: len(dims)] + shape)), int(np.prod(lengths, dtype=int)))


def _unless_whole(index: Plated, count: int) -> Plated | None:
    """None where the index takes everything in order; known as running where it runs over plates, or over value axes alone."""
    data = index.data.ravel()
    if not data.size or data[0] < 0 or not np.array_equal(data, np.arange(data[0], data[0] + data.size)):
        return index
    if index.dims and prod(index.shape) > 1:
        return index
    return None if not index.dims and data.size == count else replace(index, start=int(data[0]))


def _ready_gaussian(atom: Atom, shape: tuple[int, ...], block: Block) -> ReadyAtom:
    axes, part, count = block.batch_axes[atom.variable], "pair" if block.is_pair else "block", block.size
    if block.chain is not None:
        time = block.chain.times.get(atom.variable)
        part, count = ("border", block.chain.border) if time is None else ("chain", block.chain.width)
        axes = axes if time is None else (*axes, time)
    outer, taken = tuple(atom.index[a] for a in axes), axes
    if block.forest is not None:
        part, count = "border", block.forest.border
        if atom.variable in block.forest.first:
            part, count = "node", block.forest.width
            outer, taken = (*outer, block.forest.node(atom.variable, atom.index)), (*axes, *block.forest.axes[atom.variable])
    positions = block.positions[atom.variable]
    rest = [i for a, i in enumerate(atom.index) if a not in taken]
    dims = tuple(dict.fromkeys(d for i in rest for d in i.dims))
    placed = [i.arranged(dims) if i.rank else i.arranged(dims).reshape(i.arranged(dims).shape + (1,) * len(shape)) for i in rest]
    inner = positions[tuple(placed)] if placed else positions.reshape((1,) * len(shape))
    entries = _shortened(Plated(dims, np.broadcast_to(inner, inner.shape[: len(dims)] + shape)))
    return ReadyAtom(_known(outer), _unless_whole(entries, count), entries.shape, (block.name, part), tuple(range(len(outer))))


def _shortened(index: Plated) -> Plated:
    """Without its value axes but the last, where it is the same along them."""
    places, rank = len(index.dims), index.rank
    if rank < 2:
        return index
    first = index.data[(slice(None),) * places + (slice(0, 1),) * (rank - 1)]
    if not np.array_equal(np.broadcast_to(first, index.data.shape), index.data) or index.shape[:-1] == (1,) * (rank - 1):
        return index
    return Plated(index.dims, first.reshape(first.shape[:places] + first.shape[-1:]))


def _joined(terms: list[ReadyTerm]) -> list[ReadyTerm]:
    """Terms in the same blocks as one, their entries side by side, where they are at the same places of the blocks' batches."""
    if len(terms) == 1 or any(not _same_places(terms[0].atoms, t.atoms) for t in terms[1:]):
        return terms
    shape = (*np.broadcast_shapes(*(t.shape[:-1] for t in terms)), sum(t.shape[-1] for t in terms))
    ones = [t.coefficient if t.coefficient is not None else Plated((), np.ones(t.shape)) for t in terms]
    atoms = tuple(_side_by_side([t.atoms[k] for t in terms], [t.shape for t in terms]) for k in range(len(terms[0].atoms)))
    return [ReadyTerm(atoms, _coefficient(_concatenated(ones), atoms), shape)]


def _same_places(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return all(same_place(x.outer, y.outer) for x, y in zip(a, b, strict=True))


def _side_by_side(atoms: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> ReadyAtom:
    """Entries of one block that follow each other along the last axis."""
    entries = [_spelled_out(a, shape) for a, shape in zip(atoms, shapes, strict=True)]
    inner = _shortened(_concatenated(entries))
    return replace(atoms[0], inner=inner, shape=inner.shape)


def _spelled_out(atom: ReadyAtom, shape: tuple[int, ...]) -> Plated:
    inner = atom.inner
    if inner is None:
        return Plated((), np.broadcast_to(np.arange(int(np.prod(atom.shape))).reshape(atom.shape), shape))
    places = len(inner.dims)
    return inner.map(
        lambda a: np.broadcast_to(a.reshape(a.shape[:places] + (1,) * (len(shape) - inner.rank) + inner.shape), a.shape[:places] + shape)
    )


def _concatenated(values: Sequence[Plated]) -> Plated:
    dims = tuple(dict.fromkeys(d for v in values for d in v.dims))
    lengths = {d: n for v in values for d, n in v.sizes.items()}
    return Plated(dims, np.concatenate([v.arranged(dims, lengths) for v in values], axis=-1))


def _parts(form: ReadyForm, layout: Layout) -> tuple[Part, ...]:
    """Parts for each set of blocks that some term multiplies: Var e = Σ_S ‖∂_S e(mean)‖², the covariances of S multiplied."""
    found: dict[tuple[str, ...], dict[Hashable, list[tuple[int, tuple[int, ...]]]]] = {}
    for k, term in enumerate(form.terms):
        for count in range(1, len(term.atoms) + 1):
            for chosen in itertools.combinations(range(len(term.atoms)), count):
                atoms = [a for a in (term.atoms[c] for c in chosen) if isinstance(a, ReadyAtom) and a.is_gaussian]
                if len(atoms) == count:
                    sides = found.setdefault(tuple(a.source[0] for a in atoms), {})
                    sides.setdefault(tuple(map(_place, atoms)), []).append((k, chosen))
    parts = []
    for by_time in found.values():
        sides = [_side(form, groups, layout) for groups in by_time.values()]
        for i, left in enumerate(sides):
            for right in sides[i:]:
                pairings = tuple(_pairing(a, b, layout) for a, b in zip(left.entries, right.entries, strict=True))
                parts.append(Part(left, right, pairings, twice=left is not right))
    return tuple(parts)


def _side(form: ReadyForm, groups: list[tuple[int, tuple[int, ...]]], layout: Layout) -> Side:
    picked = [[form.terms[k].atoms[c] for c in chosen] for k, chosen in groups]
    if len(groups) == 1:
        return Side(tuple(groups), tuple(picked[0]))  # type: ignore[arg-type]
    shapes = [form.terms[k].shape for k, _ in groups]
    if not all(_same_places(picked[0], p) for p in picked):
        raise NotConjugate("members that are believed apart, together")
    entries = [_side_by_side([p[place] for p in picked], shapes) for place in range(len(picked[0]))]
    return Side(tuple(groups), tuple(replace(e, inner=_unless_identity(e, layout)) for e in entries))


def _unless_identity(entry: ReadyAtom, layout: Layout) -> Plated | None:
    assert entry.inner is not None
    block = layout.blocks[entry.source[0]]
    counts = {"block": block.size, "pair": block.size}
    if block.chain is not None:
        counts = {"chain": block.chain.width, "border": block.chain.border}
    if block.forest is not None:
        counts = {"node": block.forest.width, "border": block.forest.border}
    return _unless_whole(entry.inner, counts[entry.source[1]])


def _pairing(a: ReadyAtom, b: ReadyAtom, layout: Layout) -> Pairing:
    """How the covariance of two entries of one block is found: only within a chain or a forest is there a choice."""
    chain, forest = layout.blocks[a.source[0]].chain, layout.blocks[a.source[0]].forest
    if forest is not None and a.source[1] == b.source[1] == "node":
        return Pairing(_generations(a.outer[-1], b.outer[-1], forest.parents))
    if chain is None or a.source[1] != "chain" or b.source[1] != "chain":
        return Pairing()
    apart = b.outer[-1] - a.outer[-1]
    distances = np.unique(apart.data)
    if chain.lag == 1 and distances.size == 1 and a.outer[-1].dims == b.outer[-1].dims:
        return Pairing(int(distances[0]))
    return Pairing(0, _looked_up(a, b, chain))


def _generations(a: Plated, b: Plated, parents: np.ndarray) -> int:
    """How many generations above the first node the second is."""
    if not np.any((b - a).data):
        return 0
    return 1 if not np.any((b - a.map(lambda i: parents[i])).data) else -1


def _looked_up(a: ReadyAtom, b: ReadyAtom, chain: Chain) -> Plated:
    """Places in the blocks of covariance, then those of neighbours, then the same turned, all flat."""
    dims = tuple(dict.fromkeys((*a.outer[-1].dims, *b.outer[-1].dims, *_spelled_dims(a), *_spelled_dims(b))))
    width = chain.lag * chain.width

    def place(atom: ReadyAtom, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
        entry = _spelled_out(atom, atom.shape)
        time = atom.outer[-1].arranged(dims)
        time = time.reshape(time.shape + (1,) * (before + len(atom.shape) + after))
        inner = entry.arranged(dims)
        inner = inner.reshape(inner.shape[: len(dims)] + (1,) * before + atom.shape + (1,) * after)
        return time // chain.lag, (time % chain.lag) * chain.width + inner

    (s, i), (r, j) = place(a, 0, len(b.shape)), place(b, len(a.shape), 0)
    steps = chain.length // chain.lag
    same, following = s * width + i, steps * width + s * width + i
    preceding = (2 * steps - 1) * width + r * width + i
    return Plated(dims, np.where(s == r, same, np.where(r > s, following, preceding)) * width + j)


def _spelled_dims(atom: ReadyAtom) -> tuple[str, ...]:
    return atom.inner.dims if atom.inner is not None else ()
