"""Statements and what stands at the top level: the counterpart of `build_expressions` for everything that takes a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ppl.source.text import Span
from ppl.syntax import tree
from ppl.syntax.build_expressions import Child, Rules, after, all_of, arguments_of, expressions, name, span_of


@dataclass(frozen=True, slots=True)
class Group:
    """The lines of a block."""

    items: tuple[tree.Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that could not be read; it leaves no node."""

    span: Span


def sequence(children: list[Child]) -> Group:
    """One line more; a new value each time, so that the parser may return to an earlier one."""
    before = children[0].items if isinstance(children[0], Group) else ()
    last = children[-1]
    return Group(before + (() if isinstance(last, Broken | Group) else (last,)), span_of(children))


def broken(children: list[Child]) -> Broken:
    return Broken(span_of(children))


def block(children: list[Child]) -> Group:
    lines = next((child for child in children if isinstance(child, Group)), None)
    return Group(lines.items if lines else all_of(tree.Node, children), span_of(children))


def model_block(children: list[Child]) -> Group:
    inner = block(children)
    documentation = all_of(tree.Text, children)
    statements = tuple(item for item in inner.items if not isinstance(item, tree.Text))
    return Group((*documentation, *statements), inner.span)


def documentation(children: list[Child]) -> tree.Text:
    return tree.Text(children[0].text[1:-1], span=children[0].span)


def lines_of(children: Sequence[Child]) -> tuple[Any, ...]:
    return next(child for child in reversed(children) if isinstance(child, Group)).items


# ------------------------------------------------------------------ statements
def target(children: list[Child]) -> tree.Target:
    word = name(children[:1])
    return tree.Target(word.name, expressions(children[1:]), word.primes, span=span_of(children))


def latent(children: list[Child]) -> tree.Target:
    """What an approximation speaks of: a variable, or one of a submodel by its dotted name."""
    whole = target(children)
    dots = [place for place, child in enumerate(children) if getattr(child, "text", "") == "."]
    return replace(whole, name=".".join([whole.name, *(children[place + 1].text for place in dots)]))


def type_(children: list[Child]) -> tree.TypeExpression:
    return tree.TypeExpression(children[0], expressions(children[1:]), span=span_of(children))


def value(children: list[Child]) -> tree.Expression:
    return children[0]


def match(children: list[Child]) -> tree.Match:
    return tree.Match(expressions(children), lines_of(children), span=span_of(children))


def arm(children: list[Child]) -> tree.Arm:
    return tree.Arm(all_of(tree.Pattern, children), expressions(children)[-1], span=span_of(children))


def pattern(children: list[Child]) -> tree.Pattern:
    alternatives = expressions(children)
    anything = any(isinstance(member, tree.Name) and member.name == "_" for member in alternatives)
    return tree.Pattern(() if anything else alternatives, span=span_of(children))


def input_(children: list[Child]) -> tree.Input:
    return tree.Input(children[1].text, children[3], after("=", children), span=span_of(children))


def random(children: list[Child]) -> tree.Random:
    return tree.Random(children[0], children[2], span=span_of(children))


def deterministic(children: list[Child]) -> tree.Deterministic:
    return tree.Deterministic(children[0], children[2], span=span_of(children))


def plate(children: list[Child]) -> tree.Plate:
    return tree.Plate(all_of(tree.Binder, children), lines_of(children), span=span_of(children))


def factor(children: list[Child]) -> tree.FactorStatement:
    return tree.FactorStatement(children[1], span=span_of(children))


def network(children: list[Child]) -> tree.Network:
    return tree.Network(children[1].text, children[3], span=span_of(children))


def export(children: list[Child]) -> tree.Export:
    return tree.Export(children[1].text, span=span_of(children))


def generalized(children: list[Child]) -> tree.Generalized:
    return tree.Generalized(children[1], arguments_of(children), lines_of(children), span=span_of(children))


def world(children: list[Child]) -> tree.World:
    return tree.World(lines_of(children), span=span_of(children))


def state(children: list[Child]) -> tree.StateDeclaration:
    relation = children[4].text if len(children) == 6 else None
    initial = children[5] if relation else None
    return tree.StateDeclaration(children[1], children[3], relation, initial, span=span_of(children))


def action(children: list[Child]) -> tree.ActionDeclaration:
    return tree.ActionDeclaration(children[1], children[3], span=span_of(children))


def next_(children: list[Child]) -> tree.Next:
    return tree.Next(children[1], children[2].text, children[3], span=span_of(children))


def observe(children: list[Child]) -> tree.Observe:
    return tree.Observe(children[1], children[3], children[4].text, children[5], span=span_of(children))


def prefer(children: list[Child]) -> tree.Prefer:
    return tree.Prefer(children[1], children[3], span=span_of(children))


def habit(children: list[Child]) -> tree.Habit:
    return tree.Habit(children[1], children[3], span=span_of(children))


def plan(children: list[Child]) -> tree.PlanStatement:
    return tree.PlanStatement(all_of(tree.Target, children), children[-2], span=span_of(children))


def subject_to(children: list[Child]) -> tree.SubjectTo:
    return tree.SubjectTo(children[2], span=span_of(children))


# ------------------------------------------------------------------ top level
def start(children: list[Child]) -> tuple[tree.TopLevel, ...]:
    return children[0].items if children else ()


def import_(children: list[Child]) -> tree.Import:
    middle = next(k for k, child in enumerate(children) if child.type == "IMPORT")
    module = children[1:middle]
    names = tuple(token.text for token in children[middle:] if token.type == "NAME")
    return tree.Import("".join(token.text for token in module), names, module_span=span_of(module), span=span_of(children))


def type_declaration(children: list[Child]) -> tree.TypeDeclaration:
    return tree.TypeDeclaration(children[1].text, children[3], span=span_of(children))


def function(children: list[Child]) -> tree.FunctionDeclaration:
    parameters = tuple(child.text for child in children[2:-2] if not isinstance(child, tree.Node) and child.type == "NAME")
    return tree.FunctionDeclaration(children[1].text, parameters, children[-2], span=span_of(children))


def parameter(children: list[Child]) -> tree.Parameter:
    return tree.Parameter(children[0].text, after(":", children), after("=", children), span=span_of(children))


def model(children: list[Child]) -> tree.ModelDeclaration:
    items = lines_of(children)
    doc = items[0].value if items and isinstance(items[0], tree.Text) else None
    body = items if doc is None else items[1:]
    parameters = all_of(tree.Parameter, children)
    word = children[1]
    return tree.ModelDeclaration(children[0].text, word.text, parameters, doc, body, name_span=word.span, span=span_of(children))


def approximate(children: list[Child]) -> tree.ApproximateDeclaration:
    label = after("as", children)
    word = children[1]
    return tree.ApproximateDeclaration(
        word.text, label.text if label else None, lines_of(children), model_span=word.span, span=span_of(children)
    )


def factor_group(children: list[Child]) -> Group:
    return Group(all_of(tree.Target, children), span_of(children))


def factorisation(children: list[Child]) -> tree.Factorisation:
    blocks: Any = tuple(child.items for child in children if isinstance(child, Group))
    return tree.Factorisation(blocks, span=span_of(children))


def form(children: list[Child]) -> tree.Form:
    return tree.Form(children[0].items, children[2].text, span=span_of(children))


def amortised(children: list[Child]) -> tree.Amortised:
    return tree.Amortised(children[0].items, children[3], children[5], span=span_of(children))


def use(children: list[Child]) -> tree.Use:
    return tree.Use(children[1].text, arguments_of(children), span=span_of(children))


def test(children: list[Child]) -> tree.TestDeclaration:
    return tree.TestDeclaration(children[1].text[1:-1], lines_of(children), span=span_of(children))


def assignment(children: list[Child]) -> tree.Assignment:
    return tree.Assignment(children[0], children[2], span=span_of(children))


def fit(children: list[Child]) -> tree.FitLine:
    return tree.FitLine(children[1], arguments_of(children), all_of(tree.Assignment, children), span=span_of(children))


def run(children: list[Child]) -> tree.RunLine:
    steps = after("for", children)
    assert steps is not None
    return tree.RunLine(children[1], arguments_of(children), steps, all_of(tree.Assignment, children), span=span_of(children))


def expect(children: list[Child]) -> tree.Expect:
    relation: Any = children[2].text if children[2].text in ("~", "=") else None
    compared = children[3] if relation else None
    return tree.Expect(children[1], relation, compared, after("within", children), span=span_of(children))


RULES: Rules = {
    "items": sequence,
    "statements": sequence,
    "arms": sequence,
    "approximations": sequence,
    "checks": sequence,
    "broken": broken,
    "block": block,
    "model_block": model_block,
    "documentation": documentation,
    "target": target,
    "latent": latent,
    "type": type_,
    "value": value,
    "match": match,
    "arm": arm,
    "pattern": pattern,
    "input": input_,
    "random": random,
    "deterministic": deterministic,
    "plate": plate,
    "factor": factor,
    "network": network,
    "export": export,
    "generalized": generalized,
    "world": world,
    "state": state,
    "action": action,
    "next": next_,
    "observe": observe,
    "prefer": prefer,
    "habit": habit,
    "plan": plan,
    "subject_to": subject_to,
    "start": start,
    "import": import_,
    "type_declaration": type_declaration,
    "function": function,
    "parameter": parameter,
    "model": model,
    "approximate": approximate,
    "factor_group": factor_group,
    "factorisation": factorisation,
    "form": form,
    "amortised": amortised,
    "use": use,
    "test": test,
    "assignment": assignment,
    "fit": fit,
    "run": run,
    "expect": expect,
}
