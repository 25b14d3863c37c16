"""The tables of the catalogue are whole and agree with the language."""

from __future__ import annotations

import pytest

from ppl.catalogue.distributions import ALIASES, DISTRIBUTIONS, Distribution
from ppl.catalogue.functions import COMPREHENSIONS, FUNCTIONS, NAMED_FUNCTIONS, OPERATORS

RUNNING = [
    "Normal", "MvNormal", "Gamma", "InverseGamma", "Beta", "Dirichlet", "Wishart", "InverseWishart", "Bernoulli", "Categorical", "Binomial",
    "Multinomial", "Poisson", "Exponential", "Delta", "HalfNormal", "HalfStudentT", "Flat", "HalfFlat",
]  # fmt: skip

REPORTED = {
    "Normal": ["mean", "sd"],
    "MvNormal": ["mean", "cov"],
    "Gamma": ["shape", "rate"],
    "Beta": ["a", "b"],
    "Dirichlet": ["concentration"],
    "Wishart": ["df", "scale"],
    "Bernoulli": ["p"],
    "Categorical": ["p"],
    "Poisson": ["rate"],
    "Binomial": ["n", "p"],
}
FUNCTIONS_OF_THE_LANGUAGE = [
    "exp", "log", "log1p", "sqrt", "abs", "min", "max", "floor", "round", "sin", "cos", "tan", "tanh", "sigmoid", "softmax",
    "normalize", "logsumexp", "logit", "probit", "normal_cdf", "lgamma", "lbeta", "digamma", "sum", "mean", "prod", "cumsum",
    "dot", "outer", "diag", "eye", "zeros", "ones", "onehot", "transpose", "inverse", "cholesky", "logdet", "trace", "stack",
    "concat", "reverse", "len", "csv",
]  # fmt: skip


@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=lambda d: d.name)
def test_parameters_have_one_name_each_and_optional_ones_are_no_alternatives(distribution: Distribution) -> None:
    names = [signature.name for slot in distribution.slots for signature in slot]
    assert len(set(names)) == len(names)
    assert all(len(slot) == 1 for slot in distribution.slots if slot[0].optional)


def test_what_runs_names_its_factor() -> None:
    assert [name for name, d in DISTRIBUTIONS.items() if d.implementation] == sorted(RUNNING, key=list(DISTRIBUTIONS).index)
    assert all(d.implementation.startswith("ppl.factors.") for d in DISTRIBUTIONS.values() if d.implementation)


@pytest.mark.parametrize("name", REPORTED)
def test_the_first_alternatives_are_what_results_report(name: str) -> None:
    assert [slot[0].name for slot in DISTRIBUTIONS[name].slots] == REPORTED[name]


def test_aliases_stand_for_distributions_and_are_none_themselves() -> None:
    assert set(ALIASES.values()) <= set(DISTRIBUTIONS)
    assert not set(ALIASES) & set(DISTRIBUTIONS)


def test_every_function_of_the_language_is_there() -> None:
    assert set(NAMED_FUNCTIONS) == set(FUNCTIONS_OF_THE_LANGUAGE)
    assert set(COMPREHENSIONS) <= set(NAMED_FUNCTIONS)


def test_every_operator_has_a_function() -> None:
    assert set(OPERATORS) == {"^", "*", "/", "@", "%", "+", "-", "==", "!=", "<", "<=", ">", ">=", "and", "or"}
    assert all(FUNCTIONS[name].least == 2 for name in OPERATORS.values())
