"""Starts are drawn where nothing known tells the components apart that a state picks among, and only there."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from ppl.compiler.plan import Plan
from ppl.engines.starts import starting_points

COMPONENTS = """
model m(K: size = 3):
    for k in K, d in D: mu[k, d] ~ Normal({prior}, sd = 10)
    for n in N:
        z[n] ~ Categorical(ones(K) / 3)
        for d in D: x[n, d] ~ Normal(mu[z[n], d], sd = 1)
"""
ALIKE, BY_COLUMN, BY_COMPONENT = (COMPONENTS.format(prior=prior) for prior in ("0", "5 * d", "5 * k"))
CENTRES = np.array([[0.0, 9.0], [9.0, 0.0], [-9.0, -9.0]])
TRUTH = np.arange(60) % 3
X = CENTRES[TRUTH] + np.random.default_rng(0).normal(size=(60, 2))


def named(*states: int) -> np.ndarray:
    """Labels of which the first of each of these states are known."""
    labels = np.full(60, np.nan)
    labels[list(states)] = states
    return labels


@pytest.mark.parametrize(
    ("text", "labels", "drawn"),
    [
        (ALIKE, None, True),
        (BY_COLUMN, None, True),
        (BY_COMPONENT, None, False),
        (ALIKE, named(0), True),
        (ALIKE, named(0, 1), False),
        (ALIKE, named(0, 1, 2), False),
    ],
)
def test_a_start_is_drawn_where_components_are_alike(text: str, labels: np.ndarray | None, drawn: bool) -> None:
    plan = ppl.parse(text).explain({"x": X} if labels is None else {"x": X, "z": labels})
    assert isinstance(plan, Plan)
    assert ("z" in starting_points(plan, np.random.default_rng(0))) == drawn
    assert "z" in starting_points(plan, np.random.default_rng(0), several=True)


@pytest.mark.parametrize("seed", range(4))
def test_the_names_that_are_given_are_kept(seed: int) -> None:
    posterior = ppl.parse(ALIKE).fit(x=X, z=named(0, 1, 2), seed=seed)
    assert np.array_equal(posterior["z"].mode, TRUTH)
    np.testing.assert_allclose(posterior["mu"].mean, CENTRES, atol=1.0)


def test_the_priors_name_the_components() -> None:
    order = np.argsort([0, 2, 1])[TRUTH]
    x = np.array([0.0, 5.0, 10.0])[order][:, None] + np.random.default_rng(1).normal(size=(60, 1))
    posterior = ppl.parse(BY_COMPONENT.replace("sd = 10", "sd = 2")).fit(x=x)
    np.testing.assert_allclose(posterior["mu"].mean[:, 0], [0, 5, 10], atol=1.0)
