"""A point mass as the form of a block, `q(a): point`: the mode of what the block would be. With it alone, that is MAP; beside others, EM.

A point has no entropy: the bound is then the log joint at the point, averaged over the other blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.kinds import Arrays, Conjugate, Kind, Latents

MODES: dict[str, Callable[..., Any]] = {
    "Gamma": lambda shape, rate: (shape - 1.0) / rate,
    "InverseGamma": lambda shape, scale: scale / (shape + 1.0),
    "Beta": lambda a, b: (a - 1.0) / (a + b - 2.0),
    "Dirichlet": lambda concentration: (concentration - 1.0) / (concentration - 1.0).sum(axis=-1, keepdims=True),
    "Wishart": lambda df, scale: (df - scale.shape[-1] - 1.0)[..., None, None] * scale,
    "InverseWishart": lambda df, scale: scale / (df + scale.shape[-1] + 1.0)[..., None, None],
}
"""Where the density is highest; outside of the support where it has no such point, which ends as a bound that is not finite."""


@dataclass(frozen=True)
class Point(Kind):
    """The mode of a block of another kind."""

    base: Kind

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        moments, natural = self.base.blank(block, latents, dtype)
        return self._collapsed(moments), natural

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        found = self.base.optimum(block, gradient, moments, natural, damping)
        if isinstance(self.base, Conjugate):
            family = self.base.family
            mode = MODES[family.name](**family.params_from(found["natural"]))
            own = {k: jnp.asarray(v) for k, v in family.statistics(mode).items()}
        else:
            own = self._collapsed(found["moments"])
        return {"moments": own, "natural": found["natural"], "entropy": jnp.zeros_like(found["entropy"])}

    def _collapsed(self, moments: Arrays) -> Arrays:
        """Means without their spread; of a table the most probable states."""
        if "table" in moments:
            table = moments["table"]
            return {"table": jax.nn.one_hot(jnp.argmax(table, axis=-1), table.shape[-1], dtype=table.dtype)}
        return {k: v if k.endswith("mean") or isinstance(self.base, Conjugate) else 0.0 * v for k, v in moments.items()}

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """The largest change of a number, relative to its size."""
        far = jax.tree.map(lambda n, o: (jnp.abs(n - o) / (1.0 + jnp.abs(n))).max(), new[0], old[0])
        return jnp.stack(jax.tree.leaves(far)).max()

    def reported_family(self, block: Block, name: str, latents: Latents) -> str:
        return "Delta"

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        found = self.base.marginal(block, name, latents, moments, natural)
        if isinstance(self.base, Conjugate):
            return {"value": np.asarray(MODES[self.base.family.name](**found))}
        return {"value": np.asarray(found["mean"] if "mean" in found else np.argmax(found["p"], axis=-1))}

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        values = {v: self.marginal(block, v, latents, moments, natural)["value"] for v in block.variables}
        return {v: np.broadcast_to(value, (count, *value.shape)) for v, value in values.items()}

    def described(self, block: Block) -> str:
        return f"point, the mode of a {self.base.described(block)}"
