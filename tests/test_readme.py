"""What the README shows runs, and the two commands that it gives are the ones that are used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from ppl.api import Model, check_source, load_file
from ppl.engines.checks import run_test
from ppl.source.text import SourceText
from ppl.tools.command_line import COMMANDS
from ppl.tools.posterior_text import posterior_text

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SET_UP = [line for line in README.splitlines() if line.startswith("python3 ")]


def blocks(language: str) -> list[str]:
    """The code blocks of the README in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("aim"))
def test_programs_check_fit_and_hold(text: str) -> None:
    file = check_source(SourceText("README.md", text), None)
    for line in file.typed.fits:
        assert file.fit_line(line).converged
    for test in file.typed.tests:
        assert not run_test(test, file.fit_line).messages


@pytest.mark.parametrize("text", blocks("python"))
def test_python_runs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), names)
    assert isinstance(names["model"], Model)
    assert "slope" in capsys.readouterr().out


def test_the_posterior_that_is_explained_is_what_is_printed() -> None:
    (shown,) = blocks("text")
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


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
