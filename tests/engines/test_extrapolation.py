"""Long steps lead to where sweeps lead, sooner, and the bound never falls."""

from __future__ import annotations

import numpy as np
import pytest

import ppl

CUES = """model m:
    between ~ Gamma(2, 0.1)
    mu ~ Normal(0.5, sd = 0.2)
    for j in J: within[j] ~ Gamma(N, 0.04 * N)
    for n in N: level[n] ~ Normal(mu, precision = between)
    for n in N, j in J:
        weight[n, j] ~ Gamma(2, 2)
        y[n, j] ~ Normal(level[n], precision = within[j] * weight[n, j])
"""
FAR = "approximate m:\n    use vmp(extrapolation = true)\n"


def data() -> np.ndarray:
    """Cues that hardly agree: what they have in common and its spread answer to each other slowly."""
    rng = np.random.default_rng(0)
    return 0.5 + 0.02 * rng.normal(size=(400, 1)) + 0.2 * rng.standard_t(4, size=(400, 3))


def test_long_steps_lead_to_the_same_optimum_in_fewer_sweeps() -> None:
    y = data()
    near, far = ppl.parse(CUES).fit(y=y), ppl.parse(CUES + FAR).fit(y=y)
    assert near.converged and far.converged
    assert far.elbo == pytest.approx(near.elbo, abs=1e-7)
    assert far.iterations < 2 / 3 * near.iterations
    for name in ("mu", "between", "within", "level"):
        np.testing.assert_allclose(far[name].mean, near[name].mean, rtol=1e-5)


def test_the_bound_never_falls() -> None:
    trace = ppl.parse(CUES + FAR).fit(y=data()).elbo_trace
    assert np.all(np.diff(trace) >= -1e-9)


def test_restarts_take_their_steps_by_themselves() -> None:
    mixture = """model m:
    for k in K:
        mu[k] ~ Normal(0, sd = 3)
    w ~ Dirichlet(ones(K))
    t ~ Gamma(2, 1)
    for n in N:
        z[n] ~ Categorical(w)
        x[n] ~ Normal(mu[z[n]], precision = t)
"""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(-2, 1, 40), rng.normal(2, 1, 40)])
    far = "approximate m:\n    use vmp(extrapolation = true, restarts = 3)\n"
    near, found = ppl.parse(mixture).fit(x=x, K=2, restarts=3), ppl.parse(mixture + far).fit(x=x, K=2)
    assert found.elbo == pytest.approx(near.elbo, abs=1e-5)
