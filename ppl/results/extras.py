"""Packages that come with an extra of this one: imported when they are first needed, and named where they are lacking."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from ppl.source.diagnostics import AimError, Diagnostic


def needs(module: str, extra: str) -> Any:
    """The module. Raises AimError that names the extra where it cannot be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what a package says of its own future when it is imported
            return importlib.import_module(module)
    except ImportError as error:
        text = f"this needs the package {module.partition('.')[0]}"
        raise AimError([Diagnostic("AIM0887", text, None, f"pip install 'aim-ppl[{extra}]'")]) from error
