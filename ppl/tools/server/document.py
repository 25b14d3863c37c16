"""One open file as the server knows it: its text as it is being written, what is wrong with it, and what its models are.

A model that has a mistake just now is known as it was when it was last right, so that half a word does not take away what is known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ppl.api import SourceFile, examine
from ppl.semantics.typed import TypedModel
from ppl.source.diagnostics import Diagnostic, Findings
from ppl.source.text import SourceText, Span
from ppl.syntax import tree
from ppl.syntax.modules import find_import
from ppl.syntax.parser import parse
from ppl.syntax.tokens import Token, scan

WORDS = ("NAME", "PRIMED")


@dataclass(frozen=True)
class Document:
    """`models` are those of the file and of its imports by name; `texts` the other open files by their paths."""

    file: SourceFile
    diagnostics: tuple[Diagnostic, ...]
    models: Mapping[str, TypedModel] = field(repr=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def readable(self) -> bool:
        """Whether the syntax has no mistakes."""
        return not parse(self.source)[1].errors

    @property
    def source(self) -> SourceText:
        return self.file.source

    @cached_property
    def tokens(self) -> list[Token]:
        """All words and signs."""
        return [token for line in scan(self.source, Findings()) for token in line.tokens]

    @cached_property
    def _starts(self) -> list[int]:
        return [token.span.start for token in self.tokens]

    def word_at(self, offset: int) -> int | None:
        """The number of the word that the place is in, or just behind."""
        number = bisect_right(self._starts, offset) - 1
        for k in (number, number - 1):
            if k >= 0 and self.tokens[k].text[0].isidentifier() and self.tokens[k].span.start <= offset <= self.tokens[k].span.end:
                return k
        return None

    def item_at(self, offset: int) -> tree.TopLevel | None:
        """What of the top level the place is in, or behind."""
        return max((i for i in self.file.parsed.items if i.span.start <= offset), key=lambda i: i.span.start, default=None)

    def model_at(self, offset: int) -> str | None:
        """The name of the model that the place speaks of."""
        match self.item_at(offset):
            case tree.ModelDeclaration(name=name) | tree.FitLine(model=tree.Name(name=name)) | tree.RunLine(model=tree.Name(name=name)):
                return name
            case tree.ApproximateDeclaration(model=name):
                return name
            case tree.TestDeclaration(items=items):
                fitted = [i.model.name for i in items if isinstance(i, tree.FitLine | tree.RunLine) and i.span.start <= offset]
                return fitted[-1] if fitted else None
        return None

    def declaration(self, name: str | None) -> tree.ModelDeclaration | None:
        """The model of that name in this file."""
        return next((i for i in self.file.parsed.items if isinstance(i, tree.ModelDeclaration) and i.name == name), None)

    def place_of(self, span: Span | None) -> Span:
        """Where this file uses what a place of another file is about: the line of the submodel, or of the import."""
        whole = span
        while whole is not None and whole.source.name != self.source.name:
            whole = whole.within
        if whole is None and span is not None:
            imports = (i for i in self.file.parsed.items if isinstance(i, tree.Import))
            found = ((i, self.imported(i.module)) for i in imports)
            whole = next((i.module_span for i, text in found if text is not None and text.name == span.source.name), None)
        return whole or Span(self.source, 0, 0)

    def imported(self, module: str) -> SourceText | None:
        """The text of another file, as it is in the editor where it is open there."""
        return _imported(module, self.file.folder, self.texts)


def read_document(source: SourceText, folder: Path | None, before: Document | None, texts: Mapping[str, str]) -> Document:
    """Reads a text; `before` is the same file a moment ago."""
    file, errors = examine(source, folder, lambda module: _imported(module, folder, texts))
    there = {i.name for i in file.parsed.items if isinstance(i, tree.ModelDeclaration)}
    last = {name: model for name, model in before.models.items() if name in there} if before is not None else {}
    models = {**last, **file.typed.imported, **file.typed.models}
    return Document(file, (*errors, *file.warnings), models, texts)


def _imported(module: str, folder: Path | None, texts: Mapping[str, str]) -> SourceText | None:
    found = find_import(module, folder)
    return SourceText(found.name, texts.get(found.name, found.text)) if found is not None else None
