"""A block forwards: draws of its states and sensors with smooth noise, by the model that `smooth` inverts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.engines.precision import with_precision
from ppl.engines.sampling import prior_draws
from ppl.graph.bound import BoundModel
from ppl.motion.block import Moment, MotionBlock
from ppl.motion.options import options_of
from ppl.motion.plan import apart, known_of
from ppl.motion.sensing import defined_at, followed
from ppl.motion.smooth import Smooth
from ppl.motion.starts import start_of
from ppl.numerics.compilation import lightly
from ppl.source.diagnostics import AimError, Diagnostic


def simulated(bound: BoundModel, draws: int, *, seed: int) -> dict[str, np.ndarray]:
    """Draws of everything, `draws` first. Raises AimError where nothing says how a state begins."""
    motion = bound.model.motion
    assert motion is not None
    motion = replace(motion, scheme="smooth")
    prior, after = apart(bound, motion)
    known = known_of(prior)
    block = MotionBlock(bound, motion, options_of(motion, bound.sizes, known), known)
    _refuse_unsaid(block)
    outside = prior_draws(prior, draws, seed=seed)
    found = outside | with_precision(np.float64, _paths)(block, outside, draws, seed)
    return found | followed(bound, after, found, draws)


def _refuse_unsaid(block: MotionBlock) -> None:
    said = {s.variable for s in block.motion.part.starts}
    for name in (*block.motion.part.states, *block.motion.actions):
        variable = block.bound.model.variables[name]
        if name in block.motion.actions:
            text, hint = f"`{name}` is an action, which has no prior", "fit the model, or act in its world"
        elif name not in said and any(line.role == "equation" and line.statement.variable == name for line in block.lines):
            text, hint = f"nothing says where `{name}` begins, so that it cannot be drawn", f"write state {name}: real ~ Normal(0, sd = 1)"
        else:
            continue
        raise AimError([Diagnostic("AIM0713", text, variable.span, hint)])


def _paths(block: MotionBlock, outside: dict[str, np.ndarray], draws: int, seed: int) -> dict[str, np.ndarray]:
    scheme = Smooth(block, False)
    white = stream(seed, "motion").standard_normal((draws, len(block.members), scheme.width + _sensed(scheme)))
    root, names = np.linalg.cholesky(scheme.correlation), tuple(block.definitions)
    inputs, times = {k: jnp.asarray(v)[:, None] for k, v in scheme.inputs.items()}, jnp.arange(float(block.bins))

    def of_series(values: Any, white: Any, member: Any) -> tuple[Any, Any]:
        everything = {**block.known, **values}
        u, used = _unknowns(scheme, white, root, member, everything)
        means, told = scheme.path(u, member, everything)
        sensed, at = {}, used
        for line in scheme.sensors:
            count = block.bins * line.size
            noise = root @ white[at : at + count].reshape(block.bins, line.size) @ _spread(scheme, line, everything, member)
            sensed[line.name] = means[line.name] + noise
            at += count
        defined = {
            n: jax.vmap(lambda v, i, t, d=n: defined_at(block, d, v, Moment({}, i, t, member), everything))(told, inputs, times)
            for n in names
        }
        return told, sensed | defined

    mapped = jax.vmap(jax.vmap(of_series, in_axes=(None, 0, 0)), in_axes=(0, 0, None))
    told, sensed = jax.jit(mapped, compiler_options=lightly(1))(
        {n: jnp.asarray(v) for n, v in outside.items()}, jnp.asarray(white), block.members
    )
    lead = (draws, *block.series, block.bins)
    found = {x.name: np.asarray(x.of(told)[..., 0, :]).reshape(*lead, *x.shape) for x in block.unknowns}
    return found | {n: np.asarray(v).reshape(*lead, *block.shape(n)) for n, v in sensed.items()}


def _sensed(scheme: Smooth) -> int:
    return sum(line.size for line in scheme.sensors) * scheme.block.bins


def _spread(scheme: Smooth, line: Any, outside: Any, member: Any) -> Any:
    """What unit noise is multiplied by, from the right."""
    return jnp.linalg.inv(jnp.linalg.cholesky(scheme.block.precision(line, outside, member)))


def _unknowns(scheme: Smooth, white: Any, root: np.ndarray, member: Any, outside: Any) -> tuple[Any, int]:
    """Starts and noise from white numbers, and how many of these that took."""
    block = scheme.block
    start = start_of(block, outside, member)
    parts, at = [], 0
    for x in block.unknowns:
        order = scheme.orders.get(x.name, 0)
        if order:
            begun = jnp.zeros((order, x.size)).at[0].set(start.draw(x, white[at : at + x.size]))
            parts.append(begun.reshape(-1))
            at += order * x.size
    for line in scheme.moved:
        count = block.bins * line.size
        noise = root @ white[at : at + count].reshape(block.bins, line.size) @ _spread(scheme, line, outside, member)
        parts.append(noise.reshape(-1))
        at += count
    return jnp.concatenate(parts), at
