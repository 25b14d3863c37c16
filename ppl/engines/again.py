"""The same fit for other numbers: frame after frame, sample after sample.

What a plan decides does not depend on the values of real data. Where nothing else changed since an earlier fit, only the statements
that read what changed are lowered and made ready anew: the rest of the plan, what was compiled, and the beliefs to begin at, are those
of before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.compiler.lowering import LoweredFactor, lower_statement
from ppl.compiler.plan import Plan
from ppl.compiler.program import Program
from ppl.compiler.statements import random_statements
from ppl.engines.vmp import Beginning, Run
from ppl.graph.bound import BoundModel
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class Kept:
    """What a fit leaves for the next one. `asked` are the engine and the approximation that were asked for."""

    plan: Plan
    run: Run
    asked: tuple[str | None, str | None] = (None, None)

    @property
    def beginning(self) -> Beginning:
        """Its beliefs, for a fit that is planned anew."""
        return Beginning(self.run.state, self.run.program.signature, self.run.program.dtype)


@dataclass(frozen=True)
class Again:
    """A plan for other numbers, with the statements that changed by their places among the factors."""

    plan: Plan
    kept: Kept
    changed: Mapping[int, LoweredFactor] = field(repr=False)

    @property
    def beginning(self) -> Beginning:
        return replace(self.kept.beginning, program=self.program)

    def program(self) -> Program:
        """The program of before with the data of what changed."""
        return self.kept.run.program.with_factors(self.changed)


def again(kept: Kept, bound: BoundModel, asked: tuple[str | None, str | None]) -> Again | None:
    """The plan of before for these data; None where more than numbers is new, or where the data are in parts of the program that are
    made from all statements together."""
    plan, data = kept.plan, kept.run.program.data
    plain = plan.engine == "vmp" and not (plan.branches or plan.rewrites or plan.expansions or data.rows or data.emissions)
    if (
        kept.asked != asked
        or not plain
        or any(v.given is not None for v in plan.latents.values())
        or not _same_but_numbers(plan.bound, bound)
    ):
        return None
    reading = _reading({n for n, v in bound.values.items() if not np.array_equal(v, plan.bound.values[n], equal_nan=True)}, plan)
    if any(reading & variables_in(p) for p in bound.model.potentials):
        return None
    changed: dict[int, LoweredFactor] = {}
    for s in random_statements(bound.model):
        if reading & (variables_in((s.distribution, s.indices)) | {s.variable}):
            places = [k for k, f in enumerate(plan.factors) if f.statement is s]
            new = lower_statement(s, bound, plan.latents, plan.definitions) if places else []
            if [f.label for f in new] != [plan.factors[k].label for k in places]:
                return None
            changed |= dict(zip(places, new, strict=True))
    factors = tuple(changed.get(k, f) for k, f in enumerate(plan.factors))
    return Again(replace(plan, bound=bound, source=bound, factors=factors), kept, changed)


def _same_but_numbers(old: BoundModel, new: BoundModel) -> bool:
    """Whether real numbers alone may differ."""
    if old.model is not new.model or old.sizes != new.sizes or old.values.keys() != new.values.keys():
        return False
    if any(name not in old.observed or not np.array_equal(seen, old.observed[name]) for name, seen in new.observed.items()):
        return False
    pairs = [(value, old.values[name]) for name, value in new.values.items()]
    return all(a.shape == b.shape and (a.dtype.kind == "f" or np.array_equal(a, b)) for a, b in pairs)


def _reading(changed: set[str], plan: Plan) -> set[str]:
    """What changed, and what is computed from it."""
    found = set(changed)
    while True:
        more = {n for n, own in plan.definitions.items() if any(variables_in((s.value, s.indices)) & found for s in own)} - found
        if not more:
            return found
        found |= more


def kept_of(posterior: Any) -> Kept:
    """What a posterior keeps of its fit. Raises `AimError` where that is nothing."""
    kept = posterior.kept
    if not isinstance(kept, Kept):
        text = (
            f"a fit begins at a posterior by message passing; that of `{posterior.model}` by `{posterior.engine}` keeps no beliefs for it"
        )
        raise AimError([Diagnostic("AIM0505", text, None, "leave `start` out")])
    return kept
