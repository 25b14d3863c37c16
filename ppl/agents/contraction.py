"""Sums of products over named axes: what beliefs and tables are combined by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppl.arrays.plated import namespace

Operand = tuple[Any, Sequence[str]]


def contract(operands: Sequence[Operand], kept: Sequence[str]) -> Any:
    """The product of the operands, whose axes have these names, summed over every name that is not kept."""
    if len(operands) == 1 and tuple(operands[0][1]) == tuple(kept):
        return operands[0][0]
    numbers: dict[str, int] = {}
    arguments: list[Any] = []
    for array, names in operands:
        arguments += [array, [numbers.setdefault(name, len(numbers)) for name in names]]
    xp = namespace(*(array for array, _ in operands))
    how: dict[str, Any] = {"optimize": True} if xp is np else {"precision": "highest"}
    return xp.einsum(*arguments, [numbers[name] for name in kept], **how)
