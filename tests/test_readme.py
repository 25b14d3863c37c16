"""What the README and the pages of `docs` show runs and prints what they say; the two commands of the README are the ones that are used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from ppl.api import Model, check_source, load_file
from ppl.engines.checks import run_test
from ppl.source.text import SourceText
from ppl.tools.command_line import COMMANDS, status
from ppl.tools.posterior_text import posterior_text

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
SET_UP = [line for line in README.splitlines() if line.startswith("python3 ")]


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def snippets(text: str) -> list[tuple[str, str]]:
    """The Python of a page, block by block, with what is said to be printed: a text that follows at once."""
    return re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(?!\$)(.*?)^```)?", text, re.MULTILINE | re.DOTALL)


def pages(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(language, page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", pages("aim"), ids=lambda page: page.stem)
def test_programs_check_fit_and_hold(page: Path) -> None:
    for text in blocks("aim", page.read_text(encoding="utf-8")):
        file = check_source(SourceText(page.name, text), None)
        assert file.typed.tests
        for line in file.typed.fits:
            assert file.fit_line(line).converged
        for test in file.typed.tests:
            assert not run_test(test, file.perform).messages


@pytest.mark.parametrize("page", pages("python"), ids=lambda page: page.stem)
def test_python_runs_and_prints_what_is_said(page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for code, said in snippets(page.read_text(encoding="utf-8")):
        exec(compile(code, page.name, "exec"), names)
        printed = capsys.readouterr().out
        assert not said or printed.split() == said.split()
        assert bool(printed) == ("print(" in code)
    assert any(isinstance(value, Model) for value in names.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_print_what_is_said(page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for shown in blocks("text", page.read_text(encoding="utf-8")):
        if shown.startswith("$ ppl "):
            command, _, said = shown.partition("\n")
            assert status(command.split()[2:]) == 0
            assert capsys.readouterr().out.split() == said.split()


def test_the_posterior_that_is_explained_is_what_is_printed() -> None:
    (shown,) = (text for text in blocks("text") if not text.startswith("$"))
    file = load_file(ROOT / "models" / "regression" / "linear_regression.aim")
    printed = click.unstyle(posterior_text(file.fit_line(file.typed.fits[0])))
    timed = re.compile(r" · [^·]* of compiling$| · [^·]* s$", re.MULTILINE)
    assert timed.sub("", shown).split() == timed.sub("", printed).split()


def test_the_two_commands_set_up_everything_in_one_line_each() -> None:
    run, test = SET_UP
    assert run.split("&& .venv/bin/ppl")[0] == test.split("&& .venv/bin/pytest")[0]
    assert "-r requirements.lock" in run
    (shipped,) = re.findall(r"ppl run (\S+)$", run)
    assert (ROOT / shipped).is_file()


def test_ci_uses_the_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -m 1 '(.+)' README.md", script)
    assert re.findall(pattern + ".*$", README, re.MULTILINE) == SET_UP[1:]


def test_the_commands_that_are_listed_exist() -> None:
    assert set(re.findall(r"`ppl (\w+)", README)) <= set(COMMANDS)


def test_the_lock_has_every_dependency_and_names_no_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["frames"],
        *project["dependency-groups"]["dev"],
    ]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    assert {re.split(r"[<>=\[]", one)[0] for one in wanted} <= locked
    assert "://" not in lock


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
