"""What went wrong in a line that the grammar refuses, in words: what was met, what was expected, what to type.

Each function knows one kind of mistake and answers None for the others; the first that knows has the word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ppl.source.diagnostics import Diagnostic, did_you_mean
from ppl.source.text import Span
from ppl.syntax.lines import CLOSERS, DEFINES, HEADERS
from ppl.syntax.tokens import RESERVED, Token, vocabulary

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
OPERATORS = ("^", "*", "/", "@", "%", "+", "-", *COMPARISONS, "and", "or")
TOP_LEVEL = ("type", "fn", "model", "agent", "approximate", "test", "fit", "run", "from")
STATEMENTS = (
    "input", "factor", "network", "export", "generalized", "world", "state", "action", "next", "observe", "prefer", "habit", "plan",
    "subject", "for",
)  # fmt: skip
MODEL_HINT = "write `name ~ distribution` or `name = value`"
CONTEXTS = {
    "MODEL": ("at the left margin", TOP_LEVEL),
    "NEXT": ("in a model", STATEMENTS),
    "USE": ("in an `approximate` block", ("q", "use")),
    "EXPECT": ("in a test", ("fit", "run", "expect")),
}


@dataclass(frozen=True)
class Failure:
    """A line, the token in it that does not fit, and what the grammar would accept in its place."""

    tokens: list[Token]
    types: tuple[str, ...]
    index: int
    accepted: frozenset[str]
    at_beginning: frozenset[str]  # what would be accepted at the beginning of the line
    in_agent: bool = False  # whether the line is in the block of an agent

    @property
    def token(self) -> Token | None:
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    @property
    def before(self) -> Token | None:
        return self.tokens[self.index - 1] if self.index else None

    @property
    def after(self) -> Token | None:
        return self.tokens[self.index + 1] if self.index + 1 < len(self.tokens) else None

    @property
    def span(self) -> Span:
        if self.index < len(self.tokens):
            return self.tokens[self.index].span
        last = self.tokens[-1].span
        return Span(last.source, last.end, last.end)

    @property
    def wants_value(self) -> bool:
        return {"NUMBER", "LPAR"} <= self.accepted

    @property
    def context(self) -> tuple[str, tuple[str, ...]]:
        place, allowed = next((CONTEXTS[key] for key in CONTEXTS if key in self.at_beginning), ("in a `match`", ()))
        return "in an agent" if self.in_agent and allowed is STATEMENTS else place, allowed

    def error(self, code: str, message: str, hint: str = "", span: Span | None = None) -> Diagnostic:
        return Diagnostic(code, message, span or self.span, hint)


def explain(failure: Failure) -> Diagnostic:
    for knows in KINDS:
        found = knows(failure)
        if found is not None:
            return found
    return _unexpected(failure)


# ------------------------------------------------------------------ the kinds of mistakes
def _misplaced(failure: Failure) -> Diagnostic | None:
    """A statement that belongs elsewhere, or a first word that begins none."""
    first = failure.tokens[0]
    place, allowed = failure.context
    if failure.index > 1 or failure.types[0] not in ("NAME", "PRIMED", "FOR"):
        return None
    if failure.index == 1 and (failure.token is None or failure.token.type not in ("NAME", "PRIMED", "STRING", "NUMBER", "COLON")):
        return None
    span, word = first.span, first.text
    second = failure.tokens[1].type if len(failure.tokens) > 1 else ""
    if failure.index == 0 and "MODEL" in failure.at_beginning and (word in STATEMENTS or second in DEFINES):
        return failure.error("AIM0017", "a statement cannot stand at the left margin", "indent it under `model name:`", span)
    if word in allowed:
        return None
    if word in TOP_LEVEL and second in ("NAME", "STRING"):
        return failure.error(
            "AIM0017",
            f"`{word}` cannot stand {place}",
            f"begin it at the left margin, after the {'agent' if failure.in_agent else 'model'}",
            span,
        )
    if word in (*STATEMENTS, "expect", "use", "q"):
        return failure.error("AIM0017", f"`{word}` cannot stand {place}", _listing(allowed), span)
    if second == "NAME" and failure.index == 1 and failure.tokens[1].text[:1].isupper():
        message = f"`~` or `=` is missing between `{word}` and `{failure.tokens[1].text}`"
        return failure.error("AIM0001", message, "write `~` where it is random")
    if allowed:
        hint = did_you_mean(word, allowed) or (MODEL_HINT if allowed is STATEMENTS else _listing(allowed))
        return failure.error("AIM0017", f"`{word}` begins no statement {place}", hint, span)
    return None


def _listing(words: tuple[str, ...]) -> str:
    return "here may stand " + _either([f"`{word}`" for word in words], "and") if words else ""


def _documentation(failure: Failure) -> Diagnostic | None:
    if failure.index == 0 and failure.tokens[0].type == "STRING":
        return failure.error("AIM0017", "a text cannot stand here", "a docstring is the first line of a model; a comment begins with `#`")
    return None


def _missing_colon(failure: Failure) -> Diagnostic | None:
    header = failure.types[0] in ("FOR", *map(str.upper, HEADERS)) or "MATCH" in failure.types
    if failure.token is None and header and "COLON" in failure.accepted:
        return failure.error("AIM0008", "`:` is missing at the end of this line", "write `:` and indent the block below it")
    return None


def _chained(failure: Failure) -> Diagnostic | None:
    token = failure.token
    if token is None or token.text not in COMPARISONS or "AND" not in failure.accepted:
        return None
    depth = 0
    for earlier in reversed(failure.tokens[: failure.index]):
        depth += (earlier.type in CLOSERS.values()) - (earlier.type in CLOSERS)
        if depth < 0 or (depth == 0 and earlier.text in ("and", "or", "not", "if", "then", "else", ",")):
            return None
        if depth == 0 and earlier.text in COMPARISONS:
            return failure.error("AIM0014", "comparisons do not chain", "write `a < b and b < c`")
    return None


def _equals(failure: Failure) -> Diagnostic | None:
    token = failure.token
    comparison = vocabulary().signs["=="]
    if token is None:
        return None
    if token.text == "==" and "EQUAL" in failure.accepted:
        return failure.error("AIM0012", "`==` compares; it does not define", "write `=`")
    if token.text == "=" and comparison in failure.accepted:
        return failure.error("AIM0012", "`=` defines; it does not compare", "write `==` to compare")
    if token.text == "=" and "TILDE" in failure.accepted:
        return failure.error("AIM0012", "a distribution is given with `~` here", "write `~`")
    return None


def _needs_brackets(failure: Failure) -> Diagnostic | None:
    token, before = failure.token, failure.before
    if token is None or token.type not in ("IF", "NOT") or before is None or before.text not in OPERATORS:
        return None
    if not failure.wants_value:
        return None
    form = "(if … then … else …)" if token.type == "IF" else "(not …)"
    return failure.error("AIM0015", f"`{token.text}` after `{before.text}` needs brackets", f"write `{form}`")


def _match_inside(failure: Failure) -> Diagnostic | None:
    token = failure.token
    if token is None or token.type != "MATCH" or not failure.wants_value:
        return None
    if failure.after is not None and failure.after.type in (*DEFINES, "RPAR", "COMMA"):
        return None
    hint = "give it a name in a statement of its own: `name = match …:`"
    return failure.error("AIM0021", "a `match` is the whole right-hand side of a statement, not a part of an expression", hint)


def _reserved(failure: Failure) -> Diagnostic | None:
    token, before = failure.token, failure.before
    if token is not None and before is not None and failure.index == 1 and before.text in RESERVED and token.type in DEFINES:
        return failure.error("AIM0016", f"`{before.text}` is a reserved word and cannot be a name", "choose another name", before.span)
    if token is None or token.text not in RESERVED or "NAME" not in failure.accepted:
        return None
    if failure.index == 0 or not failure.wants_value:
        return failure.error("AIM0016", f"`{token.text}` is a reserved word and cannot be a name", "choose another name")
    return None


def _set_as_value(failure: Failure) -> Diagnostic | None:
    token = failure.token
    if token is None or token.type not in ("COMMA", "RBRACE", "VBAR") or "COLON" not in failure.accepted or failure.index < 2:
        return None
    if failure.tokens[failure.index - 2].type not in ("LBRACE", "COMMA"):
        return None
    message = "in an expression `{…}` is a table: each member needs its value"
    return failure.error("AIM0022", message, "write `{member: value, …}`; a set stands after `:`, after `in` or in `type Name = {…}`")


def _number_then_name(failure: Failure) -> Diagnostic | None:
    token, before = failure.token, failure.before
    if token is None or before is None or before.type != "NUMBER" or token.type not in ("NAME", "PRIMED", "LPAR"):
        return None
    if before.span.end != token.span.start:
        return None
    hint = f"write `{before.text} * {token.text}`" if token.type != "LPAR" else f"write `{before.text} * (`"
    return failure.error("AIM0001", f"an operator is missing between `{before.text}` and `{token.text}`", hint)


def _unfinished(failure: Failure) -> Diagnostic | None:
    if failure.token is None:
        return failure.error("AIM0002", "this statement stops in the middle", f"{_expected(failure)} is expected")
    return None


def _unexpected(failure: Failure) -> Diagnostic:
    token = failure.token
    assert token is not None
    if token.type == "PRIMED" and "NAME" in failure.accepted:
        return failure.error("AIM0001", f"the derivative `{token.text}` cannot stand here", "write the name without `'`")
    return failure.error("AIM0001", f"`{token.text}` is unexpected here", f"{_expected(failure)} is expected")


KINDS: tuple[Callable[[Failure], Diagnostic | None], ...] = (
    _documentation,
    _missing_colon,
    _chained,
    _equals,
    _needs_brackets,
    _match_inside,
    _reserved,
    _set_as_value,
    _number_then_name,
    _misplaced,
    _unfinished,
)


# ------------------------------------------------------------------ what is expected
def _expected(failure: Failure) -> str:
    """What the grammar would accept, in the words of a reader."""
    texts = {name: text for text, name in (*vocabulary().signs.items(), *vocabulary().words.items())}
    accepted = failure.accepted
    described = []
    if failure.wants_value:
        described.append("a value")
    elif "NAME" in accepted:
        described.append("a name")
    if not failure.wants_value:
        described += [word for word, type_ in (("a number", "NUMBER"), ("a text in quotes", "STRING")) if type_ in accepted]
        fixed = sorted(texts[type_] for type_ in accepted if type_ in texts and texts[type_] not in OPERATORS)
        needed = [text for text in fixed if text not in (".", "[", "(")] or fixed  # what may go on with a name is no news
        described += [f"`{text}`" for text in needed]
        if "PLUS" in accepted:
            described.append("an operator")
    if "NEWLINE" in accepted:
        described.append("the end of the line")
    return _either(described[:9] or ["another statement"], "or")


def _either(words: list[str], link: str) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" {link} " + words[-1]
