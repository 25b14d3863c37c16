"""What the grammar would take at a place in a text that is being written: for completion.

The text up to the place is read as ever, with a word at its end that stands for what is to come; the automaton then says what it accepts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ppl.source.diagnostics import Findings
from ppl.source.text import SourceText, Span
from ppl.syntax.grammar import grammar
from ppl.syntax.lines import CLOSERS, Line, read_lines
from ppl.syntax.parser import Reader, feed_token, read_line, type_here
from ppl.syntax.tokens import Token, vocabulary

PLACEHOLDER = "_"


@dataclass(frozen=True)
class Expected:
    """`tokens` stand before the place in its line, `headers` are the heads of the blocks around it, the outermost first."""

    accepted: frozenset[str]
    tokens: tuple[Token, ...]
    headers: tuple[tuple[Token, ...], ...]

    @property
    def keywords(self) -> list[str]:
        """The words that may stand here as keywords."""
        return [word for word, type_ in vocabulary().words.items() if type_ in self.accepted]

    @property
    def wants_value(self) -> bool:
        return {"NUMBER", "LPAR"} <= self.accepted

    @property
    def wants_name(self) -> bool:
        return "NAME" in self.accepted

    @property
    def before(self) -> Token | None:
        """The token in front of the place."""
        return self.tokens[-1] if self.tokens else None

    @property
    def calls(self) -> list[tuple[str, tuple[Token, ...]]]:
        """The calls whose brackets are open here, the innermost first: the name, and the tokens inside up to the place."""
        opened: list[int] = []
        for k, token in enumerate(self.tokens):
            if token.type in CLOSERS:
                opened.append(k)
            elif token.type in CLOSERS.values() and opened:
                opened.pop()
        called = [k for k in reversed(opened) if self.tokens[k].type == "LPAR" and k and self.tokens[k - 1].type in ("NAME", "PRIMED")]
        return [(self.tokens[k - 1].text, self.tokens[k + 1 :]) for k in called]


def expected_at(source: SourceText, offset: int) -> Expected | None:
    """What may stand at the place; None where nothing may: in a comment or a text."""
    cut = SourceText(source.name, source.text[:offset] + PLACEHOLDER)
    findings = Findings()
    lines = read_lines(cut, findings)
    if not lines or not lines[-1].tokens or lines[-1].tokens[-1].span.start != offset:
        return None
    *above, line = lines
    reader = _reader_before(above, line, findings)
    tokens = _read(reader, line.tokens) if reader is not None else None
    accepted = frozenset(reader.automaton.accepts()) if reader is not None and tokens is not None else frozenset()
    headers = tuple(tuple(head.tokens) for head in _headers(above, line))
    return Expected(accepted, tuple(line.tokens[:-1]) if tokens is None else tokens, headers)


def _reader_before(above: list[Line], line: Line, findings: Findings) -> Reader | None:
    """The automaton at the beginning of a line; None where the line stands in a block whose head cannot be read."""
    reader, number = Reader(grammar().parse_interactive(), 0, Span(line.tokens[0].span.source, 0, 0)), 0
    while number < len(above):
        reader, number = read_line(reader, [*above, line], number, findings)
    if number > len(above):
        return None
    reader.move_to(line.depth, line.tokens[0].span)
    return reader


def _read(reader: Reader, tokens: list[Token]) -> tuple[Token, ...] | None:
    """Feed all tokens but the last; what they are here, None where one does not fit."""
    found = []
    for k, token in enumerate(tokens[:-1]):
        found.append(replace(token, type=type_here(reader, tokens, k)))
        if not feed_token(reader, tokens, k):
            return None
    return tuple(found)


def _headers(above: list[Line], line: Line) -> list[Line]:
    """The heads of the blocks around a line."""
    found, depth = [], line.depth
    for earlier in reversed(above):
        if earlier.depth < depth:
            found.append(earlier)
            depth = earlier.depth
    return found[::-1]
