"""`ppl new` and `ppl models`: where to begin."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.library import library_files, library_folder
from ppl.source.writing import write_atomically
from ppl.tools.messages import say
from ppl.tools.options import format_option
from ppl.tools.starter import starter


@click.command()
@click.argument("name", metavar="NAME")
def new(name: str) -> None:
    """Write a commented starter file NAME.aim that runs as it is."""
    path = Path(name if name.endswith(".aim") else f"{name}.aim")
    model = path.stem.replace("-", "_").replace(" ", "_")
    if not re.fullmatch(r"[^\W\d]\w*", model):
        raise click.UsageError(f"`{path.stem}` cannot be the name of a model: begin with a letter, go on with letters, digits and _")
    if path.exists():
        raise AimError([Diagnostic("AIM0884", f"`{path}` exists already", hint="take another name, or remove the file first")])
    write_atomically(path, starter(model, path.name))
    say(f"wrote {path}\ntry: ppl run {path}")


@click.command(short_help="List the standard library, a line for each model.")
@format_option
def models(form: str) -> None:
    """List the standard library: each file, its models and what they are."""
    rows = [row for path in library_files() for row in _described(path)]
    if form == "json":
        click.echo(json.dumps([dict(zip(("file", "model", "doc"), row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
        return
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for file, model, doc in rows:
        click.echo(f"{file.ljust(widths[0])}  {model.ljust(widths[1])}  {doc}".rstrip())
    if not rows:
        say(f"no models in {library_folder()}")


def _described(path: Path) -> list[tuple[str, str, str]]:
    """For each model of a file: where it is, its name, the first line of its docstring."""
    from ppl.api import load_file

    file = f"models/{path.relative_to(library_folder()).as_posix()}"
    try:
        found = load_file(path).typed.models.values()
    except AimError as error:
        return [(file, "", f"has {len(error.diagnostics)} errors: see ppl check {path}")]
    return [(file, model.name, (model.doc or "").strip().partition("\n")[0]) for model in found]
