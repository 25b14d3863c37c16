"""Predictive criteria of the observations, through ArviZ: WAIC, and leave-one-out with its k-hat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppl.results.extras import needs
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
    efficiency = _relative_efficiency(az, likelihoods) if chains else 1.0
    return az.loo(likelihoods, pointwise=True, reff=efficiency)


def _likelihoods(pointwise: Mapping[str, Pointwise], chains: int) -> Any:
    """One row of observations: those that are missing are left out."""
    az = needs("arviz", "arviz")
    flat = [one.values.reshape(len(one.values), -1) for one in pointwise.values()]
    together = np.concatenate(flat, axis=1) if flat else np.zeros((1, 0))
    seen = together[:, ~np.isnan(together).any(axis=0)]
    if not seen.shape[1]:
        raise AimError([Diagnostic("AIM0808", "nothing was observed that a likelihood could be of", None, "fit the model to data")])
    return az.from_dict(log_likelihood={"observations": seen.reshape(max(chains, 1), -1, seen.shape[1])})


def _relative_efficiency(az: Any, likelihoods: Any) -> float:
    """The effective share of a sampler's draws, as the likelihoods see them."""
    values = np.exp(likelihoods.log_likelihood["observations"].values)
    count = values.shape[0] * values.shape[1]
    sizes = [float(az.ess(values[..., k], method="mean")) for k in range(values.shape[2])]
    return float(np.mean(sizes)) / count
