"""Statements in canonical form, each on its own: the line that a statement is, or that begins its block, and what the block holds."""

from __future__ import annotations

from collections.abc import Sequence

from ppl.source.text import Span
from ppl.syntax import tree
from ppl.syntax.format_expressions import ExpressionWriter
from ppl.syntax.pieces import Pieces


def block_of(node: tree.Node) -> tuple[tree.Node, ...]:
    """The lines below the head of a statement."""
    match node:
        case tree.Plate() | tree.Generalized() | tree.World() | tree.ModelDeclaration():
            return node.body
        case tree.ApproximateDeclaration() | tree.TestDeclaration():
            return node.items
    value = _value_of(node)
    return value.arms if isinstance(value, tree.Match) else ()


def _value_of(node: tree.Node) -> tree.Expression | None:
    match node:
        case tree.Random() | tree.Prefer() | tree.Habit():
            return node.distribution
        case tree.Deterministic() | tree.Next() | tree.Observe():
            return node.value
        case tree.StateDeclaration():
            return node.initial
    return None


def head(node: tree.Node, writer: ExpressionWriter) -> Pieces:
    """The line of a statement without its block."""
    match node:
        case tree.TopLevel() | tree.Expect():
            return _top_level(node, writer)
        case tree.Factorisation() | tree.Form() | tree.Amortised() | tree.Use():
            return _approximation(node, writer)
        case tree.Arm(patterns, value):
            return [*writer.joined(patterns), " -> ", *writer.write(value)]
        case tree.Plate(binders):
            return ["for ", *writer.joined(binders), ":"]
        case tree.Generalized(binder, arguments):
            given: Pieces = [" ", *_arguments(arguments, binder.span.end, node, writer)] if arguments else []
            return ["generalized ", *writer.write(binder), *given, ":"]
        case tree.World():
            return ["world:"]
        case tree.FactorStatement(value):
            return ["factor ", *writer.write(value)]
        case tree.Network(name, value):
            return [f"network {name} = ", *writer.write(value)]
        case tree.Export(name):
            return [f"export {name}"]
        case tree.PlanStatement(targets, method):
            return ["plan ", *writer.joined(targets), " by ", *writer.write(method)]
        case tree.SubjectTo(condition):
            return ["subject to ", *writer.write(condition)]
    return _definition(node, writer)


def _definition(node: tree.Node, writer: ExpressionWriter) -> Pieces:
    """A statement that says what a variable is."""
    match node:
        case tree.Input(name, type_, default):
            return [f"input {name}: ", *writer.write(type_), *_related("=", default, writer)]
        case tree.Random(target, distribution):
            return [*writer.write(target), *_related("~", distribution, writer)]
        case tree.Deterministic(target, value):
            return [*writer.write(target), *_related("=", value, writer)]
        case tree.StateDeclaration(target, type_, relation, initial):
            return ["state ", *_typed(target, type_, writer), *_related(relation or "", initial, writer)]
        case tree.ActionDeclaration(target, type_):
            return ["action ", *_typed(target, type_, writer)]
        case tree.Next(target, relation, value):
            return ["next ", *writer.write(target), *_related(relation, value, writer)]
        case tree.Observe(target, type_, relation, value):
            return ["observe ", *_typed(target, type_, writer), *_related(relation, value, writer)]
        case tree.Prefer(target, distribution):
            return ["prefer ", *writer.write(target), *_related("~", distribution, writer)]
        case tree.Habit(target, distribution):
            return ["habit ", *writer.write(target), *_related("~", distribution, writer)]
    raise TypeError(f"no form for {type(node).__name__}")


def _top_level(node: tree.Node, writer: ExpressionWriter) -> Pieces:
    match node:
        case tree.Import(module, names):
            return [f"from {module} import {', '.join(names)}"]
        case tree.TypeDeclaration(name, value):
            return [f"type {name} = ", *writer.write(value)]
        case tree.FunctionDeclaration(name, parameters, value):
            return [f"fn {name}({', '.join(parameters)}) = ", *writer.write(value)]
        case tree.ModelDeclaration(kind, name, parameters):
            given = _arguments(parameters, node.name_span.end, node, writer) if parameters else []
            return [f"{kind} {name}", *given, ":"]
        case tree.ApproximateDeclaration(model, label):
            return [f"approximate {model}" + (f" as {label}" if label else "") + ":"]
        case tree.TestDeclaration(title):
            return [f'test "{title}":']
        case tree.FitLine(model, arguments, data):
            return ["fit ", *writer.write(model), *_arguments(arguments, model.span.end, node, writer), " to ", *writer.joined(data)]
        case tree.RunLine(model, arguments, steps, where):
            given = _arguments(arguments, model.span.end, node, writer)
            settings: Pieces = [" where ", *writer.joined(where)] if where else []
            return ["run ", *writer.write(model), *given, " for ", *writer.write(steps), " steps", *settings]
        case tree.Expect(subject, relation, value, within):
            tolerance: Pieces = [" within ", *writer.write(within)] if within else []
            return ["expect ", *writer.write(subject), *_related(relation or "", value, writer), *tolerance]
    raise TypeError(f"no form for {type(node).__name__}")


def _approximation(node: tree.Node, writer: ExpressionWriter) -> Pieces:
    match node:
        case tree.Factorisation(blocks):
            groups = [["q(", *writer.joined(block), ")"] for block in blocks]
            return [piece for k, group in enumerate(groups) for piece in ([" "] if k else []) + group]
        case tree.Form(targets, family):
            return ["q(", *writer.joined(targets), f"): {family}"]
        case tree.Amortised(targets, network, value):
            return ["q(", *writer.joined(targets), ") by network ", *writer.write(network), " = ", *writer.write(value)]
        case tree.Use(engine, arguments):
            return [f"use {engine}", *_arguments(arguments, node.span.start, node, writer)]
    raise TypeError(f"no form for {type(node).__name__}")


def _related(relation: str, value: tree.Expression | None, writer: ExpressionWriter) -> Pieces:
    if value is None:
        return []
    if isinstance(value, tree.Match):
        return [f" {relation} match ", *writer.joined(value.subjects), ":"]
    return [f" {relation} ", *writer.write(value)]


def _typed(target: tree.Target, type_: tree.TypeExpression, writer: ExpressionWriter) -> Pieces:
    return [*writer.write(target), ": ", *writer.write(type_)]


def _arguments(given: Sequence[tree.Node], start: int, node: tree.Node, writer: ExpressionWriter) -> Pieces:
    """What stands in the brackets of a head, which are no node of their own."""
    if not given:
        return []
    closing = node.span.source.text.find(")", given[-1].span.end)
    return [writer.brackets("(", ")", given, Span(node.span.source, start, closing))]
