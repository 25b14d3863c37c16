"""What is checked and cannot run yet: one diagnostic for each kind, which stops a run and not a check."""

from __future__ import annotations

from ppl.source.diagnostics import Diagnostic
from ppl.source.text import Span
from ppl.syntax import tree


def generalized(statement: tree.Generalized) -> Diagnostic:
    return _not_yet("AIM0702", "a `generalized` block", _first_line(statement.span))


def _not_yet(code: str, what: str, span: Span) -> Diagnostic:
    return Diagnostic(code, f"{what} is not supported yet", span)


def _first_line(span: Span) -> Span:
    text = span.text.split("\n", 1)[0]
    return Span(span.source, span.start, span.start + len(text.rstrip()))
