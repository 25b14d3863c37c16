"""Functions of what is believed of a block, linear about its mean: of the unknowns at a bin, and of what is latent outside.

What is learnt moves a function twice: by itself, where the function reads it, and by the unknowns that move with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.motion.block import Moment, MotionBlock, Outside
from ppl.motion.learnt import Learnt, spread
from ppl.numerics.compilation import lightly

Function = Callable[..., Any]
"""Of the unknowns, what is known at a moment, what stands outside of the block, and more."""


@dataclass(frozen=True)
class Linearised:
    """`mean` and `conditional` (covariance) are of the unknowns at each bin given what is `learnt`, (series, T, width), in bins."""

    block: MotionBlock
    mean: np.ndarray = field(repr=False)
    conditional: np.ndarray = field(repr=False)
    learnt: Learnt

    @cached_property
    def outside(self) -> Outside:
        """What stands outside of the block, at its mean."""
        return self.learnt.parameters.whole(self.learnt.at, self.learnt.precisions)

    def through(self, function: Function, *beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance, bin by bin, of a function of the unknowns and of what is latent outside of the block."""
        value, slope, direct = self.sloped(function, *beside)
        moved = self.moved(slope, direct)
        within = np.einsum("stiw,stwv,stjv->stij", slope, self.conditional, slope)
        return value, within + spread(moved, self.learnt.covariance)

    def sloped(self, function: Function, *beside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A function at the mean, its slopes in the unknowns, and those in the coordinates of what is latent outside."""
        learnt, at = self.learnt, jnp.asarray(self.learnt.at)

        def here(u: Any, moment: Moment, *beside: Any) -> tuple[Any, ...]:
            def value(u: Any, at: Any) -> Any:
                return function(u, moment, learnt.parameters.outside(at, learnt.precisions), *beside)

            return value(u, at), *jax.jacfwd(value, (0, 1))(u, at)

        return self.each(here, *beside)

    def moved(self, slope: np.ndarray, direct: np.ndarray) -> np.ndarray:
        """How a function moves with the coordinates, together with the unknowns that move with them."""
        moves = self.learnt.moves
        return direct if moves is None else direct + np.einsum("stiw,stwp->stip", slope, moves)

    def each(self, function: Any, *beside: np.ndarray) -> Any:
        """A function of the unknowns at the mean, of what is known at the moment, and of what else there is for each series and bin."""
        moments = self.block.moments

        def at(u: Any, data: Any, inputs: Any, time: Any, member: Any, *beside: Any) -> Any:
            return function(u, Moment(data, inputs, time, member), *beside)

        own = (0,) * len(beside)
        bins = jax.vmap(at, in_axes=(0, 0, 0, 0, None, *own))
        series = jax.jit(jax.vmap(bins, in_axes=(0, 0, None, None, 0, *own)), compiler_options=lightly(1))
        given = jnp.asarray(self.mean), moments.data, moments.inputs, moments.time, moments.member
        return jax.tree.map(np.asarray, series(*given, *beside))
