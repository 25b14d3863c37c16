"""What a person is told on stderr: diagnostics, coloured on a terminal, and how a bug of ours is reported."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from ppl.source.diagnostics import Diagnostic

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def show_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Each on stderr, as it is written in files that list mistakes; click drops the colours where there is no terminal."""
    for diagnostic in diagnostics:
        click.echo(_coloured(diagnostic), err=True)


def _coloured(diagnostic: Diagnostic) -> str:
    text = str(diagnostic)
    label = f"{diagnostic.severity}[{diagnostic.code}]"
    text = text.replace(label, click.style(label, fg=COLOURS[diagnostic.severity], bold=True), 1)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        gutter, bar, rest = line.partition("| ")
        if bar and not gutter.strip() and rest.lstrip().startswith("^"):
            lines[number] = gutter + bar + click.style(rest, fg=COLOURS[diagnostic.severity])
    return "\n".join(lines)


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic for programs: places count from 1, the end is the first column after it."""
    place: dict[str, Any] = {"file": diagnostic.where or None, "line": None, "column": None, "end_line": None, "end_column": None}
    if diagnostic.span is not None:
        span = diagnostic.span
        end_line, end_column = span.source.position(span.end)
        place = {"file": span.source.name, "line": span.line, "column": span.column, "end_line": end_line, "end_column": end_column}
    related = [{"file": r.span.source.name, "line": r.span.line, "column": r.span.column, "message": r.message} for r in diagnostic.related]
    what = {"code": diagnostic.code, "severity": diagnostic.severity, "message": diagnostic.message, "hint": diagnostic.hint or None}
    return {**what, **place, "related": related}


# ------------------------------------------------------------------ bugs
def show_bug(bug: Exception, arguments: list[str]) -> None:
    """Says that it is our mistake, and where the details are; with PPL_TRACEBACK=1 shows them at once."""
    if os.environ.get("PPL_TRACEBACK") == "1":
        traceback.print_exception(bug)
    reason = f"{type(bug).__name__}: {bug}".split("\n")[0][:200]
    report = _write_report(bug, arguments)
    hint = f"please send the report `{report}` with your file" if report else "run it with PPL_TRACEBACK=1 and send us what it prints"
    show_diagnostics([Diagnostic("AIM0900", f"this is a bug in ppl ({reason})", hint=hint)])


def _write_report(bug: Exception, arguments: list[str]) -> str | None:
    """The path of a file with the traceback and the versions; None where it cannot be written."""
    versions = [f"{name} {_version(name)}" for name in ("aim-ppl", "jax", "numpy", "lark")]
    head = [f"ppl {' '.join(arguments)}", f"python {platform.python_version()} on {platform.platform()}", *versions, ""]
    try:
        handle, path = tempfile.mkstemp(prefix="ppl-report-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(head) + "".join(traceback.format_exception(bug)))
    except OSError:
        return None
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def say(text: str) -> None:
    """A remark that is no result: on stderr, so that what is printed on stdout can be read by a program."""
    click.echo(text, err=True)


def on_terminal() -> bool:
    """Whether somebody watches stderr."""
    return sys.stderr.isatty()
