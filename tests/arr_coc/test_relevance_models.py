"""The models of `models/arr_coc` against closed forms, dense Gaussians and a hand-written ascent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import ppl
from tests.reference.quadtree import quadtree
from tests.reference.relevance_ascent import relevance

MODELS = "models/arr_coc"


def test_the_pointer_is_the_published_update() -> None:
    """log π = H + precision · cue + gain + constant; the bound is the evidence."""
    rng = np.random.default_rng(0)
    content, gain = rng.uniform(0, 3.35, 200), rng.gamma(1.0, 1.0, 200)
    reliability, cue = rng.gamma(4.0, 1.0, 200), rng.normal(-0.5, 0.5, 200)
    posterior = ppl.load(f"{MODELS}/pointer.aim").fit(content=content, gain=gain, reliability=reliability, cue=cue)
    update = content + reliability * cue + gain
    np.testing.assert_allclose(posterior["target"].params["p"], np.exp(update - logsumexp(update)), atol=1e-10)
    away = stats.norm(-0.5, 1 / np.sqrt(reliability)).logpdf(cue)
    here = stats.norm(0.5, 1 / np.sqrt(reliability)).logpdf(cue)
    evidence = logsumexp(content + gain - logsumexp(content + gain) + away.sum() + here - away)
    assert posterior.exact
    assert posterior.elbo == pytest.approx(evidence, abs=1e-10)


def test_relevance_is_what_is_written_out() -> None:
    """With the globals and all patches as one dense Gaussian: also how sure the globals are."""
    rng = np.random.default_rng(1)
    cue = 0.4 + 0.2 * rng.normal(size=(70, 1)) + np.array([0.0, 0.1, -0.1]) + 0.15 * rng.standard_t(4, size=(70, 3))
    expected = relevance(cue, 300)
    found = ppl.load(f"{MODELS}/relevance.aim").fit(cue=cue)
    assert any(block.forest is not None for block in found.plan.blocks)
    assert found.elbo == pytest.approx(expected.bounds[-1], abs=1e-6)
    sd = np.sqrt(np.diag(expected.cov))
    for name, place in (("typical", slice(0, 1)), ("centre", slice(1, 2)), ("offset", slice(2, 4)), ("r", slice(4, None))):
        np.testing.assert_allclose(np.ravel(found[name].mean), expected.mean[place], atol=1e-5)
        np.testing.assert_allclose(np.ravel(found[name].sd), sd[place], rtol=1e-5)


def test_the_order_of_patches_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    cue, order = rng.uniform(size=(70, 3)), rng.permutation(70)
    model = ppl.load(f"{MODELS}/relevance.aim")
    first, second = model.fit(cue=cue), model.fit(cue=cue[order])
    assert second.elbo == pytest.approx(first.elbo, abs=1e-8)
    np.testing.assert_allclose(second["r"].mean, first["r"].mean[order], atol=1e-6)


def test_the_pyramid_is_a_dense_gaussian() -> None:
    shapes, rng = [(2, 2), (4, 4), (8, 8)], np.random.default_rng(4)
    cue = rng.uniform(size=(8, 8))
    sizes = {"CoarseRows": 2, "CoarseColumns": 2, "MiddleRows": 4, "MiddleColumns": 4}
    found = ppl.load(f"{MODELS}/pyramid.aim").fit(cue=cue, likeness=[30.0, 60.0, 200.0], reliability=50.0, **sizes)
    evidence, mean, sd = quadtree(cue, shapes, [30.0, 60.0, 200.0], 50.0)
    prior = sum(stats.gamma(2, scale=20).logpdf(v) for v in (30, 60, 200)) + stats.gamma(25).logpdf(50)
    assert found.exact
    assert found.log_evidence == pytest.approx(evidence + prior, abs=1e-9)
    parts = [np.ravel(found[name].mean) for name in ("whole", "coarse", "middle", "fine")]
    np.testing.assert_allclose(np.concatenate(parts), mean, atol=1e-9)
    spreads = [np.ravel(found[name].sd) for name in ("whole", "coarse", "middle", "fine")]
    np.testing.assert_allclose(np.concatenate(spreads), sd, atol=1e-9)


def test_what_tokens_will_tell_of_a_video_does_not_depend_on_what_is_seen() -> None:
    """The recursion of the variance, with a frame that is not looked at."""
    tokens = np.array([[64.0, 256.0], [1.0, 64.0], [128.0, 400.0]])
    model, rng = ppl.load(f"{MODELS}/video.aim"), np.random.default_rng(5)
    for _ in range(2):
        seen = rng.normal(0.5, 0.3, size=(3, 2))
        seen[1, 0] = np.nan
        found = model.fit(tokens=tokens, seen=seen)
        variance = np.full(2, 0.09)
        for t in range(3):
            variance = variance if t == 0 else 0.81 * variance + 0.01
            variance = variance / (1 + np.where(np.isnan(seen[t]), 0.0, tokens[t]) * variance / 6.4)
        np.testing.assert_allclose(found["r"].sd[2], np.sqrt(variance), atol=1e-12)
