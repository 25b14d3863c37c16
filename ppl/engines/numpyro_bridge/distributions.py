"""From a distribution of the catalogue, whose arguments have values over named plates, to one of NumPyro.

The conventions are the language's: a Wishart has the mean `df * scale`, an InverseWishart `scale / (df - D - 1)`, a Geometric
counts from 0, `sd` of a Student t is its scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr
from numpyro.distributions import constraints

from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.engines.numpyro_bridge import custom


@dataclass(frozen=True)
class Valued:
    """A distribution with the values of its arguments; a choice has arms and the conditions under which each counts."""

    name: str
    arguments: Mapping[str, Plated]
    components: tuple[Valued, ...] = ()
    conditions: tuple[Plated, ...] = ()

    @property
    def dims(self) -> tuple[str, ...]:
        """The plates of all that it is made of."""
        own = [d for v in (*self.arguments.values(), *self.conditions) for d in v.dims]
        return tuple(dict.fromkeys([*own, *(d for c in self.components for d in c.dims)]))

    @property
    def event_rank(self) -> int:
        """The number of axes of a value."""
        if self.components:
            return self.components[0].event_rank
        return self.arguments["value"].rank if self.name == "Delta" else len(DISTRIBUTIONS[self.name].axes)


def build(valued: Valued, dims: tuple[str, ...]) -> Any:
    """NumPyro's distribution, with one batch axis for each of the plates, of length 1 where it does not vary."""
    arguments = {name: value.arranged(dims) for name, value in valued.arguments.items()}
    components = [build(c, dims) for c in valued.components]
    match valued.name:
        case "Mixture":
            return custom.Mixture(arguments["weights"], components)
        case "Ordered":
            return components[0]
        case "Choice":
            return custom.Choice([c.arranged(dims) for c in valued.conditions], components)
        case "Truncated":
            return truncated(components[0], arguments["low"], arguments["high"])
        case "Flat" | "HalfFlat":
            support = constraints.real if valued.name == "Flat" else constraints.positive
            return custom.Improper(support, (1,) * len(dims))
        case "Delta":
            return dist.Delta(jnp.asarray(arguments["value"]), event_dim=valued.event_rank)
    return MAKERS[valued.name](**{k: v if k in ("n", "dim") else jnp.asarray(v, float) for k, v in arguments.items()})


def truncated(base: Any, low: Any, high: Any) -> Any:
    if isinstance(base, dist.Normal):
        return custom.TruncatedNormal(base.loc, base.scale, low, high)
    return custom.Truncated(base, low, high)


# ------------------------------------------------------------------ by name
def _normal(mean: Any, sd: Any = None, var: Any = None, precision: Any = None) -> Any:
    return dist.Normal(mean, _sd(sd, var, precision))


def _sd(sd: Any, var: Any, precision: Any) -> Any:
    if sd is not None:
        return sd
    return jnp.sqrt(var) if var is not None else 1.0 / jnp.sqrt(precision)


def _mv_normal(mean: Any, cov: Any = None, precision: Any = None, scale_tril: Any = None) -> Any:
    return dist.MultivariateNormal(mean, covariance_matrix=cov, precision_matrix=precision, scale_tril=scale_tril)


def _bernoulli(p: Any = None, logit: Any = None, probit: Any = None) -> Any:
    if p is not None:
        return dist.BernoulliProbs(p)
    return dist.BernoulliLogits(logit if logit is not None else log_ndtr(probit) - log_ndtr(-probit))


def _categorical(p: Any = None, logits: Any = None) -> Any:
    return dist.CategoricalProbs(p) if p is not None else dist.CategoricalLogits(logits)


def _binomial(n: Any, p: Any = None, logit: Any = None) -> Any:
    return dist.BinomialProbs(p, n) if p is not None else dist.BinomialLogits(logit, n)


def _multinomial(n: Any, p: Any) -> Any:
    return dist.MultinomialProbs(p, jnp.asarray(n, int), total_count_max=_most(n))


def _most(n: Any) -> int | None:
    """The largest number of trials, which drawing has to know before it is traced."""
    return int(np.max(n)) if isinstance(n, np.ndarray) else None


def _gamma(shape: Any, rate: Any = None, scale: Any = None) -> Any:
    return dist.Gamma(shape, rate if rate is not None else 1.0 / scale)


def _poisson(rate: Any = None, log_rate: Any = None) -> Any:
    return dist.Poisson(rate if rate is not None else jnp.exp(log_rate))


def _lkj(dim: Any, concentration: Any) -> Any:
    return dist.LKJ(int(np.max(dim)), concentration)


MAKERS: dict[str, Callable[..., Any]] = {
    "Normal": _normal,
    "MvNormal": _mv_normal,
    "Gamma": _gamma,
    "Exponential": lambda rate: dist.Exponential(rate),
    "InverseGamma": lambda shape, scale: dist.InverseGamma(shape, scale),
    "ChiSquared": lambda df: dist.Gamma(0.5 * df, 0.5),
    "Beta": lambda a, b: dist.Beta(a, b),
    "Dirichlet": lambda concentration: dist.Dirichlet(concentration),
    "Wishart": lambda df, scale: dist.Wishart(df, scale_matrix=scale),
    "InverseWishart": lambda df, scale: dist.InverseWishart(df, scale_matrix=scale),
    "LKJ": _lkj,
    "Bernoulli": _bernoulli,
    "Categorical": _categorical,
    "Binomial": _binomial,
    "Multinomial": _multinomial,
    "Poisson": _poisson,
    "Geometric": lambda p: dist.GeometricProbs(p),
    "NegativeBinomial": lambda mean, concentration: custom.NegativeBinomial(mean, concentration),
    "BetaBinomial": lambda n, a, b: custom.BetaBinomial(a, b, n),
    "DirichletMultinomial": lambda n, concentration: dist.DirichletMultinomial(
        concentration, jnp.asarray(n, int), total_count_max=_most(n)
    ),
    "StudentT": lambda df, mean, sd: dist.StudentT(df, mean, sd),
    "Cauchy": lambda mean, scale: dist.Cauchy(mean, scale),
    "Laplace": lambda mean, scale: dist.Laplace(mean, scale),
    "Logistic": lambda mean, scale: dist.Logistic(mean, scale),
    "HalfNormal": lambda sd: dist.HalfNormal(sd),
    "HalfCauchy": lambda scale: dist.HalfCauchy(scale),
    "HalfStudentT": lambda df, scale: custom.HalfStudentT(df, scale),
    "LogNormal": lambda mean, sd: dist.LogNormal(mean, sd),
    "Weibull": lambda shape, scale: dist.Weibull(scale, shape),
    "Pareto": lambda scale, shape: custom.Pareto(scale, shape),
    "Uniform": lambda low, high: custom.Uniform(low, high),
    "TruncatedNormal": lambda mean, sd, low, high: custom.TruncatedNormal(mean, sd, low, high),
    "VonMises": lambda mean, concentration: dist.VonMises(mean, concentration),
    "OrderedLogistic": lambda predictor, cutpoints: custom.OrderedLogistic(predictor, cutpoints),
    "ZeroInflatedPoisson": lambda zero, rate: dist.ZeroInflatedPoisson(zero, rate),
}
