"""The pages of the reference hold all that the code has: what is read from it is whole."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from ppl.api import line_values, load_file
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.catalogue.engines import ENGINES
from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.graph.drawing import own_svg
from ppl.semantics.agents import EFE_OPTIONS
from ppl.semantics.motion_options import OPTIONS
from ppl.source.codes import CODES
from ppl.source.library import library_files
from ppl.tools.command_line import COMMANDS

PICTURES = ("gaussian_mixture", "tmaze")  # models of the library of which `ppl graph` draws pictures for the pages
DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def parts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages_from_code", DOCS / "pages_from_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("distributions", [f"`{name}`" for name in DISTRIBUTIONS]),
        ("functions", [f"`{name}`" for name in NAMED_FUNCTIONS]),
        ("engines", [f"`{option}`" for engine in ENGINES.values() for option in engine.option]),
        ("planning", [f"`{name}`" for name in EFE_OPTIONS]),
        ("generalized", [f"`{name}`" for name in OPTIONS]),
        ("diagnostics", [f"### {code}: {title}" for code, title in CODES.items()]),
        ("command_line", [f"## ppl {name}\n" for name in COMMANDS]),
        ("grammar", ["model:", "?statement:", "NUMBER:"]),
    ],
)
def test_a_part_holds_every_name(parts: ModuleType, part: str, names: list[str]) -> None:
    text = getattr(parts, part)()
    assert [name for name in names if name not in text] == []


def test_every_place_in_a_page_is_filled(parts: ModuleType) -> None:
    places = {page: parts.PLACE.findall(page.read_text(encoding="utf-8")) for page in sorted(DOCS.rglob("*.md"))}
    assert sorted(name for found in places.values() for name in found) == sorted(parts.PARTS)
    assert not any(parts.PLACE.search(parts.filled(page.read_text(encoding="utf-8"))) for page, found in places.items() if found)


def test_the_limits_that_are_told_are_those_of_the_code(parts: ModuleType) -> None:
    assert len(re.findall(r"^\| [\d.,]+ \|", parts.limits(), re.MULTILINE)) == len(parts.LIMITS)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_what_is_drawn_of_the_models(name: str) -> None:
    """By the layout that needs no Graphviz; UPDATE_GOLDEN=1 draws them anew."""
    (path,) = (path for path in library_files() if path.stem == name)
    file = load_file(path)
    fits = [dict(line_values(line, file.model().typed, file.folder)) for line in file.typed.fits]
    drawn = own_svg(file.model().graph(*fits))
    stored = DOCS / "images" / f"{name}.svg"
    if os.environ.get("UPDATE_GOLDEN"):
        stored.write_text(drawn, encoding="utf-8", newline="\n")
    assert drawn == stored.read_text(encoding="utf-8")


def test_every_picture_is_drawn_and_shown() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")])
    assert sorted(path.name for path in (DOCS / "images").glob("*.svg")) == sorted(f"{name}.svg" for name in PICTURES)
    assert all(f"images/{path.relative_to(DOCS / 'images')})" in shown for path in (DOCS / "images").rglob("*.png"))
    assert all(f"images/{name}.svg)" in shown for name in PICTURES)
