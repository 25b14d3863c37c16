"""From an image to tokens, in Python and on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ppl
from ppl.arr_coc.planning import allocate, stream
from ppl.arr_coc.spread import spread_of
from ppl.tools.command_line import status

data = pytest.importorskip("skimage.data")
QUERY = [60, 110, 190, 260]


@pytest.fixture(scope="module")
def allocation() -> ppl.arr_coc.Allocation:
    return allocate(data.chelsea(), QUERY, 5000, patch=50)


def test_an_allocation_keeps_its_budget(allocation: ppl.arr_coc.Allocation) -> None:
    assert allocation.tokens.shape == (6 * 9,)
    assert 5000 - 144 <= allocation.total <= 5000
    assert allocation.expected.sum() == pytest.approx(5000, rel=1e-6)
    assert set(allocation.tokens) <= {0, 64, 128, 256, 400}
    assert np.all(np.diff(allocation.elbo_trace) > -1e-9)
    assert allocation.accuracy - allocation.complexity == pytest.approx(allocation.elbo_trace[-1], abs=1e-9)


def test_accuracy_is_told_at_each_sweep(allocation: ppl.arr_coc.Allocation) -> None:
    """At each sweep what the fit that ends there says of its factors."""
    model = ppl.load("models/arr_coc/relevance.aim")
    for sweeps in (1, 3, 6, 9):
        terms = model.fit(cue=allocation.features.cue, iterations=sweeps).free_energy_by_factor()
        expected = -sum(value for label, value in terms.items() if label.startswith("cue"))
        assert allocation.accuracy_trace[sweeps - 1] == pytest.approx(expected, abs=1e-8)
    assert np.all(allocation.complexity_trace > 0)


def test_what_is_looked_for_decides_who_gets_tokens(allocation: ppl.arr_coc.Allocation) -> None:
    other = allocate(data.chelsea(), [200, 0, 300, 100], 5000, patch=50)
    assert np.any(other.tokens != allocation.tokens)
    inside = allocation.features.grid.covered(allocation.features.query)  # type: ignore[arg-type]
    assert allocation.expected[inside].mean() > other.expected[inside].mean()


def test_a_budget_that_is_not_reached_has_no_price() -> None:
    rich = allocate(data.chelsea(), QUERY, 1e6, patch=50)
    assert rich.price == 0.0
    assert any("the price is 0" in message for message in rich.messages)


def test_an_agent_that_allots_nothing_is_refused() -> None:
    with pytest.raises(ppl.AimError, match="lacks `relevance`"):
        allocate(data.chelsea(), QUERY, 5000, patch=50, agent=ppl.load("models/agents/tmaze.aim"))  # type: ignore[arg-type]


def test_a_stream_gives_each_frame_what_it_would_get_alone() -> None:
    """Also after a frame in which no cue tells patches apart."""
    image = data.chelsea()
    frames = [image[:, :400], image[:, 2:402], np.full((300, 400, 3), 0.5), image[:, 4:404]]
    for frame, told in zip(frames, stream(frames, QUERY, 5000, patch=50), strict=True):
        alone = allocate(frame, QUERY, 5000, patch=50)
        assert told.total <= 5000
        np.testing.assert_allclose(told.relevance, alone.relevance, atol=1e-5)
        np.testing.assert_allclose(told.expected, alone.expected, atol=0.05)
    few = [*stream(frames[:2], QUERY, 5000, patch=50, sweeps=2)]
    assert [len(told.elbo_trace) for told in few] == [2, 2]


@pytest.mark.parametrize(
    ("wrong", "text"), [({"budget": [5000]}, "a number of tokens"), ({"budget": np.nan}, "a number of tokens"), ({"agent": "x"}, "'x'")]
)
def test_what_is_no_budget_and_no_agent_is_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ppl.AimError, match=text):
        allocate(data.chelsea(), QUERY, patch=50, **wrong)


def test_spread_of_tokens() -> None:
    tokens = np.zeros((8, 8))
    tokens[0, 0] = tokens[0, 1] = tokens[7, 7] = 4.0
    found = spread_of(tokens)
    assert (found.coverage, found.clusters) == (2 / 16, 2)
    assert found.entropy == pytest.approx(np.log2(3))
    assert found.nearest == pytest.approx((1 + 1 + np.hypot(7, 6)) / 3)
    assert spread_of(np.ones((16, 16))).entropy == pytest.approx(6.0)


def test_the_command_line_writes_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from skimage.io import imsave

    imsave(tmp_path / "cat.png", data.chelsea(), check_contrast=False)
    command = f"run models/arr_coc/allocation.aim --data {tmp_path}/cat.png --set budget=5000 --set patch=50".split()
    assert status([*command, "--set", "query=[60, 110, 190, 260]", "--format", "json", "--out", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cues"] == ["entropy", "edge", "match"] and sum(told["tokens"]) == told["total"] <= 5000
    names = {"summary.txt", "allocation.json", "tokens.csv", "elbo.csv", "heat_map.png"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    rows = (tmp_path / "out" / "tokens.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 54 and rows[0] == "row,column,tokens,expected,relevance,relevance_sd"
    assert (tmp_path / "out" / "heat_map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("--data {0}/bad.png", "cannot be read as an image"),
        ("--data {0}/none.png", "no such file"),
        ("--data {0}/cat.png --set query=[1,2,3]", "four whole numbers"),
        ("--data {0}/cat.png --set patch=50 --set budget=-1", "the budget is -1"),
        ("--data {0}/cat.png --set patch=50 --set budget=many", "a number of tokens"),
        ("--data {0}/cat.png --set patch=[1,2,3]", "whole number of pixels"),
        ("--data {0}/cat.png --data {0}/cat.png", "2 images"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(more: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from skimage.io import imsave

    imsave(tmp_path / "cat.png", data.chelsea(), check_contrast=False)
    (tmp_path / "bad.png").write_text("no image", encoding="utf-8")
    assert status(["run", "models/arr_coc/allocation.aim", *more.format(tmp_path).split(), "--out", str(tmp_path / "out")]) == 1
    assert text in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
