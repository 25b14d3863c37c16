"""The language server: requests of an editor in the words of LSP, answered by what stands beside. The only module that imports pygls.

Every answer is made of the text as it is in the editor; positions are in the units that the editor and the server agreed upon.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from ppl import __version__
from ppl.source.diagnostics import Diagnostic, Related
from ppl.source.text import SourceText, Span
from ppl.syntax.formatter import format_file
from ppl.tools.server import completion, hover, outline
from ppl.tools.server.definitions import defined_at
from ppl.tools.server.document import Document, read_document
from ppl.tools.server.families import Families

SEVERITIES = {"error": lsp.DiagnosticSeverity.Error, "warning": lsp.DiagnosticSeverity.Warning, "note": lsp.DiagnosticSeverity.Information}
OFFERS: Mapping[str, lsp.CompletionItemKind] = {
    "keyword": lsp.CompletionItemKind.Keyword,
    "distribution": lsp.CompletionItemKind.Class,
    "function": lsp.CompletionItemKind.Function,
    "parameter": lsp.CompletionItemKind.Property,
    "variable": lsp.CompletionItemKind.Variable,
    "index": lsp.CompletionItemKind.Variable,
    "set": lsp.CompletionItemKind.Enum,
    "member": lsp.CompletionItemKind.EnumMember,
    "model": lsp.CompletionItemKind.Module,
    "engine": lsp.CompletionItemKind.Value,
}
SYMBOLS: Mapping[str, lsp.SymbolKind] = {
    "model": lsp.SymbolKind.Module,
    "agent": lsp.SymbolKind.Module,
    "type": lsp.SymbolKind.Enum,
    "function": lsp.SymbolKind.Function,
    "test": lsp.SymbolKind.Event,
    "approximation": lsp.SymbolKind.Namespace,
    "parameter": lsp.SymbolKind.Constant,
    "input": lsp.SymbolKind.Field,
}


class AimServer(LanguageServer):
    """What the server remembers: the open files."""

    def __init__(self) -> None:
        super().__init__("aim", __version__)
        self.documents: dict[str, Document] = {}
        self.families = Families()

    def read(self, uri: str) -> Document:
        """The document as it is in the editor now, or else on disk; the one that was read before where the text is the same.

        Raises an error of the protocol where it is neither.
        """
        path = uris.to_fs_path(uri) if uri.startswith("file:") else None
        try:
            text = self.workspace.get_text_document(uri).source
        except (OSError, ValueError) as error:
            reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is no UTF-8 text"
            raise JsonRpcInvalidParams(f"`{path or uri}` is not open, and cannot be read: {reason}") from None
        before = self.documents.get(uri)
        if before is None or before.source.text != text:
            others = {str(uris.to_fs_path(u)): d.source.text for u, d in self.documents.items() if u != uri}
            source = SourceText(path or uri, text)
            self.documents[uri] = read_document(source, Path(path).parent if path else None, before, others)
        return self.documents[uri]

    # ------------------------------------------------------------ places
    def offset(self, source: SourceText, position: lsp.Position) -> int:
        """The place in the text; beyond the end of a line it is that end."""
        if position.line >= len(source.line_starts):
            return len(source.text)
        line, left = source.line(position.line + 1), position.character
        for column, character in enumerate(line):
            if left <= 0:
                return source.line_starts[position.line] + column
            left -= self.workspace.position_codec.client_num_units(character)
        return source.line_starts[position.line] + len(line)

    def position(self, source: SourceText, offset: int) -> lsp.Position:
        line, column = source.position(offset)
        units = self.workspace.position_codec.client_num_units(source.line(line)[: column - 1])
        return lsp.Position(line - 1, units)

    def range(self, span: Span) -> lsp.Range:
        return lsp.Range(self.position(span.source, span.start), self.position(span.source, span.end))

    def location(self, span: Span, uri: str, document: Document) -> lsp.Location:
        """Where a span is: in the document itself, or in another file."""
        own = span.source.name == document.source.name
        return lsp.Location(uri if own else str(uris.from_fs_path(str(Path(span.source.name).absolute()))), self.range(span))

    # ------------------------------------------------------------ diagnostics
    def tell(self, uri: str) -> None:
        """Send what is wrong in a file."""
        document = self.read(uri)
        found = [self.diagnostic(d, uri, document) for d in document.diagnostics]
        version = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, version))

    def diagnostic(self, one: Diagnostic, uri: str, document: Document) -> lsp.Diagnostic:
        """One in the words of LSP. What is wrong in another file is shown where that file is used or imported."""
        span, related = one.span, list(one.related)
        message = one.message + (f"\n{one.hint}" if one.hint else "")
        if span is None or span.source.name != document.source.name:
            related = [Related(span, one.message), *related] if span is not None else related
            span = document.place_of(span)
        places = [lsp.DiagnosticRelatedInformation(self.location(r.span, uri, document), r.message) for r in related]
        return lsp.Diagnostic(
            self.range(span), message, severity=SEVERITIES[one.severity], code=one.code, source="aim", related_information=places or None
        )


def make_server() -> AimServer:
    """A server with every request that it answers."""
    server = AimServer()
    _of_documents(server)
    _of_words(server)
    _of_files(server)
    return server


def _of_documents(server: AimServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.tell(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.tell(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        """Files that import this one may be right now, or wrong."""
        for uri in list(server.documents):
            if uri != params.text_document.uri:
                del server.documents[uri]
                server.tell(uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.documents.pop(params.text_document.uri, None)
        server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(params.text_document.uri, []))


def _of_words(server: AimServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(params: lsp.HoverParams) -> lsp.Hover | None:
        document = server.read(params.text_document.uri)
        found = hover.hover(document, server.offset(document.source, params.position), server.families)
        if found is None:
            return None
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, found.text), server.range(found.span))

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["~", "(", ".", ":", " "]))
    def completed(params: lsp.CompletionParams) -> lsp.CompletionList:
        document = server.read(params.text_document.uri)
        offers = completion.complete(document, server.offset(document.source, params.position))
        return lsp.CompletionList(False, [_item(offer, rank) for rank, offer in enumerate(offers)])

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def defined(params: lsp.DefinitionParams) -> lsp.Location | None:
        uri = params.text_document.uri
        document = server.read(uri)
        found = defined_at(document, server.offset(document.source, params.position))
        return server.location(found.span, uri, document) if found is not None else None


def _item(offer: completion.Offer, rank: int) -> lsp.CompletionItem:
    return lsp.CompletionItem(
        offer.label, kind=OFFERS[offer.kind], detail=offer.detail or None, sort_text=f"{rank:05}", insert_text=offer.text or None
    )


def _of_files(server: AimServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        """The whole text in canonical form; nothing where it has mistakes in its syntax, or has that form already."""
        document = server.read(params.text_document.uri)
        source = document.source
        if not document.readable:
            return None
        text = format_file(document.file.parsed, source)
        return [lsp.TextEdit(server.range(Span(source, 0, len(source.text))), text)] if text != source.text else []

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def listed(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return [_symbol(server, entry) for entry in outline.outline(server.read(params.text_document.uri).file.parsed)]


def _symbol(server: AimServer, entry: outline.Entry) -> lsp.DocumentSymbol:
    kind: Any = SYMBOLS.get(entry.role, lsp.SymbolKind.Variable)
    inside = [_symbol(server, inner) for inner in entry.inside]
    return lsp.DocumentSymbol(entry.name, kind, server.range(entry.whole), server.range(entry.span), detail=entry.role, children=inside)
