"""What an agent believes of real states: Gaussian prediction, conditioning on what is seen, smoothing (Kalman 1960; Rauch 1965).

A belief is a mean and a covariance for each cluster. Outcomes without noise are put in one number at a time: one that the belief
already knows changes nothing, and rules the belief out where it is another. The free energy of a step is -log p(o_t | o_<t), a density.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.agents.gaussian import Cluster, Moments, Reals
from ppl.agents.rows import Columns

RESOLVED = 1e-12  # share of the scale of a reading's variance below which it is known
AGREES = 1e-6  # to which a reading without noise agrees with what is known

Beliefs = tuple[Moments, ...]


class RealPerception:
    """The pure functions of an agent's perception of real states. Rows of actions and outcomes have the columns of the agent."""

    def __init__(self, reals: Reals, done: Columns, seen: Columns):
        self.reals, self.done, self.seen = reals, done, seen
        self.clusters = reals.clusters

    # ------------------------------------------------------------ rows
    def actions(self, row: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A row of actions as real ones and as places of discrete ones, by name."""
        numbers, places = self.done.numbers(row), self.done.places(row)
        real = {f.name: numbers[..., self.done.numbered[f.name]] for f in self.reals.actions}
        return real, {f.name: places[..., k] for k, f in enumerate(self.done.discrete)}

    def outcomes(self, cluster: Cluster, row: Any) -> Any:
        """The outcomes of a cluster in a row of what was seen."""
        numbers = self.seen.numbers(row)
        return jnp.concatenate([*(numbers[self.seen.numbered[f.name]] for f in cluster.outcomes), jnp.zeros(0)])

    # ------------------------------------------------------------ steps
    def prior(self) -> Beliefs:
        """The belief before anything is seen."""
        return tuple(cluster.initial() for cluster in self.clusters)

    def predict(self, beliefs: Beliefs, action: Any) -> Beliefs:
        """The belief at the next step."""
        real, chosen = self.actions(action)
        return tuple(predicted(c, b, real, chosen) for c, b in zip(self.clusters, beliefs, strict=True))

    def advance(self, beliefs: Beliefs, action: Any, seen: Any, first: Any) -> tuple[Beliefs, Any]:
        """The beliefs after an action and what was seen then (`first`: at the beginning), and the free energy."""
        known = self.reals.known(self.actions(action)[1], first)
        moved = self.predict(beliefs, jnp.where(first, jnp.zeros_like(action), action))
        found, total = [], jnp.zeros(())
        for cluster, begun, after in zip(self.clusters, self.prior(), moved, strict=True):
            belief = Moments(*(jnp.where(first, a, b) for a, b in zip(begun, after, strict=True)))
            belief, free_energy = conditioned(cluster, belief, self.outcomes(cluster, seen), known)
            found.append(belief)
            total = total + free_energy
        return tuple(found), total

    @property
    def blank(self) -> Beliefs:
        """Beliefs that are not read."""
        return tuple(Moments(np.zeros(c.size), np.eye(c.size)) for c in self.clusters)

    def smoothed(self, before: Beliefs, action: Any, later: Beliefs) -> Beliefs:
        """The belief at a step given what was seen up to a later one, from the belief at the next step given the same."""
        real, chosen = self.actions(action)
        return tuple(smoothed(c, b, real, chosen, after) for c, b, after in zip(self.clusters, before, later, strict=True))

    def marginals(self, beliefs: Beliefs) -> dict[str, Any]:
        """For each state its mean beside its covariance: size × (1 + size)."""
        found = {}
        for cluster, belief in zip(self.clusters, beliefs, strict=True):
            for f in cluster.states:
                at = cluster.places[f.name]
                found[f.name] = jnp.concatenate([belief.mean[at, None], belief.cov[at, at]], axis=1)
        return found


# ------------------------------------------------------------------ one cluster
def predicted(cluster: Cluster, belief: Moments, actions: Mapping[str, Any], chosen: Mapping[str, Any]) -> Moments:
    """The belief after actions."""
    mean, slope, noise = cluster.moved(belief.mean, actions, chosen)
    return Moments(mean, _symmetric(slope @ belief.cov @ slope.T + noise))


def conditioned(cluster: Cluster, belief: Moments, y: Any, known: Mapping[str, Any]) -> tuple[Moments, Any]:
    """The belief after outcomes were seen, NaN where one was not, and -log of their density; infinite where they cannot be. `known` are
    the places of states that actions set."""
    if not cluster.outcomes:
        return belief, jnp.zeros(())
    expected, slope, noise = cluster.seen(belief.mean, known)
    start, free_energy = belief.mean, jnp.zeros(())
    scale = cluster.readings() if cluster.certain.any() else jnp.zeros(0)
    for k in np.flatnonzero(cluster.certain):
        residual = y[k] - expected[k] - slope[k] @ (belief.mean - start)
        belief, more = _read(belief, slope[k], residual, y[k], scale[k])
        free_energy = free_energy + more
    noisy = np.flatnonzero(~cluster.certain)
    if not len(noisy):
        return belief, free_energy
    slope, noise, y = slope[noisy], noise[np.ix_(noisy, noisy)], y[noisy]
    residual = y - expected[noisy] - slope @ (belief.mean - start)
    belief, more = _measured(belief, slope, noise, residual, ~jnp.isnan(y))
    return belief, free_energy + more


def _read(belief: Moments, slope: Any, residual: Any, y: Any, scale: Any) -> tuple[Moments, Any]:
    """A reading of one number without noise; a variance far below `scale` counts as none."""
    variance = slope @ belief.cov @ slope
    sees = ~jnp.isnan(y)
    tells = sees & (variance > RESOLVED * scale)
    residual, safe = jnp.where(sees, residual, 0.0), jnp.where(tells, variance, 1.0)
    gain = jnp.where(tells, belief.cov @ slope / safe, 0.0)
    kept = jnp.eye(len(gain)) - jnp.outer(gain, slope)
    free_energy = 0.5 * (jnp.log(2 * jnp.pi * safe) + residual**2 / safe)
    known = jnp.where(jnp.abs(residual) <= AGREES * (1 + jnp.abs(jnp.where(sees, y, 0.0))), 0.0, jnp.inf)
    told = jnp.where(sees, jnp.where(tells, free_energy, known), 0.0)
    return Moments(belief.mean + gain * residual, _symmetric(kept @ belief.cov @ kept.T)), told


def _measured(belief: Moments, slope: Any, noise: Any, residual: Any, sees: Any) -> tuple[Moments, Any]:
    """Readings with noise together; those that were not seen stand for readings of nothing, with noise of their own."""
    slope, residual = jnp.where(sees[:, None], slope, 0.0), jnp.where(sees, residual, 0.0)
    noise = jnp.where(sees[:, None] & sees[None, :], noise, jnp.eye(len(residual)))
    lower = jnp.linalg.cholesky(slope @ belief.cov @ slope.T + noise)
    white = jnp.linalg.solve(lower, residual)
    gain = jnp.linalg.solve(lower.T, jnp.linalg.solve(lower, slope @ belief.cov)).T
    kept = jnp.eye(len(belief.mean)) - gain @ slope
    free_energy = 0.5 * (sees.sum() * jnp.log(2 * jnp.pi) + white @ white) + jnp.log(jnp.diag(lower)).sum()
    return Moments(belief.mean + gain @ residual, _symmetric(kept @ belief.cov @ kept.T + gain @ noise @ gain.T)), free_energy


def smoothed(cluster: Cluster, belief: Moments, actions: Mapping[str, Any], chosen: Mapping[str, Any], later: Moments) -> Moments:
    """The belief given what was seen later; directions in which nothing is uncertain stay."""
    mean, slope, noise = cluster.moved(belief.mean, actions, chosen)
    ahead = _symmetric(slope @ belief.cov @ slope.T + noise)
    gain = belief.cov @ slope.T @ jnp.linalg.pinv(ahead, hermitian=True)
    return Moments(belief.mean + gain @ (later.mean - mean), _symmetric(belief.cov + gain @ (later.cov - ahead) @ gain.T))


def _symmetric(matrix: Any) -> Any:
    return 0.5 * (matrix + matrix.T)
