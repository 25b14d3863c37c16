"""Expressions in canonical form: brackets where precedence needs them, one space around operators that are not `^` and `..`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ppl.source.text import SourceText, Span
from ppl.syntax import tree
from ppl.syntax.pieces import Brackets, Item, Pieces

CONDITIONAL, OR, AND, NOT, COMPARISON, SUM, PRODUCT, MINUS, POWER, ATOM = range(10)
BINARY_LEVELS = {
    "or": OR,
    "and": AND,
    "^": POWER,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "@", "%"), PRODUCT),
}
OPERAND_LEVELS = {
    OR: (OR, AND),
    AND: (AND, NOT),
    COMPARISON: (SUM, SUM),
    SUM: (SUM, PRODUCT),
    PRODUCT: (PRODUCT, MINUS),
    POWER: (ATOM, MINUS),
}


@dataclass(frozen=True)
class Comment:
    span: Span
    alone: bool  # nothing stands before it on its line

    @property
    def text(self) -> str:
        return self.span.text.rstrip()


@dataclass
class ExpressionWriter:
    """Writes expressions; `waiting` are the comments that no bracket has taken yet."""

    source: SourceText
    waiting: list[Comment] = field(default_factory=list)

    def write(self, node: tree.Node, least: int = CONDITIONAL) -> Pieces:
        """The pieces of an expression, in brackets if it binds less than `least`."""
        pieces = self._bare(node)
        return ["(", *pieces, ")"] if _level(node) < least else pieces

    def _bare(self, node: tree.Node) -> Pieces:
        match node:
            case tree.Number(text):
                return [text]
            case tree.Text(value):
                return [f'"{value}"']
            case tree.Truth(value):
                return ["true" if value else "false"]
            case tree.Name(name, primes):
                return [name + "'" * primes]
            case tree.Unary("-", operand):
                return ["-", *self.write(operand, MINUS)]
            case tree.Unary(_, operand):
                return ["not ", *self.write(operand, NOT)]
            case tree.Binary(operator, left, right):
                least_left, least_right = OPERAND_LEVELS[BINARY_LEVELS[operator]]
                sign = operator if operator == "^" else f" {operator} "
                return [*self.write(left, least_left), sign, *self.write(right, least_right)]
            case tree.Conditional(condition, then, otherwise):
                return ["if ", *self.write(condition, OR), " then ", *self.write(then, OR), " else ", *self.write(otherwise)]
            case tree.Range(low, high):
                return [*self.write(low), "..", *self.write(high)]
            case tree.Attribute(base, name):
                return [*self.write(base, ATOM), f".{name}"]
            case _:
                return self._bracketed(node)

    def _bracketed(self, node: tree.Node) -> Pieces:
        match node:
            case tree.Index(base, indices):
                return [*self.write(base, ATOM), *self.indices(indices, node.span)]
            case tree.ListLiteral(items):
                return [self.brackets("[", "]", items, node.span)]
            case tree.SetLiteral(members):
                return [self.brackets("{", "}", members, node.span)]
            case tree.TableLiteral(entries):
                return [self.brackets("{", "}", entries, node.span)]
            case tree.TableEntry(key, value):
                return [*self.write(key), ": ", *self.write(value)]
            case tree.Call(function, arguments):
                return [function.name, self.brackets("(", ")", _named(function.name, arguments), node.span)]
            case tree.Comprehension(function, body, binders):
                return [function.name, "(", *self.write(body), " for ", *self.joined(binders), ")"]
            case tree.Argument(name, value):
                return [*([f"{name} = "] if name else []), *self.write(value)]
            case tree.Binder(name, domain):
                return [f"{name} in ", *self.write(domain)]
            case tree.TypeExpression(base, axes):
                return [*self.write(base), *(self.indices(axes, node.span) if axes else [])]
            case tree.Target(name, indices, primes):
                return [name + "'" * primes, *(self.indices(indices, node.span) if indices else [])]
            case tree.Pattern(alternatives):
                return self.joined(alternatives, " | ") if alternatives else ["_"]
            case tree.Parameter(name, type_, default):
                annotation: Pieces = [": ", *self.write(type_)] if type_ else []
                return [name, *annotation, *([" = ", *self.write(default)] if default else [])]
            case tree.Assignment(target, value):
                return [*self.write(target), " = ", *self.write(value)]
        raise TypeError(f"no form for {type(node).__name__}")

    def joined(self, nodes: Iterable[tree.Node], sign: str = ", ") -> Pieces:
        pieces: Pieces = []
        for node in nodes:
            pieces += [sign, *self.write(node)] if pieces else self.write(node)
        return pieces

    def indices(self, indices: Sequence[tree.Node], span: Span) -> Pieces:
        return [self.brackets("[", "]", indices, span)]

    def brackets(self, opener: str, closer: str, nodes: Sequence[tree.Node], span: Span) -> Brackets:
        """The nodes as items; the comments within the span that stand between them go with them."""
        items = [Item(self.write(node)) for node in nodes]
        starts = [node.span.line for node in nodes]
        brackets = Brackets(opener, closer, items, len(set(starts)) > 1)
        for comment in [c for c in self.waiting if span.start <= c.span.start < span.end]:
            self.waiting.remove(comment)
            _attach(comment, nodes, brackets)
        return brackets


def _attach(comment: Comment, nodes: Sequence[tree.Node], brackets: Brackets) -> None:
    """Put a comment behind the item that ends on its line, or above the item that follows."""
    line = comment.span.line
    for node, item in zip(nodes, brackets.items, strict=True):
        follows = node.span.end <= comment.span.start and _last_line(node) == line and not comment.alone
        if follows and not any(node.span.end <= other.span.start < comment.span.start for other in nodes):
            item.behind = comment.text
            return
        if comment.span.start < node.span.end:
            item.above.append(comment.text)
            return
    brackets.below.append(comment.text)


def _last_line(node: tree.Node) -> int:
    return node.span.source.position(max(node.span.start, node.span.end - 1))[0]


def _named(function: str, arguments: tuple[tree.Argument, ...]) -> tuple[tree.Argument, ...]:
    """`Normal(m, s)` says what the second argument is: in other languages it is a variance or a precision."""
    if function != "Normal" or [argument.name for argument in arguments] != [None, None]:
        return arguments
    mean, second = arguments
    return mean, tree.Argument("sd", second.value, span=second.span)


def _level(node: tree.Node) -> int:
    match node:
        case tree.Conditional():
            return CONDITIONAL
        case tree.Binary(operator):
            return BINARY_LEVELS[operator]
        case tree.Unary(operator):
            return MINUS if operator == "-" else NOT
    return ATOM
