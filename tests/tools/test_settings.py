"""Values on the command line mean what they mean in a file."""

from __future__ import annotations

import math

import pytest

from ppl.tools.settings import parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("1e-3", 1e-3),
        ("2E5", 2e5),
        ("true", True),
        ("false", False),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("left_good", "left_good"),
        ("[1, 0, 1]", [1, 0, 1]),
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("[cat, dog, null]", ["cat", "dog", None]),
        ('["a b", cat]', ["a b", "cat"]),
        ("größe", "größe"),
    ],
)
def test_values(text, value):
    assert parse_value(text) == value


def test_nan_is_a_missing_value():
    assert math.isnan(parse_value("nan"))


@pytest.mark.parametrize("text", ["", "[1,", "1 2", "a b", "{", "1..2", "--3"])
def test_what_is_no_value_is_refused(text):
    with pytest.raises(ValueError):
        parse_value(text)
