"""What is drawn of a factor graph: marks, lines and boxes, before anybody says where they stand.

Random and deterministic variables are circles with their name, factors small squares with the distribution beside, what is given
dots and boxes. Of an agent, states are circles, actions boxes and outcomes shaded; a state at the next step has a dashed outline, and is
left out where it stays as it is. Constants, and parameters that no statement mentions, are not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppl.graph.factor_graph import FactorGraph
from ppl.graph.nodes import FactorNode, VariableNode

Shape = Literal["random", "deterministic", "parameter", "input", "action", "factor"]
Shade = Literal["none", "full", "half"]


@dataclass(frozen=True)
class Mark:
    """One thing drawn. `level` orders variables from causes to effects; `box` is the path of plates it stands in."""

    name: str
    shape: Shape
    label: str
    box: tuple[str, ...] = ()
    shade: Shade = "none"
    title: str = ""  # what shows when the pointer rests on it


@dataclass(frozen=True)
class Line:
    """From a cause to its effect; `back` where it runs against the order of the file, as in a recursion."""

    source: str
    target: str
    arrow: bool
    back: bool = False


@dataclass(frozen=True)
class Picture:
    """Marks by name, in the order of the file; lines between them; the label of each box by its path, outer boxes first."""

    marks: dict[str, Mark] = field(hash=False)
    lines: tuple[Line, ...]
    boxes: dict[tuple[str, ...], str] = field(hash=False)


def picture(graph: FactorGraph) -> Picture:
    """The marks, lines and boxes of a factor graph."""
    mentioned = {name for s in graph.statements if not s.stays for name in s.touches}
    marks = {v.name: _variable_mark(v) for v in graph.variables if v.name in mentioned}
    marks.update({s.name: _factor_mark(s) for s in graph.factors if not s.stays})
    paths = dict.fromkeys(mark.box[:depth] for mark in marks.values() for depth in range(1, len(mark.box) + 1))
    boxes = {path: _box_label(graph, path[-1]) for path in sorted(paths, key=len)}
    return Picture(marks, tuple(_lines(graph)), boxes)


def _variable_mark(v: VariableNode) -> Mark:
    state = {True: ", observed", "partly": ", partly observed", False: ""}[v.observed]
    law = f" ~ {v.distribution}" if v.distribution else ""
    shade: Shade = {True: "full", "partly": "half", False: "none"}[v.observed]  # type: ignore[assignment]
    title = f"{v.name}{law}: {v.type}{state}"
    return Mark(v.name, _shape(v), v.name, v.plates, "full" if v.role == "input" else shade, title)


def _shape(v: VariableNode) -> Shape:
    match v.role:
        case "state" | "outcome":
            return "deterministic" if v.ahead else "random"
        case role:
            return role


def _factor_mark(s: FactorNode) -> Mark:
    where = f", line {s.span.line}" if s.span is not None else ""
    return Mark(s.name, "factor", s.label, s.plates, title=f"{s.written}{where}")


def _lines(graph: FactorGraph) -> list[Line]:
    """Causes to factors, factors to their child, if any; causes straight to what is computed from them."""
    order = {v.name: position for position, v in enumerate(graph.variables)}
    lines = []
    for s in (s for s in graph.statements if not s.stays):
        target = s.child if s.kind == "deterministic" else s.name
        last = order.get(s.child, len(order))
        lines += [Line(p, target, arrow=s.kind == "deterministic", back=order[p] >= last) for p in s.parents]
        if s.child and s.kind != "deterministic":
            lines.append(Line(s.name, s.child, arrow=True))
    return list(dict.fromkeys(lines))


def _box_label(graph: FactorGraph, key: str) -> str:
    if key in graph.sizes and not key.startswith("{"):
        return f"{key} = {graph.sizes[key]}"
    return f"{graph.index_names.get(key, '')} in {key}" if key in graph.index_names else key
