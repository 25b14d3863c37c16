"""A model used as a distribution is the model with its statements written out: same evidence, same beliefs, same data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl

READINGS = """
model reading(centre, noise = 1):
    input drift: real = 0
    bias ~ Normal(0, sd = 0.5)
    for n in N: value[n] ~ Normal(centre + bias + drift, sd = noise)

model used:
    temperature ~ Normal(20, sd = 5)
    for r in R: x[r] ~ reading(temperature, noise = 2)
    y ~ Normal(x.bias[0], sd = 0.1)

model written:
    temperature ~ Normal(20, sd = 5)
    for r in R: bias[r] ~ Normal(0, sd = 0.5)
    for r in R, n in N: x[r, n] ~ Normal(temperature + bias[r] + 0.7, sd = 2)
    y ~ Normal(bias[0], sd = 0.1)
"""
DATA: dict[str, Any] = {"x": [[19.0, 22.5, 21.0], [18.0, 17.5, 20.0]], "y": 0.3}


@pytest.mark.parametrize("inner", [{}, {"bias": [0.2, 0.4]}, {"bias": [None, 0.4]}, {"bias[1]": 0.4}])
def test_a_submodel_is_its_statements_written_out(inner: dict[str, Any]) -> None:
    used = ppl.parse(READINGS, "used").fit({**DATA, "x.drift": 0.7, **{f"x.{name}": value for name, value in inner.items()}})
    written = ppl.parse(READINGS, "written").fit({**DATA, **inner})
    assert used.log_evidence == pytest.approx(written.log_evidence, abs=1e-9)
    np.testing.assert_allclose(used["temperature"].mean, written["temperature"].mean, rtol=1e-9)
    np.testing.assert_allclose(used["temperature"].sd, written["temperature"].sd, rtol=1e-9)
    if "bias" not in inner or None in inner["bias"]:
        np.testing.assert_allclose(used["x.bias"].mean, written["bias"].mean, rtol=1e-8)


def test_two_readings_of_one_temperature_have_their_joint_gaussian() -> None:
    """The evidence is that of two readings with a common part; the beliefs are those of the Gaussian given both."""
    model = "model reading(c, noise = 1):\n    bias ~ Normal(0, sd = 0.5)\n    value ~ Normal(c + bias, sd = noise)\n\n"
    model += "model room:\n    t ~ Normal(20, sd = 5)\n    first ~ reading(t)\n    second ~ reading(t, noise = 0.5)\n"
    posterior = ppl.parse(model, "room").fit(first=22.3, second=21.1)
    loadings = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # of t, first.bias, second.bias
    prior = np.diag([25.0, 0.25, 0.25])
    covariance = loadings @ prior @ loadings.T + np.diag([1.0, 0.25])
    gain = prior @ loadings.T @ np.linalg.inv(covariance)
    distance = np.array([2.3, 1.1])
    evidence = -0.5 * (distance @ np.linalg.solve(covariance, distance) + np.log(np.linalg.det(2 * np.pi * covariance)))
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-10)
    means = np.array([20.0, 0.0, 0.0]) + gain @ distance
    variances = np.diag(prior - gain @ loadings @ prior)
    for name, mean, variance in zip(("t", "first.bias", "second.bias"), means, variances, strict=True):
        assert posterior[name].mean == pytest.approx(mean, abs=1e-9)
        assert posterior[name].sd == pytest.approx(np.sqrt(variance), abs=1e-9)


def test_a_computed_export_is_told_of() -> None:
    model = "model shifted(c):\n    e ~ Normal(0, 1)\n    v = c + e\n\nmodel m:\n    x ~ shifted(3)\n    y ~ Normal(x, 1)\n"
    posterior = ppl.parse(model, "m").fit(y=5)
    assert posterior["x.e"].mean == pytest.approx(1.0)
    assert posterior["x"].mean == pytest.approx(4.0)


def test_sizes_of_its_own_are_given_by_dotted_names() -> None:
    model = "model sub(K: size):\n    for k in K: a[k] ~ Normal(0, 1)\n    s = sum(a)\n\nmodel m:\n    x ~ sub()\n    y ~ Normal(x, 1)\n"
    parsed = ppl.parse(model, "m")
    assert parsed.fit({"y": 2.0, "x.K": 3})["x.a"].mean == pytest.approx([0.5, 0.5, 0.5])
    with pytest.raises(ppl.AimError, match=r"AIM0609\]: nothing determines the size of `x\.K`"):
        parsed.fit(y=2.0)


def test_a_mistake_in_the_data_names_the_part() -> None:
    parsed = ppl.parse(READINGS, "used")
    with pytest.raises(ppl.AimError, match=r"AIM0605\]: model `used` has no variable `x.bais`\n.*did you mean `x.bias`"):
        parsed.fit({**DATA, "x.bais": [0, 0]})
    with pytest.raises(ppl.AimError, match=r"AIM0611\]: x.bias was given as a single value"):
        parsed.fit({**DATA, "x.bias": 1})


def test_a_model_of_the_standard_library_may_be_a_distribution() -> None:
    text = "from mixtures import gaussian_mixture\n\nmodel two:\n    for g in G: flowers[g] ~ gaussian_mixture(K = 2)\n"
    model = ppl.parse(text, "two")
    assert list(model.typed.variables) == ["flowers.share", "flowers.centre", "flowers.precision", "flowers.kind", "flowers"]
    assert model.typed.variables["flowers"].plates == 2
