"""The posterior of a model: beliefs by name, how good the answer is, and how it was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ppl.results.belief import Belief
from ppl.results.summary import Table, summarise
from ppl.source.diagnostics import AimError, Diagnostic

STATUSES = ("exact", "converged", "iteration limit", "not finite")


@dataclass(frozen=True)
class Posterior:
    """What `fit` gives. `posterior["theta"]` is a `Belief`.

    `elbo` is the evidence lower bound in nats; `log_evidence` equals it where the posterior is exact and is None elsewhere.
    `status` is one of exact, converged, iteration limit, not finite.
    """

    model: str
    doc: str | None
    engine: str
    exact: bool
    status: str
    iterations: int
    elbo_trace: np.ndarray = field(repr=False)
    plan: Any = field(repr=False)
    names: tuple[str, ...]  # every variable with a belief, in the order of the model
    believe: Callable[[str], Belief] = field(repr=False)
    factor_energies: Callable[[], Mapping[str, float]] = field(repr=False)
    seed: int = 0
    restarts: int = 1
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def elbo(self) -> float:
        """The evidence lower bound, nats."""
        return float(self.elbo_trace[-1])

    @property
    def free_energy(self) -> float:
        """The variational free energy, minus the bound, nats."""
        return -self.elbo

    @property
    def log_evidence(self) -> float | None:
        """The log evidence, nats; None where the posterior is an approximation."""
        return self.elbo if self.exact else None

    @property
    def converged(self) -> bool:
        return self.status in ("exact", "converged")

    @cached_property
    def _known(self) -> dict[str, Belief]:
        return {}

    def __getitem__(self, name: str) -> Belief:
        """The belief in a variable. KeyError lists the names where there is none of this one."""
        if name not in self.names:
            raise KeyError(f"no belief in `{name}`; there are beliefs in {', '.join(self.names)}")
        if name not in self._known:
            self._known[name] = self.believe(name)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self):
        return iter(self.names)

    def free_energy_by_factor(self) -> dict[str, float]:
        """What each statement adds to the free energy, nats: minus its expected log-density, and minus the blocks' entropies."""
        return {name: -float(value) for name, value in self.factor_energies().items()}

    def summary(self, *, rows: int | None = None) -> Table:
        """Mean, sd and 95 % interval of every belief; `rows` limits the entries shown of each."""
        return summarise({name: self[name] for name in self.names}, rows=rows)

    def predict(self, name: str | None = None, **values: Any) -> dict[str, np.ndarray]:
        """Predictive draws. Raises AimError: not supported yet."""
        text = "`predict` is not supported yet"
        raise AimError([Diagnostic("AIM0731", text, None, "give the new rows with missing outcomes to `fit`: they are predicted")])

    def update(self, **values: Any) -> Posterior:
        """A posterior with this one as the prior. Raises AimError: not supported yet."""
        raise AimError([Diagnostic("AIM0731", "`update` is not supported yet", None, "fit all data together")])

    def __str__(self) -> str:
        return f"{self.model}: {self.status}, elbo {self.elbo:.6g} nats\n{self.summary(rows=12)}"

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of the command line, as plain Python values."""
        return {
            "model": self.model,
            "engine": self.engine,
            "exact": self.exact,
            "converged": self.converged,
            "status": self.status,
            "iterations": self.iterations,
            "elbo": _plain(self.elbo),
            "log_evidence": None if self.log_evidence is None else _plain(self.log_evidence),
            "elbo_trace": _plain(self.elbo_trace),
            "seed": self.seed,
            "restarts": self.restarts,
            "seconds": {k: float(v) for k, v in self.seconds.items()},
            "beliefs": {name: belief_json(self[name]) for name in self.names},
            "warnings": list(self.warnings),
        }


def belief_json(belief: Belief) -> dict[str, Any]:
    """A belief as plain values: its family and parameters, mean and sd."""
    told: dict[str, Any] = {"family": belief.family}
    if belief.members is not None:
        told["members"] = list(belief.members)
    told["params"] = {k: _plain(v) for k, v in belief.params.items()}
    if belief.family != "Categorical":
        told["mean"], told["sd"] = _plain(belief.mean), _plain(belief.sd)
    else:
        told["mode"] = _plain(belief.mode)
    return told


def _plain(value: Any) -> Any:
    """Numbers and nested lists; what is not finite becomes null or the words that JSON lacks."""
    array = np.asarray(value)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _spelt(array.tolist())
    return array.tolist()


def _spelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt(v) for v in value]
    if value != value:
        return None
    return value if abs(value) != float("inf") else ("inf" if value > 0 else "-inf")
