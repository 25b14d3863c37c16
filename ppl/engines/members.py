"""A statement at its members, all that it depends on having values (draws are one more plate): log densities, and draws.

Families that message passing knows answer by themselves; of other distributions NumPyro's are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.lowering import LatentEvaluator, canonical_arguments
from ppl.engines.precision import with_precision
from ppl.factors.registry import factor
from ppl.families.registry import FAMILIES
from ppl.graph.evaluate import fits
from ppl.semantics import typed

Loops = Mapping[str, Plated]
DRAW = "draw"  # the plate of draws


@dataclass(frozen=True)
class ByFamily:
    """A distribution of a family: its parameters in the language's terms, over these plates."""

    family: str
    params: dict[str, np.ndarray]
    dims: tuple[str, ...]

    def log_density(self, x: Plated, dims: tuple[str, ...]) -> np.ndarray:
        params = {k: arranged(v, self.dims, dims) for k, v in self.params.items()}
        return with_precision(np.float64, FAMILIES[self.family].log_density)(params, x.arranged(dims))

    def draw(self, rng: np.random.Generator, dims: tuple[str, ...], sizes: Mapping[str, int]) -> np.ndarray:
        full = {k: self._over(arranged(v, self.dims, dims), k, dims, sizes) for k, v in self.params.items()}
        return np.asarray(with_precision(np.float64, FAMILIES[self.family].sample)(full, rng, ()), float)

    def _over(self, value: np.ndarray, name: str, dims: tuple[str, ...], sizes: Mapping[str, int]) -> np.ndarray:
        return np.broadcast_to(value, tuple(sizes[d] for d in dims) + value.shape[len(dims) :])


@dataclass(frozen=True)
class ByNumPyro:
    """Any other distribution of the catalogue, with the values of its arguments."""

    valued: Any

    def log_density(self, x: Plated, dims: tuple[str, ...]) -> np.ndarray:
        def value() -> np.ndarray:
            return np.asarray(self._built(dims).log_prob(x.arranged(dims)))

        return with_precision(np.float64, value)()

    def draw(self, rng: np.random.Generator, dims: tuple[str, ...], sizes: Mapping[str, int]) -> np.ndarray:
        def value() -> np.ndarray:
            import jax

            built = self._built(dims)
            wider = [sizes[d] // n for d, n in zip(dims, built.batch_shape, strict=True)]
            built = built.expand([sizes[d] for d in dims]) if any(n > 1 for n in wider) else built
            return np.asarray(built.sample(jax.random.PRNGKey(int(rng.integers(2**31)))), float)

        return with_precision(np.float64, value)()

    def _built(self, dims: tuple[str, ...]) -> Any:
        from ppl.engines.numpyro_bridge.distributions import build

        return build(self.valued, dims)


def arranged(value: np.ndarray, own: tuple[str, ...], dims: tuple[str, ...]) -> np.ndarray:
    return Plated(own, value).arranged(dims)


def distribution_at(statement: typed.RandomStatement, evaluator: LatentEvaluator, loops: Loops, child: Plated | None) -> Any:
    """The distribution of the members of the loops. `child` is their value, where it has one: counts without `n` need it."""
    call = statement.distribution
    implementation = DISTRIBUTIONS[call.name].implementation if isinstance(call, typed.DistributionCall) else None
    if isinstance(call, typed.DistributionCall) and implementation and factor(implementation).family in FAMILIES and not call.components:
        kind = factor(implementation)
        arguments = canonical_arguments(call, kind, evaluator, loops)
        if "n" in kind.parameters and "n" not in arguments and child is not None:
            arguments["n"] = child.sum_value()
        dims = tuple(dict.fromkeys(d for v in arguments.values() for d in v.dims))
        params = kind.reported(**{k: np.asarray(v.arranged(dims), float) for k, v in arguments.items()})
        return ByFamily(kind.family, params, dims)
    return ByNumPyro(_valued(call, evaluator, loops, child))


def _valued(call: Any, evaluator: LatentEvaluator, loops: Loops, child: Plated | None) -> Any:
    from ppl.engines.numpyro_bridge.distributions import Valued

    if isinstance(call, typed.DistributionChoice):
        subjects = [evaluator.evaluate(s, loops) for s in call.subjects]
        arms = tuple(_valued(arm, evaluator, loops, child) for _, arm in call.arms)
        return Valued("Choice", {}, arms, tuple(fits(subjects, patterns) for patterns, _ in call.arms))
    arguments = {name: evaluator.number(e, loops) for name, e in call.arguments.items()}
    if call.name in ("Multinomial", "DirichletMultinomial") and "n" not in arguments and child is not None:
        arguments["n"] = child.sum_value()
    return Valued(call.name, arguments, tuple(_valued(c, evaluator, loops, child) for c in call.components))


def log_density_at(statement: typed.RandomStatement, evaluator: LatentEvaluator, loops: Loops, child: Plated) -> Plated:
    """The log density of each member at its value, nats."""
    distribution = distribution_at(statement, evaluator, loops, child)
    own = distribution.dims if isinstance(distribution, ByFamily) else distribution.valued.dims
    dims = tuple(dict.fromkeys((*own, *child.dims)))
    return Plated(dims, distribution.log_density(child, dims))
