"""A posterior as a person reads it: what was done and how well, then what is believed, then what to beware of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click
import numpy as np

from ppl.tools.belief_rows import FULL, SHORTENED, Row, belief_rows, label, number

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior


def posterior_text(posterior: Posterior) -> str:
    """The whole report, with the colours of a terminal."""
    rows = (belief_rows(posterior[name]) for name in posterior.names)
    cautions = [f"{click.style('warning:', fg='yellow')} {text}" for text in posterior.warnings]
    return "\n".join([heading(posterior.model, posterior.doc), _account(posterior), "", table(rows), *(["", *cautions] if cautions else [])])


def heading(model: str, doc: str | None) -> str:
    """The name of a model and the first line of what it says of itself."""
    return click.style(model, bold=True) + (f"  {first_line(doc)}" if doc else "")


def _account(posterior: Posterior) -> str:
    """One line: exact or not, by what, in how many sweeps, how good, how long."""
    sweeps = f"{posterior.iterations} sweep{'s' * (posterior.iterations != 1)}"
    quality = "exact" if posterior.exact else "approximate"
    ended = sweeps if posterior.exact else f"converged in {sweeps}"
    if not posterior.converged:
        ended = click.style(f"NOT CONVERGED: {posterior.status} after {sweeps}", fg="yellow")
    evidence = "log evidence" if posterior.log_evidence is not None else "bound on the log evidence"
    parts = [quality, posterior.engine, ended, f"{evidence} {number(posterior.elbo)} nats", _seconds(posterior.seconds)]
    if posterior.restarts > 1:
        parts.insert(3, f"best of {posterior.restarts} starts")
    return " · ".join(parts)


def _seconds(seconds: Mapping[str, float]) -> str:
    compiling = seconds.get("compile", 0.0)
    rest = sum(seconds.values()) - compiling
    return f"{rest:.2g} s" + (f" after {compiling:.2g} s of compiling" if compiling >= 0.01 else "")


# ------------------------------------------------------------------ prior draws
def draws_text(model: str, doc: str | None, draws: Mapping[str, np.ndarray], why: str) -> str:
    """Draws from the prior, each variable by its mean, sd and interval."""
    count = len(next(iter(draws.values()), ()))
    head = [heading(model, doc), f"{why}: {count} draws from the prior", ""]
    return "\n".join([*head, table(_draw_rows(name, values) for name, values in draws.items())])


def _draw_rows(name: str, values: np.ndarray) -> Iterable[Row]:
    places = list(np.ndindex(values.shape[1:]))
    for place in places if len(places) <= FULL else places[:SHORTENED]:
        drawn = values[(slice(None), *place)].astype(float)
        low, high = np.quantile(drawn, [0.025, 0.975])
        yield Row(label(name, place), "", number(drawn.mean()), number(drawn.std()), f"[{number(low)}, {number(high)}]")
    if len(places) > FULL:
        yield Row("", f"… {len(places) - SHORTENED} more")


# ------------------------------------------------------------------ tables
def table(groups: Iterable[Iterable[Row]]) -> str:
    """Aligned columns; those that would be empty are left out."""
    rows = [row for group in groups for row in group]
    columns = {"": "label", "belief": "belief", "mean": "mean", "sd": "sd", "95 % interval": "interval"}
    used = {title: key for title, key in columns.items() if key == "label" or any(getattr(row, key) for row in rows)}
    cells = [["" if title == "belief" and len(used) == 2 else title for title in used], *([getattr(row, key) for key in used.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(used))]
    left = [key in ("label", "belief") for key in used.values()]
    lines = []
    for line in cells:
        padded = (cell.ljust(w) if to_left else cell.rjust(w) for cell, w, to_left in zip(line, widths, left, strict=True))
        lines.append(("  " + "  ".join(padded)).rstrip())
    return "\n".join(([click.style(lines[0], dim=True)] if lines[0] else []) + lines[1:])


def first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]
