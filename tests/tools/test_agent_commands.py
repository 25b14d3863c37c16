"""`ppl run`, `graph` and `explain` of an agent: what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ppl
from ppl.agent import Agent
from ppl.api import check_source
from ppl.engines.checks import run_test
from ppl.source.text import SourceText
from ppl.tools.command_line import status

MODELS = Path(__file__).parents[2] / "models" / "agents"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert status(list(words)) == 0
    return capsys.readouterr().out.splitlines()


def test_a_run_shows_the_truth_beside_what_is_believed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "run", str(MODELS / "tmaze.aim"), "--set", "validity=1", "--steps", "3", "--where", "side=right_good")
    head, first, second, *_ = [line.split("  ") for line in lines[3:]]
    columns = [cell.strip() for cell in head if cell.strip()]
    assert columns[4:8] == ["true side", "believes place", "believes side", "free energy"], "the place is clear: its truth is not shown"
    assert "left_good 0.50, right_good 0.50" in " ".join(first)
    assert "0.6931" in " ".join(second)


def test_counts_that_were_learnt_stand_under_the_members_they_are_of(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "run", str(MODELS / "foraging.aim"), "--steps", "1")
    at = lines.index("yields, Dirichlet: what was learnt, as counts")
    assert lines[at + 1].split() == ["none", "little", "much"]
    assert [line.split()[0] for line in lines[at + 2 : at + 5]] == ["meadow", "brook", "wood"]
    assert sum(float(word) for line in lines[at + 2 : at + 5] for word in line.split()[1:]) == 10, "9 from the prior and one that was seen"


def test_ties_are_never_with_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    trace = ppl.load(MODELS / "epistemic_chaining.aim").run(steps=3, where={"spot": "south"})
    for t in range(3):
        plan = trace.plan(t)
        assert plan.action["move"] == trace.actions["move"][t]
        assert plan.action not in plan.ties


def test_explain_says_how_it_believes_and_plans(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "explain", str(MODELS / "foraging.aim")) == [
        "agent foraging",
        "states: patch (3)",
        "outcomes: here (3), food (3)",
        "actions: go (3)",
        "believes patch by itself, because no table joins it with another: exact",
        "learns yields: 3 rows of counts, after each step",
        "plans go: 3 policies of 1 step, one tree with shared beginnings",
        "senses patch: 9 kinds of joint outcome, by what they say",
        "prefers food",
        "chooses by softmax(− 16 · G)",
    ]
    tmaze = printed(capsys, "explain", str(MODELS / "tmaze.aim"), "--set", "foresight=false")
    assert "believes place, side jointly (8 joint states), because they meet in a table: exact" in tmaze
    assert "plans go: 16 policies of 2 steps, one tree with shared beginnings" in tmaze
    assert "    sophisticated = true foresees what will be seen" in tmaze


def test_the_program_of_an_agent_is_one_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Its array program takes the counts and gives them back: three rows of three."""
    lines = printed(capsys, "explain", str(MODELS / "foraging.aim"), "--stage", "program")
    assert lines[:4] == ["one step", "  update the belief over patch", "  count yields", "  value the policies of go"]
    assert any("f64[3,3]" in line for line in lines[5:])


def test_the_graph_of_an_agent_stands_beside_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "record.json").write_text(json.dumps({"seen": ["centre"], "hint": ["none"], "outcome": ["nothing"], "gain": 2}))
    lines = printed(capsys, "graph", str(MODELS / "tmaze.aim"), "--data", str(tmp_path / "record.json"))
    assert "  next place = (place, go)" in lines
    agent = ppl.load(MODELS / "tmaze.aim")
    assert isinstance(agent, Agent)
    assert "next place" in agent._repr_svg_()


def test_a_test_may_expect_what_was_learnt() -> None:
    text = (MODELS / "foraging.aim").read_text(encoding="utf-8").split("\n# Each patch")[0]
    text += """
test "learnt":
    run foraging(hunger = 0) for 3 steps where yields = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    expect yields[brook] ~ Dirichlet([1, 1, 2])
    expect mean(yields[wood]) = [1 / 4, 2 / 4, 1 / 4]
    expect yields[meadow] ~ Dirichlet([1, 1, 2])
    expect mean(patch) = 1
"""
    file = check_source(SourceText("foraging.aim", text), None)
    wrong, nothing = run_test(file.typed.tests[0], file.perform).messages
    assert "concentration of yields[0] is 2, expected 1" in wrong
    assert "there is no belief in `patch`" in nothing and "beliefs: yields" in nothing


def test_a_trace_keeps_its_numbers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads("\n".join(printed(capsys, "run", str(MODELS / "foraging.aim"), "--steps", "2", "--format", "json")))
    counts = np.array(told["beliefs"]["yields"]["params"]["concentration"])
    assert counts.sum() == 11
    np.testing.assert_allclose(told["beliefs"]["yields"]["mean"], counts / counts.sum(axis=1, keepdims=True))


# ------------------------------------------------------------------ the file's own line
OWN = """agent walker(pull = 0.5):
    state place: {left, right} ~ Categorical([0.5, 0.5])
    action go: {left, right}
    next place = go
    observe seen: {left, right} = place
    prefer seen ~ {left: 1 - pull, right: pull}
    plan go by efe(horizon = 1)

run walker(pull = 0.9) for 2 steps where place = right
"""


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ((), ["right", "right"]),
        (("--where", "place=left"), ["left", "right"]),
        (("--steps", "3"), ["right", "right", "right"]),
        (("--set", "pull=0.2"), ["right", "left"]),
        (("walker", "--set", "pull=0.2", "--steps", "1", "--where", "place=left"), ["left"]),
    ],
)
def test_what_is_given_replaces_that_part_of_the_run_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], seen: list[str]
) -> None:
    path = tmp_path / "walker.aim"
    path.write_text(OWN)
    told = json.loads("\n".join(printed(capsys, "run", str(path), *words, "--format", "json")))
    assert [step["observations"]["seen"] for step in told["steps"]] == seen
    (said,) = [line for line in printed(capsys, "run", str(path), *words) if "`run` line" in line]
    assert said.endswith("but for what is given") == bool(words)


def test_help_says_what_is_written_of_an_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trace.json" in " ".join(printed(capsys, "run", "--help"))


def test_a_state_at_a_step_is_expected_by_its_probability() -> None:
    text = OWN + '\ntest "where":\n    run walker for 1 steps\n    expect place[0] ~ Categorical([1, 0])\n'
    file = check_source(SourceText("<text>", text), None)
    (message,) = run_test(file.typed.tests[0], file.perform).messages
    assert "AIM0803" in message and "expect probability(place[0] == …) = …" in message
