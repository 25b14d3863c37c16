"""Whole programs through the front end: the good ones without an error, the bad ones with exactly the text that is stored beside them.

With UPDATE_GOLDEN=1 in the environment the stored texts are written anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppl.semantics.check import check
from ppl.source.codes import CODES
from ppl.source.diagnostics import Diagnostic
from ppl.source.text import SourceText
from ppl.syntax.parser import parse

HERE = Path(__file__).parent
GOOD = sorted((HERE / "good").glob("*.aim"))
BAD = sorted((HERE / "bad").glob("*.aim"))


def imported(module: str) -> SourceText | None:
    """A program that another one imports, good or bad."""
    path = next((path for path in BAD + GOOD if path.stem == module), None)
    return path and SourceText(path.name, path.read_text(encoding="utf-8"))


def diagnostics(path: Path) -> list[Diagnostic]:
    """Everything that the front end says about a file; what a bad program cannot do yet belongs to it."""
    file, findings = parse(SourceText(path.name, path.read_bytes().decode("utf-8")))
    if findings.errors:
        return findings.items
    typed = check(file, findings, load_import=imported)
    cannot_run = [found for model in typed.models.values() for found in model.unsupported]
    return findings.items + (cannot_run if path in BAD else [])


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_program_has_no_error(path: Path) -> None:
    assert [str(found) for found in diagnostics(path) if found.severity == "error"] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_program_says_what_is_stored(path: Path) -> None:
    found = diagnostics(path)
    text = "\n".join(map(str, found)) + "\n"
    stored = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        stored.write_text(text, encoding="utf-8", newline="\n")
    assert text == stored.read_text(encoding="utf-8")
    code = path.name.partition("_")[0]
    assert code in {each.code for each in found}, f"{path.name} does not raise its own code"
    assert {each.code for each in found} <= set(CODES)
