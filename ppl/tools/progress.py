"""One line on the terminal that says how far a long fit has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ppl.tools.messages import on_terminal

PATIENCE = 0.7  # seconds before anything is shown


class ProgressLine:
    """Called now and then with the number of sweeps done and the bound; the line is written over each time."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = False

    def __call__(self, sweeps: int, bound: float) -> None:
        elapsed = time.monotonic() - self.start
        if elapsed > PATIENCE:
            self.shown = True
            sys.stderr.write(f"\r\x1b[2Ksweep {sweeps} · bound {bound:.8g} nats · {elapsed:.0f} s")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


@contextmanager
def progress_line() -> Iterator[ProgressLine | None]:
    """A line to report to while something runs, which then goes away; None where nobody watches."""
    line = ProgressLine() if on_terminal() else None
    try:
        yield line
    finally:
        if line is not None:
            line.clear()
