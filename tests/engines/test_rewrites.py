"""Rewritten statements are the same in law, and positive variables without a named family have their exact posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.results.posterior import Posterior
from tests.reference.gaussians import log_normal
from tests.reference.models import source
from tests.reference.quadrature import log_integral, log_integral_positive, moments_positive

REALS = np.array([1.2, -0.4, 2.6, 0.8, -3.1, 1.9, -0.2, 14.0])
COUNTS = np.array([3, 0, 7, 2, 5, 1])
Y, SIGMA = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])


def fitted(text: str, **data: Any) -> Posterior:
    posterior = ppl.parse(source(text)).fit(**data)
    assert posterior.converged and all("·" not in name for name in posterior.names)
    trace = posterior.elbo_trace
    assert (np.diff(trace) >= -1e-9 * (1 + np.abs(trace[:-1]))).all()
    return posterior


# ------------------------------------------------------------------ one statement, with everything else known
ONE = {
    "StudentT(4, 1, 2)": lambda x: stats.t.logpdf(x, 4, 1, 2),
    "Cauchy(1, 2)": lambda x: stats.cauchy.logpdf(x, 1, 2),
    "Laplace(1, 2)": lambda x: stats.laplace.logpdf(x, 1, 2),
    "ChiSquared(3)": lambda x: stats.chi2.logpdf(x, 3),
    "Uniform(0, 1)": lambda x: stats.uniform.logpdf(x),
    "NegativeBinomial(2.5, 1.5)": lambda x: stats.nbinom.logpmf(x, 1.5, 1.5 / 4.0),
    "Mixture([0.3, 0.7], [Normal(0, 1), Normal(3, 2)])": lambda x: np.log(0.3 * stats.norm.pdf(x) + 0.7 * stats.norm.pdf(x, 3, 2)),
}


@pytest.mark.parametrize("written", ONE)
def test_the_hidden_variable_integrates_to_the_statement(written: str) -> None:
    """A single block is exact, so its bound is the log density of the statement as it was written."""
    values = COUNTS if "Binomial" in written else np.array([0.1, 0.5, 0.9]) if "Uniform" in written else np.array([0.3, 2.5, 7.0])
    posterior = fitted(f"for n in N: y[n] ~ {written}", y=values)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(ONE[written](values).sum(), abs=1e-8)
    assert "rewritten" in str(posterior.plan)


# ------------------------------------------------------------------ positive variables
PRIORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "HalfCauchy(2)": lambda s: stats.halfcauchy.logpdf(s, scale=2),
    "HalfStudentT(3, 2)": lambda s: np.log(2) + stats.t.logpdf(s, 3, scale=2),
    "HalfNormal(2)": lambda s: stats.halfnorm.logpdf(s, scale=2),
    "Exponential(0.5)": lambda s: stats.expon.logpdf(s, scale=2),
    "Gamma(2, 1)": lambda s: stats.gamma.logpdf(s, 2),
    "InverseGamma(2, 3)": lambda s: stats.invgamma.logpdf(s, 2, scale=3),
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("used", ["sd = s", "var = s", "precision = s ^ 2"])
def test_a_positive_variable_is_exact_under_any_prior(prior: str, used: str) -> None:
    sd = {"sd = s": lambda s: s, "var = s": np.sqrt, "precision = s ^ 2": lambda s: 1 / s}[used]

    def joint(s: np.ndarray) -> np.ndarray:
        return PRIORS[prior](s) + stats.norm.logpdf(REALS[:, None], 0.5, sd(s)).sum(axis=0)

    posterior = fitted(f"s ~ {prior}\nfor n in N: y[n] ~ Normal(0.5, {used})", y=REALS)
    assert posterior.exact
    assert posterior.log_evidence == pytest.approx(log_integral_positive(joint), abs=1e-7)
    mean, spread = moments_positive(joint)
    assert posterior["s"].mean == pytest.approx(mean, abs=0.1 * spread)
    assert posterior["s"].sd == pytest.approx(spread, rel=0.1)
    if posterior["s"].moments is not None:
        assert posterior["s"].mean == pytest.approx(mean, rel=1e-7)
        assert posterior["s"].sd == pytest.approx(spread, rel=1e-6)


def test_a_scale_may_have_a_latent_scale_of_its_own() -> None:
    posterior = fitted("a ~ Gamma(2, 1)\ns ~ HalfCauchy(a)\nfor n in N: y[n] ~ Normal(0.5, sd = s)", y=REALS)

    def given(a: float) -> float:
        return log_integral_positive(
            lambda s: stats.halfcauchy.logpdf(s, scale=a) + stats.norm.logpdf(REALS[:, None], 0.5, s).sum(axis=0), -12.0, 8.0
        )

    grid = np.linspace(-6.0, 4.0, 61)
    values = np.array([stats.gamma.logpdf(np.exp(u), 2) + u + given(float(np.exp(u))) for u in grid])
    evidence = float(np.log(np.exp(values - values.max()).sum() * (grid[1] - grid[0])) + values.max())
    assert evidence - 1.0 < posterior.elbo <= evidence


# ------------------------------------------------------------------ models
def test_a_robust_mean_is_near_its_quadrature() -> None:
    posterior = fitted("m ~ Normal(0, 3)\nfor n in N: y[n] ~ StudentT(4, m, 1.5)", y=REALS)

    def joint(m: np.ndarray) -> np.ndarray:
        return stats.norm.logpdf(m, 0, 3) + stats.t.logpdf(REALS[:, None], 4, m, 1.5).sum(axis=0)

    evidence = log_integral(joint, -15, 15)
    grid = np.linspace(-15, 15, 4001)
    density = np.exp(joint(grid) - evidence)
    mean = (density * grid).sum() * (grid[1] - grid[0])
    spread = np.sqrt((density * (grid - mean) ** 2).sum() * (grid[1] - grid[0]))
    assert evidence - 0.5 < posterior.elbo <= evidence
    assert posterior["m"].mean == pytest.approx(mean, abs=0.15 * spread)


def test_counts_with_more_spread_than_poisson() -> None:
    posterior = fitted("a ~ Normal(0, 2)\nfor n in N: y[n] ~ NegativeBinomial(exp(a), 3)", y=COUNTS)

    def joint(a: np.ndarray) -> np.ndarray:
        return stats.norm.logpdf(a, 0, 2) + stats.nbinom.logpmf(COUNTS[:, None], 3, 3 / (3 + np.exp(a))).sum(axis=0)

    evidence = log_integral(joint, -10, 10)
    assert evidence - 0.5 < posterior.elbo <= evidence


def test_a_mixture_with_a_latent_component() -> None:
    text = "m ~ Normal(0, 2)\nfor n in N: y[n] ~ Mixture([0.3, 0.7], [Normal(m, 1), Normal(4, 2)])"
    posterior = ppl.parse(source(text)).fit(engine="vmp", y=REALS)

    def joint(m: np.ndarray) -> np.ndarray:
        each = 0.3 * stats.norm.pdf(REALS[:, None], m, 1) + 0.7 * stats.norm.pdf(REALS[:, None], 4, 2)
        return stats.norm.logpdf(m, 0, 2) + np.log(each).sum(axis=0)

    evidence = log_integral(joint, -10, 10)
    assert evidence - 2.0 < posterior.elbo <= evidence
    summed = ppl.parse(source(text)).fit(y=REALS[:3])  # few enough states to sum over
    assert summed.exact and posterior.names == summed.names == ("m",)


def test_eight_schools_are_near_the_exact_posterior() -> None:
    """Given tau everything is Normal, so one integral over tau is exact."""
    text = (
        "input sigma: real[J]\nmu ~ Normal(0, 5)\ntau ~ HalfCauchy(5)\n"
        "for j in J:\n    theta[j] ~ Normal(mu, sd = tau)\n    y[j] ~ Normal(theta[j], sd = sigma[j])"
    )
    posterior = fitted(text, y=Y, sigma=SIGMA)
    logs = np.linspace(-8.0, 6.0, 1401)
    weights, first, second = [], [], []
    for tau in np.exp(logs):
        spread = SIGMA**2 + tau**2
        precision = 1 / 25 + (1 / spread).sum()
        mean = (Y / spread).sum() / precision
        cov = np.diag(spread) + 25.0
        weights.append(log_normal(Y, np.zeros(8), cov) + stats.halfcauchy.logpdf(tau, scale=5) + np.log(tau))
        shrink = tau**2 / spread
        theta = shrink * Y + (1 - shrink) * mean
        first.append([mean, *theta])
        second.append([1 / precision, *(tau**2 * SIGMA**2 / spread + (1 - shrink) ** 2 / precision)])
    total = np.array(weights)
    evidence = np.log(np.exp(total - total.max()).sum() * (logs[1] - logs[0])) + total.max()
    p = np.exp(total - total.max()) / np.exp(total - total.max()).sum()
    mean = p @ np.array(first)
    sd = np.sqrt(p @ (np.array(second) + np.array(first) ** 2) - mean**2)
    assert evidence - 2.0 < posterior.elbo <= evidence
    assert abs(posterior["mu"].mean - mean[0]) < 0.3 * sd[0]
    assert (np.abs(posterior["theta"].mean - mean[1:]) < 0.3 * sd[1:]).all()


# ------------------------------------------------------------------ flat priors
def test_flat_priors_give_the_textbook_posterior_and_no_evidence() -> None:
    posterior = fitted("m ~ Flat()\nfor n in N: y[n] ~ Normal(m, 2)", y=REALS)
    assert posterior.exact and posterior.log_evidence is None
    assert posterior["m"].mean == pytest.approx(REALS.mean()) and posterior["m"].sd == pytest.approx(2 / np.sqrt(len(REALS)))
    assert any("improper" in w for w in posterior.warnings)


def test_a_flat_prior_of_an_sd_gives_the_textbook_posterior() -> None:
    posterior = fitted("s ~ HalfFlat()\nfor n in N: y[n] ~ Normal(0.5, s)", y=REALS)
    mean, spread = moments_positive(lambda s: stats.norm.logpdf(REALS[:, None], 0.5, s).sum(axis=0))
    assert posterior["s"].mean == pytest.approx(mean, rel=1e-7) and posterior["s"].sd == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("statement", ["s ~ HalfStudentT(d, 1)", "s ~ StudentT(d, 0, 1)"])
def test_what_no_rule_serves_is_refused(statement: str) -> None:
    with pytest.raises(ppl.AimError, match="AIM0720"):
        ppl.parse(source(f"d ~ Gamma(2, 1)\n{statement}\ny ~ Normal(s, 1)")).fit(y=1.0, engine="vmp")


@pytest.mark.parametrize("engine", ["vmp", "gibbs"])
def test_counts_with_a_log_linear_mean_are_logistic(engine: str) -> None:
    """Against a grid of both coefficients; the mean stands behind a definition, times a known exposure."""
    x = np.linspace(-1.5, 1.5, len(COUNTS))
    text = "input x: real[N]\na ~ Normal(0, 1)\nb ~ Normal(0, 1)\nfor n in N: mu[n] = 2 * exp(a + b * x[n])\nfor n in N: y[n] ~ NegativeBinomial(mu[n], 3)"
    posterior = fitted(text, y=COUNTS, x=x, engine=engine)
    a, b = np.meshgrid(np.linspace(-4, 4, 321), np.linspace(-4, 4, 321), indexing="ij")
    log = stats.norm.logpdf(a) + stats.norm.logpdf(b)
    for count, at in zip(COUNTS, x, strict=True):
        log = log + stats.nbinom.logpmf(count, 3, 3 / (3 + 2 * np.exp(a + b * at)))
    weight = np.exp(log - log.max())
    evidence = np.log(weight.sum() * (8 / 320) ** 2) + log.max()
    weight /= weight.sum()
    for name, value in (("a", a), ("b", b)):
        mean = (weight * value).sum()
        spread = np.sqrt((weight * (value - mean) ** 2).sum())
        assert posterior[name].mean == pytest.approx(mean, abs=0.08 * spread)
        assert posterior[name].sd == pytest.approx(spread, rel=0.06)
    if engine == "vmp":
        assert evidence - 0.03 < posterior.elbo <= evidence + 1e-6
