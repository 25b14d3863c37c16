"""A bound on how deep a tree may be, so that the later stages may walk it by recursion."""

from __future__ import annotations

from dataclasses import fields

from ppl.source.diagnostics import Findings
from ppl.syntax import tree
from ppl.syntax.lines import Line

DEEPEST = 100
SHORT = 80  # a line of so few tokens cannot be too deep


def report_depth(file: tree.File, lines: list[Line], findings: Findings) -> None:
    """Report the first expression that is nested too deeply, without recursion."""
    if all(len(line.tokens) < SHORT for line in lines):
        return
    waiting: list[tuple[tree.Node, int]] = [(file, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            findings.error("AIM0023", "this expression is nested too deeply", node.span, "give a part of it a name of its own")
            return
        waiting.extend((child, depth + 1) for child in children(node))


def children(node: tree.Node) -> list[tree.Node]:
    """The nodes right below this one, in the order of the source."""
    below: list[tree.Node] = []
    for field in fields(node):
        if field.compare:
            _collect(getattr(node, field.name), below)
    return below


def _collect(value: object, below: list[tree.Node]) -> None:
    if isinstance(value, tree.Node):
        below.append(value)
    elif isinstance(value, tuple):
        for item in value:
            _collect(item, below)
