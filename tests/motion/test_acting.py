"""Actions in a world: the gradient flow of the free energy that is left, against SciPy's integration of it; the world alone; refusals."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import block_diag, expm

import ppl
from tests.reference.linear_motion import LinearMotion

REACH = """
model reach(noise = 1e12):
    generalized t in T (dt = 0.5, order = 4, smoothness = 0.5):
        state x: real
        action a: real
        x' ~ Normal(1 - x, precision = 16)
        y  ~ Normal(x, precision = 64)
        world:
            state p: real = 0
            p' = a - p / 2
            y  ~ Normal(p, precision = noise)
"""

PENDULUM = """
model pendulum(push = 1e12):
    input u: real[T]
    generalized t in T (dt = 0.1, order = 3, smoothness = 0.5):
        state x: real
        x' ~ Normal(0, precision = 1)
        y ~ Normal(x, precision = 64)
        world:
            state angle: real = 1
            angle'' ~ Normal(-9 * sin(angle) + u[t], precision = push)
            y ~ Normal(angle, precision = 400)
"""


def left(sensed: np.ndarray) -> float:
    """½ εᵀ Π ε of `reach` at the mode, by plain matrices, up to a constant; derivatives in units of time."""
    model = LinearMotion({"x": 5, "one": 1}, 0.5, 0.5)
    model.add(("x", 1, 1.0), [("x", 0, -1.0), ("one", 0, 1.0)], 16.0, 4)
    model.add(sensed, [("x", 0, 1.0)], 64.0, 5)
    rows = np.concatenate(model.rows)
    precision = np.zeros((9, 9))
    precision[:4, :4], precision[4:, 4:] = model.precisions
    fixed = np.concatenate(model.targets) + rows[:, 5]
    free = rows[:, :5]
    mean = -np.linalg.solve(free.T @ precision @ free, free.T @ precision @ fixed)
    error = fixed + free @ mean
    return float(0.5 * error @ precision @ error)


def felt(p: float, a: float) -> np.ndarray:
    """The derivatives of p' = a - p / 2 with the action held."""
    found = [p, a - p / 2]
    while len(found) < 5:
        found.append(-found[-1] / 2)
    return np.array(found)


def test_an_action_follows_the_gradient_of_the_free_energy_that_is_left() -> None:
    posterior = ppl.parse(REACH).fit(T=30)

    def rates(_: float, s: np.ndarray) -> np.ndarray:
        p, a = s
        slope = (left(felt(p, a + 0.5)) - left(felt(p, a - 0.5))) / 1.0  # exact of a quadratic
        return np.array([0.5 * (a - p / 2), -slope])

    path = solve_ivp(rates, (0, 29), [0.0, 0.0], t_eval=np.arange(30), rtol=1e-9, atol=1e-9).y
    assert posterior["p"].mean == pytest.approx(path[0], abs=1e-4)
    assert posterior["a"].mean == pytest.approx(path[1], abs=1e-4)
    assert abs(path[0][-1] - 1) < 0.01  # and brings the world to what is expected


def flow_matrices(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `reach` in the scheme `flow`, in bins: the Jacobian of (p, a, ũ), what is constant in the flow, and the errors' last equation's
    part in it, which the flow leaves out and its Jacobian does not."""
    smoothness, dt = 0.5, 0.5
    rho = np.zeros(2 * n + 1)
    for k in range(n + 1):
        rho[2 * k] = (-1.0) ** k / (4 * smoothness**2) ** k / factorial(k) * factorial(2 * k)
    rough = np.linalg.inv([[(-1.0) ** i * rho[i + j] for j in range(n + 1)] for i in range(n + 1)])
    precision = np.asarray(block_diag(16 * rough, 64 * rough))
    sensed = np.zeros((n + 1, 2))
    sensed[0, 0], sensed[1] = 1.0, (-dt / 2, dt)
    for k in range(2, n + 1):
        sensed[k] = sensed[k - 1] * -dt / 2
    errors = np.zeros((2 * n + 2, n + 3))
    errors[: n + 1, 2:] = np.eye(n + 1, k=1) / dt + np.eye(n + 1)
    errors[n + 1 :, :2], errors[n + 1 :, 2:] = sensed, -np.eye(n + 1)
    pull = np.concatenate([np.zeros((2, 2 * n + 2)), -errors[:, 2:].T @ precision])
    pull[1] = -sensed[:, 1] @ precision[n + 1 :]
    own = np.zeros((n + 3, n + 3))
    own[0, :2], own[2:, 2:] = (-dt / 2, dt), np.eye(n + 1, k=1)
    return own + pull @ errors, -pull[:, 0], np.outer(pull[:, n], errors[n])


@pytest.mark.parametrize("order", [3, 6])
def test_belief_world_and_action_are_one_flow(order: int) -> None:
    """Step by step, by SciPy's matrix exponential; and at order 6 the whole way, by its integration, from which left out rows are far."""
    text = REACH.replace("order = 4, smoothness = 0.5", f"order = {order}, smoothness = 0.5, scheme = flow")
    posterior = ppl.parse(text).fit(T=30)
    jacobian, constant, left_out = flow_matrices(order)
    path, whole = [np.zeros(order + 3)], np.zeros((order + 4, order + 4))
    for _ in range(29):
        whole[1:, 0], whole[1:, 1:] = (jacobian - left_out) @ path[-1] + constant, jacobian
        path.append(path[-1] + expm(whole)[1:, 0])
    names = ("p", "a", *("x" + "'" * k for k in range(order + 1)))
    units = (1, 1, *(0.5**-k for k in range(order + 1)))
    for name, values, unit in zip(names, np.array(path).T, units, strict=True):
        assert posterior[name].mean == pytest.approx(values * unit, abs=1e-4 * max(unit, 1))
    assert abs(posterior["p"].mean[-1] - 1) < 0.01 and np.isfinite(posterior.elbo)
    if order == 6:
        rates = lambda _, z: (jacobian - left_out) @ z + constant  # noqa: E731
        exact = solve_ivp(rates, (0, 29), np.zeros(order + 3), t_eval=np.arange(30), method="Radau", rtol=1e-9, atol=1e-10).y
        assert posterior["a"].mean == pytest.approx(exact[1], abs=1e-5) and posterior["x"].mean == pytest.approx(exact[2], abs=1e-5)


def test_noise_is_that_of_the_world_and_another_seed_draws_another() -> None:
    found = ppl.parse(REACH).fit(T=400, noise=400, seed=1)
    error = found["y"].mean - found["p"].mean
    assert np.std(error) == pytest.approx(1 / 20, rel=0.15)
    assert np.corrcoef(error[1:], error[:-1])[0, 1] == pytest.approx(np.exp(-1), abs=0.12)
    assert abs(found["p"].mean[50:].mean() - 1) < 0.05
    other = ppl.parse(REACH).fit(T=400, noise=400, seed=2)
    assert np.abs(other["p"].mean - found["p"].mean).max() > 0.01
    assert found.draws(3)["p"].shape == (3, 400)


def test_the_world_moves_as_its_equations_say() -> None:
    """Second order, not linear, with an input: steps of a tenth are off by less than a hundredth of the swing."""
    times = np.arange(40) / 10
    found = ppl.parse(PENDULUM).fit(T=40, u=np.cos(times))
    exact = solve_ivp(lambda t, s: [s[1], -9 * np.sin(s[0]) + np.cos(t)], (0, 3.9), [1.0, 0.0], t_eval=times, rtol=1e-9, atol=1e-9).y[0]
    assert np.abs(found["angle"].mean - exact)[1:].max() < 0.02
    assert found["angle"].family == "Delta"


def test_a_record_of_acting_is_perceived_as_any_other() -> None:
    record, alone = np.sin(np.arange(20) / 4), "        action a: real"
    watched = ppl.parse(REACH).fit(y=record)
    text = "\n".join(line for line in REACH.partition("        world:")[0].splitlines() if not line.startswith(alone))
    other = ppl.parse(text).fit(y=record)
    assert watched.elbo == pytest.approx(other.elbo, abs=1e-9)
    assert watched["x"].mean == pytest.approx(other["x"].mean, abs=1e-12)
    assert not {"a", "p"} & set(watched.names)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "smooth": (REACH.replace("smoothness = 0.5", "smoothness = 0.5, scheme = smooth"), {}, "while acting is not known"),
    "numb": (REACH.replace("smoothness = 0.5", "smoothness = 0"), {}, "feels the action `a`"),
    "own environment": (REACH.partition("        world:")[0], {}, "write what happens"),
    "unknown parameter": (
        REACH.replace("    generalized", "    k ~ Normal(0, sd = 1)\n    generalized").replace("1 - x", "k - x"),
        {},
        "give k = ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_act_says_why(name: str) -> None:
    text, data, said = REFUSED[name]
    with pytest.raises(ppl.AimError, match=said) as caught:
        ppl.parse(text).fit(**(data or {"T": 20}))
    assert {d.code for d in caught.value.diagnostics} == {"AIM0713"}
