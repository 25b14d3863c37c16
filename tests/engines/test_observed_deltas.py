"""An observed Delta is an equality: against Gaussian conditioning, changes of variables and sums over states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

import ppl
from ppl.source.diagnostics import AimError


def fitted(text: str, **data: Any) -> Any:
    return ppl.parse("model m:\n" + "".join(f"    {line}\n" for line in text.splitlines())).fit(**data)


def conditioned(prior: Any, design: Any, noise: Any, seen: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and covariance of x ~ N(0, prior) given design x + N(0, noise) = seen, and the log density of what was seen."""
    prior, design, noise, seen = (np.asarray(v, float) for v in (prior, design, noise, seen))
    total = design @ prior @ design.T + np.diag(noise)
    gain = prior @ design.T @ np.linalg.inv(total)
    return gain @ seen, prior - gain @ design @ prior, float(stats.multivariate_normal(np.zeros(len(seen)), total).logpdf(seen))


@pytest.mark.parametrize("engine", [None, "nuts"])
def test_a_variable_that_a_delta_names_is_observed(engine: str | None) -> None:
    posterior = fitted("a ~ Normal(0, 1)\nb ~ Delta(a)\ny ~ Normal(b, 1)", y=1.0, b=2.0, engine=engine)
    assert posterior.log_evidence == pytest.approx(stats.norm.logpdf(2) + stats.norm.logpdf(1, 2), abs=1e-9)


def test_a_linear_equality_of_normals_is_exact() -> None:
    """One entry without noise: b = a + 2 c."""
    posterior = fitted("a ~ Normal(0, 1)\nc ~ Normal(a, 1)\nb ~ Delta(a + 2 * c)\ny ~ Normal(a, 1)", b=1.0, y=0.5)
    mean, covariance, evidence = conditioned([[1, 1], [1, 2]], [[1, 2], [1, 0]], [0, 1], [1.0, 0.5])
    assert posterior.exact and posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    for k, name in enumerate("ac"):
        assert posterior[name].mean == pytest.approx(mean[k], abs=1e-9)
        assert posterior[name].var == pytest.approx(covariance[k, k], abs=1e-9)


@pytest.mark.parametrize("spread", ["sd = 0.5", "var = 0.25", "precision = 4"])
def test_an_equality_in_a_plate_is_one_for_each_member(spread: str) -> None:
    text = f"w ~ Normal(0, 1)\ninput x: real[N]\nfor n in N:\n    e[n] ~ Normal(0, {spread})\n    m[n] = w * x[n]\n    b[n] ~ Delta(m[n] - 3 * e[n] + 1)"
    x, b = np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    posterior = fitted(text, x=x, b=b)
    mean, _, evidence = conditioned(np.diag([1, 0.25, 0.25, 0.25]), np.c_[x, -3 * np.eye(3)], [0, 0, 0], b - 1)
    assert posterior.exact and posterior.log_evidence == pytest.approx(evidence, abs=1e-9)
    assert posterior["w"].mean == pytest.approx(mean[0], abs=1e-9)
    assert posterior["e"].mean == pytest.approx(mean[1:], abs=1e-9)


@pytest.mark.parametrize(
    ("expression", "density"),
    [
        ("exp(a[n])", lambda b: stats.norm.logpdf(np.log(b)) - np.log(b)),
        ("log(exp(2 * a[n]))", lambda b: stats.norm.logpdf(b, 0, 2)),
        ("sigmoid(1 - a[n] / 2)", lambda b: stats.norm.logpdf(2 - 2 * np.log(b / (1 - b))) + np.log(2 / (b * (1 - b)))),
        ("3 / 2 - 4 * a[n]", lambda b: stats.norm.logpdf(b, 1.5, 4)),
        ("logit(exp(a[n]) / (5 / 2))", None),
    ],
)
def test_a_function_that_can_be_undone_has_the_density_of_its_value(expression: str, density: Any) -> None:
    b = np.array([0.2, 0.7, 0.4])
    posterior = fitted(f"for n in N: a[n] ~ Normal(0, 1)\nfor n in N: b[n] ~ Delta({expression})", b=b)
    if density is None:  # a = log(2.5 s(b))
        s = 1 / (1 + np.exp(-b))
        expected = stats.norm.logpdf(np.log(2.5 * s)) + np.log(1 - s)
    else:
        expected = density(b)
    assert posterior.log_evidence == pytest.approx(expected.sum(), abs=1e-9)


def test_what_is_known_by_an_equality_informs_the_rest() -> None:
    posterior = fitted("m ~ Normal(0, 1)\nfor n in N: a[n] ~ Normal(m, 1)\nfor n in N: b[n] ~ Delta(exp(a[n]))", b=[1.0, 2.0, 3.0])
    assert posterior["m"].mean == pytest.approx(np.log([1, 2, 3]).sum() / 4, abs=1e-9)
    assert "`a` is known by `b`" in str(posterior.plan)


def test_states_that_say_another_value_are_impossible() -> None:
    posterior = fitted("p ~ Beta(2, 3)\nfor i in 0..4: z[i] ~ Bernoulli(0.3)\nb ~ Delta(z[0] + z[1] + z[2] * z[3])", b=1)
    states = np.array(list(itertools.product([0, 1], repeat=4)))
    p = np.where(states == 1, 0.3, 0.7).prod(axis=1) * (states[:, 0] + states[:, 1] + states[:, 2] * states[:, 3] == 1)
    assert posterior.elbo == pytest.approx(np.log(p.sum()), abs=1e-9)
    assert posterior["z"].mean == pytest.approx(states.T @ p / p.sum(), abs=1e-9)


def test_a_sum_of_counts_is_given() -> None:
    posterior = fitted("n ~ Poisson(4)\nm ~ Poisson(3)\nb ~ Delta(n + m)", b=5)
    assert posterior.log_evidence == pytest.approx(stats.poisson(7).logpmf(5), abs=1e-9)
    assert posterior["n"].mean == pytest.approx(5 * 4 / 7, abs=1e-9)


def test_a_known_delta_says_nothing() -> None:
    posterior = fitted("input c: real\nb ~ Delta(2 * c)\na ~ Normal(b, 1)\ny ~ Normal(a, 1)", y=1.0, b=2.0, c=1.0)
    assert posterior.exact and posterior["a"].mean == pytest.approx(1.5, abs=1e-9)
    assert posterior.log_evidence == pytest.approx(stats.norm.logpdf(1, 2, np.sqrt(2)), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "data", "code", "told"),
    [
        ("input c: real[N]\nfor n in N: b[n] ~ Delta(2 * c[n])", {"b": [2, 5], "c": [1, 2]}, "AIM0615", "b[1] is 5, but a Delta here is 4"),
        (
            "for n in N: a[n] ~ Normal(0, 1)\nfor n in N: b[n] ~ Delta(exp(a[n]))",
            {"b": [1, -1]},
            "AIM0615",
            "no value of a[1] gives the `b`",
        ),
        ("g ~ Gamma(2, 1)\nb ~ Delta(-g)", {"b": 3}, "AIM0615", "g is -3, but a Gamma"),
        ("g ~ Gamma(2, 1)\nh ~ Gamma(2, 1)\nb ~ Delta(g + h - g - h)", {"b": 0}, "AIM0727", "so its probability is 0"),
        ("g ~ Gamma(2, 1)\nh ~ Gamma(2, 1)\nb ~ Delta(g^2 + h^2)", {"b": -1}, "AIM0615", "no values of what is latent were found"),
        (
            "input x: real[N]\na ~ Normal(0, 1)\nfor n in N: b[n] ~ Delta(a^3 * x[n])",
            {"b": [1, 2], "x": [1, 2]},
            "AIM0727",
            "2 numbers given, computed from 1 latent number",
        ),
    ],
)
def test_what_cannot_be_is_told_at_its_place(text: str, data: dict, code: str, told: str) -> None:
    with pytest.raises(AimError) as refused:
        fitted(text, **data)
    assert [d.code for d in refused.value.diagnostics] == [code] and told in refused.value.diagnostics[0].message


# ------------------------------------------------------------------ several latent variables
GAMMA = stats.gamma


def moments(density: Any, low: float, high: float) -> tuple[float, float, float]:
    """Mean, variance and the log of the integral of a density of one number, by quadrature."""
    total, first, second = (integrate.quad(lambda x, k=k: x**k * density(x), low, high, limit=400)[0] for k in range(3))
    return first / total, second / total - (first / total) ** 2, float(np.log(total))


ONE_NUMBER = {
    "sum": ("a ~ Gamma(2, 1)\nc ~ Gamma(3, 1)\nb ~ Delta(a + c)", {"b": 3}, "a", lambda x: GAMMA.pdf(x, 2) * GAMMA.pdf(3 - x, 3), 0, 3),
    "product": ("a ~ Gamma(2, 1)\nc ~ Gamma(3, 1)\nb ~ Delta(a * c)", {"b": 2}, "a", lambda x: GAMMA.pdf(x, 2) * GAMMA.pdf(2 / x, 3) / x, 0, 60),
    "plate": (
        "s ~ Gamma(3, 2)\nfor n in N: x[n] ~ Normal(0, 1)\nfor n in N: b[n] ~ Delta(exp(x[n]) * s)",
        {"b": [1, 2, 3]},
        "s",
        lambda s: GAMMA.pdf(s, 3, scale=0.5) * np.prod([stats.lognorm.pdf(y, 1, scale=s) for y in (1, 2, 3)]),
        0,
        40,
    ),
    "student": ("a ~ Gamma(2, 1)\nc ~ StudentT(3, 0, 1)\nb ~ Delta(a + c)", {"b": 3}, "a", lambda x: GAMMA.pdf(x, 2) * stats.t.pdf(3 - x, 3), 0, 60),
    "uniforms": ("a ~ Uniform(0, 2)\nc ~ Uniform(0, 1)\nb ~ Delta(a + c)", {"b": 0.8}, "a", lambda x: 0.5, 0, 0.8),
    "steps": ("a ~ Normal(0, 1)\nb ~ Delta(floor(a))", {"b": 1}, "a", stats.norm.pdf, 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_what_leaves_one_number_free_is_exact(name: str) -> None:
    text, data, variable, density, low, high = ONE_NUMBER[name]
    posterior = fitted(text, **data)
    mean, variance, evidence = moments(density, low, high)
    assert posterior.exact and posterior.log_evidence == pytest.approx(evidence, abs=1e-6)
    assert posterior[variable].mean == pytest.approx(mean, abs=1e-6) and posterior[variable].var == pytest.approx(variance, abs=1e-6)


def test_a_sum_of_gammas_is_shared_out_as_a_dirichlet() -> None:
    """x / b is Dirichlet(1, 2, 3) where all have one rate (Lukacs 1955)."""
    posterior = fitted("for n in N: x[n] ~ Gamma(n + 1, 2)\nb ~ Delta(sum(x[n] for n in N))", b=4.0, N=3)
    assert "walks on the surface" in str(posterior.plan) and posterior.status == "converged"
    draws = np.asarray(posterior.draws(4000)["x"])
    assert draws.sum(axis=1) == pytest.approx(np.full(len(draws), 4.0), abs=1e-6)
    shares = stats.dirichlet([1, 2, 3])
    assert posterior["x"].mean == pytest.approx(4 * shares.mean(), abs=0.08)
    assert posterior["x"].var == pytest.approx(16 * shares.var(), abs=0.08)


def test_a_linear_map_of_normals_is_conditioned_on() -> None:
    design = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    posterior = fitted("for d in D: x[d] ~ Normal(0, 1)\ninput A: real[M, D]\nb ~ Delta(A @ x)", b=[1.0, 2.0], A=design)
    mean, covariance, _ = conditioned(np.eye(3), design, [0, 0], [1.0, 2.0])
    assert posterior["x"].mean == pytest.approx(mean, abs=0.06) and posterior["x"].var == pytest.approx(np.diag(covariance), abs=0.05)


def test_a_circle_is_walked_on_by_its_length() -> None:
    """a = 2 cos t with t von Mises of concentration 2: the density of b = a² + c² is even along the circle."""
    posterior = fitted("a ~ Normal(1, 1)\nc ~ Normal(0, 1)\nb ~ Delta(a^2 + c^2)", b=4.0)
    ratio = special.i1(2.0) / special.i0(2.0)
    assert posterior["a"].mean == pytest.approx(2 * ratio, abs=0.12)
    assert posterior["c"].var == pytest.approx(4 * ratio / 2, abs=0.15)  # E sin² t = I₁(κ) / (κ I₀(κ))


def test_values_that_meet_an_equality_one_by_one_are_weighed() -> None:
    posterior = fitted("for n in N: a[n] ~ Normal(1, 1)\nfor n in N: b[n] ~ Delta(a[n]^2)", b=[1.0, 4.0])
    plus, minus = stats.norm.pdf([0.0, 1.0]), stats.norm.pdf([2.0, 3.0])
    assert posterior["a"].mean == pytest.approx(np.array([1.0, 2.0]) * (plus - minus) / (plus + minus), abs=0.04)


def test_an_equality_that_is_given_in_part_holds_where_it_is_given() -> None:
    text = "s ~ Gamma(3, 2)\nfor n in N: x[n] ~ Normal(0, 1)\nfor n in N: b[n] ~ Delta(exp(x[n]) * s)"
    posterior = fitted(text, b=[1.0, None, 2.0])
    density = lambda s: GAMMA.pdf(s, 3, scale=0.5) * np.prod([stats.lognorm.pdf(y, 1, scale=s) for y in (1, 2)])  # noqa: E731
    mean, variance, _ = moments(density, 0, 40)
    assert posterior["s"].mean == pytest.approx(mean, abs=0.08) and posterior["s"].var == pytest.approx(variance, abs=0.1)
    known = fitted(
        "for n in N: a[n] ~ Normal(0, 1)\nfor n in N: b[n] ~ Delta(2 * a[n])\nfor n in N: y[n] ~ Normal(a[n], 1)",
        b=[1.0, None],
        y=[0.0, 1.0],
    )
    assert known.exact and known["a"].mean == pytest.approx([0.5, 0.5], abs=1e-9) and known["a"].var == pytest.approx([0, 0.5], abs=1e-9)


def test_no_gaussian_lies_on_a_surface() -> None:
    with pytest.raises(AimError, match=r"AIM0510.*`laplace` cannot serve this model: what is latent lies on a surface"):
        fitted("a ~ Gamma(2, 1)\nc ~ Gamma(2, 1)\nb ~ Delta(a + c)", b=3.0, engine="laplace")
