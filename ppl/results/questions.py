"""What a posterior asks of its model: the results know no program, so the engine hands over what answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ppl.results.axes import Axis

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior

Draws = Mapping[str, np.ndarray]
Front = Mapping[str, tuple[int, int]]  # of variables along a series that went on: which axis is time, and how many entries come first


def after(name: str, front: Front) -> tuple[slice, ...]:
    """Where the entries of a variable stand that are told of: what comes first is of the series before an update."""
    axis, count = front.get(name, (0, 0))
    return (slice(None),) * axis + (slice(count, None),) if count else ()


@dataclass(frozen=True)
class NewData:
    """What a question gives: values by name, a table or mapping, and the sets that they bring new members of, where it says so."""

    values: Mapping[str, Any] = field(default_factory=dict)
    table: Any = None
    along: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values) or self.table is not None


@dataclass(frozen=True)
class Pointwise:
    """The log-likelihood of each observation under each draw: (draws, …) with the axes of the observations; NaN where one is missing."""

    values: np.ndarray = field(repr=False)
    axes: tuple[Axis, ...]


class Questions(Protocol):
    """A model with its data, able to answer from joint draws of what is latent in it; the draws hold what comes first in a series too."""

    @property
    def front(self) -> Front: ...

    def axes(self, name: str) -> tuple[Axis, ...]:
        """The axes of a variable."""
        ...

    def time(self, name: str) -> int | None:
        """The axis along which a variable goes on: that of a recursion or a generalized block, or the only one that has a set."""
        ...

    def observed(self) -> dict[str, np.ndarray]:
        """What was observed, by name: NaN where an entry is missing, members by their ordinals."""
        ...

    def constants(self) -> dict[str, np.ndarray]:
        """Parameters and inputs."""
        ...

    def log_likelihood(self, draws: Draws, new: NewData, seed: int) -> dict[str, Pointwise]: ...

    def predict(self, draws: Draws, new: NewData, seed: int, name: str | None, count: int) -> dict[str, np.ndarray]: ...

    def update(self, posterior: Posterior, new: NewData) -> Posterior: ...

    def record(self) -> dict[str, Any]:
        """All that brings the model and its data back: plain values and arrays."""
        ...
