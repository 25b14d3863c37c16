"""Typed models as plain values, and back: so is a model stored that no file says, because data have changed its priors.

A dataclass is a mapping with its class under the empty key, a tuple a list. Nothing in it is code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from ppl.semantics import typed
from ppl.source.text import SourceText, Span

KINDS = {kind.__name__: kind for kind in vars(typed).values() if isinstance(kind, type) and is_dataclass(kind)}


def stored(model: typed.TypedModel) -> dict[str, Any]:
    """The model as numbers, texts, lists and mappings, without what is said while it is checked."""
    writer = _Writer()
    told = writer.plain(replace(model, warnings=()))
    return {"model": told, "sources": [{"name": s.name, "text": s.text} for s in writer.sources]}


def restored(told: dict[str, Any]) -> typed.TypedModel:
    return _typed(told["model"], [SourceText(s["name"], s["text"]) for s in told["sources"]])


@dataclass
class _Writer:
    sources: list[SourceText] = field(default_factory=list)

    def plain(self, value: Any) -> Any:
        if isinstance(value, Span):
            if value.source not in self.sources:
                self.sources.append(value.source)
            return {"": "Span", "at": [self.sources.index(value.source), value.start, value.end], "within": self.plain(value.within)}
        if type(value).__name__ in KINDS:
            return {"": type(value).__name__} | {f.name: self.plain(getattr(value, f.name)) for f in fields(value)}
        if isinstance(value, dict):
            return {name: self.plain(one) for name, one in value.items()}
        if isinstance(value, tuple):
            return [self.plain(one) for one in value]
        return {"": "number", "value": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _typed(told: Any, sources: list[SourceText]) -> Any:
    if isinstance(told, list):
        return tuple(_typed(one, sources) for one in told)
    if not isinstance(told, dict):
        return told
    kind = told.get("")
    if kind == "number":
        return float(told["value"])
    if kind == "Span":
        source, start, end = told["at"]
        return Span(sources[source], start, end, _typed(told["within"], sources))
    parts = {name: _typed(one, sources) for name, one in told.items() if name}
    return parts if kind is None else KINDS[kind](**parts)
