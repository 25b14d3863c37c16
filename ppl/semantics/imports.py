"""`from mixtures import gaussian_mixture`: names of another file, which is checked on the way."""

from __future__ import annotations

from collections.abc import Callable

from ppl.semantics.scope import FileNames, FunctionEntry, word_span
from ppl.semantics.sets import set_from_type
from ppl.semantics.typed import TypedFile
from ppl.source.diagnostics import Findings, did_you_mean
from ppl.source.text import SourceText, Span
from ppl.syntax import tree


def bring_in(file: tree.File, names: FileNames, load_import: Callable[[str], SourceText | None] | None, importing: tuple[str, ...]) -> None:
    """Enter the names that a file imports; a module that is missing, wrong or imports this file is an error at the line."""
    for item in file.items:
        if isinstance(item, tree.Import):
            _import(item, names, load_import, importing)


def _import(
    item: tree.Import, names: FileNames, load_import: Callable[[str], SourceText | None] | None, importing: tuple[str, ...]
) -> None:
    from ppl.semantics.check import check_importing
    from ppl.syntax.parser import parse

    if item.module in importing:
        chain = " imports ".join(f"`{module}`" for module in (*importing[importing.index(item.module) :], item.module))
        names.findings.error("AIM0108", f"files import each other in a circle: {chain}", item.module_span)
        return
    source = load_import(item.module) if load_import is not None else None
    if source is None:
        hint = "it is looked for beside this file, then in the standard library"
        names.findings.error("AIM0107", f"there is no file `{item.module.replace('.', '/')}.aim`", item.module_span, hint)
        return
    parsed, found = parse(source)
    inner = Findings(list(found.items))
    typed = check_importing(parsed, inner, load_import, (*importing, item.module))
    if inner.errors:
        for diagnostic in inner.errors:
            names.findings.add(diagnostic)
        return
    for name in item.names:
        _take(name, item, parsed, typed, names)


def _take(name: str, item: tree.Import, parsed: tree.File, typed: TypedFile, names: FileNames) -> None:
    own = FileNames(Findings())
    for other in parsed.items:
        if isinstance(other, tree.TypeDeclaration) and (index_set := set_from_type(other, Findings())) is not None:
            own.types[other.name] = index_set
        elif isinstance(other, tree.FunctionDeclaration):
            own.functions[other.name] = FunctionEntry(other, own)
    if name in typed.models or name in typed.imported:
        names.imported[name] = typed.models.get(name) or typed.imported[name]
    elif name in own.types:
        names.types[name] = own.types[name]
    elif name in own.functions:
        names.functions[name] = own.functions[name]
    else:
        hint = did_you_mean(name, [*typed.models, *own.types, *own.functions])
        names.findings.error("AIM0109", f"`{item.module}` has no `{name}`", _place_of(name, item), hint)


def _place_of(name: str, item: tree.Import) -> Span:
    """Where the name stands in the list of imported names."""
    listed = Span(item.span.source, item.module_span.end + len(" import"), item.span.end)
    return word_span(listed, f" {name}", 1)
