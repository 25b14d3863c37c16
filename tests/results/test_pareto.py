"""k-hat finds the shape of a tail that is known."""

from __future__ import annotations

import numpy as np
import pytest

from ppl.results.pareto import Tail, pareto_k


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.8, 1.2])
def test_shape_of_pareto_weights_is_found(shape: float) -> None:
    weights = 1 + np.random.default_rng(0).pareto(1 / shape, size=100_000)
    assert pareto_k(np.log(weights)) == pytest.approx(shape, abs=0.1)


def test_weights_that_are_alike_have_no_tail() -> None:
    assert pareto_k(np.full(1000, -3.0)) == -np.inf
    assert pareto_k(np.zeros(5)) == np.inf


def test_a_heavy_tail_of_weights_that_hardly_vary_is_told_as_such() -> None:
    assert str(Tail(0.43, 0.8)) == "k-hat 0.43"
    assert str(Tail(0.9, 0.5)) == "k-hat 0.90"
    assert str(Tail(0.9, 0.99994)) == "k-hat 0.90 of weights that keep 99.99% of the draws"
