"""Quantities: what an expression of latent variables is, by the expected features that it can supply.

A `Gaussian` quantity is one affine form of Normal variables, whose second moment its block supplies; a `Featured` quantity has
a form for each feature that it supplies (E log x, E 1/x, …). Functions of the language map quantities to quantities, or say
what they cannot (Winn & Bishop 2005; Knowles & Minka 2011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.forms import Form
from ppl.factors.factor import IMPOSSIBLE
from ppl.graph.functions import apply_known


class NotConjugate(Exception):
    """A factor or a function asks for an expectation that the quantity cannot supply; says which."""


@dataclass(frozen=True)
class Quantity:
    """What an expression with latent variables is. Every operation gives a quantity or raises NotConjugate."""

    def take(self, axis: int, index: Plated) -> Quantity:
        raise NotImplementedError

    def form(self, feature: str) -> Form:
        raise NotImplementedError

    @property
    def rank(self) -> int:
        raise NotImplementedError


@dataclass(frozen=True)
class Gaussian(Quantity):
    """A multilinear function of Normal variables: a sum of products of different ones."""

    affine: Form

    @property
    def rank(self) -> int:
        return self.affine.rank

    @property
    def dims(self) -> tuple[str, ...]:
        return self.affine.dims

    def take(self, axis: int, index: Plated) -> Gaussian:
        return Gaussian(self.affine.take(axis, index))

    def form(self, feature: str) -> Form:
        if feature == "mean":
            return self.affine
        raise NotConjugate(f"{_FEATURES.get(feature, feature)} of a Normal variable")


@dataclass(frozen=True)
class Featured(Quantity):
    """Any other quantity, by the expected features that it supplies; `kind` says what it is, for messages.

    `power` remembers of which quantity it is a power and times what, so that the square of `c * sqrt(s)` is `c ^ 2 * s`.
    An `exponential` is that of its logarithm, which is a form in Normals: all its powers are exponentials again.
    """

    features: dict[str, Form]
    kind: str
    power: tuple[Featured, float, Plated] | None = None
    exponential: bool = False

    @property
    def rank(self) -> int:
        return next(iter(self.features.values())).rank

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d for f in self.features.values() for d in f.dims))

    def take(self, axis: int, index: Plated) -> Featured:
        kept = {k: f.take(axis, index) for k, f in self.features.items() if k not in ("inverse", "logdet")}  # these are of a whole matrix
        return replace(self, features=kept, power=None)

    def form(self, feature: str) -> Form:
        if feature not in self.features:
            raise NotConjugate(f"{_FEATURES.get(feature, feature)} of {self.kind}")
        return self.features[feature]


_FEATURES = {
    "mean": "the expected value",
    "log": "the expected logarithm",
    "log1m": "the expected logarithm of 1 - p",
    "reciprocal": "the expected reciprocal",
    "squared": "the expected square",
    "inverse_squared": "the expected inverse square",
    "log1p_squared": "the expected logarithm of 1 + x²",
    "logdet": "the expected log-determinant",
    "inverse": "the expected inverse",
    "square": "the expected square",
    "outer": "the expected outer product",
    "value": "a known value in place",
    "one_hot": "the probabilities",
}


POWERS = {"mean": "reciprocal", "reciprocal": "mean", "squared": "inverse_squared", "inverse_squared": "squared"}  # and those of 1 / x


def _floored(log: Any) -> Any:
    """Logarithms of 0 are finite, so that what is impossible and does not happen adds 0."""
    return np.maximum(log, IMPOSSIBLE)


def known_feature(value: Plated, feature: str) -> Plated:
    """A feature of a known value."""
    match feature:
        case "mean" | "value":
            return value.map(lambda a: np.asarray(a, float))
        case "log":
            return apply_known("log", [value.map(lambda a: np.asarray(a, float))]).map(_floored)
        case "log1m":
            return apply_known("log", [1.0 - value]).map(_floored)
        case "reciprocal":
            return value.map(lambda a: 1.0 / np.asarray(a, float))
        case "squared":
            return value * value
        case "inverse_squared":
            return value.map(lambda a: 1.0 / np.asarray(a, float) ** 2)
        case "log1p_squared":
            return (value * value).map(np.log1p)
        case "square":
            return value * value
        case "outer":
            return apply_known("outer", [value, value])
        case "logdet":
            return apply_known("logdet", [value])
        case "inverse":
            return apply_known("inverse", [value])
    raise KeyError(feature)
