"""What a word means at its place, in a few lines: a name of the model with its type, a distribution, a function, a keyword."""

from __future__ import annotations

from dataclasses import dataclass

from ppl.catalogue.distributions import DISTRIBUTIONS, Distribution, ParameterSignature
from ppl.catalogue.engines import ENGINES
from ppl.catalogue.functions import FUNCTIONS, NAMED_FUNCTIONS, Function
from ppl.semantics.dump import set_text
from ppl.semantics.motion_options import SCHEMES
from ppl.semantics.sets import set_from_type
from ppl.semantics.typed import IndexSet, TypedModel, Variable
from ppl.semantics.types import name_axis, name_type
from ppl.source.diagnostics import Findings
from ppl.source.text import Span
from ppl.syntax import tree
from ppl.syntax.lines import CLOSERS
from ppl.tools.server.definitions import Definition, defined_at
from ppl.tools.server.document import Document
from ppl.tools.server.families import Families
from ppl.tools.server.keywords import KEYWORDS
from ppl.tools.words import kind_at

LONGEST = 8  # lines of a statement that are shown


@dataclass(frozen=True)
class Hover:
    """Markdown, and the word that it is about."""

    text: str
    span: Span


def hover(document: Document, offset: int, families: Families) -> Hover | None:
    """What the word at the place means; None where it means nothing that is known."""
    number = document.word_at(offset)
    if number is None:
        return None
    span = document.tokens[number].span
    text = _meaning(document, number, families)
    return Hover(text, span) if text else None


def _meaning(document: Document, number: int, families: Families) -> str:
    token = document.tokens[number]
    word, start = token.text, token.span.start
    if kind_at(document.source.line(token.span.line), token.span.column - 1) in ("keyword", "constant", "operator", "type"):
        return KEYWORDS.get(word, "")
    if number and document.tokens[number - 1].text == "use" and word in ENGINES:
        options = ", ".join(ENGINES[word].option)
        return f"the engine `{word}`: {ENGINES[word].summary}{f'; options: {options}' if options else ''}"
    if number > 1 and document.tokens[number - 2].text == "scheme" and word in SCHEMES:
        return f"the scheme `{word}`: {SCHEMES[word]}"
    if (own := _parameter_of(document, number)) is not None:
        return own
    model = document.models.get(document.model_at(start) or "")
    name = _dotted(document, number)
    definition = defined_at(document, start)
    if model is not None and name in model.variables and not _is_index(definition):
        told = families.of(document.file, model.name).get(name, "")
        return _of_variable(model.variables[name], model, definition, told)
    if definition is not None:
        return _of_definition(definition, document)
    if word in DISTRIBUTIONS:
        return distribution_text(DISTRIBUTIONS[word])
    if word in NAMED_FUNCTIONS and _before_bracket(document, number):
        return function_text(FUNCTIONS[word])
    return _of_set(word, document, model)


def _is_index(definition: Definition | None) -> bool:
    return definition is not None and definition.role == "index"


def _dotted(document: Document, number: int) -> str:
    """`first.bias` for the word `bias` behind a point."""
    tokens, name = document.tokens, document.tokens[number].text.rstrip("'")
    while number >= 2 and tokens[number - 1].type == "DOT" and tokens[number - 2].type == "NAME":
        number -= 2
        name = f"{tokens[number].text}.{name}"
    return name


def _before_bracket(document: Document, number: int) -> bool:
    return number + 1 < len(document.tokens) and document.tokens[number + 1].type == "LPAR"


# ------------------------------------------------------------------ names of a model
def _of_variable(variable: Variable, model: TypedModel, definition: Definition | None, family: str) -> str:
    role = model.agent.roles.get(variable.name, variable.role) if model.agent is not None else variable.role
    lines = [_code(f"{role} {variable.name}: {name_type(variable.type)}")]
    if variable.type.axes:
        sets = dict.fromkeys(axis.set for axis in variable.type.axes if axis.set is not None)
        told = [text for text in (set_text(index_set, model) for index_set in sets) if text not in (s.key for s in sets)]
        lines.append(f"shape {' × '.join(map(name_axis, variable.type.axes))}" + (f", where {', '.join(told)}" if told else ""))
    if definition is not None and definition.role != "parameter":
        lines.append(_code(_written(definition.node)))
    if family:
        lines.append(f"believed as {family}")
    return "\n\n".join(lines)


def _of_definition(definition: Definition, document: Document) -> str:
    node = definition.node
    match node:
        case tree.ModelDeclaration(doc=doc):
            head = node.span.source.line(node.name_span.line).strip()
            return "\n\n".join([_code(head), *([doc] if doc else [])])
        case tree.Binder(name=name):
            return f"{_code(node.span.text)}\n\n`{name}` is an index"
    return f"{_code(_written(node))}\n\n{definition.role} `{definition.name}`"


def _written(node: tree.Node) -> str:
    """The statement as it stands in the file, its first lines."""
    text = node.span.text.rstrip().split("\n")
    indent = " " * (node.span.column - 1)
    return "\n".join(line.removeprefix(indent).rstrip() for line in text[:LONGEST]) + ("\n…" if len(text) > LONGEST else "")


def _of_set(word: str, document: Document, model: TypedModel | None) -> str:
    """An index set of the model, or a member of one; elsewhere a member of a type of the file."""
    if model is not None and word in model.sets:
        return f"{_code(set_text(model.sets[word], model))}\n\nan index set"
    types = (set_from_type(i, Findings()) for i in document.file.parsed.items if isinstance(i, tree.TypeDeclaration))
    sets = model.sets.values() if model is not None else filter(None, types)
    homes = [s for s in sets if word in (s.members or ())]
    return "\n\n".join(f"`{word}` is member {_place(word, home)} of `{home.key}`" for home in homes)


def _place(word: str, home: IndexSet) -> int:
    return (home.members or ()).index(word)


def _code(text: str) -> str:
    return f"```aim\n{text}\n```"


# ------------------------------------------------------------------ the catalogue
def _parameter_of(document: Document, number: int) -> str | None:
    """The meaning of `sd` in `Normal(0, sd = 1)`; None where the word is no parameter's name."""
    tokens = document.tokens
    if number + 1 >= len(tokens) or tokens[number + 1].type != "EQUAL":
        return None
    called = DISTRIBUTIONS.get(_called_around(document, number))
    signature = called.parameters.get(tokens[number].text) if called is not None else None
    return None if called is None or signature is None else f"{_code(_signature(signature))}\n\na parameter of {called.name}"


def _called_around(document: Document, number: int) -> str:
    """The name in front of the innermost bracket that is open at a word."""
    depth = 0
    for k in range(number - 1, 0, -1):
        type_ = document.tokens[k].type
        depth += (type_ in CLOSERS.values()) - (type_ in CLOSERS)
        if depth < 0:
            return document.tokens[k - 1].text
    return ""


def distribution_text(distribution: Distribution) -> str:
    """Its parameters with their alternatives, and its support."""
    slots = [" / ".join(map(_signature, slot)) for slot in distribution.slots]
    axes = f"[{', '.join(distribution.axes)}]" if distribution.axes else ""
    lines = [_code(f"{distribution.name}({', '.join(parameter_names(distribution))})"), *(f"- {slot}" for slot in slots)]
    remark = f"; {distribution.remark}" if distribution.remark else ""
    return "\n".join([*lines, "", f"support: {distribution.support}{axes}{remark}"])


def parameter_names(distribution: Distribution) -> list[str]:
    return [" / ".join(one.name for one in slot) for slot in distribution.slots]


def _signature(one: ParameterSignature) -> str:
    axes = f"[{', '.join(one.axes)}]" if one.axes else ""
    return f"{one.name}: {one.support}{axes}" + (" (may be left out)" if one.optional else "")


SHAPES: dict[str, str] = {
    "elementwise": "element by element; scalars fit any shape",
    "reduce": "of one array a number, of several arguments element by element",
    "vector": "a vector over the axis of its argument",
    "fill": "an array of these sizes",
    "eye": "the identity matrix of this size",
    "onehot": "a vector over the set, 1 at the member",
    "dot": "the inner product of two vectors",
    "outer": "the matrix of all products",
    "matmul": "the product of matrices",
    "diag": "a matrix with this diagonal, or the diagonal of a matrix",
    "transpose": "the matrix with its axes exchanged",
    "square": "of a square matrix one over the same axes",
    "square_to_number": "of a square matrix a number",
    "stack": "a vector of its arguments",
    "concat": "its arguments one after another",
    "length": "the size of an axis",
    "file": "the columns of a table in a file",
}


def function_text(function: Function) -> str:
    """How many arguments, what shape, what kind of value."""
    given = [f"x{k}" if function.most != 1 else "x" for k in range(1, (function.most or function.least) + 1)]
    optional = [f"{name}?" if k >= function.least else name for k, name in enumerate(given)]
    more = ", …" if function.most is None else ""
    kind = "" if function.kind == "same" else f", {function.kind}"
    head = f"{function.name}({', '.join(optional)}{more})"
    return f"{_code(head)}\n\n{SHAPES[function.shape]}{kind}"
