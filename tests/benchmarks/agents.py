"""Planning agents beside pymdp: one compiled step (perceive, plan, act), float32, the same models, one core, in turn within one run.

    python tests/benchmarks/agents.py --bench FOLDER --peers PYTHON [--rounds 3] [--core 0] [--only grid]

`--bench` is the folder of the peers' benchmarks (`peer_pymdp.py`), `--peers` a Python that has inferactively-pymdp 1.0.4. Each
row is measured in fresh processes, ours and theirs alternately; printed are medians of CPU time over rounds and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TMAZE = """
type Place = {{centre, left, right, cue}}

agent tmaze:
    state place: Place = centre
    state side: {{left_good, right_good}} ~ Categorical([0.5, 0.5])
    action go: Place
    next place = match place:
        left | right -> place
        _            -> go
    next side = side
    observe seen: Place = place
    observe outcome: {{nothing, reward, shock}} ~ match place, side:
        left,  left_good   -> {{reward: 0.98, shock: 0.02}}
        right, right_good  -> {{reward: 0.98, shock: 0.02}}
        left | right, _    -> {{reward: 0.02, shock: 0.98}}
        _, _               -> nothing
    observe hint: {{none, says_left, says_right}} ~ match place, side:
        cue, left_good  -> {{says_left: 0.98, says_right: 0.02}}
        cue, right_good -> {{says_right: 0.98, says_left: 0.02}}
        _, _            -> none
    prefer outcome ~ softmax({{nothing: 0, reward: 3, shock: -3}})
    plan go by efe(horizon = {horizon}, precision = 8)
"""
GRID = """
type Cell = 0..49
type Move = {{up, right, down, left, stay}}

agent grid:
    row = floor(cell / 7)
    column = cell % 7
    state cell: Cell = 0
    action go: Move
    next cell = (if go == up then max(row - 1, 0) else if go == down then min(row + 1, 6) else row) * 7 + (if go == left then max(column - 1, 0) else if go == right then min(column + 1, 6) else column)
    observe seen: Cell = cell
    prefer seen ~ softmax(4 * onehot(48, 49))
    plan go by efe(horizon = {horizon}, precision = 1)
"""
ROWS = {
    "tmaze H=2": ("tmaze", 2, 1),
    "grid H=3": ("grid", 3, 1),
    "grid H=4": ("grid", 4, 1),
    "grid H=5": ("grid", 5, 1),
    "tmaze H=2, 100 agents": ("tmaze", 2, 100),
    "grid H=3, 100 agents": ("grid", 3, 100),
}


def timed(function: Any, block: Any, count: int) -> float:
    """The median of CPU seconds of a call."""
    block(function())
    found = []
    for _ in range(count):
        start = time.process_time()
        block(function())
        found.append(time.process_time() - start)
    return statistics.median(found)


def ours(model: str, horizon: int, batch: int) -> dict[str, float]:
    """CPU seconds of one compiled step, of its parts, and of compiling it."""
    os.environ["PPL_CACHE"] = "off"
    import jax
    import numpy as np

    import ppl
    from ppl.agents.program import OFTEN

    program = ppl.parse({"tmaze": TMAZE, "grid": GRID}[model].format(horizon=horizon)).program()
    rates = (1.0, 1.0)
    memory, _ = program.compiled("advance", first=True, rates=rates)(program.blank, action(program), nothing(program))
    seen = np.array([int(np.argmax(np.asarray(t.known).reshape(-1, f.size)[0])) for f, t in outcomes(program)])
    preferences = program.log_preferences(np.arange(1, 1 + horizon))
    many = lambda x: jax.numpy.broadcast_to(x, (batch, *np.shape(x))) if batch > 1 else x  # noqa: E731
    held, done, seen, preferences = jax.device_put((*jax.tree.map(many, (memory, action(program), seen)), preferences))
    start = time.process_time()
    one = lambda *now: program.step(program.numbers, *now, preferences, first=False, rates=rates)[::3]  # noqa: E731
    step = jax.jit(jax.vmap(one) if batch > 1 else one, compiler_options=program.compiler_options(OFTEN * batch))
    jax.block_until_ready(step(held, done, seen))
    told = {"compile": time.process_time() - start}
    count = 200 if batch == 1 else 20
    told["step"] = timed(lambda: step(held, done, seen), jax.block_until_ready, count)
    if batch == 1:
        perceive, plan = program.compiled("advance", first=False, rates=rates), program.compiled("plan")
        told["perceive"] = timed(lambda: perceive(held, done, seen), jax.block_until_ready, count)
        told["plan"] = timed(lambda: plan(held, preferences), jax.block_until_ready, count)
    return told


def action(program: Any) -> Any:
    import numpy as np

    return np.zeros(len(program.network.actions), int)


def nothing(program: Any) -> Any:
    import numpy as np

    return np.full(len(program.network.outcomes), -1)


def outcomes(program: Any) -> Any:
    return [(f, program.network.observations[f.name]) for f in program.network.outcomes]


def theirs(model: str, horizon: int, batch: int) -> dict[str, float]:
    """The same of pymdp, with the models and the step of the peers' benchmark."""
    import peer_pymdp as peer

    jax = peer.jax
    agent, _, _ = getattr(peer, model)(horizon, batch)
    seen, prior = [jax.numpy.zeros((batch,), "int32") for _ in agent.num_obs], agent.D
    step, infer, plan = jax.jit(peer.step), jax.jit(peer.infer_only), jax.jit(peer.plan_only)
    start = time.process_time()
    jax.block_until_ready(step(agent, seen, prior))
    told = {"compile": time.process_time() - start}
    count = 100 if batch == 1 else 5
    told["step"] = timed(lambda: step(agent, seen, prior), jax.block_until_ready, count)
    if batch == 1:
        belief = infer(agent, seen, prior)
        told["perceive"] = timed(lambda: infer(agent, seen, prior), jax.block_until_ready, count)
        told["plan"] = timed(lambda: plan(agent, belief), jax.block_until_ready, count)
    return told


def measured(side: str, row: str, options: argparse.Namespace) -> dict[str, float]:
    """What a fresh process on one core finds."""
    python = sys.executable if side == "ours" else options.peers
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{options.bench}:{Path.cwd()}"}
    words = ["taskset", "-c", str(options.core), python, __file__, "--side", side, "--row", row]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if not done.stdout.startswith("{"):
        raise SystemExit(f"{side}, {row}: no result\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path)
    parser.add_argument("--peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(globals()[options.side](*ROWS[options.row])))
        return
    print(f"{'row':24} {'what':9} {'ours ms':>9} {'pymdp ms':>9} {'ratio':>7}")
    for row in (r for r in ROWS if options.only in r):
        found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
        for _ in range(options.rounds):
            for side in found:
                found[side].append(measured(side, row, options))
        for what in found["ours"][0]:
            own, other = (1e3 * statistics.median(one[what] for one in found[side]) for side in ("ours", "theirs"))
            print(f"{row:24} {what:9} {own:9.3f} {other:9.3f} {other / own:7.1f}", flush=True)


if __name__ == "__main__":
    main()
