"""The façade: `load` and `parse` give the models of a file, and a file does what its lines and tests say.

Nothing here computes. JAX is imported when something is fitted, never before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppl.model import Asked, Model
from ppl.semantics.check import check
from ppl.semantics.submodels import parameter_order
from ppl.semantics.typed import TypedFile, TypedModel
from ppl.source.diagnostics import AimError, Diagnostic, Findings, did_you_mean, in_order
from ppl.source.reading import read_source
from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.modules import find_import
from ppl.syntax.parser import parse as parse_text

if TYPE_CHECKING:
    from ppl.agents.trace import Trace
    from ppl.engines.checks import TestResult
    from ppl.results.comparison import Comparison
    from ppl.results.posterior import Posterior
    from ppl.results.storage import Stored


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


def open_posterior(path: str | Path) -> Posterior:
    """The posterior that `posterior.save(path)` wrote, with its model: it answers what it did. Raises `AimError` where it cannot be."""
    from ppl.results.storage import read

    return _answering_again(read(Path(path)))


def unpickled(data: bytes) -> Posterior:
    """The posterior that was pickled, with its model."""
    from ppl.results.storage import unpacked

    return _answering_again(unpacked(data))


Model.opener = unpickled


def _answering_again(stored: Stored) -> Posterior:
    from ppl.graph.bound import BoundModel
    from ppl.results.storage import restored
    from ppl.semantics.interventions import intervene
    from ppl.semantics.stored import restored as rewritten

    record, texts = stored.record, stored.record["texts"]
    source = SourceText(record["source"], texts[""])
    file = check_source(source, None, lambda module: SourceText(f"{module}.aim", texts[module]) if module in texts else None)
    model = file.named(record["name"])
    model = replace(model, typed=intervene(model.typed, record["set"]), interventions=dict.fromkeys(record["set"]), texts=texts)
    asked = rewritten(record["model"]) if "model" in record else model.typed
    bound = BoundModel(asked, record["sizes"], record["values"], record["observed"])
    known = {"known": float(record["known"])}
    return model._answering(restored(stored), bound, Asked(record["engine"], record["approximation"]), **known)


def compare(posteriors: Mapping[str, Posterior], *, draws: int = 1000, seed: int = 0) -> Comparison:
    """Posteriors of the same data side by side: log evidences (or bounds, said so), Bayes factors, and leave-one-out where ArviZ is."""
    from ppl.results.comparison import compare as compared

    return compared(posteriors, draws=draws, seed=seed)


def run_tests(path: str | Path) -> list[TestResult]:
    """Runs the `test` blocks of a file. Raises `AimError` where the file itself is wrong."""
    file = load_file(path)
    if not file.typed.tests:
        return []
    from ppl.engines.checks import run_test

    return [run_test(test, file.perform) for test in file.typed.tests]
