"""The table of the grammar: kept between processes where that is possible, built anew where it is not."""

from __future__ import annotations

import logging
from pathlib import Path

import lark
import pytest

from ppl.syntax import grammar as module
from ppl.syntax.grammar import grammar, grammar_text


def fresh() -> list[str]:
    """The terminals of a table that is not taken from this process."""
    return sorted(terminal.name for terminal in grammar.__wrapped__().terminals)


def test_the_table_is_stored_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = fresh()
    (stored,) = (tmp_path / "aim-ppl").iterdir()
    assert fresh() == built
    stored.write_bytes(b"no table")
    assert fresh() == built


def test_a_place_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert fresh()
    monkeypatch.setattr(module, "_cache_file", lambda text: tmp_path / "missing" / "table")
    assert fresh()


def test_the_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(grammar_text(), parser="lalr", lexer=module.NoLexer, keep_all_tokens=True, debug=True)
    assert "conflict" not in caplog.text
