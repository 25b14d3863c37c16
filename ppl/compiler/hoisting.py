"""Hoisting: data are summed once, before the first sweep.

A factor is affine in the features of a slot. So where one slot alone carries a plate, the plate's sum is the factor at the
average of that slot's features, times the number of members. An affine mean with data in its coefficients becomes the
triangular factor of the rows `[offset, coefficients]`: as many rows as coefficients, however many data there were.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.forms import Form, Term
from ppl.compiler.lowering import Feature, LoweredFactor, SecondMoment

SMALL = 8  # plates up to this length are not worth it


def hoist(factor: LoweredFactor) -> LoweredFactor:
    """The factor with every plate summed out that can be."""
    for dim in factor.plates:
        if factor.sizes[dim] <= SMALL or any(dim in i.dims for e in factor.enumerations for i in e.index):
            continue
        slots = {name: features for name, features in factor.slots.items() if any(dim in f.dims for f in features.values())}
        if len(slots) > 1:
            continue
        changed = {}
        for name, features in slots.items():
            averaged = {k: average(f, dim, factor.sizes[dim]) for k, f in features.items()}
            if any(f is None for f in averaged.values()):
                break
            changed[name] = averaged
        else:
            sizes = {d: n for d, n in factor.sizes.items() if d != dim}
            weight = factor.weight * float(factor.sizes[dim])
            factor = replace(factor, slots={**factor.slots, **changed}, sizes=sizes, weight=weight)
    return factor


def average(feature: Feature, dim: str, size: int) -> Feature | None:
    """The mean of the feature over a plate, or None where it has no such form."""
    if dim not in feature.dims:
        return feature
    if isinstance(feature, Plated):
        return feature.mean_dim(dim)
    form = feature.form if isinstance(feature, SecondMoment) else feature
    if any(dim in a.dims for t in form.terms for a in t.atoms):
        return _inside(feature, dim, size)
    in_terms = any(dim in t.coefficient.dims for t in form.terms)
    if isinstance(feature, Form):
        terms = tuple(replace(t, coefficient=_mean(t.coefficient, dim)) for t in form.terms)
        return Form(_mean(form.offset, dim), terms)
    if not in_terms:
        return _scatter(feature, dim)
    short = None if feature.outer or feature.rows or feature.spread is not None else _triangular(feature, dim, size)
    return short or _inside(feature, dim, size)


def _inside(feature: Form | SecondMoment, dim: str, size: int) -> SecondMoment | None:
    """A second moment whose plate is summed sweep by sweep, before anything that does not carry it is multiplied in."""
    return replace(feature, rows=(*feature.rows, (dim, float(size)))) if isinstance(feature, SecondMoment) else None


def _mean(value: Plated, dim: str) -> Plated:
    return value.mean_dim(dim) if dim in value.dims else value


def _scatter(feature: SecondMoment, dim: str) -> SecondMoment:
    """The offset's mean, and its scatter around it as a known variance."""
    offset = feature.form.offset
    centre = offset.mean_dim(dim)
    residual = offset - centre
    places = len(residual.dims)
    if feature.outer:
        at = residual.dims.index(dim)
        rows = np.moveaxis(residual.data, at, places - 1)  # other plates, members, D
        scatter = Plated(centre.dims, np.matmul(np.swapaxes(rows, -1, -2), rows) / offset.sizes[dim])
    else:
        scatter = (residual * residual).mean_dim(dim)
    spread = scatter if feature.spread is None else _mean(feature.spread, dim) + scatter
    return replace(feature, form=replace(feature.form, offset=centre), spread=spread)


def _triangular(feature: SecondMoment, dim: str, size: int) -> SecondMoment | None:
    """The rows `[offset, coefficients]` by their triangular factor, which has the same Gram matrix."""
    form = feature.form
    others = tuple(d for d in form.dims if d != dim)
    lengths = {d: n for p in [form.offset, *(t.coefficient for t in form.terms)] for d, n in p.sizes.items()}
    if any(t.coefficient.rank != 1 or len(t.atoms) > 1 for t in form.terms) or any(d not in lengths for d in others):
        return None
    columns = [form.offset.insert_axis(0), *(t.coefficient for t in form.terms)]
    full = {**{d: lengths[d] for d in others}, dim: size}
    table = np.concatenate([c.arranged((*others, dim), full) for c in columns], axis=-1)
    if table.shape[-2] <= table.shape[-1]:
        return None
    factor = np.asarray(np.linalg.qr(table, mode="r"))
    name = f"{dim} (rows)"
    offset = Plated((*others, name), factor[..., 0])
    terms: list[Term] = []
    at = 1
    for term in form.terms:
        width = term.coefficient.shape[-1]
        terms.append(replace(term, coefficient=Plated((*others, name), factor[..., at : at + width])))
        at += width
    return replace(feature, form=Form(offset, tuple(terms)), rows=((name, float(size)),))
