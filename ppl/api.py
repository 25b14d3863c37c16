"""The façade: `load` and `parse` give models; a model binds data and hands them down to the compiler and its engines.

Nothing here computes. JAX is imported when something is fitted, never before.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ppl.semantics.check import check
from ppl.semantics.submodels import parameter_order
from ppl.semantics.typed import Approximation, TypedFile, TypedModel
from ppl.source import html
from ppl.source.diagnostics import AimError, Diagnostic, Findings, did_you_mean, in_order
from ppl.source.library import library_folder
from ppl.source.reading import read_source
from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.parser import parse as parse_text

if TYPE_CHECKING:
    import numpy as np

    from ppl.agents.trace import Trace
    from ppl.compiler.plan import Plan
    from ppl.engines.checks import TestResult
    from ppl.engines.routing import BridgePlan
    from ppl.graph.bound import BoundModel
    from ppl.graph.dataset import Dataset
    from ppl.graph.factor_graph import FactorGraph
    from ppl.motion.plan import MotionPlan
    from ppl.results.comparison import Comparison
    from ppl.results.posterior import Posterior
    from ppl.results.questions import Questions


def load(path: str | Path, name: str | None = None) -> Model:
    """The file's only model, or the one with this name. Raises `AimError` with every mistake of the file."""
    return load_file(path).model(name)


def parse(text: str, name: str | None = None) -> Model:
    """The same from a string."""
    return check_source(SourceText("<text>", text), None).model(name)


def load_file(path: str | Path) -> SourceFile:
    """A checked file, with all its models, tests and lines."""
    path = Path(path)
    return check_source(read_source(path), path.parent)


def check_source(source: SourceText, folder: Path | None, load_import: Callable[[str], SourceText | None] | None = None) -> SourceFile:
    """A checked source. Raises `AimError` with every mistake of it at once."""
    file, errors = examine(source, folder, load_import)
    if errors:
        raise AimError(errors)
    return file


def examine(
    source: SourceText, folder: Path | None, load_import: Callable[[str], SourceText | None] | None = None
) -> tuple[SourceFile, list[Diagnostic]]:
    """A source as far as it can be read, with those of its models that are right, and every mistake of it."""
    parsed, syntax = parse_text(source)
    found = Findings() if syntax.errors else syntax
    typed = check(parsed, found, load_import=load_import or (lambda module: find_import(module, folder)))
    errors = [*syntax.errors, *_beside(syntax.errors, found.errors, source)] if syntax.errors else found.errors
    return SourceFile(source, folder, parsed, typed, found.warnings), in_order(errors)


def _beside(syntax: Sequence[Diagnostic], others: Sequence[Diagnostic], source: SourceText) -> list[Diagnostic]:
    """The other mistakes of a file whose tree has holes: all but those that speak of a name on a broken line, or stand on one."""
    lines = {d.span.line for d in syntax if d.span is not None}
    broken = {word for line in lines for word in re.findall(r"\w+", source.line(line))}
    return [
        d
        for d in others
        if d.span is not None and d.span.line not in lines and not broken & set(re.findall(r"`(\w+)", d.message)) and "`_`" not in d.message
    ]


def find_import(module: str, folder: Path | None) -> SourceText | None:
    """The text of another file: beside this one first, then in the standard library."""
    relative = Path(*module.split(".")).with_suffix(".aim")
    library = library_folder()
    beside = [] if folder is None else [folder / relative]
    inside = [library / relative, *sorted(library.glob(f"*/{relative}"))]
    for candidate in [*beside, *inside]:
        if candidate.is_file():
            return read_source(candidate)
    return None


@dataclass(frozen=True)
class SourceFile:
    """A file that has been checked: `typed` holds its models, `parsed` its tree."""

    source: SourceText
    folder: Path | None
    parsed: tree.File
    typed: TypedFile
    warnings: tuple[Diagnostic, ...]

    def model(self, name: str | None = None) -> Model:
        """The model with this name, or the only one."""
        models = self.typed.models
        if name is None and len(models) == 1:
            return _opened(next(iter(models.values())), self.folder)
        listed = ", ".join(models)
        if name is None:
            text = f"the file has {len(models)} models: {listed}" if models else "the file has no model"
            raise AimError([Diagnostic("AIM0103", text, None, "name one of them" if models else "", where=self.source.name)])
        if name not in models:
            raise AimError(
                [
                    Diagnostic(
                        "AIM0103",
                        f"the file has no model `{name}`",
                        None,
                        did_you_mean(name, models) or f"models: {listed}",
                        where=self.source.name,
                    )
                ]
            )
        return _opened(models[name], self.folder)

    def named(self, name: str) -> Model:
        """A model of the file or one that it imports."""
        found = self.typed.models.get(name) or self.typed.imported.get(name)
        return _opened(found, self.folder) if found is not None else self.model(name)

    def fit_line(self, line: tree.FitLine, **options: Any) -> Posterior:
        """What a `fit` line says."""
        model = self.named(line.model.name)
        values = dict(line_values(line, model.typed, self.folder))
        return model.fit(values, **options)

    def run_line(self, line: tree.RunLine, *, steps: int | None = None, where: Mapping[str, Any] | None = None, **options: Any) -> Trace:
        """What a `run` line says, but for what is given here."""
        from ppl.agent import Agent

        agent = self.named(line.model.name)
        assert isinstance(agent, Agent)  # the check of the file refuses others
        from ppl.graph.arithmetic import compute

        count = steps or int(compute(line.steps, lambda _: None, self.folder))
        world = {**dict(assigned(line.where, self.folder)), **(where or {})}
        return agent.run(steps=count, where=world, **{**dict(_arguments(line, agent.typed, self.folder)), **options})

    def perform(self, line: tree.FitLine | tree.RunLine) -> Callable[[tree.Expect], list[str]]:
        """Does what a line of a test says, and gives what tells whether an expectation holds of it."""
        if isinstance(line, tree.FitLine):
            from ppl.engines.checks import expect

            posterior = self.fit_line(line)
            return lambda item: expect(item, posterior)
        from ppl.agents.expectations import expect_of_trace

        trace = self.run_line(line)
        return lambda item: expect_of_trace(item, trace)


def line_values(line: tree.FitLine, model: TypedModel, folder: Path | None) -> Iterator[tuple[str, Any]]:
    """The arguments and data of a `fit` line, by name."""
    yield from _arguments(line, model, folder)
    yield from assigned(line.data, folder)


def _arguments(line: tree.FitLine | tree.RunLine, model: TypedModel, folder: Path | None) -> Iterator[tuple[str, Any]]:
    from ppl.graph.arithmetic import compute

    order = parameter_order(model)
    for place, argument in enumerate(line.arguments):
        yield argument.name or order[place], compute(argument.value, lambda _: None, folder)


def assigned(assignments: Sequence[tree.Assignment], folder: Path | None) -> Iterator[tuple[str, Any]]:
    """`x = [1, 0]`, `y[0] = 3` by name."""
    from ppl.graph.arithmetic import compute, named

    for one in assignments:
        name, indices = named(one.target)
        words = "".join(f"[{int(compute(i, lambda _: None, folder))}]" for i in indices)
        yield f"{name}{words}", compute(one.value, lambda _: None, folder)


def _opened(typed: TypedModel, folder: Path | None) -> Model:
    from ppl.agent import Agent

    return Agent(typed, folder) if typed.kind == "agent" else Model(typed, folder)


@dataclass(frozen=True)
class Model:
    """A generative model. Any of its random variables may be observed: what is given to `fit` is, the rest is inferred."""

    typed: TypedModel
    folder: Path | None = None
    interventions: Mapping[str, Any] = field(default_factory=dict)  # what `do` has set
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)  # of its file and those imported, where no folder has them

    @property
    def name(self) -> str:
        return self.typed.name

    @property
    def doc(self) -> str | None:
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
        return self._answering(posterior, plan.source or plan.bound, engine, approximation, options)

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

    def _answering(
        self,
        posterior: Posterior,
        bound: BoundModel,
        engine: str | None,
        approximation: str | None,
        options: Mapping[str, Any],
        **known: Any,
    ) -> Posterior:
        """The posterior, able to answer what needs its model: also what a fit of other data, or of a rewritten model, would be."""
        from ppl.engines.cells import of_cells
        from ppl.engines.new_data import Learnt
        from ppl.engines.questions import ModelQuestions

        chosen = self.approximation(approximation)
        told = tuple(a for a in (chosen.amortised if chosen else ()) if a.network.name in posterior.networks)
        weights = {n: posterior[n].params["value"] for n in posterior.networks if posterior[n].family == "Delta"}
        fit, texts = self._fitter(engine, approximation, options), self._texts(bound, engine, approximation)
        if bound.model.motion is not None:
            from ppl.motion.questions import motion_questions

            questions: Questions = motion_questions(posterior, bound, fit, texts)
        else:
            questions = ModelQuestions(bound, fit, texts, learnt=Learnt(weights, told), **known)
        return replace(of_cells(posterior, bound), questions=questions)

    def _fitter(self, engine: str | None, approximation: str | None, options: Mapping[str, Any]) -> Callable[[BoundModel], Posterior]:
        """Fits this model, or a rewritten one, with its data in the same way."""

        def fitted(bound: BoundModel) -> Posterior:
            plan = self._planned(bound, self.approximation(approximation), engine)
            return self._answering(_fitted(plan, **options), bound, engine, approximation, options)

        return fitted

    def _texts(self, bound: BoundModel, engine: str | None, approximation: str | None) -> Callable[[], dict[str, Any]]:
        """What a file holds of the model, and of how it was fitted."""
        return lambda: {**self._written(), **self._rewritten(bound), "engine": engine, "approximation": approximation}

    def _written(self) -> dict[str, Any]:
        """How the model is written: its file with those that it imports, and what was set by intervention."""
        source = self.typed.span.source
        texts = self.texts or _texts_of(source, self.folder)
        return {"name": self.name, "source": source.name, "texts": dict(texts), "set": list(self.interventions)}

    def _rewritten(self, bound: BoundModel) -> dict[str, Any]:
        """The model of an update, whose priors no file says."""
        from ppl.semantics.stored import stored

        return {} if bound.model is self.typed else {"model": stored(bound.model)}

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


def open_posterior(path: str | Path) -> Posterior:
    """The posterior that `posterior.save(path)` wrote, with its model: it answers what it did. Raises `AimError` where it cannot be."""
    from ppl.graph.bound import BoundModel
    from ppl.results.storage import read, restored
    from ppl.semantics.interventions import intervene
    from ppl.semantics.stored import restored as rewritten

    stored = read(Path(path))
    record, texts = stored.record, stored.record["texts"]
    source = SourceText(record["source"], texts[""])
    file = check_source(source, None, lambda module: SourceText(f"{module}.aim", texts[module]) if module in texts else None)
    model = file.named(record["name"])
    model = replace(model, typed=intervene(model.typed, record["set"]), interventions=dict.fromkeys(record["set"]), texts=texts)
    asked = rewritten(record["model"]) if "model" in record else model.typed
    bound = BoundModel(asked, record["sizes"], record["values"], record["observed"])
    known = {"known": float(record["known"])}
    return model._answering(restored(stored), bound, record["engine"], record["approximation"], {}, **known)


def compare(posteriors: Mapping[str, Posterior], *, draws: int = 1000, seed: int = 0) -> Comparison:
    """Posteriors of the same data side by side: log evidences (or bounds, said so), Bayes factors, and leave-one-out where ArviZ is."""
    from ppl.results.comparison import compare as compared

    return compared(posteriors, draws=draws, seed=seed)


def _texts_of(source: SourceText, folder: Path | None) -> dict[str, str]:
    """The text of a file under the name "", and those of the modules that it imports, and that these import, under theirs."""
    texts, queue = {"": source.text}, [source]
    while queue:
        for item in parse_text(queue.pop())[0].items:
            imported = find_import(item.module, folder) if isinstance(item, tree.Import) and item.module not in texts else None
            if imported is not None and isinstance(item, tree.Import):
                texts[item.module] = imported.text
                queue.append(imported)
    return texts


def _fitted(plan: Plan | BridgePlan | MotionPlan, **options: Any) -> Posterior:
    """The posterior of a plan."""
    if plan.bound.model.motion is not None:
        from ppl.motion.fitting import fit_motion

        return fit_motion(cast("MotionPlan", plan), **options)
    from ppl.engines.fitting import fit_plan

    return fit_plan(cast("Plan | BridgePlan", plan), **options)


def _print_progress(sweeps: int, elbo: float) -> None:
    print(f"sweep {sweeps}: bound {elbo:.6f}", file=sys.stderr)


def run_tests(path: str | Path) -> list[TestResult]:
    """Runs the `test` blocks of a file. Raises `AimError` where the file itself is wrong."""
    file = load_file(path)
    if not file.typed.tests:
        return []
    from ppl.engines.checks import run_test

    return [run_test(test, file.perform) for test in file.typed.tests]
