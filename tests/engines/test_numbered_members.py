"""Members of `type Cell = 3..6` are 3, 4 and 5 wherever they are written: in data, in results, in expectations."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import nbinom

import ppl
from ppl.api import run_tests
from ppl.tools.posterior_text import posterior_text

PROGRAM = """
type Cell = 3..6

model m:
    input p: simplex[Cell] = [0.2, 0.3, 0.5]
    for c in Cell:
        rate[c] ~ Gamma(2, rate = 1)
    for n in N:
        cell[n] ~ Categorical(p)
        count[n] ~ Poisson(rate[cell[n]])
"""
COUNTS, CELLS = [1, 5, 9, 3], [3, 4, 5, None]


def probabilities() -> np.ndarray:
    """Of the last cell: a Gamma(2 + count, 1 + 1) for each rate predicts a negative binomial."""
    weights = np.array([0.2, 0.3, 0.5]) * nbinom(2 + np.array(COUNTS[:3]), 2 / 3).pmf(COUNTS[3])
    return weights / weights.sum()


@pytest.mark.parametrize("engine", [None, "gibbs"])
def test_results_call_members_by_their_numbers(engine: str | None) -> None:
    posterior = ppl.parse(PROGRAM).fit(count=COUNTS, cell=CELLS, engine=engine)
    np.testing.assert_allclose(posterior["cell"].params["p"][3], probabilities(), atol=1e-9 if engine is None else 0.03)
    assert posterior["cell"].members == ("3", "4", "5")
    assert posterior.to_json()["beliefs"]["cell"]["members"] == ["3", "4", "5"]
    text = posterior_text(posterior)
    assert "cell[3]" in text and "5: 44" in text and "(3 observed)" in text and "cell[0]" not in text
    assert "cell[3] = 5" in str(posterior.summary())


def test_expectations_name_members_by_their_numbers(tmp_path: Path) -> None:
    data = "count = [1, 5, 9, 3], cell[0] = 3, cell[1] = 4, cell[2] = 5"
    p = ", ".join(f"{k}: {one:.12f}" for k, one in zip((3, 4, 5), probabilities(), strict=True))
    file = tmp_path / "m.aim"
    file.write_text(
        f'{PROGRAM}\ntest "by number":\n    fit m to {data}\n'
        f"    expect probability(cell[3] == 5) = {probabilities()[2]:.12f} within 1e-9\n"
        f"    expect cell[3] ~ {{{p}}} within 1e-9\n"
        "    fit m to count = [1, 5, 9], cell = [3, 4, 5]\n    expect mean(rate[3]) = 1.5\n    expect rate[5] ~ Gamma(11, rate = 2)\n"
        f'\ntest "what is no member":\n    fit m to {data}\n    expect probability(cell[3] == 0) = 0\n    expect mean(rate[0]) = 1\n'
    )
    right, wrong = run_tests(file)
    assert right.messages == []
    assert [message.partition(": ")[2].splitlines()[0] for message in wrong.messages] == [
        "error[AIM0110]: `cell` has no member `0`",
        "error[AIM0803]: there is no entry `rate[0]`: the shape is [3]",
    ]
