"""Starts: where a discrete variable chooses between latent components that are alike, the prior is a saddle.

The symmetry is broken by the data: members of the plate that are far apart are drawn as seeds (Arthur & Vassilvitskii 2007)
and each member starts in the state of the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.blocks import Block
from ppl.compiler.lowering import LoweredFactor, SecondMoment
from ppl.compiler.plan import Plan
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean

LARGEST_SAMPLE = 20_000  # members that seeds are drawn among


def checked_start(start: Mapping[str, np.ndarray], plan: Plan) -> dict[str, np.ndarray]:
    """A start that the user gives: the state of each member of a discrete block, by the block's name. Raises AimError."""
    tables = {b.name: b for b in plan.blocks if b.kind == "table"}
    checked = {}
    for name, given in start.items():
        if name not in tables:
            hint = did_you_mean(name, tables) or ("discrete blocks: " + ", ".join(tables) if tables else "the plan has no discrete block")
            raise AimError([Diagnostic("AIM0807", f"`start` gives `{name}`, which is no discrete block of the plan", None, hint)])
        block, states = tables[name], int(np.prod(tables[name].cardinalities))
        labels = np.asarray(given)
        if labels.shape != block.batch or labels.dtype.kind not in "iu" or (labels.size and not 0 <= labels.min() <= labels.max() < states):
            text = f"`start` of `{name}` must be whole numbers from 0 to {states - 1}, of the shape {list(block.batch)}"
            what = f"its shape is {list(labels.shape)}" if labels.shape != block.batch else f"it holds {labels.min()} to {labels.max()}"
            raise AimError([Diagnostic("AIM0807", text, None, what)])
        checked[name] = labels
    return checked


def starting_labels(plan: Plan, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A start for each discrete block whose states select latent components: the state of each member (flat over its plates)."""
    labels = {}
    for block in plan.blocks:
        if block.kind == "table" and _selects_latent(block, plan):
            members, states = int(np.prod(block.batch, dtype=int)), int(np.prod(block.cardinalities))
            data = _data_of(block, plan)
            drawn = rng.integers(states, size=members) if data is None else nearest_seed(data, states, rng)
            labels[block.name] = drawn.reshape(block.batch)
    return labels


def _selects_latent(block: Block, plan: Plan) -> bool:
    """Whether a state of the block picks among members of another latent variable."""
    for f in plan.factors:
        dims = {e.dim for e in f.enumerations if e.variable in block.variables}
        if dims and any(dims & set(i.dims) for t in f.terms() for i in t.index):
            return True
    return False


def _data_of(block: Block, plan: Plan) -> np.ndarray | None:
    """What is observed at each member of the block's plate, standardised (members, features)."""
    columns = []
    for f in plan.factors:
        own = [e for e in f.enumerations if e.variable in block.variables]
        if own and len(block.batch) == 1 and own[0].index and own[0].index[0].start == 0:
            columns += _columns(f, own[0].index[0].dims[0], block.batch[0])
    if not columns:
        return None
    table = np.concatenate(columns, axis=1)
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _columns(factor: LoweredFactor, long: str, members: int) -> list[np.ndarray]:
    found = []
    for feature in factor.features():
        data = feature.form.offset if isinstance(feature, SecondMoment) else feature
        if isinstance(data, Plated) and long in data.dims and data.sizes[long] == members:
            rest = [d for d in data.dims if d != long]
            if all(not d.endswith("=") for d in rest):
                found.append(np.asarray(data.arranged((long, *rest)), float).reshape(members, -1))
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
