"""The standard library keeps its promises: a file says its question and its source, runs by itself, and its data may be passed on.

That their `test` blocks hold is for pytest itself: it collects the files.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ppl.api import SourceFile, load_file
from ppl.source.library import library_files
from ppl.syntax.formatter import format_file

MODELS = Path(__file__).parent.parent / "models"
FILES = sorted(MODELS.rglob("*.aim"))
DATA = sorted(path for path in (MODELS / "data").iterdir() if path.suffix != ".md")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> SourceFile:
    return load_file(request.param)


def test_the_library_is_found() -> None:
    assert library_files() == FILES
    assert len(FILES) >= 7


def test_a_file_has_no_warnings_and_is_in_canonical_format(file: SourceFile) -> None:
    assert not file.warnings
    assert format_file(file.parsed, file.source) == file.source.text


def test_a_file_says_its_source_and_each_model_its_question(file: SourceFile) -> None:
    assert file.source.text.startswith("# Source: ")
    for model in file.typed.models.values():
        assert "?" in (model.doc or "")


def test_a_file_has_a_test_and_a_line_that_converges(file: SourceFile) -> None:
    assert file.typed.tests
    assert len(file.typed.fits) == 1
    assert file.fit_line(file.typed.fits[0]).converged


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_data_have_a_provenance_and_are_used(path: Path) -> None:
    provenance = (MODELS / "data" / "PROVENANCE.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{re.escape(path.name)}` \| .+ \| .+ \| .+ \|$", provenance, re.MULTILINE)
    assert any(f'csv("../data/{path.name}"' in one.read_text(encoding="utf-8") for one in FILES)
