"""A latent precision with a Gamma prior: choices are expectations over it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

import ppl

AGENT = """
agent chooser(shape, rate, spread):
    state s: {a, b, c} = a
    action go: {a, b, c}
    next s = go
    prefer s ~ softmax({a: 0, b: spread, c: -spread})
    habit go ~ {a: 0.2, b: 0.3, c: 0.5}
    g ~ Gamma(shape, rate)
    plan go by efe(horizon = 1, precision = g)
"""


@pytest.mark.parametrize(("shape", "rate"), [(0.5, 1.0), (2.0, 0.25), (16.0, 1.0), (400.0, 100.0)])
@pytest.mark.parametrize("spread", [0.1, 8.0])
def test_choices_are_integrals_over_the_precision(shape: float, rate: float, spread: float) -> None:
    plan = ppl.parse(AGENT).start(shape=shape, rate=rate, spread=spread).perceive().plan()
    habit, prior = np.array([0.2, 0.3, 0.5]), gamma(shape, scale=1 / rate)

    def choice(x: float, k: int) -> float:
        weights = habit * np.exp(-np.exp(x) * (plan.G - plan.G.min()))
        return float(weights[k] / weights.sum() * prior.pdf(np.exp(x)) * np.exp(x))

    top = float(np.log(prior.ppf(1 - 1e-15)))
    low = float(np.log(prior.ppf(1e-15)))
    for k in range(3):
        edges = np.linspace(low, top, 12)
        whole = sum(quad(choice, a, b, args=(k,), epsabs=1e-14, epsrel=1e-12)[0] for a, b in pairwise(edges))
        assert plan.probabilities[k] == pytest.approx(whole, abs=1e-9)
    assert plan.probabilities.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_precision_that_is_given_is_not_latent() -> None:
    plan = ppl.parse(AGENT).start(shape=2, rate=1, spread=0.5, g=3.0).perceive().plan()
    weights = np.array([0.2, 0.3, 0.5]) * np.exp(-3.0 * plan.G)
    assert np.allclose(plan.probabilities, weights / weights.sum(), atol=1e-12)
