"""The scheme `flow`: the D-step of DEM (Friston, Trujillo-Barreto & Daunizeau 2008), which gives SPM's numbers.

The unknowns follow the gradient of the free energy in a frame that moves with them, `u̇ = D u + ∂V/∂u`; for each bin one step
`Δu = (exp(J) - 1) J⁻¹ u̇` is taken, in which data and inputs move as their derivatives say. The belief told at a bin is the one that the
flow brings there, before it follows the sample. Kept as SPM has them: derivatives above the first are of the equations linearised at the
present state; all errors have `order + 1` rows, and the last of an equation of motion is put to 0 while its slope is not; unknowns whose
noise has a precision of e^16 or more have no covariance and leave the free energy; noise is never rougher than a smoothness of e^-8; what
is inverted to a covariance has as much added to its diagonal as the largest of its rows is rounded by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.motion import roughness
from ppl.motion.block import Line, Moment, MotionBlock, Outside
from ppl.motion.exponential import exponential
from ppl.motion.residuals import LOG_2PI
from ppl.motion.series import over_series
from ppl.motion.starts import start_of
from ppl.motion.states import States
from ppl.numerics.compilation import lightly
from ppl.semantics.walking import variables_in

PRECISE = float(np.exp(16))
ROUGHEST = float(np.exp(-8))
LEAST = float(np.exp(-32))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Step:
    """What the flow knows at a bin: the unknowns, errors, their slopes in the unknowns, and the covariance of the unknowns."""

    u: Any = field()
    errors: Any = field()
    slopes: Any = field()
    covariance: Any = field()


@dataclass(frozen=True, eq=False)
class Flow:
    """`latent` are the names outside of the block that are not known; `followed` the unknowns of an integration together with a world."""

    block: MotionBlock
    latent: frozenset[str] = frozenset()
    followed: np.ndarray | None = field(default=None, repr=False)

    # ------------------------------------------------------------ what never changes
    @property
    def count(self) -> int:
        """Rows of each error."""
        return self.block.options.order + 1

    @cached_property
    def roughness(self) -> np.ndarray:
        return roughness.precision(self.count - 1, max(self.block.options.smoothness, ROUGHEST))

    @cached_property
    def moment(self) -> Moment:
        """That of one bin of one series, with zeros: what shapes are taken from."""
        moments = self.block.moments
        data = {k: np.zeros((self.count, v.shape[-1])) for k, v in moments.data.items()}
        inputs = {k: np.zeros(v.shape[1:]) for k, v in moments.inputs.items()}
        return Moment(data, inputs, 0.0, moments.member[0])

    def known(self, moment: Moment) -> Any:
        """Data, inputs and time with their derivatives, as one vector."""
        data = [_rows(moment.data[k], self.count).reshape(-1) for k in sorted(moment.data)]
        inputs = [jnp.asarray(moment.inputs[k], float).reshape(-1) for k in sorted(moment.inputs)]
        return jnp.concatenate([*data, *inputs, jnp.stack([jnp.asarray(moment.time, float), jnp.ones(())])])

    def _moment_of(self, known: Any, member: Any) -> Moment:
        data, inputs, at = {}, {}, 0
        for store, like in ((data, self.moment.data), (inputs, self.moment.inputs)):
            for k in sorted(like):
                size = int(np.prod(like[k].shape))
                store[k] = known[at : at + size].reshape(like[k].shape)
                at += size
        return Moment(data, inputs, known[at], member)

    @cached_property
    def width_known(self) -> int:
        return len(self.shifts) - self.block.width

    @cached_property
    def linear(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """(count, size, width) matrices on the unknowns, and on what is known, of the targets of all lines and then of the curve."""

        def all_of_them(u: Any, known: Any) -> tuple[Any, ...]:
            moment = self._moment_of(known, self.moment.member)
            targets = (self.block.target(line, u, moment, self.count) for line in self.block.lines)
            return (*targets, self.block.curve(u, moment, self.count))

        with jax.ensure_compile_time_eval():
            zeros = jnp.zeros(self.block.width), jnp.zeros(self.width_known)
            slopes = jax.jit(jax.jacfwd(all_of_them, argnums=(0, 1)), compiler_options=lightly())(*zeros)
            return tuple((np.asarray(u), np.asarray(known)) for u, known in slopes)

    def kept(self, line: Line) -> np.ndarray:
        """The rows of a line that are no errors by definition."""
        rows = np.arange(self.count)
        return (rows < self.count - line.order) * 1.0 if line.role == "equation" else np.ones(self.count)

    @cached_property
    def shifts(self) -> np.ndarray:
        """D: what each unknown, datum and input moves to."""
        sizes = [(x.count, x.size) for x in self.block.unknowns]
        sizes += [(self.count, self.moment.data[k].shape[-1]) for k in sorted(self.moment.data)]
        sizes += [(v.shape[0], int(np.prod(v.shape[1:]))) for _, v in sorted(self.moment.inputs.items())]
        return _block_diagonal([np.kron(np.eye(count, k=1), np.eye(size)) for count, size in [*sizes, (2, 1)]])

    # ------------------------------------------------------------ errors
    def errors(self, u: Any, known: Any, member: Any, outside: Outside, *, whole: bool = False) -> tuple[Any, Any, Any]:
        """The errors of all lines, and their slopes in the unknowns and in what is known; `whole` keeps rows that are 0 by definition."""
        *targets, curves = self.linear
        curve = curves[0] @ u + curves[1] @ known
        moment = self._moment_of(known, member)
        found: list[list[Any]] = [[], [], []]
        for line, (of_u, of_known) in zip(self.block.lines, targets, strict=True):
            mean = self.block.mean(line, outside, moment)
            slope = jax.jacfwd(mean)(curve[0])
            rows = jnp.concatenate([mean(curve[0])[None], curve[1:] @ slope.T])
            error = (of_u @ u + of_known @ known - rows) * (1.0 if whole else self.kept(line)[:, None])
            found[0].append(error.reshape(-1))
            for place, (target, way) in enumerate(((of_u, curves[0]), (of_known, curves[1])), 1):
                found[place].append((target - jnp.einsum("ij,kjw->kiw", slope, way)).reshape(error.size, -1))
        return tuple(jnp.concatenate(parts) for parts in found)  # type: ignore[return-value]

    def precision(self, outside: Outside, member: Any) -> Any:
        """Of all errors, the orders of each line outermost."""
        blocks = [jnp.kron(self.roughness, self.block.precision(line, outside, member)) for line in self.block.lines]
        return jax.scipy.linalg.block_diag(*blocks)

    # ------------------------------------------------------------ what is too precise to count
    def precise(self, precision: Any) -> tuple[Any, Any]:
        """1 for errors whose known precision is below e^16, and for the unknowns that these move: those of equations of motion."""
        diagonal, at = jnp.diagonal(precision), 0
        errors, unknowns = [], {x.name: jnp.ones((x.count, x.size)) for x in self.block.unknowns}
        for line in self.block.lines:
            mask = (diagonal[at : at + self.count * line.size] < PRECISE * (1 - 1e-12)).reshape(self.count, line.size) * 1.0
            at += self.count * line.size
            mask = jnp.ones_like(mask) if self._learnt(line) else mask
            errors.append(mask.reshape(-1))
            if line.role == "equation":
                unknowns[line.statement.variable] = mask
        return jnp.concatenate(errors), jnp.concatenate([unknowns[x.name].reshape(-1) for x in self.block.unknowns])

    def _learnt(self, line: Line) -> bool:
        call = line.statement.distribution
        arguments = getattr(call, "arguments", {})
        return any(variables_in(a) & self.latent for name, a in arguments.items() if name != "mean")

    # ------------------------------------------------------------ the flow
    def path(self, member: Any, data: Any, outside: Outside, pull: Any = None, followed: Any = None) -> Step:
        """The steps of one series. `pull` gives what uncertain parameters add to the gradient and the curvature in the unknowns. Where
        these were `followed` together with a world, they are what they were, (T, width)."""
        precision = self.precision(outside, member)
        _, free = self.precise(precision)
        start = start_of(self.block, outside, member).guess
        moments = self.block.moments

        def one(u: Any, bin: Any) -> tuple[Any, Step]:
            known = self.known(Moment(bin["data"], bin["inputs"], bin["time"], member))
            errors, slopes, slopes_known = self.errors(u, known, member, outside)
            weighted = slopes.T @ precision
            curvature = weighted @ slopes
            covariance = inverse(curvature + len(u) * jnp.finfo(u.dtype).eps * jnp.eye(len(u)))
            gradient, more = (0.0, 0.0) if pull is None else pull(u, known, member, precision)
            jacobian = jnp.concatenate([-curvature - more, -weighted @ slopes_known], axis=1)
            moved = self._moved(u, known, -weighted @ errors - gradient, jacobian)
            return moved, Step(u, errors, slopes, covariance * free[:, None] * free)

        bins = {"data": data, "inputs": moments.inputs, "time": moments.time}
        if followed is not None:
            return jax.vmap(lambda u, bin: one(u, bin)[1])(followed, bins)
        return jax.lax.scan(one, start, bins)[1]

    def pulls(self, u: Any, moment: Moment, outside: Outside) -> tuple[dict[str, Any], Any]:
        """The slope of the free energy in what is sensed, (count, size) by sensor, and how the unknowns move, per bin: linear about the
        point, as the Jacobian of the flow has them."""
        known, member = self.known(moment), moment.member
        fixed = jax.lax.stop_gradient((u, known))
        errors, slopes, slopes_known = jax.lax.stop_gradient(self.errors(*fixed, member, outside))
        force = self.precision(outside, member) @ (errors + slopes @ (u - fixed[0]) + slopes_known @ (known - fixed[1]))
        slope, at = {}, 0
        for name in sorted(moment.data):
            shape = self.moment.data[name].shape
            slope[name] = (force @ slopes_known[:, at : at + np.prod(shape)]).reshape(shape)[: len(moment.data[name])]
            at += int(np.prod(shape))
        return slope, jnp.asarray(self.shifts[: len(u), : len(u)]) @ u - slopes.T @ force

    def _moved(self, u: Any, known: Any, gradient: Any, jacobian: Any) -> Any:
        """One bin later: (exp(J) - 1) J⁻¹ of the flow, as one matrix exponential."""
        both = jnp.concatenate([u, known])
        flow = jnp.asarray(self.shifts) @ both
        flow = flow.at[: len(u)].add(gradient)
        whole = jnp.asarray(self.shifts).at[: len(u)].add(jacobian)
        top = jnp.zeros((1, len(both) + 1))
        grown = exponential(jnp.concatenate([top, jnp.concatenate([flow[:, None], whole], axis=1)]))
        return u + grown[1 : 1 + len(u), 0]

    def __call__(self, outside: Outside) -> States:
        """The beliefs of all series under these values of what is outside of the block. Pure: to be compiled."""
        moments = self.block.moments

        def of_series(data: Any, member: Any, followed: Any) -> States:
            step = self.path(member, data, outside, followed=followed)
            bound = self.bound(step, self.precision(outside, member))
            return States(step.u, step.covariance, bound, jnp.isfinite(bound))

        return over_series(of_series)(moments.data, moments.member, self.followed)

    def bound(self, step: Step, precision: Any) -> Any:
        """SPM's F of one series without what parameters add: -½ Σ eᵀΠe, normalisers, and the entropies of the unknowns, nats."""
        errors, free = self.precise(precision)
        bins = step.errors.shape[0]
        kept = precision * errors[:, None] * errors + jnp.diag(1.0 - errors)
        squares = jnp.einsum("ti,ij,tj->", step.errors * errors, precision, step.errors * errors)
        data = sum(line.size for line in self.block.lines if line.role == "sensor") * self.count
        entropy = jnp.linalg.slogdet(step.covariance + jnp.diag(1.0 - free))[1].sum()
        return -0.5 * squares - 0.5 * data * LOG_2PI * bins + 0.5 * jnp.linalg.slogdet(kept)[1] * bins + 0.5 * entropy


def inverse(matrix: Any) -> Any:
    """SPM's, of the last two axes. What it adds counts where some errors are as precise as e^16: of order 6 and precision 2, the sixth
    derivative of others loses 6 % of its variance."""
    size = matrix.shape[-1]
    rounding = jnp.spacing(jnp.abs(matrix).sum(axis=-1).max(axis=-1, initial=0.0)) * size
    return jnp.linalg.inv(matrix + jnp.maximum(rounding, LEAST)[..., None, None] * jnp.eye(size))


def _rows(values: Any, count: int) -> Any:
    have = min(values.shape[0], count)
    return jnp.concatenate([jnp.asarray(values[:have], float), jnp.zeros((count - have, *values.shape[1:]))])


def _block_diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    found = np.zeros((sum(len(b) for b in blocks),) * 2)
    at = 0
    for b in blocks:
        found[at : at + len(b), at : at + len(b)] = b
        at += len(b)
    return found
