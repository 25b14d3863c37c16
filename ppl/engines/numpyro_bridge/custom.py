"""Distributions of the language that NumPyro lacks, or has in a form that loses digits or gradients at the edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, logsumexp, ndtr, ndtri, xlogy
from numpyro.distributions import constraints

from ppl.numerics import special

BISECTIONS = 60  # halvings of an interval that finds a quantile
LARGEST_COUNT = 1000  # up to which counts are summed where their bound is latent


def safe_log_prob(base: Any, value: Any) -> Any:
    """log p(value), -inf outside of the support, where no gradient may turn into nan either."""
    inside = base.support(value)
    return jnp.where(inside, base.log_prob(jnp.where(_widen(inside, base.event_dim), value, within(base.support, value))), -jnp.inf)


def within(support: Any, like: Any) -> Any:
    """Some value inside a support, of the shape of another value."""
    return jnp.asarray(support.feasible_like(like), jnp.asarray(like).dtype)


def _widen(mask: Any, axes: int) -> Any:
    return mask[(...,) + (None,) * axes]


class Uniform(dist.Uniform):
    """With the density 0 outside of its bounds, which may be latent."""

    def log_prob(self, value: Any) -> Any:
        low, high = jnp.asarray(self.low), jnp.asarray(self.high)  # type: ignore[arg-type]
        return jnp.where((value >= low) & (value <= high), -jnp.log(high - low), -jnp.inf)


class Pareto(dist.Pareto):
    """With the density 0 below its scale, which may be latent."""

    def log_prob(self, value: Any) -> Any:
        scale = jnp.asarray(self.scale)  # type: ignore[arg-type]
        inside = value >= scale
        return jnp.where(inside, super().log_prob(jnp.where(inside, value, 2.0 * scale)), -jnp.inf)


class HalfStudentT(dist.Distribution):
    """The absolute value of a Student t around 0."""

    support = constraints.positive  # type: ignore[assignment]

    def __init__(self, df: Any, scale: Any) -> None:
        self.whole = dist.StudentT(df, 0.0, scale)
        super().__init__(batch_shape=self.whole.batch_shape)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        return jnp.abs(self.whole.sample(key, sample_shape))

    def log_prob(self, value: Any) -> Any:
        return self.whole.log_prob(value) + np.log(2.0)


class Improper(dist.Distribution):
    """The density 1 over a support: it has no draws."""

    def __init__(self, support: Any, batch_shape: tuple[int, ...]) -> None:
        self._support = support
        super().__init__(batch_shape=batch_shape)

    @property
    def support(self) -> Any:
        return self._support

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        raise NotImplementedError("an improper distribution has no draws")

    def log_prob(self, value: Any) -> Any:
        return jnp.zeros(jnp.broadcast_shapes(jnp.shape(value), self.batch_shape))


class NegativeBinomial(dist.NegativeBinomial2):
    """By log Γ: the logarithm of the Beta function that NumPyro's calls is off by up to 1e-6."""

    def log_prob(self, value: Any) -> Any:
        value, mean, concentration = (jnp.asarray(v, float) for v in (value, self.mean, self.concentration))
        both = mean + concentration
        ways = special.lgamma(value + concentration) - special.lgamma(concentration) - special.log_factorial(value)
        return ways + concentration * jnp.log(concentration / both) + xlogy(value, mean / both)


class BetaBinomial(dist.BetaBinomial):
    """By log Γ, for the same reason; 0 above the number of trials."""

    def log_prob(self, value: Any) -> Any:
        a, b = jnp.asarray(self.concentration1, float), jnp.asarray(self.concentration0, float)
        n = jnp.asarray(self.total_count)
        inside = value <= n
        trials = jnp.where(inside, n, value)
        table = special.log_binomial(trials, value) + special.lbeta(value + a, trials - value + b) - special.lbeta(a, b)
        return jnp.where(inside, table, -jnp.inf)


class OrderedLogistic(dist.CategoricalLogits):
    """Its log probabilities by log(s(b) - s(a)) = log s(b) + log s(-a) + log(1 - exp(a - b)), s the logistic function."""

    def __init__(self, predictor: Any, cutpoints: Any) -> None:
        edges = cutpoints - predictor[..., None]
        below, above = jax.nn.log_sigmoid(edges), jax.nn.log_sigmoid(-edges)
        between = below[..., 1:] + above[..., :-1] + jnp.log1p(-jnp.exp(edges[..., :-1] - edges[..., 1:]))
        super().__init__(jnp.concatenate([below[..., :1], between, above[..., -1:]], axis=-1))


class TruncatedNormal(dist.Distribution):
    """A Normal between bounds, which may be infinite; far in a tail the mass is taken from the side where it is small."""

    def __init__(self, mean: Any, sd: Any, low: Any, high: Any) -> None:
        self.mean_, self.sd, self.low, self.high = mean, sd, low, high
        super().__init__(batch_shape=np.broadcast_shapes(*(np.shape(v) for v in (mean, sd, low, high))))

    @property
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    def _standard(self, bound: Any) -> Any:
        finite = jnp.isfinite(bound)
        return jnp.where(finite, (jnp.where(finite, bound, 0.0) - self.mean_) / self.sd, bound)

    def _edges(self) -> tuple[Any, Any, Any]:
        """Standardised bounds, both mirrored where the mass lies above 0, and where that is."""
        low, high = self._standard(self.low), self._standard(self.high)
        mirrored = low > 0
        return jnp.where(mirrored, -high, low), jnp.where(mirrored, -low, high), mirrored

    def log_mass(self) -> Any:
        low, high, _ = self._edges()
        bounded = jnp.isfinite(low)
        safe = jnp.where(bounded, low, -1.0)
        top = jnp.where(jnp.isfinite(high), high, 40.0)
        ratio = jnp.exp(log_ndtr(safe) - log_ndtr(top))
        return log_ndtr(top) + jnp.where(bounded, jnp.log1p(-jnp.where(bounded, ratio, 0.0)), 0.0)

    def log_prob(self, value: Any) -> Any:
        inside = (value >= self.low) & (value <= self.high)
        return jnp.where(inside, dist.Normal(self.mean_, self.sd).log_prob(value) - self.log_mass(), -jnp.inf)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        low, high, mirrored = self._edges()
        u = jax.random.uniform(key, sample_shape + self.batch_shape)
        z = ndtri(ndtr(low) + u * (ndtr(high) - ndtr(low)))
        return self.mean_ + self.sd * jnp.where(mirrored, -z, z)


class Truncated(dist.Distribution):
    """Any distribution on numbers, between bounds that belong to it. The mass is a difference of its distribution function."""

    def __init__(self, base: Any, low: Any, high: Any) -> None:
        self.base, self.low, self.high = base, low, high
        known = [v[np.isfinite(v)] for v in (low, high) if isinstance(v, np.ndarray)]
        self.most = int(max([0.0, *(v.max(initial=0.0) for v in known)])) if len(known) == 2 else LARGEST_COUNT
        super().__init__(batch_shape=np.broadcast_shapes(base.batch_shape, np.shape(low), np.shape(high)))

    @property
    def support(self) -> Any:
        if self.base.support.is_discrete:
            return constraints.integer_interval(jnp.ceil(self.low), jnp.floor(self.high))
        return constraints.interval(self.low, self.high)

    def _below(self, x: Any) -> Any:
        """P(X <= x), which is 0 and 1 where the base ends."""
        start, stop = _ends(self.base.support)
        safe = jnp.clip(jnp.where(jnp.isfinite(x), x, 0.0), start, stop)
        inside = cumulative(self.base, safe, self.most)
        return jnp.where((x < start) | (x == -jnp.inf), 0.0, jnp.where((x >= stop) | (x == jnp.inf), 1.0, inside))

    def _masses(self) -> tuple[Any, Any]:
        low = jnp.ceil(self.low) - 1.0 if self.base.support.is_discrete else self.low
        return self._below(low), self._below(self.high)

    def log_prob(self, value: Any) -> Any:
        below, up_to = self._masses()
        inside = (value >= self.low) & (value <= self.high)
        return jnp.where(inside, safe_log_prob(self.base, value) - jnp.log(up_to - below), -jnp.inf)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        below, up_to = self._masses()
        u = below + jax.random.uniform(key, sample_shape + self.batch_shape) * (up_to - below)
        drawn = _quantile(self._below, u, self.low, self.high)
        return jnp.clip(jnp.ceil(drawn - 1e-6), jnp.ceil(self.low), self.high) if self.base.support.is_discrete else drawn


def cumulative(base: Any, x: Any, most: int) -> Any:
    """The distribution function; of counts by summing over all up to `most`."""
    if not base.support.is_discrete:
        return base.cdf(x)
    if isinstance(base, dist.Poisson):
        return jax.scipy.special.gammaincc(jnp.floor(x) + 1.0, base.rate)
    counts = jnp.arange(most + 1.0).reshape((-1,) + (1,) * len(base.batch_shape))
    return jnp.where(counts <= x, jnp.exp(safe_log_prob(base, jnp.broadcast_to(counts, counts.shape[:1] + base.batch_shape))), 0.0).sum(
        axis=0
    )


def _ends(support: Any) -> tuple[Any, Any]:
    """The least and the largest value of a support on numbers."""
    if support in (constraints.positive, constraints.nonnegative, constraints.nonnegative_integer):
        return 0.0, jnp.inf
    return getattr(support, "lower_bound", -jnp.inf), getattr(support, "upper_bound", jnp.inf)


def _quantile(below: Any, u: Any, low: Any, high: Any) -> Any:
    """Where a distribution function reaches u, by halving; an infinite bound is first replaced by one that is far enough."""
    start = jnp.where(jnp.isfinite(low), low, 0.0) * jnp.ones_like(u)
    stop = jnp.where(jnp.isfinite(high), high, 0.0) * jnp.ones_like(u)

    def widened(k: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        a, b = ends
        step = 2.0**k
        left = jnp.where(~jnp.isfinite(low) & (below(a) > u), jnp.minimum(a, b) - step, a)
        return left, jnp.where(~jnp.isfinite(high) & (below(b) < u), jnp.maximum(left, b) + step, b)

    def halved(_: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        middle = 0.5 * (ends[0] + ends[1])
        lower = below(middle) < u
        return jnp.where(lower, middle, ends[0]), jnp.where(lower, ends[1], middle)

    ends = jax.lax.fori_loop(0, BISECTIONS, widened, (start, stop))
    return jax.lax.fori_loop(0, BISECTIONS, halved, ends)[1]


class Mixture(dist.Distribution):
    """A mixture of any distributions over values of one shape; a component counts where its support holds the value."""

    def __init__(self, weights: Any, components: Sequence[Any]) -> None:
        self.weights, self.components = weights, tuple(components)
        batch = np.broadcast_shapes(np.shape(weights)[:-1], *(c.batch_shape for c in components))
        super().__init__(batch_shape=batch, event_shape=components[0].event_shape)

    @property
    def support(self) -> Any:
        return self.components[0].support

    def log_prob(self, value: Any) -> Any:
        shape = jnp.broadcast_shapes(jnp.shape(value)[: jnp.ndim(value) - self.event_dim], self.batch_shape)
        parts = [jnp.broadcast_to(safe_log_prob(c, value), shape) for c in self.components]
        return logsumexp(jnp.stack(parts, axis=-1) + jnp.log(self.weights), axis=-1)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        shape = sample_shape + self.batch_shape
        first, *keys = jax.random.split(key, len(self.components) + 1)
        chosen = _widen(jax.random.categorical(first, jnp.log(self.weights), shape=shape), self.event_dim)
        drawn = [c.expand(self.batch_shape).sample(k, sample_shape) for k, c in zip(keys, self.components, strict=True)]
        value = drawn[0]
        for k, one in enumerate(drawn[1:], start=1):
            value = jnp.where(chosen == k, one, value)
        return value


class Choice(dist.Distribution):
    """The first distribution whose condition holds (1 or 0), for each member of the plates."""

    def __init__(self, conditions: Sequence[Any], arms: Sequence[Any]) -> None:
        self.conditions, self.arms = tuple(conditions), tuple(arms)
        batch = np.broadcast_shapes(*(np.shape(c) for c in conditions), *(a.batch_shape for a in arms))
        super().__init__(batch_shape=batch, event_shape=arms[0].event_shape)

    @property
    def support(self) -> Any:
        return self.arms[0].support

    def _choose(self, parts: Sequence[Any], axes: int) -> Any:
        value = parts[-1]
        for condition, part in list(zip(self.conditions, parts, strict=True))[-2::-1]:
            value = jnp.where(_widen(jnp.asarray(condition) != 0, axes), part, value)
        return value

    def log_prob(self, value: Any) -> Any:
        return self._choose([safe_log_prob(arm, value) for arm in self.arms], 0)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        keys = jax.random.split(key, len(self.arms))
        return self._choose(
            [a.expand(self.batch_shape).sample(k, sample_shape) for k, a in zip(keys, self.arms, strict=True)], self.event_dim
        )
