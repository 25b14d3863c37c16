"""The options of an engine: those of `use nuts(draws = 2000)`, and the ones that it has by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.source.text import Span


@dataclass(frozen=True)
class Options:
    values: Mapping[str, Any]
    span: Span | None = None

    def whole(self, name: str) -> int:
        """A whole number, 1 or more (0 for a warm-up)."""
        value = self.values[name]
        if isinstance(value, bool) or not float(value).is_integer() or value < (0 if name == "warmup" else 1):
            self.refuse(name, "a whole number, 1 or more")
        return int(value)

    def number(self, name: str) -> float:
        value = self.values[name]
        if isinstance(value, bool | str) or not value > 0:
            self.refuse(name, "a number above 0")
        return float(value)

    def refuse(self, name: str, wanted: str) -> None:
        raise AimError([Diagnostic("AIM0505", f"`{name}` is {wanted}; {self.values[name]!r} is not", self.span)])


def options_of(engine: str, defaults: Mapping[str, Any], given: Mapping[str, Any], span: Span | None) -> Options:
    """The defaults with what is given. Raises AimError for an option that the engine lacks."""
    for name in given:
        if name not in defaults:
            hint = did_you_mean(name, defaults) or f"options of `{engine}`: {', '.join(defaults)}"
            raise AimError([Diagnostic("AIM0505", f"`{engine}` has no option `{name}`", span, hint)])
    return Options({**defaults, **given}, span)
