"""A model with its data: what is settled, and what is said where something does not fit."""

import time

import numpy as np
import pytest

from ppl.graph.binding import bind
from ppl.graph.bound import BoundModel
from ppl.graph.dataset import Dataset
from ppl.graph.readers import as_dataset
from ppl.semantics.check import check
from ppl.semantics.typed import TypedModel
from ppl.source.codes import CODES
from ppl.source.diagnostics import AimError, Findings
from ppl.source.text import SourceText
from ppl.syntax.parser import parse

COIN = "model coin(a = 1, b = 1):\n    theta ~ Beta(a, b)\n    for n in N: x[n] ~ Bernoulli(theta)\n"
REGRESSION = "model line:\n    input x: real[N]\n    b ~ Normal(0, sd = 1)\n    for n in N: y[n] ~ Normal(b * x[n], sd = 1)\n"
POOLING = """
model pooling:
    input county: J[N]
    for j in J: alpha[j] ~ Normal(0, sd = 1)
    for n in N: y[n] ~ Normal(alpha[county[n]], sd = 1)
"""
MIXTURE = """
model mixture(K: size = 2):
    pi ~ Dirichlet(ones(K))
    for k in K: mu[k] ~ Normal(0, sd = 10)
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(mu[z[n]], sd = 1)
"""
CHAIN = """
model chain:
    z[0] ~ Normal(0, sd = 1)
    for t in T: z[t + 1] ~ Normal(z[t], sd = 1)
    for t in T: y[t] ~ Normal(z[t], sd = 1)
"""
VECTORS = "model vectors:\n    mu ~ MvNormal(zeros(2), cov = eye(2))\n    for n in N: x[n] ~ MvNormal(mu, cov = eye(2))\n"
PLACES = """
type Place = {centre, left, right}
type Cell = 1..M
model places(M: size):
    input seen: Place[N]
    input cell: Cell[N]
    for p in Place: pull[p] ~ Normal(0, sd = 1)
    for c in Cell: push[c] ~ Normal(0, sd = 1)
    for n in N: y[n] ~ Normal(pull[seen[n]] + push[cell[n]], sd = 1)
"""


def typed(text: str, name: str = "model.aim") -> TypedModel:
    tree, findings = parse(SourceText(name, text))
    findings.raise_errors()
    findings = Findings()
    file = check(tree, findings)
    findings.raise_errors()
    return list(file.models.values())[-1]


def bound(text: str, data: dict | Dataset | None = None, **settings) -> BoundModel:
    datasets = [] if data is None else [as_dataset(data, "data.json")]
    return bind(typed(text), datasets, settings=settings)


def refused(text: str, data: dict | Dataset | None = None, **settings) -> list[str]:
    """What is said, a code and a message for each error."""
    with pytest.raises(AimError) as caught:
        bound(text, data, **settings)
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.code in CODES
        assert str(diagnostic)
    return [f"{d.where}: {d.code} {d.message}" if d.where else f"{d.code} {d.message}" for d in caught.value.diagnostics]


# ------------------------------------------------------------------ what fits
def test_data_give_sizes_and_parameters_have_defaults():
    model = bound(COIN, {"x": [1, 0, 1]}, a=2)
    assert model.sizes == {"N": 3}
    assert {name: value.tolist() for name, value in model.values.items()} == {"a": 2, "b": 1, "x": [1, 0, 1]}
    assert model.observed["x"].all()
    assert all(value.dtype == np.float64 for value in model.values.values())


def test_a_missing_value_is_not_observed():
    model = bound(COIN, {"x": [1, None, float("nan"), 0]})
    assert model.observed["x"].tolist() == [True, False, False, True]


def test_all_missing_is_as_if_it_was_not_given_but_shows_the_size():
    model = bound(COIN, {"x": [None, None]})
    assert "x" not in model.values
    assert model.sizes == {"N": 2}
    assert bound(COIN, {"x": None}, N=3).sizes == {"N": 3}


def test_an_empty_list_is_an_empty_plate():
    model = bound(COIN, {"x": []})
    assert model.sizes == {"N": 0}
    assert model.values["x"].shape == model.observed["x"].shape == (0,)


def test_an_empty_list_stands_for_a_matrix_without_rows():
    model = bound("model m:\n    input X: real[N, D]\n    for d in D: w[d] ~ Normal(0, sd = 1)\n", {"X": []}, D=3)
    assert model.values["X"].shape == (0, 3)


def test_settings_win_over_data():
    model = bound(COIN, {"x": [1, 0, 1], "a": 5}, x=[0, 0], a=3)
    assert model.values["x"].tolist() == [0, 0]
    assert model.values["a"] == 3


def test_columns_that_the_model_lacks_are_passed_over():
    table = Dataset("data.csv", {"x": np.ones(3), "note": np.zeros(3)}, strict=False)
    assert set(bound(COIN, table).values) == {"a", "b", "x"}


def test_a_default_may_use_sizes_and_parameters():
    model = bound("model m(k = 2, K: size = 2 * k, w = ones(K) / K):\n    p ~ Dirichlet(w)\n", k=3)
    assert model.sizes["K"] == 6
    np.testing.assert_allclose(model.values["w"], np.ones(6) / 6)


def test_an_input_default_shows_a_size_and_gives_way():
    text = "model m:\n    input x: real[N] = [1, 2, 3]\n    for n in N: y[n] ~ Normal(x[n], sd = 1)\n"
    assert bound(text).sizes == {"N": 3}
    assert bound(text, {"x": [1, 2]}).sizes == {"N": 2}
    assert refused(text, {"y": [1, 2]}) == ["AIM0608 x has 3 members of N, y has 2 in data.json"]


def test_a_default_may_be_a_file_beside_the_model(tmp_path):
    (tmp_path / "rates.csv").write_text("x,y\n1,5\n2,6\n")
    model = typed(
        'model m:\n    input x: real[N] = csv("rates.csv")\n    input X: real[N, 2] = csv("rates.csv")\n', str(tmp_path / "model.aim")
    )
    values = bind(model, []).values
    np.testing.assert_array_equal(values["x"], [1, 2])
    np.testing.assert_array_equal(values["X"], [[1, 5], [2, 6]])
    assert bind(model, [], settings={"x": [3, 4]}).values["x"].tolist() == [3, 4]
    (tmp_path / "rates.csv").unlink()
    with pytest.raises(AimError, match=r"AIM0601\]: there is no such file\n.*\n.*csv(.|\n)*read here"):
        bind(model, [])


def test_extra_members_of_an_axis_count():
    assert bound(CHAIN, {"z": [1, 2, 3, 4]}).sizes == {"T": 3}
    assert refused(CHAIN, {"z": [1, 2, 3], "y": [1, 2, 3]}) == ["data.json: AIM0608 y has 3 members of T, z has 3 members of T + 1"]


def test_an_index_input_makes_its_set_reach_with_a_note():
    model = bound(POOLING, {"county": [0, 5, 2]})
    assert model.sizes == {"N": 3, "J": 6}
    (note,) = model.warnings
    assert note.message == "J has 6 members: the largest member of county is 5"
    assert model.values["county"].dtype == np.int64


def test_a_size_by_name_wins_over_the_largest_member():
    model = bound(POOLING, {"county": [0, 1]}, J=4)
    assert model.sizes["J"] == 4
    assert not model.warnings
    assert refused(POOLING, {"county": [0, 5, 9], "J": 3}) == [
        "data.json: AIM0614 county[1] is 5, which is not a member of J: 0 to 2 (and 1 more)"
    ]


def test_members_by_name_and_by_number_become_ordinals():
    model = bound(PLACES, {"seen": ["left", "right", "centre"], "cell": [1, 3, 2]})
    assert model.values["seen"].tolist() == [1, 2, 0]
    assert model.values["cell"].tolist() == [0, 2, 1]
    assert model.sizes == {"N": 3, "M": 4, "Cell": 3, "Place": 3}
    assert bound(PLACES, {"seen": [0, 2], "cell": [1, 1]}, M=3).values["seen"].tolist() == [0, 2]


def test_entries_are_given_by_their_indices():
    model = bound(PLACES, {"seen": ["left"], "cell": [1], "pull[left]": 2.5, "pull[2]": 1})
    np.testing.assert_array_equal(model.values["pull"], [np.nan, 2.5, 1])
    assert model.observed["pull"].tolist() == [False, True, True]


def test_rows_are_given_by_their_index_and_settings_go_over_data():
    model = bound(VECTORS, {"x[1]": [1, 2]}, N=3)
    assert model.observed["x"].tolist() == [False, True, False]
    assert bound(COIN, {"x": [1, 1, 1]}, **{"x[1]": 0}).values["x"].tolist() == [1, 0, 1]


def test_members_of_a_categorical_may_be_missing():
    model = bound(MIXTURE, {"x": [0.5, 1, 2], "z": [1, None, 0]})
    assert model.observed["z"].tolist() == [True, False, True]
    assert model.values["z"].tolist() == [1, -1, 0]


def test_axes_named_by_xarray_are_put_in_order():
    data = Dataset("data", {"X": np.zeros((2, 3))}, False, {"X": ("D", "N")})
    assert bound("model m:\n    input X: real[N, D]\n    for d in D: w[d] ~ Normal(0, sd = 1)\n", data).sizes == {"N": 3, "D": 2}


def test_a_set_may_be_walked_twice_and_written_out():
    text = "model m:\n    for i in N, j in N: w[i, j] ~ Normal(0, sd = 1)\n    for s in {a, b}: v[s] ~ Normal(0, sd = 1)\n"
    assert bound(text, {"w": np.zeros((2, 2)), "v": [1, 2]}).sizes == {"N": 2, "{a, b}": 2}
    assert refused(text, {"w": np.zeros((2, 3))}) == ["data.json: AIM0608 w has 3 members of N, w has 2"]


def test_different_statements_bring_their_own_supports():
    text = "model m:\n    y[0] ~ Normal(0, sd = 1)\n    for t in 1..T: y[t] ~ Gamma(1, 1)\n"
    assert bound(text, {"y": [-1, 2, 3]}).observed["y"].all()
    assert refused(text, {"y": [-1, 2, -3]}) == ["data.json: AIM0615 y[2] is -3, but a Gamma is a finite number above 0"]


def test_a_total_may_be_known_from_what_the_model_computes():
    text = "model m:\n    input k: int\n    n = 2 * k\n    p ~ Beta(1, 1)\n    for i in N: x[i] ~ Binomial(n, p)\n"
    assert refused(text, {"k": 2, "x": [4, 5]}) == ["data.json: AIM0615 x[1] is 5, but a Binomial with n = 4 is at most 4"]


def test_a_million_rows_bind_quickly_and_are_not_copied():
    count = 10**6
    x, y, county = np.linspace(0, 1, count), np.linspace(1, 2, count), np.arange(count) % 50
    text = POOLING.replace("input county: J[N]", "input county: J[N]\n    input x: real[N]").replace(
        "alpha[county[n]]", "alpha[county[n]] * x[n]"
    )
    model, data = typed(text), as_dataset({"x": x, "y": y, "county": county})
    start = time.perf_counter()
    result = bind(model, [data])
    assert time.perf_counter() - start < 0.4  # 0.03 s where nothing else runs
    assert np.shares_memory(result.values["x"], x)
    assert np.shares_memory(result.values["y"], y)


# ------------------------------------------------------------------ what does not fit
def test_names_that_the_model_lacks():
    assert refused(COIN, {"x": [1], "thetta": 0.5}) == ["data.json: AIM0605 model `coin` has no variable `thetta`"]
    with pytest.raises(AimError, match="did you mean `theta`"):
        bound(COIN, {"x": [1], "thetta": 0.5})
    assert refused(COIN, {"y": [1]}, c=3) == [
        "AIM0605 model `coin` has no variable `c`",
        "data.json: AIM0605 model `coin` has no variable `y`",
    ]


def test_a_table_of_which_nothing_is_used():
    table = Dataset("data.csv", {"X": np.ones(3), "note": np.zeros(3)}, strict=False)
    assert refused(COIN, table) == ["data.csv: AIM0605 no column is a variable of model `coin`"]
    with pytest.raises(AimError, match="did you mean `x`"):
        bound(COIN, table)


def test_a_name_in_two_datasets():
    one, two = as_dataset({"x": [1, 0]}, "one.json"), as_dataset({"x": [1, 1]}, "two.json")
    with pytest.raises(AimError, match=r"two.json: error\[AIM0603\]: `x` is given twice: in one.json and in two.json"):
        bind(typed(COIN), [one, two])
    assert refused(COIN, {"x": [1, 0], "x[0]": 1}) == ["data.json: AIM0603 `x[0]` is given twice"]


def test_a_deterministic_variable_cannot_be_given():
    text = "model m:\n    a ~ Normal(0, sd = 1)\n    b = 2 * a\n"
    assert refused(text, {"b": 1}) == ["data.json: AIM0606 `b` is deterministic, so it cannot be given: the model computes it"]


def test_parameters_and_inputs_without_a_value():
    text = "model m(s):\n    input x: real[N]\n    for n in N: y[n] ~ Normal(x[n], sd = s)\n"
    assert refused(text) == ["AIM0607 parameter `s` has no value", "AIM0607 input `x` has no value"]
    assert refused(text, {"x": None}, s=1) == ["AIM0607 input `x` has no value"]


def test_a_default_that_cannot_be_computed():
    text = 'model m:\n    input x: real[N, D] = 2 * csv("x.csv")\n    for n in N: y[n] ~ Normal(x[n, 0], sd = 1)\n'
    assert refused(text, {"y": [1, 2]}, D=1) == ["AIM0607 input `x` has no value: its default cannot be computed from what is given"]


def test_sizes_that_disagree():
    assert refused(REGRESSION, {"x": [1, 2, 3], "y": [1, 2, 3, 4]}) == ["data.json: AIM0608 y has 4 members of N, x has 3"]
    assert refused(REGRESSION, {"x": [1, 2, 3]}, N=4) == ["data.json: AIM0608 x has 3 members of N, N is 4"]
    assert refused(MIXTURE, {"x": [1.5], "mu": [1, 2, 3]}) == ["data.json: AIM0608 mu has 3 members of K, the default of K is 2"]
    assert refused(PLACES, {"seen": [0], "cell": [1], "pull": [1, 2]}) == [
        "data.json: AIM0608 pull has 2 members of Place, Place has 3 by its definition"
    ]
    one, two = as_dataset({"x": [1, 2, 3]}, "x.csv"), as_dataset({"y": [1, 2]}, "y.csv")
    with pytest.raises(AimError, match=r"y.csv: error\[AIM0608\]: y has 2 members of N, x has 3 in x.csv"):
        bind(typed(REGRESSION), [one, two])


def test_a_size_that_nothing_determines():
    assert refused(COIN) == ["AIM0609 nothing determines the size of `N`"]
    with pytest.raises(AimError, match=r"model.aim:3:\d+: .*\n.*\n.*give `x`, or the size: N = 10"):
        bound(COIN)
    assert refused("model m(K: size):\n    p ~ Dirichlet(ones(K))\n") == ["AIM0609 nothing determines the size of `K`"]
    assert refused(VECTORS, {"x[1]": [1, 2]}) == ["AIM0609 nothing determines the size of `N`"]


@pytest.mark.parametrize(("size", "shown"), [(0, "0"), (2.5, "2.5"), (-1, "-1"), ([3, 4], "a list"), ("three", "'three'")])
def test_a_size_is_a_whole_number_from_one(size, shown):
    assert refused(COIN, {"N": size}) == [f"data.json: AIM0610 the size N is {shown}"]


def test_a_default_size_is_a_whole_number():
    assert refused("model m(k = 3, K: size = k / 2):\n    p ~ Dirichlet(ones(K))\n") == ["AIM0610 the default of the size K is 1.5"]


def test_nothing_broadcasts():
    assert refused(REGRESSION, {"x": 1.5, "y": [1, 2]}) == [
        "data.json: AIM0611 x was given as a single value, but x is real[N], of shape [2]"
    ]
    assert refused(COIN, {"x": 1}) == ["data.json: AIM0611 x was given as a single value, but x is bool[N]"]
    assert refused(COIN, {"x": [1], "a": [1, 2]}) == ["data.json: AIM0611 a was given with the shape [2], but a is real, a single value"]
    assert refused(VECTORS, {"x": [[1, 2, 3]]}) == [
        "data.json: AIM0611 x was given with the shape [1, 3], but x is real[N, 2], of shape [1, 2]"
    ]
    assert refused(COIN, {"x[0, 1]": 1}, N=3) == ["data.json: AIM0611 `x[0, 1]` has 2 indices, but x has 1"]


def test_a_missing_input_shows_its_first_place():
    (message,) = refused(REGRESSION, {"x": [1, None, 3, None]})
    assert message == "data.json: AIM0612 x[1] is missing, but input `x` has no distribution to infer it from (and 1 more)"
    (message,) = refused(POOLING, {"county": [0, None]})
    assert message.startswith("data.json: AIM0612 county[1] is missing")


def test_texts_where_numbers_are_expected():
    assert refused(REGRESSION, {"x": [1, "two"]}) == ["data.json: AIM0613 x[1] is the text `two`, but a number is expected"]
    with pytest.raises(AimError, match="empty cell"):
        bound(REGRESSION, {"x": [1, "NA"]})


def test_values_that_are_no_members():
    assert refused(PLACES, {"seen": ["lft"], "cell": [1]}) == [
        "data.json: AIM0614 seen[0] is `lft`, which is not a member of Place: centre, left or right"
    ]
    with pytest.raises(AimError, match="did you mean `left`"):
        bound(PLACES, {"seen": ["lft"], "cell": [1]})
    assert refused(PLACES, {"seen": [3], "cell": [0, 1]}, M=4)[0].startswith("data.json: AIM0608")
    assert refused(PLACES, {"seen": [1, 1], "cell": [1, 0]}, M=4) == [
        "data.json: AIM0614 cell[1] is 0, which is not a member of Cell: 1 to 3"
    ]
    assert refused(PLACES, {"seen": [1], "cell": [1.5]}, M=4) == [
        "data.json: AIM0614 cell[0] is 1.5, which is not a member of Cell: 1 to 3"
    ]
    assert refused(POOLING, {"county": [0, -1]}) == ["data.json: AIM0614 county[1] is -1, which is not a member of J: 0 alone"]
    assert refused(MIXTURE, {"x": [1, 2], "z": [0, 2]}) == ["data.json: AIM0614 z[1] is 2, which is not a member of K: 0 to 1"]


def test_an_index_that_the_variable_lacks():
    data = {"seen": ["left"], "cell": [1]}
    (message,) = refused(PLACES, data | {"pull[lft]": 1})
    assert message == "data.json: AIM0614 pull[lft] has no place in pull: `lft` is not a member of Place: centre, left or right"
    assert refused(COIN, {"x[3]": 1}, N=3) == ["data.json: AIM0614 x[3] has no place in x: `3` is not a member of N: 0 to 2"]


SUPPORTS = [
    ("x ~ Bernoulli(0.5)", 2, "x is 2, but a Bernoulli is 0 or 1"),
    ("x ~ Poisson(3)", 2.5, "x is 2.5, but a Poisson is a count: 0, 1, 2, …"),
    ("x ~ Poisson(3)", -1, "x is -1, but a Poisson is a count: 0, 1, 2, …"),
    ("x ~ Binomial(10, 0.5)", 12, "x is 12, but a Binomial with n = 10 is at most 10"),
    ("x ~ Beta(1, 1)", 1, "x is 1, but a Beta is between 0 and 1, both excluded"),
    ("x ~ Gamma(1, 1)", 0, "x is 0, but a Gamma is a finite number above 0"),
    ("x ~ Exponential(1)", -2, "x is -2, but an Exponential is a finite number above 0"),
    ("x ~ Normal(0, sd = 1)", float("inf"), "x is infinite, but a Normal is a finite number"),
    ("x ~ MvNormal(zeros(2), cov = eye(2))", [0, -float("inf")], "x[1] is infinite, but a MvNormal is a finite number"),
    ("x ~ Dirichlet([1, 1])", [0.5, 0.4], "x sums to 0.9, but a Dirichlet sums to 1"),
    ("x ~ Dirichlet([1, 1])", [1.5, -0.5], "x[1] is -0.5, but a Dirichlet has entries above 0"),
    ("x ~ Wishart(3, eye(2))", [[1, 0.5], [0.2, 1]], "x is not symmetric, but a Wishart is symmetric"),
    ("x ~ Wishart(3, eye(2))", [[1, 2], [2, 1]], "x is not positive definite, but a Wishart is positive definite"),
    ("x ~ Uniform(0, 5)", 7, "x is 7, but a Uniform here is not above 5"),
    ("x ~ Truncated(Normal(0, sd = 1), 1, 2)", 0.5, "x is 0.5, but a Truncated(Normal) here is not below 1"),
    ("x ~ Mixture([0.5, 0.5], [Gamma(1, 1), Exponential(1)])", -1, "x is -1, but a Mixture(Gamma, Exponential) is a finite number above 0"),
    ("x ~ Multinomial(10, [0.5, 0.5])", [3, 4], "x sums to 7, but a Multinomial with n = 10 sums to 10"),
    ("x ~ Multinomial(10, [0.5, 0.5])", [3.5, 6.5], "x[0] is 3.5, but a Multinomial is a count: 0, 1, 2, … (and 1 more)"),
]


@pytest.mark.parametrize(("statement", "value", "message"), SUPPORTS)
def test_observed_values_outside_their_support(statement, value, message):
    assert refused(f"model m:\n    {statement}\n", {"x": value}) == [f"data.json: AIM0615 {message}"]


def test_places_are_shown_as_they_are_written():
    data = {"seen": ["left"], "cell": [3]}
    assert refused(PLACES, data | {"push": [0, 1, float("inf")]}) == [
        "data.json: AIM0615 push[3] is infinite, but a Normal is a finite number"
    ]
    assert refused(PLACES, data | {"pull": [0, float("inf"), 0]})[0].endswith("pull[left] is infinite, but a Normal is a finite number")


def test_the_first_offending_entry_is_shown():
    assert refused(COIN, {"x": [1, None, 0, 2, 3]}) == ["data.json: AIM0615 x[3] is 2, but a Bernoulli is 0 or 1 (and 1 more)"]


def test_totals_may_differ_between_rows():
    text = "model m:\n    input n: int[N]\n    p ~ Beta(1, 1)\n    for i in N: x[i] ~ Binomial(n[i], p)\n"
    assert bound(text, {"n": [3, 5], "x": [3, 4]}).observed["x"].all()
    assert refused(text, {"n": [3, 5], "x": [4, 5]}) == ["data.json: AIM0615 x[0] is 4, but a Binomial with n = 3 is at most 3"]


TYPES = [
    ("positive", -1, "x is -1, but a value of type positive is a finite number above 0"),
    ("unit", 1.5, "x is 1.5, but a value of type unit is from 0 to 1"),
    ("int", 1.5, "x is 1.5, but a value of type int is a whole number"),
    ("bool", 2, "x is 2, but a value of type bool is 0 or 1"),
    ("real", float("inf"), "x is infinite, but a value of type real is a finite number"),
    ("simplex[2]", [0.5, 0.4], "x sums to 0.9, but a value of type simplex sums to 1"),
    ("simplex[2]", [1.5, -0.5], "x[1] is -0.5, but a value of type simplex has no negative entries"),
]


@pytest.mark.parametrize(("written", "value", "message"), TYPES)
def test_inputs_are_of_their_types(written, value, message):
    assert refused(f"model m:\n    input x: {written}\n    y ~ Normal(0, sd = 1)\n", {"x": value}) == [f"data.json: AIM0616 {message}"]


def test_the_ends_of_a_unit_input_are_allowed():
    bound("model m:\n    input x: unit[N]\n    y ~ Normal(0, sd = 1)\n", {"x": [0, 1]})


def test_given_arguments_outside_their_supports():
    text = "model m:\n    input s: real[N]\n    for n in N: y[n] ~ Normal(0, sd = s[n])\n"
    assert refused(text, {"s": [1, 0]}) == ["AIM0618 `sd` is 0 for y[1], but the sd of a Normal is a finite number above 0"]
    assert refused(COIN, {"x": [1]}, a=-1) == ["AIM0618 `a` is -1 for theta, but the a of a Beta is a finite number above 0"]


def test_a_matrix_without_an_inverse():
    text = "model m:\n    input S: real[D, D]\n    x ~ MvNormal(zeros(D), precision = inverse(S))\n"
    assert refused(text, {"S": [[1, 1], [1, 1]]}) == ["AIM0618 `precision` cannot be computed from the given values: singular matrix"]


def test_counts_without_a_total_must_be_given():
    text = "model m:\n    p ~ Dirichlet([1, 1])\n    for n in N: x[n] ~ Multinomial(p = p)\n"
    assert bound(text, {"x": [[1, 2], [3, 4]]}).observed["x"].shape == (2,)
    assert refused(text, {"x": [[1, 2], None]}) == ["AIM0619 `n` is left out, so all counts of `x` must be given: their sum is `n`"]


def test_a_vector_that_is_given_in_part_is_not_observed():
    assert bound(VECTORS, {"x": [[1, 2], None]}).observed["x"].tolist() == [True, False]
    partly = bound(VECTORS, {"x": [[1, 2], [3, None]]})
    assert partly.observed["x"].tolist() == [True, False]
    assert partly.values["x"][1, 0] == 3
    assert np.isnan(partly.values["x"][1, 1])


def test_all_that_does_not_fit_is_reported_at_once():
    text = "model m(s):\n    input x: real[N]\n    for n in N: y[n] ~ Normal(x[n], sd = s)\n"
    codes = [
        message.split()[1] if message.startswith("data") else message.split()[0]
        for message in refused(text, {"x": [1, None], "y": ["a", 2], "q": 1})
    ]
    assert sorted(codes) == ["AIM0605", "AIM0607", "AIM0612", "AIM0613"]


def test_what_a_network_computes_is_not_known_before_it_is_learned():
    text = (
        "model m:\n    input x: real[N, D]\n    network f = mlp(D, 8, 1)\n    for n in N: s[n] = exp(f(x[n])[0])\n"
        "    for n in N: y[n] ~ Normal(f(x[n])[0], sd = s[n])\n"
    )
    assert bound(text, {"x": [[1, 2], [3, 4]], "y": [1, 2]}).sizes == {"N": 2, "D": 2}
