"""The scheme `mode` against plain matrices, where all is linear, and against its own fixed point, where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

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


def test_a_nonlinear_mode_is_the_least_of_squares_written_by_hand() -> None:
    """Order 2, with the chain rule written out: f' x' and g'' x'² + g' x''."""
    text = """
model pendulum:
    generalized t in T (order = 2, smoothness = 0.5):
        state x: real = 1
        x' ~ Normal(-sin(x) / 2, precision = 4)
        y ~ Normal(exp(x), precision = 9)
"""
    record = np.exp(1.0 / (1 + 0.3 * np.arange(12)))
    posterior = ppl.parse(text).fit(y=record)
    of_motion, of_data = (np.linalg.cholesky(LinearMotion({}, 0.5).noise(n, p)).T for n, p in ((2, 4.0), (3, 9.0)))

    def errors(u: np.ndarray, t: int) -> np.ndarray:
        motion = np.array([u[1] + np.sin(u[0]) / 2, u[2] + np.cos(u[0]) * u[1] / 2])
        data = taylor(record, t, 2) - np.exp(u[0]) * np.array([1.0, u[1], u[1] ** 2 + u[2]])
        return np.concatenate([of_motion @ motion, of_data @ data])

    for t in (2, 6, 9):
        found = np.array([float(posterior["x" + "'" * k].mean[t]) for k in range(3)])
        solved = least_squares(errors, found + 0.05, args=(t,), xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert found == pytest.approx(solved.x, abs=1e-6)
        assert float(posterior["x"].var[t]) == pytest.approx(np.linalg.inv(solved.jac.T @ solved.jac)[0, 0], rel=1e-5)
    assert posterior["x"].mean[0] == 1.0 and posterior["x"].sd[0] == 0.0
