"""Whole programs: the good ones pass the front end without an error, the bad ones say exactly the text that is stored beside them.

A bad program that the front end has nothing to say of is run: it is fitted to the data file of its name, with the options of a first
line `# run: {…}`, or its `test` blocks are. With UPDATE_GOLDEN=1 in the environment the stored texts are written anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppl.agent import Agent
from ppl.api import check_source
from ppl.engines.checks import run_test
from ppl.graph.readers import read
from ppl.semantics.check import check
from ppl.source.codes import CODES
from ppl.source.diagnostics import AimError
from ppl.source.text import SourceText
from ppl.syntax.parser import parse

HERE = Path(__file__).parent
GOOD = sorted((HERE / "good").glob("*.aim"))
BAD = sorted((HERE / "bad").glob("*.aim"))
ELSEWHERE = {
    "AIM0416": "tests/agents/test_minds.py::test_an_agent_without_a_plan_says_so",
    "AIM0422": "tests/agents/test_stacked.py::test_policies_that_are_too_many_to_list_say_where_to_look",
    "AIM0604": "tests/graph/test_readers.py::test_tables_without_narwhals_name_the_extra",
    "AIM0714": "tests/motion/test_environments_that_move.py::test_what_does_not_fit_is_told",
    "AIM0742": "tests/engines/test_states_in_turn.py::test_a_callable_for_numpyro_draws_no_states",
    "AIM0731": "tests/golden/test_other_codes.py::test_what_has_no_answer_yet_says_so",
    "AIM0806": "tests/golden/test_other_codes.py::test_a_log_joint_needs_every_random_variable",
    "AIM0808": "tests/results/test_likelihoods.py::test_a_prior_has_nothing_to_be_scored_by",
    "AIM0809": "tests/results/test_comparison.py::test_other_data_cannot_be_compared",
    "AIM0810": "tests/results/test_plots.py::test_what_cannot_be_drawn_is_said",
    "AIM0811": "tests/results/test_predictions.py::test_outcomes_are_not_given_to_predictions",
    "AIM0812": "tests/results/test_updates.py::test_data_that_contradict_those_before_are_said_to",
    "AIM0813": "tests/results/test_updates.py::test_data_that_may_be_of_several_plates_have_to_say_of_which",
    "AIM0814": "tests/results/test_predictions.py::test_what_a_factor_joins_is_not_drawn",
    "AIM0881": "tests/graph/test_factor_graph.py::test_what_cannot_be_written_says_what_to_do",
    "AIM0882": "tests/graph/test_factor_graph.py::test_what_cannot_be_written_says_what_to_do",
    "AIM0883": "tests/tools/test_command_line.py::test_out_that_cannot_be_written_is_said_before_anything_is_computed",
    "AIM0884": "tests/golden/test_other_codes.py::test_a_new_file_takes_no_place_of_another",
    "AIM0885": "tests/golden/test_other_codes.py::test_a_folder_without_programs",
    "AIM0886": "tests/golden/test_other_codes.py::test_a_program_that_cannot_be_read",
    "AIM0887": "tests/results/test_exchange.py::test_a_package_that_is_lacking_is_named_with_its_extra",
    "AIM0900": "tests/tools/test_command_line.py::test_a_bug_of_ours_is_said_to_be_one_and_reported",
    "AIM0902": "tests/golden/test_other_codes.py::test_a_bound_that_fell_is_a_mistake_of_the_engine",
}  # codes that need the command line, a package that lacks, a method other than `fit`, or a bug


def imported(module: str) -> SourceText | None:
    """A program that another one imports, good or bad."""
    path = next((path for path in BAD + GOOD if path.stem == module), None)
    return path and source(path)


def source(path: Path) -> SourceText:
    return SourceText(path.name, path.read_bytes().decode("utf-8"))


def front_end(path: Path) -> list[str]:
    """Everything that the front end says about a file."""
    file, findings = parse(source(path))
    if findings.errors:
        return [*map(str, findings.items)]
    check(file, findings, load_import=imported)
    return [*map(str, findings.items)]


def ran(path: Path) -> Iterator[str]:
    """What running a program says; names of files without their folders."""
    file = check_source(source(path), path.parent)
    data = [beside for ending in (".json", ".csv") if (beside := path.with_suffix(ending)).exists()]
    options = re.match(r"# run: (.*)", file.source.text)
    try:
        if data or options:
            datasets = [read(each) for each in data]
            given, model = json.loads(options[1] if options else "{}"), file.model()
            if isinstance(model, Agent):
                _ = model.replay(datasets=datasets, **given) if data else model.run(**given)
            else:
                yield from map(str, model.fit(datasets=datasets, **given).plan.bound.warnings)
    except AimError as error:
        yield from (str(found) for found in error.diagnostics)
    for test in file.typed.tests:
        yield from run_test(test, file.perform).messages


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_program_has_no_error(path: Path) -> None:
    assert [text for text in front_end(path) if "error[" in text.partition("\n")[0]] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_program_says_what_is_stored(path: Path) -> None:
    found = [text.replace(f"{path.parent}{os.sep}", "") for text in front_end(path) or ran(path)]
    text = "\n".join(found) + "\n"
    stored = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        stored.write_text(text, encoding="utf-8", newline="\n")
    assert text == stored.read_text(encoding="utf-8")
    codes = {code for each in found for code in re.findall(r"^[^\n]*?(?:error|warning|note)\[(AIM\d{4})\]", each)}
    assert path.name.partition("_")[0] in codes, f"{path.name} does not raise its own code"
    assert codes <= set(CODES)


def test_every_code_has_a_bad_program_or_a_test_elsewhere() -> None:
    shown = {path.name.partition("_")[0] for path in BAD}
    assert sorted(shown | set(ELSEWHERE)) == sorted(CODES)
    assert not shown & set(ELSEWHERE)


@pytest.mark.parametrize("code", ELSEWHERE)
def test_a_code_that_is_covered_elsewhere_is(code: str) -> None:
    file, _, name = ELSEWHERE[code].partition("::")
    text = (HERE.parents[1] / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text
    assert code in text
