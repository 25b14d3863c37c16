"""Nested plates: a forest gives what the same block gives when it stands dense, and its bound is the evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl
from ppl.compiler import chains, forests
from ppl.compiler.kinds import kind_of
from ppl.engines.precision import with_precision
from ppl.engines.vmp import run_vmp

RNG = np.random.default_rng(5)


def drawn(*shape: int, holes: int = 0) -> np.ndarray:
    values = RNG.normal(size=shape)
    if holes:
        values.ravel()[RNG.choice(values.size, holes, replace=False)] = np.nan
    return values


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "groups with a common mean": (
        """
        input group: G[N]
        mu ~ Normal(0, sd = 2)
        for g in G: level[g] ~ Normal(mu, sd = 0.7)
        for n in N: y[n] ~ Normal(level[group[n]], sd = 0.5)
        """,
        {"y": drawn(30), "group": RNG.integers(9, size=30), "G": 9},
    ),
    "pupils in classes in schools, and a coefficient that all meet": (
        """
        input class: C[N]
        input school: S[C]
        input x: real[N]
        mu ~ Normal(0, sd = 2)
        beta ~ Normal(0, sd = 1)
        for s in S: of_school[s] ~ Normal(mu, sd = 0.7)
        for c in C: of_class[c] ~ Normal(of_school[school[c]], sd = 0.4)
        for n in N: ability[n] ~ Normal(of_class[class[n]] + beta * x[n], sd = 0.5)
        for n in N: y[n] ~ Normal(ability[n], sd = 0.3)
        """,
        {"y": drawn(30, holes=3), "x": drawn(30), "class": np.arange(30) % 7, "school": [0, 1, 1, 2, 0, 2, 1], "S": 4},
    ),
    "intercepts and slopes that meet at each group": (
        """
        input group: G[N]
        input x: real[N]
        mu ~ Normal(0, sd = 2)
        tilt ~ Normal(0, sd = 1)
        for g in G: intercept[g] ~ Normal(mu, sd = 0.7)
        for g in G: slope[g] ~ Normal(tilt + 0.3 * mu, sd = 0.4)
        for n in N: y[n] ~ Normal(intercept[group[n]] + slope[group[n]] * x[n], sd = 0.5)
        """,
        {"y": drawn(25), "x": drawn(25), "group": RNG.integers(8, size=25), "G": 8},
    ),
    "a grid of patches above a coarser grid": (
        """
        input up: R[Y]
        input left: C[X]
        for r in R, c in C: coarse[r, c] ~ Normal(0.3, sd = 0.7)
        for y in Y, x in X: fine[y, x] ~ Normal(coarse[up[y], left[x]], sd = 0.4)
        for y in Y, x in X: seen[y, x] ~ Normal(fine[y, x], sd = 0.5)
        """,
        {"seen": drawn(4, 6, holes=3), "up": [0, 0, 1, 1], "left": [0, 0, 1, 1, 2, 2]},
    ),
    "several images side by side": (
        """
        input parent: C[N]
        for k in K: mu[k] ~ Normal(0, sd = 1)
        for k in K, c in C: coarse[k, c] ~ Normal(mu[k], sd = 0.7)
        for k in K, n in N: fine[k, n] ~ Normal(coarse[k, parent[n]], sd = 0.4)
        for k in K, n in N: seen[k, n] ~ Normal(fine[k, n], sd = 0.5)
        """,
        {"seen": drawn(3, 8), "parent": [0, 0, 1, 1, 2, 2, 3, 3]},
    ),
    "vectors of groups, and one that is seen in part": (
        """
        input group: G[N]
        mu ~ MvNormal(zeros(2), cov = eye(2))
        for g in G: level[g] ~ MvNormal(mu, cov = [[0.5, 0.1], [0.1, 0.4]])
        for n in N: y[n] ~ MvNormal(level[group[n]], cov = [[0.3, -0.1], [-0.1, 0.2]])
        """,
        {"y": drawn(20, 2), "group": RNG.integers(6, size=20), "level": np.where(np.arange(12).reshape(6, 2) == 5, 0.4, np.nan)},
    ),
}


def fitted(name: str, smallest: int, monkeypatch: pytest.MonkeyPatch) -> ppl.Posterior:
    text, data = MODELS[name]
    monkeypatch.setattr(forests, "SMALL", smallest)
    monkeypatch.setattr(chains, "SMALL", 10**9)
    return ppl.parse("model m:\n" + text).fit(**data)


@pytest.mark.parametrize("name", MODELS)
def test_a_forest_gives_what_a_dense_block_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forest, dense = fitted(name, 0, monkeypatch), fitted(name, 10**9, monkeypatch)
    assert any(b.forest is not None for b in forest.plan.blocks)
    assert all(b.forest is None for b in dense.plan.blocks)
    assert forest.exact and dense.exact
    assert forest.log_evidence == pytest.approx(dense.log_evidence, abs=1e-9)
    for variable in forest.plan.latents:
        np.testing.assert_allclose(forest[variable].mean, dense[variable].mean, atol=1e-9)
        np.testing.assert_allclose(forest[variable].sd, dense[variable].sd, atol=1e-9)


@pytest.mark.parametrize("name", ["pupils in classes in schools, and a coefficient that all meet", "several images side by side"])
def test_draws_of_a_forest_are_those_of_the_dense_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is joint in a draw: members, their parents and the border."""
    totals = []
    for smallest in (0, 10**9):
        text, data = MODELS[name]
        monkeypatch.setattr(forests, "SMALL", smallest)
        monkeypatch.setattr(chains, "SMALL", 10**9)
        plan = ppl.parse("model m:\n" + text).explain(**data)
        state = with_precision(np.float64, run_vmp)(plan).state
        (block,) = plan.blocks
        parts = state["moments"][block.name], state["natural"][block.name]
        draws = kind_of(block).draws(block, plan.latents, *parts, np.random.default_rng(2), 20_000)
        totals.append(np.concatenate([draws[v].reshape(20_000, -1) for v in sorted(draws)], axis=1))
    covariances = [np.cov(t, rowvar=False) for t in totals]
    np.testing.assert_allclose(covariances[0], covariances[1], atol=0.06 * np.diag(covariances[1]).max())
    np.testing.assert_allclose(totals[0].mean(axis=0), totals[1].mean(axis=0), atol=0.05)


NESTED = """model m:
    input parent: C[N]
    between ~ Gamma(2, 1)
    noise ~ Gamma(2, 1)
    mu ~ Normal(0, sd = 1)
    for c in C: coarse[c] ~ Normal(mu, precision = between)
    for n in N: fine[n] ~ Normal(coarse[parent[n]], precision = 4)
    for n in N: y[n] ~ Normal(fine[n], precision = noise)
"""


def test_a_learnt_forest_is_the_learnt_dense_block(monkeypatch: pytest.MonkeyPatch) -> None:
    y, bounds = drawn(12, holes=2), []
    monkeypatch.setattr(chains, "SMALL", 10**9)
    for smallest in (0, 10**9):
        monkeypatch.setattr(forests, "SMALL", smallest)
        bounds.append(ppl.parse(NESTED).fit(y=y, parent=np.arange(12) // 3).elbo_trace)
    np.testing.assert_allclose(bounds[0], bounds[1], atol=1e-8)
    assert np.all(np.diff(bounds[0]) > -1e-9)


def test_an_update_knows_what_a_forest_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same groups seen again: in two steps or at once."""
    text = """model m:
        input group: G[N]
        mu ~ Normal(0, sd = 2)
        for g in G: level[g] ~ Normal(mu, sd = 0.7)
        for n in N: y[n] ~ Normal(level[group[n]], sd = 0.5)
    """
    monkeypatch.setattr(forests, "SMALL", 0)
    y, group = drawn(20), np.arange(20) % 6
    model = ppl.parse(text)
    stepwise = model.fit(y=y[:12], group=group[:12], G=6).update(y=y[12:], group=group[12:], G=6)
    at_once = model.fit(y=y, group=group, G=6)
    for name in ("mu", "level"):
        np.testing.assert_allclose(stepwise[name].mean, at_once[name].mean, atol=1e-8)
        np.testing.assert_allclose(stepwise[name].sd, at_once[name].sd, atol=1e-8)


def test_new_members_of_a_large_forest_meet_what_its_border_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from ppl.engines import joint

    text = "model m:\n    mu ~ Normal(0, sd = 2)\n    for n in N: level[n] ~ Normal(mu, sd = 0.7)\n    for n in N: y[n] ~ Normal(level[n], sd = 0.5)\n"
    monkeypatch.setattr(forests, "SMALL", 0)
    monkeypatch.setattr(joint, "MOST_DENSE", 5)
    y, model = drawn(30), ppl.parse(text)
    stepwise, at_once = model.fit(y=y[:18]).update(y=y[18:]), model.fit(y=y)
    assert stepwise["mu"].mean == pytest.approx(at_once["mu"].mean, abs=1e-9)
    assert stepwise["mu"].sd == pytest.approx(at_once["mu"].sd, abs=1e-9)


def test_gibbs_draws_a_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "SMALL", 10**9)
    y, parent, told = drawn(12, holes=2), np.arange(12) // 3, []
    for smallest in (0, 10**9):
        monkeypatch.setattr(forests, "SMALL", smallest)
        told.append(ppl.parse(NESTED).fit(y=y, parent=parent, engine="gibbs", iterations=8000))
    for name in ("mu", "coarse", "fine", "between"):
        sd = np.max(told[1][name].sd)
        np.testing.assert_allclose(told[0][name].mean, told[1][name].mean, atol=0.12 * sd)
        np.testing.assert_allclose(told[0][name].sd, told[1][name].sd, rtol=0.15)


def test_what_hangs_on_two_is_no_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crossed groups, and members of one plate that meet."""
    monkeypatch.setattr(forests, "SMALL", 0)
    crossed = """model m:
        input row: R[N]
        input column: C[N]
        for r in R: a[r] ~ Normal(0, sd = 1)
        for c in C: b[c] ~ Normal(0, sd = 1)
        for n in N: y[n] ~ Normal(a[row[n]] + b[column[n]], sd = 0.5)
    """
    row, column = np.divmod(np.arange(12), 4)
    (block,) = ppl.parse(crossed).explain(y=drawn(12), row=row, column=column).blocks
    assert block.forest is None or block.forest.border == 3  # the three rows are met by all columns
    sums = "model m:\n    for n in N: a[n] ~ Normal(0, sd = 1)\n    y ~ Normal(sum(a[n] for n in N), sd = 1)\n"
    assert all(b.forest is None for b in ppl.parse(sums).explain(y=1.0, N=60).blocks)
