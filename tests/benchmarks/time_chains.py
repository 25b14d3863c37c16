"""The kernels of chains in a fresh process, on the data of the peers' benchmarks; prints one JSON line.

    python tests/benchmarks/time_chains.py hmm_16_1e5 --cache FOLDER

`hmm_K_T`: gather of the emissions' logs, log-partition, smoothed probabilities, summed transitions, summed emissions, as an E step
has them. `lgssm_T`: from the matrices of the model and the observations to the log likelihood, means, covariances and
covariances of neighbours. Compile time stands apart from run time.
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

import jax
import jax.numpy as jnp
import numpy as np

from ppl.families import discrete_chain, gaussian_chain
from ppl.numerics.special import LOG_2PI

REPEATS = 9
SYMBOLS = 32


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[dict[str, Any], Any]:
    """Seconds of a run (medians of wall and CPU) and of compiling, and what came back."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    found = jax.block_until_ready(compiled(*arguments))
    wall, cpu = [], []
    for _ in range(REPEATS):
        start = time.perf_counter(), time.process_time()
        jax.block_until_ready(compiled(*arguments))
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    seconds = {"seconds_per_iter": statistics.median(wall), "cpu_seconds_per_iter": statistics.median(cpu)}
    return {**seconds, "seconds_compile": compile_seconds}, found


def hidden_markov(states: int, length: int, cache: Path) -> dict[str, Any]:
    with np.load(cache / f"hmm_{states}_{length}.npz") as data:
        logs = [jnp.log(data[name]) for name in ("pi", "A", "B")]
        symbols = jnp.asarray(data["y"].astype(np.int32))

    def expectation(initial: Any, across: Any, emission: Any, symbols: Any) -> Any:
        found = discrete_chain.marginals(initial, across, emission.T[symbols])
        return found, jax.ops.segment_sum(found.unary, symbols, SYMBOLS)

    seconds, (found, _) = timed(expectation, *logs, symbols)
    return {**seconds, "elbo_or_loglik": float(found.log_partition)}


def linear_gaussian(length: int, cache: Path) -> dict[str, Any]:
    with np.load(cache / f"lgssm_{length}.npz") as data:
        model = [jnp.asarray(data[name]) for name in ("A", "C", "q", "r", "p0", "y")]

    def smoothed(step: Any, seen: Any, process: Any, noise: Any, first: Any, y: Any) -> Any:
        states, sides = step.shape[0], y.shape[1]
        own, after = jnp.eye(states) / process, step.T @ step / process
        each = jnp.broadcast_to(own + after + seen.T @ seen / noise, (length, states, states))
        each = each.at[0].add(jnp.eye(states) / first - own).at[-1].add(-after)
        across = jnp.broadcast_to(-step.T / process, (length - 1, states, states))
        found = gaussian_chain.moments(each, across, y @ seen / noise)
        constant = (y**2).sum() / noise + length * sides * (LOG_2PI + jnp.log(noise))
        constant += (length - 1) * states * jnp.log(process) + states * jnp.log(first) + length * states * LOG_2PI
        return found._replace(log_partition=found.log_partition - 0.5 * constant)

    seconds, found = timed(smoothed, *model)
    return {**seconds, "elbo_or_loglik": float(found.log_partition)}


WORKLOADS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "hmm_4_1e5": lambda cache: hidden_markov(4, 10**5, cache),
    "hmm_16_1e5": lambda cache: hidden_markov(16, 10**5, cache),
    "hmm_64_1e5": lambda cache: hidden_markov(64, 10**5, cache),
    "lgssm_1e5": lambda cache: linear_gaussian(10**5, cache),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    told = WORKLOADS[options.workload](options.cache)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("JSON " + json.dumps({"workload": options.workload, "peer": "ppl", **told, "peak_rss_mb": round(peak, 1)}))


if __name__ == "__main__":
    main()
