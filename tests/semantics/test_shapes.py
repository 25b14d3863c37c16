"""The plates give the shape: the type of every variable of small models, as the text form shows it."""

from __future__ import annotations

import pytest
from checking import typed

from ppl.semantics.types import name_type

CASES = {
    "a plate is an axis": ("for n in N: x[n] ~ Normal(0, 1)", "x", "real[N]"),
    "two plates are two axes": ("for n in N, d in D: x[n, d] ~ Normal(0, 1)", "x", "real[N, D]"),
    "the left side orders the axes": ("for n in N, d in D: x[d, n] ~ Normal(0, 1)", "x", "real[D, N]"),
    "a set walked twice": ("for i in N, j in N: c[i, j] = i - j", "c", "int[N, N]"),
    "a vector behind its plate": ("for n in N: x[n] ~ MvNormal(zeros(2), cov = eye(2))", "x", "real[N, 2]"),
    "an axis of a set": ("for k in K: m[k] ~ Normal(0, 1)\n    x ~ MvNormal(zeros(K), cov = eye(K))", "x", "real[K]"),
    "a range of numbers": ("for r in 0..3: x[r] ~ Normal(0, 1)", "x", "real[0..3]"),
    "constants alone": ("x[0] ~ Normal(0, 1)\n    x[1] ~ Normal(0, 1)", "x", "real[2]"),
    "a first state and a range": ("z[0] ~ Normal(0, 1)\n    for t in 1..T: z[t] ~ Normal(0, 1)", "z", "real[T]"),
    "one more member": ("z[0] ~ Normal(0, 1)\n    for t in T: z[t + 1] ~ Normal(0, 1)", "z", "real[T + 1]"),
    "one member less": ("for t in 0..T - 1: z[t] ~ Normal(0, 1)", "z", "real[T - 1]"),
    "a start as long as a lag": ("for p in P: y[p] ~ Normal(0, 1)\n    for t in P..T: y[t] ~ Normal(0, 1)", "y", "real[T]"),
    "a row": ("input X: real[N, D]\n    r = X[0]", "r", "real[D]"),
    "a slice": ("input x: real[T]\n    r = x[0..3]", "r", "real[3]"),
    "a matrix times a vector": ("input X: real[N, D]\n    input w: real[D]\n    m = X @ w", "m", "real[N]"),
    "an inner product": ("input a: real[N]\n    s = dot(a, a)", "s", "real"),
    "elementwise with a number": ("input a: real[N]\n    s = exp(2 * a)", "s", "positive[N]"),
    "a sum over an index keeps the rest": ("input X: real[N, D]\n    s = sum(X[n] for n in N)", "s", "real[D]"),
    "a written-out matrix": ("A = [[1, 2, 3], [4, 5, 6]]", "A", "positive[2, 3]"),
    "a stack of vectors": ("input a: real[N]\n    s = stack(a, a)", "s", "real[2, N]"),
    "an outer product": ("input a: real[N]\n    input b: real[M]\n    s = outer(a, b)", "s", "real[N, M]"),
    "a transposed matrix": ("input X: real[N, D]\n    s = transpose(X)", "s", "real[D, N]"),
    "a probability": ("p ~ Dirichlet(ones(3))\n    q = p[0]", "q", "unit"),
    "a 0/1 value": ("x ~ Bernoulli(0.5)", "x", "bool"),
    "a count": ("x ~ Poisson(2)", "x", "int"),
    "counts of several kinds": ("for n in N: x[n] ~ Multinomial(10, ones(4) / 4)", "x", "int[N, 4]"),
    "a covariance": ("L ~ Wishart(4, eye(3))", "L", "posdef[3, 3]"),
    "a correlation": ("L ~ LKJ(3, 1)", "L", "posdef[3, 3]"),
    "a mixture of distributions": ("x ~ Mixture([0.5, 0.5], [Normal(0, 1), Normal(1, 1)])", "x", "real"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_shape_of_a_variable(case: tuple[str, str, str]) -> None:
    body, variable, expected = case
    model = typed(f"model m:\n    {body}\n").models["m"]
    assert name_type(model.variables[variable].type) == expected


def test_a_member_is_of_the_set_of_its_probabilities() -> None:
    model = typed(
        """
type Side = {left, right}

model m(K: size = 3):
    p ~ Dirichlet(ones(K))
    a ~ Categorical(p)
    b ~ Categorical([0.5, 0.5])
    c ~ {left: 0.5, right: 0.5}
    d ~ Categorical(onehot(left, Side))
    e ~ right
"""
    ).models["m"]
    named = {name: name_type(variable.type) for name, variable in model.variables.items()}
    assert named == {"p": "simplex[K]", "a": "K", "b": "0..2", "c": "Side", "d": "Side", "e": "Side"}


def test_plates_are_counted_apart_from_the_axes_of_a_value() -> None:
    model = typed("model m:\n    for k in K: mu[k] ~ MvNormal(zeros(4), cov = eye(4))\n").models["m"]
    assert model.variables["mu"].plates == 1
    assert len(model.variables["mu"].type.axes) == 2
