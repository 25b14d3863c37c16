"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ppl.tools.settings import Setting

format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For a person, or for a program."
)
data_option = click.option(
    "--data",
    "data",
    multiple=True,
    metavar="FILE",
    help="Values by name: a CSV, Parquet, JSON or NPZ file, or an image; may be given several times.",
)
set_option = click.option(
    "--set", "values", multiple=True, type=Setting(), help="A parameter, an input, a size or an observation; may be given several times."
)


def file_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """FILE [NAME]: a file, and which of its models."""
    named = click.argument("name", required=False)(command)
    return click.argument("file")(named)
