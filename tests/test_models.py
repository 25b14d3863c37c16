"""The standard library keeps its promises: a file says its question and its source, runs by itself, and its data may be passed on.

That their `test` blocks hold is for pytest itself: it collects the files. Where a number in a block comes from a hand-written
ascent, the ascent and the product are compared here on other data.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppl import load, parse
from ppl.api import SourceFile, load_file
from ppl.graph.readers import read
from ppl.source.library import library_files
from ppl.syntax.formatter import format_file
from tests.reference.chain_ascent import hidden_counts, local_level, switched_level
from tests.reference.factor_ascent import factor_analysis, matrix_factorisation, observers, topics
from tests.reference.generated_data import TABLES

MODELS = Path(__file__).parent.parent / "models"
FILES = sorted(MODELS.rglob("*.aim"))
DATA = sorted(path for path in (MODELS / "data").iterdir() if path.suffix != ".md")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> SourceFile:
    return load_file(request.param)


def test_the_library_is_found() -> None:
    assert library_files() == FILES
    assert len(FILES) >= 25


def test_a_file_has_no_warnings_and_is_in_canonical_format(file: SourceFile) -> None:
    assert not file.warnings
    assert format_file(file.parsed, file.source) == file.source.text


def test_a_file_says_its_source_and_each_model_its_question(file: SourceFile) -> None:
    assert file.source.text.startswith("# Source: ")
    for model in file.typed.models.values():
        assert "?" in (model.doc or "")


def test_a_file_has_a_test_and_a_line_that_converges(file: SourceFile) -> None:
    assert file.typed.tests
    assert len(file.typed.fits) + len(file.typed.runs) == 1
    for line in file.typed.runs:
        assert np.isfinite(file.run_line(line).free_energy).all()
    assert all(file.fit_line(line).converged for line in file.typed.fits)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_data_have_a_provenance_and_are_used(path: Path) -> None:
    provenance = (MODELS / "data" / "PROVENANCE.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{re.escape(path.name)}` \| .+ \| .+ \| .+ \|$", provenance, re.MULTILINE)
    assert any(f'csv("../data/{path.name}"' in one.read_text(encoding="utf-8") for one in FILES)


@pytest.mark.parametrize("name", TABLES)
def test_generated_data_are_those_of_their_seed(name: str) -> None:
    columns = TABLES[name]()
    lines = (MODELS / "data" / name).read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",") == list(columns)
    written = [[_cell(value) for value in row] for row in zip(*columns.values(), strict=True)]
    assert [line.split(",") for line in lines[1:]] == written


def _cell(value: np.generic) -> str:
    return "" if isinstance(value, np.floating) and np.isnan(value) else str(value.item())


def table(name: str) -> dict[str, np.ndarray]:
    """The columns of a table of the library."""
    return {column: np.asarray(values) for column, values in read(MODELS / "data" / name).values.items()}


def fitted(path: str, **values: Any) -> Any:
    """The posterior of a model of the library, without the `fit` line's data."""
    return load(MODELS / path).fit(**values)


def test_a_hidden_chain_of_counts_is_the_one_that_is_written_out() -> None:
    count = table("earthquakes.csv")["count"][:60]
    bound = max(hidden_counts(count, np.array(first), 2, 0.1, 200).bound for first in ([13.0, 20.0, 30.0], [18.0, 22.0, 36.0]))
    assert fitted("time_series/earthquakes.aim", count=count, restarts=8).elbo == pytest.approx(bound, abs=1e-3)


def test_a_level_that_drifts_is_the_one_that_is_written_out() -> None:
    flow = table("nile.csv")["flow"][40:] / 100
    expected = local_level(flow, (2, 0.2), (2, 2), 1000)
    found = fitted("time_series/local_level.aim", flow=flow)
    assert found.elbo == pytest.approx(expected.bound, abs=1e-4)
    np.testing.assert_allclose(found["level"].mean, expected.mean, atol=1e-2)


def test_a_switched_level_is_the_one_that_is_written_out() -> None:
    reading = table("bath.csv")["reading"][60:]
    move = np.array([[0.9, 0.1], [0.1, 0.9]])
    expected = switched_level(reading, np.array([-0.4, 0.4]), move, 0.2, 0.5, (18, 1), 400)
    assert (np.diff(expected.bounds) > -1e-9).all()
    found = fitted("time_series/switching_state_space.aim", reading=reading)
    assert found.elbo == pytest.approx(expected.bounds[-1], abs=1e-4)
    np.testing.assert_allclose(found["level"].mean, expected.mean, atol=1e-3)


def test_factors_are_those_that_are_written_out() -> None:
    scores = np.stack(list(table("ability_tests.csv").values()), axis=1)[:, :6]
    expected = max((factor_analysis(scores, 3, (0.001, 0.001), (1, 0.5), (4, 2), 600, seed) for seed in (0, 1)), key=lambda f: f.bound)
    names = ["visual", "cubes", "lozenges", "paragraph", "sentence", "words"]
    text = (MODELS / "factor_models/factor_analysis.aim").read_text(encoding="utf-8").split("\nfit ")[0]
    few = text.replace("visual, cubes, lozenges, paragraph, sentence, words, addition, dots, letters", ", ".join(names))
    found = parse(few).fit(score=scores, K=3)
    assert found.elbo == pytest.approx(expected.bound, abs=1e-2)


def test_marks_are_those_that_are_written_out() -> None:
    marks = table("ratings.csv")
    early = marks["person"] < 10
    person, film, mark = (marks[name][early] for name in ("person", "film", "mark"))
    expected = matrix_factorisation(person.astype(int), film.astype(int), mark, 2, 300, 0)
    found = fitted("factor_models/matrix_factorisation.aim", person=person, film=film, mark=mark, restarts=4)
    assert found.elbo == pytest.approx(expected.bound, abs=1e-3)
    assert found["centre"].mean == pytest.approx(expected.centre, abs=1e-3)


def test_topics_are_those_that_are_written_out() -> None:
    titles = table("titles.csv")
    members = {name: sorted(set(titles[name])) for name in titles}
    title, word = (np.array([members[name].index(one) for one in titles[name]]) for name in ("title", "word"))
    bound = max(topics(title, word, 2, 12, 0.5, 400, seed).bound for seed in range(5))
    found = fitted("text/latent_dirichlet_allocation.aim", title=titles["title"], word=titles["word"])
    assert found.elbo == pytest.approx(bound, abs=1e-4)


def test_observers_are_those_that_are_written_out() -> None:
    labels = {name: column.astype(int) for name, column in table("anaesthetists.csv").items()}
    expected = observers(labels["patient"] - 1, labels["observer"] - 1, labels["grade"] - 1, 4, 400)
    found = fitted("classification/crowd_labels.aim", **labels)
    assert found.elbo == pytest.approx(expected.bound, abs=1e-4)
    np.testing.assert_allclose(found["truth"].params["p"], expected.truth, atol=1e-3)
