"""Images as data: what is told of patches, what is left out, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ppl
from ppl.graph.readers import read
from ppl.images.colours import cube_root, lightness_and_redness
from ppl.images.cues import independent_channels, log_likelihood_ratio, robustly_scaled
from ppl.images.patches import grid_of
from ppl.images.pixels import gradients, pixel_entropy, pixels_of
from ppl.images.reading import read_image

data = pytest.importorskip("skimage.data")
features = ppl.arr_coc.features


def test_entropy_is_that_of_the_pixels() -> None:
    half = np.repeat([[0.1, 0.9]], 8, axis=0).reshape(1, -1)
    flat, all_different = np.full((1, 16), 0.3), (np.arange(32) + 0.5)[None, :] / 32
    np.testing.assert_allclose(pixel_entropy(half), np.log(2))
    np.testing.assert_allclose(pixel_entropy(flat), 0.0)
    np.testing.assert_allclose(pixel_entropy(all_different), np.log(32))


def test_patches_are_rectangles_from_the_upper_left() -> None:
    image = np.arange(7 * 9).reshape(7, 9).astype(float)
    grid = grid_of(image, 3, "x")
    assert (grid.rows, grid.columns) == (2, 3)
    np.testing.assert_array_equal(grid.cut(image)[4], image[3:6, 3:6].ravel())
    assert grid.covered((0, 3, 7, 9)).tolist() == [False, True, True, False, True, True]
    wide = grid_of(image, [3, 4], "x")
    assert (wide.rows, wide.columns) == (2, 2)
    np.testing.assert_array_equal(wide.cut(image)[3], image[3:6, 4:8].ravel())
    np.testing.assert_allclose(wide.means(image), wide.cut(image).mean(axis=1))
    assert wide.covered((0, 3, 7, 9)).tolist() == [False, True, False, True]
    assert grid_of(np.zeros((2160, 3840)), [27, 30], "x").patches == 10_240


def test_the_ratio_is_that_of_two_gaussians() -> None:
    rng = np.random.default_rng(0)
    query, rest = rng.normal(1.0, 0.5, (20_000, 2)), rng.normal(0.0, 1.0, (60_000, 2))
    table = rng.normal(size=(5, 2))
    expected = stats.norm(1.0, 0.5).logpdf(table).sum(axis=1) - stats.norm(0.0, 1.0).logpdf(table).sum(axis=1)
    np.testing.assert_allclose(log_likelihood_ratio(query, rest, table), expected, atol=0.15)


def test_scaling_is_by_the_images_own_quantiles() -> None:
    values = np.concatenate([np.linspace(0, 1, 1001), [1e6]])
    scaled = robustly_scaled(values)
    assert scaled is not None
    np.testing.assert_allclose(scaled[500], 0.5, atol=0.01)
    assert scaled[-1] == 1.0
    assert robustly_scaled(np.ones(9)) is None


def test_channels_that_repeat_or_only_say_where_are_left_out() -> None:
    """The thirteen channels of the published code: two copies, three that are the same in every image."""
    image = read_image(data.astronaut())
    grid = grid_of(image, 32, "x")
    table = pixels_of(image, grid).channels
    row, column = np.divmod(np.arange(grid.patches), grid.columns)
    y, x = row / (grid.rows - 1), column / (grid.columns - 1)
    names = ["R", "G", "B", "L", "a", "Gx", "Gy", "magnitude", "y", "x", "eccentricity", "saliency", "luminance"]
    published = np.column_stack([table, y, x, np.hypot(y - 0.5, x - 0.5), table[:, 7], table[:, 3]])
    kept, called, messages = independent_channels(published, names, grid)
    assert called == tuple(names[:8]) and kept.shape == (grid.patches, 8)
    for name in names[8:]:
        assert any(f"`{name}`" in message for message in messages)
    told = features(image, [20, 150, 180, 290], patch=32, channels=published, names=names)
    assert len(told.messages) == 5
    np.testing.assert_allclose(told.cue, features(image, [20, 150, 180, 290], patch=32).cue)


def test_two_queries_tell_of_two_things() -> None:
    image = data.chelsea()
    first, second = features(image, [60, 110, 190, 260], patch=25), features(image, [200, 0, 300, 100], patch=25)
    np.testing.assert_array_equal(first.cue[:, :2], second.cue[:, :2])
    assert np.abs(first.cue[:, 2] - second.cue[:, 2]).max() > 0.3
    assert first.cue[first.grid.covered(first.query), 2].mean() > second.cue[first.grid.covered(first.query), 2].mean()  # type: ignore[arg-type]


def test_an_exemplar_is_a_query_too() -> None:
    image = data.chelsea()
    told = features(image, image[60:190, 110:260], patch=25)
    inside = told.grid.covered((60, 110, 190, 260))
    assert told.query is None and told.names == ("entropy", "edge", "match")
    assert told.cue[inside, 2].mean() > told.cue[~inside, 2].mean()


def test_an_exemplar_is_compared_by_what_the_image_has() -> None:
    """Also where it has less: a grey or a flat exemplar, one that is smaller than a patch."""
    image = data.chelsea()
    for exemplar in (image[60:190, 110:260], data.camera(), np.zeros((50, 50)), image[60:61, 110:111]):
        for shown in (image, image[..., 0]):
            assert features(shown, exemplar, patch=50).names == ("entropy", "edge", "match")


def test_a_flat_image_has_no_cues_and_says_so() -> None:
    told = features(np.full((40, 40), 0.3), patch=10)
    assert told.names == () and len(told.messages) == 2
    asked = features(np.full((40, 40), 0.3), [0, 0, 20, 20], patch=10)
    assert asked.names == () and any("`match`" in message for message in asked.messages)


def test_lightness_and_redness_are_those_of_another_implementation() -> None:
    from skimage.color import rgb2lab

    for image in (read_image(data.astronaut()), read_image(data.camera()), np.random.default_rng(0).uniform(size=(40, 30, 3))):
        lightness, redness = lightness_and_redness(image)
        np.testing.assert_allclose(lightness, rgb2lab(image)[..., 0], atol=1e-10)
        np.testing.assert_allclose(redness, rgb2lab(image)[..., 1], atol=1e-10)


def test_cube_roots_are_those_of_another_implementation() -> None:
    x = np.concatenate([np.geomspace(1e-9, 1.0, 10_001), np.random.default_rng(0).uniform(size=10_000)])
    np.testing.assert_allclose(cube_root(x), np.cbrt(x), rtol=2e-14)


def test_bands_of_patches_tell_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at the edges of bands, where gradients need the lines of pixels beside."""
    image = data.chelsea()[:203, :301]
    grid = grid_of(image, [7, 9], "x")
    whole = pixels_of(image, grid)
    for at_once in (1, 9000, 10**9):
        monkeypatch.setattr("ppl.images.pixels.AT_ONCE", at_once)
        found = pixels_of(image, grid)
        for a, b in zip(vars(whole).values(), vars(found).values(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_edges_are_those_of_another_implementation() -> None:
    from skimage.filters import sobel_h, sobel_v

    grey = data.camera() / 255.0
    down, across, steep = gradients(np.pad(grey, 1, mode="edge"))
    np.testing.assert_allclose(down[1:-1, 1:-1], sobel_h(grey)[1:-1, 1:-1], atol=1e-12)
    np.testing.assert_allclose(across[1:-1, 1:-1], sobel_v(grey)[1:-1, 1:-1], atol=1e-12)
    np.testing.assert_allclose(steep, np.hypot(down, across), atol=1e-12)


@pytest.mark.parametrize("kind", ["bytes", "unit", "grey", "with opacity", "a file"])
def test_the_same_picture_in_other_clothes(kind: str, tmp_path: Path) -> None:
    image = data.chelsea()
    grey = np.repeat(image[..., :1], 3, axis=-1)
    if kind == "a file":
        from skimage.io import imsave

        imsave(tmp_path / "cat.png", image, check_contrast=False)
    clothes: dict[str, tuple[Any, Any]] = {
        "bytes": (image, image),
        "unit": (image / 255.0, image),
        "grey": (image[..., 0], grey),
        "with opacity": (np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]), image),
        "a file": (tmp_path / "cat.png", image),
    }
    shown, plain = clothes[kind]
    np.testing.assert_allclose(features(shown, patch=50).cue, features(plain, patch=50).cue)


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "not a number": (np.array([[0.1, np.nan], [0.2, 0.3]]), {}, "row 0, column 1"),
    "above one": (np.full((4, 4), 200.0), {}, "divide by 255"),
    "no pixels": (np.zeros((0, 5)), {}, "no pixels"),
    "one axis": (np.zeros(5), {}, "height × width"),
    "five colours": (np.zeros((4, 4, 5)), {}, "3 colours"),
    "rows of two lengths": ([[0.1, 0.2], [0.3]], {}, "one length"),
    "masked": (np.ma.masked_less(np.linspace(0, 1, 16).reshape(4, 4), 0.1), {}, "2 of its entries are masked"),
    "whole numbers without a white": (np.full((4, 4), 200), {}, "uint8"),
    "texts": (np.array([["a"]]), {}, "numbers"),
    "no whole patch": (np.zeros((4, 4)), {"patch": 5}, "does not fit"),
    "no size": (np.zeros((4, 4)), {"patch": 0}, "whole number"),
    "a text as a size": (np.zeros((4, 4)), {"patch": "a"}, "whole number"),
    "three sizes": (np.zeros((4, 4)), {"patch": [1, 2, 3]}, "whole number"),
    "no number as a size": (np.zeros((4, 4)), {"patch": np.nan}, "whole number"),
    "a size that is too wide": (np.zeros((4, 4)), {"patch": [4, 5]}, "4 × 5 pixels does not fit"),
    "an image by other channels": (np.zeros((4, 4)), {"query": np.ones((4, 4)), "patch": 1, "channels": np.eye(16)[:, :2]}, "its own"),
    "too few names": (np.zeros((4, 4)), {"query": [0, 0, 2, 2], "patch": 1, "channels": np.eye(16)[:, :2], "names": ["a"]}, "a name for"),
    "a query of three": (np.zeros((40, 40)), {"query": [1, 2, 3]}, "four whole numbers"),
    "a query outside": (np.zeros((40, 40)), {"query": [0, 0, 50, 10]}, "no box inside"),
    "a query upside down": (np.zeros((40, 40)), {"query": [20, 0, 10, 10]}, "no box inside"),
    "a query of one patch": (np.random.default_rng(0).uniform(size=(40, 40)), {"query": [0, 0, 10, 10], "patch": 10}, "2 are needed"),
    "a query of all": (np.random.default_rng(0).uniform(size=(40, 40)), {"query": [0, 0, 40, 40], "patch": 10}, "whole image"),
    "no file": ("nowhere.png", {}, "no such file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_image_or_no_query_is_told(name: str) -> None:
    image, options, text = WRONG[name]
    with pytest.raises(ppl.AimError, match=text):
        features(image, **options)


def test_a_text_with_the_name_of_an_image_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no image", encoding="utf-8")
    with pytest.raises(ppl.AimError, match="cannot be read as an image"):
        features(tmp_path / "x.png")


def test_a_model_takes_what_it_has_names_for(tmp_path: Path) -> None:
    from skimage.io import imsave

    imsave(tmp_path / "cat.png", data.chelsea(), check_contrast=False)
    dataset = read(tmp_path / "cat.png")
    assert {"cue", "variance", "row", "column", "entropy", "edge"} <= set(dataset.values)
    posterior = ppl.parse("model m:\n    mu ~ Normal(0, 1)\n    for n in N: edge[n] ~ Normal(mu, 1)\n").fit(str(tmp_path / "cat.png"))
    expected = dataset.values["edge"]
    assert float(posterior["mu"].mean) == pytest.approx(expected.sum() / (len(expected) + 1))
