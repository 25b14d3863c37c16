"""Quantities: what an expression of latent variables is, by the expected features that it can supply.

A `Gaussian` quantity is one affine form of Normal variables, whose second moment its block supplies; a `Featured` quantity has
a form for each feature that it supplies (E log x, E 1/x, …). Functions of the language map quantities to quantities, or say
what they cannot (Winn & Bishop 2005; Knowles & Minka 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, known
from ppl.compiler.forms import Form, constant, select_form, stack_forms
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
    """An affine function of Normal variables."""

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
    """

    features: dict[str, Form]
    kind: str
    power: tuple[Featured, float, Plated] | None = None

    @property
    def rank(self) -> int:
        return next(iter(self.features.values())).rank

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d for f in self.features.values() for d in f.dims))

    def take(self, axis: int, index: Plated) -> Featured:
        return replace(self, features={k: f.take(axis, index) for k, f in self.features.items()}, power=None)

    def form(self, feature: str) -> Form:
        if feature not in self.features:
            raise NotConjugate(f"{_FEATURES.get(feature, feature)} of {self.kind}")
        return self.features[feature]


_FEATURES = {
    "mean": "the expected value",
    "log": "the expected logarithm",
    "log1m": "the expected logarithm of 1 - p",
    "reciprocal": "the expected reciprocal",
    "logdet": "the expected log-determinant",
    "square": "the expected square",
    "outer": "the expected outer product",
    "value": "a known value in place",
    "one_hot": "the probabilities",
}


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
        case "square":
            return value * value
        case "outer":
            return apply_known("outer", [value, value])
        case "logdet":
            return apply_known("logdet", [value])
        case "inverse":
            return apply_known("inverse", [value])
    raise KeyError(feature)


# ------------------------------------------------------------------ functions of quantities
def apply_quantity(function: str, arguments: list[Any]) -> Quantity:
    """A function of the catalogue where an argument is a quantity."""
    rule = _RULES.get(function)
    if rule is None:
        raise NotConjugate(f"`{function}` of a latent value")
    return rule(*arguments)


def _as_form(value: Any) -> Form:
    if isinstance(value, Plated):
        return constant(value.map(lambda a: np.asarray(a, float)))
    if isinstance(value, Gaussian):
        return value.affine
    raise NotConjugate(f"a sum with {value.kind}")


def _add(a: Any, b: Any) -> Quantity:
    return Gaussian(_as_form(a) + _as_form(b))


def _subtract(a: Any, b: Any) -> Quantity:
    if isinstance(a, Plated) and isinstance(b, Featured) and a.rank == 0 and not a.dims and float(a.data) == 1.0 and "log1m" in b.features:
        return Featured({"log": b.form("log1m"), "log1m": b.form("log")}, f"1 - {b.kind}")
    return Gaussian(_as_form(a) + _as_form(b).negated())


def _scaled(q: Quantity, c: Plated) -> Quantity:
    if isinstance(q, Gaussian):
        return Gaussian(q.affine.scale(c))
    assert isinstance(q, Featured)
    if np.any(c.data < 0):
        raise NotConjugate(f"a negative multiple of {q.kind}")
    changes: dict[str, Callable[[Form], Form]] = {
        "mean": lambda f: f.scale(c),
        "log": lambda f: f + known_feature(c, "log"),
        "reciprocal": lambda f: f.scale(1.0 / c),
    }
    if q.rank == 2 and c.rank == 0:
        size = q.features["mean"].shape[-1]
        changes["logdet"] = lambda f: f + apply_known("log", [c]) * float(size)
    base, exponent, factor = _as_power(q)
    return Featured({k: changes[k](f) for k, f in q.features.items() if k in changes}, q.kind, power=(base, exponent, factor * c))


def _as_power(q: Featured) -> tuple[Featured, float, Plated]:
    """The quantity as `factor · base ^ exponent`."""
    return q.power or (q, 1.0, known(1.0))


def _multiply(a: Any, b: Any) -> Quantity:
    if isinstance(a, Plated):
        return _scaled(b, a)
    if isinstance(b, Plated):
        return _scaled(a, b)
    raise NotConjugate("a product of latent values")


def _reciprocal(q: Quantity) -> Quantity:
    if not isinstance(q, Featured):
        raise NotConjugate("division by a Normal variable")
    swapped = {}
    if "mean" in q.features:
        swapped["reciprocal"] = q.features["mean"]
    if "reciprocal" in q.features:
        swapped["mean"] = q.features["reciprocal"]
    if "log" in q.features:
        swapped["log"] = q.features["log"].negated()
    base, exponent, factor = _as_power(q)
    return Featured(swapped, f"the reciprocal of {q.kind}", power=(base, -exponent, 1.0 / factor))


def _divide(a: Any, b: Any) -> Quantity:
    if isinstance(b, Plated):
        return _scaled(a, 1.0 / b)
    if isinstance(a, Plated):
        return _scaled(_reciprocal(b), a)
    raise NotConjugate("a ratio of latent values")


def _power(a: Any, b: Any) -> Quantity:
    if not isinstance(a, Featured) or not isinstance(b, Plated) or b.rank or b.dims:
        raise NotConjugate("a power of a latent value")
    base, exponent, factor = _as_power(a)
    exponent, factor = exponent * float(b.data), apply_known("power", [factor, b])
    if exponent in (1.0, -1.0):
        return _scaled(base if exponent == 1.0 else _reciprocal(base), factor)
    if "log" not in base.features:
        raise NotConjugate(f"a power of {base.kind}")
    log = base.features["log"].scale(exponent) + apply_known("log", [factor])
    return Featured({"log": log}, f"a power of {base.kind}", power=(base, exponent, factor))


def _inverse(q: Any) -> Quantity:
    if isinstance(q, Featured) and "logdet" in q.features:
        pairs = {"mean": "inverse", "inverse": "mean"}
        features = {pairs[k]: f for k, f in q.features.items() if k in pairs}
        return Featured({**features, "logdet": q.features["logdet"].negated()}, f"the inverse of {q.kind}")
    raise NotConjugate("the inverse of a latent value")


def _exp(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        return Featured({"log": q.affine}, "the exponential of a Normal variable")
    raise NotConjugate("`exp` of a latent value")


def _sum(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        form = q.affine
        while form.rank:
            form = form.sum_axis()
        return Gaussian(form)
    raise NotConjugate(f"the sum of {q.kind}")


def _mean(q: Any) -> Quantity:
    count = float(np.prod(q.affine.shape)) if isinstance(q, Gaussian) else 1.0
    return _scaled(_sum(q), known(1.0 / count))


def _negate(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        return Gaussian(q.affine.negated())
    raise NotConjugate(f"minus {q.kind}")


def _dot(a: Any, b: Any) -> Quantity:
    product = _multiply(a, b)
    return _sum(product)


def _matmul(a: Any, b: Any) -> Quantity:
    if isinstance(a, Plated) and isinstance(b, Gaussian) and b.rank == 1:
        if a.rank == 1:
            return _dot(a, b)
        return Gaussian(b.affine.map_last(a))
    if isinstance(b, Plated) and isinstance(a, Gaussian) and a.rank == 1:
        return _matmul(b.map(lambda m: np.swapaxes(m, -1, -2)) if b.rank == 2 else b, a)
    raise NotConjugate("a matrix product of latent values")


def _stack(*items: Any) -> Quantity:
    if any(isinstance(i, Gaussian) for i in items):
        return Gaussian(stack_forms([_as_form(i) for i in items]))
    names = set.intersection(*(set(i.features) for i in items if isinstance(i, Featured))) & {"log", "log1m", "mean", "reciprocal"}
    forms = {
        n: stack_forms([i.form(n) if isinstance(i, Featured) else constant(known_feature(i, n)) for i in items]) for n in sorted(names)
    }
    if not forms:
        raise NotConjugate("a written-out vector of such latent values")
    return Featured(forms, "a written-out vector")


def _if(condition: Any, then: Any, otherwise: Any) -> Quantity:
    if not isinstance(condition, Plated):
        raise NotConjugate("a condition on a latent real value")
    if any(isinstance(v, Gaussian) for v in (then, otherwise)):
        return Gaussian(select_form(condition, _as_form(then), _as_form(otherwise)))
    names = [set(v.features) for v in (then, otherwise) if isinstance(v, Featured)]
    shared = set.intersection(*names) - {"inverse"}

    def side(v: Any, name: str) -> Form:
        return v.form(name) if isinstance(v, Featured) else constant(known_feature(v, name))

    features = {n: select_form(condition, side(then, n), side(otherwise, n)) for n in sorted(shared)}
    if not features:
        raise NotConjugate("a choice between such latent values")
    return Featured(features, "a choice between latent values")


def _sum_over_plates(body: Any, sizes: dict[str, int], repeated: float) -> Quantity:
    if not isinstance(body, Gaussian):
        raise NotConjugate(f"the sum of {body.kind}")
    form = body.affine
    for name, size in sizes.items():
        if name in form.dims:
            form = form.dim_to_axis(name, size).sum_axis()
    return _scaled(Gaussian(form), known(repeated))


def _concat(*items: Any) -> Quantity:
    """`concat` of vectors, of which some are Normal."""
    forms = [_as_form(i) for i in items]
    entries = [f.take(0, known(k)) for f in forms for k in range(f.shape[0])]
    return Gaussian(stack_forms(entries))


_RULES: dict[str, Callable[..., Quantity]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "negate": _negate,
    "power": _power,
    "sqrt": lambda q: _power(q, known(0.5)),
    "inverse": _inverse,
    "exp": _exp,
    "sum": _sum,
    "mean": _mean,
    "dot": _dot,
    "matmul": _matmul,
    "stack": _stack,
    "concat": _concat,
    "if": _if,
    "reverse": lambda q: q.take(0, known(np.arange(q.form("mean").shape[0])[::-1])),
    "sum over plates": _sum_over_plates,
}
