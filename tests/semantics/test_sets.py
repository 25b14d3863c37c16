"""Index sets: which names are sets, whose member a value is, and what may index what."""

from __future__ import annotations

import pytest
from checking import checked, codes, typed

from ppl.semantics.typed import IndexSet

SIDE = "type Side = {left, right}\n\n"


def test_sizes_come_from_declarations_types_and_plates() -> None:
    model = typed("model m(K: size = 3):\n    input g: J[N]\n    for k in K, d in {a, b}: x[k, d] ~ Normal(0, 1)\n").models["m"]
    assert {key: s.size for key, s in model.sets.items()} == {"K": None, "J": None, "N": None, "{a, b}": 2}
    assert list(model.sizes) == ["K"]


def test_written_out_sets_are_equal_when_their_members_are() -> None:
    assert codes("model m:\n    for s in {a, b}: p[s] ~ Normal(0, 1)\n    for s in {a, b}: q[s] ~ Normal(p[s], 1)\n") == []
    assert codes("model m:\n    for s in {a, b}: p[s] ~ Normal(0, 1)\n    for s in {b, a}: q[s] ~ Normal(p[s], 1)\n") == ["AIM0203"]


def test_consecutive_numbers_are_a_range() -> None:
    model = typed("model m:\n    for s in {1, 2, 3}: p[s] ~ Normal(s, 1)\n").models["m"]
    assert model.sets["1..4"] == IndexSet("1..4", 3, low=1)


def test_a_type_may_reach_to_a_size() -> None:
    model = typed("type Cell = 0..M\n\nmodel m(M: size):\n    for c in Cell: x[c] ~ Normal(c, 1)\n").models["m"]
    assert model.sets["Cell"].size_name == "M"
    assert "M" in model.sets


def test_an_anonymous_axis_fits_any_set_of_its_size() -> None:
    body = "    for s in Side: p[s] ~ Normal(0, 1)\n    z ~ Categorical({})\n    x ~ Normal(p[z], 1)\n"
    assert codes(SIDE + "model m:\n" + body.format("[0.5, 0.5]")) == []
    assert codes(SIDE + "model m:\n" + body.format("[0.5, 0.25, 0.25]")) == ["AIM0203"]


@pytest.mark.parametrize(("size", "expected"), [("{left, right}", []), ("{a, b, c}", ["AIM0203"]), ("0..2", []), ("0..3", ["AIM0203"])])
def test_a_bernoulli_is_a_member_of_any_set_of_two(size: str, expected: list[str]) -> None:
    assert codes(f"model m:\n    for s in {size}: p[s] ~ Normal(0, 1)\n    z ~ Bernoulli(0.5)\n    x ~ Normal(p[z], 1)\n") == expected


def test_a_computed_number_indexes_numbered_members_only() -> None:
    body = "model m:\n    a ~ Bernoulli(0.5)\n    b ~ Bernoulli(0.5)\n    for s in {}: p[s] ~ Normal(0, 1)\n    x ~ Normal(p[a + b], 1)\n"
    assert codes(body.format("0..3")) == []
    assert codes(body.format("{u, v, w}")) == ["AIM0204"]


def test_a_categorical_is_a_number_where_its_set_is_numbered() -> None:
    assert codes("model m:\n    z ~ Categorical([0.5, 0.5])\n    x ~ Normal(2 * z, 1)\n") == []
    assert codes(SIDE + "model m:\n    z ~ Categorical(onehot(left, Side))\n    x ~ Normal(2 * z, 1)\n") == ["AIM0210"]


def test_an_index_of_a_named_set_is_a_number_too() -> None:
    assert codes(SIDE + "model m:\n    for s in Side: x[s] ~ Normal(s, 1)\n") == []


def test_a_member_of_two_sets_is_resolved_by_what_is_expected() -> None:
    text = (
        "type Move = {stay, go}\ntype Look = {stay, peer}\n\nmodel m:\n    for a in Move: p[a] ~ Beta(1, 1)\n"
        "    z ~ {stay: 0.5, peer: 0.5}\n    x ~ Bernoulli(p[stay])\n    y ~ Bernoulli(if z == stay then 0.1 else 0.9)\n"
        "    w ~ Bernoulli(if stay == z then 0.1 else 0.9)\n"
    )
    assert codes(text) == []


def test_a_match_over_named_members_is_complete_or_an_error() -> None:
    text = SIDE + "model m:\n    a ~ {left: 1}\n    b ~ {right: 1}\n    c = match a, b:\n        left, _ -> 1\n        ARM -> 2\n"
    assert codes(text.replace("ARM", "_, left | right")) == []
    _, findings = checked(text.replace("ARM", "right, left"))
    assert findings.errors[0].message == "the case right, right has no arm"


def test_gaps_and_overlaps_of_pieces() -> None:
    body = "model m:\n    z[0] ~ Normal(0, 1)\n    for t in {}..T: z[t] ~ Normal(0, 1)\n"
    assert codes(body.format(1)) == []
    assert codes(body.format(2)) == ["AIM0116"]
    assert codes(body.format(0)) == ["AIM0101"]


@pytest.mark.parametrize(
    ("index", "code"),
    [
        ("-1", "AIM0205"),
        ("T", "AIM0205"),
        ("T - 1", None),
        ("0", None),
        ("1.5", "AIM0204"),
        ("0, 0", "AIM0206"),
        ("x", "AIM0204"),
        ("t", "AIM0104"),
    ],
)
def test_indices_stay_inside(index: str, code: str | None) -> None:
    assert codes(f"model m:\n    input x: real[T]\n    y ~ Normal(x[{index}], 1)\n    for t in T: z[t] = x[t]\n") == (
        [code] if code else []
    )
