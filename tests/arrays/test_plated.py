"""Plated arrays say the same as loops over the members of their plates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppl.arrays.plated import Plated, align, contract, elementwise, indices, known, running, shift, stack

SIZES = {"a": 2, "b": 3, "c": 4}
plates = st.lists(st.sampled_from(sorted(SIZES)), unique=True, max_size=3).map(tuple)
shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)
seeds = st.integers(0, 2**16)
few = settings(max_examples=60, deadline=None)


def plated(dims: tuple[str, ...], shape: tuple[int, ...], seed: int) -> Plated:
    return Plated(dims, np.random.default_rng(seed).normal(size=(*(SIZES[d] for d in dims), *shape)))


def index(dims: tuple[str, ...], shape: tuple[int, ...], length: int, seed: int) -> Plated:
    return Plated(dims, np.random.default_rng(seed).integers(length, size=(*(SIZES[d] for d in dims), *shape)))


def member(value: Plated, place: Mapping[str, int]) -> np.ndarray:
    """The value at one member of each plate."""
    return value.data[tuple(place[d] for d in value.dims)]


def places(*values: Plated) -> Iterator[dict[str, int]]:
    dims = tuple(dict.fromkeys(d for v in values for d in v.dims))
    sizes = {d: n for v in values for d, n in v.sizes.items()}
    for place in np.ndindex(tuple(sizes[d] for d in dims)):
        yield dict(zip(dims, place, strict=True))


@few
@given(plates, plates, shapes, st.booleans(), seeds)
def test_elementwise_is_the_function_at_each_member(first: tuple, second: tuple, shape: tuple, scalar: bool, seed: int) -> None:
    a, b = plated(first, shape, seed), plated(second, () if scalar else shape, seed + 1)
    total = elementwise(lambda x, y: x * y - y, a, b)
    assert set(total.dims) == {*first, *second}
    for place in places(a, b):
        np.testing.assert_allclose(member(total, place), member(a, place) * member(b, place) - member(b, place))


@few
@given(plates, shapes, seeds, st.floats(0.5, 3.0))
def test_operators_with_numbers_are_those_of_the_arrays(dims: tuple, shape: tuple, seed: int, c: float) -> None:
    a = plated(dims, shape, seed)
    cases = [(a + c, a.data + c), (c + a, c + a.data), (a - c, a.data - c), (c - a, c - a.data), (a * c, a.data * c)]
    cases += [(c * a, c * a.data), (a / c, a.data / c), (c / a, c / a.data), (-a, -a.data)]
    for got, wanted in cases:
        assert got.dims == dims
        np.testing.assert_allclose(got.data, wanted)


@few
@given(plates, plates, st.lists(st.integers(2, 3), min_size=1, max_size=3).map(tuple), st.integers(0, 2), shapes, seeds)
def test_take_indexes_each_member_by_its_own_index(first: tuple, second: tuple, shape: tuple, axis: int, tail: tuple, seed: int) -> None:
    axis %= len(shape)
    value, by = plated(first, shape, seed), index(second, tail, shape[axis], seed + 1)
    taken = value.take(axis, by)
    assert set(taken.dims) == {*first, *second}
    for place in places(value, by):
        np.testing.assert_array_equal(member(taken, place), np.take(member(value, place), member(by, place), axis=axis))


@few
@given(plates, st.lists(st.integers(3, 4), min_size=1, max_size=3).map(tuple), st.integers(0, 2), st.integers(0, 1), seeds)
def test_a_running_index_names_the_axis(dims: tuple, shape: tuple, axis: int, start: int, seed: int) -> None:
    axis %= len(shape)
    value = plated(dims, shape, seed)
    taken = value.take(axis, running("n", start, shape[axis]))
    assert taken.sizes["n"] == shape[axis] - start
    for place in places(value):
        for n in range(shape[axis] - start):
            np.testing.assert_array_equal(member(taken, {**place, "n": n}), np.take(member(value, place), n + start, axis=axis))


@few
@given(plates, st.lists(st.integers(3, 4), min_size=1, max_size=3).map(tuple), st.integers(0, 2), st.integers(0, 1), st.booleans(), seeds)
def test_entries_that_follow_each_other_are_a_slice(dims: tuple, shape: tuple, axis: int, start: int, alone: bool, seed: int) -> None:
    axis %= len(shape)
    value, entries = plated(dims, shape, seed), np.arange(start, start + 2).reshape(1, 2)
    by = Plated((), entries[0, 0] if alone else entries)
    taken = value.take(axis, Plated((), by.data, start=start))
    np.testing.assert_array_equal(taken.data, value.take(axis, by).data)
    assert taken.dims == value.dims


def test_a_running_index_of_a_plate_that_is_there_pairs_its_members() -> None:
    value = plated(("a",), (2,), 0)
    np.testing.assert_array_equal(value.take(0, running("a", 0, 2)).data, np.diagonal(value.data))


@pytest.mark.parametrize(("values", "start"), [([0, 1, 2], 0), ([4, 5], 4), ([7], 7), ([1, 0], None), ([0, 2], None), ([0, 0], None)])
def test_an_index_is_running_just_where_it_counts_up_by_one(values: list[int], start: int | None) -> None:
    assert indices("n", np.array(values)).start == start


def test_a_shifted_running_index_runs_on() -> None:
    moved = shift(running("n", 0, 3), 2)
    assert moved.start == 2
    np.testing.assert_array_equal(moved.data, [2, 3, 4])
    assert shift(Plated(("n",), np.array([3, 1])), -1).start is None


@few
@given(st.lists(plates, min_size=1, max_size=3), plates, seeds)
def test_contract_is_the_sum_of_products(dims: list[tuple], over: tuple, seed: int) -> None:
    values = [plated(d, (), seed + k) for k, d in enumerate(dims)]
    gone = tuple(d for d in over if any(d in v.dims for v in values))
    total = contract(*values, over=gone)
    wanted: dict[tuple, float] = {}
    for place in places(*values):
        key = tuple(place[d] for d in total.dims)
        wanted[key] = wanted.get(key, 0.0) + float(np.prod([member(v, place) for v in values]))
    assert set(total.dims) == {d for v in values for d in v.dims} - set(gone)
    for key, number in wanted.items():
        np.testing.assert_allclose(total.data[key], number, atol=1e-12)


@few
@given(plates, plates, shapes, seeds)
def test_align_repeats_nothing_and_orders_plates_alike(first: tuple, second: tuple, shape: tuple, seed: int) -> None:
    a, b = plated(first, shape, seed), plated(second, shape, seed + 1)
    dims, arrays = align(a, b)
    assert dims == (*first, *(d for d in second if d not in first))
    for value, array in zip((a, b), arrays, strict=True):
        assert array.ndim == len(dims) + len(shape)
        assert array.size == value.data.size


@few
@given(plates, st.permutations(sorted(SIZES)), shapes, seeds)
def test_arranged_is_the_array_over_all_plates(dims: tuple, order: list[str], shape: tuple, seed: int) -> None:
    value = plated(dims, shape, seed)
    full = value.arranged(order, SIZES)
    assert full.shape == (*(SIZES[d] for d in order), *shape)
    for place in np.ndindex(*(SIZES[d] for d in order)):
        np.testing.assert_array_equal(full[place], member(value, dict(zip(order, place, strict=True))))


def test_arranged_refuses_plates_that_it_is_not_told_of() -> None:
    with pytest.raises(ValueError, match="'b'"):
        plated(("a", "b"), (), 0).arranged(("a",))


@few
@given(plates, st.integers(0, 2), seeds)
def test_a_plate_made_of_an_axis_and_back_is_the_same(dims: tuple, axis: int, seed: int) -> None:
    value = plated(dims, (2, 3, 2), seed)
    again = value.axis_to_dim(axis, "new").dim_to_axis("new", axis)
    assert again.dims == dims
    np.testing.assert_array_equal(again.data, value.data)


@few
@given(plates, shapes, seeds)
def test_sums_over_plates_and_axes_are_those_of_the_array(dims: tuple, shape: tuple, seed: int) -> None:
    value = plated(dims, shape, seed)
    np.testing.assert_allclose(value.sum_value(len(shape)).data, value.data.reshape(*(SIZES[d] for d in dims), -1).sum(axis=-1))
    for dim in dims:
        np.testing.assert_allclose(value.sum_dim(dim).data, value.data.sum(axis=dims.index(dim)))
        np.testing.assert_allclose(value.mean_dim(dim).data * SIZES[dim], value.data.sum(axis=dims.index(dim)))
    np.testing.assert_allclose(value.total(), value.data.sum())


@few
@given(plates, plates, shapes, seeds)
def test_stack_puts_each_value_at_its_place(first: tuple, second: tuple, shape: tuple, seed: int) -> None:
    a, b = plated(first, shape, seed), plated(second, shape, seed + 1)
    both = stack([a, b])
    for place in places(a, b):
        np.testing.assert_array_equal(member(both, place), np.stack([member(a, place), member(b, place)]))


def test_jax_arrays_give_what_numpy_arrays_give() -> None:
    import jax.numpy as jnp

    value, by = plated(("a",), (3, 2), 0), index(("b",), (2,), 3, 1)
    inside = Plated(value.dims, jnp.asarray(value.data)).take(0, by)
    np.testing.assert_allclose(inside.data, value.take(0, by).data, rtol=1e-6)
    assert known(2.0).dims == ()
