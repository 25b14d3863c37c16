"""The family of what is believed of each variable, by the plan for the data of a file's own `fit` line.

JAX is needed for a plan and takes a second or more to come: plans are made beside the server, and told once they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field

from ppl.api import SourceFile, line_values
from ppl.source.diagnostics import AimError
from ppl.syntax import tree

NONE: Mapping[str, str] = {}


@dataclass
class Families:
    """`patience` seconds are waited for a plan that is asked for the first time."""

    patience: float = 0.2
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    asked: dict[tuple[str, str], Future[Mapping[str, str]]] = field(default_factory=dict)

    def of(self, file: SourceFile, model: str) -> Mapping[str, str]:
        """The families of a model's variables by name: nothing where there is no `fit` line for it, or no plan yet."""
        line = next((line for line in file.typed.fits if line.model.name == model), None)
        if line is None or model not in file.typed.models or file.typed.models[model].kind == "agent":
            return NONE
        key = (file.source.text, model)
        if key not in self.asked:
            self.asked = {key: self.pool.submit(families, file, line)}  # of what was there before nobody asks again
        try:
            return self.asked[key].result(self.patience)
        except Late:
            return NONE


def families(file: SourceFile, line: tree.FitLine) -> Mapping[str, str]:
    """The family of each latent variable's block."""
    try:
        model = file.named(line.model.name)
        plan = model.explain(dict(line_values(line, model.typed, file.folder)))
    except AimError:
        return NONE
    from ppl.compiler.explain import form
    from ppl.compiler.plan import Plan

    if not isinstance(plan, Plan):
        return NONE
    return {name: f"{form(block)}{_beside(block.variables, name)}" for block in plan.blocks for name in block.variables}


def _beside(variables: tuple[str, ...], name: str) -> str:
    others = [v for v in variables if v != name]
    return f", together with {', '.join(others)}" if others else ""
