"""A budget over actions: `subject to sum(a) <= B`.

The choice is the one nearest to the unconstrained choice that keeps the expected cost of each step within the budget:
q(π) ∝ exp(log E - precision · G - Σ_k price_k · cost_k), with the price in nats a unit, 0 where the budget is not reached. The cost of a
step is a sum over parts, so that each part chooses by itself once the price is known, and the price is found by bisection. The plan in
whole actions follows the price as well: it buys where a unit of cost gains most, and what is left goes to those that stand next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import Part
from ppl.agents.evaluation import plate_members
from ppl.agents.network import AgentNetwork
from ppl.agents.planning import Weights
from ppl.agents.policies import Policies
from ppl.arrays.plated import Plated
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

HALVINGS = 80
MOST_SWEEPS = 30  # over the prices of several steps
HIGHEST = 1e12  # price, nats a unit


@dataclass(frozen=True)
class Budget:
    """`costs` are those of each joint action of each part; `most` is what all parts together may spend at a step."""

    costs: tuple[np.ndarray, ...] = field(repr=False)
    most: float

    @property
    def least(self) -> float:
        """What is spent at least."""
        return float(sum(c.min() for c in self.costs))

    @property
    def binds(self) -> bool:
        """Whether more than the budget could be spent at all."""
        return float(sum(c.max() for c in self.costs)) > self.most


def budget_of(network: AgentNetwork, parts: Sequence[Part]) -> Budget | None:
    """The budget of an agent's plan. Raises `AimError` where it is no sum over actions, or where the cheapest actions exceed it."""
    planning = network.agent.planning
    condition = planning.budget if planning is not None else None
    if condition is None:
        return None
    assert isinstance(condition, typed.Apply)
    spent, allowed = condition.arguments
    if condition.function in ("greater", "greater_equal"):
        spent, allowed = allowed, spent
    try:
        terms = list(_terms(network, spent))
    except KeyError as real:
        text = f"a budget is over actions that have members, and `{real.args[0]}` has none"
        raise AimError([Diagnostic("AIM0406", text, condition.span, f"write habit {real.args[0]} ~ Normal(0, sd) for a cost")]) from None
    bound = network.evaluator.number(allowed, {})
    if bound.dims or not terms:
        raise AimError([Diagnostic("AIM0406", "a budget is a sum over actions, and a number", condition.span, "write sum(a) <= B")])
    costs = tuple(_cost(network, part, terms, condition) for part in parts)
    found = Budget(costs, float(bound.data))
    if found.least > found.most:
        text = f"the budget is {found.most:g}, and the cheapest actions cost {found.least:g} together"
        raise AimError([Diagnostic("AIM0406", text, condition.span, f"allow {found.least:g} or more")])
    return found


def _terms(network: AgentNetwork, e: typed.TypedExpression) -> Any:
    """The summands of a cost: each a number for every combination of the actions that it names."""
    evaluator = network.evaluator
    if isinstance(e, typed.Apply) and e.function == "add":
        for argument in e.arguments:
            yield from _terms(network, argument)
    elif isinstance(e, typed.Apply) and e.function == "sum" and isinstance(e.arguments[0], typed.VariableReference):
        name = e.arguments[0].name
        own = [f for f in network.actions if f.variable.name == name]
        for f in own:
            low = f.variable.type.member_of.low if f.variable.type.member_of is not None else 0
            yield Plated((f.name,), np.arange(f.size) + low)
    elif isinstance(e, typed.Comprehension) and e.function == "sum":
        for loops in plate_members(e.loops, evaluator):
            yield evaluator.number(e.body, loops)
    else:
        yield evaluator.number(e, {})


def _cost(network: AgentNetwork, part: Part, terms: list[Plated], condition: typed.TypedExpression) -> np.ndarray:
    sizes = {a: network.factor[a].size for a in part.actions}
    total = np.zeros(tuple(sizes.values()))
    for term in terms:
        inside = [d in part.actions for d in term.dims]
        if all(inside) and inside:
            total = total + term.arranged(part.actions, sizes)
        elif any(inside):
            text = f"this cost joins {', '.join(term.dims)}, which are planned apart"
            raise AimError([Diagnostic("AIM0406", text, condition.span, "write a sum of costs, one for each action")])
    return total.reshape(-1)


# ------------------------------------------------------------------ prices
def priced(valued: Sequence[Any], policies: Sequence[Policies], budget: Budget, weights: Weights, steps: int) -> tuple[list[Any], Any]:
    """The choice of each part under the prices of the steps, and these prices: parts without actions stay as they are."""
    acting = [k for k, one in enumerate(policies) if one.part.actions]
    costs = {k: jnp.asarray(_along(policies[k], budget.costs[k], steps)) for k in acting}  # policies × steps

    def spent(price: Any) -> Any:
        return sum(choice(valued[k], price @ costs[k].T, weights) @ costs[k] for k in acting)

    def one_price(step: Any, price: Any) -> Any:
        free = spent(price.at[step].set(0.0))[step] <= budget.most
        _, high = _bisected(lambda rate: spent(price.at[step].set(rate))[step] > budget.most)
        return price.at[step].set(jnp.where(free, 0.0, high))

    def sweep(state: Any) -> Any:
        price, _, count = state
        new = price
        for step in range(steps):
            new = one_price(step, new)
        return new, jnp.abs(new - price).max() / (1e-300 + jnp.abs(new).max()), count + 1

    start = (jnp.zeros(steps), jnp.asarray(jnp.inf), 0)
    again = lambda s: (s[1] > 1e-10) & (s[2] < (MOST_SWEEPS if steps > 1 else 1))  # noqa: E731
    price, _, _ = jax.lax.while_loop(again, sweep, start)
    found = list(valued)
    for k in acting:
        q = choice(valued[k], price @ costs[k].T, weights)
        first = q if len(q) == policies[k].choices and steps == 1 else policies[k].first(q)
        found[k] = valued[k]._replace(probabilities=q, first=first)
    return found, price


def _bisected(too_much: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The largest price that is too low and the smallest that is not, as near to each other as numbers are: the middle is geometric."""

    def halve(_: Any, bounds: Any) -> Any:
        low, high = bounds
        middle = jnp.where(low > 0, jnp.sqrt(low * high), high * 1e-12)
        above = too_much(middle)
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    return jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros(()), jnp.asarray(HIGHEST)))


def choice(valued: Any, charge: Any, weights: Weights) -> Any:
    """q ∝ exp(log E - precision · G - charge)."""
    return weights.choice(valued.log_prior - charge, valued.energy)


def _along(policies: Policies, cost: np.ndarray, steps: int) -> np.ndarray:
    """The cost of each step of each policy."""
    return cost[:, None] if steps == 1 else cost[policies.steps()]


def whole_actions(valued: Sequence[Any], policies: Sequence[Policies], budget: Budget, weights: Weights, price: Any) -> list[Any]:
    """A first joint action for each part, all together within the budget."""
    acting = [k for k, one in enumerate(policies) if one.part.actions]
    most = max(policies[k].choices for k in acting)
    worth = jnp.stack([_padded(_worth(valued[k], policies[k], budget.costs[k], weights, price), most, -jnp.inf) for k in acting])
    costs = jnp.stack([_padded(jnp.asarray(budget.costs[k], float), most, jnp.inf) for k in acting])
    rows = jnp.arange(len(acting))

    def taken(rate: Any) -> Any:
        net = jnp.where(jnp.isfinite(worth), worth - rate * jnp.where(jnp.isfinite(costs), costs, 0.0), -jnp.inf)
        best = net >= net.max(axis=1, keepdims=True) - 1e-12 * jnp.abs(net.max(axis=1, keepdims=True))
        return jnp.argmin(jnp.where(best, costs, jnp.inf), axis=1)

    def total(places: Any) -> Any:
        return costs[rows, places].sum()

    low, high = _bisected(lambda rate: total(taken(rate)) > budget.most)
    free = taken(jnp.zeros(()))
    cheap, dear = taken(high), taken(low)

    def buy(room: Any, row: Any) -> Any:
        extra = costs[row, dear[row]] - costs[row, cheap[row]]
        buys = (extra <= room) & (extra > 0)
        return jnp.where(buys, room - extra, room), jnp.where(buys, dear[row], cheap[row])

    _, bought = jax.lax.scan(buy, budget.most - total(cheap), rows)
    chosen = jnp.where(total(free) <= budget.most, free, bought)
    found: list[Any] = [jnp.zeros((), int)] * len(policies)
    for row, k in enumerate(acting):
        found[k] = chosen[row]
    return found


def _worth(valued: Any, policies: Policies, cost: np.ndarray, weights: Weights, price: Any) -> Any:
    """The log weight of each first joint action: that of the best policy that begins with it, later steps at their prices."""
    precision = weights.precision @ weights.precision_weights
    log_weight = jnp.where(
        jnp.isfinite(valued.energy), valued.log_prior - precision * jnp.where(jnp.isfinite(valued.energy), valued.energy, 0), -jnp.inf
    )
    if len(price) == 1:
        return log_weight
    steps = policies.steps()
    later = jnp.asarray(cost[steps[:, 1:]]) @ price[1:]
    return jnp.full(policies.choices, -jnp.inf).at[steps[:, 0]].max(log_weight - later)


def _padded(values: Any, length: int, filling: float) -> Any:
    return jnp.concatenate([values, jnp.full(length - values.shape[0], filling)]) if values.shape[0] < length else values
