"""What is said of the states at the first bin: a value that is certain, or a distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from ppl.motion.block import Line, MotionBlock, Outside, Unknown


@dataclass(frozen=True)
class Start:
    """Of one series. `guess` is where a search begins; `pinned` marks what is certain; `errors` are whitened."""

    guess: Any = field(repr=False)
    pinned: Any = field(repr=False)
    errors: Callable[[Any], Any] = field(repr=False)
    log_normaliser: Any = 0.0
    roots: dict[str, Any] = field(default_factory=dict, repr=False)  # upper, of the precisions of what has a distribution

    def draw(self, x: Unknown, white: Any) -> Any:
        """A state at the start from white numbers."""
        value = self.guess[x.start : x.start + x.size]
        if x.name not in self.roots:
            return value
        return value + jax.scipy.linalg.solve_triangular(self.roots[x.name], white)


def start_of(block: MotionBlock, outside: Outside, member: Any) -> Start:
    """From the `=` and `~` of the states' declarations; nothing is said of the others."""
    guess, pinned = jnp.zeros(block.width), jnp.zeros(block.width)
    said: list[tuple[Unknown, Any, Any]] = []
    constant: Any = 0.0
    values = {
        **outside,
        f"{block.motion.loop.name}@": jnp.zeros(()),
        **{f"{p.name}@": member[k] for k, p in enumerate(block.motion.plates)},
    }
    for statement in block.motion.part.starts:
        x = next(u for u in block.unknowns if u.name == statement.variable)
        line = Line(statement, "cause", 0, 1, x.shape[: len(statement.indices) - len(block.series)], x.shape)
        place = slice(x.start, x.start + x.size)
        if statement.value is not None:
            guess = guess.at[place].set(block.number(statement, statement.value, values, x.shape).reshape(-1))
            pinned = pinned.at[place].set(1.0)
            continue
        mean = block.mean_at(line, values)
        upper = jnp.linalg.cholesky(block.precision(line, outside, member)).T
        guess = guess.at[place].set(mean)
        said.append((x, mean, upper))
        constant = constant + jnp.log(jnp.diagonal(upper)).sum() - 0.5 * x.size * jnp.log(2 * jnp.pi)

    def errors(u: Any) -> Any:
        parts = [upper @ (u[x.start : x.start + x.size] - mean) for x, mean, upper in said]
        return jnp.concatenate([jnp.zeros(0), *parts])

    return Start(guess, pinned, errors, constant, {x.name: upper for x, _, upper in said})
