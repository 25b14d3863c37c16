"""Chains of categoricals against enumeration, segments against single steps, impossible states and extreme scales."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.families import discrete_chain, discrete_chain_logarithms, discrete_chain_segments

marginals = jax.jit(discrete_chain.marginals, static_argnames="homogeneous")
log_partition = jax.jit(discrete_chain.log_partition, static_argnames="homogeneous")
by_single_steps = jax.jit(discrete_chain_logarithms.marginals)
mode = jax.jit(discrete_chain.mode, static_argnames="homogeneous")
sample = jax.jit(discrete_chain.sample, static_argnames="homogeneous")


@partial(jax.jit, static_argnums=3)
def by_segments(initial: Any, transition: Any, emission: Any, pieces: int) -> Any:
    return discrete_chain_segments.marginals(discrete_chain_segments.cut(initial, transition, emission, pieces))


def take_the_fast_way_above(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was traced with another bound is forgotten."""
    monkeypatch.setattr(discrete_chain, "SMALL", small)
    jax.clear_caches()


def potentials(rng: np.random.Generator, length: int, states: int, plates: tuple[int, ...] = (), homogeneous: bool = True) -> list[Any]:
    across = (states, states) if homogeneous else (length - 1, states, states)
    return [rng.normal(size=plates + shape) for shape in ((states,), across, (length, states))]


def enumerated(initial: Any, transition: Any, emission: Any) -> tuple[float, np.ndarray, np.ndarray, tuple[int, ...]]:
    """log-partition, P(z_t), P(z_t, z_{t+1}) and the best path, from every path."""
    length, states = emission.shape
    transition = np.broadcast_to(transition, (length - 1, states, states))
    paths = list(itertools.product(range(states), repeat=length))
    scores = np.array(
        [
            initial[p[0]] + sum(emission[t, p[t]] for t in range(length)) + sum(transition[t, p[t], p[t + 1]] for t in range(length - 1))
            for p in paths
        ]
    )
    total = np.logaddexp.reduce(scores)
    unary, pairwise = np.zeros((length, states)), np.zeros((length - 1, states, states))
    for path, weight in zip(paths, np.exp(scores - total), strict=True):
        for t, state in enumerate(path):
            unary[t, state] += weight
        for t in range(length - 1):
            pairwise[t, path[t], path[t + 1]] += weight
    return total, unary, pairwise, paths[int(scores.argmax())]


@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize(("length", "states"), [(1, 3), (2, 2), (5, 3), (4, 1)])
def test_chain_is_its_enumeration(length: int, states: int, homogeneous: bool) -> None:
    chain = potentials(np.random.default_rng(length + states), length, states, homogeneous=homogeneous)
    total, unary, pairwise, best = enumerated(*chain)
    found = marginals(*chain, homogeneous=homogeneous)
    np.testing.assert_allclose(found.log_partition, total, rtol=1e-12)
    np.testing.assert_allclose(found.unary, unary, atol=1e-12)
    np.testing.assert_allclose(found.pairwise, pairwise.sum(axis=0) if homogeneous else pairwise, atol=1e-12)
    np.testing.assert_array_equal(mode(*chain, homogeneous=homogeneous), best)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_gradients_of_the_log_partition_are_the_marginals_and_second_ones_those_of_single_steps(homogeneous: bool) -> None:
    chain = [jnp.asarray(x) for x in potentials(np.random.default_rng(1), 6, 3, homogeneous=homogeneous)]
    _, unary, pairwise, _ = enumerated(*(np.asarray(x) for x in chain))
    first, across, here = jax.grad(lambda c: log_partition(*c, homogeneous=homogeneous))(chain)
    np.testing.assert_allclose(first, unary[0], atol=1e-12)
    np.testing.assert_allclose(here, unary, atol=1e-12)
    np.testing.assert_allclose(across, pairwise.sum(axis=0) if homogeneous else pairwise, atol=1e-12)

    def by_steps(c: list[Any]) -> Any:
        return discrete_chain_logarithms.forward(*(x[None] for x in c))[1][0]

    def twice(function: Any) -> Any:
        return jax.grad(lambda c: sum((g**2).sum() for g in jax.grad(function)(c)))(chain)

    ours = twice(lambda c: log_partition(*c, homogeneous=homogeneous))
    for a, b in zip(ours, twice(by_steps), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_sequences_in_plates_are_those_alone(shared: bool, homogeneous: bool) -> None:
    rng = np.random.default_rng(2)
    initial, transition, emission = potentials(rng, 7, 3, (2, 4), homogeneous)
    transition = transition[0, 0] if shared else transition
    across = np.broadcast_to(transition, (2, 4) + transition.shape[-2 - (not homogeneous) :])
    together = marginals(initial, transition, emission, homogeneous=homogeneous)
    paths = mode(initial, transition, emission, homogeneous=homogeneous)
    slope = jax.grad(lambda a: log_partition(initial, a, emission, homogeneous=homogeneous).sum())(transition)
    np.testing.assert_allclose(slope, together.pairwise.sum(axis=(0, 1)) if shared else together.pairwise, atol=1e-12)
    for i in np.ndindex(2, 4):
        alone = marginals(initial[i], across[i], emission[i], homogeneous=homogeneous)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a, b[i], atol=1e-12)
        np.testing.assert_array_equal(mode(initial[i], across[i], emission[i], homogeneous=homogeneous), paths[i])


def flat(rng: np.random.Generator, count: int, length: int, states: int, homogeneous: bool = True, shared: bool = True) -> list[Any]:
    """Potentials as the recursions take them: sequences on one leading axis."""
    initial, across, here = potentials(rng, length, states, (count,), homogeneous)
    return [jnp.asarray(initial), jnp.asarray(across[:1] if shared else across), jnp.asarray(here)]


@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("length", "pieces"), [(800, 4), (797, 4), (300, 1)])
def test_segments_side_by_side_are_single_steps(length: int, pieces: int, shared: bool, homogeneous: bool) -> None:
    chain = flat(np.random.default_rng(3), 2, length, 3, homogeneous, shared)
    found, right = by_segments(*chain, pieces)
    assert right
    for a, b in zip(found, by_single_steps(*chain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_what_a_segment_cannot_guess_is_found_out_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that never changes and a weak signal: what arrives at a joint depends on the whole past."""
    rng = np.random.default_rng(4)
    chain = [
        jnp.asarray(x) for x in (np.log([[0.3, 0.7]]), np.log([[[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]]]), 0.05 * rng.normal(size=(1, 400, 2)))
    ]
    assert not by_segments(*chain, 4)[1]
    assert by_segments(*chain, 1)[1]
    monkeypatch.setattr(discrete_chain_segments, "SHORTEST", 100)
    take_the_fast_way_above(0, monkeypatch)
    assert discrete_chain_segments.pieces_of(1, 400) == 4
    found = marginals(*(x[0] for x in chain))
    for a, b in zip(found, by_single_steps(*chain), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=1e-11)


def there_and_back(depth: float, dtype: Any = np.float64) -> list[Any]:
    """Two states that never change: the first third speaks against one, the second for it, the last against it again, so that
    its probability is `depth` nats under the other's on the way, and above it at the end."""
    emission = np.zeros((1, 60, 2), dtype)
    emission[0, :20, 0], emission[0, 20:40, 1], emission[0, 40:, 0] = -depth / 20, -2.05 * depth / 20, -depth / 20
    across = np.log(np.array([[[1.0, 1e-300], [1e-300, 1.0]]]), dtype=np.float64) * 1e20
    return [jnp.zeros((1, 2), dtype), jnp.asarray(np.maximum(across, -1e30), dtype), jnp.asarray(emission)]


@pytest.mark.parametrize("depth", [10.0, 300.0, 400.0, 1000.0, 1e5])
def test_paths_that_probabilities_would_lose_are_kept(depth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    take_the_fast_way_above(0, monkeypatch)
    chain = there_and_back(depth)
    paths = [-2 * depth, -2.05 * depth]
    found = marginals(*(x[0] for x in chain))
    np.testing.assert_allclose(found.log_partition, np.logaddexp(*paths), rtol=1e-13)
    np.testing.assert_allclose(found.unary[30], np.exp(np.array(paths) - np.logaddexp(*paths)), atol=1e-12)
    _, right = by_segments(*chain, 1)
    assert bool(right) == (depth < 340)  # the floor is at e^-345
    assert (sample(jax.random.key(0), *(x[0] for x in chain)) == 0).all() or depth == 10.0


@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize("zero", [-np.inf, -1e30])
@pytest.mark.parametrize("small", [0, 10**5])
def test_impossible_states_have_no_probability_and_nothing_is_nan(
    zero: float, homogeneous: bool, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_fast_way_above(small, monkeypatch)
    initial, transition, emission = potentials(np.random.default_rng(5), 5, 3, homogeneous=homogeneous)
    initial[1] = zero
    transition[..., 0, 1] = transition[..., 2, 0] = zero
    emission[2, 2] = zero
    total, unary, pairwise, _ = enumerated(initial, transition, emission)
    found = marginals(initial, transition, emission, homogeneous=homogeneous)
    np.testing.assert_allclose(found.log_partition, total, rtol=1e-12)
    np.testing.assert_allclose(found.unary, unary, atol=1e-14)
    np.testing.assert_allclose(found.pairwise, pairwise.sum(axis=0) if homogeneous else pairwise, atol=1e-14)


@pytest.mark.parametrize("where", ["emission", "path", "everything"])
@pytest.mark.parametrize("small", [0, 10**5])
def test_an_impossible_sequence_is_far_down_and_not_nan(where: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    take_the_fast_way_above(small, monkeypatch)
    initial, transition, emission = (jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros((6, 2)))
    if where == "emission":
        emission = emission.at[3].set(-jnp.inf)
    elif where == "path":
        transition, emission = jnp.log(jnp.eye(2)), emission.at[1, 0].set(-jnp.inf).at[4, 1].set(-jnp.inf)
    else:
        initial, transition, emission = initial - jnp.inf, transition - jnp.inf, emission - jnp.inf
    value, gradient = jax.value_and_grad(lambda e: log_partition(initial, transition, e))(emission)
    assert value <= -1e29 and jnp.isfinite(gradient).all()
    found = marginals(initial, transition, emission)
    assert all(jnp.isfinite(x).all() for x in found)
    np.testing.assert_allclose(found.unary.sum(axis=-1), 1.0)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3, 1e6])
def test_far_apart_potentials_are_those_of_logarithms(scale: float) -> None:
    """Wherever the fast way calls itself right it is; the way that is taken is right always."""
    for seed in range(5):
        chain = flat(np.random.default_rng(seed), 1, 200, 4)
        chain = [chain[0], chain[1] * min(scale, 30), chain[2] * scale]
        for pieces in (1, 2):
            found, right = by_segments(*chain, pieces)
            slow = by_single_steps(*chain)
            if right:
                for a, b in zip(found, slow, strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(marginals(*chain).unary, slow[1], atol=1e-9)


@pytest.mark.parametrize("depth", [10.0, 30.0, 60.0, 200.0])
def test_single_precision_knows_its_limits(depth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    take_the_fast_way_above(0, monkeypatch)
    chain = there_and_back(depth, np.float32)
    found = marginals(*(x[0] for x in chain))
    assert found.unary.dtype == np.float32
    np.testing.assert_allclose(found.log_partition, np.logaddexp(-2 * depth, -2.05 * depth), rtol=1e-5)


def test_single_precision_is_double_precision_to_its_rounding() -> None:
    double = flat(np.random.default_rng(6), 2, 2000, 5)
    single = [x.astype(np.float32) for x in double]
    found, right = by_segments(*single, 4)
    assert right
    for a, b in zip(found, marginals(*double), strict=True):
        np.testing.assert_allclose(a, jnp.squeeze(b, 0) if b.ndim > a.ndim else b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_draws_have_the_probabilities_of_the_paths(homogeneous: bool) -> None:
    chain = potentials(np.random.default_rng(7), 3, 2, homogeneous=homogeneous)
    count = 20000
    many = (np.broadcast_to(chain[0], (count, 2)), chain[1][None], np.broadcast_to(chain[2], (count, 3, 2)))
    draws = sample(jax.random.key(1), *many, homogeneous=homogeneous)
    assert draws.shape == (count, 3)
    _, unary, pairwise, _ = enumerated(*chain)
    error = 5 * np.sqrt(0.25 / count)
    np.testing.assert_allclose(jax.nn.one_hot(draws, 2).mean(axis=0), unary, atol=error)
    seen = jnp.einsum("nti,ntj->tij", jax.nn.one_hot(draws[:, :-1], 2), jax.nn.one_hot(draws[:, 1:], 2)) / count
    np.testing.assert_allclose(seen, pairwise, atol=error)


@pytest.mark.parametrize("depth", [10.0, 1000.0])
def test_one_route_alone_is_right_or_says_that_it_is_not(depth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discrete_chain_segments, "SHORTEST", 15)
    take_the_fast_way_above(0, monkeypatch)
    chain = [x[0] for x in there_and_back(depth)]
    assert discrete_chain.routes(1, 60, 2) == ("segments", "steps", "logarithms")
    right = {"segments": False, "steps": depth < 340, "logarithms": True}
    for route, works in right.items():
        found = jax.jit(partial(discrete_chain.marginals, route=route))(*chain)
        for a, b in zip(found, marginals(*chain), strict=True):
            np.testing.assert_allclose(a, b if works else np.full(b.shape, np.nan), rtol=1e-11, atol=1e-12)


def test_one_route_alone_has_no_branches() -> None:
    """So that sequences under `vmap` do not take all of them, and a long chain has no more to compile than a short one."""
    of_length = {n: flat(np.random.default_rng(8), 1, n, 4) for n in (12_800, 102_400)}
    programs = {
        n: " ".join(str(jax.make_jaxpr(partial(discrete_chain.marginals, route="segments"))(*chain)).split())
        for n, chain in of_length.items()
    }
    assert all(" cond[" not in text for text in programs.values())
    assert " cond[" in str(jax.make_jaxpr(discrete_chain.marginals)(*of_length[102_400]))
    assert programs[12_800].count(" = ") == programs[102_400].count(" = ") > 100
