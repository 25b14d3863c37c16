"""An agent's own model of real states, run as a world: means that are drawn about, statement by statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from ppl.agents.gaussian import Reals, Rule, in_order

Values = dict[str, Any]


def begin_reals(reals: Reals, where: Mapping[str, Any], chances: Mapping[str, Any]) -> Values:
    """Real states at time 0: those of `where`, the others drawn."""
    found: Values = {}
    for rule in in_order(list(reals.rules["initial"].values())):
        name = rule.factor.name
        drawn = _drawn(reals, rule, found, {}, chances[name])
        found[name] = jnp.where(jnp.isnan(where[name]), drawn, where[name]) if name in where else drawn
    return found


def move_reals(
    reals: Reals, states: Mapping[str, Any], actions: Mapping[str, Any], chosen: Mapping[str, Any], chances: Mapping[str, Any]
) -> Values:
    """The next real states after real actions and the places of discrete ones."""
    return {n: _drawn(reals, rule, {**states, **actions}, chosen, chances[n]) for n, rule in reals.rules["next"].items()}


def observe_reals(reals: Reals, states: Mapping[str, Any], places: Mapping[str, Any], chances: Mapping[str, Any]) -> Values:
    """What is seen of real states, at the places of discrete ones."""
    return {n: _drawn(reals, rule, states, places, chances[n]) for n, rule in reals.rules["observe"].items()}


def _drawn(reals: Reals, rule: Rule, values: Mapping[str, Any], chosen: Mapping[str, Any], chance: Any) -> Any:
    sizes = {f.name: f.size for f in reals.choosing} | {name: one.size for name, one in reals.settled.items()}
    sizes = {name: sizes[name] for name in rule.chooses}
    moments = reals.moments(rule, values, sizes)
    place = (*([jnp.arange(rule.factor.count)] if rule.factor.shape else []), *(chosen[name] for name in sizes))
    mean, cov = jnp.asarray(moments.mean)[place], jnp.asarray(moments.cov)[place]
    return mean if rule.certain else mean + (jnp.linalg.cholesky(cov) @ chance[..., None])[..., 0]
