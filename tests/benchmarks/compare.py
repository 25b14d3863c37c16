"""Ours beside the peers: the same data, start and sweeps, interleaved in one run, each process on one core.

    python tests/benchmarks/compare.py --bench FOLDER --peers PYTHON [--rounds 3] [--core 0]

`--bench` is the folder of the peers' benchmarks (`data.py`, `peer_bayespy.py`, `peer_sklearn.py`), `--peers` a Python that has
bayespy and scikit-learn. Prints medians and their ratios; writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLAN = {
    "gmm_1e6_d4_k10": ("seconds_per_iter", ("peer_sklearn.py", "peer_bayespy.py")),
    "gmm_1e5_d8_k16": ("seconds_per_iter", ("peer_sklearn.py", "peer_bayespy.py")),
    "conj_ng_1e6": ("seconds_total", ("peer_bayespy.py",)),
}


def measured(words: list[str], core: int) -> dict[str, Any]:
    """The JSON line of a process on one core with one thread for linear algebra."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["taskset", "-c", str(core), *words], capture_output=True, text=True, env=environment)
    for line in done.stdout.splitlines():
        text = line.removeprefix("JSON ")
        if text.startswith("{"):
            return json.loads(text)
    raise SystemExit(f"{' '.join(words)} printed no result:\n{done.stderr[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cache = Path(tempfile.gettempdir()) / "bench-data"
    if not (cache / "gmm_1000000_4_10.npz").exists():
        subprocess.run([options.peers, str(options.bench / "data.py"), str(cache), "gmm", "conj"], check=True, stdout=subprocess.DEVNULL)
    for workload, (key, peers) in PLAN.items():
        if options.only not in workload:
            continue
        seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for _ in range(options.rounds):
            ours = measured([sys.executable, str(HERE / "workloads.py"), workload, "--cache", str(cache)], options.core)
            seen["ppl"].append(ours)
            for peer in peers:
                words = [options.peers, str(options.bench / peer), "--cache", str(cache), "--repeats", "1", workload]
                one = measured(words, options.core)
                seen[one["peer"]].append(one)
        report(workload, key, seen)


def report(workload: str, key: str, seen: dict[str, list[dict[str, Any]]]) -> None:
    medians = {peer: statistics.median(run.get(key) or run["seconds_per_iter"] for run in runs) for peer, runs in seen.items()}
    print(f"{workload} ({key}, median of {len(seen['ppl'])})")
    for peer, runs in seen.items():
        times = f"{medians[peer] * 1e3:10.1f} ms  {medians[peer] / medians['ppl']:7.1f} x ours"
        bound = runs[-1].get("elbo_or_loglik")
        compiled = runs[-1].get("seconds_compile") or 0.0
        print(f"  {peer:10} {times}  bound {bound!r}  peak {runs[-1]['peak_rss_mb']:.0f} MB  compile {compiled:.2f} s")


if __name__ == "__main__":
    main()
