"""Discrete structure against brute force: chains, trees, grids, potentials, with holes and in plates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.engines import vmp
from ppl.results.posterior import Posterior

Rng = np.random.Generator
HOLE = None


def logs(p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(p)


def enumerated(log_joint: Callable[[np.ndarray], np.ndarray], cardinalities: Sequence[int]) -> tuple[float, list[np.ndarray]]:
    """The log evidence and every variable's posterior; `log_joint` is of all the states, row by row."""
    states = np.array(list(itertools.product(*(range(k) for k in cardinalities))))
    weights = log_joint(states)
    evidence = float(np.logaddexp.reduce(weights))
    p = np.exp(weights - evidence)
    return evidence, [np.bincount(states[:, i], weights=p, minlength=k) for i, k in enumerate(cardinalities)]


def agree(posterior: Posterior, evidence: float, marginals: Sequence[np.ndarray], *names: str) -> None:
    """The variables of `names`, one after the other, have these marginals."""
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    wanted = iter(marginals)
    for name in names:
        belief = posterior[name]
        p = np.asarray(belief.params["p"])
        full = np.stack([1 - p, p], axis=-1) if belief.family == "Bernoulli" else p
        for one in full.reshape(-1, full.shape[-1]):
            np.testing.assert_allclose(one, next(wanted), atol=1e-9)
    assert next(wanted, None) is None


def holes(rng: Rng, values: np.ndarray, share: float) -> np.ndarray:
    return np.where(rng.random(values.shape) < share, np.nan, values)


def some_states(rng: Rng, shape: tuple[int, ...], k: int, share: float) -> np.ndarray:
    """Given states, -1 where none is given."""
    return np.where(rng.random(shape) < share, rng.integers(k, size=shape), -1)


def with_holes(states: np.ndarray) -> list[Any]:
    return [with_holes(s) if np.ndim(s) else (HOLE if s < 0 else int(s)) for s in states]


def kept_to(given: np.ndarray, states: np.ndarray, value: np.ndarray) -> np.ndarray:
    flat = given.ravel()
    return np.where(((states == flat) | (flat < 0)).all(axis=1), value, -np.inf)


def emissions(x: np.ndarray, states: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.nansum(stats.norm.logpdf(x.ravel(), mean[states], 1.0), axis=1)


# ------------------------------------------------------------------ chains
@pytest.mark.parametrize(("steps", "lag", "seed"), [(4, 1, 0), (8, 1, 1), (7, 1, 2), (5, 2, 3), (8, 2, 4), (9, 2, 5), (9, 3, 6), (4, 3, 7)])
def test_a_chain_of_any_lag_with_given_states_and_missing_data(steps: int, lag: int, seed: int) -> None:
    rng, k = np.random.default_rng(seed), 3 if lag == 1 else 2
    tables = [rng.dirichlet(np.ones(k), size=(k,) * order) for order in range(lag + 1)]
    mean, x, given = rng.normal(size=k) * 2, holes(rng, rng.normal(size=steps), 0.3), some_states(rng, (steps,), k, 0.2)
    lines = [f"z[0] ~ Categorical({tables[0].tolist()})"]
    for order in range(1, lag):
        lines.append(f"z[{order}] ~ Categorical(A{order}[{', '.join(f'z[{s}]' for s in range(order))}])")
    lines.append(f"for t in {lag}..T: z[t] ~ Categorical(A{lag}[{', '.join(f'z[t - {s}]' for s in range(lag, 0, -1))}])")
    known = [f"A{order} = {tables[order].tolist()}" for order in range(1, lag + 1)]
    text = written(f"K: size = {k}, T: size = {steps}", [f"mu = {mean.tolist()}", *known, *lines, "for t in T: x[t] ~ Normal(mu[z[t]], 1)"])

    def log_joint(s: np.ndarray) -> np.ndarray:
        total = emissions(x, s, mean)
        for t in range(steps):
            order = min(t, lag)
            total = total + logs(tables[order])[tuple(s[:, t - order : t + 1].T)]
        return kept_to(given, s, total)

    agree(fit(text, x=x, z=given), *enumerated(log_joint, [k] * steps), "z")


def written(header: str, lines: list[str]) -> str:
    return "\n    ".join([f"model m({header}):" if header else "model m:", *lines]) + "\n"


def fit(text: str, **data: Any) -> Posterior:
    """Integer arrays are states, of which -1 is none; where none is given, nothing is."""
    given: dict[str, Any] = {
        k: with_holes(v) if v.dtype.kind == "i" else v for k, v in data.items() if v.dtype.kind != "i" or (v >= 0).any()
    }
    return ppl.parse(text).fit(given)


@pytest.mark.parametrize(("order", "inputs"), [("ST", False), ("TS", False), ("ST", True), ("TS", True)])
def test_sequences_of_a_plate_share_tables_and_have_steps_of_their_own(order: str, inputs: bool) -> None:
    """Also where a known input says which table each step has, and states may be impossible."""
    rng, k, steps, count = np.random.default_rng(5), 2, 7, 2
    tables = rng.dirichlet(np.ones(k), size=(2, k))
    tables[1, 0] = [0.0, 1.0]
    start, mean = rng.dirichlet(np.ones(k), size=count), rng.normal(size=k)
    u = rng.integers(2, size=steps) if inputs else np.zeros(steps, int)
    x, given = holes(rng, rng.normal(size=(count, steps)), 0.3), some_states(rng, (count, steps), k, 0.1)

    def at(t: str) -> str:
        return f"z[s, {t}]" if order == "ST" else f"z[{t}, s]"

    lines = [
        f"A = {tables.tolist()}",
        f"start = {start.tolist()}",
        f"mu = {mean.tolist()}",
        f"for s in S: {at('0')} ~ Categorical(start[s])",
        f"u = {u.tolist()}",
        f"for s in S, t in 1..T: {at('t')} ~ Categorical(A[u[t], {at('t - 1')}])",
        f"for s in S, t in T: x[s, t] ~ Normal(mu[{at('t')}], 1)",
    ]
    text = written(f"K: size = {k}, T: size = {steps}, S: size = {count}", lines)

    def log_joint(states: np.ndarray) -> np.ndarray:
        total = kept_to(given, states, emissions(x, states, mean))
        z = states.reshape(-1, count, steps)
        for s in range(count):
            total = total + logs(start)[s, z[:, s, 0]]
            for t in range(1, steps):
                total = total + logs(tables)[u[t], z[:, s, t - 1], z[:, s, t]]
        return total

    evidence, marginals = enumerated(log_joint, [k] * (count * steps))
    if order == "TS":
        marginals = [marginals[s * steps + t] for t in range(steps) for s in range(count)]
    given = given.T if order == "TS" else given
    agree(fit(text, x=x, z=given), evidence, marginals, "z")


def test_chains_that_meet_in_one_mean_are_one_chain() -> None:
    rng, steps = np.random.default_rng(3), 7
    a, b, mean = rng.dirichlet(np.ones(2), size=2), rng.dirichlet(np.ones(2), size=2), rng.normal(size=(2, 2))
    x = holes(rng, rng.normal(size=steps), 0.2)
    lines = [
        f"A = {a.tolist()}",
        f"B = {b.tolist()}",
        f"M = {mean.tolist()}",
        "v[0] ~ Categorical([0.4, 0.6])",
        "w[0] ~ Categorical([0.7, 0.3])",
    ]
    lines += ["for t in 1..T: v[t] ~ Categorical(A[v[t - 1]])", "for t in 1..T: w[t] ~ Categorical(B[w[t - 1]])"]
    lines += ["for t in T: x[t] ~ Normal(M[v[t], w[t]], 1)"]

    def log_joint(s: np.ndarray) -> np.ndarray:
        v, w = s[:, :steps], s[:, steps:]
        total = logs(np.array([0.4, 0.6]))[v[:, 0]] + logs(np.array([0.7, 0.3]))[w[:, 0]]
        for t in range(1, steps):
            total = total + logs(a)[v[:, t - 1], v[:, t]] + logs(b)[w[:, t - 1], w[:, t]]
        return total + np.nansum(stats.norm.logpdf(x, mean[v, w], 1.0), axis=1)

    posterior = fit(written(f"K: size = 2, T: size = {steps}", lines), x=x)
    agree(posterior, *enumerated(log_joint, [2] * (2 * steps)), "v", "w")
    assert "chain of 7 steps with 4 states" in str(posterior.plan)


def test_chains_of_a_plate_that_meet_are_one_chain() -> None:
    """A factorial chain: the members of a plate meet in a sum."""
    rng, steps, count = np.random.default_rng(4), 7, 2
    a, weight = rng.dirichlet(np.ones(2), size=2), rng.normal(size=count)
    x = rng.normal(size=steps)
    lines = [f"A = {a.tolist()}", f"c = {weight.tolist()}", "for m in M: z[m, 0] ~ Bernoulli(0.4)"]
    lines += ["for m in M, t in 1..T: z[m, t] ~ Bernoulli(A[z[m, t - 1], 1])"]
    lines += ["for t in T: x[t] ~ Normal(sum(c[m] * z[m, t] for m in M), 1)"]

    def log_joint(s: np.ndarray) -> np.ndarray:
        z = s.reshape(-1, count, steps)
        total = logs(np.array([0.6, 0.4]))[z[:, :, 0]].sum(axis=1)
        for t in range(1, steps):
            total = total + logs(a)[z[:, :, t - 1], z[:, :, t]].sum(axis=1)
        return total + stats.norm.logpdf(x, np.einsum("m,smt->st", weight, z), 1.0).sum(axis=1)

    posterior = ppl.parse(written(f"K: size = 2, T: size = {steps}, M: size = {count}", lines)).fit(x=x)
    agree(posterior, *enumerated(log_joint, [2] * (2 * steps)), "z")


@pytest.mark.parametrize("far", [1, 2])
def test_chains_may_meet_at_different_steps(far: int) -> None:
    """Also where one is defined ahead, by `z[t + 1]`."""
    rng, steps = np.random.default_rng(6), 7
    a, mean, x = rng.dirichlet(np.ones(2), size=2), rng.normal(size=(2, 2)), rng.normal(size=steps)
    lines = [f"A = {a.tolist()}", f"mu = {mean.tolist()}", "v[0] ~ Bernoulli(0.4)", "for t in 0..T: v[t + 1] ~ Bernoulli(A[v[t], 1])"]
    lines += ["w[0] ~ Bernoulli(0.5)", "for t in 0..T: w[t + 1] ~ Bernoulli(A[1 - w[t], 1])"]
    lines += [f"for t in {far}..T: factor mu[v[t], w[t - {far}]] * x[t]"]

    def log_joint(s: np.ndarray) -> np.ndarray:
        v, w = s[:, : steps + 1], s[:, steps + 1 :]
        total = logs(np.array([0.6, 0.4]))[v[:, 0]] + np.log(0.5)
        for t in range(steps):
            total = total + logs(a)[v[:, t], v[:, t + 1]] + logs(a)[1 - w[:, t], w[:, t + 1]]
        return total + sum(mean[v[:, t], w[:, t - far]] * x[t] for t in range(far, steps))

    text = written(f"K: size = 2, T: size = {steps}", [f"x = {x.tolist()}", *lines])
    agree(ppl.parse(text).fit(), *enumerated(log_joint, [2] * (2 * steps + 2)), "v", "w")


# ------------------------------------------------------------------ trees, grids, potentials
def test_a_grid_of_spins_with_fields_and_given_ones() -> None:
    rng, n = np.random.default_rng(1), 3
    field, given = rng.normal(size=(n, n)), some_states(rng, (n, n), 2, 0.2)
    lines = [f"h = {field.tolist()}", "for i in N, j in M: s[i, j] ~ Bernoulli(0.5)", "for i in N, j in M: factor h[i, j] * s[i, j]"]
    lines += [
        "for i in 1..N, j in M: factor 0.7 * (s[i, j] == s[i - 1, j])",
        "for i in N, j in 1..M: factor 0.4 * (s[i, j] == s[i, j - 1])",
    ]

    def log_joint(states: np.ndarray) -> np.ndarray:
        s = states.reshape(-1, n, n)
        total = n * n * np.log(0.5) + (field * s).sum(axis=(1, 2))
        total = total + 0.7 * (s[:, 1:] == s[:, :-1]).sum(axis=(1, 2)) + 0.4 * (s[:, :, 1:] == s[:, :, :-1]).sum(axis=(1, 2))
        return kept_to(given, states, total)

    agree(fit(written(f"N: size = {n}, M: size = {n}", lines), s=given), *enumerated(log_joint, [2] * (n * n)), "s")


def test_a_tree_whose_edges_are_data() -> None:
    rng, k, n = np.random.default_rng(2), 2, 9
    parents = np.array([0, *(rng.integers(i) for i in range(1, n))])
    a, mean, x = rng.dirichlet(np.ones(k), size=k), rng.normal(size=k), holes(rng, rng.normal(size=n), 0.4)
    lines = [f"A = {a.tolist()}", f"mu = {mean.tolist()}", f"parent = {parents.tolist()}", "for n in N: z[n] ~ Categorical([0.3, 0.7])"]
    lines += ["for n in 1..N: factor log(A[z[parent[n]], z[n]])", "for n in N: x[n] ~ Normal(mu[z[n]], 1)"]

    def log_joint(s: np.ndarray) -> np.ndarray:
        total = emissions(x, s, mean) + logs(np.array([0.3, 0.7]))[s].sum(axis=1)
        return total + sum(logs(a)[s[:, parents[i]], s[:, i]] for i in range(1, n))

    agree(fit(written(f"K: size = {k}, N: size = {n}", lines), x=x), *enumerated(log_joint, [k] * n), "z")


def test_potentials_of_all_pairs_leave_out_none_and_count_none_twice() -> None:
    """Where both loops are at one member the two references are one variable."""
    rng, n = np.random.default_rng(8), 4
    w = rng.normal(size=(n, n))
    text = written(
        f"N: size = {n}", [f"w = {w.tolist()}", "for i in N: s[i] ~ Bernoulli(0.3)", "for i in N, j in N: factor w[i, j] * s[i] * s[j]"]
    )

    def log_joint(s: np.ndarray) -> np.ndarray:
        return np.where(s, np.log(0.3), np.log(0.7)).sum(axis=1) + np.einsum("ni,ij,nj->n", s, w, s)

    agree(ppl.parse(text).fit(), *enumerated(log_joint, [2] * n), "s")


def test_functions_of_all_members_of_a_plate() -> None:
    """Sums over members, whole vectors, `and`, `or`, `not`, comparisons and `match` of latent values."""
    rng = np.random.default_rng(9)
    prior = rng.uniform(0.2, 0.8, size=4)
    lines = [
        f"p = {prior.tolist()}",
        "for i in N: s[i] ~ Bernoulli(p[i])",
        "many = sum(s[i] for i in N)",
        "odd = s[0] != s[1]",
        "for i in N: e[i] = s[i] * (i + 1)",
    ]
    lines += [
        "x ~ Normal(many, 1)",
        "y ~ Bernoulli(if (odd and not s[2]) or s[3] then 0.9 else 0.2)",
        "w ~ Normal(dot(p, s), 1)",
        "v ~ Normal(sum(e), 1)",
    ]

    def log_joint(s: np.ndarray) -> np.ndarray:
        total = np.where(s, np.log(prior), np.log(1 - prior)).sum(axis=1)
        holds = ((s[:, 0] != s[:, 1]) & (s[:, 2] == 0)) | (s[:, 3] == 1)
        total = total + stats.norm.logpdf(1.7, s.sum(axis=1), 1) + stats.norm.logpdf(0.4, s @ prior, 1)
        total = total + stats.norm.logpdf(5.0, s @ np.arange(1, 5), 1)
        return total + np.log(np.where(holds, 0.9, 0.2))

    agree(ppl.parse(written("N: size = 4", lines)).fit(x=1.7, y=1, w=0.4, v=5.0), *enumerated(log_joint, [2] * 4), "s")


def test_two_variables_with_different_holes_are_one_table() -> None:
    rng, n = np.random.default_rng(10), 12
    table, given = rng.dirichlet(np.ones(3), size=2), (some_states(rng, (n,), 2, 0.5), some_states(rng, (n,), 3, 0.5))
    lines = [f"A = {table.tolist()}", "for n in N: a[n] ~ Bernoulli(0.3)", "for n in N: b[n] ~ Categorical(A[a[n]])"]
    lines += ["for n in N: x[n] ~ Normal(a[n] + b[n], 1)"]
    x = rng.normal(size=n)
    posterior = fit(written(f"K: size = 3, N: size = {n}", lines), a=given[0], b=given[1], x=x)
    evidence, marginals = 0.0, []
    for a, b, y in zip(*given, x, strict=True):

        def log_joint(s: np.ndarray, a: int = a, b: int = b, y: float = y) -> np.ndarray:
            total = logs(np.array([0.7, 0.3]))[s[:, 0]] + logs(table)[s[:, 0], s[:, 1]] + stats.norm.logpdf(y, s.sum(axis=1), 1)
            return kept_to(np.array([a, b]), s, total)

        one, two = enumerated(log_joint, [2, 3])
        evidence += one
        marginals.append(two)
    agree(posterior, evidence, [*(m[0] for m in marginals), *(m[1] for m in marginals)], "a", "b")


# ------------------------------------------------------------------ learnt tables, long chains
LEARNT = """model m(K: size = 3, T: size):
    for k in K:
        A[k] ~ Dirichlet(ones(K))
        mu[k] ~ Normal(0, sd = 5)
        tau[k] ~ Gamma(2, 1)
    {first} ~ Categorical([0.2, 0.3, 0.5])
    {step} ~ Categorical(A[{before}])
    {data} ~ Normal(mu[{now}], precision = tau[{now}])
"""
ONE = {"first": "z[0]", "step": "for t in 1..T: z[t]", "before": "z[t - 1]", "data": "for t in T: x[t]", "now": "z[t]"}
MANY = {
    "first": "for s in S: z[t0, s]",
    "step": "for t in 1..T, s in S: z[t, s]",
    "before": "z[t - 1, s]",
    "data": "for s in S, t in T: x[s, t]",
    "now": "z[t, s]",
}


def simulated(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Sequences that stay in one of three states for about ten steps; time is the last axis."""
    jumps = np.where(rng.random(shape) < 0.1, rng.integers(1, 3, size=shape), 0)
    states = np.cumsum(jumps, axis=-1) % 3
    return np.array([-3.0, 0.0, 4.0])[states] + rng.normal(size=shape) * np.array([0.5, 1.0, 0.7])[states]


@pytest.mark.parametrize("form", ["one", "many", "float32"])
def test_a_long_learnt_chain_finds_its_states_and_has_the_bound_of_the_short_way(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By matrix products or state by state: the same bound, sweep by sweep."""
    rng = np.random.default_rng(0)
    text = LEARNT.format(**(MANY if form == "many" else ONE)).replace("z[t0, s]", "z[0, s]")
    x = simulated(rng, (2, 200) if form == "many" else (400,))
    x[..., 7:11] = x[..., 7:11] if form == "many" else np.nan
    sizes = {"S": 2} if form == "many" else {}
    text = text.replace("T: size)", "T: size, S: size)") if form == "many" else text
    options: dict[str, Any] = {"dtype": np.float32} if form == "float32" else {}
    fast = ppl.parse(text).fit(x=x, **sizes, **options)
    assert np.sort(fast["mu"].mean) == pytest.approx([-3.0, 0.0, 4.0], abs=0.3)
    monkeypatch.setattr("ppl.compiler.emissions.LONG", 10**9)
    slow = ppl.parse(text).fit(x=x, **sizes, **options)
    assert fast.elbo_trace[-1] == pytest.approx(slow.elbo_trace[-1], rel=1e-4 if options else 1e-9)
    if not options:
        np.testing.assert_allclose(fast.elbo_trace[:5], slow.elbo_trace[:5], rtol=1e-10)
        np.testing.assert_allclose(fast["z"].params["p"], slow["z"].params["p"], atol=1e-6)
        assert (np.diff(fast.elbo_trace) > -1e-9 * np.abs(fast.elbo_trace[1:])).all()


def test_what_is_masked_at_the_end_is_removed_and_what_comes_is_predicted() -> None:
    rng = np.random.default_rng(1)
    text = """model m(K: size = 3, T: size):
    mu = [-2, 0, 3]
    for k in K: A[k] ~ Dirichlet(ones(K) + 2 * onehot(k, K))
    z[0] ~ Categorical([0.2, 0.3, 0.5])
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: x[t] ~ Normal(mu[z[t]], sd = 1)
"""
    x = simulated(rng, (20,))
    short, long = ppl.parse(text).fit(x=x), ppl.parse(text).fit(x=np.concatenate([x, np.full(3, np.nan)]))
    assert long.elbo == pytest.approx(short.elbo, abs=1e-9)
    np.testing.assert_allclose(long["A"].params["concentration"], short["A"].params["concentration"], rtol=1e-9)
    np.testing.assert_allclose(long["z"].params["p"][:20], short["z"].params["p"], atol=1e-9)
    ahead = short["z"].params["p"][-1] @ np.asarray(short["A"].mean)
    np.testing.assert_allclose(long["z"].params["p"][20], ahead, atol=0.03)
    assert long["x"].mean[20] == pytest.approx(ahead @ [-2, 0, 3], abs=0.15)


def test_sequences_of_different_lengths_keep_one_transition() -> None:
    rng = np.random.default_rng(2)
    text = LEARNT.format(**MANY).replace("z[t0, s]", "z[0, s]").replace("T: size)", "T: size, S: size)")
    x = simulated(rng, (2, 30))
    x[0, 25:], x[1, 12:] = np.nan, np.nan
    assert "2 independent chain of 25 steps with 3 states\n" in str(ppl.parse(text).explain(x=x))


# ------------------------------------------------------------------ members taken as independent
def test_a_large_grid_has_members_that_take_turns_and_a_bound_below_the_evidence() -> None:
    rng, n = np.random.default_rng(3), 4
    text = """model m(N: size, h: real[N, N]):
    for i in N, j in N: s[i, j] ~ Bernoulli(0.5)
    for i in N, j in N: factor h[i, j] * s[i, j]
    for i in 1..N, j in N: factor 0.9 * (s[i, j] == s[i - 1, j])
    for i in N, j in 1..N: factor 0.6 * (s[i, j] == s[i, j - 1])
"""
    h = rng.normal(size=(n, n))
    exact, apart = ppl.parse(text).fit(h=h), ppl.parse(text + "\napproximate m:\n    q(s[i, j])\n").fit(h=h)
    assert exact.exact
    assert not apart.exact
    assert exact.log_evidence is not None
    assert apart.elbo < exact.log_evidence - 1e-3
    assert (np.diff(apart.elbo_trace) > -1e-12).all()
    large = ppl.parse(text).fit(h=rng.normal(size=(40, 40)))
    assert "2 turns" in str(large.plan)
    assert large.status == "converged"
    assert (np.diff(large.elbo_trace) > -1e-9).all()


def test_a_mean_field_of_spins_solves_its_equations() -> None:
    """q_i = sigmoid(h_i + Σ_j J_ij q_j): at the optimum every spin stands where the others put it."""
    n, coupling, h = 5, 0.8, np.array([0.3, -0.2, 0.1, 0.5, -0.4])
    text = written(
        f"N: size = {n}",
        [
            f"h = {h.tolist()}",
            "for i in N: s[i] ~ Bernoulli(0.5)",
            "for i in N: factor h[i] * s[i]",
            f"for i in 1..N: factor {coupling} * s[i] * s[i - 1]",
        ],
    )
    posterior = ppl.parse(text + "\napproximate m:\n    q(s[i])\n").fit(tolerance=1e-14)
    q = np.asarray(posterior["s"].params["p"])
    field = h + coupling * (np.append(q[1:], 0) + np.append(0, q[:-1]))
    np.testing.assert_allclose(q, 1 / (1 + np.exp(-field)), atol=1e-5)
    entropy = -(q * np.log(q) + (1 - q) * np.log(1 - q)).sum()
    assert posterior.elbo == pytest.approx(h @ q + coupling * (q[1:] * q[:-1]).sum() + entropy - n * np.log(2), abs=1e-8)


# ------------------------------------------------------------------ draws, networks, potentials with data
def test_joint_draws_have_the_probabilities_of_neighbours() -> None:
    rng = np.random.default_rng(4)
    a = rng.dirichlet(np.ones(2), size=2)
    text = written(
        "K: size = 2, T: size = 8",
        [
            f"A = {a.tolist()}",
            "z[0] ~ Categorical([0.3, 0.7])",
            "for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])",
            "changes = sum(if z[t] == z[t + 1] then 0 else 1 for t in 0..7)",
            "y ~ Normal(changes, 1)",
        ],
    )

    def log_joint(s: np.ndarray) -> np.ndarray:
        total = logs(np.array([0.3, 0.7]))[s[:, 0]] + sum(logs(a)[s[:, t], s[:, t + 1]] for t in range(7))
        return total + stats.norm.logpdf(4.0, (s[:, 1:] != s[:, :-1]).sum(axis=1), 1)

    posterior = ppl.parse(text).fit(y=4.0)
    evidence, marginals = enumerated(log_joint, [2] * 8)
    agree(posterior, evidence, marginals, "z")
    states = np.array(list(itertools.product(range(2), repeat=8)))
    weight = np.exp(log_joint(states) - evidence)
    changes = (states[:, 1:] != states[:, :-1]).sum(axis=1)
    mean = weight @ changes
    assert posterior["changes"].mean == pytest.approx(mean, abs=0.1)
    assert posterior["changes"].sd == pytest.approx(np.sqrt(weight @ (changes - mean) ** 2), abs=0.1)


def test_the_asia_network_is_summed_exactly() -> None:
    text = """model asia:
    trip ~ Bernoulli(0.01)
    smoke ~ Bernoulli(0.5)
    tub ~ Bernoulli(if trip then 0.05 else 0.01)
    lung ~ Bernoulli(if smoke then 0.1 else 0.01)
    bronc ~ Bernoulli(if smoke then 0.6 else 0.3)
    either = tub or lung
    xray ~ Bernoulli(if either then 0.98 else 0.05)
    short = match either, bronc:
        1, 1 -> 0.9
        1, 0 -> 0.7
        0, 1 -> 0.8
        0, 0 -> 0.1
    dysp ~ Bernoulli(short)
"""

    def log_joint(s: np.ndarray) -> np.ndarray:
        trip, smoke, tub, lung, bronc = s.T
        either = tub | lung
        total = np.zeros(len(s))
        breath = np.array([[0.1, 0.8], [0.7, 0.9]])[either, bronc]
        for value, p in ((trip, 0.01), (smoke, 0.5), (tub, np.where(trip, 0.05, 0.01)), (lung, np.where(smoke, 0.1, 0.01))):
            total = total + np.log(np.where(value, p, 1 - p))
        total = total + np.log(np.where(bronc, *(np.where(smoke, a, b) for a, b in ((0.6, 0.3), (0.4, 0.7)))))
        return total + np.log(np.where(either, 0.98, 0.05)) + np.log(breath)

    posterior = ppl.parse(text).fit(xray=1, dysp=1)
    agree(posterior, *enumerated(log_joint, [2] * 5), "trip", "smoke", "tub", "lung", "bronc")


def test_a_single_state_with_a_latent_probability() -> None:
    text = "model m:\n    p ~ Beta(2, 3)\n    z ~ Bernoulli(p)\n    a ~ Bernoulli(if z == 1 then 0.9 else 0.05)\n"
    posterior = ppl.parse(text).fit(a=1)
    on, off = 0.4 * 0.9, 0.6 * 0.05
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(np.log(on + off), abs=1e-9)
    assert posterior["p"].mean == pytest.approx((on * 3 / 6 + off * 2 / 6) / (on + off), abs=1e-9)


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_long_chain_that_no_segment_can_guess_is_fitted_by_another_route(restarts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """States that never change and a weak signal; the bound is that of the recursion in logarithms."""
    from ppl.families import discrete_chain

    text = """model still(T: size):
    A = [[1, 0], [0, 1]]
    m ~ Normal(0.3, sd = 0.01)
    z[0] ~ Categorical([0.5, 0.5])
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: x[t] ~ Normal(m * z[t], sd = 3)
"""
    x = 3 * np.random.default_rng(2).normal(size=30_000)
    taken: list[int] = []
    whole = vmp._compiled_once
    monkeypatch.setattr(
        vmp, "_compiled_once", lambda program, place, *rest, **more: taken.append(place) or whole(program, place, *rest, **more)
    )
    model = ppl.parse(text)
    found = model.fit(x=x, restarts=restarts)
    assert taken == [0, 1]
    monkeypatch.setattr(discrete_chain, "SMALL", 10**9)
    monkeypatch.setattr(vmp, "_COMPILED", {})
    slow = model.fit(x=x, restarts=restarts)
    assert taken == [0, 1, 0]
    assert found.elbo == pytest.approx(slow.elbo, rel=1e-12)
    np.testing.assert_allclose(found["z"].params["p"], slow["z"].params["p"], atol=1e-9)
    assert found.converged and (np.diff(found.elbo_trace) > -1e-7).all()
