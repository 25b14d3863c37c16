"""`do` against enumeration and against what an intervention means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import ppl

LAWN = """\
model lawn:
    cloudy    ~ Bernoulli(0.5)
    sprinkler ~ Bernoulli(if cloudy == 1 then 0.1 else 0.5)
    rain      ~ Bernoulli(if cloudy == 1 then 0.8 else 0.2)
    p_wet = match sprinkler, rain:
        0, 0 -> 0
        0, 1 -> 0.9
        1, 0 -> 0.9
        1, 1 -> 0.99
    wet ~ Bernoulli(p_wet)
"""
WET = {(0, 0): 0.0, (0, 1): 0.9, (1, 0): 0.9, (1, 1): 0.99}


def joint(cloudy: int, sprinkler: int, rain: int, wet: int, *, cut: bool) -> float:
    """The probability of a state; `cut` leaves out what makes the sprinkler run."""
    s, r = (0.1 if cloudy else 0.5), (0.8 if cloudy else 0.2)
    own = 1.0 if cut else (s if sprinkler else 1 - s)
    p = WET[sprinkler, rain]
    return 0.5 * own * (r if rain else 1 - r) * (p if wet else 1 - p)


def expected(name: str, *, cut: bool, **given: int) -> float:
    names = ("cloudy", "sprinkler", "rain", "wet")
    states = [dict(zip(names, values, strict=True)) for values in itertools.product((0, 1), repeat=4)]
    fitting = [s for s in states if all(s[k] == v for k, v in given.items())]
    total = sum(joint(**s, cut=cut) for s in fitting)
    return sum(joint(**s, cut=cut) * s[name] for s in fitting) / total


@pytest.mark.parametrize("value", [0, 1])
def test_setting_is_not_seeing(value: int) -> None:
    model = ppl.parse(LAWN)
    set_, seen = model.do(sprinkler=value).fit(wet=1), model.fit(wet=1, sprinkler=value)
    for name in ("rain", "cloudy"):
        np.testing.assert_allclose(set_[name].mean, expected(name, cut=True, sprinkler=value, wet=1), rtol=1e-12)
        np.testing.assert_allclose(seen[name].mean, expected(name, cut=False, sprinkler=value, wet=1), rtol=1e-12)


def test_what_is_set_says_nothing_of_its_causes() -> None:
    posterior = ppl.parse(LAWN).do(sprinkler=1).fit()
    np.testing.assert_allclose(posterior["cloudy"].mean, 0.5)
    assert "sprinkler" not in posterior


def test_the_evidence_is_that_of_the_cut_model() -> None:
    value = ppl.parse(LAWN).do(sprinkler=1).fit(wet=1).log_evidence
    total = sum(joint(c, 1, r, 1, cut=True) for c in (0, 1) for r in (0, 1))
    np.testing.assert_allclose(value, np.log(total), rtol=1e-12)


def test_interventions_add_up_and_draws_see_them() -> None:
    model = ppl.parse(LAWN).do(sprinkler=1).do(rain=0)
    drawn = model.sample(20_000, seed=1)
    np.testing.assert_allclose(drawn["wet"].mean(), 0.9, atol=0.01)
    np.testing.assert_allclose(drawn["cloudy"].mean(), 0.5, atol=0.02)


def test_a_computed_variable_and_a_plate_can_be_set() -> None:
    model = ppl.parse(
        "model m:\n    for n in N:\n        a[n] ~ Normal(0, 1)\n        b[n] = 2 * a[n]\n        y[n] ~ Normal(b[n], sd = 1)\n"
    )
    posterior = model.do(b=[1.0, 3.0]).fit(y=[1.5, 2.0])
    np.testing.assert_allclose(posterior.log_evidence, -np.log(2 * np.pi) - 0.5 * (0.25 + 1.0))
    np.testing.assert_allclose(posterior["a"].mean, 0.0)


def test_an_unknown_variable_cannot_be_set() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0605\]: `rian` is no variable of model `lawn`(.|\n)*`rain`"):
        ppl.parse(LAWN).do(rian=1)
    with pytest.raises(ppl.AimError, match=r"AIM0605\]: `a` is a parameter"):
        ppl.parse("model m(a = 1):\n    x ~ Normal(a, 1)\n").do(a=2)
