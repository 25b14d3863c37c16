"""The outline of a file: its types, functions, models with what these define, approximations and tests."""

from __future__ import annotations

from dataclasses import dataclass

from ppl.source.text import Span
from ppl.syntax import tree
from ppl.tools.server.definitions import Definition, of_file, of_model


@dataclass(frozen=True)
class Entry:
    """`span` is the name, which lies in `whole`."""

    name: str
    role: str
    span: Span
    whole: Span
    inside: tuple[Entry, ...] = ()


def outline(file: tree.File) -> list[Entry]:
    """The entries in the order of the file."""
    entries = [_entry(definition) for definition in of_file(file)]
    for item in file.items:
        if isinstance(item, tree.TestDeclaration):
            entries.append(Entry(item.title or "test", "test", item.span, item.span))
        elif isinstance(item, tree.ApproximateDeclaration):
            label = f" as {item.label}" if item.label else ""
            entries.append(Entry(f"{item.model}{label}", "approximation", item.model_span, item.span))
    return sorted(entries, key=lambda entry: entry.whole.start)


def _entry(definition: Definition) -> Entry:
    inside = of_model(definition.node).values() if isinstance(definition.node, tree.ModelDeclaration) else ()
    whole = definition.node.span
    return Entry(definition.name, definition.role, _within(definition.span, whole), whole, tuple(map(_entry, inside)))


def _within(span: Span, whole: Span) -> Span:
    """LSP wants the name inside of the whole."""
    return span if whole.start <= span.start and span.end <= whole.end else whole
