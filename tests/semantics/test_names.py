"""What is defined when: pieces of one variable, the order of statements, recursions, functions, imports."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import checked, codes, typed

from ppl import AimError, load

WELL_ORDERED = {
    "a chain": "z[0] ~ Normal(0, 1)\n    for t in 1..T: z[t] ~ Normal(z[t - 1], 1)",
    "two lags": "z[0] ~ Normal(0, 1)\n    z[1] ~ Normal(0, 1)\n    for t in 2..T: z[t] ~ Normal(z[t - 1] - z[t - 2], 1)",
    "a next state": "z[0] ~ Normal(0, 1)\n    for t in T: z[t + 1] ~ Normal(z[t], 1)",
    "a sum over lags": "y[0] ~ Normal(0, 1)\n    y[1] ~ Normal(0, 1)\n    for t in 2..T: y[t] ~ Normal(sum(y[t - 1 - k] for k in 0..2), 1)",
    "all of the past": "for t in T: y[t] ~ Normal(sum(y[j] for j in 0..t), 1)",
    "a slice of the past": "for p in P: y[p] ~ Normal(0, 1)\n    for t in P..T: y[t] ~ Normal(sum(y[t - P..t]), 1)",
    "two chains that read each other": "a[0] ~ Normal(0, 1)\n    b[0] ~ Normal(0, 1)\n    for t in 1..T:\n"
    "        a[t] ~ Normal(b[t - 1], 1)\n        b[t] ~ Normal(a[t], 1)",
    "a grid": "for j in M: z[0, j] ~ Normal(0, 1)\n    for i in 1..N: for j in M: z[i, j] ~ Normal(z[i - 1, j], 1)",
    "two chains that read the past of each other": "a[0] ~ Normal(0, 1)\n    b[0] ~ Normal(0, 1)\n    for t in 1..T:\n"
    "        a[t] ~ Normal(b[t - 1], 1)\n        b[t] ~ Normal(a[t - 1], 1)",
    "two next states": "a[0] ~ Normal(0, 1)\n    b[0] ~ Normal(0, 1)\n    for t in T:\n"
    "        a[t + 1] ~ Normal(b[t], 1)\n        b[t + 1] ~ Normal(a[t + 1], 1)",
    "computed from its past": "x[0] = 1\n    for t in 1..T: x[t] = 0.5 * x[t - 1]",
    "the first state alone": "z[0] ~ Normal(0, 1)\n    a ~ Normal(z[0], 1)\n    for t in 1..T: z[t] ~ Normal(z[t - 1], 1)",
}
BADLY_ORDERED = {
    "itself": ("a ~ Normal(a, 1)", "AIM0106"),
    "the same index": ("z[0] ~ Normal(0, 1)\n    for t in 1..T: z[t] ~ Normal(z[t], 1)", "AIM0106"),
    "the whole of itself": ("z[0] ~ Normal(0, 1)\n    for t in 1..T: z[t] ~ Normal(sum(z), 1)", "AIM0106"),
    "a next state of the same index": ("z[0] ~ Normal(0, 1)\n    for t in T: z[t + 1] ~ Normal(z[t + 1], 1)", "AIM0106"),
    "a later index": ("z[0] ~ Normal(0, 1)\n    for t in T: z[t + 1] ~ Normal(z[t + 2], 1)", "AIM0205"),
    "the last index": ("z[0] ~ Normal(0, 1)\n    for t in 1..T: z[t] ~ Normal(z[-1], 1)", "AIM0205"),
    "two chains at the same index": (
        "a[0] ~ Normal(0, 1)\n    b[0] ~ Normal(0, 1)\n    for t in 1..T:\n        a[t] ~ Normal(b[t], 1)\n        b[t] ~ Normal(a[t], 1)",
        "AIM0106",
    ),
    "a slice that reaches the present": (
        "for p in P: y[p] ~ Normal(0, 1)\n    for t in P..T: y[t] ~ Normal(sum(y[t - P..t + 1]), 1)",
        "AIM0106",
    ),
    "computed from itself": ("x[0] = 1\n    for t in 1..T: x[t] = 0.5 * x[t]", "AIM0106"),
    "a later line": ("a ~ Normal(b, 1)\n    b ~ Normal(0, 1)", "AIM0105"),
    "a circle": ("a ~ Normal(b, 1)\n    b ~ Normal(c, 1)\n    c ~ Normal(a, 1)", "AIM0106"),
    "another plate of the same letter": (
        "z[0] ~ Normal(0, 1)\n    for t in 1..T: x[t] ~ Normal(z[t - 1], 1)\n    x[0] ~ Normal(0, 1)\n"
        "    for t in 1..T: z[t] ~ Normal(0, 1)",
        "AIM0105",
    ),
}


@pytest.mark.parametrize("body", WELL_ORDERED.values(), ids=WELL_ORDERED.keys())
def test_what_is_defined_earlier_may_be_read(body: str) -> None:
    assert codes(f"model m:\n    {body}\n") == []


@pytest.mark.parametrize("case", BADLY_ORDERED.values(), ids=BADLY_ORDERED.keys())
def test_what_is_not_defined_by_then_is_an_error(case: tuple[str, str]) -> None:
    body, code = case
    assert codes(f"model m:\n    {body}\n")[0] == code


def test_one_mistake_is_one_error() -> None:
    """What depends on a wrong definition is not reported again."""
    assert codes("model m:\n    a ~ Nromal(0, 1)\n    b ~ Normal(a, 1)\n    c = b[0] + a\n    for n in N: d[n] ~ Normal(c, 1)\n") == [
        "AIM0301"
    ]


def test_all_mistakes_of_a_file_are_reported_together() -> None:
    text = """
model first:
    a ~ Normal(0, sd = -1)
    b ~ Normal(x, 1)

model second:
    c ~ Gama(1, 1)

test "third":
    fit frist to a = 1
"""
    assert sorted(codes(text)) == ["AIM0103", "AIM0104", "AIM0301", "AIM0306"]


def test_a_model_with_errors_is_left_out_and_the_others_stay() -> None:
    file, findings = checked("model bad:\n    a ~ Normal(x, 1)\n\nmodel good:\n    a ~ Normal(0, 1)\n")
    assert list(file.models) == ["good"]
    assert len(findings.errors) == 1


def test_models_functions_and_types_can_be_imported() -> None:
    library = {
        "basics": "type Side = {left, right}\nfn half(x) = x / len([1, 2])\nfn toward(a) = if a == left then half(1) else 0\n\n"
        "model coin(a = 1):\n    theta ~ Beta(a, 1)\n"
    }
    text = (
        "from basics import coin, toward, Side\n\nmodel m:\n    s ~ {left: 1}\n    first ~ coin(2)\n"
        "    x ~ Normal(toward(s), 1)\n\nfit coin to theta = 0.5\n"
    )
    file = typed(text, library)
    assert list(file.models) == ["m"]
    assert list(file.imported) == ["coin"]


def test_an_error_in_an_imported_file_shows_its_place_there() -> None:
    _, findings = checked("from basics import coin\n", {"basics": "model coin:\n    theta ~ Betta(1, 1)\n"})
    (found,) = findings.errors
    assert found.code == "AIM0301"
    assert found.span is not None and found.span.source.name == "basics.aim"


def test_an_import_that_is_no_text_is_an_error_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.aim").write_bytes("# käse\nmodel k:\n    x ~ Normal(0, 1)\n".encode("latin-1"))
    path = tmp_path / "main.aim"
    path.write_text("from latin import k\n")
    with pytest.raises(AimError) as caught:
        load(path)
    (found,) = caught.value.diagnostics
    assert found.code == "AIM0886" and found.span is not None and found.span.text == "latin"


def test_files_that_import_each_other_are_an_error() -> None:
    library = {"a": "from b import y\n\nmodel x:\n    v ~ Normal(0, 1)\n", "b": "from a import x\n\nmodel y:\n    v ~ Normal(0, 1)\n"}
    assert codes("from a import x\n", library) == ["AIM0108"]


def test_the_hint_names_only_what_may_stand_there() -> None:
    _, findings = checked(
        "model m:\n    sigma ~ Gamma(2, 1)\n    x ~ Normal(0, sgima)\n    y ~ Gama(1, 1)\n    z ~ Normal(0, prcision = 1)\n"
    )
    assert [found.hint for found in findings.errors] == [
        "did you mean `sigma`?",
        "did you mean `Gamma`?",
        "did you mean `precision`? it takes mean, sd / var / precision",
    ]


def test_functions_that_double_at_each_step_are_stopped() -> None:
    doubling = "".join(f"fn f{i + 1}(x) = f{i}(x) + f{i}(x)\n" for i in range(19))
    text = "fn f0(x) = x\n" + doubling + "model m:\n    y ~ Normal(f{}(1), 1)\n"
    assert codes(text.replace("{}", "5")) == []
    assert set(codes(text.replace("{}", "19"))) == {"AIM0115"}
