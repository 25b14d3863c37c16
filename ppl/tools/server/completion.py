"""What may be written at a place: the grammar says which kinds of words, the model and the catalogue which words there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.catalogue.engines import ENGINES
from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.semantics.agents import EFE_OPTIONS
from ppl.semantics.scope import walk
from ppl.semantics.sets import set_from_literal
from ppl.semantics.types import name_type
from ppl.source.diagnostics import Findings
from ppl.syntax import tree
from ppl.syntax.expected import Expected, expected_at
from ppl.syntax.tokens import Token
from ppl.tools.server.definitions import of_file, of_model
from ppl.tools.server.document import Document
from ppl.tools.server.hover import parameter_names
from ppl.tools.server.keywords import KEYWORDS
from ppl.tools.words import types

Kind = Literal["keyword", "distribution", "function", "parameter", "variable", "index", "set", "member", "model", "engine"]
NAMED = ("FIT", "RUN", "APPROXIMATE")  # a model follows
NEW = ("MODEL", "AGENT", "TYPE", "FN", "INPUT", "STATE", "ACTION", "OBSERVE", "NETWORK", "FOR", "AS")  # a new name follows
HALF_WORD = re.compile(r"[^\W\d]\w*$")


@dataclass(frozen=True)
class Offer:
    """A word that may stand at the place, from `start` on; `text` is what is written."""

    label: str
    kind: Kind
    detail: str = ""
    text: str = ""


def complete(document: Document, offset: int) -> list[Offer]:
    """The words that may stand here, the likeliest first; each once."""
    half = HALF_WORD.search(document.source.text, document.source.line_starts[document.source.position(offset)[0] - 1], offset)
    start = half.start() if half is not None else offset
    expected = expected_at(document.source, start)
    if expected is None:
        return []
    found: dict[str, Offer] = {}
    for offer in _offers(document, expected, start):
        found.setdefault(offer.label, offer)
    return list(found.values())


def _offers(document: Document, expected: Expected, offset: int) -> Iterator[Offer]:
    before = expected.before.type if expected.before is not None else ""
    keywords = [Offer(word, "keyword", KEYWORDS.get(word, "")) for word in expected.keywords]
    if not expected.tokens:
        yield from keywords
    if before == "DOT":
        yield from _inner(document, expected, offset)
    elif before == "COLON" and expected.wants_name and not expected.wants_value and "LBRACE" in expected.accepted:
        yield from (Offer(name, "set", "a type") for name in types())
        yield from _sets(document, offset)
    elif before == "IN":
        yield from _sets(document, offset)
    elif before == "USE":
        yield from (Offer(engine.name, "engine", engine.summary) for engine in ENGINES.values())
    elif before in NAMED and len(expected.tokens) == 1:
        yield from (Offer(name, "model", model.doc or "") for name, model in document.models.items())
    elif before == "BY":
        yield Offer("efe", "function", f"options: {', '.join(EFE_OPTIONS)}", "efe(")
    elif before not in NEW:
        yield from _words(document, expected, offset, before)
    yield from keywords


def _words(document: Document, expected: Expected, offset: int, before: str) -> Iterator[Offer]:
    """Names and calls, distributions first where one is to come."""
    if expected.wants_value:
        yield from _arguments(expected)
    random = before == "TILDE" or _in_random(expected)
    if before in ("TILDE", "ARROW", "THEN", "ELSE") or (before in ("LPAR", "LSQB", "COMMA") and random):
        yield from _distributions(document)
    if expected.wants_name:
        yield from _names(document, expected, offset)
    if expected.wants_value:
        yield from (Offer(name, "function", "", f"{name}(") for name in NAMED_FUNCTIONS)
        yield from (
            Offer(d.name, "function", d.node.span.text, f"{d.name}(") for d in of_file(document.file.parsed) if d.role == "function"
        )
        yield from _sets(document, offset)


def _in_random(expected: Expected) -> bool:
    """Whether the innermost call is one of those that take distributions."""
    return bool(expected.calls) and expected.calls[0][0] in ("Mixture", "Truncated", "Ordered")


def _arguments(expected: Expected) -> Iterator[Offer]:
    """Parameters of the distribution, or options of the engine, whose brackets are open."""
    if not expected.calls or (expected.before is not None and expected.before.type not in ("LPAR", "COMMA")):
        return
    name, inside = expected.calls[0]
    given = {a.text for a, b in pairwise(inside) if b.type == "EQUAL"}
    if name in DISTRIBUTIONS:
        distribution = DISTRIBUTIONS[name]
        by_place = _by_place(inside)
        for slot in distribution.slots[by_place:]:
            if not any(one.name in given for one in slot):
                yield from (Offer(one.name, "parameter", f"{one.support}, of {name}", f"{one.name} = ") for one in slot)
    else:
        options = {option.name: option.meaning for option in ENGINES[name].options} if name in ENGINES else {}
        options = dict.fromkeys(EFE_OPTIONS, f"an option of {name}") if name == "efe" else options
        yield from (Offer(option, "parameter", told, f"{option} = ") for option, told in options.items() if option not in given)


def _by_place(inside: tuple[Token, ...]) -> int:
    """How many arguments are given by position."""
    depth, count, named = 0, 0, False
    for token in inside:
        depth += (token.type in ("LPAR", "LSQB", "LBRACE")) - (token.type in ("RPAR", "RSQB", "RBRACE"))
        named = named or (depth == 0 and token.type == "EQUAL")
        if depth == 0 and token.type == "COMMA":
            count, named = count + (not named), False
    return count


def _distributions(document: Document) -> Iterator[Offer]:
    for name, distribution in DISTRIBUTIONS.items():
        yield Offer(name, "distribution", f"{name}({', '.join(parameter_names(distribution))})", f"{name}(")
    for name, model in document.models.items():
        if model.kind == "model":
            yield Offer(name, "model", model.doc or "a model as a distribution", f"{name}(")


def _names(document: Document, expected: Expected, offset: int) -> Iterator[Offer]:
    """Indices of the loops around, what the model defines, and the members of its sets."""
    for header in expected.headers:
        for k, token in enumerate(header[:-1]):
            if token.type == "NAME" and header[k + 1].type == "IN":
                yield Offer(token.text, "index", "an index")
    name = document.model_at(offset)
    model, declaration = document.models.get(name or ""), document.declaration(name)
    definitions = of_model(declaration) if declaration is not None else {}
    for own in definitions.values():
        known = model.variables.get(own.name) if model is not None else None
        yield Offer(own.name, "variable", f"{own.role}: {name_type(known.type)}" if known is not None else own.role)
    if model is not None:
        yield from (Offer(v.name, "variable", f"{v.role}: {name_type(v.type)}") for v in model.variables.values() if "." not in v.name)
    yield from _members(document, declaration)


def _members(document: Document, declaration: tree.ModelDeclaration | None) -> Iterator[Offer]:
    items = (i for i in document.file.parsed.items if isinstance(i, tree.TypeDeclaration))
    for node in (*items, *([declaration] if declaration is not None else [])):
        for literal in walk(node):
            index_set = set_from_literal(literal, Findings()) if isinstance(literal, tree.SetLiteral) else None
            if index_set is not None:
                yield from (Offer(member, "member", f"a member of {index_set.key}") for member in index_set.members or ())


def _sets(document: Document, offset: int) -> Iterator[Offer]:
    for definition in of_file(document.file.parsed):
        if definition.role == "type":
            yield Offer(definition.name, "set", definition.node.span.text)
    model = document.models.get(document.model_at(offset) or "")
    for index_set in model.sets.values() if model is not None else ():
        if index_set.key.isidentifier():
            yield Offer(index_set.key, "set", "an index set")


def _inner(document: Document, expected: Expected, offset: int) -> Iterator[Offer]:
    """The variables of a submodel, behind its name and a point."""
    model = document.models.get(document.model_at(offset) or "")
    words = [token.text for token in expected.tokens if token.type in ("NAME", "DOT")]
    stem = "".join(words[-2:])
    for name, variable in model.variables.items() if model is not None else ():
        if name.startswith(stem) and "." not in name[len(stem) :]:
            yield Offer(name[len(stem) :], "variable", f"{variable.role}: {name_type(variable.type)}")
