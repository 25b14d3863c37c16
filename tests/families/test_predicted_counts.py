"""Predicted counts against SciPy, and as the mixtures that they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from ppl.families.predicted_counts import BetaBinomial, NegativeBinomial

CASES: dict[str, tuple[Any, dict[str, np.ndarray], Any]] = {
    "BetaBinomial": (
        BetaBinomial(),
        {"n": np.array([10, 7, 4, 5]), "a": np.array([2.5, 0.4, 1.0, 6.0]), "b": np.array([3.5, 0.7, 3.0, 1.5])},
        lambda n, a, b: stats.betabinom(n, a, b),
    ),
    "NegativeBinomial": (
        NegativeBinomial(),
        {"mean": np.array([3.0, 0.4, 12.0, 0.0]), "concentration": np.array([2.5, 0.7, 40.0, 1.0])},
        lambda mean, concentration: stats.nbinom(concentration, concentration / (concentration + mean)),
    ),
}
every = pytest.mark.parametrize("name", CASES)


@every
def test_probabilities_moments_and_quantiles_are_scipys(name: str) -> None:
    family, params, made = CASES[name]
    reference = made(**params)
    for x in ([0, 1, 2, 3], [4, 7, 4, 0], [2, 8, 5, 6], [-1, 0.5, 1, 0]):
        np.testing.assert_allclose(family.log_density(params, np.array(x)), _log(reference, x), rtol=1e-10)
    np.testing.assert_allclose(family.mean(params), reference.mean(), rtol=1e-12)
    np.testing.assert_allclose(family.variance(params), reference.var(), rtol=1e-12)
    for q in (0.05, 0.5, 0.9):
        np.testing.assert_array_equal(family.quantile(params, q), reference.ppf(q))


def _log(reference: Any, x: list[float]) -> np.ndarray:
    whole = np.array(x) == np.floor(x)
    return np.where(whole, reference.logpmf(np.floor(x)), -np.inf)


@every
def test_no_count_is_more_probable_than_the_mode(name: str) -> None:
    family, params, _ = CASES[name]
    best = np.max([family.log_density(params, np.full(4, k)) for k in range(60)], axis=0)
    np.testing.assert_allclose(family.log_density(params, family.mode(params)), best, rtol=1e-12)


@every
def test_draws_have_the_moments(name: str) -> None:
    family, params, _ = CASES[name]
    drawn = family.sample(params, np.random.default_rng(0), 40_000)
    assert drawn.shape == (40_000, 4)
    spread = np.sqrt(family.variance(params))
    np.testing.assert_allclose(drawn.mean(axis=0), family.mean(params), atol=5 * spread.max() / 200)
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.05)
