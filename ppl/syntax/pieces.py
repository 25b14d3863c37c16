"""Text that knows where it may be broken: words, and brackets whose items may stand on lines of their own.

A bracket is broken where it is too wide, where it holds a comment, or where its author broke it between items that are more than a word.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WIDTH = 100


@dataclass
class Item:
    """One item of a bracket, with the comments above it and behind it."""

    pieces: Pieces
    above: list[str] = field(default_factory=list)
    behind: str = ""


@dataclass
class Brackets:
    opener: str
    closer: str
    items: list[Item]
    broken_by_author: bool = False
    below: list[str] = field(default_factory=list)  # comments after the last item

    @property
    def has_comments(self) -> bool:
        return bool(self.below) or any(item.above or item.behind for item in self.items)

    @property
    def of_words(self) -> bool:
        return all(isinstance(piece, str) for item in self.items for piece in item.pieces)

    @property
    def must_break(self) -> bool:
        """Whether it, or a bracket in it, cannot stand on one line."""
        inner = any(piece.must_break for item in self.items for piece in item.pieces if isinstance(piece, Brackets))
        return inner or self.has_comments or (self.broken_by_author and not self.of_words)


Pieces = list[str | Brackets]


def flat(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, str) else _flat_brackets(piece) for piece in pieces)


def _flat_brackets(brackets: Brackets) -> str:
    return brackets.opener + ", ".join(flat(item.pieces) for item in brackets.items) + brackets.closer


def must_break(pieces: Pieces) -> bool:
    return any(piece.must_break for piece in pieces if isinstance(piece, Brackets))


def fits(pieces: Pieces, column: int) -> bool:
    return not must_break(pieces) and column + len(flat(pieces)) <= WIDTH


def render(pieces: Pieces, column: int) -> str:
    """The text of the pieces from this column on; further lines are indented to stand below the bracket that was broken."""
    text = ""
    for k, piece in enumerate(pieces):
        here = column + len(text) if "\n" not in text else len(text) - text.rindex("\n") - 1
        if isinstance(piece, str):
            text += piece
        elif not piece.must_break and here + len(flat(pieces[k:])) <= WIDTH:
            text += _flat_brackets(piece)
        elif piece.of_words and not piece.has_comments:
            text += _filled(piece, here)
        else:
            text += _one_a_line(piece, here)
    return text


def _filled(brackets: Brackets, column: int) -> str:
    """As many items on a line as there is room for."""
    inner = column + len(brackets.opener)
    lines = [""]
    for k, item in enumerate(brackets.items):
        word = flat(item.pieces) + ("," if k + 1 < len(brackets.items) else "")
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and inner + len(joined) + 1 > WIDTH:
            lines.append(word)
        else:
            lines[-1] = joined
    return brackets.opener + ("\n" + " " * inner).join(lines) + brackets.closer


def _one_a_line(brackets: Brackets, column: int) -> str:
    inner = column + len(brackets.opener)
    lines: list[str] = []
    for k, item in enumerate(brackets.items):
        last = k + 1 == len(brackets.items)
        lines += item.above
        text = render(item.pieces, inner) + ("" if last else ",")
        lines.append(text + (f"  {item.behind}" if item.behind else ""))
    lines += brackets.below
    comment_at_end = bool(brackets.below) or (bool(brackets.items) and bool(brackets.items[-1].behind))
    pad = "\n" + " " * inner
    opener = brackets.opener + (pad if lines[0].startswith("#") else "")
    return opener + pad.join(lines) + ("\n" + " " * column if comment_at_end else "") + brackets.closer
