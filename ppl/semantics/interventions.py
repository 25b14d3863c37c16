"""Interventions: variables that are set from outside. Their own statements are cut; what depends on them sees the values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ppl.semantics.typed import Approximation, TypedModel
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean


def intervene(model: TypedModel, names: Iterable[str]) -> TypedModel:
    """The model in which these random or deterministic variables are inputs. Raises AimError where one is neither (Pearl 2009)."""
    cut = set(names)
    known = [n for n, v in model.variables.items() if v.role in ("random", "deterministic", "input")]
    for name in sorted(cut - set(known)):
        hint = did_you_mean(name, known) or "it has " + ", ".join(f"`{n}`" for n in known)
        what = "is a parameter, which needs no intervention" if name in model.variables else "is no variable"
        raise AimError([Diagnostic("AIM0605", f"`{name}` {what} of model `{model.name}`", None, hint)])
    inputs = {n: replace(v, role="input", plates=0) if n in cut else v for n, v in model.variables.items()}
    return replace(
        model,
        variables=inputs,
        statements=tuple(s for s in model.statements if s.variable not in cut),
        approximations=tuple(_without(a, cut) for a in model.approximations),
    )


def _without(approximation: Approximation, cut: set[str]) -> Approximation:
    """An `approximate` block that speaks of what is still random."""
    blocks = (tuple(n for n in block if n not in cut) for block in approximation.blocks)
    return replace(
        approximation,
        blocks=tuple(block for block in blocks if block),
        separate=tuple(n for n in approximation.separate if n not in cut),
        forms={n: f for n, f in approximation.forms.items() if n not in cut},
        amortised=tuple(a for a in approximation.amortised if a.variable not in cut),
    )
