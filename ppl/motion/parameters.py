"""What is latent outside of a block: coordinates without bounds for a joint Normal belief, and precisions whose Gamma prior is conjugate.

The coordinates and their prior density are those by which every other model is fitted by gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.graph.evaluate import Evaluator
from ppl.graph.references import statement_uses
from ppl.motion.plan import MotionPlan
from ppl.numerics.compilation import lightly
from ppl.semantics import typed
from ppl.semantics.walking import variables_in

PRIOR_STEPS = 20
WIDEST = 4.0  # sd of a coordinate that is drawn
FREE, POSITIVE = (-np.inf, np.inf), (0.0, np.inf)


@dataclass(frozen=True)
class GammaPrior:
    """Of a precision that multiplies known matrices in the noise of these lines (by their number), and stands nowhere else."""

    name: str
    shape: float
    rate: float
    lines: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Parameters:
    """`outside(u, precisions)` is a pure function: the values of all that stands outside of the block."""

    plan: MotionPlan = field(repr=False)
    conjugate: bool = True  # whether Gammas stay apart from the coordinates

    @cached_property
    def gammas(self) -> tuple[GammaPrior, ...]:
        if not self.conjugate:
            return ()
        found = (self._gamma(name) for name in self.plan.latent)
        return tuple(g for g in found if g is not None)

    def _gamma(self, name: str) -> GammaPrior | None:
        model, block = self.plan.prior.model, self.plan.block
        own = [s for s in model.statements if s.variable == name]
        read = any(name in {used for used, _ in statement_uses(s)} for s in model.statements)
        call = getattr(own[0], "distribution", None) if len(own) == 1 else None
        if (
            read
            or not isinstance(call, typed.DistributionCall)
            or call.name not in ("Gamma", "Exponential")
            or model.variables[name].type.axes
        ):
            return None
        if name in self.plan.prior.values or any(variables_in(a) & set(self.plan.latent) for a in call.arguments.values()):
            return None
        lines = tuple(k for k, line in enumerate(block.lines) if self._scales(line.statement, name))
        mentioned = sum(name in variables_in(s) for s in (*block.motion.part.statements, *block.motion.part.starts))
        if not lines or mentioned != len(lines):
            return None
        given = {
            n: float(np.asarray(Evaluator(self.plan.bound.sizes, block.known).evaluate(a, {}).data)) for n, a in call.arguments.items()
        }
        rate = given.get("rate", 1.0 / given["scale"] if "scale" in given else 1.0)
        return GammaPrior(name, given.get("shape", 1.0), rate, lines)

    def _scales(self, statement: typed.MotionStatement, name: str) -> bool:
        """Whether the noise has the precision `p`, or `p` times what is known."""
        call = statement.distribution
        if (
            not isinstance(call, typed.DistributionCall)
            or "precision" not in call.arguments
            or name in variables_in(call.arguments["mean"])
        ):
            return False
        match call.arguments["precision"]:
            case typed.VariableReference(name=own):
                return own == name
            case typed.Apply(function="multiply", arguments=(a, b)):
                this, other = (a, b) if isinstance(a, typed.VariableReference) and a.name == name else (b, a)
                return isinstance(this, typed.VariableReference) and this.name == name and not variables_in(other) & set(self.plan.latent)
        return False

    # ------------------------------------------------------------ coordinates
    @cached_property
    def joint(self) -> Any:
        """The log joint of what is latent and no Gamma, in coordinates; None where nothing is."""
        from ppl.engines.numpyro_bridge.joint import log_joint_of

        gammas = {g.name for g in self.gammas}
        prior = self.plan.prior
        if not set(self.plan.latent) - gammas:
            return None
        kept = {n: v for n, v in prior.model.variables.items() if n not in gammas}
        statements = tuple(s for s in prior.model.statements if s.variable not in gammas)
        bound = replace(prior, model=replace(prior.model, variables=kept, statements=statements))
        return log_joint_of(bound, beside=lambda values: 0.0)

    @property
    def size(self) -> int:
        return 0 if self.joint is None else self.joint.size

    def outside(self, u: Any, precisions: Mapping[str, Any]) -> dict[str, Any]:
        """All values, whole, those of definitions among them."""
        found = {n: jnp.asarray(v) for n, v in self.plan.block.known.items() if np.asarray(v).dtype.kind in "biuf"}
        if self.joint is not None:
            values, networks, _ = self.joint.constrain(u)
            evaluator = self.joint.evaluator(values, networks)
            found |= {n: jnp.asarray(values[n]) for n in self.plan.latent if n in values}
            found |= {n: jnp.asarray(evaluator.whole(n).data) for n in self.defined}
        return found | {n: jnp.asarray(p) for n, p in precisions.items()}

    def whole(self, u: Any, precisions: Mapping[str, Any]) -> dict[str, Any]:
        """The same as numbers, computed as one program where anything is."""
        if self.joint is None:
            return self.outside(u, precisions)
        with jax.ensure_compile_time_eval():
            return jax.jit(self.outside, compiler_options=lightly())(jnp.asarray(u), dict(precisions))

    @cached_property
    def defined(self) -> tuple[str, ...]:
        """What is computed outside of the block from what is latent."""
        if self.joint is None:
            return ()
        return tuple(n for n in self.joint.structure.definitions if n not in self.plan.block.known)

    def log_prior(self, u: Any) -> Any:
        """The density of the coordinates, nats."""
        return jnp.zeros(()) if self.joint is None else self.joint(u)

    @property
    def start(self) -> Any:
        """The coordinates at the top of the prior, by Newton's steps; where it is flat they are 0."""
        return self._top[0]

    @property
    def spread(self) -> Any:
        """A root of the covariance that the prior has there; where it is flat it is told to be wide."""
        return self._top[1]

    @cached_property
    def _top(self) -> tuple[Any, Any]:
        u, spread = jnp.zeros(self.size), jnp.zeros((self.size, self.size))
        if not self.size:
            return u, spread

        def step(u: Any) -> tuple[Any, Any]:
            values, vectors = jnp.linalg.eigh(-jax.hessian(self.log_prior)(u))
            move = vectors @ ((vectors.T @ jax.grad(self.log_prior)(u)) / jnp.maximum(jnp.abs(values), 1e-6))
            return u + jnp.clip(move, -4.0, 4.0), vectors / jnp.sqrt(jnp.maximum(jnp.abs(values), WIDEST**-2))

        program = jax.jit(step, compiler_options=lightly())
        for _ in range(PRIOR_STEPS):
            u, spread = program(u)
        return u, spread

    # ------------------------------------------------------------ what is told of them
    def families(self, mean: np.ndarray, covariance: np.ndarray) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
        """Name, family and parameters of the variables whose coordinates are an affine function of them, or of their logarithms."""
        if self.joint is None:
            return
        sd = np.sqrt(np.diagonal(covariance))
        for site in self.joint.sites:
            bounds = {(b.low, b.high) for b in site.bounds}
            if site.standardised or site.mask is not None or site.kind != "numbers" or bounds not in ({FREE}, {POSITIVE}):
                continue  # a standardised value is more than an affine function: its scale is latent
            at, shape = slice(self.joint.starts[site.name], self.joint.starts[site.name] + site.size), site.coordinates
            told = {"mean": mean[at].reshape(shape), "sd": sd[at].reshape(shape)}
            yield site.name, "Normal" if bounds == {FREE} else "LogNormal", told
