"""Typed expressions taken apart, and put together again with other parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ppl.semantics import typed
from ppl.semantics.typed import Apply, Constant, TypedExpression, ValueType
from ppl.source.text import Span


def applied(span: Span, function: str, *arguments: TypedExpression | float) -> TypedExpression:
    """A function of expressions and numbers."""
    made = tuple(Constant(a, span=span, type=ValueType()) if isinstance(a, int | float) else a for a in arguments)
    return Apply(function, made, span=span, type=next((a.type for a in made if a.type.axes), ValueType()))


def name_of(e: Any) -> str:
    """The variable that a reference, or an entry, is of; none for other expressions."""
    base = e.base if isinstance(e, typed.Indexed) else e
    return base.name if isinstance(base, typed.VariableReference) else ""


def references_in(e: TypedExpression) -> list[TypedExpression]:
    """The references to variables, with their indices, in the order of the text."""
    found: list[TypedExpression] = []

    def kept(part: Any) -> Any:
        if name_of(part):
            found.append(part)
            return part
        return None

    mapped(e, kept)
    return found


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A typed value with parts replaced by what `change` says of them, unless that is None."""
    if isinstance(value, TypedExpression):
        made = change(value)
        if made is not None:
            return made
    if isinstance(value, tuple):
        return tuple(mapped(v, change) for v in value)
    if is_dataclass(value) and not isinstance(value, type) and isinstance(value, TypedExpression | typed.SelectArm | typed.Loop):
        changed = {f.name: mapped(getattr(value, f.name), change) for f in fields(value) if f.name not in ("span", "type", "set")}
        return replace(value, **{n: v for n, v in changed.items() if v is not getattr(value, n)})
    return value


def with_indices(e: TypedExpression, names: Mapping[str, TypedExpression]) -> TypedExpression:
    """With other indices in the place of those of loops."""
    return mapped(e, lambda part: names.get(part.name) if isinstance(part, typed.IndexReference) else None)
