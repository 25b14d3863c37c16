"""What is compiled once and used again: agents of one structure differ in numbers alone, and these are arguments.

The structure is all that a trace may depend on but numbers: which tables there are and what they depend on, which entries are learnt,
which states stay as they are, which outcomes say the same, which policies there are. The first agent of a structure that has few
numbers has them as constants, from which the compiler takes what it can compute beforehand; where another follows, they are arguments
of one function for it and all that come after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

REMEMBERED = 64  # structures whose functions are kept in this process
MOST_CONSTANTS = 50_000  # numbers


@dataclass
class Shared:
    """The functions of one structure of a model, by name; `first` is the content of the first agent that had it, where its numbers are
    few."""

    model: Any
    first: bytes | None
    functions: dict[Hashable, Callable[..., Any]] = field(default_factory=dict)

    def function(self, key: Hashable, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        if key not in self.functions:
            self.functions[key] = make()
        return self.functions[key]


_SHARED: dict[Hashable, Shared] = {}


def shared(model: Any, structure: Hashable, content: bytes | None = None) -> Shared:
    """What agents of one model with this structure share."""
    key = (id(model), structure)  # which is the model's for as long as it is held here
    if key not in _SHARED:
        if len(_SHARED) >= REMEMBERED:
            del _SHARED[next(iter(_SHARED))]
        _SHARED[key] = Shared(model, content)
    return _SHARED[key]


def shapes(numbers: Any) -> Hashable:
    """The shapes of a tree of numbers."""
    leaves, tree = jax.tree.flatten(numbers)
    return tree, tuple((np.shape(leaf), str(getattr(leaf, "dtype", type(leaf)))) for leaf in leaves)


def content(numbers: Any) -> bytes | None:
    """A digest of few numbers; None of many."""
    leaves = jax.tree.leaves(numbers)
    if sum(np.size(leaf) for leaf in leaves) > MOST_CONSTANTS:
        return None
    digest = hashlib.blake2b()
    for leaf in leaves:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.digest()


def entries(arrays: Any) -> Hashable:
    """Arrays of whole numbers, or of what stands beside them, as one value that can be compared."""
    return tuple((a.shape, a.dtype.str, a.tobytes()) for a in map(np.asarray, jax.tree.leaves(arrays)))
