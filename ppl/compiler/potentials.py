"""Potentials: what is added to the log joint without being a distribution: `factor EXPR`, and evidence on discrete variables.

A discrete variable that is observed in part and stands in a structure keeps all its entries: those that were observed have a
potential that leaves them one state. So its plates stay whole, and what is masked costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, indices
from ppl.compiler.enumerations import Enumeration, split_until_plain
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LatentEvaluator, LoweredFactor
from ppl.compiler.quantities import NotConjugate, Quantity
from ppl.factors.factor import IMPOSSIBLE, Factor
from ppl.graph.bound import BoundModel
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic


def energy(value: Any) -> Plated:
    """The expected value of what is added."""
    return value.mean


FACTOR = Factor(name="factor", family="", parameters=("value",), slots={"value": ("mean",)}, energy=energy)


def lower_potential(
    potential: typed.Potential,
    bound: BoundModel,
    latents: Mapping[str, LatentVariable],
    definitions: Mapping[str, list[typed.DeterministicStatement]],
) -> list[LoweredFactor]:
    """The factors of a `factor` statement, one for each way in which its members are observed."""

    def lower(loops: dict[str, Plated]) -> LoweredFactor:
        evaluator = LatentEvaluator(bound, latents, definitions)
        value = evaluator.number(potential.value, loops)
        feature = value.form("mean") if isinstance(value, Quantity) else _finite(value, potential)
        sizes = {d: n for index in loops.values() for d, n in index.sizes.items()}
        enumerations = tuple(evaluator.enumerations.values())
        sizes |= {e.dim: e.size for e in enumerations}
        return LoweredFactor("factor", potential, FACTOR, {"value": {"mean": feature}}, enumerations, sizes)

    evaluator = LatentEvaluator(bound, latents, definitions)
    loops = evaluator.loops_of(potential)
    try:
        return split_until_plain(loops, lower)
    except NotConjugate as refusal:
        span = getattr(refusal, "span", None) or potential.value.span
        text = f"there is no message for this statement yet: it needs {refusal}"
        raise AimError([Diagnostic("AIM0720", text, span, "in `factor`; this form is not supported yet")]) from None


def _finite(value: Plated, potential: typed.Potential) -> Plated:
    """The values, the logarithm of 0 among them as a finite number."""
    if np.isnan(value.data).any() or np.isposinf(value.data).any():
        raise AimError([Diagnostic("AIM0730", "this `factor` is not finite for some members or states", potential.value.span)])
    return value.map(lambda a: np.maximum(np.asarray(a, float), IMPOSSIBLE))


def evidence_factors(variable: LatentVariable, statements: Sequence[typed.RandomStatement]) -> Iterator[LoweredFactor]:
    """What leaves the observed entries of a discrete variable one state each."""
    if variable.evidence is None:
        return
    span = next(s for s in statements if s.variable == variable.name).span
    places = np.nonzero(variable.evidence >= 0)
    states = variable.evidence[places]
    given, dim = f"given {variable.name}", f"{variable.name}="
    index = tuple(indices(given, p) for p in places)
    table = np.where(states[:, None] == np.arange(variable.cardinality), 0.0, IMPOSSIBLE)
    potential = typed.Potential((), typed.Constant(0.0, span=span, type=typed.ValueType()), span=span)
    yield LoweredFactor(
        f"{variable.name} given",
        potential,
        FACTOR,
        {"value": {"mean": Plated((given, dim), table)}},
        (Enumeration(dim, variable.name, index, variable.cardinality),),
        {given: len(states), dim: variable.cardinality},
    )
