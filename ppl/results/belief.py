"""Beliefs: the posterior of one variable, over its plates, in the language's own terms.

A belief is a family with parameters, or draws where no family has that form (a function of latent variables, a prediction).
Entries that were observed stand at their values with sd 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ppl.arrays.plated import widen
from ppl.arrays.streams import stream
from ppl.families.registry import FAMILIES
from ppl.results import diagnostics


@dataclass(frozen=True)
class Belief:
    """What is believed of a variable; arrays have its plates first.

    `family` is a name of the language, or "Draws" or "Delta". `members` are the names of a Categorical's states.
    `observed` marks the entries that were given, `values` holds them. `moments` are the mean and the variance where they are
    known better than by the draws. `chains` is set where the draws are those of a sampler: so many equal chains, one after another.
    """

    name: str
    family: str
    params: dict[str, np.ndarray]
    members: tuple[str, ...] | None = None
    observed: np.ndarray | None = field(default=None, repr=False)
    values: np.ndarray | None = field(default=None, repr=False)
    draws: np.ndarray | None = field(default=None, repr=False)
    moments: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    chains: int = 0
    absent: np.ndarray | None = field(default=None, repr=False)  # where the variable has no cell, which has no mean either

    def without(self, absent: np.ndarray) -> Belief:
        """The belief with nothing said of what does not exist, over the plates."""

        def left(value: np.ndarray, before: int = 0) -> np.ndarray:
            return np.where(widen(absent, np.ndim(value) - before), np.nan, value)

        return replace(
            self,
            params={name: left(value) for name, value in self.params.items()},
            draws=None if self.draws is None else left(self.draws, 1),
            moments=None if self.moments is None else (left(self.moments[0]), left(self.moments[1])),
            observed=None if self.observed is None else self.observed & ~absent,
            absent=absent,
        )

    @property
    def plates(self) -> tuple[int, ...]:
        """The lengths of the plates."""
        if self.draws is not None:
            return self.draws.shape[1:]
        name = next(iter(self.params))
        inner = FAMILIES[self.family].parameter_rank.get(name, 0) if self.family in FAMILIES else 0
        shape = np.shape(self.params[name])
        return shape[: len(shape) - inner]

    def part(self, place: tuple[int | slice, ...]) -> Belief:
        """The belief in some entries of the plates, which computes nothing for the others."""
        return replace(
            self,
            params={name: np.asarray(value)[place] for name, value in self.params.items()},
            draws=self.draws[:, *place] if self.draws is not None else None,
            moments=(self.moments[0][place], self.moments[1][place]) if self.moments is not None else None,
            observed=None if self.observed is None else self.observed[place],
            values=None if self.values is None else self.values[place],
            absent=None if self.absent is None else self.absent[place],
        )

    def at(self, place: tuple[int, ...]) -> Belief:
        """The belief in one entry, as if it were latent."""
        return replace(self.part(place), observed=None, values=None, absent=None)

    @property
    def mean(self) -> np.ndarray:
        """The expected value. Of a Categorical it is that of the ordinal; its probabilities are `params["p"]`."""
        return self._with_observed(self._moment("mean"))

    @property
    def var(self) -> np.ndarray:
        """The variance of each entry."""
        variance = self._moment("variance")
        return variance if self.observed is None else np.where(widen(self.observed, variance.ndim), 0.0, variance)

    @property
    def sd(self) -> np.ndarray:
        """The standard deviation of each entry."""
        return np.sqrt(np.maximum(self.var, 0.0))

    @property
    def mode(self) -> np.ndarray:
        """The most probable value: for a Categorical the ordinal of the most probable member."""
        if self.family == "Draws":
            raise ValueError(f"`{self.name}` is known by draws, which have no mode")
        if self.family == "Delta":
            return self.params["value"]
        return self._with_observed(np.asarray(FAMILIES[self.family].mode(self.params)))

    def quantile(self, q: Any) -> np.ndarray:
        """The q-quantile of each entry; an array of q adds a first axis."""
        if np.any(np.asarray(q) < 0) or np.any(np.asarray(q) > 1):
            raise ValueError(f"a quantile is asked for at a probability between 0 and 1; {q} is not")
        if np.ndim(q):
            return np.stack([self.quantile(float(one)) for one in np.asarray(q)])
        if self.draws is not None:
            return np.quantile(self.draws, q, axis=0)
        if self.family == "Delta":
            return self.params["value"]
        if self.family in ("Wishart", "InverseWishart", "Multinomial"):
            return np.quantile(self.sample(4000, seed=0), q, axis=0)
        return self._with_observed(np.asarray(FAMILIES[self.family].quantile(self.params, q)))

    def interval(self, probability: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """The central interval that holds this probability, entry by entry."""
        tail = (1 - probability) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def sample(self, n: int, *, seed: int = 0) -> np.ndarray:
        """Draws, n first; entries of a joint block are drawn from their own marginals."""
        rng = stream(seed, "belief")
        if self.draws is not None:
            return self.draws[rng.integers(len(self.draws), size=n)]
        if self.family == "Delta":
            return np.broadcast_to(self.params["value"], (n, *np.shape(self.params["value"])))
        drawn = np.asarray(FAMILIES[self.family].sample(self.params, rng, n))
        return self._with_observed(drawn, before=1)

    def log_density(self, x: Any) -> np.ndarray:
        """The log-density (or log-probability) of a value, entry by entry, in nats; of an entry that was observed 0 at its value."""
        if self.family in ("Draws", "Delta"):
            raise ValueError(f"`{self.name}` has no density: it is known by {'draws' if self.family == 'Draws' else 'its value'}")
        import jax

        x = np.asarray(x)
        with jax.enable_x64(True):
            value = np.asarray(FAMILIES[self.family].log_density(self.params, x))
        if self.observed is None or self.values is None:
            return value
        same = x == self.values
        same = same.all(axis=tuple(range(self.observed.ndim, same.ndim)))
        return np.where(self.observed, np.where(same, 0.0, -np.inf), value)

    @cached_property
    def rhat(self) -> np.ndarray | None:
        """How far the chains of a sampler disagree, entry by entry: 1 where they agree. None where there are no chains."""
        return None if self.draws is None or not self.chains else diagnostics.rhat(self.draws, self.chains)

    @cached_property
    def ess(self) -> np.ndarray | None:
        """How many independent draws those of a sampler are worth, entry by entry. None where there are no chains."""
        return None if self.draws is None or not self.chains else diagnostics.ess(self.draws, self.chains)

    # ------------------------------------------------------------ parts
    def _moment(self, which: str) -> np.ndarray:
        if self.moments is not None:
            return self.moments[0 if which == "mean" else 1]
        if self.draws is not None:
            return self.draws.mean(axis=0) if which == "mean" else self.draws.var(axis=0)
        if self.family == "Delta":
            value = np.asarray(self.params["value"], float)
            return value if which == "mean" else np.zeros_like(value)
        return np.asarray(getattr(FAMILIES[self.family], which)(self.params))

    def _with_observed(self, value: np.ndarray, *, before: int = 0) -> np.ndarray:
        """The value with the observed entries in place; `before` axes stand in front of the plates."""
        if self.observed is None or self.values is None:
            return value
        return np.where(widen(self.observed, value.ndim - before), widen(self.values, value.ndim - before), value)
