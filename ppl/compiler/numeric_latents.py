"""Which positive variables have a family with a name, and which are told by quadrature: the smallest that supplies what is asked for.

A Gamma supplies E x and E log x; used as a variance it is asked for E 1/x too, and then no named family is conjugate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ppl.compiler.forms import Atom
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.families.registry import FAMILIES

NUMERIC = "Positive"
NAMED = ("Gamma", "InverseGamma")


def widened(variable: LatentVariable) -> LatentVariable:
    """The variable with every statistic that a positive one may be asked for."""
    return replace(variable, family=NUMERIC, prior=variable.family) if variable.family in NAMED else variable


def narrowed(latents: Mapping[str, LatentVariable], factors: Sequence[LoweredFactor]) -> dict[str, LatentVariable]:
    """The variables with the statistics that their statements do ask for."""
    asked: dict[str, set[str]] = {}
    for atom in (a for f in factors for t in f.terms() for a in t.atoms):
        if isinstance(atom, Atom):
            asked.setdefault(atom.variable, set()).add(atom.statistic)
    return {name: _narrowed(v, asked.get(name, set())) if v.family == NUMERIC else v for name, v in latents.items()}


def _narrowed(variable: LatentVariable, asked: set[str]) -> LatentVariable:
    if variable.prior in NAMED and asked <= set(FAMILIES[variable.prior].statistic_rank):
        return replace(variable, family=variable.prior, prior="")
    return replace(variable, statistics=tuple(sorted(asked)))
