"""A fit that begins at an earlier posterior comes to the posterior of its own data, by the same bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ppl
from ppl.api import line_values, load_file
from ppl.engines import vmp
from ppl.engines.again import again

FILES = [
    "arr_coc/relevance",
    "hierarchical/eight_schools",
    "regression/linear_regression",
    "regression/robust_regression",
    "time_series/local_level",
]
LINE = "model line:\n    input x: real[N]\n    a ~ Normal(0, 2)\n    prec ~ Gamma(2, 1)\n    for n in N: y[n] ~ Normal(a * x[n], precision = prec)\n"


def of_line(path: str) -> tuple[ppl.Model, dict[str, Any]]:
    """A model of the library with the data of its `fit` line."""
    file = load_file(f"models/{path}.aim")
    line = file.typed.fits[0]
    model = file.named(line.model.name)
    return model, dict(line_values(line, model.typed, file.folder))


def moved(given: dict[str, Any], model: ppl.Model) -> dict[str, Any]:
    """Other numbers of what is observed and real, missing where they were."""
    rng = np.random.default_rng(0)
    observed = {n for n, v in model.typed.variables.items() if v.role == "random"}
    found = dict(given)
    for name, value in model.bind(**given).values.items():
        if name in observed and value.dtype.kind == "f":
            found[name] = value + 0.05 * np.nanstd(value) * rng.normal(size=value.shape)
    return found


@pytest.mark.parametrize("path", FILES)
def test_it_is_the_fit_of_its_own_data(path: str) -> None:
    model, given = of_line(path)
    other = moved(given, model)
    before = model.fit(**given)
    anew, begun = model.fit(**other), model.fit(start=before, **other)
    assert anew.elbo != before.elbo
    assert begun.elbo == pytest.approx(anew.elbo, rel=1e-9, abs=1e-7)
    assert begun.exact == anew.exact and begun.converged
    for name in anew.names:
        if anew[name].family != "Draws":
            scale = np.maximum(1e-3, anew[name].sd)
            assert np.abs((begun[name].mean - anew[name].mean) / scale).max() < 1e-3, name
    twice = model.fit(start=begun, **other)
    assert twice.iterations <= begun.iterations
    assert twice.elbo == pytest.approx(anew.elbo, rel=1e-9, abs=1e-7)


def test_only_what_changed_is_made_ready_anew() -> None:
    model, given = of_line("arr_coc/relevance")
    before = model.fit(**given)
    found = again(before.kept, model.bind(**moved(given, model)), (None, None))
    assert found is not None and {f.label for f in found.changed.values()} == {"cue ~ Normal"}
    assert again(before.kept, model.bind(cue=given["cue"][:-1]), (None, None)) is None
    assert again(before.kept, model.bind(**given), ("gibbs", None)) is None


def test_what_goes_on_from_beliefs_is_traced_no_more_than_the_first_fit() -> None:
    model = ppl.parse(LINE)
    given = {"x": np.arange(11.0), "y": 2.0 * np.arange(11.0) + 0.1}
    first = model.fit(**given)
    assert first.kept is not None
    known = [one for one in vmp._COMPILED.values() if one.program.signature == first.kept.run.program.signature]
    traced = {id(one._sweeps["lowered"]) for one in known}
    model.fit(x=given["x"], y=given["y"] + 1.0, start=first)
    again_known = [one for one in vmp._COMPILED.values() if one.program.signature == first.kept.run.program.signature]
    assert len(known) == 1 and {id(one._sweeps["lowered"]) for one in again_known} == traced


def test_an_input_that_is_read_by_a_likelihood_changes_too() -> None:
    model, rng = ppl.parse(LINE), np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    before = model.fit(x=x, y=y)
    anew, begun = model.fit(x=x + 1, y=y), model.fit(x=x + 1, y=y, start=before)
    assert begun.elbo == pytest.approx(anew.elbo, rel=1e-10)
    assert float(begun["a"].mean) == pytest.approx(float(anew["a"].mean), abs=1e-7)


def test_single_precision_begins_at_single_precision() -> None:
    model, rng = ppl.parse(LINE), np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    before = model.fit(x=x, y=y, dtype=np.float32)
    begun = model.fit(x=x, y=y + 0.1, dtype=np.float32, start=before)
    assert begun.elbo == pytest.approx(model.fit(x=x, y=y + 0.1).elbo, rel=1e-4)
    with pytest.raises(ppl.AimError, match="same sizes"):
        model.fit(x=x, y=y, start=before)


@pytest.mark.parametrize(
    ("how", "text"),
    [({"n": 20}, "same sizes"), ({"missing": True}, "same sizes"), ({"engine": "nuts"}, "by `nuts`"), ({"engine": "gibbs"}, "by `gibbs`")],
)
def test_what_cannot_begin_there_is_told(how: dict[str, Any], text: str) -> None:
    model, rng = ppl.parse(LINE), np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    before = model.fit(x=x, y=y)
    size = how.get("n", 30)
    y = np.where(np.arange(30) == 3, np.nan, y) if "missing" in how else y
    with pytest.raises(ppl.AimError, match=text):
        model.fit(x=x[:size], y=y[:size], start=before, engine=how.get("engine"))


def test_a_sampler_keeps_no_beliefs() -> None:
    model = ppl.parse("model m:\n    a ~ Normal(0, 1)\n    x ~ Normal(a, 1)\n")
    drawn = model.fit(x=1.0, engine="gibbs", iterations=50)
    with pytest.raises(ppl.AimError, match="by `gibbs` keeps no beliefs"):
        model.fit(x=2.0, start=drawn)
