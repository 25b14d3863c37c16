"""Expected free energy over real states: for each policy in closed form, for real actions at their best.

Along a policy a Gaussian belief is predicted and not updated. For each step ahead: `pragmatic` = E log preferred(o), the expectation of
a quadratic; `epistemic` = the mutual information of states and all real outcomes of the step together, ½ log |S| - ½ log |R|;
`ambiguity` = the entropy of the noise. Real actions are numbers of their own for every step: those of each discrete policy are where
precision · G - log habit is lowest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ppl.agents.clusters import Part
from ppl.agents.descent import lowest
from ppl.agents.evaluation import refuse_twice
from ppl.agents.gaussian import Cluster, Moments, Reals, Rule
from ppl.agents.kalman import RESOLVED, Beliefs, predicted
from ppl.agents.planning import TERMS, Weights, discounted
from ppl.agents.real_rules import refuse_spread
from ppl.arrays.plated import Plated, namespace
from ppl.source.diagnostics import AimError, Diagnostic

AT_ONCE = 4096  # policies


class Preferred(NamedTuple):
    """A Gaussian preference, or habit, for each of some steps: steps × …; `log_volume` is log |2π cov|."""

    mean: Any
    precision: Any
    log_volume: Any

    def expected(self, step: Any, mean: Any, cov: Any = None) -> Any:
        """E log N(x; …) for an x of this mean and covariance, or for a known one."""
        k = jnp.minimum(step, len(self.mean) - 1)
        apart = mean - self.mean[k]
        spread = 0.0 if cov is None else jnp.sum(self.precision[k] * cov)
        return -0.5 * (self.log_volume[k] + apart @ self.precision[k] @ apart + spread)


def preferences(reals: Reals, times: Any) -> dict[str, Preferred]:
    """The preferences over real outcomes and states at these time steps."""
    return _said(reals, "prefer", times)


def habits(reals: Reals) -> dict[str, Preferred]:
    """The habits of real actions."""
    return _said(reals, "habit", np.zeros(1, int))


def _said(reals: Reals, role: str, times: Any) -> dict[str, Preferred]:
    found: dict[str, Preferred] = {}
    for statement, factor, loops in reals.said(role):
        refuse_twice(factor, found, statement)
        time = {statement.time: Plated(("time",), np.asarray(times))} if statement.time else {}
        rule = Rule(factor, statement, {**loops, **time})
        if rule.certain:
            text = f"what is preferred of `{factor.name}` is one number alone, which a real outcome is with probability 0"
            raise AimError([Diagnostic("AIM0419", text, statement.span, "write Normal(mean, sd)")])
        mean, cov = reals.moments(rule, {}, {"time": len(times)})
        refuse_spread(Moments(mean, cov), rule)
        if factor.shape:
            mean, cov = (namespace(m).moveaxis(m, 1, 0) for m in (mean, cov))
        algebra = namespace(cov).linalg
        found[factor.name] = Preferred(mean, algebra.inv(cov), algebra.slogdet(2 * np.pi * cov)[1])
    return found


class RealPlanner:
    """Pure functions that value policies by what they do to real states."""

    def __init__(self, reals: Reals, horizon: int):
        self.reals, self.horizon = reals, horizon

    def values(
        self, part: Part, beliefs: Beliefs, preferred: Mapping[str, Preferred], weights: Weights, steps: np.ndarray, sizes: tuple[int, ...]
    ) -> tuple[Any, Any, Any, Any]:
        """For each policy of a part (`steps`: policies × horizon, places of joint actions): its terms, its real actions (an array of
        steps for each), their log habit, and how much lower G may still go by other ones."""
        places = np.stack(np.unravel_index(steps, sizes), axis=-1) if sizes else np.zeros((*steps.shape, 0), int)
        habit = {n: jax.tree.map(jnp.asarray, h) for n, h in habits(self.reals).items() if n in part.real_actions}
        start = self._start(part, habit)

        def valued(chosen: Any) -> tuple[Any, Any, Any, Any]:
            def terms(actions: Any) -> Any:
                return self._along(part, beliefs, preferred, weights.discount, chosen, actions)

            if not start:
                return terms(start), start, jnp.zeros(()), jnp.zeros(())
            flat, shaped = ravel_pytree(start)
            precision = weights.precision @ weights.precision_weights
            found = lowest(lambda u: precision * weights.energy(terms(shaped(u))) - self.log_habit(habit, shaped(u)), flat)
            actions = shaped(found.point)
            return terms(actions), actions, self.log_habit(habit, actions), found.promise / jnp.where(precision > 0, precision, 1.0)

        if len(places) <= AT_ONCE:
            return jax.vmap(valued)(jnp.asarray(places))
        return jax.lax.map(valued, jnp.asarray(places), batch_size=AT_ONCE)

    def _start(self, part: Part, habit: Mapping[str, Preferred]) -> dict[str, Any]:
        """Real actions to start from: what is usual, or 0."""
        found = {}
        for name in part.real_actions:
            usual = habit[name].mean[0] if name in habit else jnp.zeros(self.reals.factors[name].size)
            found[name] = jnp.broadcast_to(usual, (self.horizon, len(usual))) * 1.0
        return found

    def log_habit(self, habit: Mapping[str, Preferred], actions: Mapping[str, Any]) -> Any:
        """The log prior density of real actions, summed over the steps."""
        total = jnp.zeros(())
        for name, usual in habit.items():
            total = total + jax.vmap(lambda point, usual=usual: usual.expected(0, point))(actions[name]).sum()
        return total

    def _along(self, part: Part, beliefs: Beliefs, preferred: Any, discount: Any, chosen: Any, actions: Mapping[str, Any]) -> Any:
        """The discounted terms of one policy: `chosen` are steps × discrete actions, `actions` steps of real ones."""

        def step(carry: Any, now: Any) -> tuple[Any, Any]:
            held, total = carry
            k, places, real = now
            at = {name: places[j] for j, name in enumerate(part.actions)}
            held = tuple(predicted(self.reals.clusters[c], b, real, at) for c, b in zip(part.reals, held, strict=True))
            known = self._known(part, at)
            found = sum(self._value(self.reals.clusters[c], b, known, preferred, k) for c, b in zip(part.reals, held, strict=True))
            return (held, total + discounted(discount**k, found)), None

        begun = (tuple(Moments(*map(jnp.asarray, beliefs[c])) for c in part.reals), jnp.zeros(len(TERMS)))
        steps = (jnp.arange(len(chosen)), chosen, {n: a for n, a in actions.items()})
        return jax.lax.scan(step, begun, steps)[0][1]

    def _known(self, part: Part, at: Mapping[str, Any]) -> dict[str, Any]:
        """The places of the states that the actions of a part set."""
        own = {n: s for n, s in self.reals.settled.items() if any(n in self.reals.clusters[c].sensing for c in part.reals)}
        return replace(self.reals, settled=own).known(at)

    def _value(self, cluster: Cluster, belief: Moments, known: Mapping[str, Any], preferred: Mapping[str, Preferred], step: Any) -> Any:
        """The terms of a step at a belief, in the order of TERMS."""
        pragmatic = jnp.zeros(())
        for f in cluster.states:
            if f.name in preferred:
                at = cluster.places[f.name]
                pragmatic = pragmatic + preferred[f.name].expected(step, belief.mean[at], belief.cov[at, at])
        if not cluster.outcomes:
            return jnp.stack([pragmatic, jnp.zeros(()), jnp.zeros(()), jnp.zeros(())])
        mean, slope, noise = cluster.seen(belief.mean, known)
        spread = slope @ belief.cov @ slope.T
        for f in cluster.outcomes:
            if f.name in preferred:
                at = cluster.places[f.name]
                pragmatic = pragmatic + preferred[f.name].expected(step, mean[at], (spread + noise)[at, at])
        information, entropy = _told(spread, noise, cluster)
        return jnp.stack([pragmatic, information, jnp.zeros(()), entropy])


def _told(spread: Any, noise: Any, cluster: Cluster) -> tuple[Any, Any]:
    """The mutual information of states and outcomes, and the entropy of the noise, -∞ where an outcome has none.

    A reading without noise of what is uncertain tells infinitely much, one of what is known nothing.
    """
    certain = cluster.certain
    noisy = np.flatnonzero(~certain)
    own = noise[np.ix_(noisy, noisy)]
    noise_log = jnp.log(jnp.diag(jnp.linalg.cholesky(own))).sum()
    information = jnp.log(jnp.diag(jnp.linalg.cholesky(spread[np.ix_(noisy, noisy)] + own))).sum() - noise_log
    entropy = noise_log + 0.5 * len(noisy) * (1 + np.log(2 * np.pi))
    if not certain.any():
        return information, entropy
    tells = ((jnp.diag(spread) > RESOLVED * cluster.readings()) & certain).any()
    return jnp.where(tells, jnp.inf, information), jnp.full((), -jnp.inf)


def refuse_infinite(reals: Reals, energies: Any) -> None:
    """A plan that counts infinite information has no value. Raises `AimError` at the outcome that tells it."""
    if not any((np.isneginf(e) | np.isnan(e)).any() for e in map(np.asarray, energies)):
        return
    rule = next((r for cluster in reals.clusters for r in cluster.observations if r.certain), None)
    if rule is None:
        names = ", ".join(f.name for cluster in reals.clusters for f in cluster.states)
        text = f"what is expected of {names} is not a number: a mean leaves its domain where the belief stands"
        raise AimError([Diagnostic("AIM0730", text, None, "look at square roots, logarithms and quotients of states")])
    text = f"`{rule.factor.name}` has no noise and tells of states that are uncertain: its information is infinite"
    hint = "write ~ Normal(…, sd), or plan with efe(…, epistemic = 0)"
    raise AimError([Diagnostic("AIM0420", text, rule.statement.span, hint)])
