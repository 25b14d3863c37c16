"""Steps of blocks that are not conjugate: the natural gradient, as far as the bound does not fall.

Where an energy is smooth in a block's statistics and not linear, `η ← (1 - ρ) η + ρ ∇_μ E` is a natural-gradient step (Khan & Rue 2023).
It is taken whole where that serves, which near the optimum it does, and halved while the block's share of the bound would fall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ppl.compiler.forms import SmoothAtom
from ppl.compiler.lowering import LoweredFactor

HALVINGS = 40
ROUNDING = 20  # how many roundings of the share of the bound are no fall

Parts = dict[str, Any]


def smooth_variables(factors: Sequence[LoweredFactor]) -> frozenset[str]:
    """The variables inside smooth functions: their blocks are not conjugate."""
    atoms = (a for f in factors for t in f.terms() for a in t.atoms)
    return frozenset(v for a in atoms if isinstance(a, SmoothAtom) for v in a.variables)


def uphill(propose: Callable[[Any], Parts], worth: Callable[[Parts], Any], former: Parts, largest: float) -> Parts:
    """The parts of a block after the largest of the steps ρ, ρ/2, … that does not lower its worth; the former ones where none does."""
    before = worth(former)
    slack = ROUNDING * jnp.finfo(before.dtype).eps * (1.0 + jnp.abs(before))

    def tried(rho: Any) -> tuple[Any, Parts, Any]:
        parts = propose(rho)
        return rho, parts, worth(parts)

    def refused(value: Any) -> Any:
        return ~(value >= before - slack)  # also where it is not a number: the precision is not positive definite

    first = (0, tried(jnp.asarray(largest, before.dtype)))
    _, (_, parts, value) = jax.lax.while_loop(
        lambda c: refused(c[1][2]) & (c[0] < HALVINGS), lambda c: (c[0] + 1, tried(0.5 * c[1][0])), first
    )
    return jax.tree.map(lambda new, old: jnp.where(refused(value), old, new), parts, former)


def settled(optimum: Callable[[Parts, Parts], Parts], energy: Callable[[Parts], Any], former: Parts) -> Parts:
    """The block at its former mean, as narrow as the energy's curvature there: a start from which expectations are finite.

    A wide prior is none: under it the expected exponential of a predictor may be infinite.
    """
    point = {k: v if k == "mean" else jnp.zeros_like(v) for k, v in former["moments"].items()}
    gradient = {k: jnp.zeros_like(g) if k == "mean" else g for k, g in jax.grad(energy)(point).items()}
    return where_finite(optimum(gradient, point), former)


def where_finite(parts: Parts, others: Parts) -> Parts:
    """The parts of a block where all are numbers, else the others."""
    finite = jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(parts)]).all()
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), parts, others)
