"""One workload of ours in a fresh process: fixed data, fixed start, a fixed number of sweeps; prints one JSON line.

    python tests/benchmarks/workloads.py gmm_1e6_d4_k10 --cache FOLDER

The data are those that the peers' benchmarks write. Compile time stands apart from run time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ppl

MIXTURE = """model gmm(K: size = {k}):
    pi ~ Dirichlet(ones(K))
    for k in K:
        mu[k]     ~ MvNormal(zeros({d}), precision = 0.01 * eye({d}))
        Lambda[k] ~ Wishart({d}, eye({d}) / {d})
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ MvNormal(mu[z[n]], precision = Lambda[z[n]])

approximate gmm:
    q(pi) q(mu) q(Lambda) q(z)
"""
NORMAL_GAMMA = """model gaussian:
    mu ~ Normal(0, precision = 1e-6)
    tau ~ Gamma(1e-6, rate = 1e-6)
    for n in N: y[n] ~ Normal(mu, precision = tau)
"""
REPEATS = 3


def mixture(n: int, d: int, k: int, sweeps: int, cache: Path) -> dict[str, Any]:
    """Seconds a sweep, from the difference of a long and a short run of the same compiled program."""
    with np.load(cache / f"gmm_{n}_{d}_{k}.npz") as data:
        x, labels = data["x"], data["init_label"].astype(int)
    model = ppl.parse(MIXTURE.format(d=d, k=k))

    def fit(iterations: int) -> Any:
        return model.fit(x=x, start={"z": labels}, iterations=iterations, tolerance=0)

    first = fit(sweeps)
    runs = [fit(sweeps).seconds["run"] for _ in range(REPEATS)]
    short = fit(1)
    shorts = [fit(1).seconds["run"] for _ in range(REPEATS)]
    return {
        "seconds_per_iter": (statistics.median(runs) - statistics.median(shorts)) / (sweeps - 1),
        "seconds_compile": first.seconds["compile"],
        "seconds_run": statistics.median(runs),
        "seconds_start": statistics.median(shorts),
        "iterations": sweeps,
        "elbo_or_loglik": first.elbo,
        "elbo_first": short.elbo,
    }


def normal_gamma(n: int, cache: Path) -> dict[str, Any]:
    """The whole fit, binding and planning included, after the first one has compiled."""
    with np.load(cache / f"conj_ng_{n}.npz") as data:
        y = data["y"]
    model = ppl.parse(NORMAL_GAMMA)
    posterior = model.fit(y=y)
    times = []
    for _ in range(5 * REPEATS):
        start = time.perf_counter()
        model.fit(y=y)
        times.append(time.perf_counter() - start)
    return {
        "seconds_total": statistics.median(times),
        "seconds_compile": posterior.seconds["compile"],
        "iterations": posterior.iterations,
        "elbo_or_loglik": posterior.elbo,
    }


WORKLOADS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "gmm_1e3_d2_k5": lambda cache: mixture(1000, 2, 5, 100, cache),
    "gmm_1e5_d8_k16": lambda cache: mixture(10**5, 8, 16, 6, cache),
    "gmm_1e6_d4_k10": lambda cache: mixture(10**6, 4, 10, 6, cache),
    "conj_ng_1e4": lambda cache: normal_gamma(10**4, cache),
    "conj_ng_1e6": lambda cache: normal_gamma(10**6, cache),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    told = WORKLOADS[options.workload](options.cache)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("JSON " + json.dumps({"workload": options.workload, "peer": "ppl", **told, "peak_rss_mb": round(peak, 1)}))


if __name__ == "__main__":
    main()
