"""Exchange: joint draws, likelihoods and data as xarray and ArviZ take them, labelled by the members of the index sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.results.axes import Axis, distinct
from ppl.results.extras import needs

if TYPE_CHECKING:
    import arviz
    import xarray

    from ppl.results.posterior import Posterior


def to_xarray(posterior: Posterior, *, draws: int, seed: int) -> xarray.Dataset:
    """Joint draws of every variable with a belief."""
    drawn = posterior.draws(draws, seed=seed)
    axes = {name: posterior.asked("to_xarray").axes(name) for name in posterior.names if name in drawn}
    return dataset({name: by_chain(drawn[name], posterior.chains) for name in posterior.names if name in drawn}, axes, ("chain", "draw"))


def to_arviz(posterior: Posterior, *, draws: int, seed: int) -> arviz.InferenceData:
    """The groups posterior, log_likelihood, observed_data and constant_data."""
    az = needs("arviz", "arviz")
    questions = posterior.asked("to_arviz")
    groups: dict[str, Any] = {"posterior": to_xarray(posterior, draws=draws, seed=seed)}
    observed, constants = questions.observed(), questions.constants()
    if observed:
        pointwise = posterior.pointwise(draws=draws, seed=seed)
        values = {name: by_chain(one.values, posterior.chains) for name, one in pointwise.items()}
        groups["log_likelihood"] = dataset(values, {name: one.axes for name, one in pointwise.items()}, ("chain", "draw"))
        groups["observed_data"] = dataset(observed, {name: questions.axes(name) for name in observed})
    if constants:
        groups["constant_data"] = dataset(constants, {name: questions.axes(name) for name in constants})
    return az.InferenceData(**groups)


def by_chain(values: np.ndarray, chains: int) -> np.ndarray:
    """Draws that stand chain after chain, with an axis for the chains."""
    return values.reshape(max(chains, 1), -1, *values.shape[1:])


def dataset(values: Mapping[str, np.ndarray], axes: Mapping[str, tuple[Axis, ...]], before: tuple[str, ...] = ()) -> xarray.Dataset:
    """Arrays with the axes `before` and then those that are named; two sets of one name and different members get names of their own."""
    xarray = needs("xarray", "arviz")
    taken: dict[str, np.ndarray] = {}
    arrays = {}
    for name, value in values.items():
        lengths = value.shape[len(before) :]
        named = distinct(a for a, _ in zip(axes[name], lengths, strict=True))
        dims = [_free(a, a.coordinates(n), taken, name) for a, n in zip(named, lengths, strict=True)]
        arrays[name] = ((*before, *dims), np.asarray(value))
    counts = {} if not values else dict(zip(before, next(iter(values.values())).shape, strict=False))
    coordinates = {key: np.arange(count) for key, count in counts.items()} | taken
    return xarray.Dataset(arrays, coords={k: (k, v) for k, v in coordinates.items()})


def _free(axis: Axis, coordinates: np.ndarray, taken: dict[str, np.ndarray], variable: str) -> str:
    """The name of a dimension with these coordinates."""
    for name in (axis.name, f"{axis.name} of {variable}"):
        if np.array_equal(taken.setdefault(name, coordinates), coordinates):
            return name
    raise ValueError(f"two axes of `{variable}` are called `{axis.name}`")
