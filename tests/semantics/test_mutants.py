"""The front end answers every text: a few thousand programs with small mistakes, and as many again by hand (see `mutants.py`)."""

from __future__ import annotations

import random

from mutants import falls, mutant, programs, run_front_end

COUNT = 2000


def test_no_program_makes_the_front_end_fall_or_hang() -> None:
    assert [f"{text}\n{reason}" for text, reason in falls(COUNT, seed=0)] == []


def test_mutants_reach_all_stages() -> None:
    """Some are still correct, most are not: else the test above would say little."""
    chance, texts = random.Random(0), programs()
    correct = sum(run_front_end(mutant(texts, chance)) for _ in range(200))
    assert 10 < correct < 150
