"""A belief as a few rows that a person reads: short plates in full, long ones by their first entries and a word on the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppl.results.numbers import number, percent

if TYPE_CHECKING:
    from ppl.results.belief import Belief
    from ppl.semantics.typed import Axis

FULL, SHORTENED = 12, 6  # as many entries are shown in full; of more, the first so many
PROBABILITIES = 4  # of a categorical entry, the most probable so many


@dataclass(frozen=True)
class Row:
    """`label` is empty where a row says something of the rows above it. Where only `belief` is told, it may be as wide as it likes."""

    label: str
    belief: str
    mean: str = ""
    sd: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Labels:
    """What entries of a variable are called: its name, and indices by the names or numbers of members."""

    name: str
    axes: tuple[Axis, ...] = ()

    def at(self, place: tuple[int, ...]) -> str:
        return f"{self.name}[{', '.join(map(self._index, range(len(place)), place))}]" if place else self.name

    def _index(self, position: int, ordinal: int) -> str:
        index_set = self.axes[position].set if position < len(self.axes) else None
        if index_set is None:
            return str(ordinal)
        named = index_set.members is not None and ordinal < len(index_set.members)
        return index_set.members[ordinal] if named and index_set.members else str(ordinal + index_set.low)


def belief_rows(belief: Belief, labels: Labels) -> Iterator[Row]:
    """The rows of one belief."""
    observed = _places(belief.observed, belief)
    hidden = observed | _places(belief.absent, belief)
    open_places = np.argwhere(~hidden)
    shown = open_places if len(open_places) <= FULL else open_places[:SHORTENED]
    if belief.family == "Categorical" and len(open_places) > FULL:
        yield _census(belief, hidden)
    else:
        for place in shown:
            yield from _entry(belief.at(tuple(map(int, place))), labels, tuple(map(int, place)))
        if len(shown) < len(open_places):
            yield Row("", f"… {len(open_places) - len(shown)} more; all means", _range(belief, hidden))
    if observed.any():
        yield Row("", f"({int(observed.sum())} observed)")


def _places(mask: np.ndarray | None, belief: Belief) -> np.ndarray:
    """A mask over all entries of the plates; vectors that are told by draws are given or missing as a whole."""
    if mask is None:
        return np.zeros(belief.plates, bool)
    inner = (1,) * (len(belief.plates) - mask.ndim)
    return np.broadcast_to(mask.reshape(*mask.shape, *inner), belief.plates)


# ------------------------------------------------------------------ one entry
def _entry(belief: Belief, labels: Labels, place: tuple[int, ...]) -> Iterator[Row]:
    if belief.family == "Categorical":
        yield Row(labels.at(place), probabilities(np.asarray(belief.params["p"]), belief.members))
        return
    if belief.family in ("Wishart", "InverseWishart"):
        yield from _matrix(belief, labels, place)
        return
    if belief.family == "Bernoulli":
        yield Row(labels.at(place), family_text(belief), number(belief.mean))
        return
    mean, sd = np.asarray(belief.mean), np.asarray(belief.sd)
    low, high = (np.broadcast_to(np.asarray(bound), mean.shape) for bound in belief.interval(0.95))
    inside = list(np.ndindex(mean.shape))
    text = family_text(belief)
    for inner in inside if len(inside) <= FULL else inside[:SHORTENED]:
        centre = number(mean[inner], against=float(sd[inner]))
        interval = f"[{number(low[inner])}, {number(high[inner])}]" if belief.family != "Delta" else ""
        yield Row(labels.at((*place, *inner)), text, centre, number(sd[inner]) if interval else "", interval)
        text = ""
    if len(inside) > FULL:
        yield Row("", f"… {len(inside) - SHORTENED} more; all means", f"{number(mean.min())} to {number(mean.max())}")


def _matrix(belief: Belief, labels: Labels, place: tuple[int, ...]) -> Iterator[Row]:
    """The mean of a matrix, a line for each of its rows."""
    mean = np.asarray(belief.mean)
    shown = mean[:SHORTENED, :SHORTENED]
    largest = float(np.abs(shown).max())
    cells = [[number(value, against=largest) for value in row] for row in shown]
    width = max(len(cell) for row in cells for cell in row)
    more = "  …" if len(mean) > SHORTENED else ""
    yield Row(labels.at(place), f"{family_text(belief)}, mean")
    for row in cells:
        yield Row("", "  " + "  ".join(cell.rjust(width) for cell in row) + more)
    if more:
        yield Row("", more)


def family_text(belief: Belief) -> str:
    """The family with its parameters where these are few numbers: `Beta(a = 4, b = 2)`."""
    if belief.family == "Draws":
        return "draws" if belief.chains else "computed"
    if belief.family == "Delta":
        return "known"
    if belief.family == "Normal":
        return "Normal"  # its parameters are the columns
    if belief.family == "Mixture":
        return f"mixture of {len(belief.params['weights'])}"
    few = {name: np.asarray(value) for name, value in belief.params.items() if np.size(value) == 1}
    inside = ", ".join(f"{name} = {number(float(value.reshape(())))}" for name, value in few.items())
    return f"{belief.family}({inside})" if inside else belief.family


def probabilities(p: np.ndarray, members: tuple[str, ...] | None) -> str:
    """`setosa: 98 %, virginica: 2 %`: the most probable members, those under half a per cent left out."""
    order = [int(k) for k in np.argsort(-p, kind="stable")[:PROBABILITIES] if p[k] >= 0.005] or [int(p.argmax())]
    return ", ".join(f"{members[k] if members else k}: {percent(float(p[k]))}" for k in order)


# ------------------------------------------------------------------ many entries
def _census(belief: Belief, hidden: np.ndarray) -> Row:
    """How often each member is the most probable one, and how sure that is."""
    p = np.asarray(belief.params["p"])[~hidden]
    counts = np.bincount(p.argmax(axis=-1), minlength=p.shape[-1])
    names = belief.members or tuple(map(str, range(p.shape[-1])))
    told = [f"{name}: {count}" for name, count in zip(names, counts, strict=True) if count]
    rest = f", … {len(told) - FULL} members more" if len(told) > FULL else ""
    sure = percent(float(p.max(axis=-1).mean()))
    entries = " × ".join(map(str, hidden.shape)) if not hidden.any() else str(len(p))
    return Row(belief.name, f"{entries} entries by their most probable member: {', '.join(told[:FULL])}{rest} ({sure} on average)")


def _range(belief: Belief, hidden: np.ndarray) -> str:
    mean = np.asarray(belief.mean)
    if mean.shape[: hidden.ndim] == hidden.shape:
        mean = mean[~hidden]
    return f"{number(mean.min())} to {number(mean.max())}"
