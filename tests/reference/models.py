"""Small models with data, each with its log evidence where that is known; every law of the engine is held against all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import betaln

from tests.reference.evidences import (
    BITS,
    CLASSES,
    COUNTS,
    FEATURES,
    GROUPS,
    MATRIX,
    PAIRS,
    PARTLY,
    POSITIVE,
    SPREAD,
    TABLE,
    WORDS,
    X,
    Y,
    beta_rows,
    by_group_precision,
    dirichlet_categorical,
    gamma_poisson,
    gaussian,
    groups,
    known_components,
    mixture_of_categoricals,
    mixture_of_features,
    mixture_of_poissons,
    naive_bayes,
    normal_mean,
    partly_observed,
    precision,
    rates_of_rates,
    regression,
    sprinkler,
    three_arms,
    two_arms,
    two_discrete,
    vector_mean,
    wishart,
)
from tests.reference.gaussians import log_normal
from tests.reference.quadrature import log_integral_unit


@dataclass(frozen=True)
class Case:
    """`evidence` is the log evidence in nats where it is known; `rows` names the data whose first axis is the same plate, any order
    of which means the same; `labels` starts the discrete blocks; `exact` says that the posterior is no approximation."""

    text: str
    data: dict[str, Any]
    evidence: Callable[[], float] | None = None
    exact: bool = False
    rows: tuple[str, ...] = ()
    labels: dict[str, np.ndarray] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "beta, bernoulli": Case(
        "p ~ Beta(2, 3)\nfor n in N: x[n] ~ Bernoulli(p)", {"x": [1, 0, 1, 1]}, lambda: betaln(5, 4) - betaln(2, 3), True, ("x",)
    ),
    "beta in a written-out table": Case(
        "p ~ Beta(2, 3)\nfor n in N: x[n] ~ Categorical([1 - p, p])", {"x": [1, 0, 1, 1]}, lambda: betaln(5, 4) - betaln(2, 3), True, ("x",)
    ),
    "beta, binomial": Case(
        "p ~ Beta(2, 2)\nfor n in N: x[n] ~ Binomial(6, p)",
        {"x": [1, 5, 3]},
        lambda: log_integral_unit(lambda p: stats.beta.logpdf(p, 2, 2) + sum(stats.binom.logpmf(k, 6, p) for k in (1, 5, 3))),
        True,
        ("x",),
    ),
    "dirichlet, categorical": Case(
        "p ~ Dirichlet([1, 2, 0.5])\nfor n in N: x[n] ~ Categorical(p)",
        {"x": [0, 2, 2, 1, 2]},
        lambda: dirichlet_categorical(np.array([1, 1, 3.0]), np.array([1, 2, 0.5])),
        True,
        ("x",),
    ),
    "dirichlet, multinomial": Case(
        "p ~ Dirichlet([1, 2, 0.5])\nfor n in N: x[n] ~ Multinomial(6, p)",
        {"x": [[1, 2, 3], [6, 0, 0]]},
        lambda: dirichlet_categorical(np.array([7, 2, 3.0]), np.array([1, 2, 0.5])) + np.log(60.0),
        True,
        ("x",),
    ),
    "multinomial without a total": Case(
        "p ~ Dirichlet([1, 2, 0.5])\nfor n in N: x[n] ~ Multinomial(p = p)",
        {"x": [[1, 2, 3], [2, 0, 0]]},
        lambda: dirichlet_categorical(np.array([3, 2, 3.0]), np.array([1, 2, 0.5])) + np.log(60.0),
        True,
        ("x",),
    ),
    "gamma, poisson": Case(
        "r ~ Gamma(2, 0.5)\nfor n in N: x[n] ~ Poisson(r)", {"x": COUNTS}, lambda: gamma_poisson(COUNTS, 2.0, 0.5), True, ("x",)
    ),
    "gamma by scale, poisson with exposure": Case(
        "input h: real[N]\nr ~ Gamma(2, scale = 2)\nfor n in N: x[n] ~ Poisson(r * h[n])",
        {"x": COUNTS, "h": POSITIVE},
        lambda: precision(
            lambda r: stats.gamma.logpdf(r, 2, scale=2),
            lambda r: stats.poisson.logpmf(COUNTS[:, None], POSITIVE[:, None] * r).sum(axis=0),
        ),
        True,
        ("x", "h"),
    ),
    "exponential, exponential": Case(
        "r ~ Exponential(2)\nfor n in N: x[n] ~ Exponential(r)",
        {"x": POSITIVE},
        lambda: precision(
            lambda r: stats.expon.logpdf(r, scale=0.5), lambda r: stats.expon.logpdf(POSITIVE[:, None], scale=1 / r).sum(axis=0)
        ),
        True,
        ("x",),
    ),
    "gamma, gamma": Case(
        "r ~ Gamma(2, 1)\nfor n in N: x[n] ~ Gamma(1.5, rate = r)",
        {"x": POSITIVE},
        lambda: precision(
            lambda r: stats.gamma.logpdf(r, 2), lambda r: stats.gamma.logpdf(POSITIVE[:, None], 1.5, scale=1 / r).sum(axis=0)
        ),
        True,
        ("x",),
    ),
    "inverse gamma, gamma by scale": Case(
        "s ~ InverseGamma(2, 1)\nfor n in N: x[n] ~ Gamma(1.5, scale = s)",
        {"x": POSITIVE},
        lambda: precision(lambda s: stats.invgamma.logpdf(s, 2), lambda s: stats.gamma.logpdf(POSITIVE[:, None], 1.5, scale=s).sum(axis=0)),
        True,
        ("x",),
    ),
    "gamma, inverse gamma": Case(
        "s ~ Gamma(2, 1)\nfor n in N: x[n] ~ InverseGamma(3, s)",
        {"x": POSITIVE},
        lambda: precision(lambda s: stats.gamma.logpdf(s, 2), lambda s: stats.invgamma.logpdf(POSITIVE[:, None], 3, scale=s).sum(axis=0)),
        True,
        ("x",),
    ),
    "normal, its sd known": Case(
        "mu ~ Normal(1, sd = 3)\nfor n in N: x[n] ~ Normal(mu, var = 0.5)", {"x": Y}, lambda: normal_mean(Y, 1.0, 9.0, 0.5), True, ("x",)
    ),
    "inverse gamma as a variance": Case(
        "s ~ InverseGamma(3, 2)\nfor n in N: x[n] ~ Normal(0.5, var = s)",
        {"x": Y},
        lambda: precision(
            lambda s: stats.invgamma.logpdf(s, 3, scale=2), lambda s: stats.norm.logpdf(Y[:, None], 0.5, np.sqrt(s)).sum(axis=0)
        ),
        True,
        ("x",),
    ),
    "a scaled variance": Case(
        "s ~ InverseGamma(3, 2)\nfor n in N: x[n] ~ Normal(0.5, var = 2 * s)",
        {"x": Y},
        lambda: precision(
            lambda s: stats.invgamma.logpdf(s, 3, scale=2), lambda s: stats.norm.logpdf(Y[:, None], 0.5, np.sqrt(2 * s)).sum(axis=0)
        ),
        True,
        ("x",),
    ),
    "a precision as the reciprocal of a variance": Case(
        "t ~ Gamma(3, 2)\nfor n in N: x[n] ~ Normal(0.5, var = 1 / t)",
        {"x": Y},
        lambda: precision(lambda t: stats.gamma.logpdf(t, 3, scale=0.5), lambda t: stats.norm.logpdf(Y[:, None], 0.5, t**-0.5).sum(axis=0)),
        True,
        ("x",),
    ),
    "wishart": Case("P ~ Wishart(4, eye(2))\nfor n in N: x[n] ~ MvNormal(zeros(2), precision = P)", {"x": PAIRS}, wishart, True, ("x",)),
    "wishart as an inverse covariance": Case(
        "P ~ Wishart(4, eye(2))\nfor n in N: x[n] ~ MvNormal(zeros(2), cov = inverse(P))", {"x": PAIRS}, wishart, True, ("x",)
    ),
    "a vector mean": Case(
        "m ~ MvNormal([0.3, -0.2], cov = [[2, 1], [1, 2]])\nfor n in N: x[n] ~ MvNormal(m, scale_tril = [[1, 0], [0.5, 1]])",
        {"x": PAIRS},
        vector_mean,
        True,
        ("x",),
    ),
    "regression with an offset": Case(
        "input X: real[N, D]\nfor d in D: w[d] ~ Normal(0, 2)\nfor n in N: y[n] ~ Normal(1 + dot(X[n], w), 0.5)",
        {"X": X, "y": Y},
        regression,
        True,
        ("X", "y"),
    ),
    "regression as a sum": Case(
        "input X: real[N, D]\nfor d in D: w[d] ~ Normal(0, 2)\nfor n in N: y[n] ~ Normal(1 + sum(w[d] * X[n, d] for d in D), 0.5)",
        {"X": X, "y": Y},
        regression,
        True,
        ("X", "y"),
    ),
    "groups under one mean": Case(
        "input g: J[N]\ninput u: real[N]\ntop ~ Normal(0.5, 2)\nfor j in J: alpha[j] ~ Normal(top, 1)\nslope ~ Normal(0, 1)\n"
        "for n in N:\n    m[n] = alpha[g[n]] + slope * u[n]\n    y[n] ~ Normal(m[n], 0.7)",
        {"g": GROUPS, "u": X[:, 0], "y": Y},
        groups,
        True,
        ("g", "u", "y"),
    ),
    "a matrix times a latent vector": Case(
        "input A: real[M, D]\nfor d in D: w[d] ~ Normal(0, 2)\ny ~ MvNormal(A @ w, cov = 0.25 * eye(3))",
        {"A": MATRIX, "y": Y[:3]},
        lambda: float(log_normal(Y[:3], np.zeros(3), 4 * MATRIX @ MATRIX.T + 0.25 * np.eye(3))),
        True,
    ),
    "normals observed in part": Case(
        "mu ~ Normal(0, 1)\nfor n in N:\n    x[n] ~ Normal(mu, 1)\n    y[n] ~ Normal(2 * x[n], 0.5)",
        PARTLY,
        lambda: partly_observed()[0].log_evidence(partly_observed()[1]),
        True,
        ("x", "y"),
    ),
    "a certain function of a normal": Case(
        "mu ~ Normal(0, 1)\nd ~ Delta(2 * mu + 1)\nfor n in N: x[n] ~ Normal(d, 1)",
        {"x": Y},
        lambda: normal_mean(Y, 1.0, 4.0, 1.0),
        True,
        ("x",),
    ),
    "rain and sprinkler": Case(
        "rain ~ Bernoulli(0.2)\nsprinkler ~ Bernoulli(if rain == 1 then 0.01 else 0.4)\n"
        "wet ~ Bernoulli([[0.02, 0.9], [0.8, 0.99]][sprinkler, rain])",
        {"wet": 1},
        sprinkler,
        True,
    ),
    "a mixture with known components": Case(
        "mu = [-3, 0, 4]\ns = [1, 1.5, 0.5]\nfor n in N:\n    z[n] ~ Categorical([0.3, 0.5, 0.2])\n"
        "    x[n] ~ Normal(mu[z[n]], sd = s[z[n]])",
        {"x": SPREAD},
        known_components,
        True,
        ("x",),
    ),
    "mean and precision": Case(
        "mu ~ Normal(0, var = 100)\ntau ~ Gamma(1, 1)\nfor n in N: y[n] ~ Normal(mu, precision = tau)", {"y": Y}, gaussian, False, ("y",)
    ),
    "vector mean and precision": Case(
        "m ~ MvNormal(zeros(2), cov = 4 * eye(2))\nP ~ Wishart(4, eye(2))\nfor n in N: x[n] ~ MvNormal(m, precision = P)",
        {"x": PAIRS},
        rows=("x",),
    ),
    "regression with a latent precision": Case(
        "input X: real[N, D]\ntau ~ Gamma(2, 2)\nfor d in D: w[d] ~ Normal(0, 1)\nfor n in N: y[n] ~ Normal(dot(X[n], w), precision = tau)",
        {"X": X, "y": Y},
        by_group_precision,
        False,
        ("X", "y"),
    ),
    "rates with a latent rate": Case(
        "b ~ Gamma(2, 1)\nfor n in N:\n    r[n] ~ Gamma(3, rate = b)\n    x[n] ~ Poisson(r[n])",
        {"x": COUNTS},
        rates_of_rates,
        False,
        ("x",),
    ),
    "a mixture of poissons": Case(
        "w ~ Dirichlet(ones(2))\nfor k in K: r[k] ~ Gamma(1, 0.3)\nfor n in N:\n    z[n] ~ Categorical(w)\n    x[n] ~ Poisson(r[z[n]])",
        {"x": COUNTS, "K": 2},
        mixture_of_poissons,
        False,
        ("x",),
        {"z": np.array([0, 0, 0, 1, 1])},
    ),
    "a mixture of categoricals": Case(
        "w ~ Dirichlet(ones(2))\nfor k in K: t[k] ~ Dirichlet([0.5, 0.5, 0.5])\n"
        "for n in N:\n    z[n] ~ Categorical(w)\n    for d in D: x[n, d] ~ Categorical(t[z[n]])",
        {"x": WORDS, "K": 2},
        mixture_of_categoricals,
        False,
        ("x",),
        {"z": np.array([0, 0, 1, 1])},
    ),
    "a mixture with several features": Case(
        "for k in K, d in D: mu[k, d] ~ Normal(0, 2)\nfor n in N:\n    z[n] ~ Categorical(ones(2) / 2)\n"
        "    for d in D: x[n, d] ~ Normal(mu[z[n], d], 1)",
        {"x": FEATURES, "K": 2},
        mixture_of_features,
        False,
        ("x",),
        {"z": np.array([0, 0, 1, 1])},
    ),
    "a choice of means and sds": Case(
        "a ~ Normal(0, 1)\nb ~ Normal(3, 1)\nfor n in N:\n    z[n] ~ Bernoulli(0.4)\n"
        "    x[n] ~ Normal(if z[n] == 1 then a else b, if z[n] == 1 then 1 else 2)",
        {"x": SPREAD},
        lambda: two_arms((4.0, 1.0), 3.0),
        False,
        ("x",),
        {"z": np.array([1, 1, 0, 0, 0])},
    ),
    "a choice of distributions": Case(
        "a ~ Normal(0, 1)\nb ~ Normal(3, 1)\nfor n in N:\n    z[n] ~ Bernoulli(0.4)\n"
        "    x[n] ~ if z[n] == 1 then Normal(a, 1) else Normal(b, 2)",
        {"x": SPREAD},
        lambda: two_arms((4.0, 1.0), 3.0),
        False,
        ("x",),
        {"z": np.array([1, 1, 0, 0, 0])},
    ),
    "a match of distributions": Case(
        "a ~ Normal(0, 1)\nb ~ Normal(3, 1)\nfor n in N:\n    z[n] ~ Categorical([0.2, 0.3, 0.5])\n    x[n] ~ match z[n]:\n"
        "        0 -> Normal(a, sd = 1)\n        1 -> Normal(b, sd = 1)\n        _ -> Normal(0, sd = 2)",
        {"x": SPREAD},
        three_arms,
        False,
        ("x",),
        {"z": np.array([0, 0, 1, 1, 2])},
    ),
    "two discrete variables a row": Case(
        "input T: real[K, L]\nfor k in K, l in L: mu[k, l] ~ Normal(k - l, 2)\nfor n in N:\n    z[n] ~ Categorical([0.3, 0.7])\n"
        "    w[n] ~ Categorical(T[z[n]])\n    x[n] ~ Normal(mu[z[n], w[n]], 1)",
        {"x": SPREAD[:3], "T": TABLE},
        two_discrete,
        False,
        ("x",),
        {"z, w": np.array([0, 1, 3])},
    ),
    "a choice of probabilities": Case(
        "p ~ Beta(1, 1)\nq ~ Beta(2, 1)\nfor n in N:\n    z[n] ~ Bernoulli(0.3)\n    x[n] ~ Bernoulli(if z[n] == 1 then p else q)",
        {"x": [0, 1, 1, 0]},
        beta_rows,
        False,
        ("x",),
        {"z": np.array([0, 1, 1, 0])},
    ),
    "a written-out table of latent probabilities": Case(
        "p ~ Beta(1, 1)\nq ~ Beta(2, 1)\nfor n in N:\n    z[n] ~ Bernoulli(0.3)\n    x[n] ~ Categorical([[1 - q, q], [1 - p, p]][z[n]])",
        {"x": [0, 1, 1, 0]},
        beta_rows,
        False,
        ("x",),
        {"z": np.array([0, 1, 1, 0])},
    ),
    "naive bayes with missing labels": Case(
        "w ~ Dirichlet(ones(2))\nfor k in K, d in D: t[k, d] ~ Beta(1, 1)\n"
        "for n in N:\n    z[n] ~ Categorical(w)\n    for d in D: x[n, d] ~ Bernoulli(t[z[n], d])",
        {"x": BITS, "z": CLASSES, "K": 2},
        naive_bayes,
        False,
        ("x", "z"),
    ),
}


def source(text: str, header: str = "model m") -> str:
    """The body as a model of its own."""
    return f"{header}:\n" + "".join(f"    {line}\n" for line in text.split("\n"))
