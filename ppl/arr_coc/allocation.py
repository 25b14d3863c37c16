"""What an allocation is, for a person and for a file: tokens a patch, relevance, price, and how spread out the tokens are."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ppl.arr_coc.spread import Spread, spread_of
from ppl.images.cues import Features
from ppl.results.extras import needs
from ppl.source.writing import write_atomically


@dataclass(frozen=True)
class Allocation:
    """Arrays have an entry for each patch, in rows from the upper left; `grid.picture` of the features gives them as a picture.

    `probabilities` (patches × levels) are those under the price of a token, in nats; `chosen` is the level of each patch in the plan of
    whole levels. `relevance` and `relevance_sd` are the posterior's of `r`; `posterior` is all of it.
    """

    features: Features = field(repr=False)
    relevance: np.ndarray = field(repr=False)
    relevance_sd: np.ndarray = field(repr=False)
    levels: np.ndarray
    probabilities: np.ndarray = field(repr=False)
    chosen: np.ndarray = field(repr=False)
    price: float
    budget: float
    posterior: Any = field(default=None, repr=False)
    messages: tuple[str, ...] = ()

    @cached_property
    def tokens(self) -> np.ndarray:
        """Of each patch in the plan of whole levels: within the budget, and no more than one step below it."""
        return self.levels[self.chosen]

    @cached_property
    def expected(self) -> np.ndarray:
        """Expected tokens of each patch: together they are the budget, where the price is above 0."""
        return self.probabilities @ self.levels

    @property
    def total(self) -> float:
        """Tokens of the whole plan."""
        return float(self.tokens.sum())

    @property
    def elbo_trace(self) -> np.ndarray:
        """The bound on the evidence of the cues, sweep by sweep, nats."""
        return np.zeros(0) if self.posterior is None else np.asarray(self.posterior.elbo_trace)

    @property
    def accuracy_trace(self) -> np.ndarray:
        """What the cues are expected to have as log density under the beliefs, sweep by sweep, nats; NaN where a model of one's own does
        not tell it."""
        told = None if self.posterior is None else self.posterior.accuracy_trace
        return np.full(len(self.elbo_trace), np.nan) if told is None else np.asarray(told)

    @property
    def complexity_trace(self) -> np.ndarray:
        """How far the beliefs are from their priors, sweep by sweep, nats: accuracy less the bound."""
        return self.accuracy_trace - self.elbo_trace

    @property
    def accuracy(self) -> float:
        """That of the last sweep, nats."""
        return float(self.accuracy_trace[-1]) if len(self.accuracy_trace) else 0.0

    @property
    def complexity(self) -> float:
        """That of the last sweep, nats."""
        return float(self.complexity_trace[-1]) if len(self.complexity_trace) else 0.0

    @cached_property
    def spread(self) -> Spread:
        """How the tokens lie in the image."""
        return spread_of(self.features.grid.picture(self.tokens))

    # ------------------------------------------------------------ for a person
    def summary(self) -> str:
        """A page of text."""
        grid, counts = self.features.grid, np.bincount(self.chosen, minlength=len(self.levels))
        height, width = self.features.image.shape[:2]
        lines = [
            f"image of {height} × {width} pixels, {grid.rows} × {grid.columns} patches of {grid.height} × {grid.width}",
            f"cues: {', '.join(self.features.names) or 'none'}"
            + (f"; query [top, left, bottom, right] = {list(self.features.query)}" if self.features.query is not None else ""),
        ]
        if self.posterior is not None:
            trace = self.elbo_trace
            lines.append(
                f"relevance: bound {trace[-1]:.2f} nats after {len(trace)} sweeps: "
                f"accuracy {self.accuracy:.2f} less complexity {self.complexity:.2f}"
            )
            weights = np.asarray(self.posterior["reliability"].mean)
            told = ", ".join(f"{name} {weight:.1f}" for name, weight in zip(self.features.names, np.atleast_1d(weights), strict=True))
            lines.append(f"precision of the cues: {told}")
        lines += [
            f"tokens: {self.total:.0f} of {self.budget:.0f}; price {self.price:.4g} nats a token",
            "patches by level: " + ", ".join(f"{level:g}: {count}" for level, count in zip(self.levels, counts, strict=True)),
            str(self.spread),
            *(f"note: {message}" for message in self.messages),
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """What a program reads; arrays as lists."""
        grid = self.features.grid
        return {
            "rows": grid.rows,
            "columns": grid.columns,
            "patch": [grid.height, grid.width],
            "cues": list(self.features.names),
            "query": None if self.features.query is None else list(self.features.query),
            "budget": None if np.isinf(self.budget) else self.budget,
            "total": self.total,
            "price": self.price,
            "levels": self.levels.tolist(),
            "tokens": self.tokens.tolist(),
            "expected": self.expected.tolist(),
            "relevance": self.relevance.tolist(),
            "relevance_sd": self.relevance_sd.tolist(),
            "elbo_trace": self.elbo_trace.tolist(),
            "accuracy_trace": [None if np.isnan(v) else v for v in self.accuracy_trace.tolist()],
            "spread": self.spread.by_name,
            "messages": list(self.messages),
        }

    def figure(self) -> Any:
        """A matplotlib figure: the image with the query, relevance, and tokens."""
        needs("matplotlib", "plots")
        from matplotlib.figure import Figure

        grid, image = self.features.grid, self.features.image
        shown = grid.whole(image)
        figure = Figure(figsize=(9.0, 9.0 / 3 * shown.shape[0] / shown.shape[1] + 0.5), layout="constrained")
        axes = figure.subplots(1, 3)
        axes[0].imshow(shown)
        axes[0].set_title("image" if self.features.query is None else "image and query", fontsize=9)
        if self.features.query is not None:
            top, left, bottom, right = self.features.query
            axes[0].plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#ffffff", linewidth=2)
            axes[0].plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#d62728", linewidth=1)
        for axis, title, values in ((axes[1], "relevance", self.relevance), (axes[2], "tokens", self.tokens)):
            drawn = axis.imshow(grid.picture(values), cmap="viridis")
            axis.set_title(title, fontsize=9)
            figure.colorbar(drawn, ax=axis, shrink=0.6).ax.tick_params(labelsize=7)
        for axis in axes:
            axis.set_xticks([])
            axis.set_yticks([])
        return figure

    def write(self, folder: str | Path) -> list[str]:
        """Writes `summary.txt`, `allocation.json`, `tokens.csv`, `elbo.csv` and `heat_map.png` there, each whole; the names."""
        folder = Path(folder)
        picture = io.BytesIO()
        self.figure().savefig(picture, format="png", dpi=110)
        row, column = np.divmod(np.arange(len(self.tokens)), self.features.grid.columns)
        patches = {"row": row, "column": column, "tokens": self.tokens, "expected": self.expected}
        patches |= {"relevance": self.relevance, "relevance_sd": self.relevance_sd}
        traces = {"sweep": np.arange(1, len(self.elbo_trace) + 1), "elbo": self.elbo_trace}
        traces |= {"accuracy": self.accuracy_trace, "complexity": self.complexity_trace}
        files: dict[str, str | bytes] = {
            "summary.txt": self.summary() + "\n",
            "allocation.json": json.dumps(self.to_json()) + "\n",
            "tokens.csv": _table(patches),
            "elbo.csv": _table(traces),
            "heat_map.png": picture.getvalue(),
        }
        for name, content in files.items():
            write_atomically(folder / name, content)
        return list(files)


def _table(columns: dict[str, np.ndarray]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return text.getvalue()
