"""What stands anywhere inside a typed value: an expression, a distribution, a statement, a model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from ppl.semantics.typed import DistributionCall, DistributionChoice, IndexReference, Loop, TypedExpression, VariableReference

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
    return set(_named(value, VariableReference))


def indices_in(value: object) -> set[str]:
    """The names of all indices that it mentions."""
    return set(_named(value, IndexReference))


def _named(value: object, kind: type[VariableReference] | type[IndexReference]) -> frozenset[str]:
    """The names of all references of a kind; a typed value, which never changes, remembers them."""
    if isinstance(value, tuple | list):
        return frozenset().union(*(_named(part, kind) for part in value))
    told = vars(value) if isinstance(value, TypedExpression | DistributionCall | DistributionChoice | Loop) else {}
    if kind.__name__ not in told:
        told[kind.__name__] = frozenset(reference.name for reference in inside(value, kind))
    return told[kind.__name__]
