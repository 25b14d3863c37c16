"""R-hat and effective sample sizes are those of ArviZ, and what theory says of a chain that is known."""

from __future__ import annotations

import arviz as az
import numpy as np
import pytest

from ppl.results.belief import Belief
from ppl.results.diagnostics import ess, rhat
from ppl.results.summary import summarise

CHAINS, COUNT = 4, 1000


def autoregressive(phi: float, *, apart: float = 0.0) -> np.ndarray:
    """Stationary chains x' = phi x + e, the first of them moved: (chains · draws, 3), chain after chain."""
    rng = np.random.default_rng(4)
    x = np.zeros((CHAINS, COUNT, 3))
    x[:, 0] = rng.normal(size=(CHAINS, 3)) / np.sqrt(1 - phi**2)
    for t in range(1, COUNT):
        x[:, t] = phi * x[:, t - 1] + rng.normal(size=(CHAINS, 3))
    x[0] += apart
    return x.reshape(CHAINS * COUNT, 3)


@pytest.mark.parametrize(("phi", "apart"), [(0.0, 0.0), (0.6, 0.0), (0.95, 0.0), (-0.4, 0.0), (0.3, 1.0)])
def test_diagnostics_are_those_of_arviz(phi: float, apart: float) -> None:
    draws = autoregressive(phi, apart=apart)
    each = draws.reshape(CHAINS, COUNT, 3)
    np.testing.assert_allclose(rhat(draws, CHAINS), [az.rhat(each[..., k]) for k in range(3)], rtol=1e-12)
    np.testing.assert_allclose(ess(draws, CHAINS), [az.ess(each[..., k], method="bulk") for k in range(3)], rtol=0.02)


def test_the_effective_size_of_an_autoregression_is_that_of_theory() -> None:
    """n (1 - phi) / (1 + phi), of the mean."""
    for phi in (0.0, 0.5, 0.8):
        np.testing.assert_allclose(ess(autoregressive(phi), CHAINS), CHAINS * COUNT * (1 - phi) / (1 + phi), rtol=0.25)


def test_chains_that_disagree_are_told() -> None:
    assert (rhat(autoregressive(0.3), CHAINS) < 1.01).all()
    assert (rhat(autoregressive(0.3, apart=3.0), CHAINS) > 1.1).all()


def test_what_never_moves_has_no_diagnostics() -> None:
    assert np.isnan(rhat(np.ones((40, 2)), 4)).all()
    assert np.isnan(ess(np.ones((40, 2)), 4)).all()


def test_the_summary_of_a_sampler_has_both() -> None:
    draws = autoregressive(0.5)
    table = summarise({"x": Belief("x", "Draws", {}, draws=draws, chains=CHAINS), "y": Belief("y", "Draws", {}, draws=draws)})
    assert "ESS" in str(table)
    assert "R-hat" in str(table)
    np.testing.assert_allclose([row.ess for row in table.rows[:3]], ess(draws, CHAINS))
    assert all(np.isnan(row.rhat) for row in table.rows[3:])


def test_independent_draws_have_none() -> None:
    belief = Belief("x", "Draws", {}, draws=autoregressive(0.0))
    assert belief.rhat is None
    assert belief.ess is None
    assert "ESS" not in str(summarise({"x": belief}))
