"""A posterior says nothing of entries that do not exist: those that ranges which change with another index leave out."""

from __future__ import annotations

from dataclasses import replace

from ppl.graph.bound import BoundModel
from ppl.graph.cells import absent_cells
from ppl.results.belief import Belief
from ppl.results.posterior import Posterior


def of_cells(posterior: Posterior, bound: BoundModel) -> Posterior:
    absent = absent_cells(bound.model, bound.sizes, bound.values)
    if not absent:
        return posterior

    def believe(name: str) -> Belief:
        belief = posterior.believe(name)
        return belief.without(absent[name]) if name in absent else belief

    whole = {n for n, observed in bound.observed.items() if n in absent and (observed | absent[n]).all()}
    return replace(posterior, names=tuple(n for n in posterior.names if n not in whole), believe=believe)
