"""The canonical form: the same tree, the same comments, and nothing left to change."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from reading import PROGRAMS, read, without_sd

from ppl.source.text import SourceText
from ppl.syntax.formatter import comments_of, format_file
from ppl.syntax.parser import parse

FORMATTED = Path(__file__).parent / "programs" / "every_construct.formatted"
ROUNDS = 120


def formatted(text: str) -> str:
    source = SourceText("test.aim", text)
    file, findings = parse(source)
    assert not findings.errors, str(findings.errors[0])
    return format_file(file, source)


def assert_lawful(text: str) -> None:
    """Formatting keeps tree and comments, and a second time changes nothing."""
    result = formatted(text)
    assert without_sd(read(result)) == without_sd(read(text))
    assert formatted(result) == result
    assert words_of_comments(result) == words_of_comments(text)


def words_of_comments(text: str) -> list[str]:
    return sorted(comment.text for comment in comments_of(SourceText("test.aim", text)))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_formatting_keeps_the_tree_and_is_idempotent(path: Path) -> None:
    assert_lawful(path.read_text(encoding="utf-8"))


def test_comments_and_line_ends_at_any_place_survive() -> None:
    chance = random.Random(1)
    texts = [path.read_text(encoding="utf-8") for path in PROGRAMS]
    lawful = 0
    for _ in range(ROUNDS):
        text = chance.choice(texts)
        for _ in range(chance.choice((1, 2, 4))):
            place = chance.choice([found.end() for found in re.finditer(r"[(\[{,\n]|\w(?=[)\]}])|$", text)])
            text = text[:place] + chance.choice(("\n", "  # c\n", "# d\n", "\n\n# e\n", "\n        # f\n", "\n\n")) + text[place:]
        if not parse(SourceText("test.aim", text))[1].errors:
            assert_lawful(text)
            lawful += 1
    assert lawful > ROUNDS / 2


def test_the_canonical_form_of_every_construct() -> None:
    text = (FORMATTED.parent / "every_construct.aim").read_text(encoding="utf-8")
    assert formatted(text) == FORMATTED.read_text(encoding="utf-8")


CASES = {
    "model m:\n  x~Normal( 0,1 )": "model m:\n    x ~ Normal(0, sd = 1)\n",
    "model m:\n    x ~ Normal(0, var = 1)\n    y ~ LogNormal(0, 1)\n": "model m:\n    x ~ Normal(0, var = 1)\n    y ~ LogNormal(0, 1)\n",
    "model m: x=2 ^ -1*( a+b )": "model m: x = 2^-1 * (a + b)\n",
    "model m:\n\n\n    x = 1\n\n\n\n    y = 2\nmodel n: z = 1": "model m:\n    x = 1\n\n    y = 2\n\nmodel n: z = 1\n",
    "type A={a,b}\ntype B=0..3\nfn f(x)=x": "type A = {a, b}\ntype B = 0..3\n\nfn f(x) = x\n",
    "model m:\n    x = ((1))\n    y = (a) - (b - c)\n": "model m:\n    x = 1\n    y = a - (b - c)\n",
    "model m:\r\n    x=1\r\n": "model m:\r\n    x = 1\r\n",
    "# a\n\n# b\nmodel m:\n    x = 1  # c\n    # d\n# e\n": "# a\n\n# b\nmodel m:\n    x = 1  # c\n    # d\n# e\n",
}


@pytest.mark.parametrize("text", CASES)
def test_canonical_form(text: str) -> None:
    assert formatted(text) == CASES[text]
    assert_lawful(text)


def test_what_does_not_fit_on_a_line_is_broken_at_its_brackets() -> None:
    text = "model m:\n    for n in N: x[n] ~ Mixture(weights_of_all, [" + ", ".join(f"Normal(mean_{k}, {k})" for k in range(1, 9)) + "])\n"
    assert all(len(line) <= 100 for line in formatted(text).splitlines())
    assert_lawful(text)
