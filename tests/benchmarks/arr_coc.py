"""Relevance and allocation on real images: time, sweeps, price, and whether relevance finds the other half of what was asked for.

    python -m tests.benchmarks.arr_coc [--figures DIR] [--samples DIR] [NAME…]

`--samples` is the folder of scikit-learn's `china.jpg` and `flower.jpg`, which are measured too where it is given.
Each query is the left half of a box drawn by hand; the area under the curve (AUC) is the probability that a patch of the right half
ranks above one outside of the box. One core: pin it with `taskset -c 0`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data as data

import ppl
from ppl.arr_coc.planning import LEVELS, allocate, allocation_agent, relevance_model, usual_noise
from ppl.images.cues import Features, features
from ppl.images.reading import read_image

IMAGES: dict[str, tuple[Any, int, tuple[int, int, int, int]]] = {
    "retina": (data.retina, 14, (540, 100, 780, 320)),
    "astronaut": (data.astronaut, 5, (50, 170, 190, 280)),
    "motorcycle": (lambda: data.stereo_motorcycle()[0], 6, (150, 100, 430, 620)),
    "chelsea": (data.chelsea, 4, (40, 100, 200, 330)),
    "coffee": (data.coffee, 5, (40, 150, 330, 470)),
    "hubble": (data.hubble_deep_field, 9, (700, 80, 830, 200)),
    "rocket": (data.rocket, 5, (120, 296, 410, 348)),
}
SAMPLES: dict[str, tuple[int, tuple[int, int, int, int]]] = {"china": (5, (30, 60, 390, 356)), "flower": (5, (84, 166, 364, 444))}
MEAN = 150  # tokens a patch


def half(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = box
    return top, left, bottom, (left + right) // 2


def auc(score: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> float:
    """The probability that one inside ranks above one outside; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([score[inside], score[outside]]))
    count = int(inside.sum())
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * int(outside.sum())))


def weak_model() -> ppl.Model:
    """The same model with priors of the cues' precisions that are worth two patches."""
    text = Path("models/arr_coc/relevance.aim").read_text(encoding="utf-8").split("\nfit ")[0]
    return ppl.parse(text.replace("Gamma(shape = N, rate = 0.04 * N)", "Gamma(shape = 1, rate = 0.02)"))


def timed(action: Any, repeats: int = 3) -> tuple[Any, float]:
    """What comes back, and the least CPU time: on one core what the clock says where nothing else runs."""
    best, value = np.inf, None
    for _ in range(repeats):
        clock = time.process_time()
        value = action()
        best = min(best, time.process_time() - clock)
    return value, best


def measured(name: str) -> tuple[list[str], Features]:
    make, patch, box = IMAGES[name]
    image = make()
    told, looking = timed(lambda: features(image, half(box), patch=patch), 1)
    strong, weak = relevance_model(), weak_model()
    strong.fit(cue=told.cue)  # compiles
    posterior, fitting = timed(lambda: strong.fit(cue=told.cue))
    loose = weak.fit(cue=told.cue)
    assert np.all(np.diff(posterior.elbo_trace) > -1e-6)
    relevance = np.asarray(posterior["r"].mean)
    given = {"tokens": LEVELS[1:], "relevance": relevance, "variance": told.variance, "noise": usual_noise(told.variance)}
    mind = allocation_agent().start(**given, budget=float(MEAN * told.grid.patches)).perceive()
    mind.plan().action  # noqa: B018 compiles
    plan, planning = timed(lambda: (p := mind.plan(), p.action)[0])
    chosen = np.ravel(list(plan.action.values())).astype(int)
    shares = np.bincount(chosen, minlength=4) / len(chosen)
    total = np.array(LEVELS[1:])[chosen].sum()
    covered, asked = told.grid.covered(box), told.grid.covered(half(box))
    scores = (told.cue.mean(axis=1), np.asarray(loose["r"].mean), relevance, told.cue[:, -1])
    found = [auc(score, covered & ~asked, ~covered) for score in scores]
    anew = timed(lambda: allocation_agent().start(**given, budget=float(MEAN * told.grid.patches)).perceive().plan().action)[1]
    precisions = [", ".join(f"{v:.0f}" for v in np.asarray(p["reliability"].mean)) for p in (loose, posterior)]
    row = [
        f"{name} ({told.grid.rows} × {told.grid.columns})",
        f"{looking:.2f} s",
        f"{loose.iterations}; {precisions[0]}",
        f"{posterior.iterations}; {precisions[1]}",
        f"{fitting:.2f} s",
        f"{1000 * planning:.0f} ms, anew {1000 * anew:.0f} ms",
        f"{plan.price[0]:.4f}",
        " ".join(f"{s:.2f}" for s in shares),
        f"{total:.0f} of {MEAN * told.grid.patches}",
        " / ".join(f"{v:.2f}" for v in found),
    ]
    return row, told


WATCHING = """
agent watching(budget = 1000, precision = 20, noise = 0.1):
    "How many tokens is each patch of a video worth, frame by frame?"
    input tokens: real[Level] = [0, 64, 128, 256, 400]
    input relevance: real[T, N]
    input variance: real[T, N]
    for i in N:
        state given[i]: Level = 0
        action give[i]: Level
        next given[i] = give[i]
        prefer given[i] ~ softmax(max(relevance[t, i], 0) * 0.5 * log1p(tokens * (variance[t, i] / noise)))
    plan give by efe(horizon = 1, precision = precision)
    subject to sum(tokens[give[i]] for i in N) <= budget
"""


def frames(count: int = 240, patches: int = 1024) -> float:
    """Frames a second that an agent allots to, a budget in each."""
    rng = np.random.default_rng(0)
    size = (count + 1, patches)
    agent = ppl.parse(WATCHING)
    assert isinstance(agent, ppl.Agent)
    given = {"relevance": rng.uniform(size=size), "variance": rng.gamma(1.0, 1.0, size), "noise": 64.0, "budget": 100.0 * patches}
    program = agent.program(**given)
    from ppl.agents.options import rates
    from ppl.agents.runs import run

    options: dict[str, Any] = {"steps": count, "episodes": 1, "seed": 0, "choose": "best", "rates": rates(1.0, 1.0), "dtype": np.float64}
    _, seconds = timed(lambda: run(program, None, where={}, **options), 3)
    return count / seconds


def streamed(pixels: int, sweeps: int | None, count: int = 60, *, looked_at: bool = False) -> float:
    """Frames a second from pixels to tokens, or from cues where the images were `looked_at` before, 1,024 patches each: a window that
    moves over a photograph, its query too small to move."""
    image = data.astronaut()
    image = np.tile(image, (2, 2, 1)) if pixels == 512 else image
    moving: list[Any] = [image[k : k + pixels, 100 + k : 100 + k + pixels] for k in range(count)]
    query, patch = [pixels * k // 32 for k in (5, 7, 15, 17)], pixels // 32
    if looked_at:
        moving = [features(frame, query, patch=patch) for frame in moving]
    stream = ppl.arr_coc.stream(moving, query, 40_000.0, patch=patch, sweeps=sweeps)
    for _ in range(3):  # compile
        next(stream)
    clocks = [time.process_time(), *(time.process_time() for _ in stream)]
    return float(1.0 / np.median(np.diff(clocks)))


def large() -> str:
    """A frame of 3840 × 2160 pixels in 10,240 patches."""
    from skimage.transform import resize

    image = (255 * resize(data.astronaut(), (2160, 3840))).astype(np.uint8)
    told, looking = timed(lambda: features(image, [210, 1270, 800, 2100], patch=[27, 30]))
    allocate(told, budget=MEAN * told.grid.patches)
    rest = timed(lambda: allocate(told, budget=MEAN * told.grid.patches))[1]
    return f"3840 × 2160 pixels, {told.grid.patches:,} patches: cues {looking:.2f} s, relevance and allocation {rest:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for name, (patch, box) in SAMPLES.items() if options.samples is not None else ():
        IMAGES[name] = (lambda name=name: read_image(options.samples / f"{name}.jpg"), patch, box)
    print(
        "image | features | weak priors: sweeps; precisions | strong priors | fit | plan | price | shares | tokens | AUC mean / weak / strong / match"
    )
    for name in options.names or IMAGES:
        row, told = measured(name)
        print(" | ".join(row), flush=True)
        if options.figures is not None:
            figure = allocate(told, budget=60 * told.grid.patches).figure()
            figure.savefig(options.figures / f"{name}.png", dpi=64)
    print(large(), flush=True)
    for pixels in (256, 512):
        for sweeps in (None, 3):
            told = "until they rest" if sweeps is None else f"{sweeps} sweeps"
            whole, rest = (streamed(pixels, sweeps, looked_at=looked_at) for looked_at in (False, True))
            kind = f"{pixels} × {pixels} pixels a second, 1,024 patches, {told}"
            print(f"{whole:.0f} frames of {kind}; {rest:.0f} from cues to tokens", flush=True)
    print(f"{frames():.0f} frames of a recorded video a second at 1,024 patches, relevance given")


if __name__ == "__main__":
    main()
