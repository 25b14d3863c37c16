"""The posterior of a model: beliefs by name, how good the answer is, and how it was found.

What needs the model itself (new data, predictions, likelihoods) is asked of `questions`, which the engine hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.results.belief import Belief
from ppl.results.joint import JointBlock
from ppl.results.network import Network
from ppl.results.pareto import GOOD, Tail
from ppl.results.questions import Front, NewData, Pointwise, Questions, after
from ppl.results.summary import Table, summarise
from ppl.source import html
from ppl.source.counts import checked_count
from ppl.source.diagnostics import AimError, Diagnostic

if TYPE_CHECKING:
    import arviz
    import xarray

SHOWN = 12  # entries of each belief in a summary that nobody asked for
DRAWS = 1000  # joint draws that questions are answered by


@dataclass(frozen=True)
class Posterior:
    """What `fit` gives. `posterior["theta"]` is a `Belief`.

    `elbo` is the evidence lower bound in nats, NaN where a sampler has none; `log_evidence` equals it where the posterior is exact
    and is None elsewhere. `status` is one of exact, converged, iteration limit, not finite. `joint_draws(n, seed)` gives draws of all
    that is latent or computed, n first, together; of a sampler those that it made, `chains` equal runs one after another.
    `accuracy_trace` is the expected log density of what is observed, sweep by sweep, nats: the bound and `complexity_trace`, how far
    beliefs are from their priors, add up to it. None where a sum over states, or a sampler, does not tell the two apart.
    `weighed_draws(n, seed)` gives such draws of an approximation with the logarithms of their importance weights.
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
    joint_draws: Callable[[int, int], Mapping[str, np.ndarray]] | None = field(default=None, repr=False)
    chains: int = 0
    joint_blocks: Callable[[], tuple[JointBlock, ...]] | None = field(default=None, repr=False)
    questions: Questions | None = field(default=None, repr=False)
    tail: Callable[[], Tail | None] | None = field(default=None, repr=False)
    tail_is_cheap: bool = False  # so that it is told without being asked for
    weighed_draws: Callable[[int, int], tuple[Mapping[str, np.ndarray], np.ndarray]] | None = field(default=None, repr=False)
    networks: Mapping[str, Network] = field(default_factory=dict, repr=False)  # of which there are beliefs in their weights
    accuracy_trace: np.ndarray | None = field(default=None, repr=False)
    kept: Any = field(default=None, repr=False)  # what its engine needs to begin another fit here
    opener: Callable[[bytes], Posterior] | None = field(default=None, repr=False)  # what brings it back from the bytes of a file

    def __reduce__(self) -> Any:
        """Pickled as what `save` writes: everything but the program. Raises AimError where that cannot be."""
        from ppl.results.storage import packed

        self.asked("pickle")
        return self.opener, (packed(self, draws=DRAWS),)

    def __copy__(self) -> Posterior:
        return self

    def __deepcopy__(self, memo: Any) -> Posterior:
        """Itself, as nothing in it changes."""
        return self

    @property
    def elbo(self) -> float:
        """The evidence lower bound, nats."""
        return float(self.elbo_trace[-1]) if len(self.elbo_trace) else float("nan")

    @property
    def complexity_trace(self) -> np.ndarray | None:
        """The accuracy less the bound, sweep by sweep, nats."""
        return None if self.accuracy_trace is None else self.accuracy_trace - self.elbo_trace

    @property
    def free_energy(self) -> float:
        """The variational free energy, minus the bound, nats."""
        return -self.elbo

    @property
    def log_evidence(self) -> float | None:
        """The log evidence, nats; None where the posterior is an approximation, or a prior is improper."""
        return self.elbo if self.exact and not getattr(self.plan, "improper", ()) else None

    @property
    def converged(self) -> bool:
        """Whether the fit ended as it should: exact, or at its tolerance; of a sampler, whether its chains agree."""
        return self.status in ("exact", "converged")

    @cached_property
    def weights(self) -> Tail | None:
        """Of importance weights of draws: their k-hat, and the share of the draws that they keep. None where there are none."""
        return None if self.tail is None else self.tail()

    @property
    def khat(self) -> float | None:
        """The Pareto k-hat of the approximation: above 0.7 it may be far from the posterior. None where there is none."""
        return None if self.weights is None else self.weights.khat

    @property
    def told_khat(self) -> float | None:
        """The same where it costs little to know."""
        return self.khat if self.tail_is_cheap else None

    @property
    def cautions(self) -> tuple[str, ...]:
        """The warnings, and that of an approximation that cannot be trusted."""
        if self.told_khat is None or self.weights is None or self.weights.good or any("k-hat" in text for text in self.warnings):
            return self.warnings
        told = f"k-hat is {self.khat:.2f}, above {GOOD}: the posterior by `{self.engine}` may be far from the true one"
        return (*self.warnings, f"{told}, most likely too narrow; `use nuts` or `use gibbs` to be sure")

    @cached_property
    def _known(self) -> dict[str, Belief]:
        return {}

    def __getitem__(self, name: str) -> Belief:
        """The belief in a variable, or in the weights of a network. KeyError lists the names where there is none of this one."""
        if name not in self.names and name not in self.networks:
            raise KeyError(f"no belief in `{name}`; there are beliefs in {', '.join(self.names)}")
        if name not in self._known:
            belief, place = self.believe(name), after(name, self._front)
            self._known[name] = belief.part(place) if place else belief
        return self._known[name]

    @property
    def _front(self) -> Front:
        return {} if self.questions is None else self.questions.front

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.networks

    def layers(self, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Matrix and bias of each layer of a network, `x @ matrix + bias`; where it has a prior the means of them."""
        if name not in self.networks:
            raise KeyError(f"there is no network `{name}`; networks: {', '.join(self.networks) or 'none'}")
        return self.networks[name].layers(np.asarray(self[name].mean))

    def __iter__(self):
        return iter(self.names)

    def free_energy_by_factor(self) -> dict[str, float]:
        """What each statement adds to the free energy, nats: minus its expected log-density, and minus the blocks' entropies."""
        return {name: -float(value) for name, value in self.factor_energies().items()}

    def summary(self, *, rows: int | None = None) -> Table:
        """Mean, sd and 95 % interval of every belief, of a sampler also ESS and R-hat; `rows` limits the entries shown of each."""
        axes = {} if self.questions is None else {name: self.questions.axes(name) for name in self.names}
        return summarise({name: self[name] for name in self.names}, axes=axes, rows=rows)

    # ------------------------------------------------------------ questions that need the model
    def asked(self, what: str) -> Questions:
        """What answers for the model. Raises AimError where this posterior came without one."""
        if self.questions is None or self.joint_draws is None:
            text = f"`{what}` needs the model and joint draws, which this posterior of `{self.model}` came without"
            raise AimError([Diagnostic("AIM0731", text, None, "ask it of what `fit` gives")])
        return self.questions

    def draws(self, n: int = DRAWS, *, seed: int = 0) -> dict[str, np.ndarray]:
        """Joint draws of all that is latent or computed, n first; of a sampler at most those that it made."""
        drawn = self._all_draws("draws", n, seed)
        return {name: value[:, *after(name, self._front)] for name, value in drawn.items()}

    def _all_draws(self, what: str, n: int, seed: int) -> Mapping[str, np.ndarray]:
        """Those of what comes first in a series too."""
        self.asked(what)
        assert self.joint_draws is not None
        return self.joint_draws(checked_count(n, "draws"), seed)

    def predict(self, name: str | None = None, /, *, draws: int = DRAWS, seed: int = 0, along: str | None = None, **values: Any) -> Any:
        """Posterior predictive draws, `draws` first: of one variable, or a dict of all that depend on what is given.

        Without `values` they are replications of what was observed. New inputs or sizes make new members of their plates, for which
        everything is drawn from the model given what is shared; a longer time axis goes on from the last states. `along` names the
        plate whose members are new where sizes do not show it; without it the first axis is meant.
        """
        questions = self.asked("predict")
        found = questions.predict(self._all_draws("predict", draws, seed), NewData(values, along=_tuple(along)), seed, name, draws)
        return found[name] if name is not None else found

    def pointwise(self, *, draws: int = DRAWS, seed: int = 0, along: str | None = None, **values: Any) -> dict[str, Pointwise]:
        """The log-likelihood of each observation under each draw, with the names of its axes."""
        questions = self.asked("log_likelihood")
        return questions.log_likelihood(self._all_draws("log_likelihood", draws, seed), NewData(values, along=_tuple(along)), seed)

    def log_likelihood(self, *, draws: int = DRAWS, seed: int = 0, along: str | None = None, **values: Any) -> dict[str, np.ndarray]:
        """The log-likelihood of each observation under each draw of the posterior, nats: by observed variable, draws first.

        `values` are held-out data. Discrete variables of the same members are summed out, which makes each of their members one
        observation; all other latent variables, discrete chains among them, stand at their draws, and criteria of such likelihoods
        are conditional on them. NaN where an entry is missing.
        """
        return {name: one.values for name, one in self.pointwise(draws=draws, seed=seed, along=along, **values).items()}

    def waic(self, *, draws: int = DRAWS, seed: int = 0) -> Any:
        """The widely applicable information criterion of all observations, as ArviZ' `ELPDData`."""
        from ppl.results.criteria import waic

        return waic(self.pointwise(draws=draws, seed=seed), self.chains)

    def loo(self, *, draws: int = DRAWS, seed: int = 0) -> Any:
        """Leave-one-out by Pareto-smoothed importance sampling, as ArviZ' `ELPDData` with the k-hat of each observation.

        Draws of a variational posterior are weighed by p(x, data) / q(x) besides (Magnusson et al. 2019), so that its approximation is
        corrected. Where these weights themselves cannot be trusted the draws stand as they are, and every k-hat is theirs at least.
        """
        from ppl.results.criteria import loo, loo_of_weighed

        if self.weighed_draws is None:
            return loo(self.pointwise(draws=draws, seed=seed), self.chains)
        drawn, log_weights = self.weighed_draws(draws, seed)
        return loo_of_weighed(self.asked("loo").log_likelihood(drawn, NewData(), seed), log_weights)

    def update(self, data: Any = None, /, *, along: str | None = None, **values: Any) -> Posterior:
        """The posterior given further data, with this one as the prior of what is shared.

        New data make new members of the plate whose size they change, or else of their first axis; `along` names another one. Of a time
        axis they are the next steps, and the new posterior tells of these. `elbo` is that of the new data given the old, so that those of
        a stream add up. Where no prior says this posterior (draws of a sampler), old and new data are fitted together: a warning says so,
        and beliefs are then of all members.
        """
        return self.asked("update").update(self, NewData(values, data, _tuple(along)))

    # ------------------------------------------------------------ exchange and storage
    def to_xarray(self, *, draws: int = DRAWS, seed: int = 0) -> xarray.Dataset:
        """Joint draws as an xarray Dataset with the axes `chain` and `draw`, labelled by the members of the index sets."""
        from ppl.results.exchange import to_xarray

        return to_xarray(self, draws=draws, seed=seed)

    def to_arviz(self, *, draws: int = DRAWS, seed: int = 0) -> arviz.InferenceData:
        """Joint draws, log-likelihoods, observed and constant data as ArviZ takes them."""
        from ppl.results.exchange import to_arviz

        return to_arviz(self, draws=draws, seed=seed)

    def save(self, path: str | Path, *, draws: int = DRAWS) -> Path:
        """Writes everything but the program into one file, whole or not at all; `ppl.open_posterior` brings it back."""
        from ppl.results.storage import save

        return save(self, Path(path), draws=draws)

    def plot(self, kind: str = "posterior", name: str | None = None, **options: Any) -> Any:
        """Matplotlib axes: "posterior" densities, "intervals", "elbo", "forecast" along a time axis, "predictive" check."""
        from ppl.results.plots import plot

        return plot(self, kind, name, **options)

    @property
    def _account(self) -> str:
        """How it ended, and how good it is, in a line."""
        bound = f", elbo {self.elbo:.6g} nats" if len(self.elbo_trace) else ""
        tail = "" if self.told_khat is None else f", {self.weights}"
        return f"{self.model}: {self.status}{bound}{tail}"

    def __repr__(self) -> str:
        return f"<posterior of {self._account}; beliefs in {', '.join(self.names) or 'nothing'}>"

    def __str__(self) -> str:
        return "\n".join([self._account, str(self.summary(rows=SHOWN)), *self.cautions])

    def _repr_html_(self) -> str:
        parts = (html.line(self._account), self.summary(rows=SHOWN)._repr_html_(), *map(html.line, self.cautions))
        return html.section(self.model, self.doc, *parts)

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
            "pareto_k": None if self.told_khat is None else _plain(self.told_khat),
            "warnings": list(self.cautions),
        }


def _tuple(along: str | None) -> tuple[str, ...]:
    return () if along is None else (along,)


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
    if belief.ess is not None and belief.rhat is not None:
        told["ess"], told["rhat"] = _plain(belief.ess), _plain(belief.rhat)
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
