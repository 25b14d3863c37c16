"""What a scheme leaves: the belief in the unknowns at each bin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class States:
    """`mean` is (series, T, width), in bins, `covariance` beside it; `bound` is minus the free energy, nats, by series and bin or by series
    alone; `settled` says whether the search for the mean has ended."""

    mean: Any = field()
    covariance: Any = field()
    bound: Any = field()
    settled: Any = field()
