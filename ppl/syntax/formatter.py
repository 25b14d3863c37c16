"""The canonical form of a file: the tree decides the words, the source decides comments, blank lines and which blocks stand on one line.

Reading the result gives the same tree (`Normal(m, s)` becomes `Normal(m, sd = s)`), and writing it again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ppl.source.diagnostics import Findings
from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.format_expressions import Comment, ExpressionWriter
from ppl.syntax.format_statements import block_of, head
from ppl.syntax.pieces import Pieces, fits, render
from ppl.syntax.tokens import scan

INDENT = 4
COMPACT = (tree.Import, tree.TypeDeclaration, tree.FunctionDeclaration, tree.FitLine, tree.RunLine)


def format_file(file: tree.File, source: SourceText) -> str:
    """The text of a file that was read without errors, in canonical form."""
    writer = FileWriter(source, ExpressionWriter(source, comments_of(source)))
    writer.block(file.items, 0, len(source.text))
    for comment in list(writer.waiting):
        writer.comment(comment, 0)
    text = "\n".join(writer.lines) + "\n" if writer.lines else ""
    return text.replace("\n", "\r\n") if "\r\n" in source.text else text


def comments_of(source: SourceText) -> list[Comment]:
    """The comments of a file, in order."""
    lines = scan(source, Findings())
    return [Comment(line.comment, not line.tokens) for line in lines if line.comment is not None]


@dataclass
class FileWriter:
    """Collects the lines of the result; `last` is the line of the source that was written last."""

    source: SourceText
    expressions: ExpressionWriter
    lines: list[str] = field(default_factory=list)
    last: int = 0
    fresh: bool = True  # at the beginning of a block, where no blank line stands

    @property
    def waiting(self) -> list[Comment]:
        return self.expressions.waiting

    # -------------------------------------------------------------- lines
    def put(self, text: str, start: int, end: int, *, apart: bool = False) -> None:
        """Write something that stands at these lines of the source, after a blank line if one stood there or `apart` asks for it."""
        if not self.fresh and (apart or start - self.last > 1):
            self.lines.append("")
        self.lines.extend(text.split("\n"))
        self.last, self.fresh = max(self.last, end), False

    def comment(self, comment: Comment, indent: int, *, apart: bool = False) -> None:
        self.waiting.remove(comment)
        line = comment.span.line
        self.put(" " * indent + comment.text, line, line, apart=apart)

    def line_of(self, offset: int) -> int:
        return self.source.position(offset)[0]

    # -------------------------------------------------------------- blocks
    def block(self, nodes: Sequence[tree.Node], indent: int, limit: int) -> None:
        """Write the lines of a block and the comments that stand in it, up to the place `limit`."""
        before: tree.Node | None = None
        for k, node in enumerate(nodes):
            end = nodes[k + 1].span.start if k + 1 < len(nodes) else limit
            apart = indent == 0 and not (isinstance(node, COMPACT) and type(node) is type(before))
            self.statement(node, indent, end, apart=apart)
            before = node
        if nodes and indent:
            column = nodes[0].span.column
            while self.waiting and self.waiting[0].span.start < limit and self.waiting[0].span.column >= column:
                self.comment(self.waiting[0], indent)

    def statement(self, node: tree.Node, indent: int, limit: int, *, apart: bool = False) -> None:
        chain = self._chain(node, indent)
        leaf = chain[-1]
        for comment in [c for c in self.waiting if c.span.start < node.span.start]:
            self.comment(comment, indent, apart=apart)
            apart = False
        pieces = _chained(chain, self.expressions)
        inner = block_of(leaf)
        documentation = self._documentation(leaf)
        below = documentation[0] if documentation else inner[0].span.start if inner else leaf.span.end
        behind = self._comment_behind(node, leaf, below if inner or documentation else None)
        start = node.span.line
        for comment in [c for c in self.waiting if c.span.start < below and not (c.alone and inner)]:
            self.comment(comment, indent, apart=apart)  # from inside an expression, where it cannot stay
            apart, start = False, self.last + 1
        end = self.line_of(leaf.span.end) if not inner else start
        self.put(" " * indent + render(pieces, indent) + behind, start, end, apart=apart)
        if inner or documentation:
            self.fresh = True
            self._write_documentation(documentation, indent + INDENT)
            self.block(inner, indent + INDENT, limit)
            self.fresh = False

    def _chain(self, node: tree.Node, indent: int) -> list[tree.Node]:
        """The statements that stand on one line: a head, the head in it, …, as long as they were written so and there is room."""
        chain = [node]
        while True:
            inner = block_of(chain[-1])
            if len(inner) != 1 or isinstance(inner[0], tree.Arm) or self._documentation(chain[-1]):
                break
            if "\n" in self.source.text[chain[-1].span.start : inner[0].span.start]:
                break
            chain.append(inner[0])
        return chain if fits(_chained(chain, ExpressionWriter(self.source, list(self.waiting))), indent) else [node]

    # -------------------------------------------------------------- comments and documentation
    def _comment_behind(self, node: tree.Node, leaf: tree.Node, below: int | None) -> str:
        """The comment at the end of the line of a statement, or of the head of its block."""
        start = leaf.span.end if below is None else node.span.start
        end = self.source.text.find("\n", leaf.span.end) if below is None else below
        candidates = [c for c in self.waiting if not c.alone and start <= c.span.start and (end < 0 or c.span.start < end)]
        if not candidates:
            return ""
        self.waiting.remove(candidates[-1])
        return f"  {candidates[-1].text}"

    def _documentation(self, node: tree.Node) -> tuple[int, int] | None:
        """Where the docstring of a model stands."""
        if not isinstance(node, tree.ModelDeclaration) or node.doc is None:
            return None
        found = re.compile(r'^[ \t]*("' + re.escape(node.doc) + r'")', re.MULTILINE).search(self.source.text, node.name_span.end)
        return found.span(1) if found else None

    def _write_documentation(self, place: tuple[int, int] | None, indent: int) -> None:
        if place is None:
            return
        for comment in [c for c in self.waiting if c.span.start < place[0]]:
            self.comment(comment, indent)
        line = self.line_of(place[0])
        end_of_line = self.source.text.find("\n", place[1])
        behind = [c for c in self.waiting if place[1] <= c.span.start and (end_of_line < 0 or c.span.start < end_of_line)]
        for comment in behind:
            self.waiting.remove(comment)
        self.put(" " * indent + self.source.text[slice(*place)] + "".join(f"  {c.text}" for c in behind), line, line)


def _chained(chain: list[tree.Node], expressions: ExpressionWriter) -> Pieces:
    pieces: Pieces = []
    for node in chain:
        pieces += [" ", *head(node, expressions)] if pieces else head(node, expressions)
    return pieces
