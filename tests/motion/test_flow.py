"""The scheme `flow` against SPM's `spm_DEM`, run in Octave (`data/spm.json`, whose `source` names the demonstration).

Linear models agree to rounding, and so do their parameters and precisions. SPM takes derivatives by forward differences of e^-8, so that nonlinear ones agree to 2e-4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ppl

REFERENCES = json.loads((Path(__file__).parent / "data" / "spm.json").read_text())

CONVOLUTION = """
model convolution(A: real[X, X], B: real[Y, X], h: real[X], n, d, s, pz, pw, pv, X: size = 2, Y: size = 4):
    generalized t in T (order = n, order_causes = d, smoothness = s, scheme = flow):
        state x: real[X] = zeros(X)
        state v: real = 0
        x' ~ MvNormal(A @ x + h * v, precision = pw * eye(X))
        v ~ Normal(0, precision = pv)
        y ~ MvNormal(B @ x, precision = pz * eye(Y))
"""

WELL = """
model double_well(n, d, s, pz, pw, pv):
    generalized t in T (order = n, order_causes = d, smoothness = s, scheme = flow):
        state x: real = 1
        state v: real = 0
        x' ~ Normal((16 * x / (1 + x^2) - x / 2 + 2 * v) / 8, precision = pw)
        v ~ Normal(0, precision = pv)
        y ~ Normal(x^2 / 16, precision = pz)
"""


def settings(reference: Any) -> dict[str, Any]:
    given, (low, high) = reference["settings"], reference["levels"]
    precisions = {"pz": low["V"][0][0], "pw": low["W"][0][0], "pv": high["V"][0][0]}
    return {"n": given["n"], "d": given["d"], "s": given["s"], **precisions}


def matrices(reference: Any) -> dict[str, Any]:
    p = np.asarray(reference["levels"][0]["pE"])
    return {"A": p[:4].reshape(2, 2, order="F"), "B": p[4:12].reshape(4, 2, order="F"), "h": p[12:]}


@pytest.mark.parametrize("name", ["dem01_convolution", "dem02_orders_03", "dem02_orders_07"])
def test_linear_models_have_the_numbers_of_spm(name: str) -> None:
    reference = REFERENCES[name]
    posterior = ppl.parse(CONVOLUTION).fit(y=np.transpose(reference["Y"]), **settings(reference), **matrices(reference))
    spm = reference["spm"]
    assert posterior["x"].mean == pytest.approx(np.asarray(spm["x_mean"]), abs=1e-9)
    assert posterior["v"].mean == pytest.approx(np.asarray(spm["v_mean"])[:, 0], abs=1e-9)
    assert posterior["x"].params["cov"] == pytest.approx(np.asarray(spm["x_cov"]), abs=1e-9)
    assert posterior["v"].var == pytest.approx(np.asarray(spm["v_cov"])[:, 0, 0], abs=1e-9)
    assert posterior.elbo == pytest.approx(spm["F"][0], abs=1e-6)


def test_a_nonlinear_model_has_the_numbers_of_spm() -> None:
    reference = REFERENCES["dem04_double_well"]
    posterior = ppl.parse(WELL).fit(y=np.asarray(reference["Y"])[0], **settings(reference))
    spm = reference["spm"]
    assert posterior["x"].mean == pytest.approx(np.asarray(spm["x_mean"])[:, 0], abs=2e-4)
    assert posterior["v"].mean == pytest.approx(np.asarray(spm["v_mean"])[:, 0], abs=2e-4)
    assert posterior["v"].var == pytest.approx(np.asarray(spm["v_cov"])[:, 0, 0], rel=2e-4)
    assert np.all(posterior["x"].sd == 0.0)  # its noise is so precise that SPM counts it as certain
    assert posterior.elbo == pytest.approx(spm["F"][0], rel=2e-4)


DUAL = """
model dual(B, g: real[Y], f0, f2, f3, h: real[X], n, d, s, pv, X: size = 2, Y: size = 4):
    input u: real[T]
    a ~ Normal(0, sd = exp(4))
    b ~ Normal(0, sd = exp(4))
    hz ~ Normal(0, sd = 1)
    hw ~ Normal(0, sd = 1)
    generalized t in T (order = n, order_causes = d, smoothness = s, scheme = flow):
        state x: real[X] = zeros(X)
        state v: real = 0
        x' ~ MvNormal([f0 * x[0] + f2 * x[1], a * x[0] + f3 * x[1]] + h * v, precision = (1 + exp(hw)) * eye(X))
        v ~ Normal(u[t], precision = pv)
        y ~ MvNormal([b * x[0], B * x[0], B * x[0], B * x[0]] + g * x[1], precision = (1 + exp(hz)) * eye(Y))
"""


def test_parameters_and_precisions_follow_the_steps_of_spm() -> None:
    """Eight sweeps, which end before they have converged: every constant of every step is in these numbers."""
    reference = REFERENCES["dem07_dual"]
    p, spm = np.asarray(reference["levels"][0]["pE"]), reference["spm"]
    given = settings(reference)
    given = {**{k: given[k] for k in ("n", "d", "s", "pv")}, "B": p[5], "g": p[8:12], "f0": p[0], "f2": p[2], "f3": p[3], "h": p[12:]}
    posterior = ppl.parse(DUAL).fit(y=np.transpose(reference["Y"]), u=np.asarray(reference["U"])[0], **given)
    assert len(posterior.elbo_trace) == 8 and np.all(np.diff(posterior.elbo_trace) >= 0)
    assert posterior.elbo_trace == pytest.approx(spm["F"], abs=1e-6)
    for k, name in ((1, "a"), (4, "b")):
        assert posterior[name].mean == pytest.approx(spm["P_mean"][k], abs=1e-9)
        assert posterior[name].var == pytest.approx(spm["P_cov"][k][k], rel=1e-8)
    for k, name in enumerate(("hz", "hw")):
        assert posterior[name].mean == pytest.approx(spm["h_mean"][k], abs=1e-9)
        assert posterior[name].var == pytest.approx(spm["h_cov"][k][k], rel=1e-8)
    assert posterior["x"].mean == pytest.approx(np.asarray(spm["x_mean"]), abs=2e-9)
    assert posterior["x"].params["cov"] == pytest.approx(np.asarray(spm["x_cov"]), abs=1e-10)
    assert posterior["v"].mean == pytest.approx(np.asarray(spm["v_mean"])[:, 0], abs=1e-10)
    assert posterior["v"].var == pytest.approx(np.asarray(spm["v_cov"])[:, 0, 0], rel=1e-8)


def test_a_precision_that_has_not_come_to_a_top_has_a_spread() -> None:
    """One sweep ends where the curve of `log (100 + exp(h))` bends upwards: there the noise as expected tells next to nothing of `h`."""
    head = "model floor(m):\n    h ~ Normal(m, sd = 20)\n    generalized t in T (dt = 0.2, order = 3, smoothness = 0.5, scheme = flow):\n"
    body = "        state x: real\n        x'' ~ Normal(-4 * x, precision = 100 + exp(h))\n        y ~ Normal(x, precision = 400)\n"
    record = np.cos(0.4 * np.arange(40)) + 0.05 * np.sin(np.arange(40) ** 2 * 1.3)
    posterior = ppl.parse(head + body).fit(y=record, m=-4.9, iterations=1)
    assert posterior["h"].sd == pytest.approx(20, abs=0.01) and not posterior.converged
