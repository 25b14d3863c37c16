"""The reading of good programs: precedence, words that may be names, blocks, places."""

from __future__ import annotations

import pytest
from reading import PROGRAMS, read, read_body, read_expression

from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.depth import children
from ppl.syntax.parser import parse
from ppl.syntax.tokens import RESERVED, vocabulary


def shape(node: tree.Node) -> str:
    """An expression with a bracket around every operation."""
    match node:
        case tree.Binary(operator, left, right):
            return f"({shape(left)} {operator} {shape(right)})"
        case tree.Unary(operator, operand):
            return f"({operator} {shape(operand)})"
        case tree.Conditional(condition, then, otherwise):
            return f"(if {shape(condition)} then {shape(then)} else {shape(otherwise)})"
        case tree.Index(base, indices):
            return f"{shape(base)}[{', '.join(map(shape, indices))}]"
        case tree.Attribute(base, name):
            return f"{shape(base)}.{name}"
        case tree.Range(low, high):
            return f"{shape(low)}..{shape(high)}"
    return node.span.text


PRECEDENCE = {
    "a + b * c": "(a + (b * c))",
    "a - b - c": "((a - b) - c)",
    "a / b / c": "((a / b) / c)",
    "a @ b * c % d": "(((a @ b) * c) % d)",
    "a ^ b ^ c": "(a ^ (b ^ c))",
    "-a ^ b": "(- (a ^ b))",
    "a ^ -b": "(a ^ (- b))",
    "a ^ -b ^ c": "(a ^ (- (b ^ c)))",
    "a * -b": "(a * (- b))",
    "- -a": "(- (- a))",
    "-a * b": "((- a) * b)",
    "a - -b": "(a - (- b))",
    "a + b == c * d": "((a + b) == (c * d))",
    "not a == b": "(not (a == b))",
    "not not a": "(not (not a))",
    "not a and b": "((not a) and b)",
    "a or b and c": "(a or (b and c))",
    "a and not b or c": "((a and (not b)) or c)",
    "a or b or c": "((a or b) or c)",
    "if a or b then c + 1 else d": "(if (a or b) then (c + 1) else d)",
    "if a then b else if c then d else e": "(if a then b else (if c then d else e))",
    "x[t - p..t]": "x[(t - p)..t]",
    "x[i, j + 1][k].mean": "x[i, (j + 1)][k].mean",
    "-x[0]": "(- x[0])",
    "x.bias ^ 2": "(x.bias ^ 2)",
    "a <= b": "(a <= b)",
    "a<-b": "(a < (- b))",
}


@pytest.mark.parametrize("text", PRECEDENCE)
def test_operators_bind_as_the_language_says(text: str) -> None:
    assert shape(read_expression(text)) == PRECEDENCE[text]


def test_brackets_only_group() -> None:
    assert read_expression("((a) + (b))") == read_expression("a + b")
    assert read_expression("(a + b) * c") != read_expression("a + b * c")


NAMES = ("point", "size", "exact", "policy", "efe", "t")
WORDS = sorted({*vocabulary().words, *NAMES} - {*RESERVED})


@pytest.mark.parametrize("word", WORDS)
def test_words_of_the_grammar_may_be_names(word: str) -> None:
    statements = read_body(
        f"{word} ~ Normal(0, 1)", f"{word} = 3", f"{word}[0] ~ Normal({word}, {word} + 1)", f"a = {word} * {word}.{word}[{word}]",
        f"for {word} in {word}: b[{word}] = {word}", f"input {word}: {word}[{word}]", f"state {word}: {word} = {word}", f"x = f({word} = {word})",
        f"plan {word}, {word} by {word}()", f"subject to {word} <= 1", f"factor {word}", f"{word}' ~ Normal({word}'', 1)",
    )  # fmt: skip
    assert isinstance(statements[0], tree.Random) and statements[0].target.name == word
    assert isinstance(statements[1], tree.Deterministic) and statements[1].target.name == word
    assert isinstance(statements[2], tree.Random) and statements[2].target.indices == (tree.Number("0", span=statements[2].span),)
    assert isinstance(statements[8], tree.PlanStatement) and [target.name for target in statements[8].targets] == [word, word]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_the_grammar_may_be_names_at_the_top_level(word: str) -> None:
    read(
        f"from {word} import {word}\ntype {word} = {{{word}, b}}\nfn {word}({word}) = {word}\nmodel {word}({word} = {word}):\n    {word} = 1\n"
        f"approximate {word} as {word}:\n    q({word}) q({word}[{word}])\n    q({word}): {word}\n    use {word}\n"
        f'test "{word}":\n    fit {word} to {word} = {word}, {word}.{word} = {word}\n    run {word} for {word} steps where {word} = {word}\n'
        f"    expect {word} ~ {word}({word}) within {word}\n    expect {word}\n    expect {word}[0] = {word}\n"
    )


def test_primes_count_derivatives() -> None:
    (statement,) = read_body("x'' ~ Normal(-k * x - 0.2 * x', precision = 16)")
    assert isinstance(statement, tree.Random)
    assert (statement.target.name, statement.target.primes) == ("x", 2)
    assert any(isinstance(node, tree.Name) and (node.name, node.primes) == ("x", 1) for node in every(statement))


def test_a_block_of_one_statement_may_follow_the_colon() -> None:
    assert read_body("for d in D: w[d] ~ Normal(0, 1)") == read_body("for d in D:", "    w[d] ~ Normal(0, 1)")
    assert read_body("for i in I: for j in J: a[i, j] = 1") == read_body("for i in I:", "    for j in J:", "        a[i, j] = 1")


def test_the_arms_of_a_match_in_a_one_line_block_follow_below() -> None:
    one_line = read_body("for n in N: x[n] ~ match z[n]:", "    0 | 1 -> Normal(0, 1)", "    _ -> Normal(1, 1)", "y = 1")
    assert one_line == read_body(
        "for n in N:", "    x[n] ~ match z[n]:", "        0 | 1 -> Normal(0, 1)", "        _ -> Normal(1, 1)", "y = 1"
    )


def test_an_underscore_fits_anything() -> None:
    (statement,) = read_body("x = match a, b:", "    0 | left, _ -> 1")
    assert isinstance(statement, tree.Deterministic) and isinstance(statement.value, tree.Match)
    patterns = statement.value.arms[0].patterns
    assert [len(pattern.alternatives) for pattern in patterns] == [2, 0]


def test_ends_of_lines_may_be_those_of_windows() -> None:
    text = "model m:\n    # what\n    x ~ Normal(0,\n        1)\n\n    y = 3\n"
    assert read(text.replace("\n", "\r\n")) == read(text)
    assert read(text.rstrip("\n")) == read(text)
    assert read("\ufeff" + text) == read(text)


def test_a_line_goes_on_inside_brackets() -> None:
    broken = read_body("a = [", "1,  # one", "", "       # two", "    2", "  ]", "b = f(x,", "y = 3)")
    assert broken == read_body("a = [1, 2]", "b = f(x, y = 3)")


def test_names_are_of_any_script() -> None:
    (statement,) = read_body("größe_1 = μ + 名前'")
    assert isinstance(statement, tree.Deterministic) and statement.target.name == "größe_1"


def test_numbers_and_ranges_do_not_run_together() -> None:
    (statement,) = read_body("for t in 1..T: x = y[t - 1..3] + 1e-3 + 2.5e10")
    assert isinstance(statement, tree.Plate) and isinstance(statement.binders[0].set, tree.Range)
    assert [node.value for node in every(statement) if isinstance(node, tree.Number)] == [1, 1, 3, 1e-3, 2.5e10]


def test_a_set_stands_where_a_type_stands_and_a_table_in_an_expression() -> None:
    state, plate = read_body("state s: {a, b} ~ {a: 1}", "for s in {a, b}: x[s] = 1")
    assert isinstance(state, tree.StateDeclaration) and isinstance(state.type.base, tree.SetLiteral)
    assert isinstance(state.initial, tree.TableLiteral)
    assert isinstance(plate, tree.Plate) and isinstance(plate.binders[0].set, tree.SetLiteral)


def test_the_first_text_of_a_model_is_its_documentation() -> None:
    model = read('agent a:\n    "What # it is."\n    x = 1\n').items[0]
    assert isinstance(model, tree.ModelDeclaration)
    assert (model.kind, model.doc, len(model.body)) == ("agent", "What # it is.", 1)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_places_nest_and_show_what_was_written(path) -> None:
    source = SourceText(path.name, path.read_text(encoding="utf-8"))
    file, findings = parse(source)
    assert not findings.items
    for node in every(file):
        text = node.span.text
        assert text == text.strip() or isinstance(node, tree.File)
        for child in children(node):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
        if isinstance(node, tree.Name) and not text.startswith("("):
            assert text == node.name + "'" * node.primes
        if isinstance(node, tree.Number) and not text.startswith("("):
            assert text == node.text
        if isinstance(node, tree.Call):
            assert text.strip("(").startswith(node.function.name) and text.endswith(")")
        if isinstance(node, tree.ModelDeclaration):
            assert node.name_span.text == node.name
        if isinstance(node, tree.Argument) and node.name_span:
            assert node.name_span.text == node.name


def every(node: tree.Node) -> list[tree.Node]:
    return [node, *(below for child in children(node) for below in every(child))]
