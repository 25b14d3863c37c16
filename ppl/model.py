"""A model as Python sees it: it binds data and hands them down to the compiler and its engines.

Nothing here computes. JAX is imported when something is fitted, never before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ppl.semantics.typed import Approximation, TypedModel
from ppl.source import html
from ppl.source.counts import checked_count
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.syntax.modules import texts_of

if TYPE_CHECKING:
    import numpy as np

    from ppl.compiler.plan import Plan
    from ppl.engines.routing import BridgePlan
    from ppl.graph.bound import BoundModel
    from ppl.graph.dataset import Dataset
    from ppl.graph.factor_graph import FactorGraph
    from ppl.motion.plan import MotionPlan
    from ppl.results.posterior import Posterior
    from ppl.results.questions import Questions


@dataclass(frozen=True)
class Asked:
    """How a fit was asked for, so that other data can be fitted in the same way."""

    engine: str | None = None
    approximation: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A generative model. Any of its random variables may be observed: what is given to `fit` is, the rest is inferred."""

    opener: ClassVar[Callable[[bytes], Posterior] | None] = None  # what brings a pickled posterior back: the façade's, which reads texts

    typed: TypedModel
    folder: Path | None = None
    interventions: Mapping[str, Any] = field(default_factory=dict)  # what `do` has set
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)  # of its file and those imported, where no folder has them

    @property
    def name(self) -> str:
        """What the file calls it."""
        return self.typed.name

    @property
    def doc(self) -> str | None:
        """What it says of itself, in its first statement."""
        return self.typed.doc

    def __repr__(self) -> str:
        random = [v.name for v in self.typed.variables.values() if v.role == "random"]
        return f"<model {self.name} of {', '.join(random)}>"

    def _repr_svg_(self) -> str:
        return self.graph()._repr_svg_()

    def _repr_html_(self) -> str:
        graph = self.graph()
        rows = [(v.name, v.role, v.type, v.distribution) for v in graph.variables if not v.ahead]
        table = html.table(("", "role", "type", "distribution"), rows, left=4)
        return html.section(f"{self.typed.kind} {self.name}", self.doc, f"<div>{graph.to_svg()}</div>", table)

    # ------------------------------------------------------------ data
    def bind(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> BoundModel:
        """The model with its data: a mapping, a table, an xarray Dataset; keywords win over them."""
        from ppl.graph.binding import bind
        from ppl.graph.readers import as_dataset

        if data is not None and "data" in self.typed.variables and not hasattr(data, "keys"):
            values, data = {**values, "data": data}, None  # a variable of this name
        given = [*datasets, *([] if data is None else [as_dataset(data)])]
        return bind(self.typed, given, settings={**self.interventions, **values})

    def approximation(self, label: str | None) -> Approximation | None:
        """The `approximate` block with this label; without one, the block that has none."""
        blocks = {a.label: a for a in self.typed.approximations}
        if label in blocks or label is None:
            return blocks.get(label)
        known = [k for k in blocks if k]
        hint = did_you_mean(label, known) or ("labels: " + ", ".join(known) if known else "none of its `approximate` blocks has a label")
        raise AimError([Diagnostic("AIM0511", f"`{self.name}` has no approximation `{label}`", None, hint)])

    # ------------------------------------------------------------ inference
    def explain(
        self,
        data: Any = None,
        *,
        engine: str | None = None,
        approximation: str | None = None,
        datasets: Sequence[Dataset] = (),
        **values: Any,
    ) -> Plan | BridgePlan | MotionPlan:
        """The plan: blocks, families, engine and reasons. `str()` is what `ppl explain` prints."""
        chosen = self.approximation(approximation)
        bound = self.bind(data, datasets=datasets, **values)
        return self._planned(bound, chosen, engine)

    def _planned(self, bound: BoundModel, approximation: Approximation | None, engine: str | None) -> Plan | BridgePlan | MotionPlan:
        """The plan of what serves the model: its generalized block, or an engine."""
        if bound.model.motion is not None:
            from ppl.motion.plan import plan_motion

            return plan_motion(bound, approximation=approximation, engine=engine)
        from ppl.engines.routing import route

        return route(bound, approximation=approximation, engine=engine)

    def fit(
        self,
        data: Any = None,
        *,
        engine: str | None = None,
        seed: int = 0,
        progress: Callable[[int, float], None] | bool | None = None,
        dtype: Any = None,
        iterations: int | None = None,
        tolerance: float | None = None,
        restarts: int | None = None,
        approximation: str | None = None,
        start: Mapping[str, Any] | Posterior | None = None,
        datasets: Sequence[Dataset] = (),
        **values: Any,
    ) -> Posterior:
        """The posterior given inputs, observations, parameters and sizes by name.

        What is given here overrides `use` in the file. `dtype` is float64 unless given; `start` gives states of discrete variables
        to begin from, or is a posterior of this model with data of the same shapes, at whose beliefs the fit begins;
        `progress(sweeps, elbo)` is called now and then (True prints). Raises `AimError` where the model, the data or the engine do not
        fit each other.
        """
        bound = self.bind(data, datasets=datasets, **values)
        plan, beginning = self._begun(bound, start, engine, approximation)
        options: dict[str, Any] = {"seed": seed, "iterations": iterations, "tolerance": tolerance, "restarts": restarts, "dtype": dtype}
        shown = _print_progress if progress is True else progress or None
        posterior = _fitted(plan, start=beginning, progress=shown, **options)
        if posterior.kept is not None:
            posterior = replace(posterior, kept=replace(posterior.kept, asked=(engine, approximation)))
        return self._answering(posterior, plan.source or plan.bound, Asked(engine, approximation, options))

    def _begun(self, bound: BoundModel, start: Any, engine: str | None, approximation: str | None) -> tuple[Any, Any]:
        """The plan, and where its fit begins: that of a posterior for other numbers, where these alone are new."""
        from ppl.results.posterior import Posterior

        if not isinstance(start, Posterior):
            return self._planned(bound, self.approximation(approximation), engine), dict(start) if start else None
        from ppl.engines.again import again, kept_of

        kept = kept_of(start)
        same = again(kept, bound, (engine, approximation))
        if same is not None:
            return same.plan, same.beginning
        plan = self._planned(bound, self.approximation(approximation), engine)
        return plan, kept.beginning

    def _answering(self, posterior: Posterior, bound: BoundModel, asked: Asked, **known: Any) -> Posterior:
        """The posterior, able to answer what needs its model: also what a fit of other data, or of a rewritten model, would be."""
        from ppl.engines.cells import of_cells

        return replace(of_cells(posterior, bound), questions=self._questions(posterior, bound, asked, **known), opener=type(self).opener)

    def _questions(self, posterior: Posterior, bound: BoundModel, asked: Asked, **known: Any) -> Questions:
        """What answers for the posterior; `known` is what a fit, or a file, tells it beside."""
        from ppl.engines.new_data import Learnt
        from ppl.engines.questions import ModelQuestions

        fit, texts = self._fitter(asked), self._texts(bound, asked)
        if bound.model.motion is not None:
            from ppl.motion.questions import motion_questions

            return motion_questions(posterior, bound, fit, texts)
        chosen = self.approximation(asked.approximation)
        told = tuple(a for a in (chosen.amortised if chosen else ()) if a.network.name in posterior.networks)
        weights = {n: posterior[n].params["value"] for n in posterior.networks if posterior[n].family == "Delta"}
        return ModelQuestions(bound, fit, texts, learnt=Learnt(weights, told), **known)

    def _fitter(self, asked: Asked) -> Callable[[BoundModel], Posterior]:
        """Fits this model, or a rewritten one, with its data in the same way."""

        def fitted(bound: BoundModel) -> Posterior:
            plan = self._planned(bound, self.approximation(asked.approximation), asked.engine)
            return self._answering(_fitted(plan, **asked.options), bound, asked)

        return fitted

    def _texts(self, bound: BoundModel, asked: Asked) -> Callable[[], dict[str, Any]]:
        """What a file holds of the model, and of how it was fitted."""
        return lambda: {**self._written(), **self._rewritten(bound), "engine": asked.engine, "approximation": asked.approximation}

    def _written(self) -> dict[str, Any]:
        """How the model is written: its file with those that it imports, and what was set by intervention."""
        source = self.typed.span.source
        texts = self.texts or texts_of(source, self.folder)
        return {"name": self.name, "source": source.name, "texts": dict(texts), "set": list(self.interventions)}

    def _rewritten(self, bound: BoundModel) -> dict[str, Any]:
        """The model of an update, whose priors no file says."""
        from ppl.semantics.stored import stored

        return {} if bound.model is self.typed else {"model": stored(bound.model)}

    def run(self, environment: Any = None, *, steps: int, seed: int = 0, dtype: Any = None, **values: Any) -> Posterior:
        """The posterior of a model whose `action` works on a Gymnasium environment for so many steps, or on its own `world` without one.

        Observations are numbers by sensor, or a vector in the order of the file, and so are actions. The environment is copied at each step
        (`copy.deepcopy`), to find how what is sensed answers an action.
        """
        motion = self.typed.motion
        if motion is None or not motion.actions:
            raise AimError([Diagnostic("AIM0714", f"`{self.name}` has no action, so it cannot run", self.typed.span, "fit it to data")])
        bins = motion.loop.set
        if bins.size is not None and bins.size != steps:
            text = f"{steps} steps are asked for, and the block has {bins.size} bins"
            raise AimError([Diagnostic("AIM0714", text, motion.span, f"write {motion.loop.name} in T, or ask for {bins.size}")])
        values |= {} if bins.size is not None else {bins.key: steps}
        if environment is None:
            return self.fit(seed=seed, dtype=dtype, **values)
        from ppl.motion.fitting import fit_motion
        from ppl.motion.plan import plan_motion

        posterior = fit_motion(plan_motion(self.bind(**values), environment=True), seed=seed, dtype=dtype, environment=environment)
        return self._answering(posterior, posterior.plan.bound, Asked(None, None, {"seed": seed, "dtype": dtype}))

    # ------------------------------------------------------------ other questions
    def to_numpyro(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> Callable[[], None]:
        """The model with its data as a NumPyro callable without arguments: `NUTS(model.to_numpyro(y=y))`."""
        self._refuse_motion("to_numpyro", "NumPyro has no smooth noise")
        from ppl.engines.numpyro_bridge import to_numpyro

        return to_numpyro(self.bind(data, datasets=datasets, **values))

    def graph(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> FactorGraph:
        """The factor graph; with data, what is observed is shaded and sizes are written at the plates."""
        from ppl.graph.factor_graph import build, build_bound

        if data is None and not datasets and not values:
            return build(self.typed)
        return build_bound(self.bind(data, datasets=datasets, **values))

    def sample(self, n: int, /, *, seed: int = 0, datasets: Sequence[Dataset] = (), **values: Any) -> dict[str, np.ndarray]:
        """Prior draws of every random and deterministic variable, `n` first."""
        checked_count(n, "n")
        bound = self.bind(datasets=datasets, **values)
        if bound.model.motion is not None:
            from ppl.motion.simulation import simulated

            return simulated(bound, n, seed=seed)
        from ppl.engines.sampling import prior_draws

        return prior_draws(bound, n, seed=seed)

    def do(self, **values: Any) -> Model:
        """The model with those variables set by intervention: their own causes are cut, what depends on them sees the values."""
        from ppl.semantics.interventions import intervene

        return replace(self, typed=intervene(self.typed, values), interventions={**self.interventions, **values})

    def log_density(self, data: Any = None, **values: Any) -> float:
        """The log joint in nats at a full assignment of the random variables."""
        self._refuse_motion("log_density", "the states of a generalized block are continuous in time")
        from ppl.engines.sampling import log_joint

        return log_joint(self.bind(data, **values))

    def _refuse_motion(self, what: str, why: str) -> None:
        if self.typed.motion is not None:
            raise AimError([Diagnostic("AIM0713", f"`{what}` of a generalized block is not supported: {why}", self.typed.motion.span)])


def _fitted(plan: Plan | BridgePlan | MotionPlan, **options: Any) -> Posterior:
    """The posterior of a plan."""
    if plan.bound.model.motion is not None:
        from ppl.motion.fitting import fit_motion

        return fit_motion(cast("MotionPlan", plan), **options)
    from ppl.engines.fitting import fit_plan

    return fit_plan(cast("Plan | BridgePlan", plan), **options)


def _print_progress(sweeps: int, elbo: float) -> None:
    print(f"sweep {sweeps}: bound {elbo:.6f}", file=sys.stderr)
