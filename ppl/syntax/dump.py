"""A stable text of the syntax tree, for `ppl explain --stage tree` and for golden files: one node a line, without places."""

from __future__ import annotations

from dataclasses import fields

from ppl.syntax import tree


def dump(file: tree.File) -> str:
    """The tree, a node with its words on each line, its parts indented below by the names of the fields that hold them."""
    return "\n".join(_lines(file, "")) + "\n"


def _lines(node: tree.Node, label: str) -> list[str]:
    words, parts = [type(node).__name__], []
    for field in fields(node):
        value = getattr(node, field.name)
        if not field.compare or value is None or value == () or (field.name == "primes" and value == 0):
            continue
        if isinstance(value, tree.Node) or (isinstance(value, tuple) and not isinstance(value[0], str)):
            parts += _part(field.name, value)
        else:
            words.append(f"{field.name}={_word(value)}")
    return [label + " ".join(words), *("  " + line for line in parts)]


def _part(name: str, value: object) -> list[str]:
    """One node by the name of its field, several as a list below it."""
    if isinstance(value, tree.Node):
        return _lines(value, f"{name}: ")
    assert isinstance(value, tuple)
    items = [line for item in value for line in _part("block" if isinstance(item, tuple) else "-", item)]
    return [f"{name}:", *("  " + line.replace("-: ", "- ", 1) for line in items)]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f'"{value}"' if isinstance(value, str) else str(value)
