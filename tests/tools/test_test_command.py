"""`ppl test` and pytest run the checks that travel with models, and say of those that fail what was expected and found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppl.tools.command_line import status

pytest_plugins = ["pytester"]

FAILING = """\
model coin:
    theta ~ Beta(1, 1)
    for n in N: x[n] ~ Bernoulli(theta)

test "three heads in four flips":
    fit coin to x = [1, 0, 1, 1]
    expect theta ~ Beta(4, 2)

test "this is wrong":
    fit coin to x = [1, 0, 1, 1]
    expect mean(theta) = 0.75 within 1e-9
"""
NO_TESTS = "model m:\n    x ~ Normal(0, 1)\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failing.aim").write_text(FAILING)
    (tmp_path / "no_tests.aim").write_text(NO_TESTS)
    return tmp_path


def test_a_failure_shows_the_expectation_both_numbers_and_the_place(folder, capsys):
    assert status(["test", "."]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pass  failing.aim: three heads in four flips")
    assert lines[1].startswith("FAIL  failing.aim: this is wrong")
    text = "\n".join(lines)
    assert "0.6666666667" in text and "0.75" in text and "failing.aim:11:5" in text and "expect mean(theta) = 0.75" in text
    assert lines[-1] == "1 passed, 1 failed"


def test_a_file_with_errors_does_not_stop_the_others(folder, capsys):
    (folder / "a_broken.aim").write_text("model m:\n    x ~ Nromal(0, 1)\n")
    assert status(["test", "."]) == 1
    captured = capsys.readouterr()
    assert "1 passed, 1 failed, 1 file with errors" in captured.out and "a_broken.aim:2:9" in captured.err


def test_results_as_json(folder, capsys):
    assert status(["test", "failing.aim", "--format", "json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["failed"]) == (1, 1)
    assert [(t["title"], t["passed"], t["line"]) for t in told["tests"]] == [
        ("three heads in four flips", True, 5),
        ("this is wrong", False, 9),
    ]


# ------------------------------------------------------------------ pytest
@pytest.fixture
def collected(pytester) -> pytest.Pytester:
    pytester.makefile(".aim", failing=FAILING, no_tests=NO_TESTS)
    return pytester


def run_pytest(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    installed = any(plugin == "ppl" for plugin, _ in pytester._request.config.pluginmanager.list_name_plugin())
    return pytester.runpytest_inprocess(*([] if installed else ["-p", "ppl.tools.pytest_plugin"]), *arguments)


def test_pytest_runs_each_test_block_and_shows_no_traceback(collected):
    result = run_pytest(collected)
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "0.6666666667" in text and "failing.aim:11:5" in text and "Traceback" not in text and "runtest" not in text


def test_pytest_selects_blocks_by_their_title(collected):
    run_pytest(collected, "-k", "flips").assert_outcomes(passed=1, deselected=1)


def test_a_file_without_tests_is_no_concern_of_pytest(pytester):
    pytester.makefile(".aim", broken="model m:\n    x ~ Nromal(0, 1)\n", fine=NO_TESTS)
    assert run_pytest(pytester).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_wrong_file_with_tests_is_an_error_with_its_diagnostics(pytester):
    pytester.makefile(".aim", broken='model m:\n    x ~ Nromal(0, 1)\n\ntest "it is fine":\n    fit m to x = 1\n    expect exact\n')
    result = run_pytest(pytester)
    result.assert_outcomes(errors=1)
    assert "did you mean `Normal`?" in result.stdout.str()


@pytest.mark.parametrize(
    ("written", "ends"), [("{wet: 0.9, dry: 0.1}", 0), ("Categorical({wet: 0.9, dry: 0.1})", 0), ("Categorical({wet: 1})", 3)]
)
def test_a_table_over_members_is_expected_alone_or_as_a_categorical(folder, written, ends):
    model = (
        "type Sky = {wet, dry}\n\nmodel m:\n    sky ~ Categorical({wet: 0.9, dry: 0.1})\n    y ~ Normal(if sky == wet then 0 else 0, 1)\n"
    )
    (folder / "sky.aim").write_text(f'{model}\ntest "sky":\n    fit m to y = 0\n    expect sky ~ {written}\n')
    assert status(["test", "sky.aim"]) == ends
