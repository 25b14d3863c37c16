"""The language for Pygments: `pygmentize -l aim`, code fences of Sphinx, notebooks. The only module that imports Pygments."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text, Whitespace

from ppl.tools.words import rules

TOKENS = {
    "comment": Comment.Single,
    "string": String.Double,
    "number": Number,
    "keyword": Keyword,
    "constant": Keyword.Constant,
    "operator": Operator,
    "punctuation": Punctuation,
    "type": Keyword.Type,
    "distribution": Name.Class,
    "function": Name.Builtin,
    "defined": Name.Function,
    "name": Name,
}


class AimLexer(RegexLexer):
    """The lexer of `.aim` files."""

    name = "aim"
    aliases: ClassVar[list[str]] = ["aim"]
    filenames: ClassVar[list[str]] = ["*.aim"]
    mimetypes: ClassVar[list[str]] = ["text/x-aim"]
    flags = re.MULTILINE
    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            *((rule.pattern, bygroups(*(TOKENS[kind] if kind else Whitespace for kind in rule.kinds))) for rule in rules()),
            (r"\n|[^\S\n]+", Whitespace),
            (r".", Text),
        ]
    }
