"""Results as notebooks and the prompt show them: escaped text in headings, tables and boxes, whose looks are the notebook's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

LEFT = ' style="text-align:left"'


def section(title: str, note: str | None = "", *parts: str) -> str:
    """A title with a word beside it, and what stands below it; the parts are HTML."""
    beside = f" {escape(note)}" if note else ""
    return f"<div><b>{escape(title)}</b>{beside}{''.join(parts)}</div>"


def line(text: str) -> str:
    return f"<div>{escape(text)}</div>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Cells of text under a header; the first `left` columns are aligned to the left."""
    top = "".join(f"<th{LEFT if k < left else ''}>{escape(cell)}</th>" for k, cell in enumerate(head))
    body = ("".join(f"<td{LEFT if k < left else ''}>{escape(cell)}</td>" for k, cell in enumerate(row)) for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table>"


def preformatted(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


class Shown:
    """A value that is shown as its text, at the prompt and in a notebook. A dataclass of this kind is made with `repr=False`."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return preformatted(str(self))
