"""What stands anywhere inside a typed value: an expression, a distribution, a statement, a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from ppl.semantics.typed import VariableReference

Part = TypeVar("Part")


def inside(value: object, kind: type[Part]) -> Iterator[Part]:
    """Everything of that class in a typed value, in the order of the text; places in the source are no parts."""
    if isinstance(value, kind):
        yield value
    if isinstance(value, tuple | list):
        for item in value:
            yield from inside(item, kind)
    elif isinstance(value, dict):
        yield from inside(tuple(value.values()), kind)
    else:
        for name in getattr(value, "__dataclass_fields__", ()):
            if "span" not in name:
                yield from inside(getattr(value, name), kind)


def variables_in(value: object) -> set[str]:
    """The names of all variables that a typed expression or distribution reads."""
    return {reference.name for reference in inside(value, VariableReference)}
