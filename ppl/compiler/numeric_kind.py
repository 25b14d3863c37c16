"""Blocks of one positive variable whose moments are integrals: the gradient is the natural parameter of the statistics asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.kinds import Arrays, Conjugate, Latents, damped
from ppl.families.numeric import Positive

WIDEST = 10.0  # how far from 0 the logarithm of a start may be


@dataclass(frozen=True)
class Numeric(Conjugate):
    family: Positive

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        """The statistics of 1."""
        (name,) = block.variables
        values = {"log": 0.0, "log1p_squared": np.log(2.0)}
        moments = {s: np.full(block.batch, values.get(s, 1.0), dtype) for s in latents[name].statistics}
        return moments, {k: np.zeros_like(v) for k, v in moments.items()}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        new = damped(gradient, natural, damping)
        log_partition, expected = self.family.solved(new)
        entropy = (log_partition - self.family.inner(new, expected)).sum()
        return {"moments": expected, "natural": new, "entropy": entropy}

    def begun(self, parts: Arrays) -> Arrays:
        """At the median: the expected reciprocals of a prior may be infinite."""
        found = self.family.params_from(parts["natural"])
        middle = (jnp.cumsum(found["mass"], axis=-1) < 0.5).sum(axis=-1, keepdims=True)
        u = jnp.clip(jnp.take_along_axis(found["log_nodes"], middle, axis=-1)[..., 0], -WIDEST, WIDEST)
        values = self.family.statistics(jnp.exp(u))
        return {**parts, "moments": {k: values[k] for k in parts["moments"]}}

    def described(self, block: Block) -> str:
        return "positive, by quadrature"
