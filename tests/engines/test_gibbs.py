"""`use gibbs` against closed forms, enumeration, quadrature and what is exact; one tolerance: five Monte Carlo standard errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special, stats

import ppl
from ppl.engines import gibbs
from ppl.results.diagnostics import ess
from ppl.source.diagnostics import AimError


def agrees(posterior: ppl.Posterior, name: str, mean: object, sd: object = None) -> None:
    """The mean of the draws, within five standard errors by the exact spread (that of the draws where none is given)."""
    belief = posterior[name]
    assert belief.draws is not None
    error = (belief.sd if sd is None else np.asarray(sd)) / np.sqrt(np.maximum(ess(belief.draws, belief.chains), 10))
    assert np.all(np.abs(belief.mean - np.asarray(mean)) < 5 * error + 1e-12), (name, belief.mean, mean, error)
    if sd is not None:
        assert belief.sd == pytest.approx(np.asarray(sd), rel=0.12)


def grid_moments(log_density: np.ndarray, *axes: np.ndarray) -> list[tuple[float, float]]:
    """Mean and sd of each axis of a density on a grid."""
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    found = []
    for k, axis in enumerate(axes):
        own = weight.sum(axis=tuple(j for j in range(len(axes)) if j != k))
        mean = float((own * axis).sum())
        found.append((mean, float(np.sqrt((own * (axis - mean) ** 2).sum()))))
    return found


# ------------------------------------------------------------ real variables
def test_a_mean_and_a_precision_are_those_of_the_quadrature() -> None:
    model = ppl.parse("""
model g:
    mu ~ Normal(0, sd = 10)
    tau ~ Gamma(2, 1)
    noise = 1 / sqrt(tau)
    for n in N: x[n] ~ Normal(mu, precision = tau)
""")
    x = np.array([1.0, 1.2, 0.3, np.nan, 1.7])
    posterior = model.fit(x=x, engine="gibbs")
    mu, log_tau = np.linspace(-6, 8, 701), np.linspace(-6, 4, 601)
    tau = np.exp(log_tau)
    log_density = stats.norm(0, 10).logpdf(mu)[:, None] + stats.gamma(2).logpdf(tau) + log_tau
    log_density = log_density + stats.norm(mu[:, None, None], tau[:, None] ** -0.5).logpdf(x[~np.isnan(x)]).sum(axis=-1)
    (mu_mean, mu_sd), (tau_mean, tau_sd) = grid_moments(log_density, mu, tau)
    agrees(posterior, "mu", mu_mean, mu_sd)
    agrees(posterior, "tau", tau_mean, tau_sd)
    agrees(posterior, "noise", grid_moments(log_density, mu, tau**-0.5)[1][0])
    assert posterior["x"].mean[[0, 1, 2, 4]] == pytest.approx(x[[0, 1, 2, 4]])
    assert posterior["x"].mean[3] == pytest.approx(mu_mean, abs=0.1)  # drawn forward
    assert (posterior.status, posterior.exact, posterior.chains, posterior.iterations) == ("converged", False, 4, 4000)
    assert np.isnan(posterior.elbo)
    assert posterior.to_json()["beliefs"]["mu"]["rhat"] < 1.01
    assert "blocks are drawn in turn given each other: mu | tau in `x ~ Normal`" in str(posterior.plan)


PAIRS = """
model pairs:
    t ~ Gamma(3, 2)
    m ~ Normal(1, precision = 0.5 * t)
    for n in N: x[n] ~ Normal(m, precision = t)
    W ~ Wishart(4, scale = eye(2))
    v ~ MvNormal([0, 1], precision = 0.3 * W)
    for n in N: y[n] ~ MvNormal(v, precision = W)
    p ~ Beta(2, 3)
    for n in N: b[n] ~ Bernoulli(p)
    s ~ InverseGamma(3, 2)
    for n in N: c[n] ~ Normal(0, var = s)
    a ~ Dirichlet([1, 2, 3])
    for n in N: k[n] ~ Categorical(a)
    S ~ InverseWishart(6, scale = eye(2))
    for l in L: u[l] ~ MvNormal([0, 1], cov = S / 0.3)
    for n in N, l in L: h[n, l] ~ MvNormal(u[l], cov = S)
"""


def test_one_block_at_a_time_is_drawn_from_its_exact_posterior() -> None:
    rng = np.random.default_rng(1)
    data = {"x": rng.normal(size=7), "y": rng.normal(size=(7, 2)), "b": [1, 1, 0, 1, 0, 1, 1], "c": rng.normal(size=7)}
    data |= {"k": [0, 1, 2, 2, 1, 2, 2], "h": rng.normal(size=(7, 2, 2))}
    model = ppl.parse(PAIRS)
    exact, drawn = model.fit(**data), model.fit(**data, engine="gibbs")
    assert exact.exact
    for name in exact.names:
        agrees(drawn, name, exact[name].mean, exact[name].sd)
    assert np.all(drawn["m"].ess > 3000)  # independent draws


def test_eight_schools_by_the_reference() -> None:
    source = """
model eight_schools:
    input sigma: real[J]
    mu  ~ Normal(0, sd = 5)
    tau ~ HalfCauchy(5)
    for j in J:
        theta[j] ~ Normal(mu, sd = tau)
        y[j]     ~ Normal(theta[j], sd = sigma[j])

approximate eight_schools:
    use gibbs(draws = 500, thin = 10)
"""
    sigma, y = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
    posterior = ppl.parse(source).fit(sigma=sigma, y=y)
    assert posterior.iterations == 2000
    # by quadrature over tau, given which all is Normal
    tau = np.tan(np.linspace(0.5, 1999.5, 1999) / 2000 * np.pi / 2) * 5
    spread = tau[:, None] ** 2 + np.square(sigma)
    precision = 1 / 25 + (1 / spread).sum(axis=1)
    centre = (np.array(y) / spread).sum(axis=1) / precision
    log_weight = -0.5 * np.log(spread).sum(axis=1) - 0.5 * (np.square(y) / spread).sum(axis=1)
    log_weight += 0.5 * centre**2 * precision - 0.5 * np.log(precision)
    weight = np.exp(log_weight - special.logsumexp(log_weight))
    agrees(posterior, "mu", (weight * centre).sum())
    agrees(posterior, "tau", (weight * tau).sum())
    shrunk = (tau**2)[:, None] / spread
    agrees(posterior, "theta", (weight[:, None] * (shrunk * y + (1 - shrunk) * centre[:, None])).sum(axis=0))


def test_a_product_and_a_scale_by_quadrature() -> None:
    model = ppl.parse("""
model product:
    w ~ Normal(1, sd = 0.5)
    z ~ Normal(0, sd = 2)
    y ~ Normal(w * z, sd = 0.7)
    s ~ HalfNormal(2)
    for n in N: e[n] ~ Normal(0, sd = s)
""")
    e = np.array([0.5, -1.5, 0.8])
    posterior = model.fit(y=1.5, e=e, engine="gibbs", iterations=3000)
    w, z = np.linspace(-2, 4, 401), np.linspace(-10, 12, 881)
    log_density = stats.norm(1, 0.5).logpdf(w)[:, None] + stats.norm(0, 2).logpdf(z) + stats.norm(w[:, None] * z, 0.7).logpdf(1.5)
    (w_mean, w_sd), (z_mean, z_sd) = grid_moments(log_density, w, z)
    agrees(posterior, "w", w_mean, w_sd)
    agrees(posterior, "z", z_mean, z_sd)
    s = np.linspace(1e-3, 12, 20000)
    ((mean, sd),) = grid_moments(stats.halfnorm(0, 2).logpdf(s) + stats.norm(0, s[:, None]).logpdf(e).sum(axis=1), s)
    agrees(posterior, "s", mean, sd)


def test_a_walk_with_a_learnt_step_by_quadrature() -> None:
    model = ppl.parse("""
model walk(T: size = 6):
    q ~ Gamma(2, 2)
    b ~ Normal(0, sd = 1)
    x[0] ~ Normal(0, precision = q)
    for t in 1..T: x[t] ~ Normal(x[t - 1], precision = q)
    for t in T: y[t] ~ Normal(x[t] + b, sd = 0.5)
""")
    y = np.array([0.3, 1.0, np.nan, 2.1, 1.4, 2.2])
    posterior = model.fit(y=y, engine="gibbs")
    step = np.tril(np.ones((6, 6)))
    seen = ~np.isnan(y)
    log_q = np.linspace(-5, 4, 400)
    found = []
    for q in np.exp(log_q):
        walk = step @ step.T / q
        cov = (walk + 1.0)[np.ix_(seen, seen)] + 0.25 * np.eye(5)
        gain = np.linalg.solve(cov, np.c_[walk[:, seen].T, np.ones(5)])
        log_density = stats.multivariate_normal(np.zeros(5), cov).logpdf(y[seen]) + stats.gamma(2, scale=0.5).logpdf(q) + np.log(q)
        found.append([log_density, q, *(y[seen] @ gain)])
    table = np.array(found)
    weight = np.exp(table[:, 0] - special.logsumexp(table[:, 0]))
    agrees(posterior, "q", weight @ table[:, 1])
    agrees(posterior, "x", weight @ table[:, 2:8])
    agrees(posterior, "b", weight @ table[:, 8])


# ------------------------------------------------------------ discrete variables
def log_dirichlet_integral(prior: np.ndarray, counts: np.ndarray) -> float:
    return float(special.gammaln(prior + counts).sum() - special.gammaln((prior + counts).sum()))


def test_a_mixture_by_enumeration() -> None:
    model = ppl.parse("""
model mixture(K: size = 2):
    pi ~ Dirichlet(2 * ones(K))
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(2 * z[n], sd = 1)
""")
    x = np.array([0.1, 1.1, 0.9, 2.2, 1.4])
    posterior = model.fit(x=x, engine="gibbs")
    paths = np.array(list(itertools.product((0, 1), repeat=5)))
    prior = np.full(2, 2.0)
    logs = np.array([stats.norm(2 * z, 1).logpdf(x).sum() + log_dirichlet_integral(prior, np.bincount(z, minlength=2)) for z in paths])
    weight = np.exp(logs - special.logsumexp(logs))
    assert posterior["z"].family == "Categorical"
    assert posterior["z"].params["p"][:, 1] == pytest.approx(weight @ paths, abs=0.02)
    agrees(posterior, "pi", [1 - (weight @ (2 + paths.sum(axis=1))) / 9, (weight @ (2 + paths.sum(axis=1))) / 9])


def test_a_learnt_hidden_chain_by_enumeration() -> None:
    model = ppl.parse("""
model hmm(K: size = 2, T: size = 5):
    for k in K: A[k] ~ Dirichlet([2, 1])
    z[0] ~ Categorical([0.5, 0.5])
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: x[t] ~ Normal(2 * z[t], sd = 1)
""")
    x = np.array([0.2, 1.3, 1.8, 0.4, 1.5])
    posterior = model.fit(x=x, engine="gibbs")
    paths = np.array(list(itertools.product((0, 1), repeat=5)))
    logs, means = [], []
    for z in paths:
        counts = np.zeros((2, 2))
        np.add.at(counts, (z[:-1], z[1:]), 1)
        logs.append(stats.norm(2 * z, 1).logpdf(x).sum() + sum(log_dirichlet_integral(np.array([2.0, 1.0]), c) for c in counts))
        means.append((np.array([2.0, 1.0]) + counts) / (3 + counts.sum(axis=1, keepdims=True)))
    weight = np.exp(np.array(logs) - special.logsumexp(logs))
    assert posterior["z"].params["p"][:, 1] == pytest.approx(weight @ paths, abs=0.02)
    agrees(posterior, "A", np.einsum("p,pij->ij", weight, np.array(means)))


def test_states_of_a_long_chain_are_drawn_from_its_exact_posterior() -> None:
    model = ppl.parse("""
model hmm(T: size = 300):
    A = [[0.9, 0.1], [0.3, 0.7]]
    m ~ Normal(0, sd = 0.001)
    z[0] ~ Categorical([0.5, 0.5])
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: x[t] ~ Normal(2 * z[t] + m, sd = 1)
""")
    x = np.random.default_rng(3).normal(size=300) + 2 * (np.arange(300) // 9 % 2)
    exact, posterior = model.fit(x=x), model.fit(x=x, engine="gibbs")
    p = exact["z"].params["p"][:, 1]
    draws = posterior.draws(4000)["z"]
    assert posterior["z"].params["p"][:, 1] == pytest.approx(p, abs=2e-3)
    assert np.all(np.abs(draws.mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / 4000) + 2e-3)
    # both states of a step, by messages forwards and backwards
    step, seen = np.array([[0.9, 0.1], [0.3, 0.7]]), stats.norm([0, 2], 1).pdf(x[:, None])
    forward, backward = [0.5 * seen[0]], [np.ones(2)]
    for t in range(1, 300):
        forward.append((forward[-1] @ step) * seen[t])
        backward.insert(0, step @ (seen[300 - t] * backward[0]))
    both = np.array([forward[t][1] * 0.7 * seen[t + 1][1] * backward[t + 1][1] / (forward[t] @ backward[t]) for t in range(299)])
    share = (draws[:, 1:] * draws[:, :-1]).mean(axis=0)
    assert np.all(np.abs(share - both) < 5 * np.sqrt(both * (1 - both) / 4000) + 2e-3)


def test_members_that_meet_are_drawn_in_turns() -> None:
    """A ring of spins in mean field would be wrong; drawn given each other they are right."""
    model = ppl.parse("""
model ring(I: size = 5):
    c ~ Beta(2, 2)
    for i in I: s[i] ~ Bernoulli(0.6)
    for i in I: factor(1.5 * s[i] * s[(i + 1) % 5])
    for n in N: y[n] ~ Bernoulli(c)

approximate ring:
    q(s[i])
    use gibbs
""")
    posterior = model.fit(y=[1, 0, 1])
    states = np.array(list(itertools.product((0, 1), repeat=5)))
    logs = (states * np.log(0.6) + (1 - states) * np.log(0.4)).sum(axis=1) + 1.5 * (states * np.roll(states, -1, axis=1)).sum(axis=1)
    weight = np.exp(logs - special.logsumexp(logs))
    assert "turns" in str(posterior.plan)
    assert posterior["s"].params["p"] == pytest.approx(weight @ states, abs=0.02)
    agrees(posterior, "c", 4 / 7)


# ------------------------------------------------------------ logistic statements
def log_sigmoid(e: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -e)


def test_a_logistic_regression_by_quadrature_and_by_nuts() -> None:
    model = ppl.parse("""
model logistic:
    a ~ Normal(0, sd = 2)
    b ~ Normal(0, sd = 2)
    input x: real[N]
    for n in N: y[n] ~ Bernoulli(logit = a + b * x[n])
""")
    rng = np.random.default_rng(4)
    x = rng.normal(size=30)
    y = (rng.random(30) < special.expit(0.5 - 2 * x)).astype(int)
    posterior = model.fit(x=x, y=y, engine="gibbs", iterations=2000)
    assert "Pólya–Gamma weights of y ~ Bernoulli" in str(posterior.plan)
    a, b = np.linspace(-6, 7, 261), np.linspace(-10, 5, 301)
    e = a[:, None, None] + b[:, None] * x
    log_density = (
        stats.norm(0, 2).logpdf(a)[:, None] + stats.norm(0, 2).logpdf(b) + np.where(y == 1, log_sigmoid(e), log_sigmoid(-e)).sum(-1)
    )
    sampled = model.fit(x=x, y=y, engine="nuts")
    for name, (mean, sd) in zip("ab", grid_moments(log_density, a, b), strict=True):
        agrees(posterior, name, mean, sd)
        agrees(sampled, name, mean, sd)


def test_counts_of_trials_that_differ_by_quadrature() -> None:
    model = ppl.parse("""
model trials:
    a ~ Normal(0, sd = 3)
    b ~ Normal(0, sd = 3)
    input x: real[N]
    input n: count[N]
    for i in N: y[i] ~ Binomial(n = n[i], logit = a + b * x[i])
""")
    x, n, y = np.array([-1.0, 0.0, 0.5, 2.0]), np.array([5, 1, 12, 30]), np.array([1, 1, 7, 28])
    posterior = model.fit(x=x, n=n, y=y, engine="gibbs", iterations=2000)
    a, b = np.linspace(-4, 4, 321), np.linspace(-3, 6, 361)
    e = a[:, None, None] + b[:, None] * x
    log_density = stats.norm(0, 3).logpdf(a)[:, None] + stats.norm(0, 3).logpdf(b)
    log_density = log_density + (y * log_sigmoid(e) + (n - y) * log_sigmoid(-e)).sum(axis=-1)
    for name, (mean, sd) in zip("ab", grid_moments(log_density, a, b), strict=True):
        agrees(posterior, name, mean, sd)


def test_a_common_predictor_and_states_that_choose_one_by_quadrature() -> None:
    """All members share one weight, those of its state; states are drawn without any."""
    model = ppl.parse("""
model choice(K: size = 2, M: size = 4):
    c ~ Normal(0, sd = 1)
    for k in K: w[k] ~ Normal(2 * k - 1, sd = 1)
    for n in N:
        z[n] ~ Bernoulli(logit = c)
        for m in M: y[n, m] ~ Bernoulli(logit = w[z[n]])
""")
    y = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
    posterior = model.fit(y=y, engine="gibbs", iterations=3000)
    c, w = np.linspace(-4, 4, 81), np.linspace(-5, 5, 101)
    ones = y.sum(axis=1)
    seen = ones * log_sigmoid(w)[:, None] + (4 - ones) * log_sigmoid(-w)[:, None]  # w, n
    first = log_sigmoid(-c)[:, None, None, None] + seen[None, :, None, :]
    second = log_sigmoid(c)[:, None, None, None] + seen[None, None, :, :]
    log_density = stats.norm(0, 1).logpdf(c)[:, None, None] + stats.norm(-1, 1).logpdf(w)[:, None] + stats.norm(1, 1).logpdf(w)
    weight = log_density + np.logaddexp(first, second).sum(axis=-1)
    (c_mean, c_sd), *others = grid_moments(weight, c, w, w)
    agrees(posterior, "c", c_mean, c_sd)
    agrees(posterior, "w", [mean for mean, _ in others], [sd for _, sd in others])
    total = np.exp(weight - special.logsumexp(weight))
    p = (total[..., None] * special.expit(second - first)).sum(axis=(0, 1, 2))
    assert posterior["z"].params["p"] == pytest.approx(p, abs=0.02)


def test_coefficients_with_a_learnt_spread_by_quadrature() -> None:
    model = ppl.parse("""
model spread:
    t ~ Gamma(2, 1)
    for g in G:
        w[g] ~ Normal(0, precision = t)
        for m in M: y[g, m] ~ Bernoulli(logit = w[g])
""")
    y = np.array([[1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 0, 0], [1, 0, 1, 1, 0, 1]])
    posterior = model.fit(y=y, engine="gibbs", iterations=3000)
    log_t, w = np.linspace(-6, 4, 401), np.linspace(-9, 9, 721)
    t, ones = np.exp(log_t), y.sum(axis=1)
    inside = stats.norm(0, t[:, None] ** -0.5).logpdf(w)[..., None] + ones * log_sigmoid(w)[:, None] + (6 - ones) * log_sigmoid(-w)[:, None]
    evidence = special.logsumexp(inside, axis=1)  # t, g
    log_density = stats.gamma(2).logpdf(t) + log_t + evidence.sum(axis=1)
    ((mean, sd),) = grid_moments(log_density, t)
    agrees(posterior, "t", mean, sd)
    means = (np.exp(inside - evidence[:, None]) * w[:, None]).sum(axis=1)
    agrees(posterior, "w", np.exp(log_density - special.logsumexp(log_density)) @ means)


# ------------------------------------------------------------ what is said
def test_a_block_without_a_conditional_is_refused_where_it_stands() -> None:
    model = ppl.parse("model m:\n    w ~ Normal(0, sd = 1)\n    for n in N: y[n] ~ Bernoulli(probit = w * 2)\n")
    with pytest.raises(AimError) as refused:
        model.fit(y=[1, 0, 1], engine="gibbs")
    (told,) = refused.value.diagnostics
    assert told.code == "AIM0510"
    assert told.span is not None
    assert told.span.line == 3


def test_options_are_checked() -> None:
    """Those of the file and of `fit`; the same seed gives the same draws."""
    coin = "model c:\n    p ~ Beta(1, 1)\n    for n in N: x[n] ~ Bernoulli(p)\n\napproximate c:\n    use gibbs(chains = 2, draws = 50, warmup = 7, thin = 3)\n"
    posterior = ppl.parse(coin).fit(x=[1, 0, 1])
    assert (posterior.chains, posterior.iterations) == (2, 100)
    assert posterior["p"].draws is not None
    assert posterior["p"].draws.shape == (100,)
    assert ppl.parse(coin).fit(x=[1, 0, 1], iterations=20).iterations == 40
    with pytest.raises(AimError, match="AIM0505"):
        ppl.parse(coin.replace("thin", "target_accept")).fit(x=[1, 0, 1])
    assert ppl.parse(coin).fit(x=[1, 0, 1], engine="vmp").exact  # the options of the file are those of another engine
    again = ppl.parse(coin).fit(x=[1, 0, 1])
    assert np.array_equal(posterior["p"].draws, again["p"].draws)


def test_draws_that_would_not_fit_are_thinned_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "model c(N: size = 20):\n    for n in N: p[n] ~ Gamma(2, 1)\n    for n in N: x[n] ~ Poisson(p[n])\n"
    monkeypatch.setattr(gibbs, "MOST_KEPT", 4 * 20 * 300)
    posterior = ppl.parse(source).fit(x=np.arange(20), engine="gibbs")
    assert posterior.iterations == 4 * 250
    assert "one of 4 sweeps" in posterior.warnings[0]
    agrees(posterior, "p", (2 + np.arange(20)) / 2, np.sqrt(2 + np.arange(20)) / 2)
    monkeypatch.setattr(gibbs, "MOST_KEPT", 4 * 20 * 10)
    with pytest.raises(AimError, match="AIM0505"):
        ppl.parse(source).fit(x=np.arange(20), engine="gibbs")


def test_chains_that_stand_apart_are_not_converged() -> None:
    """Two far modes: some chains start in one, some in the other, and none can leave."""
    model = ppl.parse("""
model apart:
    w ~ Normal(0, sd = 1)
    z ~ Normal(0, sd = 1)
    for n in N: y[n] ~ Normal(w * z, sd = 0.05)
""")
    posterior = model.fit(y=[1.5] * 20, engine="gibbs", iterations=200)
    assert posterior.status == "not converged"
    assert not posterior.converged
    assert any("R-hat of `w`" in text for text in posterior.warnings)


def test_predictions_and_criteria_answer_from_the_chains() -> None:
    model = ppl.parse("model g:\n    mu ~ Normal(0, sd = 10)\n    tau ~ Gamma(2, 1)\n    for n in N: x[n] ~ Normal(mu, precision = tau)\n")
    x = np.random.default_rng(5).normal(2, 1, size=30)
    posterior, exact = model.fit(x=x, engine="gibbs"), model.fit(x=x)
    assert posterior.predict("x", N=4).mean() == pytest.approx(posterior["mu"].mean, abs=0.2)
    assert posterior.loo().elpd_loo == pytest.approx(exact.loo().elpd_loo, abs=0.5)
