"""How many of something are asked for."""

from __future__ import annotations

from typing import Any

from ppl.source.diagnostics import AimError, Diagnostic


def checked_count(count: Any, name: str) -> int:
    """The number. Raises AimError for what is no whole number, or less than 0."""
    if isinstance(count, bool) or not hasattr(count, "__index__") or count.__index__() < 0:
        raise AimError([Diagnostic("AIM0505", f"`{name}` is a whole number, 0 or more; {count!r} is not")])
    return count.__index__()
