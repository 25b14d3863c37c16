"""What the tests of the semantics share: from text to a checked file, or to its codes."""

from __future__ import annotations

from ppl.semantics.check import check
from ppl.semantics.typed import TypedFile
from ppl.source.diagnostics import Findings
from ppl.source.text import SourceText
from ppl.syntax.parser import parse

Library = dict[str, str]


def checked(text: str, library: Library | None = None) -> tuple[TypedFile, Findings]:
    """The typed file and everything found; `library` holds the files that may be imported, by module."""
    file, findings = parse(SourceText("model.aim", text.lstrip("\n")))
    known = library or {}
    load = lambda module: SourceText(f"{module}.aim", known[module]) if module in known else None  # noqa: E731
    return check(file, findings, load_import=load), findings


def typed(text: str, library: Library | None = None) -> TypedFile:
    """The typed file of a text without errors."""
    file, findings = checked(text, library)
    assert [str(found) for found in findings.errors] == []
    return file


def codes(text: str, library: Library | None = None) -> list[str]:
    """The codes of the errors in a text, in the order in which they are found."""
    return [found.code for found in checked(text, library)[1].errors]
