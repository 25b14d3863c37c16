"""Constants are judged before anything runs, wherever they come from; what is not constant is left to the run."""

from __future__ import annotations

import pytest
from checking import checked, codes

WRONG = [
    "Normal(0, 0)",
    "Normal(0, sd = -1)",
    "Normal(0, var = -1)",
    "Normal(0, precision = 2 - 3)",
    "Normal(inf, 1)",
    "Gamma(0, 1)",
    "Beta(1, -1)",
    "Bernoulli(1.5)",
    "Binomial(2.5, 0.5)",
    "Poisson(-1)",
    "Exponential(log(0.5))",
    "Dirichlet([1, 0])",
    "Dirichlet(zeros(3))",
    "MvNormal(zeros(2), cov = [[1, 2], [2, 1]])",
    "MvNormal(zeros(2), cov = [[1, 0.5], [0.4, 1]])",
    "Wishart(3, -1 * eye(2))",
    "Categorical([1.5, -0.5])",
    "Normal(0, if 1 == 2 then 1 else -1)",
    "OrderedLogistic(0, [1, 0])",
]
RIGHT = [
    "Normal(-1, 1e-9)",
    "Poisson(0)",
    "Bernoulli(1)",
    "Binomial(0, 0.5)",
    "Dirichlet([1e-3, 1])",
    "MvNormal(zeros(2), cov = [[2, 1], [1, 2]])",
    "Categorical([1, 0])",
    "Categorical(normalize([1, 3]))",
    "Categorical(softmax([1, -3]))",
    "Normal(0, s)",
    "Truncated(Normal(0, 1), 0, inf)",
]


@pytest.mark.parametrize("distribution", WRONG)
def test_a_constant_outside_the_support_is_an_error(distribution: str) -> None:
    assert codes(f"model m:\n    x ~ {distribution}\n") == ["AIM0306"]


@pytest.mark.parametrize("distribution", RIGHT)
def test_a_constant_inside_or_an_unknown_value_is_none(distribution: str) -> None:
    assert codes(f"model m(s = -1):\n    x ~ {distribution}\n") == []


@pytest.mark.parametrize(("first", "fits"), [("0.5", True), ("0.5000009", True), ("0.500002", False), ("0.4", False)])
def test_probabilities_sum_to_one_to_a_millionth(first: str, fits: bool) -> None:
    assert codes(f"model m:\n    x ~ Categorical([{first}, 0.5])\n    y ~ {{0: {first}, 1: 0.5}}\n") == (
        [] if fits else ["AIM0307", "AIM0307"]
    )


def test_the_sum_is_shown_and_the_value_underlined() -> None:
    _, findings = checked("model m:\n    x ~ Categorical([0.7, 0.4])\n    y ~ Normal(0, sd = -1)\n")
    table, negative = findings.errors
    assert "1.1" in table.message and "normalize([0.7, 0.4])" in table.hint
    assert negative.span is not None and negative.span.text == "-1"


def test_constants_are_followed_through_names() -> None:
    assert codes("model m:\n    s = 1 - 2\n    t = 2 * s\n    x ~ Normal(0, t)\n") == ["AIM0306"]
    assert codes("model m:\n    A = [[0.5, 0.5], [0.9, 0]]\n    z ~ Bernoulli(0.5)\n    x ~ Categorical(A[z])\n") == ["AIM0307"]
    assert codes("model m:\n    A = [[0.5, 0.5], [0.9, 0]]\n    x ~ Categorical(A[0])\n") == []


def test_folding_never_stops_the_check() -> None:
    text = "model m:\n    a = 1 / 0\n    b = log(-1)\n    c = (-8) ^ 0.5\n    d = exp(1000)\n    x ~ Normal(a + b + c + d, 1)\n"
    assert codes(text) == []
