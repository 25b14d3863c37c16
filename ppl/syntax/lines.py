"""Logical lines and their blocks: physical lines joined inside brackets, with the depth that the indentation gives them.

A bracket that is never closed must not swallow the statements below it, so joining stops at a line that can only be a statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ppl.source.diagnostics import Findings, Related
from ppl.source.text import SourceText
from ppl.syntax.tokens import PhysicalLine, Token, scan, vocabulary

CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
HEADERS = ("model", "agent", "approximate", "test", "generalized", "world")
DEFINES = ("TILDE", "EQUAL", "LSQB", "DOT")  # after these a word that may begin a statement is a name
DEEPEST_BRACKETS = 60
DEEPEST_BLOCKS = 30


@dataclass
class Line:
    """One statement, or the header of a block; `depth` counts the blocks around it."""

    tokens: list[Token]
    column: int
    readable: bool
    depth: int = 0


@dataclass
class Layout:
    """The levels of indentation that are open while the lines are read from above."""

    columns: list[int] = field(default_factory=lambda: [0])
    strays: set[int] = field(default_factory=set)  # columns of lines that are indented without a block, reported once


def read_lines(source: SourceText, findings: Findings) -> list[Line]:
    """The logical lines of a file; what cannot be one is reported, and kept as a line that is not readable."""
    lines = _join([line for line in scan(source, findings) if line.tokens or not line.readable], findings)
    _nest(lines, findings)
    return lines


# ------------------------------------------------------------------ joining inside brackets
def _join(physical: list[PhysicalLine], findings: Findings) -> list[Line]:
    lines = []
    first = 0
    while first < len(physical):
        after, readable = _extent(physical, first, findings)
        parts = physical[first:after]
        tokens = [token for part in parts for token in part.tokens]
        if tokens:
            lines.append(Line(tokens, parts[0].column, readable and all(part.readable for part in parts)))
        first = after
    return lines


def _extent(physical: list[PhysicalLine], first: int, findings: Findings) -> tuple[int, bool]:
    """The physical line after the last one of the logical line, and whether its brackets are in order."""
    opened: list[Token] = []
    readable = True
    fallback = None  # where the next statement may begin, should a bracket turn out to be open
    for number in range(first, len(physical)):
        line = physical[number]
        if number > first:
            if _begins_statement(line, opened[-1]):
                return fallback or number, _unclosed(opened[-1], findings)
            closes = line.tokens and line.tokens[0].type in CLOSERS.values()
            if fallback is None and line.column <= physical[first].column and not closes:
                fallback = number
            if fallback is not None and not _fits(line.tokens, opened):
                return fallback, _unclosed(opened[-1], findings)
        for token in line.tokens:
            readable = _track(token, opened, findings) and readable
        if not opened:
            return number + 1, readable
    return fallback or len(physical), _unclosed(opened[-1], findings)


def _fits(tokens: list[Token], opened: list[Token]) -> bool:
    """Whether each closing bracket among the tokens is of the kind that it closes."""
    types = [token.type for token in opened]
    for token in tokens:
        if token.type in CLOSERS:
            types.append(token.type)
        elif token.type in CLOSERS.values() and types and CLOSERS[types.pop()] != token.type:
            return False
    return True


def _track(token: Token, opened: list[Token], findings: Findings) -> bool:
    """Follow one token through the open brackets; False where it does not fit them."""
    if token.type in CLOSERS:
        opened.append(token)
        if len(opened) == DEEPEST_BRACKETS + 1:
            findings.error("AIM0023", "brackets are nested too deeply here", token.span, "give a part of the expression a name of its own")
            return False
    elif token.type in CLOSERS.values():
        if not opened:
            findings.error("AIM0004", f"`{token.text}` closes nothing", token.span, "delete it, or open it before")
            return False
        opener = opened.pop()
        if CLOSERS[opener.type] != token.type:
            there = Related(opener.span, f"`{opener.text}` is opened here")
            findings.error("AIM0004", f"`{token.text}` does not close `{opener.text}`", token.span, _closing(opener), related=(there,))
            return False
    return True


def _unclosed(opener: Token, findings: Findings) -> bool:
    findings.error("AIM0003", f"`{opener.text}` is never closed", opener.span, _closing(opener))
    return False


def _closing(opener: Token) -> str:
    closer = {"LPAR": ")", "LSQB": "]", "LBRACE": "}"}[opener.type]
    return f"close it with `{closer}`"


def _begins_statement(line: PhysicalLine, opener: Token) -> bool:
    """Whether this line, met inside brackets, can only be the beginning of a statement."""
    tokens = line.tokens
    if not tokens:
        return False
    top = _top_level(tokens)
    first, second = tokens[0], tokens[1] if len(tokens) > 1 else None
    if any(token.type in ("TILDE", "ARROW") for token in top):
        return True
    if first.type == "FOR":
        return any(token.type == "COLON" for token in top)
    if first.type == "NAME" and first.text in vocabulary().words and second is not None:
        adjacent = second.type in ("NAME", "PRIMED", "STRING", "NUMBER")
        return adjacent or (first.text in HEADERS and tokens[-1].type == "COLON")
    defines = any(token.type == "EQUAL" for token in top) and first.type in ("NAME", "PRIMED")
    return defines and (opener.type != "LPAR" or (second is not None and second.type == "LSQB"))


def _top_level(tokens: list[Token]) -> list[Token]:
    """The tokens outside of brackets, up to a bracket that closes what was opened before them."""
    depth, top = 0, []
    for token in tokens:
        if token.type in CLOSERS:
            depth += 1
        elif token.type in CLOSERS.values():
            depth -= 1
            if depth < 0:
                break
        elif depth == 0:
            top.append(token)
    return top


# ------------------------------------------------------------------ blocks
def _nest(lines: list[Line], findings: Findings) -> None:
    """Set the depth of every line, report what the indentation gets wrong."""
    layout = Layout()
    opened = False
    for line in lines:
        _place(line, opened, layout, findings)
        opened = opens_block(line)


def _place(line: Line, opened: bool, layout: Layout, findings: Findings) -> None:
    columns, first = layout.columns, line.tokens[0]
    if line.column > columns[-1] and opened:
        layout.strays.clear()
        columns.append(line.column)
        if len(columns) == DEEPEST_BLOCKS + 1:
            findings.error("AIM0023", "blocks are nested too deeply here", first.span, "take some of the blocks apart")
    elif line.column <= columns[-1]:
        _return_to_level(line, layout, findings)
    elif line.column not in layout.strays:
        findings.error("AIM0010", "this line is indented, but no block begins above it", first.span, _indent_hint(columns[-1]))
        layout.strays.add(line.column)
    line.depth = len(columns) - 1


def _return_to_level(line: Line, layout: Layout, findings: Findings) -> None:
    columns = layout.columns
    layout.strays.clear()
    if line.column not in columns:
        hint = "begin it after " + " or ".join(str(column) for column in columns) + " spaces, as a block above does"
        findings.error("AIM0011", f"this line is indented by {line.column} spaces, as no block above it is", line.tokens[0].span, hint)
    level = min(reversed(range(len(columns))), key=lambda k: abs(columns[k] - line.column))
    del columns[level + 1 :]


def _indent_hint(column: int) -> str:
    return f"begin it after {column} spaces, like the line above" if column else "begin it at the left margin"


def opens_block(line: Line) -> bool:
    """Whether a block may follow: the line ends in a colon, or is a header that lacks it."""
    if line.tokens[-1].type == "COLON":
        return True
    top = _top_level(line.tokens)
    colons = [k for k, token in enumerate(top) if token.type == "COLON"]
    matches = [k for k, token in enumerate(top) if token.type == "MATCH"]
    if matches:
        return not colons or colons[-1] < matches[-1]
    first, second = line.tokens[0], line.tokens[1] if len(line.tokens) > 1 else None
    is_name = second is not None and second.type in DEFINES
    return not colons and (first.type == "FOR" or (first.text in HEADERS and not is_name))
