"""Spot checks: whether parameters stay in their supports when latent variables take values of theirs.

A table `[a, a]` of a Beta `a` has messages like any other, and is no distribution. What only values can show is looked at
with a few random values of everything latent: a table must sum to 1, an `sd` be positive, a probability lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LatentEvaluator, canonical_arguments
from ppl.compiler.quantities import NotConjugate
from ppl.factors.registry import factor
from ppl.graph.bound import BoundModel
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

DRAW = "draw"
LARGEST = 2_000_000  # numbers that are looked at
DRAWS = 24
LARGEST_EXPONENT = 100.0

_POINTS: dict[str, Callable[[np.random.Generator, tuple[int, ...], LatentVariable], np.ndarray]] = {
    "Normal": lambda rng, size, v: rng.normal(size=size),
    "MvNormal": lambda rng, size, v: rng.normal(size=size),
    "Gamma": lambda rng, size, v: rng.gamma(2.0, size=size) + 0.01,
    "InverseGamma": lambda rng, size, v: rng.gamma(2.0, size=size) + 0.01,
    "Positive": lambda rng, size, v: rng.gamma(2.0, size=size) + 0.01,
    "Beta": lambda rng, size, v: rng.uniform(0.01, 0.99, size=size),
    "Dirichlet": lambda rng, size, v: rng.dirichlet(np.ones(size[-1]), size=size[:-1]),
    "Bernoulli": lambda rng, size, v: rng.integers(2, size=size),
    "Categorical": lambda rng, size, v: rng.integers(v.cardinality, size=size),
}


class _Tame(LatentEvaluator):
    """Evaluation at values that are far from the posterior: an exponential that is 0 or infinite there tells nothing of the model."""

    def call(self, function: str, arguments: list[Any], span: Any) -> Any:
        tamed = [a.map(lambda v: np.clip(v, -LARGEST_EXPONENT, LARGEST_EXPONENT)) for a in arguments] if function == "exp" else arguments
        return super().call(function, tamed, span)


def spot_check(
    statements: list[typed.RandomStatement],
    bound: BoundModel,
    latents: Mapping[str, LatentVariable],
    definitions: Mapping[str, list[typed.DeterministicStatement]],
) -> list[Diagnostic]:
    """A diagnostic for each parameter that leaves its support."""
    values = _values(bound, latents)
    if values is None:
        return []
    found: list[Diagnostic] = []
    for statement in statements:
        call = statement.distribution
        assert isinstance(call, typed.DistributionCall)
        evaluator = _Tame(bound, {}, definitions)
        evaluator.values = values
        try:
            canonical_arguments(call, factor(DISTRIBUTIONS[call.name].implementation or ""), evaluator, evaluator.loops_of(statement))
        except AimError as error:
            found += error.diagnostics
        except (KeyError, NotConjugate):  # of what is predicted, and not looked at
            continue
    return found


def _values(bound: BoundModel, latents: Mapping[str, LatentVariable]) -> dict[str, Any] | None:
    """Known values, and random ones of what is latent; None where a variable is of a family without them, or all is too large."""
    rng = np.random.default_rng(0)
    shapes = {n: bound.shape(bound.model.variables[n]) for n in latents}
    largest = max((int(np.prod(s, dtype=int)) * max(1, latents[n].cardinality) for n, s in shapes.items()), default=1)
    draws = min(DRAWS, LARGEST // max(largest, 1))
    if draws < 1 or any(v.family not in _POINTS for v in latents.values()):
        return None
    values: dict[str, Any] = {n: v for n, v in bound.values.items() if n not in bound.observed or bound.observed[n].any()}
    for name in set(values) & set(bound.observed) - set(latents):
        values[name] = filled(values[name], bound.observed[name])
    for name, variable in latents.items():
        drawn = _POINTS[variable.family](rng, (draws, *shapes[name]), variable)
        if name in bound.values:
            observed = bound.observed[name]
            mask = observed.reshape(observed.shape + (1,) * (drawn.ndim - 1 - observed.ndim))
            drawn = np.where(mask, bound.values[name], drawn)
        values[name] = Plated((DRAW,), drawn)
    return values


def filled(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """What is predicted stands at a value that was observed, which is in its support."""
    mask = observed.reshape(observed.shape + (1,) * (values.ndim - observed.ndim))
    return np.where(mask, values, values[np.unravel_index(np.argmax(observed), observed.shape)])
