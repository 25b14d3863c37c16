"""Words and signs: one physical line of text becomes tokens, each with its place.

Lines come first because an error must not reach beyond its statement: no string and no number crosses a line end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from ppl.source.diagnostics import Findings
from ppl.source.text import SourceText, Span
from ppl.syntax.grammar import grammar

RESERVED = ("in", "if", "then", "else", "and", "or", "not", "match", "for", "true", "false", "inf")
TAB_WIDTH = 4

FOREIGN = {
    "**": "a power is written `^`",
    "&&": "write `and`",
    "||": "write `or`",
    "//": "a comment begins with `#`; a whole quotient is `floor(a / b)`",
    "+=": "a variable is defined once, with `=` or `~`",
    "-=": "a variable is defined once, with `=` or `~`",
    ":=": "write `=`",
    ";": "a statement ends with its line",
    "'": "text stands in double quotes",
    "!": "write `not`",
    "&": "write `and`",
    "\u00d7": "write `*`",
    "\u00b7": "write `*`",
    "\u2212": "write `-`",
    "\u2013": "write `-`",
    "\u2264": "write `<=`",
    "\u2265": "write `>=`",
    "\u2260": "write `!=`",
    "\u2192": "write `->`",
    "\u223c": "write `~`",
    "\u2208": "write `in`",
    "\u201c": "text stands in straight double quotes",
    "\u201d": "text stands in straight double quotes",
    "\u2019": "a derivative is marked with the straight quote `'`",
    "\u2032": "a derivative is marked with the straight quote `'`",
    "\u2026": "write `..`",
    "\u221e": "write `inf`",
    "\u00a0": "this is a no-break space; write an ordinary one",
    "\\": "a line goes on inside brackets, without `\\`",
}


@dataclass(frozen=True, slots=True)
class Token:
    """What the grammar calls a terminal. A word that is no reserved one is a NAME until the parser knows better."""

    type: str
    text: str
    span: Span


@dataclass
class PhysicalLine:
    """The tokens of one line of the file; `readable` is false once an error in it has been reported."""

    start: int
    column: int  # width of the indentation
    tokens: list[Token] = field(default_factory=list)
    comment: Span | None = None
    readable: bool = True


@dataclass(frozen=True)
class Vocabulary:
    """The terminals of the grammar as the scanner needs them."""

    pattern: re.Pattern[str]
    signs: dict[str, str]  # "~" to TILDE
    words: dict[str, str]  # "state" to STATE


@cache
def vocabulary() -> Vocabulary:
    fixed = {t.pattern.value: t.name for t in grammar().terminals if t.pattern and t.pattern.type == "str"}
    shaped = {t.name: t.pattern.value for t in grammar().terminals if t.pattern and t.pattern.type == "re"}
    words = {text: name for text, name in fixed.items() if text[0].isalpha()}
    signs = {text: name for text, name in fixed.items() if text not in words}
    longest_first = sorted([*signs, *FOREIGN], key=len, reverse=True)
    pattern = "|".join(
        (
            r"(?P<SPACE>[ \r]+)",
            r"(?P<TAB>\t+)",
            r"(?P<COMMENT>#[^\r\n]*)",
            r"(?P<BAD_NUMBER>\.[0-9]\w*|[0-9]+\.(?![0-9.\w])|[0-9]+\.[eE][+-]?[0-9]+)",
            *(f"(?P<{name}>{shaped[name]})" for name in ("PRIMED", "NAME", "NUMBER", "STRING")),
            r'(?P<OPEN_STRING>"[^\r\n]*)',
            "(?P<SIGN>" + "|".join(map(re.escape, longest_first)) + ")",
            r"(?P<OTHER>.)",
        )
    )
    return Vocabulary(re.compile(pattern, re.DOTALL), signs, words)


def scan(source: SourceText, findings: Findings) -> list[PhysicalLine]:
    """All lines of the file that hold something."""
    text = source.text
    lines = []
    for index, start in enumerate(source.line_starts):
        end = source.line_starts[index + 1] - 1 if index + 1 < len(source.line_starts) else len(text)
        if index == 0 and text.startswith("\ufeff"):
            start += 1
        line = _scan_line(source, start, end, findings)
        if line.tokens or line.comment or not line.readable:
            lines.append(line)
    return lines


def _scan_line(source: SourceText, start: int, end: int, findings: Findings) -> PhysicalLine:
    words = vocabulary()
    line = PhysicalLine(start, _indentation(source.text, start, end))
    position = start
    tabs_allowed = False
    while position < end:
        found = words.pattern.match(source.text, position, end)
        assert found is not None and found.lastgroup is not None
        position = found.end()
        span = Span(source, found.start(), position)
        kind, text = found.lastgroup, found.group()
        if kind == "COMMENT":
            line.comment = Span(source, span.start, span.start + len(text.rstrip()))
        elif kind == "TAB" and not tabs_allowed:
            findings.error("AIM0007", "there is a tab here", span, "write spaces instead of the tab, four for each block")
            tabs_allowed = True  # once a line is enough, and the line can still be read
        elif kind in ("SPACE", "TAB"):
            pass
        elif problem := _problem(kind, text):
            findings.error(*problem[:2], span, problem[2])
            line.readable = False
        else:
            line.tokens.append(Token(_type_of(kind, text, words), text, span))
    return line


def _type_of(kind: str, text: str, words: Vocabulary) -> str:
    if kind == "SIGN":
        return words.signs[text]
    if kind == "NAME" and text in RESERVED:
        return words.words[text]
    return kind


def _indentation(text: str, start: int, end: int) -> int:
    width = 0
    for character in text[start:end]:
        if character == "\t":
            width += TAB_WIDTH - width % TAB_WIDTH
        elif character == " ":
            width += 1
        else:
            break
    return width


def _problem(kind: str, text: str) -> tuple[str, str, str] | None:
    """Code, message and hint for what is no token of the language."""
    if kind == "OPEN_STRING":
        return ("AIM0005", "this text is never closed", 'close it with `"` on the same line')
    if kind == "BAD_NUMBER":
        right = f"0{text}" if text.startswith(".") else text.replace(".", ".0")
        return ("AIM0013", f"`{text}` is no number: digits stand on both sides of the point", f"write `{right}`")
    if kind == "NUMBER" and (len(text) > 300 or float(text) == float("inf")):
        return ("AIM0013", "this number is too large", "the largest is about 1.8e308; `inf` is infinity")
    if kind == "PRIMED" and text.rstrip("'") in RESERVED:
        return ("AIM0016", f"`{text.rstrip(chr(39))}` is a reserved word and cannot be a name", "choose another name")
    if kind in ("NAME", "PRIMED") and not text.rstrip("'").isidentifier():
        strange = next((c for c in text if not (c.isalpha() or c.isdecimal() or c == "_")), text)
        return ("AIM0006", f"`{strange}` cannot stand in a name", "names are letters, digits and `_`; a power is written `x^2`")
    if kind == "SIGN" and text in FOREIGN:
        return "AIM0019", f"`{text}` is not of this language", FOREIGN[text]
    if kind == "OTHER":
        shown = text if text.isprintable() else f"U+{ord(text):04X}"
        return "AIM0006", f"the character `{shown}` has no meaning here", "delete it"
    return None
