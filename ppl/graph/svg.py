"""A picture that has been laid out, as SVG text: one style for all, no script, readable on any background."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ppl.graph.layout import Layout, Point, Rectangle
from ppl.graph.picture import Line, Mark, Picture
from ppl.graph.scene import DOT, FACTOR, Path, extent

INK, FAINT, SHADE = "#1f2937", "#64748b", "#d3dae4"
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" role="img" \
width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.1f} {height:.1f}">
<title>{title}</title>
<defs>
<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0,0.8 L8,4 L0,7.2 z" fill="{ink}"/></marker>
<linearGradient id="half"><stop offset="0.5" stop-color="{shade}"/><stop offset="0.5" stop-color="#ffffff"/></linearGradient>
</defs>
<rect width="100%" height="100%" fill="#ffffff"/>
<g font-family="{font}" font-size="13" fill="none" stroke="{ink}" stroke-width="1.1">"""


def svg(picture: Picture, layout: Layout, title: str) -> str:
    """The whole document."""
    head = HEAD.format(width=layout.width, height=layout.height, title=escape(title), ink=INK, shade=SHADE, font=escape(FONT))
    boxes = (_box(layout.boxes[path], path) for path in picture.boxes)
    lines = (_line(line, picture, layout) for line in picture.lines)
    labels = (_box_label(layout.boxes[path], label, path in layout.labels_left) for path, label in picture.boxes.items())
    marks = (element for name, mark in picture.marks.items() for element in _mark(mark, layout.points[name], name in layout.labels_left))
    return "\n".join([head, *boxes, *lines, *labels, *marks, "</g>", "</svg>", ""])


def _box(r: Rectangle, path: Path) -> str:
    corner = f'x="{r.left:.1f}" y="{r.top:.1f}" width="{r.right - r.left:.1f}" height="{r.bottom - r.top:.1f}"'
    return f'<rect class="plate" {corner} rx="9" stroke="#94a3b8"><title>{escape(", ".join(path))}</title></rect>'


def _box_label(r: Rectangle, label: str, left: bool) -> str:
    x, anchor = (r.left + 9, "start") if left else (r.right - 9, "end")
    return _text((x, r.bottom - 7), label, anchor, size=11, fill=FAINT)


def _text(at: Point, text: str, anchor: str, *, size: int = 13, fill: str = INK) -> str:
    halo = 'stroke="#ffffff" stroke-width="3" paint-order="stroke" stroke-linejoin="round"'
    return f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}" {halo}>{escape(text)}</text>'


def _mark(mark: Mark, at: Point, label_left: bool) -> Iterator[str]:
    x, y = at
    size = extent(mark)
    side, anchor = (-1, "end") if label_left else (1, "start")
    fill = {"none": "#ffffff", "full": SHADE, "half": "url(#half)"}[mark.shade]
    yield f'<g class="{mark.shape}"><title>{escape(mark.title)}</title>'
    match mark.shape:
        case "factor":
            yield f'<rect x="{x - FACTOR:.1f}" y="{y - FACTOR:.1f}" width="{2 * FACTOR:.1f}" height="{2 * FACTOR:.1f}" fill="{INK}"/>'
            yield _text((x + side * (FACTOR + 5), y + 3.8), mark.label, anchor, size=11, fill=FAINT)
        case "parameter":
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}" fill="{INK}"/>'
            yield _text((x + DOT + 5, y + 4.5), mark.label, "start")
        case _:
            dashed = ' stroke-dasharray="4 3"' if mark.shape == "deterministic" else ""
            round_ = {"input": 3.0, "action": 0.0}.get(mark.shape, size.height)
            corner = f'x="{x - size.left:.1f}" y="{y - size.height:.1f}" width="{2 * size.left:.1f}" height="{2 * size.height:.1f}"'
            yield f'<rect {corner} rx="{round_:.1f}" fill="{fill}"{dashed}/>'
            yield f'<text x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="middle" fill="{INK}" stroke="none">{escape(mark.label)}</text>'
    yield "</g>"


# ------------------------------------------------------------------ lines
def _line(line: Line, picture: Picture, layout: Layout) -> str:
    source, target = picture.marks[line.source], picture.marks[line.target]
    start, end = layout.points[line.source], layout.points[line.target]
    arrow = ' marker-end="url(#arrow)"' if line.arrow else ""
    if line.back:
        return f'<path d="{_backward(source, target, start, end)}"{arrow}/>'
    inner = layout.waypoints[line]
    if not inner and abs(end[0] - start[0]) > 1.4 * (end[1] - start[1]):
        return f'<path d="{_shallow(source, target, start, end)}"{arrow}/>'
    first = _border(source, start, inner[0] if inner else end)
    last = _border(target, end, inner[-1] if inner else start)
    return f'<path d="{_smooth((first, *inner, last))}"{arrow}/>'


def _border(mark: Mark, centre: Point, towards: Point) -> Point:
    """Where the outline of a mark meets the line to a point: a circle, a box, or a box with round ends."""
    size = extent(mark)
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    if mark.shape in ("factor", "parameter"):
        reach = FACTOR if mark.shape == "factor" else DOT
    elif size.left <= size.height:
        reach = size.height
    else:
        reach = min(size.left * length / max(abs(dx), 1e-9), size.height * length / max(abs(dy), 1e-9))
    return centre[0] + dx / length * reach, centre[1] + dy / length * reach


def _smooth(points: tuple[Point, ...]) -> str:
    """A straight line between two points; through more, a Catmull-Rom curve."""
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    if len(points) == 2:
        return f"{path} L{points[1][0]:.1f},{points[1][1]:.1f}"
    around = (points[0], *points, points[-1])
    for before, a, b, after in zip(around, around[1:], around[2:], around[3:], strict=False):
        first = a[0] + (b[0] - before[0]) / 6, a[1] + (b[1] - before[1]) / 6
        second = b[0] - (after[0] - a[0]) / 6, b[1] - (after[1] - a[1]) / 6
        path += f" C{first[0]:.1f},{first[1]:.1f} {second[0]:.1f},{second[1]:.1f} {b[0]:.1f},{b[1]:.1f}"
    return path


def _shallow(source: Mark, target: Mark, start: Point, end: Point) -> str:
    """A curve that leaves downwards, so that it does not run through the marks beside its source."""
    towards = 1.0 if end[0] > start[0] else -1.0
    first = _border(source, start, (start[0] + 0.6 * towards, start[1] + 1.0))
    last = _border(target, end, (end[0] - 1.6 * towards, end[1] - 1.0))
    dx, dy = last[0] - first[0], last[1] - first[1]
    out = first[0] + 0.2 * dx, first[1] + 0.5 * dy
    into = last[0] - 0.4 * dx, last[1] - 0.3 * dy
    return f"M{first[0]:.1f},{first[1]:.1f} C{out[0]:.1f},{out[1]:.1f} {into[0]:.1f},{into[1]:.1f} {last[0]:.1f},{last[1]:.1f}"


def _backward(source: Mark, target: Mark, start: Point, end: Point) -> str:
    """An arc on the left side from an effect up to the factor that it enters at the next index."""
    left = start[0] - extent(source).left, start[1]
    reach = extent(target).left if target.shape != "factor" else FACTOR
    into = end[0] - reach, end[1]
    out = min(left[0], into[0]) - 22
    return f"M{left[0]:.1f},{left[1]:.1f} C{out:.1f},{left[1]:.1f} {out:.1f},{into[1]:.1f} {into[0]:.1f},{into[1]:.1f}"
