"""Ours beside the peers: the same data, start and sweeps, interleaved in one run, each process on one core.

    python tests/benchmarks/compare.py --bench FOLDER --peers PYTHON [--rounds 3] [--core 0]

`--bench` is the folder of the peers' benchmarks (`data.py`, `peer_bayespy.py`, `peer_sklearn.py`, …), `--peers` a Python that has
bayespy, scikit-learn, hmmlearn and dynamax. Prints medians and their ratios; writes nothing.
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
    "hmm_4_1e5": ("cpu_seconds_per_iter", ("hmmlearn.hmm(4, 10**5, 10, impls=('scaling',))[0]", "next(dynamax.hmm(4, 10**5, par=False))")),
    "hmm_16_1e5": (
        "cpu_seconds_per_iter",
        ("hmmlearn.hmm(16, 10**5, 5, impls=('scaling',))[0]", "next(dynamax.hmm(16, 10**5, par=False))"),
    ),
    "hmm_64_1e5": (
        "cpu_seconds_per_iter",
        ("hmmlearn.hmm(64, 10**5, 3, impls=('scaling',))[0]", "next(dynamax.hmm(64, 10**5, par=False))"),
    ),
    "pca_1e5": ("cpu_seconds_per_iter", ("peer_bayespy.py",)),
    "lssm_learn_rotate": ("cpu_seconds_total", ("peer_bayespy.py",)),
    "lgssm_1e5": ("cpu_seconds_per_iter", ("next(r for r in dynamax.lgssm(10**5) if r['peer'] == 'dynamax-seq')",)),
}
DATA = {"gmm": "gmm_1000000_4_10.npz", "conj": "conj_ng_1000000.npz", "hmm": "hmm_64_100000.npz", "lgssm": "lgssm_100000.npz"}
DATA |= {"pca": "pca_100000_50_20.npz", "lssm": "lssm_8_30_400.npz"}
ONE_RESULT = """
import json, sys
sys.path.insert(0, {bench!r})
import common
common.CACHE, common.REPEATS = {cache!r}, 3
import peer_{module} as {module}
told = {call}
told.setdefault("peak_rss_mb", common.rss_mb())
print("JSON " + json.dumps(told))
"""


def measured(words: list[str], core: int) -> dict[str, Any]:
    """The JSON line of a process on one core with one thread for linear algebra."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["taskset", "-c", str(core), *words], capture_output=True, text=True, env=environment)
    for line in done.stdout.splitlines():
        text = line.removeprefix("JSON ")
        if text.startswith("{"):
            return json.loads(text)
    raise SystemExit(f"{' '.join(words)} printed no result:\n{done.stderr[-2000:]}")


def words_of(peer: str, workload: str, options: argparse.Namespace, cache: Path) -> list[str]:
    """A peer is a script that measures the workload, or a call of such a script's module, which gives the one result."""
    if peer.endswith(".py"):
        return [options.peers, str(options.bench / peer), "--cache", str(cache), "--repeats", "1", workload]
    module = "hmmlearn" if "hmmlearn" in peer else "dynamax"
    return [options.peers, "-c", ONE_RESULT.format(bench=str(options.bench), cache=str(cache), module=module, call=peer)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cache = Path(tempfile.gettempdir()) / "bench-data"
    missing = [job for job, file in DATA.items() if not (cache / file).exists()]
    if missing:
        subprocess.run([options.peers, str(options.bench / "data.py"), str(cache), *missing], check=True, stdout=subprocess.DEVNULL)
    for workload, (key, peers) in PLAN.items():
        if options.only not in workload:
            continue
        seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for _ in range(options.rounds):
            ours = measured([sys.executable, str(HERE / "workloads.py"), workload, "--cache", str(cache)], options.core)
            seen["ppl"].append(ours)
            for peer in peers:
                one = measured(words_of(peer, workload, options, cache), options.core)
                one.setdefault("cpu_seconds_total", (one.get("cpu_seconds_per_iter") or 0.0) * (one.get("iterations") or 0))
                seen[one["peer"]].append(one)
        report(workload, key, seen)


def report(workload: str, key: str, seen: dict[str, list[dict[str, Any]]]) -> None:
    medians = {peer: statistics.median(run.get(key) or run["seconds_per_iter"] for run in runs) for peer, runs in seen.items()}
    print(f"{workload} ({key}, median of {len(seen['ppl'])})")
    for peer, runs in seen.items():
        times = f"{medians[peer] * 1e3:10.1f} ms  {medians[peer] / medians['ppl']:7.1f} x ours"
        bound = runs[-1].get("elbo_or_loglik")
        compiled = runs[-1].get("seconds_compile") or 0.0
        print(f"  {peer:16} {times}  bound {bound!r}  peak {runs[-1]['peak_rss_mb']:.0f} MB  compile {compiled:.2f} s")


if __name__ == "__main__":
    main()
