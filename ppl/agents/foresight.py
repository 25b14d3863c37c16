"""Sophisticated inference: later actions are chosen for each outcome that may be seen (Friston et al. 2021).

G(b, u) = G₁(b, u) + discount · Σ_o Q(o | u) Σ_u' q(u' | b_o) G(b_o, u'), by depth. Outcomes that say the same lead to one belief, so
the tree branches over columns of the joint likelihood. Where it would still be too large, the least probable outcomes of each node are
passed over; what is lost is at most their probability times the range that G can have from there on, and is reported.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ppl.agents.clusters import Part
from ppl.agents.planning import MOST_AT_ONCE, TERMS, Planner, Scene, Weights, discounted


class Foreseen(NamedTuple):
    """For each node and action: the discounted terms, G, and how far G may be off for outcomes that were passed over."""

    terms: Any
    energy: Any
    loss: Any


def foresee(
    planner: Planner, part: Part, beliefs: dict[int, Any], scene: Scene, weights: Weights, log_habit: Any, outcomes: int, step: int = 0
) -> Foreseen:
    """The values of the first actions at beliefs with a leading axis of nodes; `outcomes` columns are followed at each node."""
    (cluster,) = part.clusters
    count, nodes = planner.choices(part), beliefs[cluster].shape[0]
    reached, gained = planner.children(part, beliefs, scene)
    terms = planner.value(reached, gained, scene, step).reshape(nodes, count, len(TERMS))
    energy = weights.energy(terms)
    if step + 1 == planner.horizon:
        return Foreseen(terms, energy, jnp.zeros_like(energy))
    probability, posterior = after_outcomes(planner, part, reached, scene, outcomes)
    kept = probability.sum(axis=-1)
    later = _later(planner, part, {cluster: posterior}, scene, weights, log_habit, outcomes, step + 1)
    share = (probability / kept[:, None]).reshape(nodes, count, -1)
    choice = weights.choice(log_habit, later.energy)
    followed = [_over_choice(choice, x) for x in (later.terms, later.energy)] + [_carried(later, log_habit)]
    mean = [_over_outcomes(share, x.reshape(nodes, count, share.shape[-1], *x.shape[1:])) for x in followed]
    dropped = jnp.maximum(1.0 - kept, 0.0).reshape(nodes, count)
    dropped = jnp.where(dropped > 1e-12, dropped, 0.0) * _range(planner, scene, weights, step + 1)
    discount = weights.discount
    loss = discounted(discount, mean[2] + jnp.nan_to_num(dropped, nan=0.0, posinf=jnp.inf))
    return Foreseen(terms + discounted(discount, mean[0]), energy + discounted(discount, mean[1]), loss)


def _later(planner: Planner, part: Part, beliefs: dict[int, Any], scene: Scene, weights: Weights, *rest: Any) -> Foreseen:
    """All nodes at once where they are few enough, otherwise one after another."""
    log_habit, outcomes, step = rest
    ((cluster, belief),) = beliefs.items()
    branches = planner.choices(part) * outcomes
    levels = planner.horizon - step
    size = belief[0].size * belief.shape[0] * planner.choices(part) * branches ** (levels - 1)
    if size <= MOST_AT_ONCE or belief.shape[0] == 1:
        return foresee(planner, part, beliefs, scene, weights, log_habit, outcomes, step)
    one = lambda b: foresee(planner, part, {cluster: b[None]}, scene, weights, log_habit, outcomes, step)  # noqa: E731
    found = jax.lax.map(one, belief)
    return Foreseen(*(x[:, 0] for x in found))


def after_outcomes(planner: Planner, part: Part, beliefs: dict[int, Any], scene: Scene, most: int) -> tuple[Any, Any]:
    """For each node the most probable columns of outcomes: their probabilities (nodes × k) and the beliefs that they lead to."""
    (cluster,) = part.clusters
    belief = beliefs[cluster]
    nodes, shape = belief.shape[0], belief.shape[1:]
    likelihood, states = columns(planner, part, scene)
    predicted = planner.over(beliefs, states, nodes) @ likelihood
    if most < predicted.shape[-1]:
        probability, chosen = jax.lax.top_k(predicted, most)
        rows = likelihood.T[chosen]  # nodes × k × states
    else:
        probability, rows = predicted, jnp.broadcast_to(likelihood.T, (nodes, *likelihood.T.shape))
    every = planner.layout.clusters[cluster]
    wide = rows.reshape(nodes, rows.shape[1], *(shape[every.index(s)] if s in states else 1 for s in every))
    joint = belief[:, None] * wide
    safe = jnp.where(probability > 0, probability, 1.0).reshape(probability.shape + (1,) * len(shape))
    posterior = jnp.where(probability.reshape(safe.shape) > 0, joint / safe, belief[:, None])
    return probability, posterior.reshape(-1, *shape)


def columns(planner: Planner, part: Part, scene: Scene) -> tuple[Any, tuple[str, ...]]:
    """The joint likelihood of everything that tells of a part's cluster, and the states that it tells of."""
    own = [pair for pair in zip(planner.sensed, scene.likelihoods, strict=True) if pair[0].clusters == part.clusters]
    if not own:
        return jnp.ones((1, 1)), ()
    return own[0][1], own[0][0].states


def outcomes_of(planner: Planner, part: Part) -> int:
    """The number of columns of outcomes that tell of a part."""
    own = [one for one in planner.sensed if one.clusters == part.clusters]
    extra = 1
    for name in own[0].learnt if own else ():
        extra *= planner.network.factor[name].size
    return own[0].fixed.shape[-1] * extra if own else 1


def _carried(later: Foreseen, log_habit: Any) -> Any:
    """How far the value of a node may be off where G of its actions is off by `later.loss`, because the choice is off too.

    The value V = Σ_u q(u) G(u) with q ∝ E exp(-γ G) has the slopes q(u) (1 - γ (G(u) - V)), whose sizes add up to at most
    1 + Σ q |log q/E - KL| ≤ 1 + 2 KL[q ‖ E] + 2/e, at every precision γ.
    """
    most = -jnp.min(jnp.where(jnp.isfinite(log_habit), log_habit, 0.0))
    off = jnp.where(jnp.isfinite(later.energy) & jnp.isfinite(log_habit), later.loss, 0.0).max(axis=-1)
    return jnp.where(off > 0, (1 + 2 * most + 2 / jnp.e) * off, 0.0)


def _over_choice(choice: Any, value: Any) -> Any:
    """The mean over actions, where an action that is never chosen adds nothing even if it is infinite."""
    weight = choice.reshape(choice.shape + (1,) * (value.ndim - choice.ndim))
    return jnp.where(weight > 0, weight * jnp.where(weight > 0, value, 0.0), 0.0).sum(axis=1)


def _over_outcomes(share: Any, value: Any) -> Any:
    weight = share.reshape(share.shape + (1,) * (value.ndim - share.ndim))
    return jnp.where(weight > 0, weight * jnp.where(weight > 0, value, 0.0), 0.0).sum(axis=2)


def _range(planner: Planner, scene: Scene, weights: Weights, step: int) -> Any:
    """How much G of the remaining steps can differ between two beliefs."""
    total = jnp.zeros(())
    for k in range(step, planner.horizon):
        spread = jnp.zeros(())
        for columns_ in scene.linear[min(k, len(scene.linear) - 1)]:
            top, low = columns_.max(axis=0), columns_.min(axis=0)
            never = jnp.where(columns_[:, 1].max() > 0, jnp.inf, 0.0)
            spread = spread + weights.pragmatic * (top[0] - low[0]) + weights.novelty * (top[4] - low[4]) + never
        most = sum(jnp.log(float(likelihood.shape[1])) for likelihood in scene.likelihoods)
        gains = sum(jnp.max(gain) for gain in scene.moving.values())
        total = total + weights.discount ** (k - step) * (spread + weights.epistemic * most + weights.novelty * gains)
    return total
