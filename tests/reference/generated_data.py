"""Where the generated data of the library come from: each table of `models/data` that nobody measured, drawn anew from its seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Columns = dict[str, np.ndarray]


def casino() -> Columns:
    """300 rolls of a die that is now and then exchanged for a loaded one (Durbin et al. 1998, section 3.1)."""
    random = np.random.default_rng(1998)
    loaded = np.zeros(300, dtype=int)
    for t in range(1, 300):
        loaded[t] = random.random() < (0.9 if loaded[t - 1] else 0.05)
    chances = np.array([[1 / 6] * 6, [0.1] * 5 + [0.5]])
    faces = np.array([random.choice(6, p=chances[d]) for d in loaded])
    names = np.array(["one", "two", "three", "four", "five", "six"])
    return {"roll": names[faces], "die": np.array(["fair", "loaded"])[loaded]}


def ship() -> Columns:
    """A ship that drifts about its course, fixed by a poor radar once a minute; six fixes are lost (nan)."""
    random = np.random.default_rng(1960)
    position, velocity = np.zeros((60, 2)), np.zeros((60, 2))
    velocity[0] = [0.3, 0.1]
    for t in range(1, 60):
        push = 0.05 * random.standard_normal(2)
        position[t] = position[t - 1] + velocity[t - 1] + push / 2
        velocity[t] = velocity[t - 1] + push
    fix = np.round(position + 0.5 * random.standard_normal((60, 2)), 2)
    fix[[20, 21, 22, 23, 41, 50]] = np.nan
    return {"fix[0]": fix[:, 0], "fix[1]": fix[:, 1]}


def ratings() -> Columns:
    """24 people mark some of 16 films; what a mark is depends on two tastes of each."""
    random = np.random.default_rng(2007)
    people, films = random.standard_normal((24, 2)), random.standard_normal((16, 2))
    seen = np.argwhere(random.random((24, 16)) < 0.5)
    marks = 6 + (people[seen[:, 0]] * films[seen[:, 1]]).sum(1) + 0.5 * random.standard_normal(len(seen))
    return {"person": seen[:, 0], "film": seen[:, 1], "mark": np.round(marks, 1)}


def picture() -> Columns:
    """A white cross on black, 8 by 8 pixels, of which a bad camera turned about every sixth over."""
    random = np.random.default_rng(1974)
    cross = np.zeros((8, 8), dtype=int)
    cross[:, 3:5] = 1
    cross[3:5, :] = 1
    seen = cross ^ (random.random((8, 8)) < 0.15)
    return {f"column_{c}": seen[:, c] for c in range(8)}


def bath() -> Columns:
    """The temperature of a bath whose heater goes on and off, read from a poor thermometer each minute for two hours."""
    random = np.random.default_rng(2000)
    heating = np.zeros(120, dtype=int)
    level = np.full(120, 18.0)
    for t in range(1, 120):
        heating[t] = random.random() < (0.9 if heating[t - 1] else 0.1)
        level[t] = level[t - 1] + (0.4 if heating[t] else -0.4) + 0.2 * random.standard_normal()
    return {"reading": np.round(level + 0.5 * random.standard_normal(120), 1), "heater": np.array(["off", "on"])[heating]}


# ------------------------------------------------------------------ things that move
Rates = Callable[[float, np.ndarray, np.ndarray], np.ndarray]


def smooth(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Unit noise along the first axis with the autocorrelation exp(-h²) over the bins, which is that of a smoothness of 1/2."""
    lags = np.arange(shape[0])[:, None] - np.arange(shape[0])
    return np.linalg.cholesky(np.exp(-(lags**2.0)) + 1e-12 * np.eye(shape[0])) @ random.standard_normal(shape)


def moved(rates: Rates, start: list[float], push: np.ndarray, dt: float, fine: int = 50) -> np.ndarray:
    """What follows `rates(time, state, push)`, a push running straight from bin to bin: midpoint steps, `fine` a bin."""
    found, now, step = [np.array(start)], np.array(start), dt / fine
    for t in range(len(push) - 1):
        for k in range(fine):
            begun, half = push[t] + (push[t + 1] - push[t]) * k / fine, (push[t + 1] - push[t]) / (2 * fine)
            time = t * dt + k * step
            middle = now + rates(time, now, begun) * step / 2
            now = now + rates(time + step / 2, middle, begun + half) * step
        found.append(now)
    return np.stack(found)


def spring() -> Columns:
    """Eight seconds of a spring of stiffness 4 that is pushed about and seen through a shaky sensor."""
    random = np.random.default_rng(1660)
    push = smooth(random, 80) / 4
    x = moved(lambda t, x, w: np.array([x[1], -4 * x[0] - 0.2 * x[1] + w]), [1.0, 0.0], push, 0.1)[:, 0]
    return {"y": np.round(x + smooth(random, 80) / 8, 3), "x": np.round(x, 4)}


def convolution() -> Columns:
    """Four sensors of two states that a bump has moved, as in SPM's `DEM_demo_convolution`."""
    random = np.random.default_rng(2008)
    turn, see = np.array([[-0.25, 1], [-0.5, -0.25]]), np.array([[0.125, a] for a in (0.1633, 0.0676, -0.0676, -0.1633)])
    push = smooth(random, 32, 2) / np.exp(4)
    x = moved(lambda t, x, w: turn @ x + [np.exp(-((t - 12) ** 2) / 4), 0] + w, [0.0, 0.0], push, 1.0)
    y = np.round(x @ see.T + smooth(random, 32, 4) / np.exp(4), 4)
    bump = np.exp(-((np.arange(32.0) - 12) ** 2) / 4)
    columns = {f"y[{k}]": y[:, k] for k in range(4)} | {f"x[{k}]": np.round(x[:, k], 4) for k in range(2)}
    return columns | {"v": np.round(bump, 4)}


def wells() -> Columns:
    """A ball that a slow swing drives from one well to the other and back."""
    random = np.random.default_rng(1918)
    rates = lambda t, x, w: (16 * x / (1 + x**2) - x / 2 + 2 * (8 * np.sin(np.pi * t / 16) + w)) / 8  # noqa: E731
    x = moved(rates, [1.0], np.zeros((96, 1)), 1.0)[:, 0]
    drive = np.round(8 * np.sin(np.pi * np.arange(96) / 16), 4)
    return {"y": np.round(x + smooth(random, 96) / 4, 3), "x": np.round(x, 4), "v": drive}


def butterfly() -> Columns:
    """Lorenz's equations, of which the sum of the states is seen."""
    random = np.random.default_rng(1963)

    def rates(t: float, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]) + w

    x = moved(rates, [0.9, 0.8, 30.0], smooth(random, 100, 3) * 0.1, 0.03)
    seen = x.sum(1) + smooth(random, 100)
    return {"y": np.round(seen, 2)} | {f"x[{k}]": np.round(x[:, k], 3) for k in range(3)}


def drift() -> Columns:
    """Three levels: what drifts moves what swings, which moves what is seen."""
    random = np.random.default_rng(2005)
    push = smooth(random, 96, 4) * [0.1, 0.25, 0.05, 0.05]

    def rates(t: float, s: np.ndarray, w: np.ndarray) -> np.ndarray:
        top, middle, x = s[0], s[1], s[2:]
        return np.array([-top / 24 + w[0], (top - middle) / 3 + w[1], x[1] + middle + w[2], -x[0] - x[1] + w[3]])

    s = moved(rates, [1.0, 0.0, 0.0, 0.0], push, 1.0)
    y = np.round(s[:, 2] + smooth(random, 96) / 16, 3)
    return {"y": y} | {name: np.round(s[:, k], 4) for k, name in enumerate(("top", "middle"))}


TABLES = {
    "casino.csv": casino,
    "ship.csv": ship,
    "ratings.csv": ratings,
    "picture.csv": picture,
    "bath.csv": bath,
    "oscillator.csv": spring,
    "convolution.csv": convolution,
    "double_well.csv": wells,
    "lorenz.csv": butterfly,
    "drift.csv": drift,
}
