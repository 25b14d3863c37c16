"""Action in an environment that is no model: the loop against plain matrices, what an environment may be, and what it may not."""

from __future__ import annotations

import threading
from math import factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import block_diag, expm

import ppl
from ppl.motion.roughness import covariance

REACH = """
model reach(goal = 1):
    generalized t in T (dt = 0.5, order = 3, smoothness = 0.5):
        state x: real
        action a: real
        x' ~ Normal(goal - x, precision = 16)
        y ~ Normal(x, precision = 64)
"""
PULL = "        world:\n            state p: real = 0\n            p' = a - p / 2\n            y ~ Normal(p, precision = 1e12)\n"


class Elastic:
    """`p' = a - p / 2`, exactly, with the action held for a bin; it may end, or shake."""

    def __init__(self, ends: int = 10**9, noise: float = 0.0, dt: float = 0.5) -> None:
        self.ends, self.noise, self.left = ends, noise, np.exp(-dt / 2)

    def reset(self, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        self.at, self.bins, self.rng = 0.0, 0, np.random.default_rng(seed)
        return self.seen(), {}

    def seen(self) -> Any:
        return np.array([self.at + self.noise * self.rng.standard_normal()])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at = 2 * action[0] + (self.at - 2 * action[0]) * self.left
        self.bins += 1
        return self.seen(), 0.0, self.bins >= self.ends, False, {}


def by_matrices(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples and actions of `reach` in the elastic environment: e = J u + ỹ + c, and one step of the flow of (ỹ, a) for each bin."""
    n, dt, left = 3, 0.5, np.exp(-0.25)
    rows = np.eye(n, n + 1, k=1) / dt + np.eye(n, n + 1)  # x' - (1 - x) and its derivatives, in bins
    design = np.concatenate([rows, -np.eye(n + 1)])
    weights = np.zeros((2 * n + 1, 2 * n + 1))
    weights[:n, :n], weights[n:, n:] = 16 * np.linalg.inv(covariance(n - 1, 0.5)), 64 * np.linalg.inv(covariance(n, 0.5))
    left_over = weights - weights @ design @ np.linalg.solve(design.T @ weights @ design, design.T @ weights)
    expansion = np.array([[k**j / factorial(j) for j in range(n + 1)] for k in range(n + 1)], float)
    answer = np.linalg.solve(expansion, 2 * (1 - left ** np.arange(n + 1)))
    at, action, samples, actions = 0.0, 0.0, [], []
    for _ in range(bins):
        samples.append(at)
        actions.append(action)
        motion = np.linalg.solve(expansion, 2 * action + (at - 2 * action) * left ** np.arange(n + 1))
        known = np.concatenate([[-1.0], np.zeros(n - 1), motion])
        pull, bend = -answer @ (left_over @ known)[n:], -answer @ left_over[n:, n:]
        flow = np.concatenate([np.append(motion[1:], 0) + answer * pull, [pull]])
        jacobian = np.zeros((n + 2, n + 2))
        jacobian[:-1, :-1], jacobian[-1, :-1] = np.eye(n + 1, k=1) + np.outer(answer, bend), bend
        whole = np.zeros((n + 3, n + 3))
        whole[1:, 0], whole[1:, 1:] = flow, jacobian
        action += expm(whole)[-1, 0]
        at = 2 * action + (at - 2 * action) * left
    return np.array(samples), np.array(actions)


def test_the_loop_is_that_of_plain_matrices() -> None:
    posterior = ppl.parse(REACH).run(Elastic(), steps=12)
    samples, actions = by_matrices(12)
    assert posterior["y"].mean == pytest.approx(samples, abs=1e-8)
    assert posterior["a"].mean == pytest.approx(actions, abs=1e-8)
    assert posterior["a"].sd == pytest.approx(np.zeros(12))


def flowing_by_matrices(bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples, actions and beliefs of `reach` by the scheme `flow`: one step of the flow of (ỹ, a, ũ) for each bin. The last error of the
    equation is left out of the flow, and is in its Jacobian."""
    n, dt, left = 3, 0.5, np.exp(-0.25)
    rough, count = np.linalg.inv(covariance(n, 0.5)), n + 1
    errors = np.zeros((2 * count, 2 * count + 1))
    errors[:count, count + 1 :] = np.eye(count, k=1) / dt + np.eye(count)
    errors[count:, :count], errors[count:, count + 1 :] = np.eye(count), -np.eye(count)
    precision, kept = np.asarray(block_diag(16 * rough, 64 * rough)), np.arange(2 * count) != n
    expansion = np.array([[k**j / factorial(j) for j in range(count)] for k in range(count)], float)
    answer = np.linalg.solve(expansion, 2 * (1 - left ** np.arange(count)))
    pull = -answer @ precision[count:]
    force = np.concatenate([np.outer(answer, pull), pull[None], -errors[:, count + 1 :].T @ precision])
    shift = np.eye(count, k=1)
    own = np.asarray(block_diag(shift, 0.0, shift))
    at, action, belief, found = 0.0, 0.0, np.zeros(count), []
    for _ in range(bins):
        found.append((at, action, belief[0]))
        motion = np.linalg.solve(expansion, 2 * action + (at - 2 * action) * left ** np.arange(count))
        point = np.concatenate([motion, [action], belief])
        error = kept * (errors @ point - (np.arange(2 * count) == 0))
        whole = np.zeros((2 * count + 2, 2 * count + 2))
        whole[1:, 0], whole[1:, 1:] = own @ point + force @ error, own + force @ errors
        moved = expm(whole)[1:, 0]
        action, belief = action + moved[count], belief + moved[count + 1 :]
        at = 2 * action + (at - 2 * action) * left
    return tuple(np.array(found).T)  # type: ignore[return-value]


def test_the_belief_may_flow_beside_it() -> None:
    posterior = ppl.parse(REACH.replace("smoothness = 0.5", "smoothness = 0.5, scheme = flow")).run(Elastic(), steps=40)
    for name, values in zip(("y", "a", "x"), flowing_by_matrices(40), strict=True):
        assert posterior[name].mean == pytest.approx(values, abs=1e-8)
    assert posterior["y"].mean[-1] == pytest.approx(1, abs=1e-2)


def test_an_environment_and_a_world_that_are_the_same_end_in_the_same() -> None:
    """The world follows its action within a bin, the environment holds it."""
    without, within = ppl.parse(REACH).run(Elastic(), steps=40), ppl.parse(REACH + PULL).run(steps=40)
    assert without["a"].mean[1] == pytest.approx(within["a"].mean[1], abs=2e-3)
    for posterior in (without, within):
        assert posterior["y"].mean[-1] == pytest.approx(1, abs=1e-3) and posterior["a"].mean[-1] == pytest.approx(0.5, abs=1e-3)


def test_noise_is_drawn_by_the_seed_and_an_end_is_an_end() -> None:
    model = ppl.parse(REACH)
    first, again, other = (model.run(Elastic(ends=9, noise=0.05), steps=40, seed=seed) for seed in (3, 3, 4))
    assert first["y"].mean.shape == (10,) and first["x''"].mean.shape == (10,)
    assert np.array_equal(first["a"].mean, again["a"].mean) and not np.allclose(first["a"].mean, other["a"].mean)


ARM = """
model arm:
    input goal: real[T]
    generalized t in T (order = 2, smoothness = 0.5):
        state q: real[2]
        action push: real
        action lift: real
        q' ~ MvNormal([goal[t], 0.5] - q, precision = 16 * eye(2))
        felt ~ MvNormal(q, precision = 64 * eye(2))
        height ~ Normal(q[1], precision = 64)
"""


class Arm:
    """Each joint is moved by the action of the other name, given and taken by name."""

    action_space = SimpleNamespace(spaces={"push": None, "lift": None})

    def reset(self, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        self.at = np.zeros(2)
        return self.seen(), {}

    def seen(self) -> dict[str, Any]:
        return {"height": self.at[1], "felt": self.at, "temperature": 20.0}

    def step(self, action: dict[str, Any]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at = self.at + (np.array([action["push"], action["lift"]]) - self.at) / 4
        return self.seen(), 0.0, False, False, {}


@pytest.mark.parametrize("scheme", ["mode", "flow"])
def test_several_sensors_and_actions_go_by_name(scheme: str) -> None:
    posterior = ppl.parse(ARM.replace("smoothness = 0.5", f"smoothness = 0.5, scheme = {scheme}")).run(
        Arm(), steps=80, goal=np.full(80, -1.0)
    )
    assert posterior["felt"].mean[-1] == pytest.approx([-1, 0.5], abs=5e-3)
    assert (posterior["push"].mean[-1], posterior["lift"].mean[-1]) == pytest.approx((-1, 0.5), abs=5e-3)


def _changed(**attributes: Any) -> Elastic:
    environment = Elastic()
    for name, value in attributes.items():
        setattr(environment, name, value)
    return environment


@pytest.mark.parametrize(
    ("text", "environment", "given", "said"),
    [
        (REACH, _changed(seen=lambda: np.zeros(2)), {}, "observation has 2 numbers; the sensors of this model have 1"),
        (REACH, _changed(seen=lambda: {"z": 1}), {}, "gives nothing for the sensor `y`"),
        (REACH, _changed(seen=lambda: np.array([np.nan])), {}, "which is 1 finite numbers"),
        (REACH, _changed(lock=threading.Lock()), {}, "cannot be copied"),
        (REACH, _changed(step=lambda _: (np.zeros(1), 0.0, False, False, {})), {}, "no sensor felt the action `a` in 5 bins"),
        (REACH, Elastic(), {"y": np.zeros(5)}, "what is sensed comes of the environment"),
        (REACH.replace("smoothness = 0.5", "smoothness = 0.5, scheme = smooth"), Elastic(), {}, "while acting is not known"),
        (REACH.replace("t in T", "t in 0..9"), Elastic(), {}, "5 steps are asked for, and the block has 9 bins"),
        (REACH.replace("        action a: real\n", ""), Elastic(), {}, "`reach` has no action"),
        (REACH, None, {}, "nothing says on what"),
    ],
)
def test_what_does_not_fit_is_told(text: str, environment: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ppl.AimError, match=said) as caught:
        ppl.parse(text).run(environment, steps=5, **given)
    assert {d.code for d in caught.value.diagnostics} <= {"AIM0713", "AIM0714"}
