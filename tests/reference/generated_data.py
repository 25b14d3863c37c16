"""Where the generated data of the library come from: each table of `models/data` that nobody measured, drawn anew from its seed."""

from __future__ import annotations

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


TABLES = {"casino.csv": casino, "ship.csv": ship, "ratings.csv": ratings, "picture.csv": picture, "bath.csv": bath}
