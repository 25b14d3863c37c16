"""One table of factors, every law on each: a factor is its log-density at points, and affine in each slot's features alone.

Both together say that for independent slots it is E[log f] (`ppl.factors.factor`), so no message is tested by itself.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import ppl.factors
from ppl.arrays.plated import Plated
from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.compiler.quantities import known_feature
from ppl.factors.factor import Factor
from ppl.factors.registry import factor
from ppl.families.registry import FAMILIES, NUMERIC
from tests.reference.gaussians import log_normal

Rng = np.random.Generator
MODULES = sorted(m.name for m in pkgutil.iter_modules(ppl.factors.__path__) if m.name not in ("factor", "registry"))
SEEDS = (0, 1, 2)


def positive(rng: Rng, *shape: int) -> np.ndarray:
    return np.exp(rng.normal(0.3, 0.6, shape))


def posdef(rng: Rng, size: int) -> np.ndarray:
    root = rng.normal(size=(size, size))
    return root @ root.T + 0.5 * np.eye(size)


@dataclass(frozen=True)
class Row:
    """`values` draws a value and the parameters, by name; `reference` is SciPy's log-density of it."""

    values: Callable[[Rng], dict[str, Any]]
    reference: Callable[..., Any]


TABLE: dict[str, Row] = {
    "normal": Row(
        lambda r: {"x": r.normal(), "mean": r.normal(), "precision": positive(r)},
        lambda x, mean, precision: stats.norm.logpdf(x, mean, precision**-0.5),
    ),
    "multivariate_normal": Row(
        lambda r: {"x": r.normal(size=3), "mean": r.normal(size=3), "precision": posdef(r, 3)},
        lambda x, mean, precision: log_normal(x, mean, np.linalg.inv(precision)),
    ),
    "gamma": Row(
        lambda r: {"x": positive(r), "shape": positive(r), "rate": positive(r)},
        lambda x, shape, rate: stats.gamma.logpdf(x, shape, scale=1 / rate),
    ),
    "inverse_gamma": Row(
        lambda r: {"x": positive(r), "shape": positive(r), "scale": positive(r)},
        lambda x, shape, scale: stats.invgamma.logpdf(x, shape, scale=scale),
    ),
    "exponential": Row(lambda r: {"x": positive(r), "rate": positive(r)}, lambda x, rate: stats.expon.logpdf(x, scale=1 / rate)),
    "beta": Row(lambda r: {"x": r.uniform(0.05, 0.95), "a": positive(r), "b": positive(r)}, lambda x, a, b: stats.beta.logpdf(x, a, b)),
    "dirichlet": Row(
        lambda r: {"x": r.dirichlet(np.full(4, 3.0)), "concentration": positive(r, 4)},
        lambda x, concentration: stats.dirichlet.logpdf(x, concentration),
    ),
    "wishart": Row(
        lambda r: {"x": posdef(r, 3), "df": 2.5 + positive(r), "scale": posdef(r, 3)},
        lambda x, df, scale: stats.wishart.logpdf(x, df, scale),
    ),
    "inverse_wishart": Row(
        lambda r: {"x": posdef(r, 3), "df": 2.5 + positive(r), "scale": posdef(r, 3)},
        lambda x, df, scale: stats.invwishart.logpdf(x, df, scale),
    ),
    "bernoulli": Row(lambda r: {"x": float(r.integers(2)), "p": r.uniform(0.05, 0.95)}, lambda x, p: stats.bernoulli.logpmf(x, p)),
    "categorical": Row(lambda r: {"x": int(r.integers(4)), "p": r.dirichlet(np.full(4, 3.0))}, lambda x, p: np.log(p[x])),
    "binomial": Row(
        lambda r: {"x": float(r.integers(6)), "n": 5.0 + float(r.integers(3)), "p": r.uniform(0.05, 0.95)},
        lambda x, n, p: stats.binom.logpmf(x, int(n), p),
    ),
    "multinomial": Row(
        lambda r: {"x": r.multinomial(7, np.full(3, 1 / 3)) * 1.0, "n": 7.0, "p": r.dirichlet(np.full(3, 3.0))},
        lambda x, n, p: stats.multinomial.logpmf(x, int(n), p),
    ),
    "half_normal": Row(
        lambda r: {"x": positive(r), "precision": positive(r)}, lambda x, precision: stats.halfnorm.logpdf(x, scale=precision**-0.5)
    ),
    "half_student_t": Row(  # in its own unit
        lambda r: {"x": positive(r), "df": np.asarray(3.0), "scale": 3.0**-0.5},
        lambda x, df, scale: np.log(2.0) + stats.t.logpdf(x, df, scale=scale),
    ),
    "half_flat": Row(lambda r: {"x": positive(r)}, lambda x: 0.0),
    "flat": Row(lambda r: {"x": r.normal()}, lambda x: 0.0),
    "poisson": Row(lambda r: {"x": float(r.integers(8)), "rate": positive(r)}, lambda x, rate: stats.poisson.logpmf(x, rate)),
}

every_factor = pytest.mark.parametrize("module", MODULES)
every_draw = pytest.mark.parametrize("seed", SEEDS)


def kind_of(module: str) -> Factor:
    return factor(f"ppl.factors.{module}")


def point_features(kind: Factor, values: dict[str, Any]) -> dict[str, dict[str, Plated]]:
    """The features of each slot where all is known."""
    slots = dict(values)
    for name, (left, right) in kind.differences.items():
        slots[name] = np.asarray(values[left]) - np.asarray(values[right])
    told: dict[str, dict[str, Plated]] = {}
    for slot, wanted in kind.slots.items():
        value = Plated((), np.asarray(slots[slot]))
        told[slot] = {}
        for feature in wanted:
            if feature == "one_hot":
                told[slot][feature] = Plated((), (np.arange(len(values["p"])) == value.data) * 1.0)
            else:
                told[slot][feature] = known_feature(value, feature)
    return told


def energy_of(kind: Factor, features: dict[str, dict[str, Plated]]) -> Any:
    return kind.energy(**{slot: SimpleNamespace(**parts) for slot, parts in features.items()}).data


def drawn(module: str, seed: int) -> tuple[Factor, dict[str, Any], dict[str, dict[str, Plated]]]:
    values = TABLE[module].values(np.random.default_rng(seed))
    return kind_of(module), values, point_features(kind_of(module), values)


def test_every_factor_stands_in_the_table() -> None:
    assert set(MODULES) == set(TABLE)


def test_every_implementation_of_the_catalogue_is_a_factor_with_its_parameters() -> None:
    for distribution in DISTRIBUTIONS.values():
        module = (distribution.implementation or "").rpartition(".")[2]
        if distribution.implementation is None or distribution.name == "Delta":
            continue
        kind = factor(distribution.implementation)
        assert module in TABLE
        assert kind.name == distribution.name
        for slot in distribution.slots:
            ways = [s.name for s in slot if s.name in kind.parameters or s.name in kind.conversions]
            assert ways, f"{distribution.name} takes none of {[s.name for s in slot]}"


@every_factor
@every_draw
def test_the_energy_of_points_is_the_log_density(module: str, seed: int) -> None:
    kind, values, features = drawn(module, seed)
    base = 0.0
    if kind.base_measure is not None:
        held = [values[p] for p in kind.parameters if kind.slots.get(p) == ("value",)]
        base = float(kind.base_measure(np.asarray(values["x"]), *held))
    np.testing.assert_allclose(float(energy_of(kind, features)) + base, TABLE[module].reference(**values), rtol=1e-10, atol=1e-10)


@every_factor
@every_draw
def test_the_energy_is_affine_in_the_features_of_each_slot_alone(module: str, seed: int) -> None:
    kind, _, features = drawn(module, seed)
    rng = np.random.default_rng(seed)
    for slot, parts in features.items():
        if set(parts) & {"value", "inverse"}:
            continue  # what must be known is no statistic
        sizes = [part.data.size for part in parts.values()]

        def of_slot(flat: Any, slot: str = slot, parts: dict[str, Plated] = parts, sizes: list[int] = sizes) -> Any:
            pieces = jnp.split(flat, np.cumsum(sizes)[:-1])
            own = {k: Plated((), piece.reshape(p.data.shape)) for piece, (k, p) in zip(pieces, parts.items(), strict=True)}
            return energy_of(kind, {**features, slot: own})

        at, along = (jnp.asarray(rng.normal(size=sum(sizes))) for _ in range(2))
        _, curvature = jax.jvp(lambda z: jax.jvp(of_slot, (z,), (along,))[1], (at,), (along,))  # noqa: B023
        np.testing.assert_allclose(curvature, 0.0, atol=1e-9, err_msg=f"slot {slot}")


@every_factor
def test_the_energy_over_plates_is_that_of_each_member(module: str) -> None:
    kind = kind_of(module)
    members = [drawn(module, seed)[2] for seed in SEEDS]
    together = {
        slot: {k: Plated(("n",), np.stack([np.asarray(m[slot][k].data, float) for m in members])) for k in parts}
        for slot, parts in members[0].items()
    }
    wanted = [float(energy_of(kind, m)) for m in members]
    np.testing.assert_allclose(energy_of(kind, together), wanted, rtol=1e-12)


@every_factor
def test_the_energy_is_the_same_in_single_precision(module: str) -> None:
    kind, _, features = drawn(module, 0)
    single = {s: {k: replace(p, data=jnp.asarray(p.data, jnp.float32)) for k, p in parts.items()} for s, parts in features.items()}
    got = energy_of(kind, single)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(float(got), float(energy_of(kind, features)), rtol=1e-4, atol=1e-5)


@every_factor
def test_the_slots_of_a_latent_value_are_statistics_of_its_family(module: str) -> None:
    kind = kind_of(module)
    family = (FAMILIES | NUMERIC)[kind.family]
    asked = set(kind.slots.get("x", ()))
    assert asked <= set(family.statistic_rank)
    whole = asked == set(family.statistic_rank) or kind.family in NUMERIC or kind.name == "Flat"
    assert whole or "x" not in kind.slots  # else its gradient would lack a natural parameter


CONVERSIONS = [(m, name) for m in MODULES for name in kind_of(m).conversions]
ALTERNATIVES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("normal", "sd"): lambda precision: precision**-0.5,
    ("normal", "var"): lambda precision: 1 / precision,
    ("half_normal", "sd"): lambda precision: precision**-0.5,
    ("gamma", "scale"): lambda rate: 1 / rate,
    ("multivariate_normal", "cov"): np.linalg.inv,
    ("multivariate_normal", "scale_tril"): lambda precision: np.linalg.cholesky(np.linalg.inv(precision)),
    ("bernoulli", "logit"): lambda p: np.log(p / (1 - p)),
    ("bernoulli", "probit"): stats.norm.ppf,
    ("binomial", "logit"): lambda p: np.log(p / (1 - p)),
    ("categorical", "logits"): lambda p: np.log(p) + 1.5,
    ("poisson", "log_rate"): np.log,
}


@pytest.mark.parametrize(("module", "name"), CONVERSIONS)
def test_an_alternative_parameter_is_turned_into_the_canonical_one(module: str, name: str) -> None:
    from ppl.graph.functions import apply_known

    kind, values, _ = drawn(module, 0)
    target, steps = kind.conversions[name]
    value = Plated((), np.asarray(ALTERNATIVES[module, name](values[target])))
    for function, *others in steps:
        value = apply_known(function, [value, *(Plated((), np.asarray(o)) for o in others)])
    np.testing.assert_allclose(value.data, values[target], rtol=1e-9)
