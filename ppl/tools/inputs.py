"""What a command works on: a model of a file, and what it is given by --data, by --set, or by the file's own `fit` line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.library import find_file
from ppl.tools.messages import show_diagnostics
from ppl.tools.settings import settings_of

if TYPE_CHECKING:
    from ppl.api import Model, SourceFile
    from ppl.graph.dataset import Dataset
    from ppl.images.cues import Features
    from ppl.syntax import tree

FIT_OPTIONS = ("engine", "seed", "progress", "dtype", "iterations", "tolerance", "restarts", "approximation", "start", "datasets")


@dataclass(frozen=True)
class Inputs:
    """A model with what it is given. `line` is what holds of the file's `fit` line, `overridden` whether settings stand over some of it."""

    file: SourceFile
    model: Model
    datasets: Sequence[Dataset] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    line: Dataset | None = None
    overridden: bool = False
    picture: Features | None = None  # of the image among the data, where there is one

    @property
    def observes(self) -> bool:
        """Whether anything that may hold observations is given."""
        return bool(self.given or self.model.typed.potentials) or bool(_random(self.model) & _roots(self.settings))

    @property
    def run_line(self) -> tree.RunLine | None:
        """The file's first `run` line for this agent."""
        return next((line for line in self.file.typed.runs if line.model.name == self.model.name), None)

    @property
    def given(self) -> list[Dataset]:
        """The data: those of files, or those of the file's `fit` line."""
        return [*self.datasets, *([] if self.line is None else [self.line])]

    @property
    def by_name(self) -> dict[str, Any]:
        """The settings that can be passed as keywords."""
        return {name: value for name, value in self.settings.items() if name not in FIT_OPTIONS}

    @property
    def mapping(self) -> dict[str, Any] | None:
        """The settings whose name is that of an option of `fit`."""
        return {name: value for name, value in self.settings.items() if name in FIT_OPTIONS} or None


def gather(file_name: str, model_name: str | None, data: Sequence[str], pairs: tuple[tuple[str, Any], ...]) -> Inputs:
    """Reads the file and the data. Raises AimError with what is wrong with either."""
    from ppl.api import load_file

    file = load_file(find_file(file_name))
    show_diagnostics(file.warnings)
    settings = settings_of(pairs, "--set")
    line = None if data else fit_line(file, model_name or _ran(file))
    model = file.named(line.model.name) if line is not None else file.model(model_name or _ran(file))
    picture, data = _picture(data, settings, model)
    datasets = read_all(data) + ([picture.dataset] if picture is not None else [])
    inputs = Inputs(file, model, datasets, settings, picture=picture and picture.told)
    return inputs if line is None else _with_line(inputs, line)


def _with_line(inputs: Inputs, line: tree.FitLine) -> Inputs:
    """What the `fit` line says stands, but for what settings give as a whole."""
    from ppl.api import line_values
    from ppl.graph.dataset import from_mapping

    said = dict(line_values(line, inputs.model.typed, inputs.file.folder))
    left = {name: value for name, value in said.items() if name.partition("[")[0] not in inputs.settings}
    where = f"the `fit` line of {inputs.file.source.name}"
    over = bool(_roots(said) & _roots(inputs.settings))
    return replace(inputs, line=from_mapping(left, where) if left else None, overridden=over)


def fits_agent(inputs: Inputs, engine: str | None, steps: int | None, where: Mapping[str, Any]) -> bool:
    """Whether an agent's parameters are to be inferred: an engine is named, a `fit` line says so, or there is a record that an agent
    with unknown parameters cannot go through."""
    agent: Any = inputs.model
    if steps is not None or where:
        return False
    if engine is not None or inputs.line is not None:
        return True
    from ppl.agents.parameters import integrated_precision

    if not inputs.datasets:
        return False
    unknown = agent.unknown(datasets=inputs.datasets, **inputs.by_name)
    return bool(set(unknown) - {integrated_precision(agent.typed)})


@dataclass(frozen=True)
class _Picture:
    told: Features
    dataset: Dataset


def _picture(paths: Sequence[str], settings: dict[str, Any], model: Model) -> tuple[_Picture | None, Sequence[str]]:
    """The image among the data, and the other files. `query` and `patch` among the settings say how it is looked at, unless they are
    names of the model; they are taken out. Raises AimError."""
    from ppl.graph.readers import image_dataset, is_image
    from ppl.images.cues import features

    images = [path for path in paths if is_image(path)]
    if not images:
        return None, paths
    if len(images) > 1:
        raise AimError([Diagnostic("AIM0603", f"{len(images)} images are given, and one is looked at", None, where=images[1])])
    options = {name: settings.pop(name) for name in ("query", "patch") if name in settings and name not in model.typed.variables}
    told = features(images[0], **options)
    return _Picture(told, image_dataset(told, images[0])), [path for path in paths if path not in images]


def read_all(paths: Sequence[str]) -> list[Dataset]:
    """All data files; the mistakes of all of them at once."""
    from ppl.graph.readers import read

    found: list[Dataset] = []
    wrong: list[Diagnostic] = []
    for path in paths:
        try:
            found.append(read(path))
        except AimError as error:
            wrong += error.diagnostics
    if wrong:
        raise AimError(wrong)
    return found


def fit_line(file: SourceFile, model_name: str | None) -> tree.FitLine | None:
    """The first `fit` line of the file, or of the model that was named."""
    return next((line for line in file.typed.fits if model_name in (None, line.model.name)), None)


def _ran(file: SourceFile) -> str | None:
    """The agent of the file's first `run` line."""
    return next((line.model.name for line in file.typed.runs if line.model.name in file.typed.models), None)


def _random(model: Model) -> set[str]:
    return {v.name for v in model.typed.variables.values() if v.role == "random"}


def _roots(settings: Mapping[str, Any]) -> set[str]:
    """The variables that settings speak of: `y` for `y[0]`."""
    return {name.partition("[")[0] for name in settings}
