"""Recovery: an error stays in its statement, all of a file's are reported, and nothing makes the parser fail itself."""

from __future__ import annotations

import random

from reading import PROGRAMS, errors

from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.dump import dump
from ppl.syntax.parser import parse

MUTATIONS = 2000
SPLINTERS = [
    *[
        "match",
        "for",
        "in",
        "if",
        "then",
        "else",
        "and",
        "or",
        "not",
        "true",
        "inf",
        "state",
        "next",
        "model",
        "test",
        "q",
        "use",
        "to",
        "x",
        "1",
        "1.",
        ".5",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        "~",
        "=",
        "==",
        "->",
        "..",
        ",",
        "|",
        "^",
        "-",
        "+",
        "@",
        "'",
        '"',
        "#",
        "$",
        "²",
        "é",
        "\\",
        ";",
        "**",
    ],
    *("\t", "\n", "    ", "\r\n", "\n    ", "\n\n", " ", "\x00", "\u2028", "# c\n"),
]


def test_a_broken_statement_hides_no_other() -> None:
    text = "model m:\n    a = = 1\n    b = 2 2\n    for n in N:\n        c = (\n        d = 3\n        e = ]\n    f = 4 +\n\nmodel n:\n    g ~\n"
    assert errors(text) == [("AIM0001", 2), ("AIM0001", 3), ("AIM0003", 5), ("AIM0004", 7), ("AIM0002", 8), ("AIM0002", 11)]


def test_the_statements_around_a_broken_one_are_in_the_tree() -> None:
    file, _ = parse(SourceText("m.aim", "model m:\n    a = 1\n    b = = 2\n    c = 3\n"))
    model = file.items[0]
    assert isinstance(model, tree.ModelDeclaration)
    assert [s.target.name for s in model.body if isinstance(s, tree.Deterministic)] == ["a", "c"]


def test_the_block_below_a_broken_head_is_read() -> None:
    assert errors("model m(a = ):\n    x = = 1\n    for n N:\n        y = = 1\n    z = match:\n        0 -> = 1\n") == [
        ("AIM0001", line) for line in (1, 2, 3, 4, 5, 6)
    ]


def test_an_open_bracket_ends_before_the_next_statement() -> None:
    following = ("y ~ Normal(0, 1)", "y[0] = 3", "for n in N: y = 2", "state y: real", "next y = 3", "world:", "y = 3")
    for line in following:
        assert errors(f"model m:\n    x ~ Beta(1,\n    {line}\n    z = = 1\n")[0] == ("AIM0003", 2)
        assert ("AIM0001", 4) in errors(f"model m:\n    x ~ Beta(1,\n    {line}\n    z = = 1\n"), line


def test_a_tab_is_reported_once_a_line_and_the_line_is_read() -> None:
    assert errors("model m:\n\tx =\t1\n\ty == 2\n\t# a tab\there\n") == [("AIM0007", 2), ("AIM0007", 3), ("AIM0012", 3), ("AIM0007", 4)]


def test_a_very_long_and_a_very_deep_line_are_answered() -> None:
    items = ", ".join(["0.5 + 1"] * 5000)
    assert errors(f"model m:\n    x = [{items}]\n") == []
    assert errors(f"model m:\n    x = {'-' * 5000}1\n") == [("AIM0023", 2)]
    assert errors(f"model m:\n    x = {'f(' * 5000}1{')' * 5000}\n")[0] == ("AIM0023", 2)
    assert errors("model m:\n" + "".join(" " * (4 * k + 4) + "for n in N:\n" for k in range(60)))[0] == ("AIM0023", 31)
    assert errors("model m:\n    x = " + "1" * 5000 + "\n") == [("AIM0013", 2)]
    one_line = "for i in I: " * 500
    assert errors(f"model m:\n    {one_line}x = 1\n") == [("AIM0023", 2)]


def test_no_text_makes_the_parser_fail() -> None:
    chance = random.Random(0)
    texts = [path.read_text(encoding="utf-8") for path in PROGRAMS]
    for _ in range(MUTATIONS):
        source = SourceText("mutant.aim", mutated(chance.choice(texts), chance))
        file, findings = parse(source)
        for found in findings.items:
            assert found.span is not None and 0 <= found.span.start <= found.span.end <= len(source.text)
            assert str(found)
        dump(file)


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 2, 5))):
        start = chance.randrange(len(text) + 1)
        end = start + chance.choice((0, 1, 3, 10, 40))
        kind = chance.random()
        if kind < 0.5:
            text = text[:start] + chance.choice(SPLINTERS) + text[end:]
        elif kind < 0.8:
            text = text[:start] + text[end:]
        else:
            other = chance.randrange(len(text) + 1)
            text = text[:start] + text[other : other + chance.randrange(30)] + text[start:]
    return text
