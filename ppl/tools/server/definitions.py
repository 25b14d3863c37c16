"""Where names are defined: what the top level of a file, and each statement of a model, gives a name to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ppl.semantics.scope import walk, word_span
from ppl.source.text import SourceText, Span
from ppl.syntax import tree
from ppl.syntax.format_statements import block_of
from ppl.syntax.parser import parse
from ppl.tools.server.document import Document


@dataclass(frozen=True)
class Definition:
    """`role` says what the name is; `span` is the name, `node` the whole statement."""

    name: str
    role: str
    span: Span
    node: tree.Node


def of_file(file: tree.File) -> Iterator[Definition]:
    """Types, functions and models."""
    for item in file.items:
        match item:
            case tree.ModelDeclaration():
                yield Definition(item.name, item.kind, item.name_span, item)
            case tree.TypeDeclaration():
                yield Definition(item.name, "type", word_span(item.span, f" {item.name}", 1), item)
            case tree.FunctionDeclaration():
                yield Definition(item.name, "function", word_span(item.span, f" {item.name}", 1), item)


def of_model(declaration: tree.ModelDeclaration) -> dict[str, Definition]:
    """What a model gives names to, each where it stands first."""
    found: dict[str, Definition] = {}
    for definition in (*map(_parameter, declaration.parameters), *_statements(declaration.body)):
        found.setdefault(definition.name, definition)
    return found


def _parameter(parameter: tree.Parameter) -> Definition:
    return Definition(parameter.name, "parameter", _first(parameter.span, parameter.name), parameter)


def _first(span: Span, name: str) -> Span:
    return Span(span.source, span.start, span.start + len(name))


def _statements(body: tuple[tree.Node, ...]) -> Iterator[Definition]:
    for statement in body:
        match statement:
            case tree.Input(name=name):
                yield Definition(name, "input", word_span(statement.span, f" {name}", 1), statement)
            case tree.Network(name=name):
                yield Definition(name, "network", word_span(statement.span, f" {name}", 1), statement)
            case tree.Random(target=target) | tree.Deterministic(target=target):
                role = "random" if isinstance(statement, tree.Random) else "deterministic"
                yield Definition(target.name, role, _first(target.span, target.name), statement)
            case tree.StateDeclaration(target=target) | tree.ActionDeclaration(target=target) | tree.Observe(target=target):
                role = {tree.StateDeclaration: "state", tree.ActionDeclaration: "action", tree.Observe: "outcome"}[type(statement)]
                yield Definition(target.name, role, _first(target.span, target.name), statement)
            case tree.Plate() | tree.Generalized() | tree.World():
                yield from _statements(block_of(statement))


def binder_at(node: tree.Node, name: str, offset: int) -> tree.Binder | None:
    """The loop around the place whose index has that name, the innermost."""
    inside = [n for n in walk(node) if n.span.start <= offset <= n.span.end]
    found = [b for n in inside for b in (*getattr(n, "binders", ()), *filter(None, (getattr(n, "binder", None),))) if b.name == name]
    return found[-1] if found else None


def defined_at(document: Document, offset: int) -> Definition | None:
    """What defines the word at a place, in this file or in one that it imports."""
    number = document.word_at(offset)
    if number is None:
        return None
    name = document.tokens[number].text.rstrip("'")
    declaration = document.declaration(document.model_at(offset))
    item = document.item_at(offset)
    binder = binder_at(item, name, offset) if item is not None else None
    if binder is not None:
        return Definition(name, "index", _first(binder.span, name), binder)
    if declaration is not None and name in (known := of_model(declaration)):
        return known[name]
    return next((d for d in of_file(document.file.parsed) if d.name == name), None) or _imported(document, name)


def _imported(document: Document, name: str) -> Definition | None:
    for item in document.file.parsed.items:
        if isinstance(item, tree.Import) and name in item.names:
            for module in (item.module, f"{item.module}.{name}"):
                source = document.imported(module)
                if source is not None:
                    return _in_source(source, name)
    return None


def _in_source(source: SourceText, name: str) -> Definition | None:
    return next((d for d in of_file(parse(source)[0]) if d.name == name), None)
