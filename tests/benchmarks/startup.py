"""Start-up: CPU seconds of `ppl run` on the coin from a cold start (empty caches) and the next time, and the share of each stage.

python tests/benchmarks/startup.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COIN = Path(__file__).parents[2] / "models" / "basics" / "coin.aim"
STAGES = """
import time
clock = time.process_time
told, last = [], clock()
def stage(name):
    global last
    now = clock(); told.append((name, now - last)); last = now
import ppl
from ppl.api import load_file
file = load_file({path!r}); line = file.typed.fits[0]; stage("front end")
import jax; stage("import of jax")
import ppl.engines.fitting; stage("import of the engine")
posterior = file.fit_line(line); stage("bind, plan, compile, run")
str(posterior.summary(rows=10)); stage("summary")
print("; ".join(f"{{name}} {{seconds:.2f}} s" for name, seconds in told))
"""


def cpu_seconds(words: list[str], cache: str) -> float:
    """User and system time of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    words = [sys.executable, "-m", "ppl", "run", str(COIN)]
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(cpu_seconds(words, cache))
            warm.append(cpu_seconds(words, cache))
    print(f"ppl run coin: cold {statistics.median(cold):.2f} s, next time {statistics.median(warm):.2f} s of CPU (median of {rounds})")
    subprocess.run([sys.executable, "-c", STAGES.format(path=str(COIN))], check=True)


if __name__ == "__main__":
    main()
