"""What the README and the pages of `docs` show runs and prints what they say; the two commands of the README are the ones that are used.

The blocks of a page are done from the top, in a folder of the page's own. A program whose first line is `# NAME.aim` is a file there, and a text
that begins with `$ cat FILE` makes another; a text right below Python is what it prints; one that begins with `$ ppl` is a command with
what it prints.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ppl.api import check_source
from ppl.engines.checks import run_test
from ppl.source.text import SourceText
from ppl.tools.command_line import COMMANDS, status

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
SET_UP = [line for line in README.splitlines() if line.startswith("python3 ")]
BLOCK = re.compile(r"^```(aim|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMES = re.compile(r"(?: ·)?\s+[\d.]+ s(?: after [\d.]+ s of compiling)?$", re.MULTILINE)
RUNNING = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT)).removesuffix(".md")


def words(text: str) -> list[str]:
    """What is compared: neither times nor layout."""
    return TIMES.sub("", text.rstrip()).split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a reader, who has the standard library at hand."""
    os.symlink(ROOT / "models", tmp_path / "models", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_what_a_page_shows_runs_and_prints_what_it_says(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    shown = page.read_text(encoding="utf-8")
    printed, end = "", 0
    for block in BLOCK.finditer(shown):
        language, text = block.groups()
        match language:
            case "aim":
                run_program(page, text, folder)
            case "python":
                exec(compile(text, page.name, "exec"), names)
                printed = capsys.readouterr().out
                assert bool(printed) == ("print(" in text)
            case _ if text.startswith("$ "):
                for command, said in commands(text):
                    run_command(command, said, folder, capsys)
            case _ if printed and not shown[end : block.start()].strip():
                assert words(printed) == words(text)
        end = block.end()


def run_program(page: Path, text: str, folder: Path) -> None:
    """A program is right, its `fit` lines converge, and its tests hold."""
    named = re.match(r"# ([\w.]+\.aim)\n", text)
    if named:
        (folder / named[1]).write_text(text, encoding="utf-8")
    file = check_source(SourceText(page.name, text), folder)
    for line in file.typed.fits:
        assert file.fit_line(line).converged
    for test in file.typed.tests:
        assert not run_test(test, file.perform).messages


def commands(text: str) -> Iterator[tuple[list[str], str]]:
    """Each command of a text, with what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, said = part.partition("\n")
        yield shlex.split(command), said


def run_command(command: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    capsys.readouterr()
    match command:
        case ["cat", name]:
            (folder / name).write_text(said, encoding="utf-8")
        case ["ppl", *arguments]:
            wrong = "error[" in said
            assert status(arguments) == int(wrong)
            printed = capsys.readouterr()
            assert words(printed.err if wrong else printed.out) == words(said)
        case _:
            pytest.fail(f"nobody runs {command}")


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
