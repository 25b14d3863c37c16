"""Posteriors pickle as what `save` writes, and are their own copies; a number of draws is a whole number."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ppl

MODEL = "model m:\n    a ~ Normal(0, 1)\n    for n in N: y[n] ~ Normal(a, 1)\n"


def test_a_pickled_posterior_answers_as_before() -> None:
    """Exact: given 1 and 2 the mean is 1, given 3 too it is 6 / 4."""
    posterior = ppl.parse(MODEL).fit(y=[1.0, 2.0])
    again = pickle.loads(pickle.dumps(posterior))
    for one in (again, pickle.loads(pickle.dumps(again))):
        assert one["a"].mean == pytest.approx(1.0) and one.elbo == posterior.elbo
        assert one.update(y=[3.0])["a"].mean == pytest.approx(1.5)
        np.testing.assert_array_equal(one.draws(1000)["a"], posterior.draws(1000)["a"])


def test_a_model_pickles() -> None:
    again = pickle.loads(pickle.dumps(ppl.parse(MODEL)))
    assert again.fit(y=[1.0, 2.0])["a"].mean == pytest.approx(1.0)


def test_what_never_changes_is_its_own_copy() -> None:
    posterior = ppl.parse(MODEL).fit(y=[1.0, 2.0])
    assert copy.deepcopy(posterior) is posterior and copy.copy(posterior) is posterior


def test_a_posterior_without_its_model_says_that_it_cannot_be_pickled() -> None:
    from dataclasses import replace

    bare = replace(ppl.parse(MODEL).fit(y=[1.0, 2.0]), questions=None)
    with pytest.raises(ppl.AimError, match=r"AIM0731.*`pickle` needs the model"):
        pickle.dumps(bare)


@pytest.mark.parametrize("asked", [-1, 2.5, True, "many"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda model, n: model.sample(n, N=2),
        lambda model, n: model.fit(y=[1.0, 2.0]).draws(n),
        lambda model, n: model.fit(y=[1.0, 2.0]).predict(draws=n),
    ],
)
def test_a_number_of_draws_is_a_whole_number(ask: Callable[[Any, Any], Any], asked: Any) -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0505.*is a whole number, 0 or more"):
        ask(ppl.parse(MODEL), asked)
