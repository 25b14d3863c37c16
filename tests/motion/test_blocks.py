"""Whole blocks: series side by side, inputs, definitions, missing samples, predictions, draws, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ppl
from ppl.api import run_tests
from tests.reference.linear_motion import correlation, log_normal

PAIR = """
model pair:
    input u: real[T]
    for s in S:
        generalized t in T (dt = 0.2, order = 3, smoothness = 0.5):
            state x[s]: real ~ Normal(0, sd = 1)
            d[s] = 2 * x[s]
            x'[s] ~ Normal(u[t] - x[s], precision = 16)
            y[s] ~ Normal(d[s], precision = 64)
    last = y[0, 0] - x[0, T - 1]
"""
SINGLE = """
model single:
    input u: real[T]
    generalized t in T (dt = 0.2, order = 3, smoothness = 0.5):
        state x: real ~ Normal(0, sd = 1)
        x' ~ Normal(u[t] - x, precision = 16)
        y ~ Normal(2 * x, precision = 64)
"""
INPUT = np.sin(0.2 * np.arange(30))


@pytest.fixture(scope="module")
def record() -> dict[str, np.ndarray]:
    return ppl.parse(PAIR).sample(20, u=INPUT, S=2, T=30, seed=3)


@pytest.fixture(scope="module")
def posterior(record: dict[str, np.ndarray]) -> ppl.Posterior:
    return ppl.parse(PAIR).fit(u=INPUT, y=record["y"][0])


def test_series_side_by_side_are_each_what_they_are_alone(record: dict[str, np.ndarray], posterior: ppl.Posterior) -> None:
    alone = ppl.parse(SINGLE).fit(u=INPUT, y=record["y"][0, 1])
    assert posterior["x"].mean.shape == (2, 30)
    assert posterior["x''"].mean[1] == pytest.approx(alone["x''"].mean, abs=1e-9)
    assert posterior["x"].sd[1] == pytest.approx(alone["x"].sd, abs=1e-12)


def test_definitions_and_what_follows_from_the_block_have_beliefs(record: dict[str, np.ndarray], posterior: ppl.Posterior) -> None:
    assert posterior["d"].mean == pytest.approx(2 * posterior["x"].mean)
    assert posterior["d"].sd == pytest.approx(2 * posterior["x"].sd)
    expected = record["y"][0, 0, 0] - posterior["x"].mean[0, -1]
    assert posterior["last"].mean == pytest.approx(expected, abs=5 * posterior["x"].sd[0, -1] / np.sqrt(1000))
    assert record["d"] == pytest.approx(2 * record["x"])
    assert record["last"] == pytest.approx(record["y"][:, 0, 0] - record["x"][:, 0, -1])


def test_intervals_cover_states_that_smooth_noise_has_moved(record: dict[str, np.ndarray]) -> None:
    """Forty series by the model itself, away from the borders, where samples are repeated."""
    found = ppl.parse(PAIR).fit(u=INPUT, y=record["y"].reshape(40, 30))
    low, high = found["x"].interval(0.9)
    truth = record["x"].reshape(40, 30)
    inside = ((low < truth) & (truth < high))[:, 3:-3]
    assert 0.85 < inside.mean() < 0.96


def test_a_missing_sample_is_told_by_the_noise_around_it(record: dict[str, np.ndarray]) -> None:
    """It is known better than its sensor says; and the samples beside it stand as they are."""
    y = record["y"][0].copy()
    y[0, 12] = np.nan
    found = ppl.parse(PAIR).fit(u=INPUT, y=y)
    belief = found["y"]
    assert belief.mean[0, 11] == y[0, 11] and belief.sd[0, 11] == 0.0
    assert 0.0 < belief.sd[0, 12] < 1 / 8 + 2 * found["x"].sd[0, 12]
    assert abs(belief.mean[0, 12] - record["y"][0, 0, 12]) < 4 * belief.sd[0, 12]
    assert np.isfinite(found.elbo) and found["x"].sd[0, 12] > found["x"].sd[0, 20]
    drawn = found.draws(4000)["y"][:, 0]
    assert np.array_equal(drawn[0, :12], y[0, :12])
    assert drawn[:, 12].mean() == pytest.approx(belief.mean[0, 12], abs=5 * belief.sd[0, 12] / np.sqrt(4000))
    assert drawn[:, 12].std() == pytest.approx(belief.sd[0, 12], rel=0.06)


def test_a_prediction_is_taylors_with_an_error_that_grows(posterior: ppl.Posterior) -> None:
    ahead = posterior.predict("x", T=32, draws=4000)
    parts = [posterior["x" + "'" * k] for k in range(4)]
    for h in (1, 2):
        drawn = ahead[:, 0, 29 + h]
        mean = sum(p.mean[0, -1] * (0.2 * h) ** k / np.prod(np.arange(1, k + 1)) for k, p in enumerate(parts))
        assert drawn.mean() == pytest.approx(mean, abs=5 * drawn.std() / np.sqrt(4000))
    spreads = ahead[:, 0, 29:].std(axis=0)
    assert spreads[0] == pytest.approx(parts[0].sd[0, -1], rel=0.1) and spreads[0] < spreads[1] < spreads[2]


def test_a_cause_alone_is_its_smooth_prior_and_its_data() -> None:
    """No equation of motion: a Gaussian process with the autocorrelation of the noise, seen through noise of the same kind."""
    text = """
model level(m = 1):
    generalized t in T (smoothness = 0.7, scheme = smooth):
        state v: real
        v ~ Normal(m, precision = 4)
        y ~ Normal(v, precision = 16)
"""
    posterior = ppl.parse(text).fit(y=INPUT)
    rough = correlation(30, 0.7)
    assert posterior.log_evidence == pytest.approx(log_normal(INPUT, np.ones(30), rough * (1 / 4 + 1 / 16)), abs=1e-6)
    assert posterior["v"].mean == pytest.approx(1 + (INPUT - 1) * (1 / 4) / (1 / 4 + 1 / 16), abs=1e-6)
    with pytest.raises(ppl.AimError, match="whose prior does not stand above it"):
        below = text.replace("        y ~", "        state w: real\n        w ~ Normal(0, precision = 1)\n        y ~").replace(
            "Normal(m,", "Normal(w,"
        )
        ppl.parse(below).fit(y=INPUT)


def test_a_state_that_nothing_determines_is_told() -> None:
    text = SINGLE.replace("        y ~", "        state z: real\n        z' ~ Normal(-z, precision = 4)\n        y ~")
    posterior = ppl.parse(text).fit(u=INPUT, y=INPUT)
    assert posterior.status == "not finite" and "nothing determines some of `x`, `z`" in posterior.warnings[0]


def test_a_test_speaks_of_derivatives(tmp_path: Path) -> None:
    file = tmp_path / "falling.aim"
    line = 'test "it slows down":\n    fit single to y = [2, 1.6, 1.3, 1, 0.9], u = [0, 0, 0, 0, 0]\n    expect mean(x[2]) > 0.5\n    expect mean(x'
    file.write_text(f"{SINGLE}\n{line}'[2]) < 0\n")
    assert [result.messages for result in run_tests(file)] == [[]]


def test_a_posterior_is_kept_in_a_file(posterior: ppl.Posterior, tmp_path: Path) -> None:
    back = ppl.open_posterior(posterior.save(tmp_path / "pair.posterior"))
    assert back["x'"].mean == pytest.approx(posterior["x'"].mean)


@pytest.mark.parametrize(
    ("old", "new", "values", "code"),
    [
        ("state x: real ~ Normal(0, sd = 1)", "state x: real", {}, "nothing says where `x` begins"),
        ("precision = 64", "precision = 64", {"scheme": "log_density"}, "`log_density` of a generalized block"),
    ],
)
def test_what_is_not_served_is_refused(old: str, new: str, values: dict[str, str], code: str) -> None:
    model = ppl.parse(SINGLE.replace(old, new))
    with pytest.raises(ppl.AimError, match=code):
        _ = model.log_density(u=INPUT, y=INPUT) if values else model.sample(2, u=INPUT, T=30)


def test_missing_samples_stop_the_flow_and_fast_derivatives_stop_smooth() -> None:
    y = INPUT.copy()
    y[4] = np.nan
    with pytest.raises(ppl.AimError, match="samples of `y` are missing"):
        ppl.parse(SINGLE.replace("smoothness = 0.5", "smoothness = 0.5, scheme = flow")).fit(u=INPUT, y=y)
    with pytest.raises(ppl.AimError, match="is not followed by `smooth`"):
        ppl.parse(SINGLE.replace("smoothness = 0.5", "scheme = smooth").replace("2 * x,", "2 * x'',")).fit(u=INPUT, y=y)


DRIFT = """
model drift(n = 1, p = 1, q = 4):
    generalized t in T (order = n, scheme = smooth):
        state x: real ~ Normal(0, sd = 1)
        x' ~ Normal(-x, precision = p)
        y ~ Normal(x, precision = q)
"""


def test_a_path_needs_no_samples_around_a_bin_and_none_at_all() -> None:
    """One sample of precision 4 on a prior of precision 1; and `x[t + 1] = w[t]`, of unit noise."""
    model = ppl.parse(DRIFT)
    assert model.fit(y=[1.0], n=6)["x"].mean == pytest.approx([4 / 5])
    prior = model.fit(T=5)
    assert prior.exact and prior.log_evidence == pytest.approx(0, abs=1e-12)
    assert prior["x"].sd == pytest.approx(np.ones(5)) and prior["y"].var == pytest.approx(np.full(5, 1.25))


@pytest.mark.parametrize(
    ("text", "given", "code", "said"),
    [
        (DRIFT, {"p": -1}, "AIM0618", r"`precision` is -1 for x\[0\]"),
        (DRIFT, {"y": [1.0, np.inf]}, "AIM0615", r"y\[1\] is infinite"),
        (DRIFT, {"y": []}, "AIM0710", "give a longer record"),
        (DRIFT, {"y": np.zeros(5000)}, "AIM0713", "fit at most 3999 bins at a time"),
        (DRIFT.replace("x' ", "x'' "), {}, "AIM0711", "`x''` is named here, and `order` is 1"),
        (DRIFT.replace("smooth", "mode"), {"y": [np.nan] * 4}, "AIM0712", "no sample that the block senses"),
    ],
)
def test_what_the_data_break_is_told_at_its_place(text: str, given: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(ppl.AimError, match=said) as caught:
        ppl.parse(text).fit(**{"y": [1.0, 2.0, 1.0], **given})
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_block_has_a_state() -> None:
    with pytest.raises(ppl.AimError, match="the block has no state"):
        ppl.parse("model m:\n    generalized t in T:\n        y ~ Normal(0, 1)\n")
