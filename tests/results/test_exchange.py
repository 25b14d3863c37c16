"""Exchange with xarray and ArviZ: the same draws, labelled by the members of the index sets."""

from __future__ import annotations

import sys

import arviz as az
import numpy as np
import pytest

import ppl
from ppl.results.posterior import Posterior

TEXT = """\
type Side = {left, right}
model sides(K: size = 3):
    for s in Side: m[s] ~ Normal(0, sd = 1)
    for i in K, j in K: t[i, j] ~ Gamma(1, rate = 1)
    v ~ MvNormal(zeros(2), cov = eye(2))
    input side: Side[N]
    for n in N: y[n] ~ Normal(m[side[n]], sd = 1)
    for n in N: c[n] ~ Poisson(2)
"""


@pytest.fixture(scope="module")
def sides() -> Posterior:
    return ppl.parse(TEXT).fit(side=["left", "right", "left"], y=[0.5, np.nan, 1.0], c=[1, 2, 3])


def test_draws_are_labelled(sides: Posterior) -> None:
    data = sides.to_xarray(draws=40, seed=5)
    assert data["m"].dims == ("chain", "draw", "Side")
    assert list(data["Side"].values) == ["left", "right"]
    assert data["t"].dims == ("chain", "draw", "K", "K 2")
    assert data["v"].dims == ("chain", "draw", "v_dim_0")
    assert data.sizes["chain"] == 1
    np.testing.assert_array_equal(data["m"].sel(Side="right").values[0], sides.draws(40, seed=5)["m"][:, 1])


def test_arviz_has_all_groups(sides: Posterior) -> None:
    data = sides.to_arviz(draws=200)
    assert set(data.groups()) == {"posterior", "log_likelihood", "observed_data", "constant_data"}
    assert data.log_likelihood["y"].dims == ("chain", "draw", "N")
    np.testing.assert_array_equal(data.observed_data["y"].values, [0.5, np.nan, 1.0])
    np.testing.assert_array_equal(data.constant_data["side"].values, [0, 1, 0])
    table = az.summary(data, var_names=["m"], kind="stats")
    np.testing.assert_allclose(table["mean"], sides["m"].mean, atol=0.3)
    assert list(table.index) == ["m[left]", "m[right]"]


def test_arviz_of_one_variable_has_its_criterion(sides: Posterior) -> None:
    both = sides.loo(draws=400).elpd_loo
    one = az.loo(sides.to_arviz(draws=400), var_name="c", reff=1.0).elpd_loo
    np.testing.assert_allclose(one, sides.log_likelihood(draws=400)["c"][0].sum(), rtol=1e-6)  # nothing latent: its own density
    assert both < one


def test_the_summary_names_members(sides: Posterior) -> None:
    assert [row.label for row in sides.summary().rows[:2]] == ["m[left]", "m[right]"]


def test_a_package_that_is_lacking_is_named_with_its_extra(sides: Posterior, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ppl.AimError, match=r"AIM0887\]: this needs the package arviz(.|\n)*aim-ppl\[arviz\]"):
        sides.to_arviz()
    assert "leave-one-out is left out: this needs the package arviz" in str(ppl.compare({"one": sides}))
