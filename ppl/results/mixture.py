"""A belief that is a mixture: one belief for each state of what was summed over, with the states' probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppl.arrays.plated import widen
from ppl.arrays.streams import stream
from ppl.results.belief import Belief


@dataclass(frozen=True)
class MixtureBelief(Belief):
    """The moments are exact; quantiles are those of many draws."""

    weights: np.ndarray | None = None
    components: tuple[Belief, ...] = ()

    @property
    def plates(self) -> tuple[int, ...]:
        return self.components[0].plates

    def part(self, place: tuple[int | slice, ...]) -> MixtureBelief:
        return replace(
            self,
            components=tuple(c.part(place) for c in self.components),
            observed=None if self.observed is None else self.observed[place],
            values=None if self.values is None else self.values[place],
        )

    def at(self, place: tuple[int, ...]) -> MixtureBelief:
        return replace(self, components=tuple(c.at(place) for c in self.components), observed=None, values=None)

    def _each(self, values: list[np.ndarray]) -> np.ndarray:
        assert self.weights is not None
        return np.tensordot(self.weights, np.stack(values), axes=1)

    @property
    def mean(self) -> np.ndarray:
        return self._with_observed(self._each([np.asarray(c.mean, float) for c in self.components]))

    @property
    def var(self) -> np.ndarray:
        """The mean of the variances and the variance of the means; infinite where the mean is."""
        centre = self.mean
        with np.errstate(invalid="ignore", over="ignore"):
            found = self._each([np.asarray(c.var, float) + (np.asarray(c.mean) - centre) ** 2 for c in self.components])
        found = np.where(np.isinf(centre), np.inf, found)
        return found if self.observed is None else np.where(widen(self.observed, found.ndim), 0.0, found)

    @property
    def mode(self) -> np.ndarray:
        """That of the most probable component."""
        assert self.weights is not None
        return self.components[int(np.argmax(self.weights))].mode

    def quantile(self, q: Any) -> np.ndarray:
        if np.ndim(q):
            return np.stack([self.quantile(float(one)) for one in np.asarray(q)])
        return np.quantile(self.sample(20_000, seed=0), q, axis=0)

    def sample(self, n: int, *, seed: int = 0) -> np.ndarray:
        assert self.weights is not None
        rng = stream(seed, "branches")
        counts, seeds = rng.multinomial(n, self.weights), rng.integers(2**31, size=len(self.components))
        drawn = [c.sample(int(k), seed=int(s)) for c, k, s in zip(self.components, counts, seeds, strict=True) if k]
        return rng.permutation(np.concatenate(drawn), axis=0)

    def log_density(self, x: Any) -> np.ndarray:
        assert self.weights is not None
        logs = np.stack([c.log_density(x) + np.log(w) for c, w in zip(self.components, self.weights, strict=True) if w > 0])
        top = logs.max(axis=0)
        return top + np.log(np.exp(logs - top).sum(axis=0))


def mixed(name: str, beliefs: list[Belief], weights: np.ndarray) -> Belief:
    """The mixture of beliefs in one variable; a single one where they are all the same, a table where they are tables."""
    first = beliefs[0]
    alike = all(b.family == first.family and b.params.keys() == first.params.keys() for b in beliefs)
    if alike and first.family in ("Bernoulli", "Categorical"):
        p = np.tensordot(weights, np.stack([b.params["p"] for b in beliefs]), axes=1)
        return Belief(name, first.family, {"p": p}, first.members, first.observed, first.values)
    if (
        alike
        and first.draws is None
        and all(np.array_equal(b.params[k], first.params[k], equal_nan=True) for b in beliefs for k in first.params)
    ):
        return first
    told = (name, "Mixture", {"weights": weights}, first.members, first.observed, first.values)
    return MixtureBelief(*told, weights=weights, components=tuple(beliefs))
