"""Nothing that is half typed stops the server: library models cut anywhere go through every answer."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.workspace import Workspace

from ppl.catalogue.functions import FUNCTIONS, NAMED_FUNCTIONS
from ppl.source.text import SourceText
from ppl.syntax.formatter import format_file
from ppl.syntax.tokens import vocabulary
from ppl.syntax.tree import ModelDeclaration
from ppl.tools.server.completion import complete
from ppl.tools.server.definitions import defined_at
from ppl.tools.server.document import Document, read_document
from ppl.tools.server.families import Families
from ppl.tools.server.hover import function_text, hover
from ppl.tools.server.keywords import KEYWORDS
from ppl.tools.server.outline import outline
from ppl.tools.server.protocol import AimServer
from ppl.tools.words import types

MODELS = Path(__file__).parents[3] / "models"
CUTS = 6


class NoFamilies(Families):
    def of(self, file, model):  # type: ignore[override]
        return {}


@pytest.mark.parametrize("path", sorted(MODELS.rglob("*.aim")), ids=lambda p: p.stem)
def test_a_cut_file_is_answered(path: Path) -> None:
    text, rng = path.read_text("utf-8-sig"), random.Random(path.stem)
    server, families, before = AimServer(), NoFamilies(), None
    server.protocol._workspace = Workspace(None)
    for k in range(CUTS):
        cut = rng.randrange(len(text) + 1)
        end = "" if k % 2 else text[cut + rng.randrange(1, 40) :]
        source = SourceText(str(path), text[:cut] + end)
        before = read_document(source, path.parent, before, {})
        answer(server, families, before, cut)
        answer(server, families, before, rng.randrange(len(source.text) + 1))


def answer(server: AimServer, families: Families, document: Document, offset: int) -> None:
    source = document.source
    assert server.offset(source, server.position(source, offset)) == offset
    hover(document, offset, families)
    complete(document, offset)
    found = defined_at(document, offset)
    assert found is None or found.span.text == found.name
    for entry in outline(document.file.parsed):
        for inner in (entry, *entry.inside):
            assert inner.whole.start <= inner.span.start <= inner.span.end <= inner.whole.end
    for diagnostic in document.diagnostics:
        told = server.diagnostic(diagnostic, "file:///x.aim", document)
        assert isinstance(told, lsp.Diagnostic) and told.range.start <= told.range.end
    if document.readable:
        format_file(document.file.parsed, source)


@pytest.mark.parametrize("path", sorted(MODELS.rglob("*.aim")), ids=lambda p: p.stem)
def test_every_word_of_a_model_means_something(path: Path) -> None:
    """All but the names of options, which stand before `=`, and the functions that are no functions of values."""
    document = read_document(SourceText(str(path), path.read_text()), path.parent, None, {})
    for token, after in pairwise(document.tokens):
        if (
            token.type != "NAME"
            or token.text in ("_", "efe", "mlp")
            or not isinstance(document.item_at(token.span.start), ModelDeclaration)
        ):
            continue
        assert hover(document, token.span.start, NoFamilies()) or after.text == "=", (token.text, token.span.line)


def test_each_keyword_and_type_has_its_line() -> None:
    assert set(KEYWORDS) == {*vocabulary().words, *types()}
    assert all("\n" not in line for line in KEYWORDS.values())


@pytest.mark.parametrize("name", NAMED_FUNCTIONS)
def test_each_function_has_its_signature(name: str) -> None:
    function = FUNCTIONS[name]
    head = function_text(function).splitlines()[1]
    assert head.startswith(f"{name}(") and head.count(",") >= function.least - 1
