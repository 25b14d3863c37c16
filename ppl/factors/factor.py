"""A factor is its expected log-density, as a function of the expected features of its slots.

The function must be affine in the features of each slot taken alone, and equal the log-density where every slot is a point:
then for independent slots it is E[log f], and its gradients are the messages. `slots` says which features a slot is asked for,
by the names of `ppl.families`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ppl.arrays.plated import Plated

IMPOSSIBLE = -1e30  # the logarithm of 0, finite so that 0 · log 0 = 0


@dataclass(frozen=True)
class Factor:
    """One distribution.

    `differences` name slots that are the difference of two arguments (a location family asks for the residual alone).
    `conversions` turn an alternative parameter into the canonical one by functions of the language: `sd` is
    `("precision", (("power", -2.0),))`. `base_measure` is the part of the log-density that depends on an observed value alone;
    it stays out of the energy of a latent one, as its family's entropy leaves it out too.
    """

    name: str
    family: str
    parameters: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]
    energy: Callable[..., Plated]
    differences: dict[str, tuple[str, str]] = field(default_factory=dict)
    conversions: dict[str, tuple[str, tuple[tuple[Any, ...], ...]]] = field(default_factory=dict)
    base_measure: Callable[..., Any] | None = None
    reported: Callable[..., dict[str, Any]] = dict  # the family's own parameters, from those that the factor is written in
    requires: Callable[..., str] | None = None  # what is wrong with known parameters together; empty where nothing is
    event_rank: int = 0  # axes of a value
    parameter_rank: dict[str, int] = field(default_factory=dict)  # axes of a parameter, where it is no scalar
