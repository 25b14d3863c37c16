"""Diagnostics that no bad program can show by itself: of the command line, of other questions than a fit, of mistakes of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ppl
from ppl.engines import fitting
from ppl.tools.command_line import status

GAUSSIAN = """\
model gaussian:
    mu ~ Normal(0, sd = 10)
    tau ~ Gamma(1, rate = 1)
    for n in N: x[n] ~ Normal(mu, precision = tau)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_log_joint_needs_every_random_variable() -> None:
    with pytest.raises(ppl.AimError, match=r"AIM0806\]: the log joint needs a value of `tau`"):
        ppl.parse(GAUSSIAN).log_density({"mu": 1, "x": [1.5, 2.5]})


def test_what_has_no_answer_yet_says_so() -> None:
    """A posterior that came without its model."""
    posterior = replace(ppl.parse(GAUSSIAN).fit(x=[1.5, 2.5]), questions=None)
    with pytest.raises(ppl.AimError, match=r"AIM0731\]: `predict` needs the model"):
        posterior.predict()


def test_a_new_file_takes_no_place_of_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "coin.aim").write_text("mine")
    assert status(["new", "coin"]) == 1
    assert "error[AIM0884]: `coin.aim` exists already" in capsys.readouterr().err
    assert (folder / "coin.aim").read_text() == "mine"


def test_a_folder_without_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert status(["check", "empty"]) == 1
    assert "error[AIM0885]: no .aim file in `empty`" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "reason"), [(None, "there is no such file"), (b"model \xe9", "byte 7 is not UTF-8")])
def test_a_program_that_cannot_be_read(content: bytes | None, reason: str, folder: Path) -> None:
    if content is not None:
        (folder / "coin.aim").write_bytes(content)
    with pytest.raises(ppl.AimError, match=rf"AIM0886\]: cannot read `coin.aim`: {reason}"):
        ppl.load("coin.aim")


def test_a_bound_that_fell_is_a_mistake_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model lowers the bound, so that here a rise of less than a nat counts as a fall."""
    monkeypatch.setattr(fitting, "ROUNDING", dict.fromkeys(fitting.ROUNDING, -1.0))
    with pytest.raises(ppl.AimError, match=r"AIM0902\]: the bound fell (.|\n)*please report it"):
        ppl.parse(GAUSSIAN).fit(x=[1.5, 2.5])
