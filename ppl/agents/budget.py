"""A budget over actions: `subject to sum(a) <= B`.

The choice is the one nearest to the unconstrained choice that keeps the expected cost of each step within the budget:
q(π) ∝ exp(log E - precision · G - Σ_k price_k · cost_k), with the price in nats a unit, 0 where the budget is not reached. The cost of a
step is a sum over parts, so that each part chooses by itself once the price is known, and the price is found by bisection. The plan in
whole actions follows the price as well: it buys where a unit of cost gains most, and what is left goes to those that stand next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.clusters import Part
from ppl.agents.evaluation import plate_members
from ppl.agents.network import AgentNetwork
from ppl.agents.parameters import behind
from ppl.agents.planning import Weights
from ppl.agents.policies import Policies
from ppl.agents.stacking import is_total
from ppl.arrays.plated import Plated
from ppl.semantics import typed
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic

HALVINGS = 80
MOST_SWEEPS = 30  # over the prices of several steps
HIGHEST = 1e12  # price, nats a unit


@dataclass(frozen=True)
class Budget:
    """`costs` are those of each joint action of each part (of a kind, of each of its members: members × actions); `most` is what all
    parts together may spend at a step."""

    costs: tuple[Any, ...] = field(repr=False)
    most: Any

    @property
    def least(self) -> float:
        """What is spent at least."""
        return float(sum(c.min(axis=-1).sum() for c in self.costs))

    @property
    def binds(self) -> bool:
        """Whether more than the budget could be spent at all."""
        return float(sum(c.max(axis=-1).sum() for c in self.costs)) > self.most


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


def _terms(network: AgentNetwork, e: typed.TypedExpression) -> Iterator[tuple[tuple[str, ...], Plated]]:
    """The summands of a cost: each a number for every combination of the actions that it names. Where these are stacked there is one for
    each member, along the named plates."""
    evaluator = network.evaluator
    if isinstance(e, typed.Apply) and e.function == "add":
        for argument in e.arguments:
            yield from _terms(network, argument)
    elif is_total(e):
        name = e.arguments[0].name  # type: ignore[attr-defined]
        for f in (f for f in network.actions if f.variable.name == name):
            low = f.variable.type.member_of.low if f.variable.type.member_of is not None else 0
            plates = tuple(f"member {k}" for k in range(len(f.shape)))
            yield plates, Plated((*plates, f.name), np.broadcast_to(np.arange(f.size) + low, (*f.shape, f.size)))
    elif isinstance(e, typed.Comprehension) and e.function == "sum":
        stacked = {f.variable.name for f in network.actions if f.shape}
        if behind(variables_in(e.body), network.model) & stacked:
            loops = {loop.name: evaluator.loop_index(loop, {}, fresh=False) for loop in e.loops}
            plates = tuple(loops)
            term = evaluator.number(e.body, loops)
            yield plates, term + Plated(plates, np.zeros([len(i.data) for i in loops.values()]))
            return
        for loops in plate_members(e.loops, evaluator):
            yield (), evaluator.number(e.body, loops)
    else:
        yield (), evaluator.number(e, {})


def _cost(network: AgentNetwork, part: Part, terms: list[tuple[tuple[str, ...], Plated]], condition: typed.TypedExpression) -> np.ndarray:
    sizes = {f.name: f.size for f in network.actions if f.name in part.actions}
    total = np.zeros((*part.shape, *(sizes[a] for a in part.actions)))
    for plates, term in terms:
        named = [d for d in term.dims if d not in plates]
        inside = [d in part.actions for d in named]
        if all(inside) and inside:
            total = total + term.arranged((*plates, *part.actions), sizes | dict(zip(plates, part.shape, strict=True)))
        elif any(inside):
            text = f"this cost joins {', '.join(named)}, which are planned apart"
            raise AimError([Diagnostic("AIM0406", text, condition.span, "write a sum of costs, one for each action")])
    return total.reshape(part.count, -1) if part.shape else total.reshape(-1)


jax.tree_util.register_dataclass(Budget, data_fields=["costs", "most"], meta_fields=[])


# ------------------------------------------------------------------ prices
def priced(
    valued: Sequence[Any], policies: Sequence[Policies], budget: Budget, weights: Sequence[Weights], steps: int
) -> tuple[list[Any], Any]:
    """The choice of each part under the prices of the steps, and these prices: parts without actions stay as they are."""
    acting = [k for k, one in enumerate(policies) if one.part.actions]
    costs = {k: jnp.asarray(_along(policies[k], budget.costs[k], steps)) for k in acting}  # (members ×) policies × steps

    def spent(price: Any) -> Any:
        own = (choice(valued[k], costs[k] @ price, weights[k])[..., None] * costs[k] for k in acting)
        return sum(each.sum(axis=tuple(range(each.ndim - 1))) for each in own)

    def one_price(step: Any, price: Any) -> Any:
        over = lambda rate: spent(price.at[step].set(rate))[step] - budget.most  # noqa: E731
        return price.at[step].set(jnp.where(over(0.0) <= 0, 0.0, _root(over)))

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
        q = choice(valued[k], costs[k] @ price, weights[k])
        first = q if q.shape[-1] == policies[k].choices and steps == 1 else policies[k].first(q)
        found[k] = valued[k]._replace(probabilities=q, first=first)
    return found, price


def _root(over: Callable[[Any], Any]) -> Any:
    """The price at which nothing is over: Newton's steps, and where one leads out of what is known or is no shorter than half of the one
    before, the middle between a price that is too low and one that is not."""
    enough = 2 * jnp.finfo(jnp.zeros(()).dtype).eps

    def going(state: Any) -> Any:
        _, _, price, move, count = state
        return (jnp.abs(move) > enough * price) & (count < HALVINGS)

    def step(state: Any) -> Any:
        low, high, price, move, count = state
        value, slope = jax.jvp(over, (price,), (jnp.ones(()),))
        low, high = jnp.where(value > 0, price, low), jnp.where(value > 0, high, price)
        newton = -value / jnp.where(slope < 0, slope, 1.0)
        good = (slope < 0) & (price + newton >= low) & (price + newton <= high) & (jnp.abs(newton) <= 0.5 * jnp.abs(move))
        move = jnp.where(good, newton, _middle(low, high) - price)
        return low, high, price + move, move, count + 1

    start = _middle(0.0, HIGHEST)
    return jax.lax.while_loop(going, step, (jnp.zeros(()), jnp.asarray(HIGHEST), start, jnp.asarray(HIGHEST), 0))[2]


def _bisected(too_much: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The largest price that is too low and the smallest that is not, as near to each other as numbers are."""

    def going(state: Any) -> Any:
        low, high, middle, count = state
        return (low < middle) & (middle < high) & (count < HALVINGS)

    def halve(state: Any) -> Any:
        low, high, middle, count = state
        above = too_much(middle)
        low, high = jnp.where(above, middle, low), jnp.where(above, high, middle)
        return low, high, _middle(low, high), count + 1

    return jax.lax.while_loop(going, halve, (jnp.zeros(()), jnp.asarray(HIGHEST), _middle(0.0, HIGHEST), 0))[:2]


def _middle(low: Any, high: Any) -> Any:
    """The geometric one."""
    return jnp.where(low > 0, jnp.sqrt(low) * jnp.sqrt(high), high * 1e-12)


def choice(valued: Any, charge: Any, weights: Weights) -> Any:
    """q ∝ exp(log E - precision · G - charge)."""
    return weights.choice(valued.log_prior - charge, valued.energy)


def _along(policies: Policies, cost: Any, steps: int) -> Any:
    """The cost of each step of each policy."""
    return cost[..., None] if steps == 1 else cost[..., policies.steps()]


# ------------------------------------------------------------------ whole actions
def whole_actions(valued: Sequence[Any], policies: Sequence[Policies], budget: Budget, weights: Sequence[Weights], price: Any) -> list[Any]:
    """A first joint action for each part (of a kind, for each of its members), all together within the budget."""
    acting = [k for k, one in enumerate(policies) if one.part.actions]
    most = max(policies[k].choices for k in acting)
    worth = [_worth(valued[k], policies[k], budget.costs[k], weights[k], price) for k in acting]
    rows = jnp.concatenate([_padded(one, most, -jnp.inf) for one in worth])
    costs = jnp.concatenate([_padded(jnp.asarray(budget.costs[k], float), most, jnp.inf) for k in acting])
    chosen, found, start = _bought(rows, costs, budget.most), [jnp.zeros((), int)] * len(policies), 0
    for k in acting:
        part = policies[k].part
        found[k] = chosen[start : start + part.count].reshape((part.count,) if part.shape else ())
        start += part.count
    return found


def _bought(worth: Any, costs: Any, budget: Any) -> Any:
    """For each row a place: where a unit of cost gains most, within the budget. The price is the least at which all can be paid; what
    is left goes, row by row, to the places that stand next."""
    rows = jnp.arange(len(worth))
    across = [jnp.asarray(one).T for one in (worth, jnp.where(jnp.isfinite(costs), costs, 0.0), costs)]  # rows side by side in memory

    def best(rate: Any) -> Any:
        gains, priced_costs, paid = across
        net = jnp.where(jnp.isfinite(gains), gains - rate * priced_costs, -jnp.inf)
        top = net.max(axis=0)
        return jnp.where(net >= top - 1e-12 * jnp.abs(top), paid, jnp.inf)  # what those cost that gain most

    def taken(rate: Any) -> Any:
        return jnp.argmin(best(rate), axis=0)

    def total(places: Any) -> Any:
        return costs[rows, places].sum()

    low, high = _bisected(lambda rate: best(rate).min(axis=0).sum() > budget)
    free, cheap, dear = taken(jnp.zeros(())), taken(high), taken(low)
    extra = costs[rows, dear] - costs[rows, cheap]
    order = jnp.sort(jnp.where(extra > 0, rows, len(worth)))  # the rows that differ, in order
    count = (extra > 0).sum()

    def buy(state: Any) -> Any:
        k, room, places = state
        row = order[k]
        buys = extra[row] <= room
        return k + 1, jnp.where(buys, room - extra[row], room), places.at[row].set(jnp.where(buys, dear[row], cheap[row]))

    _, _, bought = jax.lax.while_loop(lambda s: s[0] < count, buy, (0, budget - total(cheap), cheap))
    return jnp.where(total(free) <= budget, free, bought)


def _worth(valued: Any, policies: Policies, cost: Any, weights: Weights, price: Any) -> Any:
    """The log weight of each first joint action: that of the best policy that begins with it, later steps at their prices."""
    precision = weights.precision @ weights.precision_weights
    finite = jnp.isfinite(valued.energy)
    log_weight = jnp.where(finite, valued.log_prior - precision * jnp.where(finite, valued.energy, 0), -jnp.inf)
    if len(price) == 1:
        return log_weight
    steps = policies.steps()
    later = jnp.asarray(cost[..., steps[:, 1:]]) @ price[1:]
    best = jnp.full((*log_weight.shape[:-1], policies.choices), -jnp.inf)
    return best.at[..., steps[:, 0]].max(log_weight - later)


def _padded(values: Any, length: int, filling: float) -> Any:
    """Rows of this length."""
    rows = values.reshape(-1, values.shape[-1])
    return jnp.pad(rows, ((0, 0), (0, length - rows.shape[-1])), constant_values=filling)
