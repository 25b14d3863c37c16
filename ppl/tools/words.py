"""How the words and signs of the language are told apart by a pattern: one table for every highlighter.

The words themselves are those of the grammar and the catalogue. A soft keyword is a name where `~`, `=`, `[` or `.` follows it;
elsewhere it is a keyword at the beginning of a statement, and behind another word or a closing bracket, where no name can stand.
Patterns keep to what Python's `re` and Oniguruma have in common, and to one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.semantics.sets import NUMBER_TYPES, SIZE_TYPE
from ppl.syntax.tokens import RESERVED, vocabulary

Kind = Literal[
    "comment", "string", "number", "keyword", "constant", "operator", "punctuation", "type", "distribution", "function", "defined", "name"
]  # fmt: skip

CONSTANTS = ("true", "false", "inf")
OPERATOR_WORDS = ("and", "or", "not")
DECLARING = ("model", "agent", "fn", "type", "approximate")
NAME = r"[^\W\d]\w*'*"
STATEMENT = r"(^[ \t]*|(?<=:)[ ]+)"  # what stands before a statement: the margin, or the head of a one-line block
NO_DEFINITION = r"(?!'|\s*[~=\[.])"


@dataclass(frozen=True)
class Rule:
    """A pattern whose groups cover all that it matches; `kinds` says what each of them is, None for blanks."""

    pattern: str
    kinds: tuple[Kind | None, ...]


def soft_keywords() -> tuple[str, ...]:
    """The words of the grammar that may also be names."""
    return tuple(sorted(set(vocabulary().words) - set(RESERVED)))


def types() -> tuple[str, ...]:
    return (*NUMBER_TYPES, SIZE_TYPE)


@cache
def rules() -> tuple[Rule, ...]:
    """The table. The first rule that matches at a place has the word."""
    soft = one_of(soft_keywords())
    hard = one_of(word for word in RESERVED if word not in (*CONSTANTS, *OPERATOR_WORDS))
    no_operator = "".join(rf"(?<!\b{word}[ ])" for word in RESERVED if word not in CONSTANTS)
    signs = vocabulary().signs
    operators = [sign for sign in signs if sign not in "()[]{},:."]
    return (
        Rule(r"(#.*)", ("comment",)),
        Rule(r'("[^"\r\n]*"?)', ("string",)),
        Rule(rf"{STATEMENT}({one_of(DECLARING)})([ ]+)({NAME})", (None, "keyword", None, "defined")),
        Rule(rf"{STATEMENT}({soft})\b{NO_DEFINITION}", (None, "keyword")),
        Rule(rf"(?<=[\w)\]}}\"'][ ]){no_operator}({soft})\b(?!:){NO_DEFINITION}", ("keyword",)),
        Rule(rf"(:)([ ]*)({one_of(types())})\b(?!')", ("punctuation", None, "type")),
        Rule(rf"\b({one_of(CONSTANTS)})\b", ("constant",)),
        Rule(rf"\b({one_of(OPERATOR_WORDS)})\b", ("operator",)),
        Rule(rf"\b({hard})\b", ("keyword",)),
        Rule(rf"\b({one_of(DISTRIBUTIONS)})\b", ("distribution",)),
        Rule(rf"\b({one_of(NAMED_FUNCTIONS)})\b(?=\()", ("function",)),
        Rule(rf"({NAME})", ("name",)),
        Rule(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)", ("number",)),
        Rule(f"({one_of(operators, escape=True)})", ("operator",)),
        Rule(r"([()\[\]{},:.])", ("punctuation",)),
    )


def one_of(words: Iterable[str], *, escape: bool = False) -> str:
    """A pattern for any of the words, the longest first."""
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return "(?:" + "|".join(re.escape(word) if escape else word for word in ordered) + ")"


def kind_at(line: str, column: int) -> Kind | None:
    """What the word or sign at a column of a line is."""
    place = 0
    while place <= column and place < len(line):
        rule, found = next(((r, m) for r, pattern in _compiled() if (m := pattern.match(line, place))), (None, None))
        if rule is not None and found is not None and found.end() > column:
            groups = enumerate(rule.kinds, 1)
            return next((kind for number, kind in groups if found.start(number) <= column < found.end(number)), None)
        place = found.end() if found is not None and found.end() > place else place + 1
    return None


@cache
def _compiled() -> tuple[tuple[Rule, re.Pattern[str]], ...]:
    return tuple((rule, re.compile(rule.pattern)) for rule in rules())
