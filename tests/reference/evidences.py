"""Data of small models, and the log evidence of each by another route: closed forms, enumeration, quadrature, joint Gaussians."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import betaln, gammaln

from tests.reference.coordinate_ascent import log_multivariate_gamma
from tests.reference.enumeration import log_evidence
from tests.reference.gaussians import JointGaussian, log_normal
from tests.reference.quadrature import log_integral_positive

RNG = np.random.default_rng(20)
Y = np.array([1.3, -0.2, 2.4, 0.9, 1.6, 3.1, -0.7])
POSITIVE = np.array([0.4, 1.7, 0.9, 2.6, 0.2])
COUNTS = np.array([0.0, 2.0, 1.0, 7.0, 9.0])
SPREAD = np.array([-2.1, -1.4, 2.2, 3.0, 1.6])
X = RNG.normal(size=(7, 2))


# ------------------------------------------------------------------ log evidences of conjugate parts
def gamma_poisson(x: np.ndarray, a: float, b: float) -> float:
    n, s = len(x), x.sum()
    return float(a * np.log(b) - gammaln(a) + gammaln(a + s) - (a + s) * np.log(b + n) - gammaln(x + 1).sum())


def dirichlet_categorical(counts: np.ndarray, c: np.ndarray) -> float:
    return float(gammaln(c.sum()) - gammaln(c).sum() + gammaln(c + counts).sum() - gammaln((c + counts).sum()))


def normal_mean(x: np.ndarray, m: float, v: float, noise: float) -> float:
    """A latent mean, known noise; nothing observed has evidence 1."""
    return log_normal(x, np.full(len(x), m), noise * np.eye(len(x)) + v) if len(x) else 0.0


def counts_of(z: tuple[int, ...], k: int) -> np.ndarray:
    return np.bincount(z, minlength=k).astype(float)


def mixture_of_poissons() -> float:
    def joint(z: tuple[int, ...]) -> float:
        parts = [gamma_poisson(COUNTS[np.array(z) == k], 1.0, 0.3) for k in range(2)]
        return dirichlet_categorical(counts_of(z, 2), np.ones(2)) + sum(parts)

    return log_evidence(joint, (2,) * len(COUNTS))


WORDS = np.array([[0, 0, 1], [0, 1, 0], [2, 2, 1], [2, 1, 2]])


def mixture_of_categoricals() -> float:
    def joint(z: tuple[int, ...]) -> float:
        total = dirichlet_categorical(counts_of(z, 2), np.ones(2))
        for k in range(2):
            words = WORDS[np.array(z) == k].ravel()
            total += dirichlet_categorical(np.bincount(words, minlength=3).astype(float), np.full(3, 0.5))
        return total

    return log_evidence(joint, (2,) * len(WORDS))


FEATURES = np.array([[-2.0, 1.5, 0.2], [-1.2, 2.2, -0.4], [1.9, -0.6, 1.0], [2.5, -1.8, 0.1]])


def mixture_of_features() -> float:
    def joint(z: tuple[int, ...]) -> float:
        total = len(z) * np.log(0.5)
        for k in range(2):
            own = FEATURES[np.array(z) == k]
            total += sum(normal_mean(own[:, d], 0.0, 4.0, 1.0) for d in range(3))
        return float(total)

    return log_evidence(joint, (2,) * len(FEATURES))


def two_arms(noise: tuple[float, float], second_mean: float) -> float:
    """z ~ Bernoulli(0.4) picks between two means, each with its own noise variance."""

    def joint(z: tuple[int, ...]) -> float:
        chosen = np.array(z)
        total = stats.bernoulli.logpmf(chosen, 0.4).sum()
        total += normal_mean(SPREAD[chosen == 1], 0.0, 1.0, noise[1])
        return float(total + normal_mean(SPREAD[chosen == 0], second_mean, 1.0, noise[0]))

    return log_evidence(joint, (2,) * len(SPREAD))


def three_arms() -> float:
    def joint(z: tuple[int, ...]) -> float:
        chosen = np.array(z)
        total = np.log(np.array([0.2, 0.3, 0.5]))[chosen].sum()
        total += normal_mean(SPREAD[chosen == 0], 0.0, 1.0, 1.0) + normal_mean(SPREAD[chosen == 1], 3.0, 1.0, 1.0)
        return float(total + stats.norm.logpdf(SPREAD[chosen == 2], 0.0, 2.0).sum())

    return log_evidence(joint, (3,) * len(SPREAD))


TABLE = np.array([[0.9, 0.1], [0.2, 0.8]])
WEIGHTS = np.array([0.3, 0.7])


def two_discrete() -> float:
    """Two discrete variables for each member, a mean for each pair of states."""

    def joint(states: tuple[int, ...]) -> float:
        z, w = np.array(states[: len(SPREAD[:3])]), np.array(states[len(SPREAD[:3]) :])
        total = np.log(WEIGHTS[z]).sum() + np.log(TABLE[z, w]).sum()
        for i in range(2):
            for j in range(2):
                total += normal_mean(SPREAD[:3][(z == i) & (w == j)], i - j, 4.0, 1.0)
        return float(total)

    return log_evidence(joint, (2,) * 6)


def beta_rows() -> float:
    """x's probability is p or q, by a latent z."""
    x = np.array([0, 1, 1, 0])

    def joint(z: tuple[int, ...]) -> float:
        chosen = np.array(z)
        ones = [x[chosen == k].sum() for k in (0, 1)]
        zeros = [(1 - x[chosen == k]).sum() for k in (0, 1)]
        total = stats.bernoulli.logpmf(chosen, 0.3).sum()
        return float(total + betaln(1 + ones[1], 1 + zeros[1]) - betaln(1, 1) + betaln(2 + ones[0], 1 + zeros[0]) - betaln(2, 1))

    return log_evidence(joint, (2,) * 4)


BITS = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0]])
CLASSES = np.array([0, np.nan, 1, np.nan, 0])


def naive_bayes() -> float:
    def joint(missing: tuple[int, ...]) -> float:
        z = CLASSES.copy()
        z[np.isnan(z)] = missing
        chosen = z.astype(int)
        total = dirichlet_categorical(counts_of(tuple(chosen), 2), np.ones(2))
        for k in range(2):
            for d in range(2):
                own = BITS[chosen == k, d]
                total += betaln(1 + own.sum(), 1 + (1 - own).sum()) - betaln(1, 1)
        return float(total)

    return log_evidence(joint, (2, 2))


def known_components() -> float:
    means, sds, weights = np.array([-3, 0, 4.0]), np.array([1, 1.5, 0.5]), np.array([0.3, 0.5, 0.2])
    return float(np.log((weights * stats.norm.pdf(SPREAD[:, None], means, sds)).sum(axis=1)).sum())


# ------------------------------------------------------------------ joint Gaussians
def regression() -> float:
    return float(log_normal(Y, 1 + np.zeros(7), 4 * X @ X.T + 0.25 * np.eye(7)))


GROUPS = np.array([0, 1, 1, 2, 0, 2, 1])


def groups() -> float:
    joint = JointGaussian()
    top = joint.add({}, 0.5, 4.0)
    alphas = [joint.add({top: 1.0}, 0.0, 1.0) for _ in range(3)]
    slope = joint.add({}, 0.0, 1.0)
    seen = {joint.add({alphas[g]: 1.0, slope: x}, 0.0, 0.49): y for g, x, y in zip(GROUPS, X[:, 0], Y, strict=True)}
    return joint.log_evidence(seen)


PARTLY = {"x": [1.0, np.nan, 2.0, np.nan], "y": [1.5, 3.0, np.nan, np.nan]}


def partly_observed() -> tuple[JointGaussian, dict[int, float]]:
    joint, seen = JointGaussian(), {}
    mu = joint.add({}, 0.0, 1.0)
    for x, y in zip(PARTLY["x"], PARTLY["y"], strict=True):
        child = joint.add({mu: 1.0}, 0.0, 1.0)
        grandchild = joint.add({child: 2.0}, 0.0, 0.25)
        seen.update({place: v for place, v in ((child, x), (grandchild, y)) if not np.isnan(v)})
    return joint, seen


def by_group_precision() -> float:
    """A regression with a latent precision, by quadrature over it."""

    def log_density(t: np.ndarray) -> np.ndarray:
        values = [log_normal(Y, np.zeros(7), X @ X.T + np.eye(7) / one) for one in t]
        return np.array(values) + stats.gamma.logpdf(t, 2.0, scale=0.5)

    return log_integral_positive(log_density, -8.0, 6.0)


def gaussian() -> float:
    def log_density(t: np.ndarray) -> np.ndarray:
        values = [log_normal(Y, np.zeros(7), 100 * np.ones((7, 7)) + np.eye(7) / one) for one in t]
        return np.array(values) + stats.gamma.logpdf(t, 1.0)

    return log_integral_positive(log_density, -12.0, 6.0)


def rates_of_rates() -> float:
    """x | b is a product of negative binomials, given the rate b of the rates."""

    def log_density(b: np.ndarray) -> np.ndarray:
        each = (
            3 * np.log(b) - gammaln(3) + gammaln(3 + COUNTS[:, None]) - (3 + COUNTS[:, None]) * np.log(b + 1) - gammaln(COUNTS[:, None] + 1)
        )
        return each.sum(axis=0) + stats.gamma.logpdf(b, 2.0)

    return log_integral_positive(log_density)


def precision(prior: Callable[[np.ndarray], np.ndarray], likelihood: Callable[[np.ndarray], np.ndarray]) -> float:
    return log_integral_positive(lambda t: prior(t) + likelihood(t))


PAIRS = RNG.normal(size=(4, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]])


def wishart() -> float:
    """A latent precision matrix, the mean known to be 0."""
    n, df, scale = len(PAIRS), 4.0, np.eye(2)
    after = np.linalg.inv(np.linalg.inv(scale) + PAIRS.T @ PAIRS)
    ratio = (
        log_multivariate_gamma((df + n) / 2, 2)
        - log_multivariate_gamma(df / 2, 2)
        + (df + n) / 2 * np.linalg.slogdet(after)[1]
        - df / 2 * np.linalg.slogdet(scale)[1]
    )
    return float(ratio - n * np.log(np.pi))


def vector_mean() -> float:
    prior, noise = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 0.5], [0.5, 1.25]])
    cov = np.kron(np.ones((4, 4)), prior) + np.kron(np.eye(4), noise)
    return float(log_normal(PAIRS.ravel(), np.tile([0.3, -0.2], 4), cov))


def sprinkler() -> float:
    rain, sprinkler_given = 0.2, np.array([0.4, 0.01])
    wet = np.array([[0.02, 0.9], [0.8, 0.99]])  # sprinkler, rain

    def joint(state: tuple[int, ...]) -> float:
        r, s = state
        return float(stats.bernoulli.logpmf(r, rain) + stats.bernoulli.logpmf(s, sprinkler_given[r]) + np.log(wet[s, r]))

    return log_evidence(joint, (2, 2))


MATRIX = np.array([[1.0, 0.5], [-0.3, 2.0], [0.7, 0.1]])
