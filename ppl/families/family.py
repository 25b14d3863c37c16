"""A family is its log-partition A(η): beliefs are its gradients.

`q(x) = h(x) exp(⟨η, T(x)⟩ - A(η))` with the statistics T by name, so that E[T] = ∇A(η). Everything else that the engine
needs follows here once; a family in a file of its own says its statistics, its log-partition, the two ways between natural
parameters and those of the language, and what reports ask for (Wainwright & Jordan 2008, chapter 3).

The plates are the leading axes of every array. What inference computes takes and gives JAX arrays and keeps their precision;
moments, quantiles and draws, which reports ask for, are NumPy's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ppl.numerics.special import floats

Natural = Mapping[str, Any]
Parameters = Mapping[str, Any]


class Family(ABC):
    """`event_rank` counts the axes of a value (of a Categorical: of its one-hot table); `statistic_rank` and `parameter_rank` those
    of each statistic, and so of each natural parameter, and of each parameter of the language that is no scalar.
    """

    name: ClassVar[str]
    event_rank: ClassVar[int] = 0
    parameters: ClassVar[tuple[str, ...]]
    parameter_rank: ClassVar[Mapping[str, int]] = {}
    statistic_rank: ClassVar[Mapping[str, int]]

    # ------------------------------------------------------------ what inference asks for
    @abstractmethod
    def statistics(self, x: Any) -> dict[str, Array]:
        """T(x)."""

    @abstractmethod
    def log_partition(self, natural: Natural) -> Array:
        """A(η), over the plates."""

    def expected_statistics(self, natural: Natural) -> dict[str, Array]:
        """E[T] = ∇A(η)."""
        same = dict(zip(natural, common_plates(*natural.values(), ranks=[self.statistic_rank[k] for k in natural]), strict=True))
        return jax.grad(lambda eta: self.log_partition(eta).sum())(same)

    def entropy(self, natural: Natural) -> Array:
        """A(η) - ⟨η, E[T]⟩ in nats: the entropy without its term E[log h], which the energy leaves out too."""
        return self.log_partition(natural) - self.inner(natural, self.expected_statistics(natural))

    def log_base_measure(self, x: Any) -> Array | float:
        """log h(x)."""
        return 0.0

    @abstractmethod
    def natural_from(self, *args: Any, **params: Any) -> dict[str, Array]:
        """η from the parameters of the language."""

    @abstractmethod
    def params_from(self, natural: Natural) -> dict[str, Array]:
        """The parameters of the language from η."""

    @abstractmethod
    def in_domain(self, natural: Natural) -> Array:
        """Whether η is that of a proper distribution, over the plates. A sum of messages need not be."""

    def inner(self, natural: Natural, statistics: Mapping[str, Array]) -> Array:
        """⟨η, T⟩ over the plates, where 0 times infinity is 0: what is impossible and does not happen adds nothing."""
        return jnp.asarray(sum(_product(natural[k], statistics[k], rank) for k, rank in self.statistic_rank.items()))

    # ------------------------------------------------------------ what reports ask for
    @abstractmethod
    def in_support(self, x: Any) -> Array:
        """Whether x is a value of the distribution, over the plates."""

    @abstractmethod
    def mean(self, params: Parameters) -> np.ndarray:
        """E[x]."""

    @abstractmethod
    def variance(self, params: Parameters) -> np.ndarray:
        """The variance of each entry of x."""

    @abstractmethod
    def mode(self, params: Parameters) -> np.ndarray:
        """The most probable value; NaN where none is."""

    @abstractmethod
    def sample(self, params: Parameters, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
        """Draws, with the axes of `size` before the plates."""

    def quantile(self, params: Parameters, q: float) -> np.ndarray:
        """The smallest value with at least the probability q at or below it; of a vector, that of each entry."""
        raise ValueError(f"a {self.name} distribution has no quantiles")

    def log_density(self, params: Parameters, x: Any) -> np.ndarray:
        """log q(x) in nats; -inf outside of the support."""
        family = self.given(params)
        natural = family.natural_from(**params)
        value = family.inner(natural, family.statistics(x)) - family.log_partition(natural) + family.log_base_measure(x)
        return np.asarray(jnp.where(family.in_support(x), value, -jnp.inf))

    def given(self, params: Parameters) -> Self:
        """The family with the known numbers that belong to it and not to η, as the trials of a Binomial."""
        return self

    def values(self, params: Parameters) -> list[np.ndarray]:
        """The parameters as NumPy's floats, in the order of `parameters`."""
        return [np.asarray(params[name], float) for name in self.parameters]


class Reported(Family):
    """What is no exponential family: the marginal of a conjugate pair, or its prediction. It is told of, never inferred in."""

    statistic_rank: ClassVar = {}

    def statistics(self, x: Any) -> dict[str, Array]:
        return {}

    def log_partition(self, natural: Natural) -> Array:
        raise TypeError(f"a {self.name} is no exponential family")

    def natural_from(self, *args: Any, **params: Any) -> dict[str, Array]:
        raise TypeError(f"a {self.name} is no exponential family")

    def params_from(self, natural: Natural) -> dict[str, Array]:
        raise TypeError(f"a {self.name} is no exponential family")

    def in_domain(self, natural: Natural) -> Array:
        raise TypeError(f"a {self.name} is no exponential family")


def _product(natural: Array, statistic: Array, rank: int) -> Array:
    impossible = jnp.isinf(natural) & (statistic == 0)
    absent = jnp.isinf(statistic) & (natural == 0)
    product = jnp.where(impossible, 0.0, natural) * jnp.where(absent, 0.0, statistic)
    return product.sum(axis=tuple(range(-rank, 0)))


def common_plates(*arrays: Any, ranks: Sequence[int] | None = None) -> list[Array]:
    """The arrays as floats with the same plates; `ranks` counts the axes of each that are no plates (default: none)."""
    values = [floats(a) for a in arrays]
    kept = [v.shape[v.ndim - r :] for v, r in zip(values, ranks or [0] * len(values), strict=True)]
    plates = jnp.broadcast_shapes(*(v.shape[: v.ndim - len(k)] for v, k in zip(values, kept, strict=True)))
    return [jnp.broadcast_to(v, plates + k) for v, k in zip(values, kept, strict=True)]


def draw_shape(size: int | tuple[int, ...], *arrays: np.ndarray, event: int = 0) -> tuple[int, ...]:
    """The axes of draws and then the plates of the parameters, whose last `event` axes are no plates."""
    first = (size,) if isinstance(size, int | np.integer) else tuple(size)
    return first + np.broadcast_shapes(*(a.shape[: a.ndim - event] for a in arrays))


def is_count(x: Any) -> Array:
    x = jnp.asarray(x)
    return (x >= 0) & (x == jnp.floor(x))
