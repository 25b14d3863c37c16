"""Discrete variables summed out, against the sum over all of their joint states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

import ppl
from ppl.engines.numpyro_bridge.discrete import marginals, sample_states
from ppl.engines.numpyro_bridge.joint import log_joint_of
from ppl.engines.precision import with_precision


def enumerated(model: Any, values: dict[str, Any], states: dict[str, tuple[tuple[int, ...], int]]) -> tuple[float, dict[str, np.ndarray]]:
    """The log evidence and the probabilities of the states of the named variables, by the sum over everything."""
    import jax

    ranges = [range(size) for shape, size in states.values() for _ in range(int(np.prod(shape, dtype=int)))]
    flat = np.array(list(itertools.product(*ranges)))
    ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape, _ in states.values()])
    parts = np.split(flat, ends[:-1], axis=1)
    chosen = {n: part.reshape(len(flat), *shape) for (n, (shape, _)), part in zip(states.items(), parts, strict=True)}

    def value() -> np.ndarray:
        joint = log_joint_of(model.bind({**values, **{n: c[0] for n, c in chosen.items()}}))
        assert joint.size == 0 and not joint.structure.enumerated
        kinds = {n: joint.base[n].dtype for n in chosen}
        given = {n: c.astype(kinds[n]) for n, c in chosen.items()}
        return np.asarray(jax.jit(jax.vmap(lambda one: joint.log_density({**joint.base, **one}, {})))(given))

    logs = with_precision(np.float64, value)()
    total = logsumexp(logs)
    weights = np.exp(logs - total)
    tables = {n: np.tensordot(weights, (c[..., None] == np.arange(states[n][1])) * 1.0, axes=1) for n, c in chosen.items()}
    return float(total), tables


def summed(model: Any, values: dict[str, Any]) -> tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The log evidence, the marginals and the share of each state among draws, by the bridge."""
    import jax

    def value() -> Any:
        joint = log_joint_of(model.bind(values))
        assert joint.size == 0

        def told(keys: Any) -> Any:
            given, networks, _ = joint.constrain(jax.numpy.zeros(0))
            terms = [t for t in joint.terms(given, networks) if t.states]
            draws = jax.vmap(lambda key: sample_states(terms, joint.structure, key))(keys)
            return joint.log_density(given, networks), marginals(terms, joint.structure), draws

        total, tables, draws = jax.jit(told)(jax.random.split(jax.random.PRNGKey(0), 4000))
        sizes = joint.structure.enumerated
        shares = {n: (np.asarray(d)[..., None] == np.arange(sizes[n])).mean(axis=0) for n, d in draws.items()}
        return float(total), {n: np.asarray(t) for n, t in tables.items()}, shares

    return with_precision(np.float64, value)()


HMM = """
model hmm(A = [[0.9, 0.1], [0.3, 0.7]]):
    z[0] ~ Categorical([0.6, 0.4])
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: y[t] ~ Normal([-1.0, 2.0][z[t]], sd = 1)
"""
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "mixture": (
        """
model m:
    for n in N:
        z[n] ~ Categorical([0.2, 0.5, 0.3])
        y[n] ~ Normal([-1.0, 0.5, 3.0][z[n]], sd = 1)
""",
        {"y": [0.3, -2.0, 4.0]},
        {"z": ((3,), 3)},
    ),
    "scalars": (
        """
model sprinkler:
    rain ~ Bernoulli(0.2)
    sprinkler ~ Bernoulli(if rain == 1 then 0.01 else 0.4)
    wet ~ Bernoulli(if rain == 1 or sprinkler == 1 then 0.95 else 0.05)
""",
        {"wet": 1},
        {"rain": ((), 2), "sprinkler": ((), 2)},
    ),
    "shared and local": (
        """
model m:
    g ~ Categorical([0.3, 0.7])
    for n in N:
        z[n] ~ Categorical([[0.9, 0.1], [0.2, 0.8]][g])
        w[n] ~ Bernoulli(if z[n] == 1 then 0.7 else 0.1)
        y[n] ~ Normal(z[n] + w[n] * 2, sd = 1)
""".replace("y[n] ~ Normal(z[n] + w[n] * 2, sd = 1)", "y[n] ~ Normal([0.0, 1.0][z[n]] + w[n] * 2, sd = 1)"),
        {"y": [0.3, 2.0, 1.0]},
        {"g": ((), 2), "z": ((3,), 2), "w": ((3,), 2)},
    ),
    "chain": (HMM, {"y": [-1.0, 0.4, 2.2, 1.9, -0.3]}, {"z": ((5,), 2)}),
    "chain with holes": (HMM, {"y": [-1.0, None, 2.2, None, -0.3]}, {"z": ((5,), 2)}),
    "chains in a plate": (
        """
model m:
    for s in S:
        z[s, 0] ~ Categorical([0.6, 0.4])
    for s in S, t in 1..T:
        z[s, t] ~ Categorical([[0.9, 0.1], [0.3, 0.7]][z[s, t - 1]])
    for s in S, t in T:
        y[s, t] ~ Normal([-1.0, 2.0][z[s, t]], sd = 1)
""",
        {"y": [[-1.0, 0.4, 2.2], [1.9, -0.3, 0.0]]},
        {"z": ((2, 3), 2)},
    ),
    "two chains that meet": (
        """
model m:
    a[0] ~ Bernoulli(0.3)
    b[0] ~ Bernoulli(0.6)
    for t in 1..T:
        a[t] ~ Bernoulli(if a[t - 1] == 1 then 0.8 else 0.1)
        b[t] ~ Bernoulli(if b[t - 1] == 1 or a[t - 1] == 1 then 0.7 else 0.2)
    for t in T: y[t] ~ Normal(a[t] - 2 * b[t], sd = 1)
""",
        {"y": [0.5, -1.0, -2.0, 0.1]},
        {"a": ((4,), 2), "b": ((4,), 2)},
    ),
    "a step ahead on the left": (
        """
model m:
    z[0] ~ Categorical([0.6, 0.4])
    for t in T:
        z[t + 1] ~ Categorical([[0.9, 0.1], [0.3, 0.7]][z[t]])
        y[t] ~ Normal([-1.0, 2.0][z[t + 1]], sd = 1)
""",
        {"y": [-1.0, 0.4, 2.2]},
        {"z": ((4,), 2)},
    ),
    "two steps back": (
        """
model m:
    z[0] ~ Bernoulli(0.6)
    z[1] ~ Bernoulli(0.4)
    for t in 2..T: z[t] ~ Bernoulli(if z[t - 1] == z[t - 2] then 0.9 else 0.3)
    for t in T: y[t] ~ Normal(z[t], sd = 1)
""",
        {"y": [-1.0, 0.4, 2.2, 0.1, 1.3]},
        {"z": ((5,), 2)},
    ),
    "a grid of potentials": (
        """
model ising:
    for i in 0..2, j in 0..3: s[i, j] ~ Bernoulli(0.5)
    for i in 0..1, j in 0..3: factor 0.8 * (2 * s[i, j] - 1) * (2 * s[i + 1, j] - 1)
    for i in 0..2, j in 0..2: factor 0.5 * (2 * s[i, j] - 1) * (2 * s[i, j + 1] - 1)
    factor 0.5 * (2 * s[0, 0] - 1)
""",
        {},
        {"s": ((2, 3), 2)},
    ),
    "through a definition": (
        """
model m:
    for n in N:
        z[n] ~ Bernoulli(0.3)
        m[n] = 3 * z[n] - 1
        y[n] ~ Normal(m[n], sd = 1)
""",
        {"y": [0.3, -2.0]},
        {"z": ((2,), 2)},
    ),
    "by a known group": (
        """
model m:
    input group: G[N]
    for g in G: z[g] ~ Bernoulli(0.3)
    for n in N: y[n] ~ Normal(2 * z[group[n]], sd = 1)
""",
        {"y": [0.3, -2.0, 1.0, 2.0], "group": [0, 1, 0, 1]},
        {"z": ((2,), 2)},
    ),
    "a count with a known end": (
        """
model m:
    k ~ Binomial(3, 0.4)
    for n in N: y[n] ~ Normal(k, sd = 2)
""",
        {"y": [0.3, 2.0]},
        {"k": ((), 4)},
    ),
    "a match": (
        """
type Side = {left, right}
model m:
    side ~ Categorical({left: 0.3, right: 0.7})
    for n in N:
        y[n] ~ match side:
            left  -> Normal(0, sd = 1)
            right -> StudentT(3, 1, 2)
""",
        {"y": [0.3, 2.0]},
        {"side": ((), 2)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sum_over_states_is_that_over_all_of_them(name: str) -> None:
    text, values, states = CASES[name]
    model = ppl.parse(text)
    total, tables, shares = summed(model, values)
    expected, wanted = enumerated(model, values, states)
    np.testing.assert_allclose(total, expected, rtol=1e-10)
    for variable, table in wanted.items():
        np.testing.assert_allclose(tables[variable], table, atol=1e-9)
        np.testing.assert_allclose(shares[variable], table, atol=0.04)


def test_chain_with_holes_is_the_sum_over_paths() -> None:
    values = [-1.0, None, 2.2, None, -0.3]
    A, start, centres = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.6, 0.4]), np.array([-1.0, 2.0])
    logs = []
    for path in itertools.product(range(2), repeat=5):
        value = np.log(start[path[0]]) + sum(np.log(A[a, b]) for a, b in itertools.pairwise(path))
        for y, z in zip(values, path, strict=True):
            value += 0.0 if y is None else -0.5 * (y - centres[z]) ** 2 - 0.5 * np.log(2 * np.pi)
        logs.append(value)
    np.testing.assert_allclose(summed(ppl.parse(HMM), {"y": values})[0], logsumexp(logs), rtol=1e-10)
