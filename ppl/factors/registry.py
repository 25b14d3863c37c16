"""Finds the factor of a distribution by the name that the catalogue gives."""

from __future__ import annotations

import importlib
from functools import cache

from ppl.factors.factor import Factor


@cache
def factor(implementation: str) -> Factor:
    """The factor in a module, `ppl.factors.normal` for one; imported when it is first needed."""
    return importlib.import_module(implementation).FACTOR
