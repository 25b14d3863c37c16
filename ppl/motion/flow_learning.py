"""Parameters and precisions beside the flow: the E-step and the M-step of DEM, which give SPM's numbers.

A sweep takes the flow over the whole record, then log-precisions by Newton's steps of at most 2, then parameters by one step of a gradient
flow whose time is shortened where the free energy has fallen; a sweep that lets it fall is taken back. Kept as SPM has them: the flow
feels the uncertainty of the parameters through second derivatives; the free energy counts precisions as they were before the last of
their steps; the time of a step is told in units of the curvature, but where that is diagonal, not in those of what is below 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.motion.block import level
from ppl.motion.flow import Flow, inverse
from ppl.motion.parameters import Parameters
from ppl.motion.residuals import LOG_2PI
from ppl.motion.series import over_series
from ppl.motion.states import States
from ppl.numerics.compilation import lightly
from ppl.source.diagnostics import AimError, Diagnostic

SWEEPS, PRECISION_STEPS = 8, 8
SMALL = float(np.exp(-4))
LONGEST = 4.0
FLAT = 1e-16
SETTLED = 1e-8  # change of the free energy over a sweep, relative to it
LARGEST = 300.0  # exponent


@dataclass
class Search:
    """Where the search is: coordinates, the covariance of those in means and of those in precisions, and the logarithms of step times."""

    at: np.ndarray
    covariance: np.ndarray
    precisions_covariance: np.ndarray
    time: float
    precisions_time: float = LONGEST
    bound: float = -np.inf


@dataclass(frozen=True, eq=False)
class FlowLearning:
    """`linear` where no slope changes with the states: the steps of parameters then begin long."""

    flow: Flow
    parameters: Parameters
    linear: bool = field(default=False)

    # ------------------------------------------------------------ which coordinate stands where
    def outside(self, at: Any) -> dict[str, Any]:
        return self.parameters.outside(at, {})

    @cached_property
    def in_means(self) -> np.ndarray:
        """The coordinates that means depend on; all others are of precisions. Raises AimError where one is in both."""
        flow, start, rng = self.flow, self.parameters.start, np.random.default_rng(0)
        u, member = jnp.asarray(rng.standard_normal(flow.block.width)), flow.moment.member
        known = flow.known(flow.moment)
        of_means = jax.jit(jax.jacfwd(lambda p: flow.errors(u, known, member, self.outside(p))[:2]), compiler_options=lightly())(start)
        of_noise = np.abs(jax.jit(jax.jacfwd(lambda p: flow.precision(self.outside(p), member)), compiler_options=lightly())(start)).max(
            axis=(0, 1)
        )
        in_means = np.maximum(np.abs(of_means[0]).max(axis=0), np.abs(of_means[1]).max(axis=(0, 1))) > 0
        if (in_means & (of_noise > 0)).any():
            text = "`flow` learns parameters of means and of precisions, and one stands in both here"
            raise AimError([Diagnostic("AIM0713", text, flow.block.motion.span, "write scheme = mode")])
        return np.flatnonzero(in_means)

    @cached_property
    def in_noise(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.parameters.size), self.in_means)

    # ------------------------------------------------------------ one pass over the record
    @cached_property
    def program(self) -> Any:
        return jax.jit(self.sweep, compiler_options=lightly(level(self.flow.block, SWEEPS)))

    def sweep(self, at: Any, covariance: Any) -> tuple[Any, Mapping[str, Any]]:
        """The flow of all series under these coordinates, and the sums that the steps after it need. Pure: to be compiled."""
        flow, means, outside = self.flow, self.in_means, self.outside(at)

        def local(u: Any, known: Any, member: Any) -> tuple[Any, Any]:
            """Slopes of the errors in the parameters, and of their slopes in the unknowns; rows that are 0 by definition have slopes."""

            def rows(p: Any) -> tuple[Any, Any]:
                errors, slopes, _ = flow.errors(u, known, member, self.outside(at.at[means].set(p)), whole=True)
                return errors, slopes

            return jax.jacfwd(rows)(at[means])

        def pull(u: Any, known: Any, member: Any, precision: Any) -> tuple[Any, Any]:
            slopes, mixed = local(u, known, member)
            weighted = jnp.einsum("pq,eiq,ef->ifp", covariance, mixed, precision)
            return 0.5 * jnp.einsum("ifp,fp->i", weighted, slopes), 0.5 * jnp.einsum("ifp,fjp->ij", weighted, mixed)

        def of_series(member: Any, data: Any) -> tuple[Any, Any]:
            precision = flow.precision(outside, member)
            steps = flow.path(member, data, outside, pull)
            moments = flow.block.moments

            def sums(step: Any, bin: Any) -> dict[str, Any]:
                slopes, mixed = local(step.u, bin, member)
                curve = slopes.T @ precision
                weighted = jnp.einsum("ij,ejp,ef->pfi", step.covariance, mixed, precision)
                return {
                    "gradient": -curve @ step.errors - 0.5 * jnp.einsum("pfi,fi->p", weighted, step.slopes),
                    "bend": -curve @ slopes - 0.5 * jnp.einsum("pfi,fiq->pq", weighted, mixed),
                    "information": curve @ slopes,
                    "squares": jnp.outer(step.errors, step.errors),
                    "spread": step.slopes @ step.covariance @ step.slopes.T + slopes @ covariance @ slopes.T,
                }

            bins = jax.vmap(lambda d, i, t: flow.known(type(flow.moment)(d, i, t, member)))(data, moments.inputs, moments.time)
            each = jax.vmap(sums)(steps, bins)
            _, free = flow.precise(precision)
            entropy = jnp.linalg.slogdet(steps.covariance + jnp.diag(1.0 - free))[1].sum()
            return steps, {**{k: v.sum(axis=0) for k, v in each.items()}, "entropy": entropy}

        moments = flow.block.moments
        steps, each = over_series(of_series)(moments.member, moments.data)
        return steps, {k: v if k in ("squares", "spread") else v.sum(axis=0) for k, v in each.items()}

    @cached_property
    def noise(self) -> Any:
        """The precisions of each series, with their slopes and bends in the coordinates of precisions, of which it is a function."""
        rest = jnp.asarray(self.parameters.start)

        def at(coordinates: Any) -> Any:
            outside = self.outside(rest.at[self.in_noise].set(coordinates))
            return over_series(lambda member: self.flow.precision(outside, member))(self.flow.block.members)

        return jax.jit(lambda c: (at(c), jax.jacfwd(at)(c), jax.jacfwd(jax.jacfwd(at))(c)), compiler_options=lightly())

    # ------------------------------------------------------------ steps
    def fit(self, sweeps: int | None) -> tuple[States, np.ndarray, np.ndarray, np.ndarray, bool]:
        """The states, the coordinates, their covariance, the free energy after each sweep, and whether the steps have become small."""
        start = np.asarray(self.parameters.start)
        prior = -np.asarray(jax.hessian(self.parameters.log_prior)(jnp.asarray(start)))
        means, noise = self.in_means, self.in_noise
        search = Search(start.copy(), np.zeros((len(means),) * 2), np.zeros((len(noise),) * 2), LONGEST if self.linear else 0.0)
        kept, trace, steps, moved, precision_steps = search, [], None, np.zeros(len(means)), PRECISION_STEPS
        for count in range(sweeps or SWEEPS):
            steps, sums = jax.tree.map(np.asarray, self.program(jnp.asarray(search.at), jnp.asarray(search.covariance)))
            before = search.at[noise].copy()
            search, counted, deviation = self._precisions(search, sums, prior, start, precision_steps)
            change = np.abs(search.at[noise] - before).sum()
            search.covariance = np.asarray(inverse(sums["information"] + prior[np.ix_(means, means)]))
            bound = self._bound(search, sums, counted, prior, start, deviation)
            if bound > kept.bound or not count:
                search.bound = bound
                search.time, search.precisions_time = (min(t + 0.5, LONGEST) for t in (search.time, search.precisions_time))
                kept = Search(search.at.copy(), search.covariance, search.precisions_covariance, search.time, search.precisions_time, bound)
                own = prior[np.ix_(means, means)]
                moved = _step(sums["bend"] - own, sums["gradient"] - own @ (search.at - start)[means], search.time)
                search.at[means] += moved
            else:
                precision_steps = 1
                shorter, noise_shorter = min(search.time - 2, -2.0), min(search.precisions_time - 2, -2.0)
                search = Search(kept.at.copy(), kept.covariance, kept.precisions_covariance, shorter, noise_shorter, kept.bound)
            trace.append(kept.bound)
            still = np.abs(moved).sum() < SMALL * np.abs((search.at - start)[means]).sum()
            if (still or not len(means)) and change < SMALL:
                break
            if search.time < -8:
                break
        settled = len(trace) > 2 and abs(trace[-1] - trace[-2]) < SETTLED * (1 + abs(trace[-1]))
        covariance = np.zeros((len(start),) * 2)
        covariance[np.ix_(means, means)], covariance[np.ix_(noise, noise)] = search.covariance, search.precisions_covariance
        assert steps is not None
        states = States(steps.u, steps.covariance, np.asarray([kept.bound]), np.isfinite([kept.bound]))
        return states, search.at, covariance, np.asarray(trace), settled

    def _precisions(
        self, search: Search, sums: Mapping[str, Any], prior: np.ndarray, start: np.ndarray, steps: int
    ) -> tuple[Search, np.ndarray, np.ndarray]:
        """Newton's steps in the log-precisions; also the precisions and deviations that the free energy counts. The covariance is of the
        whole curvature at a top, and elsewhere of that which the noise is expected to have."""
        noise, bins = self.in_noise, self.flow.block.bins
        own, counted, deviation = prior[np.ix_(noise, noise)], np.asarray(self.noise(search.at[noise])[0]), np.zeros(len(noise))
        for _ in range(steps if len(noise) else 0):
            counted, slopes, bends = (np.asarray(a) for a in self.noise(search.at[noise]))
            covariance = np.asarray(inverse(counted))
            deviation = (search.at - start)[noise]
            rest = sums["squares"] + sums["spread"] - covariance * bins
            gradient = -0.5 * np.einsum("sefi,sfe->i", slopes, rest) - own @ deviation
            scaled = np.einsum("sefi,sfg->segi", slopes, covariance)
            information = 0.5 * bins * np.einsum("segi,sgej->ij", scaled, scaled) + own
            bend = -0.5 * np.einsum("sefij,sfe->ij", bends, rest) - information
            move = np.clip(_step(bend, gradient, search.precisions_time), -2.0, 2.0)
            search.at[noise] += move
            at_a_top = np.linalg.eigvalsh(bend)[-1] < 0
            search.precisions_covariance = np.asarray(inverse(-bend if at_a_top else information))
            if gradient @ move < SMALL or np.abs(move).sum() < SMALL:
                break
        return search, counted, deviation

    def _bound(
        self, search: Search, sums: Mapping[str, Any], counted: np.ndarray, prior: np.ndarray, start: np.ndarray, deviation: np.ndarray
    ) -> float:
        """SPM's F with what parameters and precisions add, nats."""
        flow, bins, means, noise = self.flow, self.flow.block.bins, self.in_means, self.in_noise
        total = 0.5 * float(sums["entropy"])
        for precision, squares in zip(counted, sums["squares"], strict=True):
            kept = np.flatnonzero(np.asarray(flow.precise(jnp.asarray(precision))[0]))
            part = precision[np.ix_(kept, kept)]
            total += -0.5 * np.sum(part * squares[np.ix_(kept, kept)]) + 0.5 * bins * np.linalg.slogdet(part)[1]
        data = sum(line.size for line in flow.block.lines if line.role == "sensor") * flow.count
        total -= 0.5 * data * LOG_2PI * bins * len(counted)
        for own, change, spread in (
            (means, (search.at - start)[means], search.covariance),
            (noise, deviation, search.precisions_covariance),
        ):
            if len(own):
                inner = prior[np.ix_(own, own)]
                total += -0.5 * change @ inner @ change + 0.5 * np.linalg.slogdet(spread @ inner)[1]
        return float(total)


def _step(bend: np.ndarray, gradient: np.ndarray, time: float) -> np.ndarray:
    """(exp(t J) - 1) J⁻¹ f with t = exp(time) over the geometric mean of |J|'s eigenvalues; of a diagonal J those below 0 count as 1."""
    if not len(gradient):
        return gradient
    rates, axes = np.linalg.eigh(bend)
    sizes = np.abs(rates) if np.count_nonzero(bend - np.diag(np.diagonal(bend))) else rates
    t = np.exp(time - np.log(sizes[sizes > FLAT]).sum() / len(rates))
    flat = np.abs(rates) <= FLAT
    grown = np.where(flat, t, np.expm1(np.minimum(t * rates, LARGEST)) / np.where(flat, 1.0, rates))
    return axes @ (grown * (axes.T @ gradient))
