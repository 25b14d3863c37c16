"""How a posterior factorises: which entries depend on each other in it, so that it can be the prior of what comes next."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class JointBlock:
    """Variables that share a factor. `independent` where all their entries are independent of each other: their beliefs then say all.

    Of a joint Normal `entries` names each number, in the order of `mean` and `cov`. `precision` names a variable that divides `cov` (or
    multiplies it, where it is `inverted`): `places` are then its members, one for each entry. Without entries `mean` and `cov` (of a
    member, a number or a matrix) run over the plates of the first variable, and `along` says which of them each plate of the precision is.
    What of a series no later step needs is left out of the entries. `apart` are the plates of each variable along which all members of the
    block are independent.
    """

    variables: tuple[str, ...]
    independent: bool
    entries: tuple[tuple[str, tuple[int, ...]], ...] = ()
    mean: np.ndarray | None = field(default=None, repr=False)
    cov: np.ndarray | None = field(default=None, repr=False)
    precision: str = ""
    inverted: bool = False
    places: tuple[tuple[int, ...], ...] = ()
    along: tuple[int, ...] = ()
    apart: tuple[tuple[int, ...], ...] = ()
