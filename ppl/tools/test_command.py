"""`ppl test`: runs the checks that travel with models, one line each, and shows what those that failed expected and found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ppl.source.diagnostics import AimError
from ppl.tools.file_commands import aim_files
from ppl.tools.messages import as_json, show_diagnostics
from ppl.tools.options import format_option

if TYPE_CHECKING:
    from ppl.engines.checks import TestResult


@dataclass
class Tally:
    """What has been counted so far."""

    passed: int = 0
    failed: int = 0
    broken: int = 0  # files that are wrong themselves

    @property
    def status(self) -> int:
        return 1 if self.broken else 3 if self.failed else 0

    def __str__(self) -> str:
        wrong = f", {self.broken} file{'s' * (self.broken != 1)} with errors" if self.broken else ""
        return f"{self.passed} passed, {self.failed} failed{wrong}"


@click.command(short_help="Run the `test` blocks of files or folders.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@format_option
def test(paths: tuple[str, ...], form: str) -> int:
    """Run the `test` blocks of files, or of all files in folders."""
    from ppl.api import run_tests

    tally, rows = Tally(), []
    for path in aim_files(paths):
        try:
            results = run_tests(path)
        except AimError as error:
            tally.broken += 1
            rows += [{"file": str(path), "error": as_json(d)} for d in error.diagnostics]
            if form == "text":
                show_diagnostics(error.diagnostics)
            continue
        for result in results:
            tally.passed += result.passed
            tally.failed += not result.passed
            rows.append(_row(result))
            if form == "text":
                click.echo(_line(result))
    if form == "json":
        click.echo(json.dumps({"passed": tally.passed, "failed": tally.failed, "tests": rows}, indent=2, ensure_ascii=False))
    else:
        click.echo(click.style(str(tally), fg="red" if tally.status else "green", bold=True))
    return tally.status


def _line(result: TestResult) -> str:
    mark = click.style("pass", fg="green") if result.passed else click.style("FAIL", fg="red", bold=True)
    head = f"{mark}  {result.file}: {result.title}  {click.style(f'{result.seconds:.2f} s', dim=True)}"
    return "\n".join([head, *(indented(message) for message in result.messages)])


def indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.split("\n"))


def _row(result: TestResult) -> dict[str, object]:
    return {
        "file": str(result.file),
        "title": result.title,
        "line": result.span.line if result.span is not None else None,
        "passed": result.passed,
        "seconds": result.seconds,
        "messages": list(result.messages),
    }
