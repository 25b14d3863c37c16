"""Which members of a plate a reference means: definitions, sums, neighbours and missing entries, against enumeration and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

import ppl


def test_a_definition_keeps_its_own_loops() -> None:
    """The name of a loop in a definition is not that of the loop in which it is used."""
    model = ppl.parse(
        "model m:\n    input X: real[N, K]\n    for k in K: w[k] ~ Normal(0, sd = 1)\n"
        "    for n in N: f[n] = sum(X[n, k] * w[k] for k in K)\n    for k in N: y[k] ~ Normal(f[k], sd = 1)\n"
    )
    X, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 2.0])
    posterior = model.fit(X=X, y=y)
    cov = np.linalg.inv(X.T @ X + np.eye(2))
    np.testing.assert_allclose(posterior["w"].mean, cov @ X.T @ y, atol=1e-10)
    np.testing.assert_allclose(posterior["w"].sd, np.sqrt(np.diag(cov)), atol=1e-10)


def test_sums_inside_each_other_run_over_their_own_sets() -> None:
    model = ppl.parse(
        "model m:\n    input a: real[I, J]\n    for j in J: x[j] ~ Normal(0, 1)\n"
        "    y ~ Normal(sum(sum(a[i, j] * x[j] for j in J) for i in I), 1)\n"
    )
    a = np.array([[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]])
    posterior = model.fit(a=a, y=1.0)
    weights = a.sum(axis=0)
    assert posterior.log_evidence == pytest.approx(stats.norm.logpdf(1.0, 0, np.sqrt(weights @ weights + 1)), abs=1e-10)


def test_neighbours_on_a_plate_are_summed_over_exactly() -> None:
    """Two discrete variables that meet at different members of their plates."""
    model = ppl.parse(
        "model m:\n    for n in N:\n        z[n] ~ Bernoulli(0.3)\n        w[n] ~ Bernoulli(if z[n] == 1 then 0.9 else 0.2)\n"
        "    for n in 1..N: y[n - 1] ~ Normal(z[n] + 2 * w[n - 1], sd = 1)\n"
    )
    posterior = model.fit(y=[2.7], N=2)
    total, mean = 0.0, np.zeros((2, 2))
    for z0, z1, w0, w1 in itertools.product([0, 1], repeat=4):
        p = np.prod([0.3 if z else 0.7 for z in (z0, z1)])
        for z, w in ((z0, w0), (z1, w1)):
            p *= (0.9 if w else 0.1) if z else (0.2 if w else 0.8)
        p *= stats.norm.pdf(2.7, z1 + 2 * w0, 1)
        total += p
        mean += p * np.array([[z0, z1], [w0, w1]])
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(np.log(total), abs=1e-10)
    np.testing.assert_allclose([posterior["z"].mean, posterior["w"].mean], mean / total, atol=1e-10)


def test_deviations_far_from_zero_do_not_cancel() -> None:
    """Sds of deterministic quantities and of predictions where the mean is 1e8."""
    posterior = ppl.parse("model m:\n    mu ~ Normal(1e8, sd = 10)\n    d = mu + 1\n    for n in N: x[n] ~ Normal(mu, sd = 1)\n").fit(
        x=[1e8 + 1, 1e8 - 1, None]
    )
    variance = 1 / (2 + 0.01)
    assert posterior["d"].sd == pytest.approx(np.sqrt(variance), rel=1e-6)
    np.testing.assert_allclose(posterior["x"].sd, [0, 0, np.sqrt(1 + variance)], rtol=1e-6)


def test_a_prediction_takes_the_entry_that_it_names() -> None:
    """Where a Beta is observed in part, its latent entries stand side by side; an index still means the member."""
    posterior = ppl.parse(
        "model m:\n    for k in K: theta[k] ~ Beta(1, 1)\n    for k in K: x[k] ~ Bernoulli(theta[k])\n    y ~ Bernoulli(theta[1])\n"
    ).fit(theta=[0.9, None, None], x=[1, 0, 1])
    assert posterior["y"].mean == pytest.approx(1 / 3, abs=1e-10)
    np.testing.assert_allclose(posterior["theta"].mean, [0.9, 1 / 3, 2 / 3], atol=1e-10)


def test_components_may_be_known_in_part() -> None:
    model = ppl.parse(
        "model m(K: size = 2):\n    for k in K: mu[k] ~ Normal(0, sd = 10)\n    for n in N:\n"
        "        z[n] ~ Categorical(ones(K) / K)\n        x[n] ~ Normal(mu[z[n]], sd = 1)\n"
    )
    x = np.array([0.1, 5.0, 6.0, -0.4])
    posterior = model.fit(mu=[0, None], x=x)
    total = 0.0
    for z in itertools.product([0, 1], repeat=4):
        own = x[np.array(z) == 1]
        cov = np.eye(len(own)) + 100.0
        known = stats.norm.pdf(x[np.array(z) == 0]).prod()
        total += 0.5**4 * known * (stats.multivariate_normal(np.zeros(len(own)), cov).pdf(own) if len(own) else 1.0)
    prior = stats.norm.logpdf(0, 0, 10)  # of the component that is given
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(np.log(total) + prior, abs=1e-9)


@pytest.mark.parametrize("every", [3, 7])
def test_rows_with_missing_data_are_as_if_they_were_not_there(every: int) -> None:
    """Neither a missing value nor the component that would have made it takes part."""
    text = (
        "model m(K: size = 2):\n    pi ~ Dirichlet(ones(K))\n    for k in K:\n        mu[k] ~ Normal(0, sd = 10)\n"
        "        tau[k] ~ Gamma(1, 1)\n    for n in N:\n        z[n] ~ Categorical(pi)\n        x[n] ~ Normal(mu[z[n]], precision = tau[z[n]])\n"
    )
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 60), rng.normal(6, 1, 60)])
    holes = np.where(np.arange(120) % every == 0, np.nan, x)
    whole, removed = ppl.parse(text).fit(x=holes), ppl.parse(text).fit(x=x[~np.isnan(holes)])
    assert whole.elbo == pytest.approx(removed.elbo, abs=1e-8)
    np.testing.assert_allclose(np.sort(whole["mu"].mean), np.sort(removed["mu"].mean), atol=1e-6)
    share = whole["pi"].mean
    np.testing.assert_allclose(whole["z"].params["p"][0], share, atol=1e-10)  # a prediction: E[pi]


def test_a_half_known_condition_splits_the_plate() -> None:
    """What a given label selects touches no other variable, so that the answer is exact."""
    model = ppl.parse(
        "model m:\n    p ~ Beta(1, 1)\n    q ~ Beta(2, 1)\n    for n in N:\n        z[n] ~ Bernoulli(0.3)\n"
        "        x[n] ~ Bernoulli(if z[n] == 1 then p else q)\n"
    )
    posterior = model.fit(x=[0, 1, 1, 0], z=[0, 1, 1, 0])
    assert posterior.exact
    assert posterior["p"].params == {"a": pytest.approx(3), "b": pytest.approx(1)}
    assert posterior["q"].params == {"a": pytest.approx(2), "b": pytest.approx(3)}


@pytest.mark.parametrize(
    ("text", "data", "code"),
    [
        ("p ~ Bernoulli(0.5)\nx ~ Normal(0, sd = p)", {"x": 1}, "AIM0730"),
    ],
)
def test_what_has_no_answer_yet_says_so(text: str, data: dict, code: str) -> None:
    model = ppl.parse("model m:\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    with pytest.raises(ppl.AimError) as refused:
        model.fit(data)
    assert [d.code for d in refused.value.diagnostics] == [code]


def test_a_probability_that_is_affine_in_what_is_latent_is_predicted_exactly() -> None:
    posterior = ppl.parse(
        "model m:\n    p ~ Beta(1, 1)\n    for n in N: x[n] ~ Bernoulli(1 - p)\n    for n in N: c[n] ~ Categorical([p, 1 - p])\n"
    ).fit(x=[1, 1, None, 0], c=[0, None, 1, 1])
    assert posterior["x"].mean[2] == pytest.approx(5 / 8, abs=1e-12)
    np.testing.assert_allclose(posterior["c"].params["p"][1], [3 / 8, 5 / 8], atol=1e-12)


def test_a_definition_one_step_on_is_found_at_its_index() -> None:
    """`s[t + 1] = …` beside `s[0] = …`: each reference takes the statement that defines its member."""
    posterior = ppl.parse(
        "model m:\n    input u: real[T]\n    a ~ Normal(0, 1)\n    b ~ Normal(0, 1)\n    s[0] = b\n    for t in T: s[t + 1] = a * u[t]\n"
        "    for t in T: y[t] ~ Normal(s[t + 1], 1)\n    w ~ Normal(s[0], 1)\n    v ~ Normal(s[2], 1)\n"
    ).fit(u=[1, 2, 3], y=[0.5, 1, 2], w=0.3, v=1)
    design = np.array([[1, 0], [2, 0], [3, 0], [0, 1], [2, 0]])
    mean = np.linalg.solve(np.eye(2) + design.T @ design, design.T @ [0.5, 1, 2, 0.3, 1])
    np.testing.assert_allclose([posterior["a"].mean, posterior["b"].mean], mean, atol=1e-12)
    np.testing.assert_allclose(posterior["s"].mean, [mean[1], *(mean[0] * np.array([1, 2, 3]))], atol=1e-12)


@pytest.mark.parametrize("shape", [(9, 9), (12, 10), (20, 3)])
def test_two_long_plates_are_summed_as_one(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(3, 1, shape)
    posterior = ppl.parse("model m:\n    mu ~ Normal(0, sd = 2)\n    for n in N, d in D: x[n, d] ~ Normal(mu, sd = 0.7)\n").fit(x=x)
    cov = 0.49 * np.eye(x.size) + 4.0
    assert posterior.log_evidence == pytest.approx(stats.multivariate_normal(np.zeros(x.size), cov).logpdf(x.ravel()), abs=1e-7)
    assert posterior["mu"].sd == pytest.approx((0.25 + x.size / 0.49) ** -0.5, rel=1e-10)


def test_a_statement_of_one_member_may_take_no_part() -> None:
    posterior = ppl.parse("model m:\n    a ~ Normal(0, sd = 1)\n    x[0] ~ Normal(a, sd = 1)\n    x[1] ~ Normal(2 * a, sd = 1)\n").fit(
        x=[1, None]
    )
    assert posterior.log_evidence == pytest.approx(stats.norm.logpdf(1, 0, np.sqrt(2)), abs=1e-10)
    assert posterior["x"].mean[1] == pytest.approx(1.0)


def test_no_exposure_and_no_count_say_nothing() -> None:
    text = "model m:\n    input h: real[N]\n    t ~ Gamma(3, 2)\n    for n in N: x[n] ~ Poisson(h[n] * t)\n"
    with_zero = ppl.parse(text).fit(h=[1, 0, 3], x=[1, 0, 3])
    without = ppl.parse(text).fit(h=[1, 3], x=[1, 3])
    assert with_zero.log_evidence == pytest.approx(without.log_evidence, abs=1e-10)


def test_differences_of_any_variables_have_exact_moments() -> None:
    posterior = ppl.parse(
        "model m:\n    for k in K: rate[k] ~ Beta(1, 1)\n    lift = rate[1] - rate[0]\n    p ~ Dirichlet(ones(3))\n    q = p[0] - p[1]\n"
        "    for k in K, n in N: x[k, n] ~ Bernoulli(rate[k])\n    for n in N: c[n] ~ Categorical(p)\n"
    ).fit(x=[[1, 0, 0], [1, 1, 0]], c=[0, 0, 1])
    assert posterior["lift"].mean == pytest.approx(3 / 5 - 2 / 5, abs=1e-12)
    assert posterior["lift"].sd == pytest.approx(np.sqrt(2 * stats.beta(3, 2).var()), abs=1e-12)
    c, direction = np.array([3.0, 2.0, 1.0]), np.array([1.0, -1.0, 0.0])
    cov = stats.dirichlet(c).cov()
    assert posterior["q"].sd == pytest.approx(np.sqrt(direction @ cov @ direction), abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "a ~ Beta(2, 2)\nfor n in N: x[n] ~ Categorical([a, a])",
        "a ~ Dirichlet(ones(2))\nfor n in N: x[n] ~ Categorical(2 * a)",
        "z ~ Bernoulli(0.5)\nfor n in N: x[n] ~ Normal(0, sd = 2 * z - 1)",
    ],
)
def test_what_leaves_its_support_for_some_values_is_refused(text: str) -> None:
    model = ppl.parse("model m:\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    with pytest.raises(ppl.AimError) as refused:
        model.fit(x=[0, 1, 1])
    assert [d.code for d in refused.value.diagnostics] == ["AIM0732"]


def test_a_known_variable_of_several_statements_is_read_at_any_index() -> None:
    model = ppl.parse(
        "model m:\n    a ~ Normal(0, 1)\n    s[0] = 5\n    for t in T: s[t + 1] = 2 * t\n    for t in T: y[t] ~ Normal(a + s[T - t], 1)\n"
    )
    posterior = model.fit(y=[4.5, 2.5, 0.5])  # less 4, 2, 0
    assert posterior["a"].mean == pytest.approx(1.5 / 4, abs=1e-12)
    assert model.sample(5, T=3)["s"].shape == (5, 4)


def test_a_prior_that_leaves_a_support_is_refused_when_drawn() -> None:
    with pytest.raises(ppl.AimError) as refused:
        ppl.parse("model m:\n    a ~ Normal(0, 1)\n    b ~ Normal(0, sd = a)\n").sample(50)
    assert refused.value.diagnostics[0].code == "AIM0732"


def test_a_sum_whose_range_grows_with_another_index() -> None:
    y = np.array([1.0, 2.0, 0.5])
    grown = ppl.parse(
        "model m:\n    for t in T: e[t] ~ Normal(0, 1)\n    for t in T: y[t] ~ Normal(sum(e[s] for s in 0..t + 1), sd = 1)\n"
    ).fit(y=y)
    lower = np.tril(np.ones((3, 3)))
    assert grown.exact
    assert grown.log_evidence == pytest.approx(stats.multivariate_normal(np.zeros(3), lower @ lower.T + np.eye(3)).logpdf(y), abs=1e-9)
    np.testing.assert_allclose(grown["e"].mean, lower.T @ np.linalg.solve(lower @ lower.T + np.eye(3), y), atol=1e-9)
    none = ppl.parse("model m:\n    for t in T: x[t] ~ Normal(sum(s for s in 0..t), sd = 1)\n")
    assert none.log_density(x=[0.0, 0.0, 1.0, 3.0]) == pytest.approx(4 * stats.norm.logpdf(0.0))
