"""Where formulas are 0 · ∞, ∞ - ∞ or below the smallest float, families still give the right number."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppl.families.registry import FAMILIES

OUTSIDE = [
    ("Normal", {"mean": 0.0, "sd": 1.0}, np.inf),
    ("Gamma", {"shape": 2.0, "rate": 1.0}, -1.0),
    ("InverseGamma", {"shape": 2.0, "scale": 1.0}, 0.0),
    ("Beta", {"a": 2.0, "b": 2.0}, 1.5),
    ("Dirichlet", {"concentration": np.ones(2)}, np.array([0.5, 0.6])),
    ("Wishart", {"df": 3.0, "scale": np.eye(2)}, np.diag([1.0, -1.0])),
    ("Bernoulli", {"p": 0.5}, 2),
    ("Categorical", {"p": np.array([0.5, 0.5])}, 2),
    ("Binomial", {"n": 3, "p": 0.5}, 4),
    ("Multinomial", {"n": 3, "p": np.array([0.5, 0.5])}, np.array([1, 1])),
    ("Poisson", {"rate": 1.0}, 0.5),
]


@pytest.mark.parametrize(("name", "params", "x"), OUTSIDE, ids=[row[0] for row in OUTSIDE])
def test_outside_of_the_support_the_log_density_is_minus_infinity(name: str, params: dict, x: object) -> None:
    assert FAMILIES[name].log_density(params, x) == -np.inf


@pytest.mark.parametrize(
    ("name", "params", "x", "probability"),
    [
        ("Bernoulli", {"p": 1.0}, 1, 1.0),
        ("Bernoulli", {"p": 0.0}, 1, 0.0),
        ("Binomial", {"n": 3, "p": 1.0}, 3, 1.0),
        ("Binomial", {"n": 3, "p": 0.0}, 0, 1.0),
        ("Categorical", {"p": np.array([1.0, 0.0])}, 0, 1.0),
        ("Categorical", {"p": np.array([1.0, 0.0])}, 1, 0.0),
        ("Multinomial", {"n": 2, "p": np.array([1.0, 0.0])}, np.array([2, 0]), 1.0),
        ("Poisson", {"rate": 0.0}, 0, 1.0),
        ("Beta", {"a": 1.0, "b": 1.0}, 0.0, 1.0),
        ("Gamma", {"shape": 1.0, "rate": 2.0}, 0.0, 2.0),
        ("Dirichlet", {"concentration": np.ones(3)}, np.array([1.0, 0.0, 0.0]), 2.0),
    ],
)
def test_at_the_border_the_density_is_its_limit(name: str, params: dict, x: object, probability: float) -> None:
    np.testing.assert_allclose(np.exp(FAMILIES[name].log_density(params, x)), probability, atol=1e-15)


def test_a_state_that_is_impossible_adds_nothing_to_the_entropy() -> None:
    potentials = jnp.array([0.0, 0.0, -jnp.inf])
    assert float(FAMILIES["Categorical"].entropy({"one_hot": potentials})) == pytest.approx(np.log(2))
    finite = jnp.array([0.0, 0.0, -1e30])
    assert float(FAMILIES["Categorical"].entropy({"one_hot": finite})) == pytest.approx(np.log(2))


def test_draws_of_a_sparse_dirichlet_are_probability_vectors() -> None:
    x = FAMILIES["Dirichlet"].sample({"concentration": np.full(3, 1e-4)}, np.random.default_rng(0), 1000)
    assert np.isfinite(x).all()
    np.testing.assert_allclose(x.sum(axis=-1), 1.0)
    np.testing.assert_allclose(x.mean(axis=0), 1 / 3, atol=0.06)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entropy_of_a_normal_does_not_depend_on_where_it_is(dtype: type) -> None:
    near = {"mean": jnp.zeros((), dtype), "square": jnp.asarray(-0.5, dtype)}
    far = {"mean": jnp.asarray(1e6, dtype), "square": jnp.asarray(-0.5, dtype)}
    assert FAMILIES["Normal"].entropy(far) == FAMILIES["Normal"].entropy(near)
    vector = {"mean": jnp.full(2, 1e6, dtype), "outer": jnp.asarray(-0.5 * np.eye(2), dtype)}
    np.testing.assert_allclose(FAMILIES["MvNormal"].entropy(vector), 2 * FAMILIES["Normal"].entropy(near), rtol=1e-6)


def test_gradients_of_matrices_are_symmetric() -> None:
    lopsided = jnp.array([[2.0, 0.3], [0.1, 1.0]])
    slope = jax.grad(lambda m: FAMILIES["Wishart"].log_partition({"mean": -0.5 * m, "logdet": jnp.asarray(1.0)}))(lopsided)
    np.testing.assert_array_equal(slope, slope.T)
    slope = jax.grad(lambda m: FAMILIES["MvNormal"].log_partition({"mean": jnp.ones(2), "outer": -0.5 * m}))(lopsided)
    np.testing.assert_allclose(slope, slope.T, rtol=1e-14)


def test_moments_that_do_not_exist_are_infinite() -> None:
    family, params = FAMILIES["InverseGamma"], {"shape": np.array([0.5, 1.5, 2.5]), "scale": 1.0}
    np.testing.assert_allclose(family.mean(params), [np.inf, 2.0, 1 / 1.5])
    np.testing.assert_allclose(family.variance(params), [np.inf, np.inf, 1 / (1.5**2 * 0.5)])


def test_a_mode_that_is_not_unique_is_nan() -> None:
    np.testing.assert_array_equal(FAMILIES["Beta"].mode({"a": np.array([1.0, 0.5, 1.0, 2.0]), "b": 1.5}), [0.0, 0.0, 0.0, 2 / 3])
    assert np.isnan(FAMILIES["Beta"].mode({"a": 1.0, "b": 1.0}))
    assert np.isnan(FAMILIES["Dirichlet"].mode({"concentration": np.array([0.5, 1.0])})).all()
    assert np.isnan(FAMILIES["Wishart"].mode({"df": 2.5, "scale": np.eye(2)})).all()


def test_whole_numbers_are_parameters_too() -> None:
    natural = FAMILIES["Gamma"].natural_from(shape=3, rate=2)
    assert natural["log"] == 2.0 and jnp.issubdtype(natural["log"].dtype, jnp.floating)
    assert FAMILIES["Beta"].mean({"a": 1, "b": 3}) == 0.25
    assert FAMILIES["Binomial"].log_density({"n": 2, "p": 0.5}, 1) == pytest.approx(np.log(0.5))


def test_families_do_not_import_scipy() -> None:
    check = "import sys, ppl.families.registry; sys.exit(any(m.split('.')[0] == 'scipy' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
