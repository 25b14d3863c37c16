"""Text becomes a syntax tree, statement by statement: a statement that cannot be read is reported, and the rest is read on.

The LALR automaton is fed line by line. Where a line fails, the automaton goes back to the beginning of the line and gets a stand-in for
it: BROKEN for a statement; for the header of a block the simplest header of its kind, so that the block below is still read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from ppl.source.diagnostics import Findings
from ppl.source.text import SourceText, Span
from ppl.syntax import tree
from ppl.syntax.build_expressions import Mistake
from ppl.syntax.depth import report_depth
from ppl.syntax.grammar import grammar
from ppl.syntax.lines import DEFINES, Line, read_lines
from ppl.syntax.mistakes import Failure, explain
from ppl.syntax.tokens import Token, vocabulary

STAND_INS = {
    "for": "FOR NAME IN NAME COLON",
    "model": "MODEL NAME COLON",
    "agent": "AGENT NAME COLON",
    "approximate": "APPROXIMATE NAME COLON",
    "test": "TEST STRING COLON",
    "generalized": "GENERALIZED NAME IN NAME COLON",
    "world": "WORLD COLON",
    "match": "NAME EQUAL MATCH NAME COLON",
}


@dataclass
class Reader:
    """The automaton, and how deep in blocks it stands."""

    automaton: InteractiveParser
    depth: int
    at: Span  # the end of what was read last

    @property
    def expected(self) -> Mapping[str, object]:
        return self.automaton.choices()

    @property
    def in_agent(self) -> bool:
        """Whether the block that is open last is that of an agent."""
        stack = self.automaton.parser_state.value_stack
        heads = [one.type for one in stack if isinstance(one, Token) and one.type in ("MODEL", "AGENT")]
        return heads[-1:] == ["AGENT"]

    def copy(self) -> Reader:
        return Reader(self.automaton.copy(deepcopy_values=False), self.depth, self.at)

    def feed(self, type_: str, text: str = "", span: Span | None = None) -> object:
        return self.automaton.feed_token(Token(type_, text, span or self.at))  # type: ignore[arg-type]

    def move_to(self, depth: int, at: Span) -> None:
        """Open or close blocks."""
        for _ in range(depth - self.depth):
            self.feed("INDENT", span=at)
        for _ in range(self.depth - depth):
            self.feed("DEDENT")
        self.depth = depth


def parse(source: SourceText) -> tuple[tree.File, Findings]:
    """The tree of a file, and everything that is wrong with its syntax. The tree lacks the statements that could not be read."""
    findings = Findings()
    whole = Span(source, 0, len(source.text))
    lines = read_lines(source, findings)
    if not lines and not findings.errors:
        findings.error("AIM0018", "this file is empty", Span(source, 0, 0), "a model begins with `model name:`")
    reader = Reader(grammar().parse_interactive(), 0, Span(source, 0, 0))
    number = 0
    while number < len(lines):
        reader, number = read_line(reader, lines, number, findings)
    reader.move_to(0, reader.at)
    file = tree.File(reader.feed("$END"), span=whole)  # type: ignore[arg-type]
    report_depth(file, lines, findings)
    findings.items.sort(key=lambda finding: finding.span.start if finding.span else -1)
    return file, findings


def read_line(reader: Reader, lines: list[Line], number: int, findings: Findings) -> tuple[Reader, int]:
    """Read one line, or a stand-in for it; the reader after it, and the number of the line to go on with."""
    line = lines[number]
    reader.move_to(line.depth, line.tokens[0].span)
    before = reader.copy()
    if line.readable:
        try:
            failed = _feed(reader, line.tokens)
        except Mistake as mistake:
            findings.error(mistake.code, mistake.message, mistake.span, mistake.hint)
        else:
            if failed is not None:
                findings.add(explain(_failure(before, line.tokens, failed)))
            elif ("INDENT" in reader.expected) == _has_block(lines, number):
                return reader, number + 1
            else:
                hint = "indent what belongs to it by four spaces"
                findings.error("AIM0009", "an indented block is missing after this line", line.tokens[-1].span, hint)
    return _stand_in(before, lines, number)


def _feed(reader: Reader, tokens: list[Token]) -> int | None:
    """Feed the tokens of a line and its end; the number of the token that does not fit (their count for the end), or None."""
    for k in range(len(tokens)):
        if not feed_token(reader, tokens, k):
            return k
    try:
        reader.feed("NEWLINE")
    except UnexpectedToken:
        return len(tokens)
    return None


def feed_token(reader: Reader, tokens: list[Token], k: int) -> bool:
    """Feed one token of a line; False where it does not fit."""
    token = tokens[k]
    try:
        reader.feed(type_here(reader, tokens, k), token.text, token.span)
    except UnexpectedToken:
        return False
    reader.at = Span(token.span.source, token.span.end, token.span.end)
    return True


def type_here(reader: Reader, tokens: list[Token], k: int) -> str:
    """A soft keyword is one where the grammar expects it, unless it begins a statement as a name does."""
    token = tokens[k]
    keyword = vocabulary().words.get(token.text)
    if token.type != "NAME" or keyword is None:
        return token.type
    defines = k + 1 < len(tokens) and tokens[k + 1].type in DEFINES
    is_name = keyword not in reader.expected or ("NAME" in reader.expected and defines)
    return "NAME" if is_name else keyword


def _failure(before: Reader, tokens: list[Token], failed: int) -> Failure:
    """Read a failing line again, up to the token that does not fit, to see what would."""
    reader = before.copy()
    context = frozenset(reader.automaton.accepts())
    types = []
    for k, token in enumerate(tokens[:failed]):
        types.append(type_here(reader, tokens, k))
        reader.feed(types[-1], token.text, token.span)
    types.extend(token.type for token in tokens[failed:])
    return Failure(tokens, tuple(types), failed, frozenset(reader.automaton.accepts()), context, before.in_agent)


def _has_block(lines: list[Line], number: int) -> bool:
    return number + 1 < len(lines) and lines[number + 1].depth > lines[number].depth


def _stand_in(before: Reader, lines: list[Line], number: int) -> tuple[Reader, int]:
    """Put a stand-in for a line that cannot be read; a block below it is read where a header for it can be guessed."""
    if _has_block(lines, number):
        for types in _guesses(lines, number):
            reader = before.copy()
            try:
                for type_ in types.split():
                    reader.feed(type_, "_")
                reader.feed("NEWLINE")
            except UnexpectedToken:
                continue
            return reader, number + 1
    before.feed("BROKEN")
    before.feed("NEWLINE")
    depth = lines[number].depth
    return before, next((k for k in range(number + 1, len(lines)) if lines[k].depth <= depth), len(lines))


def _guesses(lines: list[Line], number: int) -> list[str]:
    """Headers that the broken one may have been, the likeliest first."""
    words = [token.text for token in lines[number].tokens]
    arms_follow = any(token.type == "ARROW" for token in lines[number + 1].tokens)
    if "match" in words or arms_follow:
        return [STAND_INS["match"]]
    return [STAND_INS[words[0]]] if words[0] in STAND_INS else [STAND_INS["for"], STAND_INS["model"]]
