"""What editors need that read no Python: the grammar of TextMate and the extension of VS Code, made from the table of `words`.

`python -m ppl.tools.editors docs/editors/vscode` writes them. They are kept in the repository, so that the folder can be installed as
it is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ppl import __version__
from ppl.source.writing import write_atomically
from ppl.syntax.lines import HEADERS
from ppl.tools.words import Rule, one_of, rules

SCOPES = {
    "comment": "comment.line.number-sign.aim",
    "string": "string.quoted.double.aim",
    "number": "constant.numeric.aim",
    "keyword": "keyword.control.aim",
    "constant": "constant.language.aim",
    "operator": "keyword.operator.aim",
    "punctuation": "punctuation.aim",
    "type": "storage.type.aim",
    "distribution": "support.class.aim",
    "function": "support.function.aim",
    "defined": "entity.name.function.aim",
    "name": "variable.other.aim",
}
GRAMMAR = "syntaxes/aim.tmLanguage.json"
CONFIGURATION = "language-configuration.json"


def files() -> dict[str, Any]:
    """The content of each file of the extension by its path, as JSON."""
    return {"package.json": _package(), CONFIGURATION: _configuration(), GRAMMAR: _grammar()}


def _grammar() -> dict[str, Any]:
    patterns = [{"match": rule.pattern, "captures": _captures(rule)} for rule in rules()]
    return {"name": "aim", "scopeName": "source.aim", "fileTypes": ["aim"], "patterns": patterns}


def _captures(rule: Rule) -> dict[str, Any]:
    return {str(number): {"name": SCOPES[kind]} for number, kind in enumerate(rule.kinds, 1) if kind}


def _configuration() -> dict[str, Any]:
    pairs = [["(", ")"], ["[", "]"], ["{", "}"]]
    opening = rf"^\s*(?:{one_of((*HEADERS, 'for'))})\b[^#]*:\s*(?:#.*)?$|\bmatch\b[^#]*:\s*(?:#.*)?$"
    return {
        "comments": {"lineComment": "#"},
        "brackets": pairs,
        "autoClosingPairs": [*pairs, ['"', '"']],
        "surroundingPairs": [*pairs, ['"', '"']],
        "wordPattern": r"[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*'*",
        "indentationRules": {"increaseIndentPattern": opening, "decreaseIndentPattern": r"^(?!)"},
        "folding": {"offSide": True},
    }


def _package() -> dict[str, Any]:
    language = {"id": "aim", "aliases": ["aim"], "extensions": [".aim"], "configuration": f"./{CONFIGURATION}"}
    return {
        "name": "aim",
        "displayName": "aim",
        "description": "The language of generative models: .aim files",
        "version": __version__,
        "publisher": "aim-ppl",
        "license": "Apache-2.0",
        "engines": {"vscode": "^1.75.0"},
        "categories": ["Programming Languages"],
        "contributes": {
            "languages": [language],
            "grammars": [{"language": "aim", "scopeName": "source.aim", "path": f"./{GRAMMAR}"}],
            "configurationDefaults": {"[aim]": {"editor.insertSpaces": True, "editor.tabSize": 4}},
        },
    }


def as_text(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path) -> None:
    """Write every file of the extension below the folder."""
    for path, content in files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / path, as_text(content))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
