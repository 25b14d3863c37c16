"""`from mixtures import gaussian_mixture`: names of another file, which is checked on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ppl.semantics.scope import FileNames, word_span
from ppl.semantics.typed import TypedFile
from ppl.source.diagnostics import AimError, Findings, did_you_mean
from ppl.source.text import SourceText, Span
from ppl.syntax import tree

LoadImport = Callable[[str], SourceText | None]
"""The text of a module by its dotted name."""


@dataclass(frozen=True)
class Importing:
    """How other files are found; `way` are the modules on the way to this one, each with the name of its source."""

    load: LoadImport
    way: tuple[tuple[str, str], ...] = ()

    def found(self, module: str) -> tuple[str, SourceText] | None:
        """A module that is imported here, under its whole name: beside this file first."""
        folder = self.way[-1][0].rpartition(".")[0] if self.way else ""
        for name in (f"{folder}.{module}", module) if folder else (module,):
            source = self.load(name)
            if source is not None:
                return name, source
        return None


def bring_in(file: tree.File, names: FileNames, importing: Importing) -> None:
    """Enter the names that a file imports; a module that is missing, wrong or imports this file is an error at the line."""
    for item in file.items:
        if isinstance(item, tree.Import):
            try:
                _import(item, names, importing)
            except AimError as unreadable:
                for diagnostic in unreadable.diagnostics:
                    names.findings.add(replace(diagnostic, span=item.module_span))


def _import(item: tree.Import, names: FileNames, importing: Importing) -> None:
    """The names of one file; where the module is a folder, each from the file of its own name there."""
    whole = importing.found(item.module)
    if whole is not None:
        _from_file(item.names, *whole, item, names, importing)
        return
    for name in item.names:
        found = importing.found(f"{item.module}.{name}")
        if found is None:
            hint = "it is looked for beside this file, then in the standard library"
            names.findings.error("AIM0107", f"there is no file `{item.module.replace('.', '/')}.aim`", item.module_span, hint)
            return
        _from_file((name,), *found, item, names, importing)


def _from_file(wanted: tuple[str, ...], module: str, source: SourceText, item: tree.Import, names: FileNames, importing: Importing) -> None:
    """Check a file, and enter what is wanted of it."""
    from ppl.semantics.check import check_names
    from ppl.syntax.parser import parse

    way = (*importing.way, (module, source.name))
    first = next((place for place, (_, name) in enumerate(importing.way) if name == source.name), None)
    if first is not None:
        chain = " imports ".join(f"`{other}`" for other, _ in way[first:])
        names.findings.error("AIM0108", f"files import each other in a circle: {chain}", item.module_span)
        return
    parsed, found = parse(source)
    inner = FileNames(Findings(list(found.items)))
    typed = check_names(parsed, inner, Importing(importing.load, way))
    for diagnostic in inner.findings.errors:
        names.findings.add(diagnostic)
    if not inner.findings.errors:
        for name in wanted:
            _take(name, item, typed, inner, names)


def _take(name: str, item: tree.Import, typed: TypedFile, other: FileNames, names: FileNames) -> None:
    """Enter one name: a model, a type or a function."""
    if name in typed.models or name in other.imported:
        names.imported[name] = typed.models.get(name) or other.imported[name]
    elif name in other.types:
        names.types[name] = other.types[name]
    elif name in other.functions:
        names.functions[name] = other.functions[name]
    else:
        hint = did_you_mean(name, [*typed.models, *other.types, *other.functions])
        names.findings.error("AIM0109", f"`{item.module}` has no `{name}`", _place_of(name, item), hint)


def _place_of(name: str, item: tree.Import) -> Span:
    """Where the name stands in the list of imported names."""
    listed = Span(item.span.source, item.module_span.end + len(" import"), item.span.end)
    return word_span(listed, f" {name}", 1)
