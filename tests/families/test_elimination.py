"""Elimination against enumeration of every joint state."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.families import elimination
from ppl.families.elimination_order import cost_of_order, elimination_cost

Factors = list[tuple[tuple[str, ...], Any]]


def structure(scopes: list[str], sizes: dict[str, int], plates: tuple[int, ...] = (), seed: int = 0) -> Factors:
    rng = np.random.default_rng(seed)
    return [(tuple(scope), rng.normal(size=plates + tuple(sizes[n] for n in scope))) for scope in scopes]


def enumerated(factors: Factors) -> tuple[float, list[np.ndarray], dict[str, int]]:
    """The log-partition, the marginal of each factor, and the best state."""
    sizes = {n: table.shape[i] for names, table in factors for i, n in enumerate(names)}
    states = [dict(zip(sizes, values, strict=True)) for values in itertools.product(*map(range, sizes.values()))]
    scores = np.array([sum(table[tuple(state[n] for n in names)] for names, table in factors) for state in states])
    total = np.logaddexp.reduce(scores)
    tables = [np.zeros(table.shape) for _, table in factors]
    for state, weight in zip(states, np.exp(scores - total), strict=True):
        for table, (names, _) in zip(tables, factors, strict=True):
            table[tuple(state[n] for n in names)] += weight
    return total, tables, states[int(scores.argmax())]


SIZES = {"a": 2, "b": 3, "c": 2, "d": 2, "e": 3}
STRUCTURES = {
    "one": ["a"],
    "tree": ["a", "ab", "bc", "bd", "de"],
    "loop": ["ab", "bc", "cd", "da"],
    "clique": ["abcd", "e", "ea"],
    "islands": ["ab", "cd", "e", ""],
    "axes in any order": ["ba", "cab", "edc", "ec"],
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_elimination_is_enumeration(name: str) -> None:
    factors = structure(STRUCTURES[name], SIZES)
    total, tables, best = enumerated(factors)
    np.testing.assert_allclose(elimination.log_partition(factors), total, rtol=1e-12)
    value, found = elimination.marginals(factors)
    np.testing.assert_allclose(value, total, rtol=1e-12)
    for a, b in zip(found, tables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    assert {n: int(x) for n, x in elimination.mode(factors).items()} == best


@pytest.mark.parametrize("seed", range(3))
def test_any_order_gives_the_same(seed: int) -> None:
    factors = structure(STRUCTURES["axes in any order"], SIZES, seed=seed)
    orders = [np.random.default_rng(i).permutation(list(SIZES)) for i in range(4)]
    found = [elimination.log_partition(factors, list(order)) for order in orders]
    np.testing.assert_allclose(found, enumerated(factors)[0], rtol=1e-12)


def test_members_of_plates_are_those_alone() -> None:
    wide, shared = structure(["ab", "bcd"], SIZES, (4, 3)), structure(["ca", "de"], SIZES, seed=1)
    both = [*wide, *shared]
    value, tables = jax.jit(lambda v: elimination.marginals([(n, x) for (n, _), x in zip(both, v, strict=True)]))([x for _, x in both])
    best = elimination.mode(both)
    slope = jax.grad(lambda table: elimination.log_partition([*wide, (shared[0][0], table), shared[1]]).sum())(shared[0][1])
    np.testing.assert_allclose(slope, tables[2].sum(axis=(0, 1)), atol=1e-12)
    for i in np.ndindex(4, 3):
        total, expected, state = enumerated([(n, x[i]) for n, x in wide] + shared)
        np.testing.assert_allclose(value[i], total, rtol=1e-12)
        for a, b in zip(tables, expected, strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-12)
        assert {n: int(x[i]) for n, x in best.items()} == state


@pytest.mark.parametrize("zero", [-np.inf, -1e30])
def test_what_is_impossible_has_no_probability_and_nothing_is_nan(zero: float) -> None:
    factors = structure(["ab", "bc", "ca"], SIZES)
    factors[0][1][0, :] = zero
    factors[1][1][1, 1] = zero
    total, expected, _ = enumerated(factors)
    value, tables = elimination.marginals(factors)
    np.testing.assert_allclose(value, total, rtol=1e-12)
    for a, b in zip(tables, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
    draws = elimination.sample(jax.random.key(0), [(n, np.broadcast_to(x, (100, *x.shape))) for n, x in factors])
    assert (draws["a"] == 1).all() and not ((draws["b"] == 1) & (draws["c"] == 1)).any()


def test_an_impossible_whole_is_far_down_and_not_nan() -> None:
    table = jnp.full((2, 3), -jnp.inf)
    value, gradient = jax.value_and_grad(lambda x: elimination.log_partition([(("a", "b"), x), (("a",), jnp.zeros(2))]))(table)
    assert value <= -1e29 and jnp.isfinite(gradient).all()


def test_far_apart_potentials_neither_overflow_nor_vanish() -> None:
    factors = [(names, 1e5 * table) for names, table in structure(STRUCTURES["loop"], SIZES)]
    total, expected, _ = enumerated(factors)
    value, tables = elimination.marginals(factors)
    np.testing.assert_allclose(value, total, rtol=1e-12)
    for a, b in zip(tables, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_draws_have_the_marginals() -> None:
    factors, count = structure(STRUCTURES["axes in any order"], SIZES), 20000
    draws = elimination.sample(jax.random.key(0), [(n, np.broadcast_to(x, (count, *x.shape))) for n, x in factors])
    for (names, _), expected in zip(factors, enumerated(factors)[1], strict=True):
        seen = np.zeros(expected.shape)
        np.add.at(seen, tuple(np.asarray(draws[n]) for n in names), 1 / count)
        np.testing.assert_allclose(seen, expected, atol=5 * np.sqrt(0.25 / count))


def ising(size: int, field: Any, strength: float) -> list[tuple[tuple[Any, ...], Any]]:
    cells = list(itertools.product(range(size), repeat=2))
    pairs = [((i, j), (i + a, j + b)) for i, j in cells for a, b in ((1, 0), (0, 1)) if i + a < size and j + b < size]
    spins = np.array([-1.0, 1.0])
    return [((c,), field[c] * spins) for c in cells] + [(p, strength * np.outer(spins, spins)) for p in pairs]


def by_transfer(size: int, field: Any, strength: float) -> float:
    """The log-partition of a grid column by column, over all 2^size states of a column."""
    columns = np.array(list(itertools.product([-1.0, 1.0], repeat=size)))
    across = strength * columns @ columns.T
    message = np.zeros(len(columns))
    for j in range(size):
        message = np.logaddexp.reduce(message[:, None] + (across if j else 0.0), axis=0) - (0.0 if j else np.log(len(columns)))
        message = message + columns @ field[:, j] + strength * (columns[:, 1:] * columns[:, :-1]).sum(axis=1)
    return float(np.logaddexp.reduce(message))


def test_ising_grid_is_its_transfer_matrix() -> None:
    field = 0.5 * np.random.default_rng(0).normal(size=(6, 6))
    factors = ising(6, field, 0.3)
    found = jax.jit(lambda values: elimination.log_partition([(n, x) for (n, _), x in zip(factors, values, strict=True)]))(
        [x for _, x in factors]
    )
    np.testing.assert_allclose(found, by_transfer(6, field, 0.3), rtol=1e-12)


def test_cost_is_known_before_anything_computes() -> None:
    grid = ising(6, np.zeros((6, 6)), 0.3)
    cost = elimination_cost([n for n, _ in grid], {c: 2 for n, _ in grid for c in n})
    assert cost.largest_table == 2**7 and len(cost.order) == 36  # the treewidth of the grid is 6
    chain = [(i, i + 1) for i in range(50)]
    cost = elimination_cost(chain, dict.fromkeys(range(51), 3))
    assert cost.largest_table == 9
    star = [("hub", f"leaf {i}") for i in range(10)]
    sizes = {"hub": 2, **{f"leaf {i}": 3 for i in range(10)}}
    assert elimination_cost(star, sizes).largest_table == 6
    assert cost_of_order(star, sizes, list(sizes)).largest_table == 2 * 3**10
    assert elimination_cost([("a", "b"), ("c",)], {"a": 2, "b": 2, "c": 5}).operations == 4 + 2 * 1 + 5


def test_cost_needs_no_jax_and_is_the_same_in_every_process() -> None:
    code = (
        "import sys; from ppl.families.elimination_order import elimination_cost as c; "
        "names = [f'x{i}' for i in range(30)]; pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 : i + 4]]; "
        "print(c(pairs, dict.fromkeys(names, 2)).order); assert 'jax' not in sys.modules"
    )
    orders = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(orders) == 1
