"""Programs with small mistakes: words, lines and characters of good programs exchanged, lost and doubled.

The front end must say something of each, without a traceback and without a hang. A few thousand are a test; more by hand:
`python tests/semantics/mutants.py 100000 --seed 1`, which prints the program wherever something falls.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
WORD = re.compile(r"\w+'*|\d+\.\d+|\"[^\"\n]*\"|->|\.\.|==|!=|<=|>=|[^\s\w]")
WORDS = re.findall(
    r"\S+",
    "for in if then else and or not match true inf state next action observe model agent input factor export network size real "
    "type fn approximate as use fit to expect within by from import test run generalized world x y N K n t 0 1 2 -1 1.5 3 0.5 e "
    "( ) [ ] { } : ~ = == -> .. , | ^ - + * / @ % < sum( dot( Normal( Categorical( ones( softmax( mlp( sub( [0] [t-1] [-1] .b ' \"",
)
NOISE = ("\t", "\n", "    ", "\n    ", "\n\n", " ", "\x00", "\u2028", "é", "²", "# c\n", "\\", "$", ";")
LONGEST_SECONDS = 5.0


def programs() -> list[str]:
    """The good programs that the mutants come from."""
    folders = ("tests/golden/good", "tests/syntax/programs", "models")
    return [path.read_text(encoding="utf-8") for folder in folders for path in sorted((ROOT / folder).rglob("*.aim"))]


def mutant(texts: list[str], chance: random.Random) -> str:
    """A program with one to five changes."""
    text = chance.choice(texts)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        text = chance.choice((_word, _word, _word, _line, _characters))(text, texts, chance)
    return text


def _word(text: str, texts: list[str], chance: random.Random) -> str:
    """A word exchanged for one of the same program or another, or lost, or doubled."""
    found = list(WORD.finditer(text))
    if not found:
        return chance.choice(texts)
    place = chance.choice(found)
    kind = chance.random()
    if kind < 0.5:
        new = chance.choice(found).group()
    elif kind < 0.8:
        new = chance.choice(WORDS)
    else:
        new = "" if kind < 0.9 else f"{place.group()} {place.group()}"
    return text[: place.start()] + new + text[place.end() :]


def _line(text: str, texts: list[str], chance: random.Random) -> str:
    """A line lost, doubled, moved, indented otherwise, or taken from another program."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return chance.choice(texts)
    place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(6)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(other, lines[place])
    elif kind == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == 3:
        lines[place] = chance.choice(("", "    ", "        ", "  ")) + lines[place].lstrip(" ")
    else:
        theirs = chance.choice(texts).splitlines(keepends=True) or [""]
        start = chance.randrange(len(theirs))
        lines[place:place] = theirs[start : start + chance.choice((1, 1, 3))]
    return "".join(lines)


def _characters(text: str, texts: list[str], chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    return text[:start] + chance.choice((*NOISE, "")) + text[start + chance.choice((0, 0, 1, 3, 10)) :]


# ------------------------------------------------------------------ what must not fall
def run_front_end(text: str) -> bool:
    """All that is done before data are bound: the tree, its texts, the typed models and their graphs. Whether there were no errors."""
    from ppl.graph.factor_graph import build
    from ppl.semantics.check import check
    from ppl.semantics.dump import dump_model
    from ppl.source.text import SourceText
    from ppl.syntax.dump import dump
    from ppl.syntax.formatter import format_file
    from ppl.syntax.modules import find_import
    from ppl.syntax.parser import parse

    source = SourceText("mutant.aim", text)
    file, findings = parse(source)
    dump(file)
    correct = not findings.errors
    if correct:
        written = format_file(file, source)
        again, mistakes = parse(SourceText("mutant.aim", written))
        assert not mistakes.errors, f"formatted it has a mistake: {mistakes.errors[0]}\n{written}"
        assert format_file(again, SourceText("mutant.aim", written)) == written, "formatted twice it differs"
    typed = check(file, findings, load_import=lambda module: find_import(module, None))
    for model in typed.models.values():
        dump_model(model)
        str(build(model))
    for found in findings.items:
        assert found.span is None or 0 <= found.span.start <= found.span.end <= len(found.span.source.text)
        str(found)
    return not findings.errors


def falls(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """The mutants at which something falls or hangs, each with what happened."""
    chance = random.Random(seed)
    texts = programs()

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {LONGEST_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    try:
        for _ in range(count):
            text = mutant(texts, chance)
            signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
            try:
                run_front_end(text)
            except Exception:  # noqa: BLE001 - whatever it is, the front end fell
                yield text, traceback.format_exc()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=20, help="stop after so many falls")
    options = parser.parse_args()
    start, fallen = time.monotonic(), 0
    for text, reason in falls(options.count, options.seed):
        fallen += 1
        print(f"{'=' * 70}\n{text}\n{'-' * 70}\n{reason}", flush=True)
        if fallen == options.most:
            break
    print(f"{options.count} mutants, {fallen} falls, {time.monotonic() - start:.0f} s")
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
