"""`%%aim` in a notebook: the cell is a file of the language, and its models become Python names.

%load_ext ppl

%%aim
model coin:
    theta ~ Beta(1, 1)
    for n in N: x[n] ~ Bernoulli(theta)

coin.fit(x=[1, 0, 1]) in the next cell
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppl.api import Model, SourceFile, check_source
from ppl.source.diagnostics import AimError
from ppl.source.text import SourceText
from ppl.tools.messages import show_diagnostics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class CellError(AimError):
    """What is wrong in a cell. IPython shows the text and no traceback, and stops running further cells."""

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext ppl` calls: `%%aim` is there from now on."""

    def aim(line: str, cell: str) -> Any:
        """%%aim [NAME]: the models of the cell become Python names; with NAME its only model, or the one of that name, becomes NAME."""
        return models_of_cell(line, cell, shell)

    shell.magics_manager.register_function(aim, magic_kind="cell", magic_name="aim")


def models_of_cell(line: str, cell: str, shell: InteractiveShell) -> Model | None:
    """Reads a cell and binds its models; gives back the only one, so that the notebook shows it."""
    try:
        file = check_source(SourceText("<cell>", cell), Path.cwd())
        found = _bound(line.split(), file)
    except AimError as error:
        raise CellError(error.diagnostics) from None
    show_diagnostics(file.warnings)
    shell.push(found)
    return next(iter(found.values())) if len(found) == 1 else None


def _bound(names: list[str], file: SourceFile) -> dict[str, Model]:
    """The models of a cell by the Python names that they get."""
    from IPython.core.error import UsageError

    if not names:
        return dict(_all(file))
    if len(names) > 1 or not names[0].isidentifier():
        raise UsageError("%%aim takes one Python name, or none")
    name = names[0]
    return {name: file.model(name if name in file.typed.models else None)}


def _all(file: SourceFile) -> Iterable[tuple[str, Model]]:
    return ((name, file.model(name)) for name in file.typed.models)
