"""Each command does what it says, ends with the right status, and shows no traceback to anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ppl.tools import command_line
from ppl.tools.command_line import COMMANDS, commands, status

COIN = """\
model coin(a = 1, b = 1):
    "A coin of unknown bias."
    theta ~ Beta(a, b)
    for n in N:
        x[n] ~ Bernoulli(theta)

fit coin to x = [1, 0, 1, 1]

test "three heads in four flips":
    fit coin to x = [1, 0, 1, 1]
    expect theta ~ Beta(4, 2)
"""
GAUSSIAN = """\
model gaussian:
    mu ~ Normal(0, sd = 10)
    tau ~ Gamma(1, rate = 1)
    for n in N:
        y[n] ~ Normal(mu, precision = tau)
"""


CONTRACT = {
    *("model", "engine", "exact", "converged", "iterations", "elbo", "log_evidence", "elbo_trace"),
    *("seed", "restarts", "seconds", "beliefs", "warnings"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coin.aim").write_text(COIN)
    (tmp_path / "gaussian.aim").write_text(GAUSSIAN)
    return tmp_path


# ------------------------------------------------------------------ run
def test_run_prints_the_contract_as_json(folder, capsys):
    (folder / "data.json").write_text('{"x": [1, 0, 1, 1]}')
    assert status(["run", "coin.aim", "--data", "data.json", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= CONTRACT
    assert told["beliefs"]["theta"]["params"] == {"a": 4.0, "b": 2.0}


def test_run_without_data_does_what_the_fit_line_says(folder, capsys):
    assert status(["run", "coin.aim"]) == 0
    captured = capsys.readouterr()
    assert "A coin of unknown bias." in captured.out and "Beta(a = 4, b = 2)" in captured.out and "0.6667" in captured.out
    assert "`fit` line" in captured.err


def test_settings_override_the_fit_line(folder, capsys):
    assert status(["run", "coin.aim", "--set", "a=10"]) == 0
    assert "Beta(a = 13, b = 2)" in capsys.readouterr().out


def test_an_observation_that_is_set_replaces_the_fit_line(folder, capsys):
    assert status(["run", "coin.aim", "--set", "x=[0, 0]"]) == 0
    captured = capsys.readouterr()
    assert "Beta(a = 1, b = 3)" in captured.out and "`fit` line" not in captured.err


def test_what_is_set_beside_the_fit_line_goes_with_its_data(folder, capsys):
    assert status(["run", "coin.aim", "--set", "x[0]=0"]) == 0
    captured = capsys.readouterr()
    assert "Beta(a = 3, b = 3)" in captured.out and "but for what --set gives" in captured.err
    assert status(["explain", "coin.aim", "--set", "theta=0.5"]) == 0
    assert "observed: theta, x" in capsys.readouterr().out
    assert status(["run", "coin.aim", "--set", "theta=0.5"]) == 0
    assert "nothing is left to infer" in capsys.readouterr().out
    assert status(["run", "coin.aim", "--set", "N=7"]) == 1
    assert "the `fit` line of coin.aim: error[AIM0608]: x has 4 members of N, N is 7" in capsys.readouterr().err


def test_run_without_data_and_fit_line_draws_from_the_prior(folder, capsys):
    assert status(["run", "gaussian.aim", "--set", "N=3"]) == 0
    out = capsys.readouterr().out
    assert "1000 draws from the prior" in out and "y[2]" in out


def test_run_that_does_not_converge_ends_with_3(folder, capsys):
    assert status(["run", "gaussian.aim", "--set", "y=[1, 2, 4]", "--iterations", "1"]) == 3
    assert "NOT CONVERGED" in capsys.readouterr().out


def test_out_writes_posterior_summary_and_graph(folder, capsys):
    assert status(["run", "coin.aim", "--out", "results/coin"]) == 0
    written = folder / "results" / "coin"
    assert sorted(p.name for p in written.iterdir()) == ["graph.svg", "posterior.json", "summary.txt"]
    assert json.loads((written / "posterior.json").read_text())["model"] == "coin"
    assert "Beta(a = 4, b = 2)" in (written / "summary.txt").read_text()


def test_out_that_cannot_be_written_is_said_before_anything_is_computed(folder, capsys):
    assert status(["run", "coin.aim", "--out", "coin.aim"]) == 1
    captured = capsys.readouterr()
    assert "AIM0883" in captured.err and not captured.out


def test_long_plates_are_shortened(folder, capsys):
    (folder / "many.aim").write_text("model many:\n    for n in N:\n        m[n] ~ Normal(0, 1)\n        y[n] ~ Normal(m[n], 1)\n")
    assert status(["run", "many.aim", "--set", f"y={list(range(40))}"]) == 0
    out = capsys.readouterr().out
    assert "m[5]" in out and "m[6]" not in out and "… 34 more" in out


# ------------------------------------------------------------------ usage
@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "coin.aim", "--set", "a"],
        ["run", "coin.aim", "--set", "a=[1,"],
        ["run", "coin.aim", "--set", "1=2"],
        ["run", "coin.aim", "--set", "a=1", "--set", "a=2"],
        ["run", "coin.aim", "--format", "yaml"],
        ["run", "coin.aim", "--steps", "2"],
        ["rnu", "coin.aim"],
        ["new", "3x"],
        ["--nonsense"],
    ],
)
def test_wrong_usage_ends_with_2(arguments, folder, capsys):
    assert status(arguments) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.err and not captured.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "none.aim"], "no such file"),
        (["check", "none.aim"], "no such file"),
        (["fmt", "none.aim"], "no such file"),
        (["test", "none.aim"], "no such file"),
        (["run", "coin.aim", "cion"], "coin"),
        (["run", "coin.aim", "--data", "none.csv"], "none.csv"),
        (["run", "coin.aim", "--set", "y=1"], "`y`"),
        (["run", "coin.aim", "--engine", "nust"], "`nuts`"),
        (["graph", "coin.aim", "-o", "coin.gif"], "AIM0881"),
        (["graph", "coin.aim", "-o", "missing/coin.svg"], "AIM0883"),
        (["test", "."], ""),
    ],
)
def test_wrong_files_and_data_end_with_1(arguments, says, folder, capsys):
    (folder / "bad.aim").write_text("model bad:\n    x ~ Nromal(0, 1)\n")
    assert status(arguments) == 1
    captured = capsys.readouterr()
    assert says in captured.err and "error[AIM" in captured.err and "Traceback" not in captured.err


def test_a_misspelt_command_gets_the_nearest_one(capsys):
    assert status(["chekc"]) == 2
    assert "did you mean `check`?" in capsys.readouterr().err


# ------------------------------------------------------------------ check, fmt, graph, explain
def test_check_shows_the_errors_of_all_files_and_what_is_right(folder, capsys):
    (folder / "bad.aim").write_text("model bad:\n    x ~ Nromal(0, 1)\n    y ~ Normal(z, 1)\n")
    assert status(["check", "coin.aim", "bad.aim"]) == 1
    captured = capsys.readouterr()
    assert "coin.aim: correct (model coin, 1 test)" in captured.out
    assert "bad.aim:2:9: error[AIM" in captured.err and "bad.aim:3:16: error[AIM" in captured.err


def test_check_as_json_has_places(folder, capsys):
    (folder / "bad.aim").write_text("model bad:\n    x ~ Nromal(0, 1)\n")
    assert status(["check", "bad.aim", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["file"], found["line"], found["column"], found["end_column"]) == ("bad.aim", 2, 9, 15)


def test_fmt_rewrites_a_file_once(folder, capsys):
    path = folder / "loose.aim"
    path.write_text("model m:\n  x~Normal( 0,1 )\n")
    assert status(["fmt", "--check", "loose.aim"]) == 1
    assert path.read_text() == "model m:\n  x~Normal( 0,1 )\n"
    assert status(["fmt", "loose.aim"]) == 0
    assert path.read_text() == "model m:\n    x ~ Normal(0, sd = 1)\n"
    assert status(["fmt", "--check", "loose.aim"]) == 0


def test_fmt_leaves_a_file_with_mistakes_alone(folder, capsys):
    path = folder / "broken.aim"
    path.write_text("model m:\n    x ~ Normal(0,\n")
    assert status(["fmt", "broken.aim"]) == 1
    assert path.read_text() == "model m:\n    x ~ Normal(0,\n"


@pytest.mark.parametrize("suffix", ["svg", "dot", "html"])
def test_graph_draws(suffix, folder, capsys):
    assert status(["graph", "coin.aim", "-o", f"coin.{suffix}"]) == 0
    assert "theta" in (folder / f"coin.{suffix}").read_text()


def test_graph_without_a_file_prints_its_text_with_what_the_fit_line_observes(folder, capsys):
    assert status(["graph", "coin.aim"]) == 0
    out = capsys.readouterr().out
    assert "x ~ Bernoulli(theta)" in out and "observed" in out and "N  = 4" in out


@pytest.mark.parametrize("stage", ["tree", "typed", "graph", "plan", "program"])
def test_every_stage_has_a_stable_text(stage, folder, capsys):
    texts = []
    for _ in range(2):
        assert status(["explain", "coin.aim", "--stage", stage]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and "theta" in texts[0]


# ------------------------------------------------------------------ new, models
def test_a_new_file_is_canonical_and_its_test_passes(folder, capsys):
    assert status(["new", "first"]) == 0
    assert status(["fmt", "--check", "first.aim"]) == 0
    assert status(["test", "first.aim"]) == 0


def test_new_overwrites_nothing(folder, capsys):
    assert status(["new", "coin"]) == 1
    assert (folder / "coin.aim").read_text() == COIN


def test_models_lists_each_with_what_it_is_about(folder, capsys, monkeypatch):
    from ppl.source import library

    (folder / "library" / "basics").mkdir(parents=True)
    (folder / "library" / "basics" / "coin.aim").write_text(COIN)
    monkeypatch.setattr(library, "PLACES", (folder / "library",))
    assert status(["models"]) == 0
    assert capsys.readouterr().out.split("\n")[0].split() == ["models/basics/coin.aim", "coin", "A", "coin", "of", "unknown", "bias."]
    assert library.find_file("models/basics/coin.aim") == folder / "library/basics/coin.aim" == library.find_file("basics/coin")
    assert library.find_file("coin.aim") == Path("coin.aim")


# ------------------------------------------------------------------ how commands end
def test_a_bug_of_ours_is_said_to_be_one_and_reported(monkeypatch, capsys, tmp_path):
    @click.command()
    def broken():
        raise RuntimeError("the inside fell out")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(commands, "get_command", lambda ctx, name: broken)
    monkeypatch.setattr("tempfile.tempdir", None)
    assert status(["run"]) == 1
    err = capsys.readouterr().err
    (report,) = tmp_path.glob("ppl-report-*.txt")
    assert "error[AIM0900]: this is a bug in ppl" in err and str(report) in err and "Traceback" not in err
    assert "Traceback" in report.read_text() and "the inside fell out" in report.read_text()
    monkeypatch.setenv("PPL_TRACEBACK", "1")
    assert status(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_quiet(monkeypatch, capsys):
    @click.command()
    def long():
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "get_command", lambda ctx, name: long)
    assert status(["run"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupt_ends_the_process_at_once_and_quietly(folder):
    """Also in the middle of what catches every exception, as a callback of the garbage collector does."""
    program = """
import os, signal
from ppl.tools import command_line
def status(_):
    try: os.kill(os.getpid(), signal.SIGINT)
    except BaseException: pass
    return 0
command_line.status = status
signal.signal(signal.SIGINT, signal.default_int_handler)
command_line.main([])
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (130, "", "")


def test_every_command_has_help(capsys):
    for name in COMMANDS:
        assert status([name, "--help"]) == 0
        assert "Usage: ppl" in capsys.readouterr().out
    assert status(["--help"]) == 0 and status(["--version"]) == 0


@pytest.mark.parametrize("words", ["check gaussian.aim", "fmt gaussian.aim", "graph gaussian.aim -o g.svg", "models", "new other"])
def test_commands_that_compute_nothing_do_not_import_jax(words, folder):
    program = f"import sys; from ppl.tools.command_line import status; sys.exit(status({words.split()!r}) or 'jax' in sys.modules)"
    path = str(Path(command_line.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path, "HOME": str(folder)}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
