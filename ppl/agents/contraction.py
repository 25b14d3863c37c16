"""Sums of products over named axes: what beliefs and tables are combined by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

Operand = tuple[Any, Sequence[str]]


def contract(operands: Sequence[Operand], kept: Sequence[str]) -> Any:
    """The product of the operands, whose axes have these names, summed over every name that is not kept."""
    numbers: dict[str, int] = {}
    arguments: list[Any] = []
    for array, names in operands:
        arguments += [array, [numbers.setdefault(name, len(numbers)) for name in names]]
    return jnp.einsum(*arguments, [numbers[name] for name in kept], precision="highest")
