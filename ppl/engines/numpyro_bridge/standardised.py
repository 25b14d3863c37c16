"""Standardised coordinates, (value - mean) / sd, where the spread of a variable is latent itself.

In a hierarchy the values of a group and their spread are entangled: the narrower the spread, the narrower all its members. Their
standardised values are not (Papaspiliopoulos, Roberts & Sköld 2007).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from ppl.engines.numpyro_bridge.sites import Site
from ppl.engines.numpyro_bridge.structure import Structure
from ppl.engines.numpyro_bridge.tracing import TracingEvaluator
from ppl.graph.references import statement_uses, uses
from ppl.semantics import typed

SCALES = ("sd", "scale", "var", "precision")
FAMILIES = ("Normal", "StudentT", "Cauchy", "Laplace", "Logistic", "LogNormal")


def may_be_standardised(site: Site, structure: Structure, before: list[Site]) -> Site:
    """The site with standardised coordinates where one statement defines it, its scale is latent and all it needs stands before."""
    statements = structure.of(site.name)
    call = statements[0].distribution
    if len(statements) != 1 or not isinstance(call, typed.DistributionCall) or call.name not in FAMILIES:
        return site
    scale = next(call.arguments[s] for s in SCALES if s in call.arguments)
    latent = set(structure.latent)
    if not _all_used([n for n, _ in uses(scale)], structure) & latent:
        return site
    needed = _all_used([n for n, _ in statement_uses(statements[0])], structure)
    if needed & latent - {s.name for s in before} or needed & set(structure.enumerated):
        return site
    return replace(site, standardised=True)


def _all_used(names: list[str], structure: Structure) -> set[str]:
    return {*names, *(inner for n in names for inner in structure.reached(n))}


def location_and_scale(site: Site, evaluator: TracingEvaluator) -> tuple[Any, Any, bool]:
    """Mean and scale of the latent entries, and whether they are those of the logarithm."""
    (statement,) = evaluator.structure.of(site.name)
    call = statement.distribution
    assert isinstance(call, typed.DistributionCall)
    loops = evaluator.loops_of(statement)
    name = next(s for s in SCALES if s in call.arguments)
    sides = []
    for argument in ("mean", name):
        value = evaluator.number(call.arguments[argument], loops).map(lambda a: a * 1.0)
        sides.append(site.take(evaluator.placed(None, site.shape, statement.indices, loops, value)))
    mean, scale = sides
    if name in ("var", "precision"):
        scale = jnp.sqrt(scale) if name == "var" else 1.0 / jnp.sqrt(scale)
    return mean, scale, call.name == "LogNormal"
