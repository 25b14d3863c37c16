"""A belief as a few rows that a person reads: short plates in full, long ones by their first entries and a word on the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ppl.results.belief import Belief

FULL, SHORTENED = 10, 6  # as many entries are shown in full; of more, the first so many
PROBABILITIES = 4  # of a categorical entry, the most probable so many
INNER_AXES = {"Categorical": ("p", 1), "Dirichlet": ("concentration", 1), "MvNormal": ("mean", 1), "Multinomial": ("p", 1), "Wishart": ("scale", 2)}


@dataclass(frozen=True)
class Row:
    """`label` is empty where a row says something of the rows above it."""

    label: str
    belief: str
    mean: str = ""
    sd: str = ""
    interval: str = ""


def belief_rows(belief: Belief) -> Iterator[Row]:
    """The rows of one belief."""
    plates = plate_shape(belief)
    hidden = belief.observed.reshape(plates) if belief.observed is not None else np.zeros(plates, bool)
    open_places = np.argwhere(~hidden)
    shown = open_places if len(open_places) <= FULL else open_places[:SHORTENED]
    if belief.family == "Categorical" and len(open_places) > FULL:
        yield _census(belief, hidden)
    else:
        for place in shown:
            yield from _entry(_at(belief, tuple(map(int, place))), belief.name, tuple(map(int, place)))
        if len(shown) < len(open_places):
            yield Row("", f"… {len(open_places) - len(shown)} more", mean=_range(belief, hidden))
    if hidden.any():
        yield Row("", f"({int(hidden.sum())} observed)")


def plate_shape(belief: Belief) -> tuple[int, ...]:
    """The shape of the plates: that of the parameters without the axes of one value."""
    if belief.draws is not None:
        return belief.draws.shape[1:]
    parameter, inner = INNER_AXES.get(belief.family, (next(iter(belief.params)), 0))
    shape = np.shape(belief.params[parameter])
    return shape[: len(shape) - inner]


def _at(belief: Belief, place: tuple[int, ...]) -> Belief:
    """The belief in one entry of the plates, so that nothing is computed for the others."""
    return replace(
        belief,
        params={name: np.asarray(value)[place] for name, value in belief.params.items()},
        draws=belief.draws[:, *place] if belief.draws is not None else None,
        observed=None,
        values=None,
    )


# ------------------------------------------------------------------ one entry
def _entry(belief: Belief, name: str, place: tuple[int, ...]) -> Iterator[Row]:
    if belief.family == "Categorical":
        yield Row(label(name, place), probabilities(np.asarray(belief.params["p"]), belief.members))
        return
    if belief.family == "Wishart":
        yield from _matrix(belief, name, place)
        return
    mean, sd = np.asarray(belief.mean), np.asarray(belief.sd)
    low, high = (np.broadcast_to(np.asarray(bound), mean.shape) for bound in belief.interval(0.95))
    inside = list(np.ndindex(mean.shape))
    text = family_text(belief)
    for inner in inside if len(inside) <= FULL else inside[:SHORTENED]:
        interval = f"[{number(low[inner])}, {number(high[inner])}]" if belief.family != "Delta" else ""
        yield Row(label(name, (*place, *inner)), text, number(mean[inner]), number(sd[inner]) if interval else "", interval)
        text = ""
    if len(inside) > FULL:
        yield Row("", f"… {len(inside) - SHORTENED} more", f"{number(mean.min())} to {number(mean.max())}")


def _matrix(belief: Belief, name: str, place: tuple[int, ...]) -> Iterator[Row]:
    """The mean of a matrix, a row for each of its rows."""
    mean, sd = np.asarray(belief.mean), np.asarray(belief.sd)
    text = family_text(belief)
    for k in range(min(len(mean), SHORTENED)):
        yield Row(label(name, (*place, k)), text, vector(mean[k]), vector(sd[k]))
        text = ""
    if len(mean) > SHORTENED:
        yield Row("", f"… {len(mean) - SHORTENED} more rows")


def family_text(belief: Belief) -> str:
    """The family with its parameters where these are few numbers: `Beta(a = 4, b = 2)`."""
    if belief.family == "Draws":
        return "computed"
    if belief.family == "Delta":
        return "known"
    few = {name: np.asarray(value) for name, value in belief.params.items() if np.size(value) == 1}
    inside = ", ".join(f"{name} = {number(float(value.reshape(())))}" for name, value in few.items())
    return f"{belief.family}({inside})" if inside else belief.family


def probabilities(p: np.ndarray, members: tuple[str, ...] | None) -> str:
    """`setosa 98 %, virginica 2 %`: the most probable members, those under half a per cent left out."""
    order = [int(k) for k in np.argsort(-p, kind="stable")[:PROBABILITIES] if p[k] >= 0.005] or [int(p.argmax())]
    return ", ".join(f"{members[k] if members else k} {percent(float(p[k]))}" for k in order)


# ------------------------------------------------------------------ many entries
def _census(belief: Belief, hidden: np.ndarray) -> Row:
    """How often each member is the most probable one, and how sure that is."""
    p = np.asarray(belief.params["p"])[~hidden]
    counts = np.bincount(p.argmax(axis=-1), minlength=p.shape[-1])
    names = belief.members or tuple(map(str, range(p.shape[-1])))
    told = [f"{name} {count}" for name, count in zip(names, counts, strict=True) if count]
    rest = f", … {len(told) - FULL} members more" if len(told) > FULL else ""
    sure = f"; {percent(float(p.max(axis=-1).mean()))} sure on average"
    return Row(f"{belief.name}[{' × '.join(map(str, hidden.shape))}]", f"most probable: {', '.join(told[:FULL])}{rest}{sure}")


def _range(belief: Belief, hidden: np.ndarray) -> str:
    mean = np.asarray(belief.mean)
    if mean.shape[: hidden.ndim] == hidden.shape:
        mean = mean[~hidden]
    return f"{number(mean.min())} to {number(mean.max())}"


# ------------------------------------------------------------------ numbers
def label(name: str, place: tuple[int | str, ...]) -> str:
    return f"{name}[{', '.join(map(str, place))}]" if place else name


def number(value: float | np.ndarray) -> str:
    """Four significant digits, and a true minus sign."""
    return "—" if math.isnan(value) else f"{float(value):.4g}".replace("-", "−")


def vector(values: np.ndarray) -> str:
    shown = [number(v) for v in values[:FULL]]
    return "  ".join(shown) + ("  …" if len(values) > FULL else "")


def percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.9995 or share == 1 else "> 99.9 %"
