"""Diagnostics: what is wrong, where, and what to do about it, each with a stable code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ppl.source.text import Span

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Related:
    """A second place that a diagnostic speaks of, with what it has to do with the first."""

    span: Span
    message: str


@dataclass(frozen=True)
class Diagnostic:
    """One message to the user.

    `span` is None for what has no place in a file (data, the command line); `where` then names the place
    (`data.json`). `hint` says what to do and is printed beside the caret.
    """

    code: str
    message: str
    span: Span | None = None
    hint: str = ""
    severity: Severity = "error"
    related: tuple[Related, ...] = ()
    where: str = ""

    def __str__(self) -> str:
        if self.span is None:
            head = f"{self.where}: " if self.where else ""
            tail = f"\n    {self.hint}" if self.hint else ""
            return f"{head}{self.severity}[{self.code}]: {self.message}{tail}" + "".join(map(_related, self.related))
        head = f"{self.span.source.name}:{self.span.line}:{self.span.column}: {self.severity}[{self.code}]: {self.message}"
        return head + "\n" + snippet(self.span, self.hint) + "".join(map(_related, (*self.related, *_uses(self.span))))


def _uses(span: Span) -> Iterator[Related]:
    """Where the submodels are used in whose text a place is, the innermost first."""
    while span.within is not None:
        span = span.within
        yield Related(span, "in the model that is used here")


def _related(related: Related) -> str:
    span = related.span
    return f"\n{span.source.name}:{span.line}:{span.column}: note: {related.message}\n{snippet(span, '')}"


def snippet(span: Span, hint: str) -> str:
    """The source line with the place underlined and the hint beside the carets."""
    line, column = span.line, span.column
    shown = span.source.line(line).expandtabs(1)
    width = max(1, min(span.end - span.start, len(shown) - column + 1))
    gutter = f"{line:>3} | "
    blank = " " * (len(gutter) - 2) + "| "
    carets = " " * (column - 1) + "^" * width + (f" {hint}" if hint else "")
    return f"{gutter}{shown}\n{blank}{carets}"


class AimError(Exception):
    """The file, the data or the request is wrong; `diagnostics` lists every finding with its place."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))


@dataclass
class Findings:
    """Collects diagnostics while a stage goes on to find more."""

    items: list[Diagnostic] = field(default_factory=list)

    def error(
        self, code: str, message: str, span: Span | None, hint: str = "", *, related: tuple[Related, ...] = (), where: str = ""
    ) -> None:
        self.add(Diagnostic(code, message, span, hint, related=related, where=where))

    def warning(self, code: str, message: str, span: Span | None, hint: str = "", *, where: str = "") -> None:
        self.add(Diagnostic(code, message, span, hint, severity="warning", where=where))

    def add(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self.items:
            self.items.append(diagnostic)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.items if d.severity == "error")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.items if d.severity != "error")

    def raise_errors(self) -> None:
        """Raise everything found, in the order of the source, if anything of it is an error."""
        if self.errors:
            raise AimError(in_order(self.errors))


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those without a place first, the others in the order of the source."""
    return sorted(diagnostics, key=lambda d: d.span.start if d.span else -1)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint "did you mean `x`?" for the nearest known name, or the empty string."""
    candidates = [k for k in known if k]
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not near:
        near = [k for k in candidates if k.lower() == name.lower()][:1]
    return f"did you mean `{near[0]}`?" if near else ""
