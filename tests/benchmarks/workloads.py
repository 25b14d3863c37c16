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
HIDDEN_MARKOV = """model hmm(K: size = {k}, V: size = 32):
    start ~ Dirichlet(ones(K))
    for k in K:
        A[k] ~ Dirichlet(ones(K))
        E[k] ~ Dirichlet(ones(V))
    z[0] ~ Categorical(start)
    for t in 1..T: z[t] ~ Categorical(A[z[t - 1]])
    for t in T: y[t] ~ Categorical(E[z[t]])
"""
SMOOTHING = """model lgssm(q, r, p0):
    input A: real[4, 4]
    input C: real[2, 4]
    z[0] ~ MvNormal(zeros(4), cov = p0 * eye(4))
    for t in 1..T: z[t] ~ MvNormal(A @ z[t - 1], cov = q * eye(4))
    for t in T: y[t] ~ MvNormal(C @ z[t], cov = r * eye(2))
"""
FACTORS = """model pca(K: size = {k}):
    tau ~ Gamma(1e-2, rate = 1e-2)
    for k in K: alpha[k] ~ Gamma(1e-2, rate = 1e-2)
    for d in D, k in K: W[d, k] ~ Normal(0, precision = alpha[k])
    for n in N, k in K: X[n, k] ~ Normal(0, 1)
    for n in N, d in D: y[n, d] ~ Normal(dot(W[d], X[n]), precision = tau)

approximate pca:
    use vmp(expansion = {expansion})
"""
DYNAMICS = """model lssm(K: size = {k}):
    for k in K:
        alpha[k] ~ Gamma(1e-5, rate = 1e-5)
        gamma[k] ~ Gamma(1e-5, rate = 1e-5)
    tau ~ Gamma(1e-5, rate = 1e-5)
    for i in K, j in K: A[i, j] ~ Normal(0, precision = alpha[j])
    for m in M, k in K: C[m, k] ~ Normal(0, precision = gamma[k])
    x[0] ~ MvNormal(zeros(K), precision = 1e-3 * eye(K))
    for t in 1..T: x[t] ~ MvNormal(A @ x[t - 1], precision = eye(K))
    for t in T, m in M: y[t, m] ~ Normal(dot(C[m], x[t]), precision = tau)
"""
ROTATED_BOUND = -31902.574  # BayesPy's on these data after its 100 iterations with rotations
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


def hidden_markov(k: int, t: int, sweeps: int, cache: Path) -> dict[str, Any]:
    """Seconds a sweep: the chain, both tables, the bound."""
    with np.load(cache / f"hmm_{k}_{t}.npz") as data:
        y = data["y"].astype(int)
    model = ppl.parse(HIDDEN_MARKOV.format(k=k))

    def fit(iterations: int) -> Any:
        return model.fit(y=y, iterations=iterations, tolerance=0)

    first, short = fit(sweeps), fit(1)
    runs, shorts = ([fit(n) for _ in range(REPEATS)] for n in (sweeps, 1))
    own, once = (statistics.median(cpu_seconds(lambda n=n: fit(n)) for _ in range(REPEATS)) for n in (sweeps, 1))
    long, brief = (statistics.median(p.seconds["run"] for p in fits) for fits in (runs, shorts))
    return {
        "seconds_per_iter": (long - brief) / (sweeps - 1),
        "cpu_seconds_per_iter": (own - once) / (sweeps - 1),
        "seconds_compile": first.seconds["compile"],
        "iterations": sweeps,
        "elbo_or_loglik": first.elbo,
        "elbo_first": short.elbo,
    }


def smoothing(t: int, cache: Path) -> dict[str, Any]:
    """Seconds of the one sweep that an exact chain needs."""
    with np.load(cache / f"lgssm_{t}.npz") as data:
        given: dict[str, Any] = {name: data[name] for name in ("A", "C", "y")} | {name: float(data[name]) for name in ("q", "r", "p0")}
    model = ppl.parse(SMOOTHING)
    first = model.fit(**given)
    runs = [model.fit(**given).seconds["run"] for _ in range(REPEATS)]
    return {
        "seconds_per_iter": statistics.median(runs),
        "seconds_compile": first.seconds["compile"],
        "iterations": first.iterations,
        "elbo_or_loglik": first.log_evidence,
    }


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def factors(n: int, d: int, k: int, sweeps: int, cache: Path) -> dict[str, Any]:
    """CPU seconds a plain sweep, as the peer's are, and one with parameter expansion."""
    with np.load(cache / f"pca_{n}_{d}_{k}.npz") as data:
        y = data["y"]
    told: dict[str, Any] = {"iterations": sweeps}
    for expansion, key in (("true", "cpu_seconds_per_expanded"), ("false", "cpu_seconds_per_iter")):
        model = ppl.parse(FACTORS.format(k=k, expansion=expansion))

        def fit(iterations: int, model: Any = model) -> Any:
            return model.fit(y=y, iterations=iterations, tolerance=0)

        first, _ = fit(sweeps), fit(1)
        long = statistics.median(cpu_seconds(lambda: fit(sweeps)) for _ in range(REPEATS))
        short = statistics.median(cpu_seconds(lambda: fit(1)) for _ in range(REPEATS))
        told |= {key: (long - short) / (sweeps - 1), "seconds_compile": first.seconds["compile"], "elbo_or_loglik": first.elbo}
    return told | {"seconds_per_iter": told["cpu_seconds_per_iter"]}


def dynamics(d: int, m: int, t: int, cache: Path) -> dict[str, Any]:
    """CPU seconds of the fit that reaches the peer's bound with rotations, binding and planning included."""
    with np.load(cache / f"lssm_{d}_{m}_{t}.npz") as data:
        y = data["y"]
    model = ppl.parse(DYNAMICS.format(k=d))
    trace = model.fit(y=y, iterations=400, tolerance=0).elbo_trace
    sweeps = int(np.argmax(trace >= ROTATED_BOUND)) + 1
    first = model.fit(y=y, iterations=sweeps, tolerance=0)
    total = statistics.median(cpu_seconds(lambda: model.fit(y=y, iterations=sweeps, tolerance=0)) for _ in range(REPEATS))
    return {
        "cpu_seconds_total": total,
        "seconds_per_iter": total / sweeps,
        "seconds_compile": first.seconds["compile"],
        "iterations": sweeps,
        "elbo_or_loglik": first.elbo,
    }


WORKLOADS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "gmm_1e3_d2_k5": lambda cache: mixture(1000, 2, 5, 100, cache),
    "gmm_1e5_d8_k16": lambda cache: mixture(10**5, 8, 16, 6, cache),
    "gmm_1e6_d4_k10": lambda cache: mixture(10**6, 4, 10, 6, cache),
    "hmm_4_1e5": lambda cache: hidden_markov(4, 10**5, 20, cache),
    "hmm_16_1e5": lambda cache: hidden_markov(16, 10**5, 12, cache),
    "hmm_64_1e5": lambda cache: hidden_markov(64, 10**5, 6, cache),
    "lgssm_1e5": lambda cache: smoothing(10**5, cache),
    "pca_1000": lambda cache: factors(1000, 20, 10, 200, cache),
    "pca_1e5": lambda cache: factors(10**5, 50, 20, 12, cache),
    "lssm_learn_rotate": lambda cache: dynamics(8, 30, 400, cache),
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
