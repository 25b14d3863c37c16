"""Agents with real states against dense Gaussians, normal equations, Monte Carlo and closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

import ppl
from ppl.tools.command_line import status

A = np.array([[1.0, 0.4], [-0.2, 0.9]])
B = np.array([[0.3, 0.0], [0.1, 1.0]])
Q = np.array([[0.2, 0.05], [0.05, 0.1]])
P0 = np.array([[1.0, 0.3], [0.3, 0.5]])
C = np.array([[1.0, 0.0], [1.0, -2.0]])
R = np.diag([0.25, 0.09])
MOVER = """
agent mover(A = [[1.0, 0.4], [-0.2, 0.9]], B = [[0.3, 0.0], [0.1, 1.0]]):
    state x: real[2] ~ MvNormal([1, -1], cov = [[1.0, 0.3], [0.3, 0.5]])
    action a: real[2]
    next x ~ MvNormal(A @ x + B @ a, cov = [[0.2, 0.05], [0.05, 0.1]])
    observe y: real ~ Normal(x[0], 0.5)
    observe z: real ~ Normal(x[0] - 2 * x[1], 0.3)
    prefer y ~ Normal(2, 0.5)
    prefer x ~ MvNormal([1, 0], cov = [[2, 0.5], [0.5, 1]])
    habit a ~ MvNormal([0.1, 0], cov = [[4, 0], [0, 1]])
    plan a by efe(horizon = 4, discount = 0.9, precision = 2)
"""
DONE = np.array([[0.5, -1.0], [0.2, 0.3], [-0.7, 0.1]])
SEEN = np.array([[0.3, 1.2], [1.1, np.nan], [np.nan, np.nan], [0.4, 0.9]])


def dense() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and covariance of x_0 … x_3 together, and the map and noise of all outcomes, built from independent noises."""
    steps, n = len(SEEN), 2
    mean, cov = np.zeros(n * steps), np.zeros((n * steps, n * steps))
    mean[:2], cov[:2, :2] = [1, -1], P0
    for t in range(1, steps):
        now, before = slice(n * t, n * t + n), slice(n * t - n, n * t)
        mean[now] = A @ mean[before] + B @ DONE[t - 1]
        cov[now, : n * t] = A @ cov[before, : n * t]
        cov[: n * t, now] = cov[now, : n * t].T
        cov[now, now] = A @ cov[before, before] @ A.T + Q
    return mean, cov, np.kron(np.eye(steps), C), np.kron(np.eye(steps), R)


def conditioned(last: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The mean and covariance of all states given what was seen up to a step, and the log density of that."""
    mean, cov, sight, noise = dense()
    flat = SEEN.ravel()
    rows = np.flatnonzero(~np.isnan(flat) & (np.arange(flat.size) < 2 * (last + 1)))
    h, r = sight[rows], noise[np.ix_(rows, rows)]
    s = h @ cov @ h.T + r
    gain = cov @ h.T @ np.linalg.inv(s)
    evidence = multivariate_normal(h @ mean, s).logpdf(flat[rows])
    return mean + gain @ (flat[rows] - h @ mean), cov - gain @ h @ cov, float(evidence)


def perceived() -> list:
    """The mind after each step of the record."""
    mind, minds = ppl.parse(MOVER).start(), []
    for t, row in enumerate(SEEN):
        seen = {name: value for name, value in zip("yz", row, strict=True) if not np.isnan(value)}
        mind = (mind.did(a=DONE[t - 1]) if t else mind).perceive(**seen)
        minds.append(mind)
    return minds


def test_beliefs_and_free_energy_are_those_of_the_dense_gaussian() -> None:
    total = 0.0
    for t, mind in enumerate(perceived()):
        mean, cov, evidence = conditioned(t)
        at, belief = slice(2 * t, 2 * t + 2), mind.beliefs["x"]
        assert belief.family == "MvNormal"
        assert np.allclose(belief.params["mean"], mean[at], atol=1e-9)
        assert np.allclose(belief.params["cov"], cov[at, at], atol=1e-9)
        total += mind.free_energy
        assert total == pytest.approx(-evidence, abs=1e-9)


def test_smoothing_conditions_on_what_came_later() -> None:
    mean, cov, _ = conditioned(3)
    for t, beliefs in enumerate(perceived()[-1].smoothed()):
        at = slice(2 * t, 2 * t + 2)
        assert np.allclose(beliefs["x"].params["mean"], mean[at], atol=1e-9)
        assert np.allclose(beliefs["x"].params["cov"], cov[at, at], atol=1e-9)


def test_a_replayed_record_is_the_same_and_may_have_holes() -> None:
    record = {"y": [0.3, 1.1, None, 0.4], "z": [1.2, None, None, 0.9], "a": DONE.tolist()}
    trace, minds = ppl.parse(MOVER).replay(record), perceived()
    assert np.allclose(trace.free_energy, [m.free_energy for m in minds], atol=1e-12)
    assert np.allclose(trace.beliefs["x"], [m.beliefs["x"].mean for m in minds], atol=1e-12)
    assert np.allclose(trace.actions["a"][:3], DONE)
    assert np.array_equal(trace.observations["z"], SEEN[:, 1], equal_nan=True)


# ------------------------------------------------------------------ expected free energy
def energy(actions: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> dict[str, float]:
    """The terms along a policy by the definitions: log densities are averaged by their moments, information by determinants."""
    terms = {"pragmatic": 0.0, "epistemic": 0.0, "ambiguity": 0.0}
    for k, a in enumerate(actions.reshape(-1, 2)):
        mean, cov, share = A @ mean + B @ a, A @ cov @ A.T + Q, 0.9**k
        s = C @ cov @ C.T + R
        y = norm(2, 0.5).logpdf((C @ mean)[0]) - 0.5 * s[0, 0] / 0.25
        wanted = np.array([[2, 0.5], [0.5, 1]])
        x = multivariate_normal([1, 0], wanted).logpdf(mean) - 0.5 * np.trace(np.linalg.solve(wanted, cov))
        terms["pragmatic"] += share * (y + x)
        terms["epistemic"] += share * 0.5 * np.log(np.linalg.det(s) / np.linalg.det(R))
        terms["ambiguity"] += share * (0.5 * np.log(np.linalg.det(R)) + 1 + np.log(2 * np.pi))
    return terms


def test_real_actions_solve_the_normal_equations() -> None:
    """Precision · G - log habit is a quadratic of the actions: its minimum by weighted least squares, one row for each square."""
    mind = perceived()[-1]
    mean, cov, _ = conditioned(3)
    mean, cov = mean[-2:], cov[-2:, -2:]
    rows, wanted = [], []
    roots = np.linalg.cholesky(np.linalg.inv(np.array([[2, 0.5], [0.5, 1]]))).T
    still, effect = mean, np.zeros((2, 8))
    for k in range(4):
        still, effect = A @ still, A @ effect
        effect[:, 2 * k : 2 * k + 2] += B
        share = np.sqrt(2 * 0.9**k)  # precision 2
        rows += [share / 0.5 * (C @ effect)[:1], share * roots @ effect, np.eye(8)[2 * k : 2 * k + 2] / [[2], [1]]]
        wanted += [share / 0.5 * (2 - (C @ still)[:1]), share * roots @ ([1, 0] - still), np.array([0.05, 0])]
    best = np.linalg.lstsq(np.concatenate(rows), np.concatenate(wanted), rcond=None)[0]
    plan = mind.plan()
    found = np.array(plan.policies[0])
    assert np.allclose(found, best.reshape(4, 2), atol=1e-9)
    assert np.allclose(plan.action["a"], best[:2], atol=1e-9)
    terms = energy(best, mean, cov)
    assert [plan.pragmatic[0], plan.epistemic[0], plan.ambiguity[0]] == pytest.approx(list(terms.values()), abs=1e-9)
    assert plan.G[0] == pytest.approx(-terms["pragmatic"] - terms["epistemic"], abs=1e-9)
    assert plan.loss < 1e-9


def test_terms_agree_with_monte_carlo() -> None:
    """States and outcomes are drawn along the policy: E log preferred and E log p(o | x) / p(o) by averages."""
    mind = perceived()[-1]
    plan = mind.plan()
    actions = np.array(plan.policies[0])
    random = np.random.default_rng(3)
    count = 200_000
    x = random.multivariate_normal(mind.beliefs["x"].params["mean"], mind.beliefs["x"].params["cov"], size=count)
    mean, cov = mind.beliefs["x"].params["mean"], mind.beliefs["x"].params["cov"]
    pragmatic = epistemic = 0.0
    for k, a in enumerate(actions):
        x = x @ A.T + B @ a + random.multivariate_normal([0, 0], Q, size=count)
        mean, cov = A @ mean + B @ a, A @ cov @ A.T + Q
        o = x @ C.T + random.multivariate_normal([0, 0], R, size=count)
        pragmatic += 0.9**k * (norm(2, 0.5).logpdf(o[:, 0]) + multivariate_normal([1, 0], [[2, 0.5], [0.5, 1]]).logpdf(x)).mean()
        told = multivariate_normal([0, 0], R).logpdf(o - x @ C.T) - multivariate_normal(C @ mean, C @ cov @ C.T + R).logpdf(o)
        epistemic += 0.9**k * told.mean()
    assert plan.pragmatic[0] == pytest.approx(pragmatic, abs=0.1)
    assert plan.epistemic[0] == pytest.approx(epistemic, abs=0.02)


ROOM = """
agent room(noise = 0.2):
    state warmth: real ~ Normal(10, 1)
    state filter: {clean, dirty} = clean
    action heat: {off, low, high}
    next warmth ~ match heat:
        off  -> Normal(0.9 * warmth, noise)
        low  -> Normal(0.9 * warmth + 2, 0.3)
        high -> Normal(0.9 * warmth + 4, 2 * noise)
    next filter ~ match filter, heat:
        clean, high -> {clean: 0.7, dirty: 0.3}
        _, _        -> filter
    observe shown: real ~ Normal(warmth, 0.5)
    observe looks: {clean, dirty} ~ match filter:
        clean -> {clean: 0.9, dirty: 0.1}
        dirty -> {clean: 0.2, dirty: 0.8}
    prefer shown ~ Normal(18 + t, 2)
    prefer looks ~ {clean: 0.8, dirty: 0.2}
    plan heat by efe(horizon = 2, precision = 1)
"""


def test_discrete_actions_choose_dynamics_and_noise() -> None:
    """By hand for every policy; the preference moves with the time step, and the discrete state adds its own terms."""
    agent = ppl.parse(ROOM)
    plan = agent.start().perceive(shown=10.0, looks="clean").plan()
    gain, offset, noise = 0.9, {"off": 0, "low": 2, "high": 4}, {"off": 0.2, "low": 0.3, "high": 0.4}
    alone = ppl.parse(
        ROOM[: ROOM.index("    state warmth")]
        + ROOM[ROOM.index("    state filter") : ROOM.index("    next warmth")]
        + ROOM[ROOM.index("    next filter") : ROOM.index("    observe shown")]
        + ROOM[ROOM.index("    observe looks") : ROOM.index("    prefer shown")]
        + ROOM[ROOM.index("    prefer looks") :]
    )
    discrete = alone.start().perceive(looks="clean").plan()
    assert plan.policies == discrete.policies and len(plan.policies) == 9
    for k, policy in enumerate(plan.policies):
        mean, var, pragmatic, epistemic = 10.0, 1 / (1 + 1 / 0.25), 0.0, 0.0
        for step, heat in enumerate(policy):
            mean, var = gain * mean + offset[heat], gain**2 * var + noise[heat] ** 2
            pragmatic += norm(18 + step + 1, 2).logpdf(mean) - 0.5 * (var + 0.25) / 4
            epistemic += 0.5 * np.log(1 + var / 0.25)
        assert plan.pragmatic[k] - discrete.pragmatic[k] == pytest.approx(pragmatic, abs=1e-9)
        assert plan.epistemic[k] - discrete.epistemic[k] == pytest.approx(epistemic, abs=1e-9)
    assert np.allclose(plan.risk + plan.ambiguity - plan.novelty, plan.G, atol=1e-12)
    assert np.allclose(plan.probabilities, np.exp(-plan.G) / np.exp(-plan.G).sum(), atol=1e-12)


def test_each_discrete_policy_has_real_actions_of_its_own() -> None:
    """With each member a gain of its own the best push is (wanted - offset) · gain / (gain² + cost)."""
    agent = ppl.parse(
        """
agent pushes:
    state x: real = 0
    action gear: {low, high}
    action push: real
    next x ~ Normal(match gear: {low -> push, high -> 3 * push - 1}, 0.1)
    observe y: real ~ Normal(x, 0.1)
    prefer y ~ Normal(2, 1)
    habit push ~ Normal(0, 1)
    plan gear, push by efe(horizon = 1, precision = 1)
""".replace("match gear: {low -> push, high -> 3 * push - 1}", "if gear == high then 3 * push - 1 else push")
    )
    plan = agent.start().plan()
    best = {one[0]["gear"]: one[0]["push"] for one in plan.policies}
    assert best == pytest.approx({"low": 2 / 2, "high": 3 * 3 / 10}, abs=1e-9)
    log = [norm(0, 1).logpdf(push) - g for push, g in zip(best.values(), plan.G, strict=True)]
    assert np.allclose(plan.probabilities, np.exp(log) / np.exp(log).sum(), atol=1e-12)
    assert plan.action == {"gear": "high", "push": pytest.approx(0.9, abs=1e-9)}


# ------------------------------------------------------------------ what is not affine
BENT = """
agent bent:
    state x: real ~ Normal(0.5, 0.2)
    action a: real
    next x ~ Normal(x * cos(a) + sin(a), 0.1)
    observe y: real ~ Normal(x, 0.3)
    prefer y ~ Normal(1, 0.2)
    habit a ~ Normal(0, 1)
    plan a by efe(horizon = 2, precision = 1)
"""


def test_actions_that_bend_the_dynamics_are_found_by_newton_steps() -> None:
    """Affine in the state for each action, so beliefs are exact; the best actions by SciPy from the closed form of G."""

    def objective(a: np.ndarray) -> float:
        mean, var, total = 0.5, 0.04, 0.0
        for push in a:
            mean, var = mean * np.cos(push) + np.sin(push), var * np.cos(push) ** 2 + 0.01
            total -= norm(1, 0.2).logpdf(mean) - 0.5 * (var + 0.09) / 0.04 + 0.5 * np.log(1 + var / 0.09) + norm(0, 1).logpdf(push)
        return total

    agent = ppl.parse(BENT)
    plan = agent.start().plan()
    best = minimize(objective, np.zeros(2), method="BFGS", options={"gtol": 1e-10})
    assert np.allclose(plan.policies[0], best.x, atol=1e-5)
    assert objective(np.array(plan.policies[0])) <= best.fun + 1e-9
    assert plan.loss < 1e-9 and "exact (Kalman filter)" in str(agent.explain())


def test_dynamics_that_bend_are_linearised_and_this_is_said() -> None:
    """One prediction of the extended Kalman filter: mean f(m), variance f'(m)² P + Q."""
    text = "agent e:\n    state x: real ~ Normal(0.5, 0.2)\n    next x ~ Normal(sin(x), 0.1)\n    observe y: real ~ Normal(x, 0.3)\n"
    agent = ppl.parse(text)
    belief = agent.start().perceive().perceive().beliefs["x"]
    assert belief.mean == pytest.approx(np.sin(0.5), abs=1e-12)
    assert belief.var == pytest.approx(np.cos(0.5) ** 2 * 0.04 + 0.01, abs=1e-12)
    assert "extended Kalman filter" in str(agent.explain())
    from ppl.agents.report import trace_json

    assert "linearised" in " ".join(trace_json(agent.run(steps=2))["warnings"])


# ------------------------------------------------------------------ outcomes without noise
CART = """
agent cart:
    state x: real ~ Normal(0, 1)
    state v: real = 0
    action push: real
    next x = x + v
    next v = v + push
    observe y: real = x
    observe w: real = 2 * x + 1
    prefer x ~ Normal(3, 0.1)
    plan push by efe(horizon = 3, epistemic = 0)
"""


def test_a_reading_without_noise_is_certain_and_counts_once() -> None:
    mind = ppl.parse(CART).start().perceive(y=0.7, w=2.4)
    assert (mind.beliefs["x"].mean, mind.beliefs["x"].sd) == (pytest.approx(0.7), pytest.approx(0.0, abs=1e-12))
    assert mind.free_energy == pytest.approx(-norm(0, 1).logpdf(0.7), abs=1e-12)
    later = mind.did(push=0.25).perceive(y=0.7)
    assert later.free_energy == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ppl.AimError, match=r"AIM0805\]: step 1: y = 0.9 cannot happen"):
        mind.did(push=0.25).perceive(y=0.9)


def test_infinite_information_is_an_error_at_the_outcome() -> None:
    agent = ppl.parse(CART.replace(", epistemic = 0", ""))
    with pytest.raises(ppl.AimError, match="AIM0420"):
        agent.start().plan()
    known = agent.start().perceive(y=0.7).plan()
    assert known.epistemic[0] == 0.0, "nothing is left to be known"


# ------------------------------------------------------------------ the loop
def test_the_closed_loop_reaches_what_is_preferred() -> None:
    """Over many episodes the last states spread about the preferred one as the noise has it."""
    agent = ppl.parse("""
agent walker:
    state x: real ~ Normal(0, 2)
    action a: real
    next x ~ Normal(x + a, 0.1)
    observe y: real ~ Normal(x, 0.1)
    prefer x ~ Normal(5, 0.1)
    plan a by efe(horizon = 2)
""")
    trace = agent.run(steps=6, episodes=400, seed=1)
    last = trace.states["x"][:, -1]
    assert last.mean() == pytest.approx(5, abs=0.03)
    # at rest the belief has variance p with 1/p = 1/(p + 0.01) + 1/0.01; the next state is off by its error and by the noise
    rest = 0.01 * (np.sqrt(5) - 1) / 2
    assert last.std() == pytest.approx(np.sqrt(rest + 0.01), rel=0.15)
    assert agent.run(steps=2, where={"x": -3.0}).states["x"][0] == -3.0
    with pytest.raises(ppl.AimError, match=r"AIM0611\]: `x` is a number"):
        agent.run(steps=2, where={"x": [1, 2]})


def test_a_plate_of_real_states_plans_each_member_alone() -> None:
    agent = ppl.parse("""
type K = {one, two}
agent several:
    for k in K:
        state x[k]: real ~ Normal(0, 1)
        action a[k]: real
        next x[k] ~ Normal(x[k] + a[k], 0.1)
        observe y[k]: real ~ Normal(x[k], 0.5)
        prefer x[k] ~ Normal(2, 1)
    plan a by efe(horizon = 1)
""")
    mind = agent.start().perceive(y=[1.0, None])
    assert np.allclose(mind.beliefs["x"].params["mean"], [0.8, 0])
    assert len(mind.program.policies) == 2
    assert mind.plan().action == {"a": pytest.approx([1.2, 2.0])}


def test_the_command_line_prints_and_writes_real_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mover.aim"
    test = 'test "it runs":\n    run mover for 3 steps where x = [1, -1]\n    expect x[0][1] = -1\n    expect sd(x[2][0]) < 0.5\n'
    file.write_text(MOVER + "\n" + test)
    assert status(["run", str(file), "--steps", "2"]) == 0
    assert "±" in capsys.readouterr().out
    assert status(["run", str(file), "--steps", "2", "--format", "json"]) == 0
    step = json.loads(capsys.readouterr().out)["steps"][0]
    assert step["beliefs"]["x"]["family"] == "MvNormal" and len(step["action"]["a"]) == 2
    assert np.allclose(step["policies"][0][0], step["action"]["a"])
    assert status(["test", str(file)]) == 0, capsys.readouterr()
