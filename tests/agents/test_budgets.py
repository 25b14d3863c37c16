"""Budgets: the price, the choice under it, and the plan in whole actions, each against another route."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

import ppl

ALLOCATION = """
type Level = 0..5

agent allocation(B = 6):
    input r: real[N]
    for i in N:
        state got[i]: Level = 0
        action give[i]: Level
        next got[i] = give[i]
        observe joy[i]: {no, yes} ~ {yes: 1 - exp(-r[i] * got[i]), no: exp(-r[i] * got[i])}
        prefer joy[i] ~ {yes: 0.9, no: 0.1}
    plan give by efe(horizon = 1, precision = 4)
    subject to sum(give) <= B
"""
R = [0.1, 0.5, 1.0, 0.2]


def planned(text: str = ALLOCATION, **values):
    agent = ppl.parse(text)
    nothing = {f"joy[{i}]": "no" for i in range(len(values["r"]))}
    return agent.start(**values).perceive(**nothing).plan()


def test_the_choice_is_the_nearest_that_keeps_the_budget() -> None:
    """min KL[q ‖ q0] over products of choices with the expected cost at the budget, by another optimiser."""
    plan, free = planned(r=R), planned(r=R, B=100)
    q0 = free.first["give"]
    levels = np.arange(5)

    def softmax(x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def divergence(x):
        q = softmax(x.reshape(q0.shape))
        return (q * (np.log(np.maximum(q, 1e-300)) - np.log(q0))).sum()

    found = minimize(
        divergence,
        np.log(q0).ravel(),
        method="SLSQP",
        constraints={"type": "eq", "fun": lambda x: (softmax(x.reshape(q0.shape)) @ levels).sum() - 6},
        options={"maxiter": 500, "ftol": 1e-13},
    )
    q = plan.first["give"]
    assert np.allclose(q, softmax(found.x.reshape(q0.shape)), atol=1e-4)
    assert (q @ levels).sum() == pytest.approx(6, abs=1e-9)
    assert plan.price[0] > 0 and free.price[0] == 0


@pytest.mark.parametrize("budget", [0, 3, 10, 16])
def test_whole_actions_are_within_one_step_of_the_best(budget: int) -> None:
    """Against all 625 combinations: never over the budget, and no worse than the best that spends a step less."""
    plan = planned(r=R, B=budget)
    energies = [np.asarray(v.energy) for v in plan.valued]

    def best(room: float) -> float:
        every = itertools.product(range(5), repeat=4)
        return max((-sum(e[k] for e, k in zip(energies, one, strict=True)) for one in every if sum(one) <= room), default=-np.inf)

    places = [int(member) for member in plan.action["give"]]
    worth = -sum(e[k] for e, k in zip(energies, places, strict=True))
    assert sum(places) <= budget
    assert best(budget) + 1e-9 >= worth >= best(budget - 4) - 1e-9


def test_levels_of_one_unit_are_the_best_so_many() -> None:
    """With levels 0 and 1 and a budget of K, the plan is the K with the largest gain."""
    r = np.random.default_rng(0).uniform(0.1, 2, 12)
    plan = planned(ALLOCATION.replace("0..5", "0..2"), r=r, B=5)
    given = [int(member) for member in plan.action["give"]]
    gain = [float(v.energy[0] - v.energy[1]) for v in plan.valued]
    assert set(np.flatnonzero(given)) == set(np.argsort(gain)[-5:])


def test_costs_may_be_computed_and_summed() -> None:
    """2 units a level for the first, 1 for the others, and a sum written out is the same as one over the plate."""
    text = ALLOCATION.replace("sum(give) <= B", "B >= sum((if i == 0 then 2 else 1) * give[i] for i in N)")
    plan = planned(text, r=[1.0, 1.0, 1.0], B=5)
    places = [int(member) for member in plan.action["give"]]
    assert 2 * places[0] + places[1] + places[2] <= 5
    q = plan.first["give"] @ np.arange(5)
    assert 2 * q[0] + q[1] + q[2] == pytest.approx(5, abs=1e-9)


def test_a_budget_holds_at_every_step_ahead() -> None:
    plan = planned(ALLOCATION.replace("horizon = 1", "horizon = 2"), r=R)
    assert plan.price.shape == (2,)
    for step in (0, 1):
        spent = sum(float(np.asarray(v.probabilities) @ one.steps()[:, step]) for v, one in zip(plan.valued, plan.sets, strict=True))
        assert spent == pytest.approx(6, abs=1e-6)


def test_a_run_keeps_its_budget() -> None:
    trace = ppl.parse(ALLOCATION).run(steps=3, r=R)
    given = np.array([[int(m) for m in trace.actions[f"give[{i}]"]] for i in range(4)])
    assert (given.sum(axis=0) <= 6).all() and (given.sum(axis=0) >= 5).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type Level = 0..5", "type Level = 2..5", r"the budget is 6, and the cheapest actions cost 8 together"),
        ("sum(give) <= B", "sum(give[i] * give[0] for i in N) <= B", r"joins .* which are planned apart"),
    ],
)
def test_a_wrong_budget_says_why(old: str, new: str, message: str) -> None:
    with pytest.raises(ppl.AimError, match=message):
        planned(
            ALLOCATION.replace(old, new).replace(
                "state got[i]: Level = 0", "state got[i]: Level = 2" if "2.." in new else "state got[i]: Level = 0"
            ),
            r=R,
        )


def test_the_table_of_a_run_tells_what_the_taken_actions_are_worth() -> None:
    """Under a budget the best plan without it is not what happens: the number shown is G of the actions beside it."""
    from ppl.agents.step_table import step_table

    trace = ppl.parse(ALLOCATION).run(steps=1, r=R)
    plan = trace.plan(0)
    taken = plan.policies.index([{f"give[{i}]": level for i, level in enumerate(plan.action["give"])}])
    shown = float(dict(zip(*step_table(trace), strict=True))["expected free energy"].replace("−", "-"))
    assert plan.G[taken] > plan.G.min() + 1e-3
    assert shown == pytest.approx(plan.G[taken], rel=1e-3)
