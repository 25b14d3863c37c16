"""Parameters and precisions with the states: one free energy, which no sweep lets fall.

The unknowns of all bins and the coordinates θ of the parameters are one Gaussian block in the form of an arrow: given θ the bins are apart,
so that the states are settled for each θ (`mode`), and what is left is a function of θ alone,

    L(θ) = Σ_bins [log density of the errors at the mode + ½ log |2π C|] + log prior(θ),

whose Laplace approximation is the belief in θ: slope and curvature are taken in the direction in which the modes move with θ (the Schur
complement of the arrow). A precision p with a Gamma prior is a block of its own,
q(p) = Gamma(a + N / 2, b + ½ E eᵀ (R ⊗ P₀) e), with E p in the noise of the states. A sweep is a Newton step in θ and the update of
every p; each is shortened until L does not fall. The free energy is -L - ½ log |2π Cov θ|, with the last covariance for all sweeps.

L may have several tops. The climb begins where it is highest among the top of the prior and some draws of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln

from ppl.arrays.streams import stream
from ppl.motion.block import level
from ppl.motion.mode import Mode
from ppl.motion.parameters import GammaPrior, Parameters
from ppl.motion.residuals import LOG_2PI
from ppl.motion.smooth import Smooth
from ppl.motion.states import States
from ppl.numerics.compilation import lightly

HALVINGS = 12
LONGEST = 64.0  # steps of precisions, in updates
TOLERANCE = 1e-10
SWEEPS = 100
RUNS = 100  # evaluations of a climb, about
STARTS = 8  # the top of the prior and draws of it, of which the highest is climbed from
LEAST = 1e-6  # of a precision that is drawn


@dataclass(frozen=True)
class Belief:
    """In the coordinates a Normal about `at`; of each precision the shape and the rate of a Gamma."""

    at: Any
    gammas: Mapping[str, tuple[Any, Any]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Evaluation:
    """All that is to be known at a belief. `moves` is how the modes move with the coordinates; `squares` are E |whitened error|² and their
    number by line, over all bins; `bound` is L with what the precisions add, `volume` ½ log |2π Cov θ|."""

    bound: Any = field()
    volume: Any = field()
    states: States = field()
    step: Any = field()
    covariance: Any = field()
    moves: Any = field()
    squares: Any = field()
    numbers: Any = field()


@dataclass(frozen=True, eq=False)
class Learning:
    mode: Mode | Smooth
    parameters: Parameters

    # ------------------------------------------------------------ one belief
    def evaluate(self, at: Any, gammas: Mapping[str, tuple[Any, Any]]) -> Evaluation:
        """Pure: to be compiled."""
        means = {n: a / b for n, (a, b) in gammas.items()}

        def outside(u: Any) -> dict[str, Any]:
            return self.parameters.outside(u, means)

        states = self.mode(outside(at))
        u = jax.lax.stop_gradient(states.mean)
        free = self.mode.free(outside(at))
        errors, slopes, by_parameter = self._expanded(lambda u, p: self.mode.errors(u, outside(p)), u, at, free)
        moves = -jnp.einsum("stij,stej,step->stip", states.covariance, slopes, by_parameter)

        def climbed(change: Any) -> Any:
            """L, where the modes have moved with the coordinates."""
            there = outside(at + change)
            errors, slopes, _ = self._expanded(lambda u, _: self.mode.errors(u, there), u + moves @ change, at[:0], free)
            pinned = (1.0 - free)[..., None] * jnp.eye(u.shape[-1])
            curvatures = jnp.linalg.slogdet(jnp.einsum("stei,stej->stij", slopes, slopes) + pinned)[1]
            densities = self.mode.log_normalisers(there).sum() - 0.5 * (errors**2).sum() - 0.5 * curvatures.sum()
            return densities + self.parameters.log_prior(at + change)

        def slope(change: Any) -> tuple[Any, Any]:
            found = jax.jacfwd(climbed)(change)
            return found, found

        bend, gradient = jax.jacfwd(slope, has_aux=True)(jnp.zeros_like(at))
        covariance, log_volume = _inverse(-bend)
        spread = jnp.einsum("stei,stij,stej->ste", slopes, states.covariance, slopes)
        squares = self.mode.by_line(errors**2 + spread)
        numbers = self.mode.numbers()
        bound = states.bound.sum() + self.parameters.log_prior(at)
        bound += sum((self._gamma_terms(g, *gammas[g.name], numbers) for g in self.parameters.gammas), jnp.zeros(()))
        volume = 0.5 * len(at) * LOG_2PI + 0.5 * log_volume
        return Evaluation(bound, volume, states, covariance @ gradient, covariance, moves, squares, numbers)

    def _expanded(self, function: Callable[[Any, Any], Any], u: Any, at: Any, free: Any) -> tuple[Any, Any, Any]:
        """Errors of all bins, their slopes in the free unknowns of their own bin, and those in the coordinates, which come last."""
        width = u.shape[-1]
        moving = jnp.eye(width + len(at))
        directions = moving[:, None, None, :width] * free, moving[:, width:]
        along = jax.vmap(lambda *d: jax.jvp(function, (u, at), d), out_axes=(None, -1))
        value, slopes = along(*directions)
        return value, slopes[..., :width], slopes[..., width:]

    def _gamma_terms(self, prior: GammaPrior, shape: Any, rate: Any, numbers: Any) -> Any:
        """½ N (E log p - log E p), which the states' bound lacks, and minus the divergence of the belief from the prior."""
        count = sum(numbers[k] for k in prior.lines)
        log_mean, mean = digamma(shape) - jnp.log(rate), shape / rate
        divergence = (shape - prior.shape) * digamma(shape) - gammaln(shape) + gammaln(prior.shape)
        divergence += prior.shape * (jnp.log(rate) - jnp.log(prior.rate)) + shape * (prior.rate - rate) / rate
        return 0.5 * count * (log_mean - jnp.log(mean)) - divergence

    @cached_property
    def program(self) -> Callable[..., Evaluation]:
        return jax.jit(self.evaluate, compiler_options=lightly(level(self.mode.block, RUNS)))

    # ------------------------------------------------------------ where to begin
    @property
    def start(self) -> Belief:
        gammas = {g.name: (jnp.asarray(g.shape), jnp.asarray(g.rate)) for g in self.parameters.gammas}
        return Belief(self.parameters.start, gammas)

    def _drawn(self, rng: np.random.Generator) -> Belief:
        """The prior's own coordinates near its top, and precisions."""
        at = self.parameters.start + self.parameters.spread @ rng.standard_normal(self.parameters.size)
        means = {g.name: max(rng.gamma(g.shape) / g.rate, LEAST) for g in self.parameters.gammas}
        return Belief(at, {g.name: (jnp.asarray(g.shape), jnp.asarray(g.shape / means[g.name])) for g in self.parameters.gammas})

    def _highest(self, count: int, seed: int) -> list[tuple[Belief, Evaluation]]:
        """So many of the starts, those with the highest bounds first."""
        rng = stream(seed, "starts")
        beliefs = [self.start, *(self._drawn(rng) for _ in range(max(STARTS, count) - 1))]
        known = [(belief, self.program(belief.at, belief.gammas)) for belief in beliefs]
        return sorted(known, key=lambda pair: -np.nan_to_num(float(pair[1].bound), nan=-np.inf))[:count]

    # ------------------------------------------------------------ sweeps
    def fit(
        self, sweeps: int | None, tolerance: float | None, *, restarts: int | None = None, seed: int = 0
    ) -> tuple[Belief, Evaluation, np.ndarray, bool]:
        """The belief, what is known at it, the bound after each sweep, and whether it has converged: the best of `restarts` climbs."""
        climbs = [self._climb(*start, sweeps, tolerance) for start in self._highest(restarts or 1, seed)]
        return max(climbs, key=lambda climb: np.nan_to_num(climb[2][-1], nan=-np.inf))

    def _climb(
        self, belief: Belief, now: Evaluation, sweeps: int | None, tolerance: float | None
    ) -> tuple[Belief, Evaluation, np.ndarray, bool]:
        trace, limit, pace = [float(now.bound)], TOLERANCE if tolerance is None else tolerance, 1.0
        for _ in range(sweeps or SWEEPS):
            before, sd = (belief, now), np.sqrt(np.maximum(np.diagonal(now.covariance), 1e-300))
            belief, now = self._followed(belief, now)
            belief, now, pace = self._precisions(belief, now, pace)
            trace.append(float(now.bound))
            moved = np.max(np.abs(belief.at - before[0].at) / sd, initial=0.0) + self._changed(before[0], belief)
            if not np.isfinite(trace[-1]) or (trace[-1] - trace[-2] <= limit * (1 + abs(trace[-1])) and moved < 1e-5):
                return belief, now, np.asarray(trace) + float(now.volume), bool(np.isfinite(trace[-1]))
            if trace[-1] == trace[-2]:
                return belief, now, np.asarray(trace) + float(now.volume), True
        return belief, now, np.asarray(trace) + float(now.volume), False

    def _changed(self, a: Belief, b: Belief) -> float:
        """The largest relative change of a precision."""
        return max((abs(float(a.gammas[n][0] / a.gammas[n][1] * b.gammas[n][1] / b.gammas[n][0]) - 1) for n in a.gammas), default=0.0)

    def _followed(self, belief: Belief, now: Evaluation) -> tuple[Belief, Evaluation]:
        if not self.parameters.size:
            return belief, now
        return self._guarded(belief, now, lambda part: replace(belief, at=belief.at + part * now.step))[:2]

    def _precisions(self, belief: Belief, now: Evaluation, pace: float) -> tuple[Belief, Evaluation, float]:
        """Each Gamma to its optimum given the others, or beyond it: steps that succeed grow, in its logarithms."""
        if not self.parameters.gammas:
            return belief, now, pace
        wanted = {}
        for g in self.parameters.gammas:
            mean = belief.gammas[g.name][0] / belief.gammas[g.name][1]
            count, squares = (sum(which[k] for k in g.lines) for which in (now.numbers, now.squares))
            wanted[g.name] = (g.shape + 0.5 * count, g.rate + 0.5 * squares / mean)

        def at(part: float) -> Belief:
            mixed = {n: (wanted[n][0], belief.gammas[n][1] * (wanted[n][1] / belief.gammas[n][1]) ** part) for n in wanted}
            return replace(belief, gammas=mixed)

        belief, now, taken = self._guarded(belief, now, at, pace)
        return belief, now, min(max(2 * taken, 1.0), LONGEST)

    def _guarded(
        self, belief: Belief, now: Evaluation, at: Callable[[float], Belief], longest: float = 1.0
    ) -> tuple[Belief, Evaluation, float]:
        """The longest of halved steps by which the bound does not fall, and how long it is."""
        for k in range(HALVINGS):
            part = longest * 0.5**k
            there = at(part)
            then = self.program(there.at, there.gammas)
            if float(then.bound) >= float(now.bound):
                return there, then, part
        return belief, now, 0.0


def _inverse(curvature: Any) -> tuple[Any, Any]:
    """The covariance of a curvature and the log of its determinant; directions that curve the wrong way count by their size."""
    if not len(curvature):
        return curvature, jnp.zeros(())
    values, vectors = jnp.linalg.eigh(curvature)
    values = jnp.maximum(jnp.abs(values), 1e-10)
    return (vectors / values) @ vectors.T, -jnp.log(values).sum()
