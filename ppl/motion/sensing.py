"""What a block says of its sensors: of samples that are missing given those that there are, and of what may be sensed ahead.

Noise is smooth, so that a missing sample is known better than the mean of its sensor alone: given the errors of the samples around it
(`mode`: those of its window; `smooth`: all of them) it is Normal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.statements import deterministic_definitions
from ppl.engines.draws import drawn_variable
from ppl.engines.members import DRAW
from ppl.graph.bound import BoundModel
from ppl.motion import roughness
from ppl.motion.block import Line, Moment, MotionBlock, Outside
from ppl.semantics import typed


def mean_of(block: MotionBlock, line: Line, u: Any, moment: Moment, outside: Outside) -> Any:
    """The mean of a sensor at a bin."""
    values = block.values(block.curve(u, moment, 1)[0], moment, outside)
    return block.mean_at(line, values)


def defined_at(block: MotionBlock, name: str, u: Any, moment: Moment, outside: Outside) -> Any:
    """A definition of the block at a bin."""
    statement = block.definitions[name]
    assert statement.value is not None
    values = block.values(block.curve(u, moment, 1)[0], moment, outside)
    return block.number(statement, statement.value, values, block.shape(name)).reshape(-1)


def followed(
    bound: BoundModel, after: Sequence[typed.DeterministicStatement], drawn: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Draws of what is defined of the block's variables below it."""
    if not after:
        return {}
    evaluator = LatentEvaluator(bound, {}, deterministic_definitions(bound.model))
    evaluator.values = dict(bound.values) | {n: Plated((DRAW,), d) for n, d in drawn.items()}
    return {n: drawn_variable(n, evaluator, count) for n in dict.fromkeys(s.variable for s in after)}


def given_window(block: MotionBlock, line: Line, u: Any, moment: Moment, mask: Any, expansion: Any, outside: Outside) -> tuple[Any, Any]:
    """The sample at a bin and its covariance for known unknowns, given the samples of its window that there are."""
    options = block.options
    own = jnp.abs(expansion[:, 1:]).sum(axis=1) == 0 if expansion.shape[1] > 1 else jnp.ones(1, bool)
    if options.smoothness:
        spread = expansion @ roughness.covariance(options.order_observed, options.smoothness) @ expansion.T
    else:
        spread = jnp.eye(len(expansion))
    upper = jnp.linalg.cholesky(block.precision(line, outside, moment.member)).T
    noise = jax.scipy.linalg.cho_solve((upper, False), jnp.eye(line.size))
    covariance, there = jnp.kron(spread, noise), mask.reshape(-1)
    kept = covariance * there[:, None] * there + jnp.diag(1.0 - there)
    error = (expansion[:, : line.count] @ block.error(line, u, moment, outside)).reshape(-1) * there
    cross = jnp.kron(own @ spread, noise) * there
    weights = jnp.linalg.solve(kept, cross.T).T
    return mean_of(block, line, u, moment, outside) + weights @ error, noise - weights @ cross.T


def given_all(
    records: np.ndarray, means: np.ndarray, correlation: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The samples of one series, (T, size), given those that there are; how they move with their means, (T, size, T, size); and their
    covariance for known means, likewise."""
    there = np.isfinite(records).reshape(-1)
    full = np.kron(correlation, noise)
    weights = np.zeros_like(full)
    weights[:, there] = np.linalg.solve(full[np.ix_(there, there)], full[there]).T
    error = np.nan_to_num(records).reshape(-1) - means.reshape(-1)
    value = means.reshape(-1) + weights[:, there] @ error[there]
    both = *records.shape, *records.shape
    return value.reshape(records.shape), (np.eye(len(full)) - weights).reshape(both), (full - weights @ full).reshape(both)


def first_left_out(block: MotionBlock, outside: Outside, member: Any) -> Mapping[str, np.ndarray]:
    """The variance of the first derivative that the unknowns leave out, in bins, as the noise of the statement that drives it has it."""
    found = {}
    for line in block.lines:
        if line.role != "sensor" and block.options.smoothness:
            rough = roughness.covariance(line.count, block.options.smoothness)[-1, -1]
            noise = np.linalg.inv(np.asarray(block.precision(line, outside, member)))
            found[line.statement.variable] = rough * np.diag(noise) * block.options.dt ** (2 * line.order)
    return found
