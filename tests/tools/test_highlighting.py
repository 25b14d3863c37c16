"""Highlighters see the words of the language as its parser does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from pygments.lexers import load_lexer_from_file
from pygments.token import Comment, Error, Keyword, Name, Operator, String, Text

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.source.text import SourceText, Span
from ppl.syntax import parser
from ppl.syntax.tokens import vocabulary
from ppl.tools import editors
from ppl.tools.pygments_lexer import AimLexer
from ppl.tools.words import CONSTANTS, soft_keywords

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = sorted([*(REPOSITORY / "models").rglob("*.aim"), *(REPOSITORY / "tests" / "golden" / "good").rglob("*.aim")])


def lexed(text: str) -> dict[int, tuple[object, str]]:
    """The tokens by the place where they begin."""
    return {place: (kind, word) for place, kind, word in AimLexer().get_tokens_unprocessed(text)}


@pytest.fixture
def words_read(monkeypatch: pytest.MonkeyPatch) -> dict[int, bool]:
    """The place of each word that the parser reads, and whether it is a keyword there."""
    read: dict[int, bool] = {}
    keywords, feed = set(vocabulary().words.values()), parser.Reader.feed

    def spy(self: parser.Reader, type_: str, text: str = "", span: Span | None = None) -> object:
        if span is not None and text[:1].isalpha():
            read[span.start] = type_ in keywords
        return feed(self, type_, text, span)

    monkeypatch.setattr(parser.Reader, "feed", spy)
    return read


def test_keywords_are_those_of_the_parser(words_read: dict[int, bool]) -> None:
    """Everywhere in the library and the golden files: a soft keyword too is one just where the grammar takes it as one."""
    seen = 0
    for path in PROGRAMS:
        text = path.read_text("utf-8-sig").replace("\r\n", "\n")
        words_read.clear()
        _, findings = parser.parse(SourceText(path.name, text))
        if findings.errors:
            continue
        tokens = lexed(text)
        for place, is_keyword in words_read.items():
            assert place in tokens, (path, text[place : place + 20])
            assert (tokens[place][0] in (Keyword, Keyword.Constant, Operator)) == is_keyword, (path, tokens[place])
        seen += len(words_read)
    assert seen > 5000


def test_every_character_is_told() -> None:
    for path in PROGRAMS:
        text = path.read_text("utf-8-sig")
        tokens = list(AimLexer().get_tokens_unprocessed(text))
        assert "".join(word for _, _, word in tokens) == text
        assert not any(kind in (Error, Text) for _, kind, _ in tokens), path


def test_words_of_the_catalogue_have_kinds_of_their_own() -> None:
    for name in DISTRIBUTIONS:
        assert lexed(f"    x ~ {name}(1)")[8] == (Name.Class, name)
    for name in NAMED_FUNCTIONS:
        assert lexed(f"    x = {name}(1)")[8] == (Name.Builtin, name)
    assert all(lexed(f"    y = {constant}")[8] == (Keyword.Constant, constant) for constant in CONSTANTS)
    assert lexed("    input x: real[N]")[13] == (Keyword.Type, "real")
    assert lexed("# a ~ b")[0] == (Comment.Single, "# a ~ b")
    assert lexed('test "a # b":')[5] == (String.Double, '"a # b"')


@pytest.mark.parametrize("word", soft_keywords())
def test_soft_keywords_may_be_names(word: str) -> None:
    assert lexed(f"    {word} ~ Normal(0, 1)")[4] == (Name, word)
    assert lexed(f"    y = 2 * {word} + 1")[12] == (Name, word)


def test_pygments_finds_the_lexer() -> None:
    entry = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["pygments.lexers"]["aim"]
    module, _, name = entry.partition(":")
    assert (module, name) == (AimLexer.__module__, AimLexer.__name__)
    lexer = load_lexer_from_file(str(REPOSITORY / "ppl" / "tools" / "pygments_lexer.py"), name)
    assert "aim" in lexer.aliases and "*.aim" in lexer.filenames


# ------------------------------------------------------------------ files for editors
def test_files_for_editors_are_those_that_are_generated() -> None:
    """`python -m ppl.tools.editors docs/editors/vscode` writes them anew."""
    folder = REPOSITORY / "docs" / "editors" / "vscode"
    kept = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.json")}
    assert kept == {path: editors.as_text(content) for path, content in editors.files().items()}


def test_generated_files_refer_to_each_other(tmp_path: Path) -> None:
    editors.write(tmp_path)
    package = json.loads((tmp_path / "package.json").read_text())["contributes"]
    assert (tmp_path / package["languages"][0]["configuration"]).is_file()
    grammar = json.loads((tmp_path / package["grammars"][0]["path"]).read_text())
    assert grammar["scopeName"] == package["grammars"][0]["scopeName"]
    for pattern in grammar["patterns"]:
        assert re.compile(pattern["match"]).groups >= max(map(int, pattern["captures"]))


@pytest.mark.parametrize(
    ("line", "opens"),
    [
        ("model coin(a = 1):", True),
        ("    for n in N:  # a plate", True),
        ("    x = match a, b:", True),
        ("    input x: real[N]", False),
        ("    for n in N: x[n] ~ Normal(0, 1)", False),
    ],
)
def test_a_block_is_indented_after_its_head(line: str, opens: bool) -> None:
    pattern = editors.files()[editors.CONFIGURATION]["indentationRules"]["increaseIndentPattern"]
    assert bool(re.search(pattern, line)) == opens
