"""Predictive criteria of the observations, through ArviZ: WAIC, and leave-one-out with its k-hat."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ppl.results.extras import needs
from ppl.results.pareto import tail_of
from ppl.results.questions import Pointwise
from ppl.source.diagnostics import AimError, Diagnostic


def waic(pointwise: Mapping[str, Pointwise], chains: int) -> Any:
    """Of all observed variables together; Watanabe (2010)."""
    az = needs("arviz", "arviz")
    return az.waic(_likelihoods(pointwise, chains), pointwise=True)


def loo(pointwise: Mapping[str, Pointwise], chains: int) -> Any:
    """Of all observed variables together; Vehtari, Gelman & Gabry (2017). Independent draws have the relative efficiency 1."""
    az = needs("arviz", "arviz")
    likelihoods = _likelihoods(pointwise, chains)
    values = likelihoods.log_likelihood["observations"].values
    same = values.max(axis=(0, 1)) == values.min(axis=(0, 1))  # whatever is drawn: left out or not, nothing is to be weighed
    efficiency = _relative_efficiency(az, likelihoods) if chains else 1.0
    with warnings.catch_warnings():
        if same.all():
            warnings.simplefilter("ignore")
        found = az.loo(likelihoods, pointwise=True, reff=efficiency)
    found["pareto_k"] = found["pareto_k"].where(~same, 0.0)
    found["warning"] = bool(np.any((found["pareto_k"] > found["good_k"]) & ~same))
    return found


def loo_of_weighed(pointwise: Mapping[str, Pointwise], log_weights: np.ndarray) -> Any:
    """The same of draws with importance weights, which then belong to the ratios; Magnusson et al. (2019).

    Where the weights themselves have no good tail the draws are taken as they are, and each k-hat is at least that of the weights.
    """
    az = needs("arviz", "arviz")
    found, tail = loo(pointwise, 0), tail_of(log_weights)
    if not tail.good:
        found["pareto_k"] = np.maximum(found["pareto_k"], tail.khat)
        found["warning"] = True
        return found
    seen = _likelihoods(pointwise, 0).log_likelihood["observations"].values[0].T  # observations, draws
    ratios, shapes = az.psislw(log_weights - seen)
    each: Any = logsumexp(ratios + seen, axis=1)
    whole: Any = logsumexp(az.psislw(log_weights)[0] + seen, axis=1)
    found["elpd_loo"], found["se"], found["p_loo"] = each.sum(), np.sqrt(len(each) * each.var()), whole.sum() - each.sum()
    found["loo_i"], found["pareto_k"] = (found[k].copy(data=v) for k, v in (("loo_i", each), ("pareto_k", np.asarray(shapes))))
    found["warning"] = bool(np.any(found["pareto_k"] > found["good_k"]))
    return found


def _likelihoods(pointwise: Mapping[str, Pointwise], chains: int) -> Any:
    """One row of observations: those that are missing are left out."""
    az = needs("arviz", "arviz")
    flat = [one.values.reshape(len(one.values), -1) for one in pointwise.values()]
    together = np.concatenate(flat, axis=1) if flat else np.zeros((1, 0))
    seen = together[:, ~np.isnan(together).any(axis=0)]
    if not seen.shape[1]:
        raise AimError([Diagnostic("AIM0808", "nothing was observed that a likelihood could be of", None, "fit the model to data")])
    if len(seen) == 1:  # of a model without latent variables, and ArviZ asks for more
        seen = np.repeat(seen, 2, axis=0)
    return az.from_dict(log_likelihood={"observations": seen.reshape(max(chains, 1), -1, seen.shape[1])})


def _relative_efficiency(az: Any, likelihoods: Any) -> float:
    """The effective share of a sampler's draws, as the likelihoods see them."""
    values = np.exp(likelihoods.log_likelihood["observations"].values)
    count = values.shape[0] * values.shape[1]
    sizes = [float(az.ess(values[..., k], method="mean")) for k in range(values.shape[2])]
    return float(np.mean(sizes)) / count
