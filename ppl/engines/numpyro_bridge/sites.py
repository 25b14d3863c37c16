"""Latent sites: the unknown numbers of one variable, and the map from unconstrained coordinates to them.

What is a number has bounds, which may be infinite, or change with other variables. A simplex, a positive definite matrix, a
correlation matrix and an increasing vector have maps of NumPyro's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to, constraints

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.engines.numpyro_bridge.structure import Structure, calls
from ppl.semantics import typed

Kind = Literal["numbers", "simplex", "posdef", "corr", "increasing", "states"]
SHAPES: dict[str, Any] = {"simplex": constraints.simplex, "posdef": constraints.positive_definite, "corr": constraints.corr_matrix}
BOUNDS = {"real": (-np.inf, np.inf), "positive": (0.0, np.inf), "unit": (0.0, 1.0)}


@dataclass(frozen=True)
class Bound:
    """The support of one statement: constants, or expressions that other variables settle."""

    statement: typed.RandomStatement = field(repr=False)
    low: float | typed.TypedExpression
    high: float | typed.TypedExpression


@dataclass(frozen=True)
class Site:
    """`mask` marks the latent entries among all numbers of the variable; None where all are latent. The coordinates of "states" are the
    states themselves, of which there are `states`: no gradient moves them."""

    name: str
    kind: Kind
    shape: tuple[int, ...]  # of the whole variable
    plates: int
    mask: np.ndarray | None = field(repr=False)
    bounds: tuple[Bound, ...]
    states: int = 0
    standardised: bool = False  # its coordinates are (value - mean) / sd of its distribution

    @property
    def entries(self) -> tuple[int, ...]:
        """The shape of the latent entries: that of the variable, or a list of them."""
        if self.mask is None:
            return self.shape
        chosen = self.chosen
        return (int(chosen.sum()), *self.shape[chosen.ndim :])

    @property
    def chosen(self) -> np.ndarray:
        """Where latent entries are: single numbers, or values over the plates."""
        assert self.mask is not None
        if self.kind in ("numbers", "states"):
            return self.mask
        return np.asarray(self.mask.reshape(self.mask.shape[: self.plates] + (-1,)).all(axis=-1))

    @property
    def coordinates(self) -> tuple[int, ...]:
        """The shape of the unconstrained coordinates."""
        if self.kind in SHAPES:
            return biject_to(SHAPES[self.kind]).inverse_shape(self.entries)
        return self.entries

    @property
    def size(self) -> int:
        return int(np.prod(self.coordinates, dtype=int))

    def put(self, base: np.ndarray, entries: Any) -> Any:
        """The whole variable with its latent entries in place."""
        if self.mask is None:
            return entries
        return jnp.asarray(base, entries.dtype).at[np.nonzero(self.chosen)].set(entries)

    def take(self, whole: Any) -> Any:
        """The latent entries of a whole variable, whose first axes may be draws."""
        if self.mask is None:
            return whole
        return whole[np.nonzero(self.chosen)]


def site_of(name: str, structure: Structure) -> Site:
    """The site of a latent variable that is not summed over."""
    bound = structure.bound
    variable, mask = bound.model.variables[name], structure.latent[name]
    shape = bound.shape(variable)
    if name in structure.drawn:
        return Site(name, "states", shape, variable.plates, None if mask.all() else mask, (), structure.drawn[name])
    statements = structure.of(name)
    kind = _kind(statements[0])  # that of all: others have been taken apart
    bounds = tuple(b for s in statements for b in _bounds(s, s.distribution)) if kind in ("numbers", "increasing") else ()
    return Site(name, kind, shape, variable.plates, None if mask.all() else mask, bounds)


def _kind(statement: typed.RandomStatement) -> Kind:
    if isinstance(statement.distribution, typed.DistributionCall) and statement.distribution.name == "Ordered":
        return "increasing"
    name = next(calls(statement.distribution)).name
    support = DISTRIBUTIONS[name].support
    return "corr" if name == "LKJ" else "simplex" if support == "simplex" else "posdef" if support == "posdef" else "numbers"


def _bounds(statement: typed.RandomStatement, distribution: Any) -> Iterator[Bound]:
    """Bounds of the numbers that a statement defines: of a mixture or a choice the widest."""
    if isinstance(distribution, typed.DistributionChoice) or distribution.name == "Mixture":
        parts = [c for _, c in distribution.arms] if isinstance(distribution, typed.DistributionChoice) else distribution.components
        found = [b for c in parts for b in _bounds(statement, c)]
        alike = all((b.low, b.high) == (found[0].low, found[0].high) for b in found)
        known = [(b.low, b.high) for b in found if isinstance(b.low, float) and isinstance(b.high, float)]
        if alike:
            yield found[0]
        elif len(known) == len(found):
            yield Bound(statement, min(low for low, _ in known), max(high for _, high in known))
        else:
            yield Bound(statement, -np.inf, np.inf)
        return
    match distribution.name:
        case "Ordered":
            yield from _bounds(statement, distribution.components[0])
        case "Uniform" | "TruncatedNormal":
            yield Bound(statement, distribution.arguments["low"], distribution.arguments["high"])
        case "Truncated":
            (inner,) = _bounds(statement, distribution.components[0])
            low, high = distribution.arguments["low"], distribution.arguments["high"]
            positive = inner.low == 0.0 and isinstance(low, typed.Constant) and low.value < 0
            yield Bound(statement, 0.0 if positive else low, inner.high if _infinite(high) else high)
        case "Pareto":
            yield Bound(statement, distribution.arguments["scale"], np.inf)
        case "VonMises":
            yield Bound(statement, -np.pi, np.pi)
        case name:
            yield Bound(statement, *BOUNDS[DISTRIBUTIONS[name].support])


def _infinite(e: typed.TypedExpression) -> bool:
    return isinstance(e, typed.Constant) and bool(np.isinf(e.value))


# ------------------------------------------------------------------ maps
def between(u: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Numbers between bounds from real ones, and the log of the derivative. The bounds may be infinite, entry by entry."""
    below, above = jnp.isfinite(low), jnp.isfinite(high)
    safe_low, safe_high = jnp.where(below, low, 0.0), jnp.where(above, high, 1.0)
    both, grown = below & above, jnp.exp(jnp.where(below ^ above, u, 0.0))
    width = jnp.where(both, safe_high - safe_low, 1.0)
    inside = safe_low + width * jax.nn.sigmoid(u)
    value = jnp.where(both, inside, jnp.where(below, safe_low + grown, jnp.where(above, safe_high - grown, u)))
    squashed = jnp.log(width) + jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u)
    return value, jnp.where(both, squashed, jnp.where(below ^ above, u, 0.0))


def shaped(u: Any, kind: str) -> tuple[Any, Any]:
    """A simplex or a matrix from real coordinates, and the log of the volume's change."""
    transform = biject_to(SHAPES[kind])
    value = transform(u)
    return value, jnp.sum(transform.log_abs_det_jacobian(u, value))


def increasing(u: Any, low: Any, high: Any, axis: int) -> tuple[Any, Any]:
    """Increasing numbers along an axis: real ones first, then each squeezed between the bounds."""
    moved = jnp.moveaxis(u, axis, -1)
    steps = jnp.concatenate([moved[..., :1], jnp.exp(moved[..., 1:])], axis=-1)
    value, log_derivative = between(jnp.moveaxis(jnp.cumsum(steps, axis=-1), -1, axis), low, high)
    return value, jnp.sum(log_derivative) + jnp.sum(moved[..., 1:])
