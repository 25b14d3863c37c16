"""Starts: where a discrete variable chooses between latent components that are alike, or latent values are multiplied, the prior
is a saddle.

Products start at draws around their prior means. Between components the symmetry is broken by the data: members of the plate
that are far apart are drawn as seeds (Arthur & Vassilvitskii 2007) and each member starts in the state of the nearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import Block
from ppl.compiler.forms import Atom, SmoothAtom
from ppl.compiler.lowering import LoweredFactor, SecondMoment
from ppl.compiler.plan import Plan
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean

LARGEST_SAMPLE = 20_000  # members that seeds are drawn among


def checked_start(start: Mapping[str, np.ndarray], plan: Plan) -> dict[str, np.ndarray]:
    """A start that the user gives: the state of each member of a discrete block, by the block's name. Raises AimError."""
    tables = {b.name: b for b in plan.blocks if b.kind == "table" or (b.structure is not None and len(b.variables) == 1)}
    checked = {}
    for name, given in start.items():
        if name not in tables:
            hint = did_you_mean(name, tables) or ("discrete blocks: " + ", ".join(tables) if tables else "the plan has no discrete block")
            raise AimError([Diagnostic("AIM0807", f"`start` gives `{name}`, which is no discrete block of the plan", None, hint)])
        block, states = tables[name], int(np.prod(tables[name].cardinalities))
        labels = np.asarray(given)
        shape = block.batch if block.structure is None else plan.latents[block.variables[0]].plates
        if labels.shape != shape or labels.dtype.kind not in "iu" or (labels.size and not 0 <= labels.min() <= labels.max() < states):
            text = f"`start` of `{name}` must be whole numbers from 0 to {states - 1}, of the shape {list(shape)}"
            what = f"its shape is {list(labels.shape)}" if labels.shape != shape else f"it holds {labels.min()} to {labels.max()}"
            raise AimError([Diagnostic("AIM0807", text, None, what)])
        checked[name] = labels if block.structure is None else labels.ravel()
    return checked


def starting_points(plan: Plan, rng: np.random.Generator, *, several: bool = False) -> dict[str, np.ndarray]:
    """What is drawn to start from, by block: for a discrete one whose states select latent components the state of each member, for
    a Gaussian one that is multiplied with another how far each number is from its prior mean, in prior sds.

    Components that are told apart need no draw; where `several` starts are asked for, they have one all the same, to differ.
    """
    labels = labelled_structures(plan, rng)
    multiplied = {name for f in plan.factors for t in f.terms() if len(t.atoms) > 1 for name in t.variables}
    for block in plan.blocks:
        if block.positions and multiplied & set(block.variables):
            labels[block.name] = rng.standard_normal((*block.batch, *block.numbers))
        if block.kind == "table" and any(_chooses_alike(n, plan.factors, plan, anyhow=several) for n in block.variables):
            members, states = int(np.prod(block.batch, dtype=int)), int(np.prod(block.cardinalities))
            data = _data_of(block, plan)
            drawn = rng.integers(states, size=members) if data is None else nearest_seed(data, states, rng)
            labels[block.name] = drawn.reshape(block.batch)
    return labels


def labelled_structures(plan: Plan, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """States for the variables of structured blocks that choose between latent components that are alike, flat; others at random."""
    found = {}
    for block in plan.blocks:
        others = [f for f in plan.factors if f.defines not in block.variables]
        choosing = {n for n in block.variables if block.structure is not None and _chooses_alike(n, others, plan)}
        if choosing:
            parts = [_drawn_states(n, plan, rng, by_data=n in choosing) for n in block.variables]
            found[block.name] = np.concatenate([p.ravel() for p in parts])
    return found


def _drawn_states(name: str, plan: Plan, rng: np.random.Generator, *, by_data: bool) -> np.ndarray:
    variable = plan.latents[name]
    data = _data_at(name, plan) if by_data else None
    if data is None:
        return rng.integers(variable.cardinality, size=variable.plates)
    states = nearest_seed(data, variable.cardinality, rng).reshape(variable.plates)
    return states if variable.evidence is None else np.where(variable.evidence >= 0, variable.evidence, states)


def _chooses_alike(name: str, factors: Iterable[LoweredFactor], plan: Plan, *, anyhow: bool = False) -> bool:
    """Whether a state picks, in one of the factors, among members of something latent that (or `anyhow`) nothing known tells apart."""
    for f in factors:
        dims = {e.dim for e in f.enumerations if e.variable == name}
        chosen = [a for a in _atoms(f) if dims & set(a.dims)]
        if chosen and (anyhow or not (_states_are_named(name, plan) or any(_differ_in_prior(a, dims, plan) for a in chosen))):
            return True
    return False


def _atoms(factor: LoweredFactor) -> list[Atom]:
    inside = (t for f in factor.terms() for a in f.atoms for t in (a.form.terms if isinstance(a, SmoothAtom) else (f,)))
    return [a for term in inside for a in term.atoms if isinstance(a, Atom)]


def _states_are_named(name: str, plan: Plan) -> bool:
    """Whether members were observed in all states (one may be left over): a start of our own would give the others' states new names."""
    bound = plan.bound
    return name in bound.values and len(np.unique(bound.values[name][bound.observed[name]])) >= plan.latents[name].cardinality - 1


def _differ_in_prior(chosen: Atom, dims: set[str], plan: Plan) -> bool:
    """Whether what is known in the statements that define a variable tells the members apart that states pick among."""
    defining = [f for f in plan.factors if f.defines == chosen.variable]
    places = [k for k, i in enumerate(chosen.index) if dims & set(i.dims)]
    return len(defining) != 1 or _known_differ(defining[0], chosen.variable, places)


def _known_differ(defining: LoweredFactor, name: str, places: list[int]) -> bool:
    """Whether something known in a factor varies along these plates of the variable."""
    along = {d for a in _atoms(defining) if a.variable == name for k in places for d in a.index[k].dims}
    known = [f.form.offset if isinstance(f, SecondMoment) else f for f in defining.features()]
    arrays = [f for f in known if isinstance(f, Plated) and f.data.size]
    return any(np.ptp(f.data, axis=k).max() > 0 for f in arrays for k, d in enumerate(f.dims) if d in along)


def _data_at(name: str, plan: Plan) -> np.ndarray | None:
    """What is observed at each member of a variable, standardised (members, features); what is missing is in the middle."""
    plates = plan.latents[name].plates
    columns = []
    for f in plan.factors:
        for e in f.enumerations:
            dims = tuple(dict.fromkeys(d for i in e.index for d in i.dims))
            if e.variable != name or f.defines == name or not dims:
                continue
            sizes = {d: n for i in e.index for d, n in i.sizes.items()}
            at = np.ravel_multi_index(tuple(i.arranged(dims, sizes).ravel() for i in e.index), plates)
            for found in _columns(f, dims, sizes):
                full = np.full((int(np.prod(plates)), found.shape[1]), np.nan)
                full[at] = found
                columns.append(full)
    if not columns:
        return None
    table = np.concatenate(columns, axis=1)
    spread = np.nanstd(table, axis=0)
    return np.nan_to_num((table - np.nanmean(table, axis=0)) / np.where(spread > 0, spread, 1.0))


def _data_of(block: Block, plan: Plan) -> np.ndarray | None:
    """What is observed at each member of the block's plate, standardised (members, features)."""
    columns = []
    for f in plan.factors:
        own = [e for e in f.enumerations if e.variable in block.variables]
        if own and len(block.batch) == 1 and own[0].index and own[0].index[0].start == 0:
            columns += _columns(f, own[0].index[0].dims[:1], {own[0].index[0].dims[0]: block.batch[0]})
    if not columns:
        return None
    table = np.concatenate(columns, axis=1)
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _columns(factor: LoweredFactor, dims: tuple[str, ...], sizes: Mapping[str, int]) -> list[np.ndarray]:
    """What the factor knows at each member of these plates: (members, features)."""
    found = []
    for feature in factor.features():
        data = feature.form.offset if isinstance(feature, SecondMoment) else feature
        if isinstance(data, Plated) and set(dims) & set(data.dims) and all(data.sizes.get(d, n) == n for d, n in sizes.items()):
            rest = [d for d in data.dims if d not in dims]
            if all("=" not in d for d in rest):
                full = data.arranged((*dims, *rest), {**data.sizes, **sizes})
                found.append(np.asarray(full, float).reshape(int(np.prod(list(sizes.values()))), -1))
    return found


def nearest_seed(data: np.ndarray, states: int, rng: np.random.Generator) -> np.ndarray:
    """The index of the nearest of `states` members that were drawn far apart."""
    sample = data if len(data) <= LARGEST_SAMPLE else data[rng.choice(len(data), LARGEST_SAMPLE, replace=False)]
    seeds = [sample[rng.integers(len(sample))]]
    distance = np.full(len(sample), np.inf)
    for _ in range(states - 1):
        distance = np.minimum(distance, ((sample - seeds[-1]) ** 2).sum(axis=1))
        total = distance.sum()
        seeds.append(sample[rng.choice(len(sample), p=distance / total)] if total > 0 else sample[rng.integers(len(sample))])
    centres = np.array(seeds)
    far = ((centres**2).sum(axis=1) - 2 * data @ centres.T) if len(data) else np.zeros((0, states))
    return far.argmin(axis=1)
