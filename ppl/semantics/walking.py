"""What stands anywhere inside a typed value: an expression, a distribution, a statement, a model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from ppl.semantics.typed import VariableReference

Part = TypeVar("Part")


def inside(value: object, kind: type[Part]) -> Iterator[Part]:
    """Everything of that class in a typed value, in the order of the text; places in the source are no parts."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, kind):
            yield one
        if isinstance(one, dict):
            one = tuple(one.values())
        if isinstance(one, tuple | list):
            waiting.extend(reversed(one))
        else:
            waiting.extend(getattr(one, name) for name in _parts(type(one)))


@cache
def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a class that are parts, the last first."""
    return tuple(name for name in reversed(getattr(kind, "__dataclass_fields__", {})) if "span" not in name)


def variables_in(value: object) -> set[str]:
    """The names of all variables that a typed expression or distribution reads."""
    return {reference.name for reference in inside(value, VariableReference)}
