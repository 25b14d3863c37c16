"""Expressions: what the parser has recognised becomes nodes of the syntax tree.

Each function gets the children of one grammar rule, tokens included, for the place of a node reaches from its first token to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from ppl.source.text import Span
from ppl.syntax import tree

Child = Any  # a Token, a tree.Node or a Group: all have a span
Rules = dict[str, Callable[[list[Child]], Any]]
NodeType = TypeVar("NodeType", bound=tree.Node)


class Mistake(Exception):
    """A statement that the grammar allows and the language does not."""

    def __init__(self, code: str, message: str, span: Span, hint: str):
        super().__init__(message)
        self.code, self.message, self.span, self.hint = code, message, span, hint


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call is given, with its brackets."""

    items: tuple[tree.Argument, ...]
    span: Span


def span_of(children: Sequence[Child]) -> Span:
    return children[0].span.to(children[-1].span)


def all_of(kind: type[NodeType], children: Sequence[Child]) -> tuple[NodeType, ...]:
    return tuple(child for child in children if isinstance(child, kind))


def expressions(children: Sequence[Child]) -> tuple[tree.Expression, ...]:
    return all_of(tree.Expression, children)


def after(sign: str, children: Sequence[Child]) -> Child | None:
    """The child that follows the token of this text, if the rule has it."""
    for token, child in pairwise(children):
        if getattr(token, "text", None) == sign and not isinstance(token, tree.Node):
            return child
    return None


def name(children: list[Child]) -> tree.Name:
    token = children[0]
    word = token.text.rstrip("'")
    return tree.Name(word, len(token.text) - len(word), span=token.span)


def number(children: list[Child]) -> tree.Number:
    return tree.Number(children[0].text, span=children[0].span)


def truth(children: list[Child]) -> tree.Truth:
    return tree.Truth(children[0].text == "true", span=children[0].span)


def text(children: list[Child]) -> tree.Text:
    return tree.Text(children[0].text[1:-1], span=children[0].span)


def unary(children: list[Child]) -> tree.Unary:
    return tree.Unary(children[0].text, children[1], span=span_of(children))


def binary(children: list[Child]) -> tree.Binary:
    left, operator, right = children
    return tree.Binary(operator.text, left, right, span=span_of(children))


def conditional(children: list[Child]) -> tree.Conditional:
    return tree.Conditional(*expressions(children), span=span_of(children))


def brackets(children: list[Child]) -> tree.Expression:
    """Brackets leave no node; the place of what stands inside grows by them."""
    return replace(children[1], span=span_of(children))


def attribute(children: list[Child]) -> tree.Attribute:
    return tree.Attribute(children[0], children[2].text, span=span_of(children))


def index(children: list[Child]) -> tree.Index:
    return tree.Index(children[0], expressions(children[1:]), span=span_of(children))


def range_(children: list[Child]) -> tree.Range:
    return tree.Range(children[0], children[2], span=span_of(children))


def list_(children: list[Child]) -> tree.ListLiteral:
    return tree.ListLiteral(expressions(children), span=span_of(children))


def set_(children: list[Child]) -> tree.SetLiteral:
    return tree.SetLiteral(expressions(children), span=span_of(children))


def table(children: list[Child]) -> tree.TableLiteral:
    return tree.TableLiteral(all_of(tree.TableEntry, children), span=span_of(children))


def entry(children: list[Child]) -> tree.TableEntry:
    return tree.TableEntry(children[0], children[2], span=span_of(children))


def argument(children: list[Child]) -> tree.Argument:
    if len(children) == 1:
        return tree.Argument(None, children[0], span=children[0].span)
    return tree.Argument(children[0].text, children[2], name_span=children[0].span, span=span_of(children))


def arguments(children: list[Child]) -> Arguments:
    """Arguments in their brackets; those by position come before those by name."""
    items = all_of(tree.Argument, children)
    for before, later in pairwise(items):
        if before.name is not None and later.name is None:
            message = "an argument by position stands after one by name"
            raise Mistake("AIM0020", message, later.span, f"write its name before it, or move it before `{before.name} = …`")
    return Arguments(items, span_of(children))


def arguments_of(children: Sequence[Child]) -> tuple[tree.Argument, ...]:
    return next((child.items for child in children if isinstance(child, Arguments)), ())


def call(children: list[Child]) -> tree.Call:
    return tree.Call(name(children[:1]), arguments_of(children), span=span_of(children))


def comprehension(children: list[Child]) -> tree.Comprehension:
    binders = all_of(tree.Binder, children)
    return tree.Comprehension(name(children[:1]), children[2], binders, span=span_of(children))


def binder(children: list[Child]) -> tree.Binder:
    return tree.Binder(children[0].text, children[2], span=span_of(children))


RULES: Rules = {
    "name": name,
    "number": number,
    "truth": truth,
    "text": text,
    "unary": unary,
    "binary": binary,
    "conditional": conditional,
    "brackets": brackets,
    "attribute": attribute,
    "index": index,
    "range": range_,
    "list": list_,
    "set": set_,
    "table": table,
    "entry": entry,
    "argument": argument,
    "arguments": arguments,
    "call": call,
    "comprehension": comprehension,
    "binder": binder,
}
