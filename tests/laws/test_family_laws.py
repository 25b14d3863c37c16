"""One table of families, every law on each: whatever stands in the registry is tested, a new family costs one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma

from ppl.families.family import Family
from ppl.families.registry import FAMILIES as REGISTERED

FAMILIES = {name: family for name, family in REGISTERED.items() if family.statistic_rank}  # the exponential ones
DRAWS = 20_000
STANDARD_ERRORS = 5.0  # a right mean is further off once in two million
PLATES = (2, 3)
Params = dict[str, np.ndarray]


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.exp(rng.normal(0.5, 0.7, shape))


def simplex(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.full(shape[-1], 2.0), shape[:-1])


def posdef(rng: np.random.Generator, *shape: int) -> np.ndarray:
    root = rng.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + 0.5 * np.eye(shape[-1])


@dataclass(frozen=True)
class Row:
    """`params` draws parameters over plates, `reference` is SciPy's distribution of one member of the plates, `improper` are parameters
    of no distribution, `base` says that the base measure is 1."""

    params: Callable[..., Params]
    reference: Callable[..., Any]
    improper: list[dict[str, Any]]
    base: bool = True


def _inverse_wishart(df: float, scale: np.ndarray) -> Any:
    """SciPy's, with the entropy by change of variables: of draws, SciPy 1.17's own is off by (D + 1) log 2."""
    found, size, inverse = stats.invwishart(df, scale), len(scale), np.linalg.inv(scale)
    expected = digamma(0.5 * (df - np.arange(size))).sum() + size * np.log(2.0) + np.linalg.slogdet(inverse)[1]
    found.entropy = lambda: stats.wishart(df, inverse).entropy() - (size + 1.0) * expected
    return found


TABLE: dict[str, Row] = {
    "Normal": Row(
        lambda rng, *s: {"mean": rng.normal(0, 3, s), "sd": positive(rng, *s)},
        lambda mean, sd: stats.norm(mean, sd),
        [{"mean": 0.0, "square": 0.5}, {"mean": 1.0, "square": 0.0}, {"mean": np.nan, "square": -1.0}],
    ),
    "MvNormal": Row(
        lambda rng, *s: {"mean": rng.normal(0, 3, (*s, 3)), "cov": posdef(rng, *s, 3)},
        lambda mean, cov: stats.multivariate_normal(mean, cov),
        [{"mean": np.zeros(2), "outer": np.diag([-1.0, 0.5])}, {"mean": np.array([np.nan, 0.0]), "outer": -np.eye(2)}],
    ),
    "Gamma": Row(
        lambda rng, *s: {"shape": positive(rng, *s), "rate": positive(rng, *s)},
        lambda shape, rate: stats.gamma(shape, scale=1 / rate),
        [{"mean": -1.0, "log": -1.5}, {"mean": 0.0, "log": 1.0}, {"mean": np.nan, "log": 1.0}],
    ),
    "InverseGamma": Row(
        lambda rng, *s: {"shape": 4.5 + positive(rng, *s), "scale": positive(rng, *s)},
        lambda shape, scale: stats.invgamma(shape, scale=scale),
        [{"reciprocal": -1.0, "log": -0.5}, {"reciprocal": 0.0, "log": -2.0}, {"reciprocal": -1.0, "log": np.nan}],
    ),
    "Beta": Row(
        lambda rng, *s: {"a": positive(rng, *s), "b": positive(rng, *s)},
        lambda a, b: stats.beta(a, b),
        [{"log": -1.0, "log1m": 1.0}, {"log": 1.0, "log1m": -2.0}, {"log": np.nan, "log1m": 0.0}],
    ),
    "Dirichlet": Row(
        lambda rng, *s: {"concentration": 0.5 + positive(rng, *s, 4)},
        lambda concentration: stats.dirichlet(concentration),
        [{"log": np.array([1.0, -1.0])}, {"log": np.array([np.nan, 1.0])}],
    ),
    "Wishart": Row(
        lambda rng, *s: {"df": 2.5 + positive(rng, *s), "scale": posdef(rng, *s, 3)},
        lambda df, scale: stats.wishart(df, scale),
        [
            {"mean": -0.5 * np.eye(3), "logdet": -1.0},
            {"mean": -0.5 * np.diag([1.0, 1.0, -1.0]), "logdet": 2.0},
            {"mean": -0.5 * np.diag([1.0, 1.0, 0.0]), "logdet": 2.0},
        ],
    ),
    "InverseWishart": Row(
        lambda rng, *s: {"df": 8.5 + positive(rng, *s), "scale": posdef(rng, *s, 3)},
        _inverse_wishart,
        [
            {"inverse": -0.5 * np.eye(3), "logdet": -3.0},
            {"inverse": -0.5 * np.diag([1.0, 1.0, -1.0]), "logdet": -6.0},
            {"inverse": -0.5 * np.diag([1.0, 1.0, 0.0]), "logdet": -6.0},
        ],
    ),
    "Bernoulli": Row(lambda rng, *s: {"p": rng.uniform(0.05, 0.95, s)}, lambda p: stats.bernoulli(p), [{"mean": np.nan}]),
    "Categorical": Row(
        lambda rng, *s: {"p": simplex(rng, *s, 4)},
        lambda p: stats.rv_discrete(values=(np.arange(4), p)),
        [{"one_hot": np.array([np.nan, 0.0])}, {"one_hot": np.array([np.inf, 0.0])}, {"one_hot": np.array([-np.inf, -np.inf])}],
    ),
    "Binomial": Row(
        lambda rng, *s: {"n": rng.integers(1, 12, s).astype(float), "p": rng.uniform(0.05, 0.95, s)},
        lambda n, p: stats.binom(int(n), p),
        [{"mean": np.nan}],
        base=False,
    ),
    "Multinomial": Row(
        lambda rng, *s: {"n": rng.integers(1, 12, s).astype(float), "p": simplex(rng, *s, 4)},
        lambda n, p: stats.multinomial(int(n), p),
        [{"mean": np.array([np.nan, 0.0])}, {"mean": np.array([-np.inf, -np.inf])}],
        base=False,
    ),
    "Poisson": Row(
        lambda rng, *s: {"rate": positive(rng, *s)}, lambda rate: stats.poisson(rate), [{"mean": np.nan}, {"mean": np.inf}], base=False
    ),
}

SEEDS = (0, 1)  # each draws a set of parameters for every member of the plates
every_family = pytest.mark.parametrize(
    ("name", "seed"), [pytest.param(name, seed, id=f"{name}-{seed}") for name in FAMILIES for seed in SEEDS]
)
every_family_once = pytest.mark.parametrize("name", FAMILIES)  # for what must be compiled anew each time


@dataclass(frozen=True)
class Case:
    """A family with parameters over plates."""

    row: Row
    family: Family
    params: Params
    natural: dict[str, jax.Array]
    rng: np.random.Generator

    def members(self) -> list[tuple[tuple[int, ...], Any]]:
        """SciPy's distribution of each member of the plates."""
        return [(i, self.row.reference(**{k: v[i] for k, v in self.params.items()})) for i in np.ndindex(PLATES)]


def case(name: str, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    row = TABLE[name]
    params = row.params(rng, *PLATES)
    family = FAMILIES[name].given(params)
    return Case(row, family, params, family.natural_from(**params), rng)


def gradient(family: Family, natural: Any) -> Any:
    return jax.grad(lambda eta: family.log_partition(eta).sum())(natural)


def slope(function: Callable[..., Any], natural: Any, direction: Any) -> Any:
    return jax.jit(lambda a, b: jax.jvp(function, (a,), (b,))[1])(natural, direction)


def shifted(natural: dict[str, jax.Array], family: Family) -> dict[str, np.ndarray]:
    """Log-potentials without the constant that says nothing."""
    free = family.name in ("Categorical", "Multinomial")
    return {k: np.asarray(jax.nn.log_softmax(v) if free else v) for k, v in natural.items()}


def assert_mean_is(draws: np.ndarray, expected: Any) -> None:
    error = draws.std(axis=0) / np.sqrt(len(draws))
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - np.asarray(expected)), STANDARD_ERRORS * error + 1e-9)


def log_density_at(reference: Any, x: np.ndarray) -> np.ndarray:
    return reference.logpdf(x) if hasattr(reference, "logpdf") and not hasattr(reference, "pmf") else reference.logpmf(x)


def test_every_family_has_a_row() -> None:
    assert set(TABLE) == set(FAMILIES)


@every_family
def test_expected_statistics_are_the_gradient_of_the_log_partition(name: str, seed: int) -> None:
    c = case(name, seed)
    expected = c.family.expected_statistics(c.natural)
    assert set(expected) == set(c.natural) == set(c.family.statistic_rank)
    for key, value in gradient(c.family, c.natural).items():
        assert value.ndim == len(PLATES) + c.family.statistic_rank[key]
        np.testing.assert_allclose(expected[key], value, rtol=1e-10, atol=1e-12)


@every_family
def test_expected_statistics_are_the_means_of_the_statistics_of_draws(name: str, seed: int) -> None:
    c = case(name, seed)
    drawn = c.family.statistics(c.family.sample(c.params, c.rng, DRAWS))
    for key, value in c.family.expected_statistics(c.natural).items():
        assert_mean_is(np.asarray(drawn[key]), value)


@every_family
def test_entropy_is_the_mean_of_minus_the_log_density(name: str, seed: int) -> None:
    c = case(name, seed)
    x = c.family.sample(c.params, c.rng, DRAWS)
    draws = np.asarray(c.family.log_base_measure(x)) - c.family.log_density(c.params, x)
    assert_mean_is(draws, c.family.entropy(c.natural))


@every_family
def test_entropy_is_that_of_the_log_partition_and_of_scipy(name: str, seed: int) -> None:
    c = case(name, seed)
    entropy = np.asarray(c.family.entropy(c.natural))
    np.testing.assert_allclose(entropy, Family.entropy(c.family, c.natural), rtol=1e-9, atol=1e-9)
    for i, reference in c.members() if c.row.base else ():
        np.testing.assert_allclose(entropy[i], reference.entropy(), rtol=1e-8, atol=1e-8)


@every_family
def test_parameters_and_natural_parameters_say_the_same(name: str, seed: int) -> None:
    c = case(name, seed)
    back = c.family.params_from(c.natural)
    assert set(back) == set(c.family.parameters)
    for key, value in c.params.items():
        np.testing.assert_allclose(back[key], value, rtol=1e-9, atol=1e-12)
    moved = {k: 1.5 * v for k, v in c.natural.items()} if name != "Wishart" else c.natural
    again = c.family.natural_from(**c.family.params_from(moved))
    for key, value in shifted(moved, c.family).items():
        np.testing.assert_allclose(shifted(again, c.family)[key], value, rtol=1e-9, atol=1e-12)


@every_family
def test_log_density_is_that_of_scipy(name: str, seed: int) -> None:
    c = case(name, seed)
    x = c.family.sample(c.params, c.rng, 5)
    density = c.family.log_density(c.params, x)
    assert density.shape == (5, *PLATES)
    for i, reference in c.members():
        for k in range(5):
            np.testing.assert_allclose(density[k][i], log_density_at(reference, x[k][i]), rtol=1e-9, atol=1e-9)


@every_family
def test_log_density_is_that_of_the_exponential_family(name: str, seed: int) -> None:
    c = case(name, seed)
    x = c.family.sample(c.params, c.rng, 5)
    expected = c.family.inner(c.natural, c.family.statistics(x)) - c.family.log_partition(c.natural) + c.family.log_base_measure(x)
    np.testing.assert_allclose(c.family.log_density(c.params, x), expected, rtol=1e-10, atol=1e-10)


@every_family
def test_mean_and_variance_are_those_of_draws(name: str, seed: int) -> None:
    c = case(name, seed)
    x = c.family.sample(c.params, c.rng, DRAWS)
    mean, variance = c.family.mean(c.params), c.family.variance(c.params)
    assert mean.shape == variance.shape == x.shape[1:]
    assert_mean_is(x, mean)
    assert_mean_is((x - mean) ** 2, variance)


@every_family
def test_the_mode_is_more_probable_than_draws(name: str, seed: int) -> None:
    c = case(name, seed)
    mode = c.family.mode(c.params)
    x = c.family.sample(c.params, c.rng, 200)
    assert mode.shape == x.shape[1:]
    highest = c.family.log_density(c.params, mode)
    known = np.isfinite(mode).reshape(*PLATES, -1).all(axis=-1)
    assert (c.family.log_density(c.params, x) <= np.where(known, highest + 1e-9, np.inf)).all()


@every_family
def test_a_quantile_of_a_scalar_is_that_of_scipy(name: str, seed: int) -> None:
    c = case(name, seed)
    for q in (0.025, 0.5, 0.9):
        if c.family.event_rank and name != "Categorical":
            break
        quantile = c.family.quantile(c.params, q)
        for i, reference in c.members():
            np.testing.assert_allclose(quantile[i], reference.ppf(q), rtol=1e-8, atol=1e-10)


@every_family
def test_a_quantile_of_a_vector_is_that_of_its_entries(name: str, seed: int) -> None:
    c = case(name, seed)
    if name in ("MvNormal", "Dirichlet"):
        x, quantile = c.family.sample(c.params, c.rng, DRAWS), c.family.quantile(c.params, 0.2)
        assert_mean_is((x <= quantile) * 1.0, np.full(quantile.shape, 0.2))
    elif name in ("Wishart", "InverseWishart", "Multinomial"):
        with pytest.raises(ValueError, match="quantiles"):
            c.family.quantile(c.params, 0.2)


@every_family
def test_what_is_improper_is_outside_of_the_domain(name: str, seed: int) -> None:
    c = case(name, seed)
    proper = c.family.in_domain(c.natural)
    assert proper.shape == PLATES and bool(proper.all())
    for natural in c.row.improper:
        assert not c.family.in_domain({k: jnp.asarray(v) for k, v in natural.items()})


@every_family
def test_float32_agrees_with_float64(name: str, seed: int) -> None:
    c = case(name, seed)
    single = {k: v.astype(np.float32) for k, v in c.natural.items()}
    pairs = [(c.family.log_partition(single), c.family.log_partition(c.natural)), (c.family.entropy(single), c.family.entropy(c.natural))]
    few, many = c.family.expected_statistics(single), c.family.expected_statistics(c.natural)
    for narrow, wide in pairs + [(few[k], many[k]) for k in many]:
        assert narrow.dtype == np.float32 and wide.dtype == np.float64
        np.testing.assert_allclose(narrow, wide, rtol=1e-4, atol=1e-5 + 1e-4 * np.abs(wide).max())
    params32 = {k: v.astype(np.float32) for k, v in c.params.items()}
    assert {v.dtype for v in c.family.natural_from(**params32).values()} == {np.dtype(np.float32)}


@every_family_once
def test_second_derivatives_are_the_covariance_of_the_statistics(name: str) -> None:
    """By two routes that agree, and a variance is not negative."""
    c = case(name, 0)
    direction = {k: jnp.asarray(c.rng.normal(size=v.shape)) for k, v in c.natural.items()}
    direction = {k: v + jnp.swapaxes(v, -1, -2) if c.family.statistic_rank[k] == 2 else v for k, v in direction.items()}
    by_hand = slope(c.family.expected_statistics, c.natural, direction)
    automatic = slope(lambda eta: gradient(c.family, eta), c.natural, direction)
    for key in automatic:
        np.testing.assert_allclose(by_hand[key], automatic[key], rtol=1e-8, atol=1e-8)
    assert (np.asarray(c.family.inner(direction, automatic)) >= -1e-9).all()


@every_family_once
def test_the_slope_of_the_entropy_is_that_of_minus_the_inner_product(name: str) -> None:
    """dH = -⟨η, dE[T]⟩, so an engine may differentiate the bound."""
    c = case(name, 0)
    direction = {k: jnp.asarray(c.rng.normal(size=v.shape)) for k, v in c.natural.items()}
    moved = slope(c.family.expected_statistics, c.natural, direction)
    np.testing.assert_allclose(
        slope(c.family.entropy, c.natural, direction), -np.asarray(c.family.inner(c.natural, moved)), rtol=1e-7, atol=1e-7
    )


@every_family_once
def test_compiled_and_member_by_member_it_is_the_same(name: str) -> None:
    c = case(name, 0)
    for function in (c.family.log_partition, c.family.entropy, c.family.expected_statistics):
        whole = function(c.natural)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), jax.jit(function)(c.natural), whole)
    for i in np.ndindex(PLATES):
        one = FAMILIES[name].given({k: v[i] for k, v in c.params.items()})
        for k, value in one.expected_statistics({k: v[i] for k, v in c.natural.items()}).items():
            np.testing.assert_allclose(value, c.family.expected_statistics(c.natural)[k][i], rtol=1e-10, atol=1e-12)


@every_family
def test_parameters_spread_over_plates(name: str, seed: int) -> None:
    """One member of the plates for the first parameter, all for the others."""
    c = case(name, seed)
    first = c.family.parameters[0]
    params = {k: v[0, 0] if k == first and len(c.params) > 1 else v for k, v in c.params.items()}
    full = {k: np.broadcast_to(v, c.params[k].shape) for k, v in params.items()}
    family = FAMILIES[name].given(params)
    for a, b in zip(family.natural_from(**params).values(), family.natural_from(**full).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    for function in (family.mean, family.variance, family.mode):
        np.testing.assert_allclose(function(params), function(full))
    assert family.sample(params, c.rng, (2, 5)).shape == family.sample(full, c.rng, (2, 5)).shape
