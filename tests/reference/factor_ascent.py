"""Coordinate ascent by hand for hidden factors and hidden classes: factor analysis, marks of films, topics and observers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, softmax

from tests.reference.divergences import (
    dirichlet_divergence,
    expected_log,
    gamma_divergence,
    log_normal_expected,
    normal_entropy,
)


@dataclass(frozen=True)
class Factors:
    """q(relevance) and q(noise) by shape and rate, the means of centre and loading in a row for each part, and the bound."""

    relevance: tuple[float, np.ndarray]
    noise: tuple[float, np.ndarray]
    weights: np.ndarray
    bound: float


def factor_analysis(
    x: np.ndarray,
    k: int,
    relevance0: tuple[float, float],
    noise0: tuple[float, float],
    centre0: tuple[float, float],
    sweeps: int,
    seed: int = 0,
) -> Factors:
    """q(relevance) q(centre, loading) q(noise) q(factors); `centre0` is a mean and an sd. The loadings start at random."""
    n, d = x.shape
    rng = np.random.default_rng(seed)
    weights = np.concatenate([x.mean(0)[:, None], rng.standard_normal((d, k))], axis=1)
    spread = np.zeros((d, k + 1, k + 1))
    relevance, relevance_mean, noise_mean = (relevance0[0] + d / 2, np.ones(k)), np.ones(k), np.ones(d)
    noise = (noise0[0] + n / 2, np.ones(d))
    bound = -np.inf
    for _ in range(sweeps):
        second = np.einsum("d,dij->ij", noise_mean, spread + weights[:, :, None] * weights[:, None, :])
        covariance = np.linalg.inv(np.eye(k) + second[1:, 1:])
        factors = (x @ (noise_mean[:, None] * weights[:, 1:]) - second[0, 1:]) @ covariance
        design = np.concatenate([np.ones((n, 1)), factors], axis=1)
        moments = design.T @ design
        moments[1:, 1:] += n * covariance
        prior = np.diag(np.concatenate([[centre0[1] ** -2], relevance_mean]))
        spread = np.linalg.inv(prior + noise_mean[:, None, None] * moments)
        towards = noise_mean[:, None] * (x.T @ design)
        towards[:, 0] += centre0[0] / centre0[1] ** 2
        weights = np.einsum("dij,dj->di", spread, towards)
        second_each = spread + weights[:, :, None] * weights[:, None, :]
        misses = (x**2).sum(0) - 2 * (weights * (x.T @ design)).sum(1) + np.einsum("dij,ij->d", second_each, moments)
        squares = np.einsum("dii->i", second_each)[1:]
        relevance = (relevance0[0] + d / 2, relevance0[1] + squares / 2)
        noise = (noise0[0] + n / 2, noise0[1] + misses / 2)
        relevance_mean, noise_mean = relevance[0] / relevance[1], noise[0] / noise[1]
        bound = normal_entropy(spread) + n * normal_entropy(covariance)
        bound += log_normal_expected(factors**2 + np.diag(covariance), np.array(1.0), np.array(0.0))
        bound += log_normal_expected(
            (weights[:, 0] - centre0[0]) ** 2 + spread[:, 0, 0], np.array(centre0[1] ** -2), -2 * np.log(centre0[1])
        )
        bound += (
            d * (0.5 * (digamma(relevance[0]) - np.log(relevance[1]) - np.log(2 * np.pi))).sum() - 0.5 * (relevance_mean * squares).sum()
        )
        bound += n * (0.5 * (digamma(noise[0]) - np.log(noise[1]) - np.log(2 * np.pi))).sum() - 0.5 * (noise_mean * misses).sum()
        bound -= gamma_divergence(np.full(k, relevance[0]), relevance[1], *relevance0)
        bound -= gamma_divergence(np.full(d, noise[0]), noise[1], *noise0)
    return Factors(relevance, noise, weights, float(bound))


@dataclass(frozen=True)
class Marks:
    centre: float
    precision: tuple[float, float]
    bound: float


def matrix_factorisation(person: np.ndarray, film: np.ndarray, mark: np.ndarray, k: int, sweeps: int, seed: int) -> Marks:
    """q(centre, taste) q(trait) q(precision) for the priors of the model: centre Normal(5, 5), precision Gamma(1, 1), unit tastes."""
    people, films, n = person.max() + 1, film.max() + 1, len(mark)
    trait = np.random.default_rng(seed).standard_normal((films, k))
    trait_spread = np.zeros((films, k, k))
    tau, bound, centre = 1.0, -np.inf, 0.0
    places = 1 + k * person[:, None] + np.arange(k)
    shape = rate = 1.0
    for _ in range(sweeps):
        trait_second = trait_spread + trait[:, :, None] * trait[:, None, :]
        precision = np.eye(1 + k * people)
        precision[0, 0] = 0.04 + tau * n
        towards = np.zeros(1 + k * people)
        towards[0] = 5 * 0.04 + tau * mark.sum()
        for i in range(n):
            precision[np.ix_(places[i], places[i])] += tau * trait_second[film[i]]
            precision[0, places[i]] += tau * trait[film[i]]
            precision[places[i], 0] += tau * trait[film[i]]
            towards[places[i]] += tau * mark[i] * trait[film[i]]
        covariance = np.linalg.inv(precision)
        mean = covariance @ towards
        second = covariance + np.outer(mean, mean)
        centre = mean[0]
        trait_precision = np.tile(np.eye(k), (films, 1, 1))
        trait_towards = np.zeros((films, k))
        for i in range(n):
            trait_precision[film[i]] += tau * second[np.ix_(places[i], places[i])]
            trait_towards[film[i]] += tau * (mark[i] * mean[places[i]] - second[0, places[i]])
        trait_spread = np.linalg.inv(trait_precision)
        trait = np.einsum("fij,fj->fi", trait_spread, trait_towards)
        trait_second = trait_spread + trait[:, :, None] * trait[:, None, :]
        misses = mark**2 - 2 * mark * (centre + (mean[places] * trait[film]).sum(1)) + second[0, 0]
        misses += 2 * (second[0, places] * trait[film]).sum(1)
        misses += np.array([(second[np.ix_(places[i], places[i])] * trait_second[film[i]]).sum() for i in range(n)])
        shape, rate = 1 + n / 2, 1 + misses.sum() / 2
        tau = shape / rate
        bound = normal_entropy(covariance) + normal_entropy(trait_spread)
        bound += log_normal_expected(np.diag(second)[1:], np.array(1.0), np.array(0.0))
        bound += log_normal_expected(np.einsum("fii->fi", trait_second), np.array(1.0), np.array(0.0))
        bound += log_normal_expected(np.array((centre - 5) ** 2 + covariance[0, 0]), np.array(0.04), np.log(0.04))
        bound += log_normal_expected(misses, np.array(tau), digamma(shape) - np.log(rate))
        bound -= gamma_divergence(np.array(shape), np.array(rate), 1, 1)
    return Marks(float(centre), (shape, rate), float(bound))


@dataclass(frozen=True)
class Topics:
    chance: np.ndarray
    share: np.ndarray
    topic: np.ndarray
    bound: float


def topics(title: np.ndarray, word: np.ndarray, k: int, words: int, concentration: float, sweeps: int, seed: int) -> Topics:
    """q(chance) q(share) q(topic) with symmetric Dirichlet priors of one concentration; topics start at random."""
    hot_title, hot_word = np.eye(title.max() + 1)[title], np.eye(words)[word]
    topic = np.random.default_rng(seed).dirichlet(np.ones(k), len(word))
    chance = share = np.ones((k, 1))
    bound = -np.inf
    for _ in range(sweeps):
        chance, share = concentration + topic.T @ hot_word, concentration + hot_title.T @ topic
        scores = hot_title @ expected_log(share) + hot_word @ expected_log(chance).T
        topic = softmax(scores, axis=1)
        bound = (topic * scores).sum() - (topic * np.log(np.maximum(topic, 1e-300))).sum()
        bound -= dirichlet_divergence(chance, np.array([concentration] * words)) + dirichlet_divergence(
            share, np.array([concentration] * k)
        )
    return Topics(chance, share, topic, float(bound))


@dataclass(frozen=True)
class Observers:
    share: np.ndarray
    says: np.ndarray
    truth: np.ndarray
    bound: float


def observers(patient: np.ndarray, observer: np.ndarray, grade: np.ndarray, grades: int, sweeps: int) -> Observers:
    """q(share) q(says) q(truth): share Dirichlet(1), says[o, g] Dirichlet(1 + onehot(g)). The truth starts at the share of votes."""
    hot, hot_patient, hot_observer = np.eye(grades)[grade], np.eye(patient.max() + 1)[patient], np.eye(observer.max() + 1)[observer]
    truth = hot_patient.T @ hot
    truth /= truth.sum(1, keepdims=True)
    prior = np.ones((grades, grades)) + np.eye(grades)
    share, says, bound = np.ones(grades), prior[None], -np.inf
    for _ in range(sweeps):
        share = 1 + truth.sum(0)
        says = prior + np.einsum("no,ng,nl->ogl", hot_observer, truth[patient], hot)
        scores = expected_log(share) + hot_patient.T @ np.einsum("ngl,nl->ng", expected_log(says)[observer], hot)
        truth = softmax(scores, axis=1)
        bound = (truth * scores).sum() - (truth * np.log(np.maximum(truth, 1e-300))).sum()
        bound -= dirichlet_divergence(share, np.ones(grades)) + dirichlet_divergence(says, prior)
    return Observers(share, says, truth, float(bound))
