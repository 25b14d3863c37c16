"""Sampling on a surface: Hamiltonian moves of the coordinates along the set where equalities hold (Brubaker, Salzmann & Urtasun 2012;
Zappa, Holmes-Cerf & Goodman 2018).

With c(u) = 0 the equalities and p(u) the density of the coordinates, the density on the surface, per unit of its area, is
p(u) / √det(J Jᵀ), J = ∂c/∂u. A step of the leapfrog moves along the tangent and is brought back along Jᵀ by Newton's method; a step whose
reverse does not lead back is refused. Where there are as many equalities as coordinates, the surface is a set of points, each with its
weight p(u) / |det J|.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.engines.numpyro_bridge.joint import LogJoint
from ppl.engines.numpyro_bridge.nuts import Chains
from ppl.engines.numpyro_bridge.options import Options
from ppl.numerics.compilation import lightly
from ppl.source.diagnostics import AimError, Diagnostic

CANDIDATES = 256  # points from which the surface is looked for
SOUGHT = 60  # steps towards it
NEWTON = 12  # steps back onto it
CLOSE = 1e-9  # of the equalities, relative to what is given
RETURNED = 1e-6  # of the reverse of a step
EACH = 100  # draws of a compiled round
LONGEST = 32  # steps of a trajectory
FAR = 1000.0  # nats of energy that diverged
APART = 1e-5  # of two points
FLAT = 1e-10  # of a singular value of J, relative to the largest


@dataclass(frozen=True)
class Surface:
    """The density of coordinates and the equalities between them, in units of `scales`: u = scales · v."""

    joint: LogJoint
    scales: Any

    def equalities(self, v: Any) -> Any:
        return self.joint.equalities(self.scales * v)

    def slopes(self, v: Any) -> Any:
        return jax.jacrev(self.equalities)(v)

    def energy(self, v: Any) -> Any:
        slopes = self.slopes(v)
        half_log_volume = 0.5 * jnp.linalg.slogdet(slopes @ slopes.T)[1]
        found = half_log_volume - self.joint(self.scales * v)
        return jnp.where(jnp.isnan(found), jnp.inf, found)

    def back(self, v: Any, slopes: Any) -> tuple[Any, Any]:
        """The point of the surface that is reached from v along the rows of `slopes`, and whether it is one."""

        def step(carry: Any) -> Any:
            k, now, off, _ = carry
            now = now - slopes.T @ jnp.linalg.solve(self.slopes(now) @ slopes.T, off)
            off = self.equalities(now)
            return k + 1, now, off, jnp.abs(off).max()

        off = self.equalities(v)
        more = lambda carry: (carry[0] < NEWTON) & ~(carry[3] < CLOSE)  # noqa: E731
        _, found, _, off = jax.lax.while_loop(more, step, (0, v, off, jnp.abs(off).max()))
        return found, off < CLOSE

    def place(self, v: Any) -> Place:
        energy, gradient = jax.value_and_grad(self.energy)(v)
        return Place(v, energy, gradient, self.slopes(v))

    def moved(self, at: Place, p: Any, size: Any) -> tuple[Place, Any, Any]:
        """One step of the leapfrog along the surface, and whether its reverse leads back."""
        p = along(at.slopes, p - 0.5 * size * at.gradient)
        v, met = self.back(at.v + size * p, at.slopes)
        there = self.place(v)
        moved = along(there.slopes, (v - at.v) / size)
        returned, met_again = self.back(v - size * moved, there.slopes)
        p = along(there.slopes, moved - 0.5 * size * there.gradient)
        good = met & met_again & (jnp.abs(returned - at.v).max() < RETURNED) & jnp.isfinite(p).all()
        return there, p, good

    def transition(self, at: Place, size: Any, key: Any) -> tuple[Place, Any, Any]:
        """The next draw, the probability by which it was taken, and whether the energy ran away."""
        first, second, third = jax.random.split(key, 3)
        p = along(at.slopes, jax.random.normal(first, at.v.shape))
        steps = jax.random.randint(second, (), 1, LONGEST + 1)
        before = at.energy + 0.5 * p @ p

        def go(carry: Any) -> Any:
            k, now, p, _ = carry
            return (k + 1, *self.moved(now, p, size))

        _, there, p, good = jax.lax.while_loop(lambda c: (c[0] < steps) & c[3], go, (0, at, p, jnp.array(True)))
        risen = there.energy + 0.5 * p @ p - before
        share = jnp.where(good & jnp.isfinite(risen), jnp.minimum(1.0, jnp.exp(-risen)), 0.0)
        taken = jax.random.uniform(third) < share
        return jax.tree.map(lambda new, old: jnp.where(taken, new, old), there, at), share, good & (risen > FAR)


class Place(NamedTuple):
    """A point of the surface, with the energy, its gradient and the slopes of the equalities there."""

    v: Any
    energy: Any
    gradient: Any
    slopes: Any


def along(slopes: Any, p: Any) -> Any:
    """The part of a momentum that lies in the surface."""
    return p - slopes.T @ jnp.linalg.solve(slopes @ slopes.T, slopes @ p)


class Tuning(NamedTuple):
    """The step size that comes to be taken with the probability that is aimed at (dual averaging; Hoffman & Gelman 2014)."""

    count: Any
    bias: Any
    error: Any
    log_size: Any
    average: Any

    def told(self, share: Any, target: float) -> Tuning:
        n = self.count + 1.0
        error = (1.0 - 1.0 / (n + 10.0)) * self.error + (target - share) / (n + 10.0)
        log_size = self.bias - jnp.sqrt(n) / 0.05 * error
        return Tuning(n, self.bias, error, log_size, n**-0.75 * log_size + (1.0 - n**-0.75) * self.average)


def tuning(log_size: np.ndarray) -> Tuning:
    nothing = np.zeros_like(log_size)
    return Tuning(nothing, log_size + np.log(10.0), nothing, log_size, log_size)


def run_surface(joint: LogJoint, options: Options, seed: int) -> Chains:
    """Draws of the coordinates. Raises AimError where no point is found at which the equalities hold, or they have no density."""
    begun = time.perf_counter()
    count = int(jax.eval_shape(joint.equalities, jnp.zeros(joint.size)).shape[0])
    if count > joint.size:
        given, latent = _numbered(count), _numbered(joint.size, "latent ")
        text = f"{_listed(joint)}: {given} given, computed from {latent}: nearly all that could be given has the probability 0"
        raise AimError([Diagnostic("AIM0727", text, joint.bound.equalities[0].span, "write a `Normal` with a small sd")])
    points, heights = _points(joint, seed)
    chains, draws, warmup = options.whole("chains"), options.whole("draws"), options.whole("warmup")
    if count == joint.size:
        p = np.exp(heights - heights.max())
        chosen = stream(seed, "points").choice(len(points), size=(chains, draws), p=p / p.sum())
        return Chains(points[chosen], 0, 0, time.perf_counter() - begun, 0.0)
    key, scales, tuned = jax.random.PRNGKey(seed), np.ones(joint.size), tuning(np.full(chains, np.log(0.1)))
    u = points[np.arange(chains) % len(points)]
    target = options.number("target_accept")
    compiled = jax.jit(jax.vmap(lambda *given: _some(joint, target, *given), in_axes=(0, 0, None, 0, None)))
    compiled = compiled.lower(u, tuned, scales, jax.random.split(key, chains), True).compile(compiler_options=lightly(1))
    ready = time.perf_counter()

    def rounds(count: int, u: Any, tuned: Tuning, adapts: bool) -> tuple[np.ndarray, Any, Tuning, int]:
        nonlocal key
        found, away = [], 0
        for _ in range(-(-count // EACH)):
            key, own = jax.random.split(key)
            some, gone, tuned = compiled(u, tuned, scales, jax.random.split(own, chains), adapts)
            found.append(np.asarray(some))
            u, away = some[:, -1], away + int(np.sum(gone))
        return np.concatenate(found, axis=1)[:, :count] if found else np.zeros((chains, 0, joint.size)), u, tuned, away

    found, u, tuned, _ = rounds(warmup // 2, u, tuned, True)
    if warmup // 2 >= EACH:
        sd = found[:, found.shape[1] // 2 :].std(axis=(0, 1))
        scales = np.maximum(sd, 1e-3 * sd.max())
        tuned = tuning(np.log(np.full(chains, 0.5)))
    _, u, tuned, _ = rounds(warmup - warmup // 2, u, tuned, True)
    found, _, _, away = rounds(draws, u, tuned._replace(log_size=tuned.average), False)
    return Chains(found, away, 0, ready - begun, time.perf_counter() - ready)


def _some(joint: LogJoint, target: float, u: Any, tuned: Tuning, scales: Any, key: Any, adapts: Any) -> tuple[Any, Any, Tuning]:
    """Some draws of a chain, how many of them ran away, and the step size, which is learnt where it `adapts`."""
    surface = Surface(joint, scales)

    def once(carry: tuple[Place, Tuning], own: Any) -> Any:
        at, tuned = carry
        at, share, away = surface.transition(at, jnp.exp(tuned.log_size), own)
        tuned = jax.tree.map(lambda new, old: jnp.where(adapts, new, old), tuned.told(share, target), tuned)
        return (at, tuned), (at.v * scales, away)

    (_, tuned), (found, away) = jax.lax.scan(once, (surface.place(u / scales), tuned), jax.random.split(key, EACH))
    return found, away.sum(), tuned


def _numbered(count: int, kind: str = "") -> str:
    return f"{count} {kind}number{'' if count == 1 else 's'}"


# ------------------------------------------------------------------ points of the surface
def _points(joint: LogJoint, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Different points of the surface, and the log of the density there per unit of its area."""
    rng = stream(seed, "surface")
    spread = rng.uniform(0.1, 3.0, (CANDIDATES, 1))
    begin = jnp.asarray(rng.normal(size=(CANDIDATES, joint.size)) * spread)
    surface = Surface(joint, jnp.ones(joint.size))
    found, off, heights, singular = (np.asarray(a) for a in jax.jit(jax.vmap(lambda u: _sought(surface, u)))(begin))
    met = (off < CLOSE) & np.isfinite(found).all(axis=1)
    names = _listed(joint)
    span = joint.bound.equalities[0].span
    if not met.any():
        text = f"no values of what is latent were found at which {names} is what is given"
        raise AimError([Diagnostic("AIM0615", text, span, "look for a value outside of what the expression can be")])
    flat = singular[:, -1] <= FLAT * singular[:, 0]
    if flat[met].all():
        text = (
            f"{names} has no density where it is what is given: small changes of what is latent leave it as it is, so its probability is 0"
        )
        raise AimError([Diagnostic("AIM0727", text, span, "write a `Normal` with a small sd")])
    kept = met & ~flat & np.isfinite(heights)
    if not kept.any():
        text = "no start with a finite density was found: the data are impossible under this model, or nearly so"
        raise AimError([Diagnostic("AIM0744", text, span, "look for a value outside of what the priors allow, or give wider priors")])
    points, heights = found[kept], heights[kept]
    order = np.argsort(-heights)
    chosen: list[int] = []
    for k in order:
        if all(np.abs(points[k] - points[j]).max() > APART for j in chosen):
            chosen.append(int(k))
    return points[chosen], heights[chosen]


def _sought(surface: Surface, u: Any) -> Any:
    """The surface near a point by damped steps of least change (Levenberg 1944): the end, how far it is off, its height."""

    def step(carry: Any, _: Any) -> tuple[Any, None]:
        u, damping = carry
        off, slopes = surface.equalities(u), surface.slopes(u)
        gram = slopes @ slopes.T
        moved = u - slopes.T @ jnp.linalg.solve(gram + damping * jnp.trace(gram) * jnp.eye(len(off)), off)
        better = (surface.equalities(moved) ** 2).sum() < (off**2).sum()
        return (jnp.where(better, moved, u), jnp.where(better, damping * 0.1, damping * 10.0).clip(1e-16, 1e6)), None

    (u, _), _ = jax.lax.scan(step, (u, jnp.asarray(1e-2)), None, length=SOUGHT)
    singular = jnp.linalg.svd(surface.slopes(u), compute_uv=False)
    return u, jnp.abs(surface.equalities(u)).max(), -surface.energy(u), singular


def _listed(joint: LogJoint) -> str:
    lines = [e.span.source.line(e.span.line).strip() for e in joint.bound.equalities]
    return " and ".join(f"`{line}`" for line in dict.fromkeys(lines))
