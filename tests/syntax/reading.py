"""What the tests of the syntax share: texts, the programs on disk, and trees without the names that the formatter adds."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.parser import parse

TESTS = Path(__file__).parents[1]
PROGRAMS = sorted(
    path for folder in (TESTS / "golden" / "good", TESTS / "syntax" / "programs", TESTS.parent / "models") for path in folder.rglob("*.aim")
)


def read(text: str) -> tree.File:
    """The tree of a text that has no error."""
    file, findings = parse(SourceText("test.aim", text))
    assert [str(found) for found in findings.items] == []
    return file


def read_body(*lines: str) -> tuple[tree.Statement, ...]:
    """The statements of a model that has these lines."""
    file = read("model m:\n" + "".join(f"    {line}\n" for line in lines))
    model = file.items[0]
    assert isinstance(model, tree.ModelDeclaration)
    return model.body


def read_expression(text: str) -> tree.Expression:
    (statement,) = read_body(f"x = {text}")
    assert isinstance(statement, tree.Deterministic)
    return statement.value


def errors(text: str) -> list[tuple[str, int]]:
    """Code and line of every error, in the order in which they are reported."""
    _, findings = parse(SourceText("test.aim", text))
    return [(found.code, found.span.line if found.span else 0) for found in findings.errors]


def without_sd(value: Any) -> Any:
    """A tree in which `Normal(m, sd = s)` reads `Normal(m, s)`."""
    if isinstance(value, tuple):
        return tuple(map(without_sd, value))
    if not isinstance(value, tree.Node):
        return value
    parts = {field.name: without_sd(getattr(value, field.name)) for field in fields(value) if field.compare}
    node: Any = replace(value, **parts)
    if isinstance(node, tree.Call) and node.function.name == "Normal" and [a.name for a in node.arguments] == [None, "sd"]:
        mean, sd = node.arguments
        return replace(node, arguments=(mean, replace(sd, name=None)))
    return node
