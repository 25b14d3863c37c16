"""Extrapolation: where sweeps creep along one direction, a long step along it, kept only where the bound rises.

Coordinate ascent is slow where blocks answer to each other, as a variance and what varies by it do. Three sweeps show how: with r the first
change of the natural parameters and v the change of the change, the step is η - 2 α r + α² v, α = -|r| / |v| (the third scheme of Varadhan
and Roland, Simple and globally convergent methods for accelerating the convergence of any EM algorithm, 2008). Blocks of conjugate
families are moved, the others follow, and the sweep that comes next has to raise the bound.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ppl.compiler.kinds import Conjugate, kind_of
from ppl.compiler.program import Data, Program, State, put

EVERY = 3  # sweeps


def moved_blocks(program: Program) -> tuple[str, ...]:
    """The blocks that a long step moves."""
    names = (n for n in program.order if n not in program.data.rows and n not in program.stepped)
    return tuple(n for n in names if isinstance(kind_of(program.layout.blocks[n]), Conjugate))


def natural_of(program: Program, state: State) -> Any:
    """Their natural parameters."""
    return {name: state["natural"][name] for name in moved_blocks(program)}


def extrapolated(program: Program, state: State, before: Any, first: Any, data: Data, messages: Any) -> State:
    """The state after a long step, the blocks that it does not move at their optimum there; `before` and `first` are the natural
    parameters one and two sweeps earlier."""
    now = natural_of(program, state)
    change = jax.tree.map(lambda b, a: b - a, before, first)
    bend = jax.tree.map(lambda c, b, r: c - b - r, now, before, change)
    length = -jnp.maximum(jnp.sqrt(_squared(change, now) / (_squared(bend, now) + 1e-300)), 1.0)
    new = jax.tree.map(lambda a, r, v: a - 2.0 * length * r + length**2 * v, first, change, bend)
    for name, natural in new.items():
        kind = kind_of(program.layout.blocks[name])
        assert isinstance(kind, Conjugate)
        moments, entropy = kind.family.expected_statistics(natural), kind.family.entropy(natural).sum()
        state = put(state, name, natural=natural, moments=moments, entropy=entropy)
    for name in (n for n in program.order if n not in new):
        state = program.update(name, state, data, messages)
    return state


def _squared(change: Any, scale: Any) -> Any:
    """The squared length of a change, each block in units of its own parameters."""
    leaves = jax.tree.map(lambda d, s: (d**2).sum() / (1e-300 + (s**2).sum()), change, scale)
    return sum(jax.tree.leaves(leaves))
