"""Models side by side on the same data: by evidence, which weighs the prior, and by leave-one-out, which weighs predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.html import Shown

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior

NAN = float("nan")


@dataclass(frozen=True)
class Compared:
    """One model. `log_bayes_factor` is against the first row, in nats; `elpd_difference` with its standard error against the row with
    the best `elpd`, whose own difference is 0. NaN where it is not known."""

    name: str
    log_evidence: float
    exact: bool  # otherwise `log_evidence` is a lower bound
    log_bayes_factor: float
    elpd: float = NAN
    elpd_se: float = NAN
    elpd_difference: float = NAN
    difference_se: float = NAN
    largest_k: float = NAN

    @property
    def bayes_factor(self) -> float:
        """How much more probable the data are than under the first row's model."""
        return math.exp(self.log_bayes_factor)


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """The models, best evidence first. `notes` say what the numbers are where they are not what their names say."""

    rows: tuple[Compared, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Compared:
        return next(row for row in self.rows if row.name == name)

    def __str__(self) -> str:
        with_loo = any(row.elpd == row.elpd for row in self.rows)
        head = ["", "log evidence", "", "Bayes factor", *(["elpd (LOO)", "se", "difference", "se", "max k-hat"] if with_loo else [])]
        lines = [head]
        for row in self.rows:
            told = "" if row.log_evidence != row.log_evidence else "exact" if row.exact else "bound"
            numbers = (row.elpd, row.elpd_se, row.elpd_difference, row.difference_se, row.largest_k) if with_loo else ()
            lines.append([row.name, _short(row.log_evidence), told, _short(row.bayes_factor), *map(_short, numbers)])
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        table = (
            "  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))) for line in lines
        )
        return "\n".join([*(line.rstrip() for line in table), *self.notes])


def _short(value: float) -> str:
    return "" if value != value else f"{value:.5g}"


def compare(posteriors: Mapping[str, Posterior], *, draws: int, seed: int) -> Comparison:
    """The comparison. Raises AimError where the posteriors are not of the same data, TypeError for what are no posteriors by name."""
    wrong = posteriors if not isinstance(posteriors, Mapping) else next((p for p in posteriors.values() if not hasattr(p, "asked")), None)
    if wrong is not None:
        raise TypeError(f'posteriors are compared by name, compare({{"a": a, "b": b}}), and not a {type(wrong).__name__}')
    _refuse_other_data(posteriors)
    criteria, notes = _leave_one_out(posteriors, draws, seed)
    order = sorted(posteriors, key=lambda name: -_known(posteriors[name].elbo))
    top = posteriors[order[0]].elbo if order else NAN
    best = max(criteria, key=lambda name: float(criteria[name].elpd_loo), default="")
    rows = []
    for name in order:
        one = posteriors[name]
        numbers = _against(criteria[name], criteria[best]) if name in criteria else ()
        rows.append(Compared(name, one.elbo, one.exact, one.elbo - top, *numbers))
    if any(row.log_evidence == row.log_evidence and not row.exact for row in rows):
        notes.append("a bound is below the log evidence: Bayes factors with one are as good as the bound is tight")
    if any(row.log_evidence != row.log_evidence for row in rows):
        notes.append("a sampler knows no evidence: there is no Bayes factor with its model")
    if any(row.largest_k > 0.7 for row in rows):
        notes.append("k-hat above 0.7: leave-one-out is not to be trusted there")
    return Comparison(tuple(rows), tuple(notes))


def _known(value: float) -> float:
    return value if value == value else -math.inf


def _refuse_other_data(posteriors: Mapping[str, Posterior]) -> None:
    seen = {name: one.asked("compare").observed() for name, one in posteriors.items()}
    first = next(iter(seen), "")
    for name, observed in seen.items():
        same = observed.keys() == seen[first].keys() and all(
            np.array_equal(value, seen[first][key], equal_nan=True) for key, value in observed.items()
        )
        if not same:
            text = f"`{first}` and `{name}` are posteriors of different data, which no evidence can compare"
            raise AimError([Diagnostic("AIM0809", text, None, "fit all models to the same observations")])


def _leave_one_out(posteriors: Mapping[str, Posterior], draws: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """The criterion of each; nothing, with a note, where ArviZ is lacking or a model has no likelihood of single observations."""
    try:
        return {name: one.loo(draws=draws, seed=seed) for name, one in posteriors.items()}, []
    except AimError as refusal:
        return {}, [f"leave-one-out is left out: {refusal.diagnostics[0].message}"]


def _against(one: Any, best: Any) -> tuple[float, ...]:
    """The numbers of a row; the standard error of a difference is that of the differences of the observations."""
    gaps = np.asarray(one.loo_i) - np.asarray(best.loo_i) if np.shape(one.loo_i) == np.shape(best.loo_i) else np.array([NAN])
    error = math.sqrt(len(gaps) * gaps.var()) if len(gaps) else NAN
    return float(one.elpd_loo), float(one.se), float(one.elpd_loo) - float(best.elpd_loo), error, float(np.max(one.pareto_k))
