"""Student's t against SciPy, and as the mixture of Normals that it is."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ppl.families.student_t import StudentT

PARAMS = {"df": np.array([3.5, 12.0]), "mean": np.array([-1.0, 2.0]), "sd": np.array([0.5, 3.0])}
REFERENCE = stats.t(PARAMS["df"], PARAMS["mean"], PARAMS["sd"])


def test_density_moments_and_quantiles_are_scipys() -> None:
    t = StudentT()
    x = np.array([0.3, -4.0])
    np.testing.assert_allclose(t.log_density(PARAMS, x), REFERENCE.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(t.mean(PARAMS), REFERENCE.mean())
    np.testing.assert_allclose(t.variance(PARAMS), REFERENCE.var())
    np.testing.assert_allclose(t.quantile(PARAMS, 0.2), REFERENCE.ppf(0.2))
    np.testing.assert_allclose(t.mode(PARAMS), PARAMS["mean"])


def test_draws_have_the_quantiles() -> None:
    drawn = StudentT().sample(PARAMS, np.random.default_rng(0), 20_000)
    assert drawn.shape == (20_000, 2)
    np.testing.assert_allclose((drawn < REFERENCE.ppf(0.8)).mean(axis=0), 0.8, atol=0.015)


def test_moments_that_do_not_exist_are_told() -> None:
    heavy = {"df": np.array([0.9, 1.5]), "mean": np.zeros(2), "sd": np.ones(2)}
    assert np.isnan(StudentT().mean(heavy)[0])
    assert np.isinf(StudentT().variance(heavy)).all()
