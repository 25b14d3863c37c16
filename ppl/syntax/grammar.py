"""The grammar file, found and made into a table: `grammar/aim.lark` in a checkout, a copy of it in an installed package.

The table is kept in the user's cache directory, for building it costs more than everything else that the front end does.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lark
from lark.lexer import Lexer

from ppl.syntax import build_expressions, build_statements

PLACES = (Path(__file__).parents[1] / "_data" / "grammar" / "aim.lark", Path(__file__).parents[2] / "grammar" / "aim.lark")


class NoLexer(Lexer):
    """Lark is fed with tokens: nothing is left to its own lexers."""

    def __init__(self, lexer_conf: Any):
        pass

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[lark.Token]:
        return iter(())


def grammar_text() -> str:
    path = next((place for place in PLACES if place.is_file()), PLACES[-1])
    return path.read_text(encoding="utf-8")


@cache
def grammar() -> lark.Lark:
    """The LALR table of the grammar, with the functions that build the syntax tree."""
    text = grammar_text()
    stored = _cache_file(text)
    if stored is None or stored.exists():
        return _table(text, stored)
    try:
        handle, fresh = tempfile.mkstemp(dir=stored.parent, prefix=stored.name)
        os.close(handle)
        table = _table(text, Path(fresh))
        os.replace(fresh, stored)  # at once, so that no other process reads half of it
        return table
    except OSError:
        return _table(text, None)


def _table(text: str, stored: Path | None) -> lark.Lark:
    rules = {**build_expressions.RULES, **build_statements.RULES}
    return lark.Lark(
        text,
        parser="lalr",
        lexer=NoLexer,
        keep_all_tokens=True,
        maybe_placeholders=False,
        transformer=SimpleNamespace(**rules),
        cache=str(stored) if stored else False,
    )


def _cache_file(text: str) -> Path | None:
    """Where the table is kept, or None where nothing can be written."""
    version = f"{lark.__version__} {sys.version_info[:2]}\n"
    name = hashlib.sha256((version + text).encode()).hexdigest()[:16]
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "aim-ppl"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder / f"grammar-{name}.pickle"
