"""`ppl check` and `ppl fmt`: what is wrong in files, and how they are laid out. Neither looks at any data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.library import find_file
from ppl.source.reading import read_source
from ppl.source.text import SourceText
from ppl.source.writing import write_atomically
from ppl.tools.messages import as_json, say, show_diagnostics
from ppl.tools.options import format_option


@click.command(short_help="Show the errors and warnings of files or folders.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@format_option
def check(files: tuple[str, ...], form: str) -> int:
    """Show the errors and warnings of files, or of all files in folders."""
    failed, found = False, []
    for path in aim_files(files):
        summary, diagnostics = _checked(path)
        failed = failed or any(d.severity == "error" for d in diagnostics)
        found += diagnostics
        if form == "text":
            show_diagnostics(diagnostics)
            if summary:
                click.echo(f"{path}: {summary}")
    if form == "json":
        click.echo(json.dumps([as_json(d) for d in found], indent=2, ensure_ascii=False))
    return int(failed)


def _checked(path: Path) -> tuple[str, tuple[Diagnostic, ...]]:
    """What a file holds where it is right, and everything that is to be said about it."""
    from ppl.api import load_file

    try:
        file = load_file(path)
    except AimError as error:
        return "", error.diagnostics
    models = [f"{model.kind} {model.name}" for model in file.typed.models.values()]
    tests = len(file.typed.tests)
    parts = [*models, *([f"{tests} test{'s' * (tests != 1)}"] if tests else [])]
    return f"correct ({', '.join(parts)})", tuple(file.warnings)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; status 1 if a file would change.")
def fmt(files: tuple[str, ...], only_check: bool) -> int:
    """Lay files out in the canonical way; `-` reads stdin and writes stdout."""
    if files == ("-",):
        click.echo(_formatted(SourceText("<stdin>", sys.stdin.read())), nl=False)
        return 0
    wrong, changed = False, False
    for path in aim_files(files):
        try:
            source = read_source(path)
            text = _formatted(source)
            if text == source.text:
                continue
            if not only_check:
                write_atomically(path, text)
        except AimError as error:
            show_diagnostics(error.diagnostics)
            wrong = True
        else:
            changed = True
            say(f"{path}: {'would change' if only_check else 'formatted'}")
    return int(wrong or (only_check and changed))


def _formatted(source: SourceText) -> str:
    """The canonical text. A file with mistakes in its syntax is left alone: AimError lists them."""
    from ppl.syntax.formatter import format_file
    from ppl.syntax.parser import parse

    tree, findings = parse(source)
    findings.raise_errors()
    return format_file(tree, source)


def aim_files(written: tuple[str, ...]) -> list[Path]:
    """The files that are meant, each once: those named, and every .aim file below the folders named."""
    found: dict[Path, None] = {}
    for name in written:
        path = find_file(name)
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(path.rglob("*.aim"))
        if not inside:
            raise AimError([Diagnostic("AIM0885", f"no .aim file in `{path}`")])
        found.update(dict.fromkeys(inside))
    return list(found)
