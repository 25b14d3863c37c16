"""What a test expects is compared with something that can be right or wrong; anything else is an error at its place."""

from typing import Any

import pytest

from ppl.api import SourceFile, check_source
from ppl.engines.checks import run_test
from ppl.source.text import SourceText

MODEL = """
type Mood = {calm, busy}

model m(a = 2):
    theta ~ Beta(a, 1)
    w = exp(theta)
    share ~ Dirichlet(ones(Mood))
    for k in K:
        mu[k] ~ Normal(0, sd = 1)
    for n in N:
        z[n] ~ Categorical(share)
        x[n] ~ Bernoulli(theta)

agent waits:
    state s: Mood = calm
    action go: {stay, leave}
    next s = s
    observe o: Mood = s
    prefer o ~ {calm: 0.9, busy: 0.1}
    plan go by efe(horizon = 1)
"""
FIT = "fit m to x = [1, 0, 1], K = 2, z[0] = calm, z[1] = busy"
RUN = "run waits for 2 steps"


@pytest.fixture(scope="module", autouse=True)
def once() -> Any:
    """The fit and the run of all these tests are made once."""
    kept: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fit_line", "run_line"):
            made = getattr(SourceFile, name)
            patch.setattr(SourceFile, name, lambda file, line, made=made, name=name: kept.setdefault(name, made(file, line)))
        yield


def messages(line: str, expected: str) -> list[str]:
    file = check_source(SourceText("m.aim", f'{MODEL}\ntest "t":\n    {line}\n    expect {expected}\n'), None)
    return run_test(file.typed.tests[0], file.perform).messages


@pytest.mark.parametrize("expected", ["a = 2", "x[1] = 0", "N = 3", "mean(mu[K - 1]) = 0", "median(theta) < quantile(theta, 0.6)"])
def test_what_is_known_has_its_value(expected: str) -> None:
    assert messages(FIT, expected) == []


@pytest.mark.parametrize(
    ("line", "expected", "told"),
    [
        *((FIT, name, "is believed, and has no value") for name in ("theta", "mu[0]", "w > 1", "share[calm] = 1", "z[2] == calm")),
        (FIT, "mean(exp(theta)) = 1", "is believed"),
        (FIT, "x[7] = 1", "no entry `x[7]`"),
        (FIT, "mean(mu[calm]) = 0", "no entry `mu[calm]`"),
        (FIT, "[1, 2][5] = 1", "no entry"),
        (FIT, "calm", "is a member"),
        (FIT, "mode(w) > 0", "draws, which have no mode"),
        (FIT, "quantile(theta, 3) > 0", "between 0 and 1"),
        (FIT, "mean(theta, 3) > 0", "takes one variable"),
        (FIT, "quantile(theta) > 0", "a variable and a probability"),
        (FIT, "probability(theta == 1) = 0", "it is a Beta"),
        (FIT, "probability(x[0] == 1) = 1", "no belief in `x[0]`"),
        (FIT, "w ~ Normal(0, 1)", "known by draws"),
        (RUN, "s[0]", "is a member"),
        (RUN, "free_energy = calm", "expected calm"),
        (RUN, "free_energy == calm", "does not hold"),
    ],
)
def test_what_cannot_be_compared_is_said_to_be_so(line: str, expected: str, told: str) -> None:
    (message,) = messages(line, expected)
    assert told in message
    assert "AIM0900" not in message


def test_a_belief_says_how_it_is_expected() -> None:
    (message,) = messages(FIT, "theta = 0.6")
    assert "expect mean(theta) = …, or theta ~ …" in message
