"""pytest collects `.aim` files: each `test` block is an item, and a failure shows what was expected and found, with the place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ppl.source.diagnostics import AimError

if TYPE_CHECKING:
    from ppl.api import SourceFile
    from ppl.syntax.tree import TestDeclaration


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """Asked by pytest for each file that it meets."""
    return AimFile.from_parent(parent, path=file_path) if file_path.suffix == ".aim" else None


class ExpectationFailed(Exception):
    """A `test` block of a model did not hold; the text says all there is to say."""


class AimFile(pytest.File):
    """A file and its `test` blocks; a file that is wrong is an error of the collection only where it has tests."""

    def collect(self) -> Iterator[pytest.Item]:
        from ppl.api import load_file

        try:
            file = load_file(os.path.relpath(self.path))
        except AimError as error:
            if "\ntest " in "\n" + self.path.read_text(encoding="utf-8", errors="replace"):
                raise self.CollectError(str(error)) from None
            return
        for test in file.typed.tests:
            yield AimTest.from_parent(self, name=test.title, file=file, test=test)


class AimTest(pytest.Item):
    """One `test` block."""

    def __init__(self, *, file: SourceFile, test: TestDeclaration, **rest: Any):
        super().__init__(**rest)
        self.file, self.test = file, test

    def runtest(self) -> None:
        from ppl.engines.checks import run_test

        result = run_test(self.test, self.file.perform)
        if not result.passed:
            raise ExpectationFailed("\n".join(result.messages))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The messages; a traceback only where the mistake is ours."""
        if isinstance(excinfo.value, ExpectationFailed | AimError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.test.span.line - 1, f"{self.path.name}: {self.name}"
