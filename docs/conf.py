"""How the pages become a site: `sphinx-build -W -b html docs build/docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]

import pages_from_code  # noqa: E402  beside this file

import ppl  # noqa: E402
from ppl.tools.pygments_lexer import AimLexer  # noqa: E402

project = "aim-ppl"
release = version = ppl.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns: list[str] = []
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "aim-ppl"
html_copy_source = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"


def fill(app: Sphinx, page: str, content: list[str]) -> None:
    """What code knows already is written into a page where it says so."""
    folder = Path(app.env.doc2path(page)).parent
    content[0] = pages_from_code.without_folders(pages_from_code.filled(content[0]), folder)


def plain_docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text in which single backticks stand around code."""
    lines[:] = [pages_from_code.as_restructured(line) for line in lines]


def without_constructor(app: Sphinx, what: str, *of_it: object) -> tuple[str, None] | None:
    """Nobody makes a posterior by hand: `fit` does."""
    return ("", None) if what == "class" else None


def setup(app: Sphinx) -> None:
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("autodoc-process-signature", without_constructor)
    app.add_lexer("aim", AimLexer)
