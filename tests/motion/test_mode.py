"""The scheme `mode` against plain matrices, where all is linear, and against its own fixed point, where it is not."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from tests.reference.linear_motion import LinearMotion, taylor

OSCILLATOR = """
model oscillator(k = 4):
    generalized t in T (dt = 0.1, order = 4, smoothness = 0.5):
        state x: real
        x'' ~ Normal(-k * x - 0.2 * x', precision = 400)
        y   ~ Normal(x, precision = 2500)
"""

HIERARCHY = """
model hierarchy:
    generalized t in T (order = 6, smoothness = 0.5):
        state z: real
        state c: real
        state x: real[2]
        z' ~ Normal(-z / 8, precision = 64)
        c  ~ Normal(z, precision = 16)
        x' ~ MvNormal([x[1] + c, -x[0] - x[1]], precision = 64 * eye(2))
        y  ~ Normal(x[0], precision = 256)
"""

RECORD = np.cos(0.21 * np.arange(40)) + 0.01 * np.sin(np.arange(40) ** 2)


def test_an_oscillator_is_what_matrices_say() -> None:
    posterior = ppl.parse(OSCILLATOR).fit(y=RECORD)
    total = 0.0
    for t in range(2, 38):
        model = LinearMotion({"x": 5}, 0.5, 0.1)
        model.add(("x", 2, 1.0), [("x", 0, -4.0), ("x", 1, -0.2)], 400.0, 3)
        model.add(taylor(RECORD, t, 4, 0.1), [("x", 0, 1.0)], 2500.0, 5)
        mean, covariance, bound = model.solve()
        for k in range(5):
            assert posterior["x" + "'" * k].mean[t] == pytest.approx(mean[k], rel=1e-9, abs=1e-9)
            assert posterior["x" + "'" * k].sd[t] == pytest.approx(covariance[k, k] ** 0.5, rel=1e-9)
        total += bound
    assert np.isfinite(total)


def test_a_hierarchy_of_states_and_causes_is_what_matrices_say() -> None:
    posterior = ppl.parse(HIERARCHY).fit(y=RECORD)
    for t in (3, 17, 36):
        model = LinearMotion({"z": 7, "c": 3, "a": 7, "b": 7}, 0.5)
        model.add(("z", 1, 1.0), [("z", 0, -1 / 8)], 64.0, 6)
        model.add(("c", 0, 1.0), [("z", 0, 1.0)], 16.0, 3)
        model.add(("a", 1, 1.0), [("b", 0, 1.0), ("c", 0, 1.0)], 64.0, 6)
        model.add(("b", 1, 1.0), [("a", 0, -1.0), ("b", 0, -1.0)], 64.0, 6)
        model.add(taylor(RECORD, t, 6), [("a", 0, 1.0)], 256.0, 7)
        mean, covariance, _ = model.solve()
        assert posterior["x"].mean[t] == pytest.approx(mean[[10, 17]], abs=1e-9)
        assert posterior["x"].params["cov"][t] == pytest.approx(covariance[np.ix_([10, 17], [10, 17])], abs=1e-9)
        assert posterior["c''"].mean[t] == pytest.approx(mean[9], abs=1e-9)


def test_the_bound_is_the_integral_over_the_unknowns_bin_by_bin() -> None:
    """In bins, so that it does not change with the unit of time."""
    text = OSCILLATOR.replace("dt = 0.1, ", "").replace("-k * x - 0.2 * x'", "-k / 100 * x - 0.02 * x'").replace("= 400", "= 4e6")
    assert ppl.parse(text).fit(y=RECORD).elbo == pytest.approx(ppl.parse(OSCILLATOR).fit(y=RECORD).elbo + _scales(40), abs=1e-6)
    inner = 0.0
    for t in range(2, 38):
        model = LinearMotion({"x": 5}, 0.5)
        model.add(("x", 2, 1.0), [("x", 0, -0.04), ("x", 1, -0.02)], 4e6, 3)
        model.add(taylor(RECORD, t, 4), [("x", 0, 1.0)], 2500.0, 5)
        inner += model.solve()[2]
    ends = [np.concatenate([np.full(2 - t, RECORD[0]), RECORD[: t + 3]]) for t in (0, 1)]
    ends += [np.concatenate([RECORD[t - 2 :], np.full(t - 37, RECORD[-1])]) for t in (38, 39)]
    for window in ends:
        model = LinearMotion({"x": 5}, 0.5)
        model.add(("x", 2, 1.0), [("x", 0, -0.04), ("x", 1, -0.02)], 4e6, 3)
        model.add(taylor(window, 2, 4), [("x", 0, 1.0)], 2500.0, 5)
        inner += model.solve()[2]
    assert ppl.parse(text).fit(y=RECORD).elbo == pytest.approx(inner, abs=1e-6)


def _scales(bins: int) -> float:
    """Errors of an acceleration are a hundred times smaller in bins than in units of time, in three derivatives."""
    return bins * 3 * np.log(100)
