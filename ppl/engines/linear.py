"""Means and variances of affine functions of latent variables of any family.

They need first and second moments only: so every scalar or Dirichlet variable is looked at as if it were a Normal block
with its own mean and covariance, and the affine forms of the compiler do the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.kinds import kind_of
from ppl.compiler.latents import LatentVariable
from ppl.compiler.plan import Plan
from ppl.compiler.ready import Layout
from ppl.families.registry import FAMILIES
from ppl.results.belief import Belief

LARGEST = 1000  # numbers in a variable that is looked at so


@dataclass(frozen=True)
class LinearView:
    """Variables by name, all of them Normal or MvNormal here, with the moments of their blocks."""

    layout: Layout
    moments: dict[str, dict[str, Any]]


def linear_view(plan: Plan, state: Any, priors: dict[str, Belief]) -> LinearView:
    """The view of a posterior; `priors` are predicted variables that depend on nothing latent, with their beliefs."""
    latents: dict[str, LatentVariable] = {}
    blocks: dict[str, Block] = {}
    moments: dict[str, dict[str, Any]] = {}
    for block in plan.blocks:
        if block.kind in ("Gaussian", "Gaussian chain", "Gaussian forest"):
            latents |= {n: plan.latents[n] for n in block.variables}
            blocks[block.name], moments[block.name] = block, state["moments"][block.name]
    for variable, family, params in _others(plan, state, priors):
        name, shape = variable.name, variable.plates + variable.event
        size = int(np.prod(shape, dtype=int))
        if size > LARGEST:
            continue
        mean, cov = _first_two(family, params)
        latents[name] = replace(variable, family="MvNormal" if variable.event else "Normal")
        places = {name: np.arange(size).reshape(shape)}
        blocks[name] = Block(name, "Gaussian", (name,), (), {name: ()}, size, positions=places)
        moments[name] = {"mean": mean.reshape(size), "cov": _block_diagonal(cov, size)}
    return LinearView(Layout(latents, blocks), moments)


def _others(plan: Plan, state: Any, priors: dict[str, Belief]) -> Iterator[tuple[LatentVariable, str, dict[str, np.ndarray]]]:
    """Variables that are no Normals, with family and parameters; those whose entries have no such moments are left out."""
    for block in plan.blocks:
        if block.kind in ("Gamma", "InverseGamma", "Beta", "Dirichlet"):
            (name,) = block.variables
            parts = state["moments"][block.name], state["natural"][block.name]
            yield plan.latents[name], block.kind, kind_of(block).marginal(block, name, plan.latents, *parts)
    for name, belief in priors.items():
        rank = FAMILIES[belief.family].event_rank if belief.family in FAMILIES else 2
        if rank == 0 or belief.family in ("Dirichlet", "MvNormal"):
            shape = plan.bound.shape(plan.bound.model.variables[name])
            plates = shape[: len(shape) - rank]
            labels = tuple(f"{name}.{k}" for k in range(len(plates)))
            yield LatentVariable(name, belief.family, labels, plates, shape[len(plates) :]), belief.family, belief.params


def _block_diagonal(covs: np.ndarray, size: int) -> np.ndarray:
    """The covariance of all members of a plate, which are independent."""
    inner = covs.shape[-1]
    full = np.zeros((size, size))
    for k, cov in enumerate(covs.reshape(-1, inner, inner)):
        full[k * inner : (k + 1) * inner, k * inner : (k + 1) * inner] = cov
    return full


def _first_two(family: str, params: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a value as a vector; a scalar is one of length 1."""
    mean = np.asarray(FAMILIES[family].mean(params), float)
    if family == "MvNormal":
        return mean, np.asarray(params["cov"])
    if family == "Dirichlet":
        total = np.asarray(params["concentration"]).sum(axis=-1)[..., None, None]
        cov = (mean[..., None] * np.eye(mean.shape[-1]) - mean[..., :, None] * mean[..., None, :]) / (total + 1.0)
        return mean, cov
    return mean[..., None], np.asarray(FAMILIES[family].variance(params), float)[..., None, None]
