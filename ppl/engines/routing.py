"""Which engine serves a model: message passing where every statement has a message, NumPyro's samplers and gradients where not.

The plan says which statement made the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ppl.compiler.equalities import solved
from ppl.compiler.plan import BRIDGED, JOINED, WITHOUT_MESSAGE, Plan, compile_plan
from ppl.engines.settled import settle, settled
from ppl.graph.bound import BoundModel
from ppl.results.posterior import Posterior
from ppl.semantics.typed import Approximation
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.html import Shown

MOST_SAMPLED = 2000  # latent numbers that are sampled without being asked
OPTIONS = {
    "nuts": {"iterations": "draws"},
    "svi": {"iterations": "steps", "tolerance": "tolerance"},
    "laplace": {"iterations": "steps", "restarts": "restarts"},
}


@dataclass(frozen=True, repr=False)
class BridgePlan(Shown):
    """A plan that NumPyro runs; `str()` is what `ppl explain` prints."""

    bound: BoundModel = field(repr=False)
    engine: str
    approximation: Approximation | None = None
    reasons: tuple[str, ...] = ()
    exact: bool = False
    source: BoundModel | None = None  # another plan may be of a rewritten model, and keeps the user's own here

    def __str__(self) -> str:
        model = self.bound.model
        given = [n for n in self.bound.values if model.variables[n].role == "random"]
        head = [f"{model.kind} {model.name}", "observed: " + (", ".join(given) if given else "nothing"), f"engine: {self.engine}"]
        return "\n".join([*head, *(f"    {reason}" for reason in self.reasons)])


def route(bound: BoundModel, *, approximation: Approximation | None = None, engine: str | None = None) -> Plan | BridgePlan:
    """The plan of the engine that is asked for, or else of the one that serves the model. Raises AimError where none does."""
    asked = engine or (approximation.engine if approximation else None)
    if approximation and asked != approximation.engine:
        approximation = replace(approximation, options={})  # they are those of another engine
    source = bound
    if asked in BRIDGED:
        bound, solutions = solved(source, surfaces=True)
        _refuse_surfaces(bound, asked)
        return BridgePlan(bound, asked, approximation, (*solutions, "asked for"), source=source)
    try:
        bound, solutions = solved(source)
        reduced, known = settled(bound)
        plan = compile_plan(reduced, approximation=approximation, engine=engine, settle=settle)
        return replace(plan, source=source, rewrites=(*solutions, *known, *plan.rewrites))
    except AimError as refusal:
        if asked is not None or not {d.code for d in refusal.diagnostics} <= WITHOUT_MESSAGE:
            raise
        joined = any(d.code == JOINED for d in refusal.diagnostics)
        bound, solutions = solved(source, surfaces=True)
        chosen, why = _fallback(bound, approximation, joined=joined)
        _refuse_surfaces(bound, chosen)
        return BridgePlan(bound, chosen, approximation, (*solutions, *(_told(d) for d in refusal.diagnostics), why), source=source)


def _refuse_surfaces(bound: BoundModel, engine: str) -> None:
    """Raises AimError where an engine that is not served by equalities would meet them."""
    if bound.equalities and engine != "nuts":
        text = f"the engine `{engine}` cannot serve this model: what is latent lies on a surface, where this holds, and no Gaussian does"
        raise AimError([Diagnostic("AIM0510", text, bound.equalities[0].span, "write `use nuts`, which walks on it")])


def _told(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    return diagnostic.message if span is None else f"line {span.line}, `{span.source.line(span.line).strip()}`: {diagnostic.message}"


def _fallback(bound: BoundModel, approximation: Approximation | None, *, joined: bool) -> tuple[str, str]:
    """Sampling where the latent numbers are few; the gradient of a bound where they are many, or networks are learnt."""
    from ppl.engines.numpyro_bridge.structure import structure_of

    structure = structure_of(bound)
    count = sum(int(mask.sum()) for n, mask in structure.latent.items() if n not in structure.enumerated)
    if bound.equalities:
        return "nuts", f"so the sampler walks on the surface where the equality holds; {count} latent number{'' if count == 1 else 's'}"
    if bound.model.networks:
        return "svi", "so the bound is climbed by its gradient, by which networks are learnt"
    if approximation and (approximation.forms or approximation.amortised):
        return "svi", "so the bound is climbed by its gradient, with the forms that are asked for"
    if joined:
        return "svi", "so the bound is climbed by its gradient: what is named together is a joint Normal of its coordinates"
    if count > MOST_SAMPLED:
        return "svi", f"so the bound is climbed by its gradient: {count} latent numbers are many for sampling"
    if count == 0:
        return "nuts", "so all states are summed over"
    return "nuts", f"so the posterior of {count} latent number{'' if count == 1 else 's'} is sampled"


def fit_routed(plan: BridgePlan, options: Mapping[str, Any], beside: Callable[[Mapping[str, Any]], Any] | None = None) -> Posterior:
    """The posterior of a plan that NumPyro runs. `options` are those of `fit`; `beside` is added to the log density."""
    from ppl.engines.fitting import checked_options
    from ppl.engines.numpyro_bridge import fit

    limits = {k: options.get(k) for k in ("iterations", "tolerance", "restarts")}
    precision = checked_options(options.get("dtype"), **limits)
    names = OPTIONS[plan.engine]
    given = {names[k]: v for k, v in limits.items() if k in names and v is not None}
    return fit(
        plan.bound,
        plan.engine,
        seed=int(options.get("seed") or 0),
        dtype=np.dtype(precision),
        options=given,
        approximation=plan.approximation,
        reasons=plan.reasons,
        beside=beside,
    )
