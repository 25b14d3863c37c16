"""`NAME=VALUE` on the command line: numbers, truth values, members by name, and lists of these."""

from __future__ import annotations

import json
import re
from typing import Any

import click

NAME = re.compile(r"^[^\W\d]\w*'*(\.[^\W\d]\w*'*)*(\[\s*\w+(\s*,\s*\w+)*\s*\])?$")
WORD = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w.])[^\W\d]\w*')
SPECIAL = {"inf": "Infinity", "nan": "NaN", "true": "true", "false": "false", "null": "null"}


class Setting(click.ParamType):
    """Becomes a pair of name and value."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not equals:
            self.fail(f"`{value}` is not of the form NAME=VALUE", param, ctx)
        if not NAME.match(name.strip()):
            self.fail(f"`{name.strip()}` is not a name", param, ctx)
        try:
            return name.strip(), parse_value(text)
        except ValueError:
            self.fail(f"`{text}` is no value: write a number, true, false, inf, a member's name, or a list such as [1, 2]", param, ctx)


def parse_value(text: str) -> Any:
    """The value that a text on the command line stands for; ValueError where it stands for none."""
    return json.loads(WORD.sub(_quoted, text.strip()))


def _quoted(word: re.Match[str]) -> str:
    """A bare word is one of a few values, or the name of a member; exponents and quoted texts are left alone."""
    text = word.group()
    return text if text.startswith('"') else SPECIAL.get(text, f'"{text}"')


def settings_of(pairs: tuple[tuple[str, Any], ...], option: str) -> dict[str, Any]:
    """The pairs by name; a name that is given twice is wrong usage."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise click.UsageError(f"{option} gives `{name}` twice")
        found[name] = value
    return found
