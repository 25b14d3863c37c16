"""A posterior as a person reads it: what was done and how well, then what is believed, then what to beware of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click
import numpy as np

from ppl.results.numbers import number
from ppl.tools.belief_rows import FULL, SHORTENED, Labels, Row, belief_rows, probabilities

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior
    from ppl.semantics.typed import TypedModel, Variable


def posterior_text(posterior: Posterior) -> str:
    """The whole report, with the colours of a terminal."""
    variables = posterior.plan.bound.model.variables
    rows = [belief_rows(posterior[name], labels_of(name, variables)) for name in posterior.names]
    cautions = [f"{click.style('warning:', fg='yellow')} {text}" for text in posterior.cautions]
    parts = [
        heading(posterior.model, posterior.doc),
        _account(posterior),
        "",
        table(rows) if rows else "  all is given: nothing is left to infer",
    ]
    return "\n".join([*parts, *(["", *cautions] if cautions else [])])


def labels_of(name: str, variables: Mapping[str, Variable]) -> Labels:
    return Labels(name, variables[name].type.axes if name in variables else ())


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
    if posterior.chains:
        draws = f"{posterior.chains} chains of {posterior.iterations // posterior.chains} draws"
        told = draws if posterior.converged else click.style(f"NOT CONVERGED: {draws} that do not agree", fg="yellow")
        return " · ".join([quality, posterior.engine, told, _seconds(posterior.seconds)])
    bound = getattr(posterior.plan, "bound_name", "bound on the log evidence")
    evidence = "log evidence" if posterior.log_evidence is not None else bound
    parts = [quality, posterior.engine, ended, f"{evidence} {number(posterior.elbo, digits=7)} nats", _seconds(posterior.seconds)]
    if posterior.told_khat is not None:
        parts.insert(4, str(posterior.weights))
    if posterior.restarts > 1:
        parts.insert(3, f"best of {posterior.restarts} starts")
    return " · ".join(parts)


def _seconds(seconds: Mapping[str, float]) -> str:
    compiling = seconds.get("compile", 0.0)
    rest = sum(seconds.values()) - compiling
    return f"{rest:.2g} s" + (f" after {compiling:.2g} s of compiling" if compiling >= 0.01 else "")


# ------------------------------------------------------------------ prior draws
def draws_text(model: TypedModel, draws: Mapping[str, np.ndarray], why: str) -> str:
    """Draws from the prior, each variable by its mean, sd and interval."""
    count = len(next(iter(draws.values()), ()))
    head = [heading(model.name, model.doc), f"{why}: {count} draws from the prior", ""]
    rows = (_draw_rows(labels_of(name, model.variables), drawn, model.variables.get(name)) for name, drawn in draws.items())
    return "\n".join([*head, table(rows)])


def _draw_rows(labels: Labels, values: np.ndarray, variable: Variable | None) -> Iterable[Row]:
    places = list(np.ndindex(values.shape[1:]))
    for place in places if len(places) <= FULL else places[:SHORTENED]:
        drawn = values[(slice(None), *place)]
        if variable is not None and variable.type.member_of is not None:
            shares = np.bincount(drawn.astype(int)) / len(drawn)
            yield Row(labels.at(place), probabilities(shares, variable.type.member_of.members))
            continue
        low, high = np.quantile(drawn.astype(float), [0.025, 0.975])
        yield Row(labels.at(place), "", number(drawn.mean()), number(drawn.std()), f"[{number(low)}, {number(high)}]")
    if len(places) > FULL:
        yield Row("", f"… {len(places) - SHORTENED} more")


# ------------------------------------------------------------------ tables
COLUMNS = {"label": "", "belief": "belief", "mean": "mean", "sd": "sd", "interval": "95 % interval"}


def table(groups: Iterable[Iterable[Row]]) -> str:
    """Aligned columns under a header; those that would be empty are left out, and rows of words alone take their own width."""
    rows = [row for group in groups for row in group]
    used = [key for key in COLUMNS if key in ("label", "belief") or any(getattr(row, key) for row in rows)]
    head = Row(**{key: COLUMNS[key] for key in used} if len(used) > 2 else {"label": "", "belief": ""})
    measured = [row for row in (head, *rows) if row.mean or row.label]
    widths = {key: max((len(getattr(row, key)) for row in measured if key == "label" or row.mean), default=0) for key in used}
    lines = []
    for row in (head, *rows):
        told = used if row.mean else ["label", "belief"]
        cells = ((key, getattr(row, key)) for key in told)
        aligned = (cell.ljust(widths[key]) if key in ("label", "belief") else cell.rjust(widths[key]) for key, cell in cells)
        lines.append(("  " + "  ".join(aligned)).rstrip())
    return "\n".join(([click.style(lines[0], dim=True)] if lines[0] else []) + lines[1:])


def first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]
